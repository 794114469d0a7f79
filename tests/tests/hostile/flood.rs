//! Identities and names in any number.

use std::{collections::VecDeque, thread, time::Duration, time::Instant};

use dfaas_agent::name::{FunctionName, NodeId};
use dfaas_tests::{
    client::{Call, Connections, Load},
    federation::FUNCTIONS,
};

use crate::{
    SETTLE, agent_memory, configuration, federation, log_lines,
    strangers::{Stranger, Strangers, address_of, proxy},
};

const ATTACK: Duration = Duration::from_secs(8);
const NAMES: usize = 1020;
const RATE: f64 = 10.0;
/// A node's own limit for each function: it could serve all calls by itself.
const LIMIT: u32 = 40;
const MOST_GROWTH_BYTES: u64 = 50 << 20;
const MOST_LINES: usize = 100;

/// What the strangers have said so far.
#[derive(Default)]
struct Said {
    lasting: Vec<Stranger>,
    passing: VecDeque<Stranger>,
    names: usize,
}

impl Said {
    /// Names that nobody has heard before, and one function that does run at the nodes.
    fn names(&mut self) -> Vec<FunctionName> {
        let new = (self.names..self.names + NAMES).map(|n| format!("made-up-{n}"));
        self.names += NAMES;
        new.chain(["figlet".to_owned()]).map(|name| name.parse().unwrap()).collect()
    }

    /// Five that stay, and one more every time, of which the oldest leaves.
    fn act(&mut self, address: &str, node: &NodeId, host: std::net::Ipv4Addr) {
        while self.lasting.len() < 5 {
            self.lasting.push(Stranger::meet(address));
        }
        self.passing.push_back(Stranger::meet(address));
        if self.passing.len() > 4 {
            self.passing.pop_front();
        }
        for i in 0..self.lasting.len() {
            let names = self.names();
            self.lasting[i].speak(node, &names, &proxy(host, 1000 + i as u16));
        }
        let names = self.names();
        self.passing.iter_mut().for_each(|stranger| stranger.speak(node, &names, &proxy(host, 2000)));
    }
}

#[test]
fn names_and_identities_in_any_number_cost_no_call_and_change_little() {
    let federation = federation(|options| options.rate_limits = vec![LIMIT]);
    let n1 = &federation.nodes[0];
    let reloads = || federation.status(0).unwrap().planes.proxy_reloads;
    let before = (configuration(n1), log_lines(n1), agent_memory(n1), reloads());
    let call = Call::get(federation.url(0, "/function/figlet"));
    let load = Load { call, rate: RATE, duration: None, connections: Connections::PerCall };
    let load = load.start(&federation.client().unwrap()).unwrap();

    let (address, id, host) = (address_of(n1), n1.id.clone(), federation.guest(0).address);
    let guest = federation.guest(0).namespace.entrance().unwrap();
    let begun = Instant::now();
    let act = move |said: &mut Said| said.act(&address, &id, host);
    let strangers = Strangers::start(&guest, Duration::from_millis(450), act);
    let mut largest = 0;
    while begun.elapsed() < ATTACK {
        thread::sleep(Duration::from_millis(250));
        largest = largest.max(configuration(n1));
    }
    let status = federation.status(0).unwrap();
    let reloads = (reloads() - before.3, begun.elapsed().as_secs() / 2 + 2);
    drop(strangers);
    let calls = load.stop().unwrap();

    assert_eq!(status.functions.len(), FUNCTIONS.len(), "functions that are known, of those that run here");
    assert!(largest < 2 * before.0, "the configuration grew from {} to {largest} bytes", before.0);
    assert!(reloads.0 <= reloads.1, "{} reloads, expected at most {}", reloads.0, reloads.1);
    let used = status.functions[&"figlet".parse::<FunctionName>().unwrap()].limits_in.len();
    assert!(used <= 2 + 4, "{used} peers are used, two nodes and four of one address expected at most");
    let lines = log_lines(n1) - before.1;
    assert!(lines <= MOST_LINES, "{lines} lines in the log; {}", n1.last_lines());
    let growth = agent_memory(n1).saturating_sub(before.2);
    assert!(growth < MOST_GROWTH_BYTES, "the agent's memory grew by {growth} bytes");
    assert_eq!(calls.total().unsuccessful(), 0, "{:?}\n{}", calls.total().outcomes, calls.troubles());
    federation.wait_settled(SETTLE).unwrap();
    federation.stop();
}
