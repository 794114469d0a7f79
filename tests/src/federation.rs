//! A federation on this machine: nodes in namespaces, each with its agent, HAProxy and functions, and a client.

mod condition;
mod gateway;
pub(crate) mod lease;
mod leftovers;
mod node;
mod options;
mod place;
mod watched;

pub use self::{
    gateway::FunctionGateway,
    leftovers::{Removed, Which, remove_leftovers},
    node::Node,
    options::{FUNCTIONS, Functions, Options, Place},
    watched::Watched,
};

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use dfaas_agent::{name::NodeId, status::Status};

use self::{lease::Lease, place::on_the_host};
use crate::{
    link::{Impairment, Link},
    netns::Entrance,
    network::{Host, Network},
};

/// Number of the client in the network's addresses.
const CLIENT_NUMBER: u8 = 200;
/// Number of the first guest.
const GUEST_NUMBER: u8 = 201;
/// For an agent to say it is ready, on a busy machine.
const READY: Duration = Duration::from_mins(1);
/// For agents to end after SIGTERM.
const END: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

pub struct Federation {
    pub nodes: Vec<Node>,
    options: Options,
    directory: PathBuf,
    /// Of nodes whose functions outlive the agent; `None` while it is dead.
    gateways: Vec<Option<FunctionGateway>>,
    network: Network,
    // Last: whoever finds it free removes what has this prefix.
    lease: Lease,
}

impl Federation {
    /// Makes the network and starts all agents. `say` hears of every step.
    pub fn start(options: Options, say: &dyn Fn(&str)) -> Result<Self> {
        options.check()?;
        let mut lease = Lease::take()?;
        let (mut network, label) = match options.place {
            Place::Host => on_the_host(&mut lease)?,
            Place::Hidden => (Network::new(lease.prefix(), [10, 77, 0], None)?, lease.prefix().to_owned()),
        };
        let directory = std::path::absolute(&options.directory)?.join(&label);
        // What a former federation of this name left would be taken for this one's state.
        remove_directory(&directory)?;
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        for i in 0..options.nodes {
            say(&format!("network: node {} of {}", i + 1, options.nodes));
            network.add_host(&Node::name_of(i), i as u8 + 1)?;
        }
        network.add_host("client", CLIENT_NUMBER)?;
        for i in 0..options.guests {
            network.add_host(&format!("g{}", i + 1), GUEST_NUMBER + i as u8)?;
        }
        network.hosts.iter().try_for_each(node::set_kernel_settings)?;
        let mut federation = Self { nodes: Vec::new(), options, directory, gateways: Vec::new(), network, lease };
        for i in 0..federation.options.nodes {
            federation.add_node(i)?;
        }
        for i in 0..federation.options.nodes {
            say(&format!("agent of {}: started", federation.nodes[i].name));
            federation.start_agent(i)?;
        }
        for i in 0..federation.options.nodes {
            say(&format!("agent of {}: waiting until it is ready", federation.nodes[i].name));
            federation.wait_ready(i)?;
        }
        Ok(federation)
    }

    fn add_node(&mut self, i: usize) -> Result<()> {
        let host = &self.network.hosts[i];
        let mut node = Node::new(i, host.address, self.lease.prefix(), &self.directory)?;
        let bootstrap = self.nodes.first().map(|first| format!("/ip4/{}/tcp/31600/p2p/{}", first.address, first.id));
        node.write_settings(&self.options, i, bootstrap)?;
        if self.options.functions == Functions::Lasting {
            self.gateways.push(Some(FunctionGateway::start(&host.namespace.entrance()?)?));
        }
        self.nodes.push(node);
        Ok(())
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Configuration, state and logs of all nodes.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What all names of this federation on the machine begin with.
    pub fn prefix(&self) -> &str {
        self.lease.prefix()
    }

    pub fn index_of(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *id)
    }

    pub fn url(&self, i: usize, path: &str) -> String {
        format!("http://{}{path}", self.nodes[i].address)
    }

    /// The way into the client's namespace.
    pub fn client(&self) -> Result<Entrance> {
        self.network.hosts[self.nodes.len()].namespace.entrance()
    }

    pub fn client_address(&self) -> Ipv4Addr {
        self.network.hosts[self.nodes.len()].address
    }

    pub fn host(&self, i: usize) -> &Host {
        &self.network.hosts[i]
    }

    /// A host without an agent.
    pub fn guest(&self, i: usize) -> &Host {
        &self.network.hosts[self.nodes.len() + 1 + i]
    }

    /// Puts a bad link between the switch and `client` or a node.
    pub fn impair(&self, name: &str, impairment: Impairment, seed: u64) -> Result<Link> {
        self.network.impair(name, impairment, seed)
    }

    /// Of the embedded platform's administrative calls.
    pub fn gateway_password(&self, i: usize) -> Result<String> {
        self.nodes[i].gateway_password()
    }

    pub fn status(&self, i: usize) -> Result<Status> {
        self.nodes[i].status(&self.network.hosts[i].namespace.entrance()?)
    }

    /// Starts the agent of a node whose agent has ended.
    pub fn start_agent(&mut self, i: usize) -> Result<()> {
        self.nodes[i].start(&self.options.agent, &self.network.hosts[i].namespace)
    }

    /// Waits until the agent says it is ready.
    pub fn wait_ready(&mut self, i: usize) -> Result<()> {
        let entrance = self.network.hosts[i].namespace.entrance()?;
        let deadline = Instant::now() + READY;
        let node = &mut self.nodes[i];
        loop {
            if let Some(status) = node.exited() {
                bail!("agent of {} has ended, {status}; {}", node.name, node.last_lines());
            }
            self.options.stop.check()?;
            match Node::ready(&entrance) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => {
                    let error = error.context(format!("agent of {} is not ready after {READY:?}", node.name));
                    return Err(error.context(node.last_lines()));
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Waits until every node runs as asked and sees all others.
    pub fn wait_joined(&self, timeout: Duration) -> Result<()> {
        self.wait_until(timeout, |statuses| condition::unjoined(statuses, &self.options))
    }

    /// Waits until every node runs as asked, sees all others, and was granted something by each, as idle nodes do.
    pub fn wait_settled(&self, timeout: Duration) -> Result<()> {
        self.wait_until(timeout, |statuses| condition::unsettled(statuses, &self.options))
    }

    /// Waits until `missing` finds nothing missing any more.
    pub fn wait_until(&self, timeout: Duration, missing: impl Fn(&[(&str, Status)]) -> Option<String>) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let what = match self.statuses() {
                Ok(statuses) => match missing(&statuses) {
                    None => return Ok(()),
                    Some(what) => what,
                },
                Err(error) => format!("{error:#}"),
            };
            self.options.stop.check()?;
            if Instant::now() > deadline {
                let logs: Vec<String> = self.nodes.iter().map(Node::last_lines).collect();
                bail!("after {timeout:?}: {what}\n{}", logs.join("\n"));
            }
            thread::sleep(POLL * 4);
        }
    }

    /// Status of every node with its name.
    pub fn statuses(&self) -> Result<Vec<(&str, Status)>> {
        self.nodes.iter().enumerate().map(|(i, node)| Ok((node.name.as_str(), self.status(i)?))).collect()
    }

    /// Writes settings into the node's file, and has its agent read it again.
    pub fn change_settings(&self, i: usize, changes: &[(&str, &str)]) -> Result<()> {
        self.nodes[i].change_settings(changes)
    }

    /// Ends the agent as a crash would; HAProxy and the kernel path stay.
    pub fn kill_agent(&mut self, i: usize) -> Result<()> {
        self.nodes[i].kill()
    }

    /// Asks the agent to end, and waits.
    pub fn stop_agent(&mut self, i: usize) -> Result<()> {
        self.nodes[i].ask_to_end()?;
        self.nodes[i].wait_end(Instant::now() + END)
    }

    /// Ends the gateway of functions that outlive the agent, as a crash would.
    pub fn kill_gateway(&mut self, i: usize) -> Result<()> {
        let gateway = self.gateways.get_mut(i).and_then(Option::take);
        gateway.with_context(|| format!("node {i} has no running gateway of its own"))?.kill();
        Ok(())
    }

    /// Starts the gateway of a node whose gateway was killed.
    pub fn start_gateway(&mut self, i: usize) -> Result<()> {
        let entrance = self.network.hosts[i].namespace.entrance()?;
        let place = self.gateways.get_mut(i).filter(|gateway| gateway.is_none());
        *place.with_context(|| format!("node {i} has no dead gateway"))? = Some(FunctionGateway::start(&entrance)?);
        Ok(())
    }

    /// Process id of the node's HAProxy: of the master, if it has workers.
    pub fn haproxy_pid(&self, i: usize) -> Result<i32> {
        let pids = self.network.hosts[i].namespace.pids();
        node::master_of(&pids, "haproxy").with_context(|| format!("no haproxy on {}", self.nodes[i].name))
    }

    /// The machine is gone at one moment, without a word to anybody.
    pub fn lose_machine(&mut self, i: usize) -> Result<()> {
        self.network.switch_run(&format!("ip link del {}", self.network.port(&self.nodes[i].name)))?;
        for pid in self.network.hosts[i].namespace.pids() {
            node::signal(pid, nix::sys::signal::SIGKILL)?;
        }
        self.nodes[i].forget();
        Ok(())
    }

    /// Leaves everything running when this process ends. Only for functions in the agents.
    pub fn keep(mut self) -> Result<()> {
        self.lease.keep()?;
        self.network.keep();
        self.nodes.iter_mut().for_each(Node::forget);
        Ok(())
    }

    /// Ends the agents, then removes everything; returns what did not go as it should.
    pub fn stop(mut self) -> Vec<String> {
        self.end_agents()
    }

    fn end_agents(&mut self) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut note = |result: Result<()>| troubles.extend(result.err().map(|error| format!("{error:#}")));
        self.nodes.iter_mut().for_each(|node| note(node.ask_to_end()));
        let deadline = Instant::now() + END;
        self.nodes.iter_mut().for_each(|node| note(node.wait_end(deadline)));
        self.nodes.iter_mut().for_each(|node| note(node.remove_traces()));
        troubles
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        if self.lease.is_kept() {
            return;
        }
        // Nothing is left to be done here after `stop`.
        for trouble in self.end_agents() {
            eprintln!("{trouble}");
        }
    }
}

fn remove_directory(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => {
            ensure!(!directory.exists(), "{} is still there", directory.display());
            Ok(())
        }
    }
}
