//! The embedded runner as one of the platforms that the settings can name.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use nix::unistd::{User, geteuid};

use super::{
    super::{Platform, PlatformKind, Startup},
    Embedded, RunAs, RunnerSettings, password_file,
};

pub(in crate::platform) static KIND: PlatformKind =
    PlatformKind { name: "embedded", start: |startup| Box::pin(start(startup)) };

async fn start(startup: Startup) -> Result<Arc<dyn Platform>> {
    let credentials = match startup.credentials {
        Some(credentials) => credentials,
        None => password_file::credentials(&startup.state_dir)?,
    };
    let settings = RunnerSettings {
        address: startup.embedded_address,
        state_file: Some(startup.state_dir.join("functions.json")),
        deploy_shipped: true,
        max_rates: startup.max_rates,
        run_as: function_user(&startup.embedded_user)?,
        ..RunnerSettings::new(credentials)
    };
    Ok(Arc::new(Embedded::start(settings).await?))
}

/// Whom functions run as: nobody special, unless the agent itself is.
fn function_user(name: &str) -> Result<Option<RunAs>> {
    if name == "root" || !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name(name).context("cannot read the list of users")?;
    let user = user.with_context(|| format!("AGENT_EMBEDDED_USER={name}: there is no such user"))?;
    Ok(Some(RunAs { uid: user.uid.as_raw(), gid: user.gid.as_raw() }))
}
