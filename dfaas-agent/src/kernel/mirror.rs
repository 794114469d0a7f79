//! What the agent has told the kernel, beside the maps that hold it: only differences are written, and what somebody else
//! has changed is put right.

mod peers;
mod repair;

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use anyhow::{Context as _, Result};
use dfaas_common::{
    address::AddressV4,
    cookie,
    http::Name,
    maps::LAYOUT_VERSION,
    peer::Peer,
    route::{MAX_FUNCTIONS, Route},
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer, Control},
};

pub(crate) use self::peers::PeerFacts;
use super::{maps::Maps, plan, secrets};
use crate::{
    decision::Decision,
    name::{FunctionName, NodeId},
};

/// A peer with its number. One without a tunnel has never been written.
struct PeerEntry {
    number: u32,
    peer: Peer,
}

/// The maps, and what was written to them.
pub(crate) struct Mirror<M> {
    maps: M,
    functions: BTreeMap<FunctionName, u32>,
    routes: BTreeMap<FunctionName, Route>,
    peers: BTreeMap<NodeId, PeerEntry>,
    /// Entries of a former agent whose nodes are not known yet, by tunnel address.
    inherited: BTreeMap<AddressV4, PeerEntry>,
    /// Entries of peers that are gone, by number: nobody else gets it while something may name it.
    retired: BTreeMap<u32, Peer>,
    control: Control,
    answers: [(u32, Answer); 2],
    aliases: (Ipv4Addr, u8),
    burst: Duration,
}

impl<M: Maps> Mirror<M> {
    /// Takes over what is in the maps, and gives them what they lack. `now_ns`: monotonic clock.
    pub(crate) fn new(mut maps: M, aliases: (Ipv4Addr, u8), burst: Duration, now_ns: u64) -> Result<Self> {
        let mut functions = BTreeMap::new();
        let mut routes = BTreeMap::new();
        for (name, route) in maps.routes() {
            let text = String::from_utf8_lossy(&name.bytes()).trim_end_matches('\0').to_owned();
            if let Ok(name) = FunctionName::try_from(text) {
                functions.insert(name.clone(), route.function);
                routes.insert(name, route);
            }
        }
        // Of those without keys the former agent had taken its leave.
        let (left, retired): (Vec<_>, Vec<_>) =
            maps.peers().into_iter().partition(|(_, peer)| peer.receive[0].epoch != 0);
        let inherited = left.into_iter().map(|(number, peer)| (peer.tunnel, PeerEntry { number, peer })).collect();
        let retired = retired.into_iter().collect();
        let answers = [(ANSWER_BUSY, answer(BUSY)?), (ANSWER_UNAVAILABLE, answer(UNAVAILABLE)?)];
        answers.iter().try_for_each(|(index, answer)| maps.set_answer(*index, answer))?;
        // Whoever was draining has gone.
        let control = Control { draining: 0, layout: LAYOUT_VERSION, ..maps.control()? };
        let peers = BTreeMap::new();
        let mut mirror = Self { maps, functions, routes, peers, inherited, retired, control, answers, aliases, burst };
        mirror.maps.set_control(&control)?;
        mirror.rotate_cookie_key(now_ns)?;
        Ok(mirror)
    }

    pub(crate) fn maps(&self) -> &M {
        &self.maps
    }

    pub(crate) fn maps_mut(&mut self) -> &mut M {
        &mut self.maps
    }

    pub(crate) fn function_number(&self, name: &FunctionName) -> Option<u32> {
        self.functions.get(name).copied()
    }

    pub(crate) fn function_name(&self, number: u32) -> Option<&FunctionName> {
        self.functions.iter().find(|f| *f.1 == number).map(|f| f.0)
    }

    /// Gives the programs their secrets if they have none, and a new one when it is time.
    pub(crate) fn rotate_cookie_key(&mut self, now_ns: u64) -> Result<()> {
        let Self { maps, control, .. } = self;
        secrets::rotate_cookie_key(control, cookie::epoch(now_ns), |control| maps.set_control(control))
    }

    /// Has the programs steer frames to these link-layer addresses ([`Control::links`]); true if they were others.
    pub(crate) fn set_links(&mut self, links: [u64; 2]) -> Result<bool> {
        if self.control.links == links {
            return Ok(false);
        }
        self.control.links = links;
        self.maps.set_control(&self.control).map(|()| true)
    }

    /// From here on peers' new connections are sent back to them.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.control.draining = 1;
        self.maps.set_control(&self.control)
    }

    /// Writes the tables that differ; how many. One that cannot be written leaves the others their turn: the first error is
    /// returned in the end. `kept`: calls per second on kept-alive connections, by function.
    pub(crate) fn write_routes(&mut self, decision: &Decision, kept: &BTreeMap<FunctionName, f64>) -> Result<usize> {
        // A number alone is not enough: without its key and next hop a peer is no target.
        let usable = self.peers.iter().filter(|(_, entry)| entry.peer.send.epoch != 0);
        let numbers: BTreeMap<NodeId, u32> = usable.map(|(id, entry)| (id.clone(), entry.number)).collect();
        let gone: Vec<_> = self.functions.keys().filter(|n| !decision.functions.contains_key(*n)).cloned().collect();
        let mut written = gone.len();
        let mut failure = Ok(());
        for name in gone {
            failure = failure.and(self.remove_route(&name));
        }
        for name in decision.functions.keys() {
            match self.write_route(decision, name, &numbers, kept.get(name).copied().unwrap_or(0.0)) {
                Ok(wrote) => written += usize::from(wrote),
                Err(e) => failure = failure.and(Err(e.context(format!("function {name}")))),
            }
        }
        failure.map(|()| written)
    }

    /// False if there was nothing to write.
    fn write_route(
        &mut self,
        decision: &Decision,
        name: &FunctionName,
        numbers: &BTreeMap<NodeId, u32>,
        kept: f64,
    ) -> Result<bool> {
        let function = self.number_function(name)?;
        let mut route =
            plan::route(name, &decision.functions[name], function, decision.version, numbers, kept, self.burst);
        if let Some(old) = self.routes.get(name) {
            // A new version alone is no difference.
            route.version = old.version;
            if *old == route {
                return Ok(false);
            }
            route.version = decision.version;
        }
        self.maps.set_route(&key(name)?, &route)?;
        self.routes.insert(name.clone(), route);
        Ok(true)
    }

    fn remove_route(&mut self, name: &FunctionName) -> Result<()> {
        self.maps.remove_route(&key(name)?)?;
        self.functions.remove(name);
        self.routes.remove(name);
        Ok(())
    }

    /// Given once and kept.
    fn number_function(&mut self, name: &FunctionName) -> Result<u32> {
        if let Some(number) = self.functions.get(name) {
            return Ok(*number);
        }
        let is_free = |n: &u32| !self.functions.values().any(|taken| taken == n);
        let number = (0..MAX_FUNCTIONS as u32)
            .find(is_free)
            .with_context(|| format!("no room for its table: {MAX_FUNCTIONS} functions have one, HAProxy steers it"))?;
        self.maps.reset_buckets(number)?;
        self.functions.insert(name.clone(), number);
        Ok(number)
    }
}

fn key(name: &FunctionName) -> Result<Name> {
    Name::new(name.as_str()).with_context(|| format!("function name {name} is too long"))
}

const BUSY: (&str, &str) = ("429 Too Many Requests", "{\"error\":\"node saturated\"}\n");
const UNAVAILABLE: (&str, &str) = ("503 Service Unavailable", "{\"error\":\"no server\"}\n");

fn answer((status, body): (&str, &str)) -> Result<Answer> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nRetry-After: 1\r\n\
         Connection: close\r\n\r\n{body}"
    );
    Answer::new(text.as_bytes()).context("an answer is too long")
}

#[cfg(test)]
mod tests;
