//! The embedded runner as one of the platforms that the settings can name.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use nix::unistd::{User, geteuid};

use super::{
    super::{Platform, PlatformKind, Startup},
    Confine, Embedded, RunAs, RunnerSettings, password_file,
};

pub(in crate::platform) static KIND: PlatformKind = PlatformKind {
    name: "embedded",
    start: |startup| Box::pin(start(startup)),
    made_credentials: Some(password_file::made),
};

async fn start(startup: Startup) -> Result<Arc<dyn Platform>> {
    if startup.credentials.is_none() {
        password_file::make_sure(&startup.state_dir)?;
    }
    let credentials = startup.credentials.unwrap_or_else(|| password_file::made(&startup.state_dir));
    let (own_users, run_as) = function_user(&startup.embedded_user)?;
    let confine = Confine {
        // Also of an agent whose file was replaced since it started.
        init: PathBuf::from("/proc/self/exe"),
        own_users,
        group: group_name(&startup.state_dir)?,
        folders: startup.embedded_folders,
    };
    let settings = RunnerSettings {
        address: startup.embedded_address,
        state_file: Some(startup.state_dir.join("functions.json")),
        deploy_shipped: true,
        max_rates: startup.max_rates,
        run_as,
        confine: Some(confine),
        ..RunnerSettings::new(credentials)
    };
    Ok(Arc::new(Embedded::start(settings).await?))
}

/// Whom functions run as, if the agent is root: each call somebody else, or all one user. Else as the agent.
fn function_user(name: &str) -> Result<(bool, Option<RunAs>)> {
    if !geteuid().is_root() {
        return Ok((false, None));
    }
    match name {
        "dynamic" => Ok((true, None)),
        "root" => Ok((false, None)),
        name => {
            let user = User::from_name(name).context("cannot read the list of users")?;
            let user = user.with_context(|| format!("AGENT_EMBEDDED_USER={name}: there is no such user"))?;
            Ok((false, Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() })))
        }
    }
}

/// Of the state folder, which one agent has.
fn group_name(state_dir: &Path) -> Result<String> {
    let data = fs::metadata(state_dir).with_context(|| format!("state folder {}", state_dir.display()))?;
    Ok(format!("dfaas-functions-{:x}-{:x}", data.dev(), data.ino()))
}
