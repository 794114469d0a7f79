//! Functions that outlive the agent: their gateway runs in this process, and the agent knows it as an OpenFaaS.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result};
use dfaas_agent::platform::{
    Credentials, Password, Platform as _,
    embedded::{Embedded, RunnerSettings},
};
use tokio::sync::oneshot;

use crate::netns::Entrance;

pub(super) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

pub struct FunctionGateway {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FunctionGateway {
    /// Where it listens, on loopback.
    pub const PORT: u16 = ADDRESS.port();
    /// What its agent, and who deploys, must say to it.
    pub const USER: &str = "admin";
    pub const PASSWORD: &str = "of-the-emulator";

    pub fn start(node: &Entrance) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let node = node.clone();
        // Calls are processes of this thread's children, so in the node's namespace, too.
        let thread = thread::Builder::new().name("functions".into()).spawn(move || {
            let run = || -> Result<()> {
                node.go()?;
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let password = Password::Text(Self::PASSWORD.to_owned());
                    let credentials = Credentials { user: Self::USER.to_owned(), password };
                    let settings = RunnerSettings { address: ADDRESS, ..RunnerSettings::new(credentials) };
                    let gateway = Embedded::start(settings).await?;
                    let _ = ready.send(());
                    if stopped.await.is_err() {
                        gateway.stop().await;
                    }
                    Ok(())
                })
            };
            if let Err(error) = run() {
                eprintln!("functions: {error:#}");
            }
        })?;
        started.recv().context("the gateway of the functions did not start")?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends it in the middle of what it does: its sockets are closed with its runtime.
    pub(super) fn kill(mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }
}

impl Drop for FunctionGateway {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
