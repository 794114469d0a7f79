//! The FaaS platform that runs the functions of this node, behind one trait: [`openfaas`] asks a gateway
//! somewhere else, [`embedded`] is a gateway inside the agent.

pub mod embedded;
mod labels;
pub mod openfaas;

use std::{
    collections::BTreeMap,
    fmt,
    future::ready,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;

use crate::{
    endpoint::Endpoint,
    name::{FunctionName, Host},
};

/// All kinds of platforms: a new one is a file of its own and a line here.
pub static KINDS: [&PlatformKind; 2] = [&openfaas::KIND, &embedded::KIND];

type Starting = BoxFuture<'static, anyhow::Result<Arc<dyn Platform>>>;

/// A kind of platform, by its name in the settings and in the status.
pub struct PlatformKind {
    pub name: &'static str,
    start: fn(Startup) -> Starting,
    /// Of a platform inside the agent: who may administer it if the settings say nothing, by its state folder.
    pub(crate) made_credentials: Option<fn(&Path) -> Credentials>,
}

impl PlatformKind {
    /// A platform that is ready to be asked; it need not answer well yet.
    pub(crate) async fn start(&self, startup: Startup) -> anyhow::Result<Arc<dyn Platform>> {
        (self.start)(startup).await
    }
}

impl fmt::Debug for PlatformKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What the settings say; each kind takes what concerns it.
#[derive(Clone, Debug)]
pub struct Startup {
    pub(crate) gateway_host: Host,
    pub(crate) gateway_port: u16,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) embedded_address: SocketAddr,
    pub(crate) embedded_user: String,
    /// That functions may read, beside the usual ones.
    pub(crate) embedded_folders: Vec<PathBuf>,
    /// Calls per second, in place of the functions' labels.
    pub(crate) max_rates: BTreeMap<FunctionName, u32>,
    pub(crate) state_dir: PathBuf,
}

/// What the agent asks of a platform. Every answer comes within a bounded time.
pub trait Platform: Send + Sync {
    /// The deployed functions, by name. One odd function is left out, never the reason for an error.
    fn functions(&self) -> BoxFuture<'_, anyhow::Result<Vec<DeployedFunction>>>;

    fn health(&self) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Where HAProxy sends the calls of `/function/<name>`.
    fn gateway(&self) -> Endpoint;

    /// How often reading the functions met something it could not use.
    fn counters(&self) -> LeftOut {
        LeftOut::default()
    }

    /// What functions should be kept from and this machine cannot keep them from, each with the reason.
    fn lacking(&self) -> Vec<String> {
        Vec::new()
    }

    /// CPU time that calls have used so far, of functions whose processes the agent runs itself.
    fn cpu_times(&self) -> BTreeMap<FunctionName, Duration> {
        BTreeMap::new()
    }

    /// Ends what the platform runs inside the agent; calls under way may finish within a bounded time.
    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedFunction {
    pub name: FunctionName,
    /// Label `dfaas.maxrate`, calls per second.
    pub max_rate: Option<u32>,
    /// Label `dfaas.timeout_ms`.
    pub timeout: Option<Duration>,
    /// Replicas ready to serve.
    pub replicas: u32,
}

/// How often reading the functions met something it could not use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub functions_left_out: u64,
    pub labels_ignored: u64,
}

/// User and password of HTTP basic authentication.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub user: String,
    pub password: Password,
}

#[derive(Clone)]
pub enum Password {
    Text(String),
    /// Read at every use, so that a changed secret needs no restart.
    File(PathBuf),
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A password file longer than this is not a password file.
const PASSWORD_LIMIT_BYTES: u64 = 4096;

impl Password {
    /// The password; of a file all but the line end.
    pub(crate) async fn read(&self) -> anyhow::Result<String> {
        use anyhow::{Context, ensure};
        use tokio::io::AsyncReadExt;

        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::File(path) => path,
        };
        let mut text = String::new();
        let file = tokio::fs::File::open(path).await.with_context(|| format!("password file {}", path.display()))?;
        file.take(PASSWORD_LIMIT_BYTES + 1)
            .read_to_string(&mut text)
            .await
            .with_context(|| format!("password file {}", path.display()))?;
        ensure!(
            text.len() as u64 <= PASSWORD_LIMIT_BYTES,
            "password file {} is longer than {PASSWORD_LIMIT_BYTES} bytes",
            path.display()
        );
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        Ok(text)
    }
}

/// For the fuzzer.
pub(crate) const READERS: &[dfaas_base::Reader] = &[("openfaas-list", openfaas_list)];

fn openfaas_list(bytes: &[u8]) {
    let Ok((functions, complaints)) = openfaas::list(bytes) else { return };
    let mut names: Vec<_> = functions.iter().map(|function| &function.name).collect();
    names.dedup();
    assert_eq!(names.len(), functions.len(), "a function twice: {functions:?}, {complaints:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_shows_in_debug_text() {
        let credentials = Credentials { user: "admin".to_owned(), password: Password::Text("hush".to_owned()) };
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[tokio::test]
    async fn a_password_file_loses_its_line_end_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " with blanks \r\n").unwrap();
        assert_eq!(Password::File(file.path().to_owned()).read().await.unwrap(), " with blanks ");
        std::fs::write(file.path(), "x".repeat(5000)).unwrap();
        assert!(Password::File(file.path().to_owned()).read().await.is_err());
    }
}
