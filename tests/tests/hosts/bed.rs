//! One host with a node.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Result, ensure};
use dfaas_agent::status::Status;
use dfaas_tests::{
    built,
    client::{Call, Connections, Load, Running},
    federation::FunctionGateway,
    hosts::{BootedHost, Hosts, debian_root, missing},
};

pub(crate) const SETTINGS: &str = "/etc/dfaas/dfaas-agent.env";
/// Where the checkout is on the host.
const CHECKOUT: &str = "/srv/dfaas";
/// Another release of Debian than the one that is tried by default.
const SUITE: &str = "DFAAS_HOSTS_SUITE";

pub(crate) struct Bed {
    // Before the hosts: it is in the namespace of one.
    gateway: Option<FunctionGateway>,
    hosts: Hosts,
}

impl Bed {
    /// Boots a host and does what `deploy/README.md` says; `None` where no host can boot, which is an error in CI.
    pub(crate) fn installed() -> Option<Self> {
        let lacking = missing();
        if !lacking.is_empty() {
            let text = format!("hosts cannot boot here without {}", lacking.join(", "));
            assert!(std::env::var_os("CI").is_none(), "{text}");
            eprintln!("not run: {text}");
            return None;
        }
        let bed = Self::booted().unwrap_or_else(|error| panic!("{error:#}"));
        let output = bed.host().try_run(&format!("cd {CHECKOUT} && {}", commands())).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{}", output.status, bed.journal());
        Some(bed)
    }

    fn booted() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let project = project();
        let suite = std::env::var(SUITE).unwrap_or_else(|_| "bookworm".to_owned());
        let root = debian_root(&project, &suite)?;
        let mut hosts = Hosts::new(&format!("h{}-{}", process::id(), NUMBER.fetch_add(1, Relaxed)), &root)?;
        let i = hosts.add("h1", 1)?;
        let host = hosts.host_mut(i);
        host.show(&project.join("deploy"), &format!("{CHECKOUT}/deploy"));
        let agent = built::program("dfaas-agent")?;
        put(&host.file(&format!("{CHECKOUT}/target/release/dfaas-agent")), &fs::read(agent)?)?;
        // What the operator does in it.
        let address = host.address;
        let edit = format!(
            "#!/bin/sh\nexec sed -i -e 's/^AGENT_NODE_IP=.*/AGENT_NODE_IP={address}/' \
             -e 's/^AGENT_PLATFORM=.*/AGENT_PLATFORM=embedded/' \"$1\"\n"
        );
        put(&host.file("/usr/local/bin/editor"), edit.as_bytes())?;
        host.start()?;
        Ok(Self { gateway: None, hosts })
    }

    /// A platform on the host that outlives the agent, in place of the one inside it.
    pub(crate) fn lasting_functions(&mut self) {
        self.run(&format!(
            "systemctl stop dfaas-agent; sed -i -e s/^AGENT_PLATFORM=.*/AGENT_PLATFORM=openfaas/ \
             -e s/^AGENT_OPENFAAS_PORT=.*/AGENT_OPENFAAS_PORT={}/ {SETTINGS}; \
             printf 'AGENT_OPENFAAS_USER=%s\nAGENT_OPENFAAS_PASSWORD=%s\n' {} {} >> {SETTINGS}",
            FunctionGateway::PORT,
            FunctionGateway::USER,
            FunctionGateway::PASSWORD
        ));
        self.gateway = Some(FunctionGateway::start(&self.hosts.entrance(0).unwrap()).unwrap());
        self.run("systemctl start dfaas-agent");
    }

    pub(crate) fn host(&self) -> &BootedHost {
        self.hosts.host(0)
    }

    pub(crate) fn host_mut(&mut self) -> &mut BootedHost {
        self.hosts.host_mut(0)
    }

    pub(crate) fn in_network(&self, line: &str) {
        self.hosts.in_network(0, line).unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// Runs a script that must succeed; returns what it printed.
    pub(crate) fn run(&self, script: &str) -> String {
        self.host().run(script).unwrap_or_else(|error| panic!("{error:#}\n{}", self.journal()))
    }

    /// Whether a script has succeeded, and what it printed.
    pub(crate) fn try_run(&self, script: &str) -> (bool, String) {
        let output = self.host().try_run(&format!("({script}) 2>&1")).unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The service's log, for messages too.
    pub(crate) fn journal(&self) -> String {
        self.try_run("journalctl --no-pager --unit dfaas-agent --unit dfaas-bpffs --lines 60").1
    }

    fn function(&self) -> Call {
        let url = format!("http://{}/function/shasum", self.host().address);
        Call::post(url, "some text").timeout(Duration::from_secs(5))
    }

    /// A call from outside.
    pub(crate) fn call(&self) -> Result<()> {
        let answer = self.function().send(&self.hosts.client()?)?;
        ensure!(answer.status == 200, "answer {}: {}", answer.status, answer.text());
        Ok(())
    }

    pub(crate) fn load(&self, rate: f64) -> Running {
        let load = Load { call: self.function(), rate, duration: None, connections: Connections::PerCall };
        load.start(&self.hosts.client().unwrap()).unwrap()
    }

    pub(crate) fn status(&self) -> Result<Status> {
        let text = self.host().run("dfaas-agent status --json")?;
        Ok(serde_json::from_str(&text)?)
    }
}

fn put(file: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    fs::write(file, content)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The checkout that this test belongs to.
fn project() -> PathBuf {
    // Tests run in their package's folder.
    std::env::current_dir().unwrap().parent().unwrap().to_owned()
}

/// The commands that install a node: the first block of the chapter about systemd.
fn commands() -> String {
    let text = fs::read_to_string(project().join("deploy/README.md")).unwrap();
    let chapter = text.split("## A node with systemd").nth(1).expect("the chapter about systemd");
    chapter.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of commands").to_owned()
}
