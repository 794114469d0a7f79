//! Typed handles of the maps: the only place that knows their names and shapes.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf},
};
use dfaas_common::{
    address::Address,
    counters::{FunctionCounters, PairCounters, VerdictCounter, pair_index},
    decided::{self, BUSY, Decision, EMPTY, SETS, Set, WAYS},
    event::Event,
    flow::{Flow, FlowKey, Patience, Target},
    http::Name,
    maps,
    peer::Peer,
    route::{Buckets, Route},
    settings::{Answer, Control},
    verdict::Verdict,
};

use super::pins::{Pins, pinned_map};

/// Name and sizes of key and value, bytes, of the maps that outlive an agent.
pub const SIZES: [(&str, usize, usize); 8] = [
    (maps::ROUTES, size_of::<Name>(), size_of::<Route>()),
    (maps::PEERS, 4, size_of::<Peer>()),
    (maps::PEER_ADDRESSES, size_of::<Address>(), 4),
    (maps::CONTROL, 4, size_of::<Control>()),
    (maps::ANSWERS, 4, size_of::<Answer>()),
    (maps::BUCKETS, 4, size_of::<Buckets>()),
    (maps::FORWARDED, size_of::<FlowKey>(), size_of::<Flow>()),
    (maps::DECIDED, 4, size_of::<Set>()),
];

/// The maps of one node. Rates and limits in them are in the kernel's units: see `dfaas_common`.
pub struct Tables {
    routes: HashMap<MapData, Name, Route>,
    peers: HashMap<MapData, u32, Peer>,
    peer_addresses: HashMap<MapData, Address, u32>,
    control: Array<MapData, Control>,
    answers: Array<MapData, Answer>,
    buckets: Array<MapData, Buckets>,
    forwarded: HashMap<MapData, FlowKey, Flow>,
    decided: Array<MapData, Set>,
    functions: PerCpuArray<MapData, FunctionCounters>,
    pairs: PerCpuArray<MapData, PairCounters>,
    verdicts: PerCpuArray<MapData, VerdictCounter>,
}

impl Tables {
    /// Opens the maps by their pins. `None` if there are none.
    pub fn open(pins: &Pins) -> Result<Option<Self>> {
        if !pins.exists(maps::ROUTES) {
            return Ok(None);
        }
        Self::from_source(|name| {
            let data = pinned_map(pins, name)?.with_context(|| format!("no pin {}", pins.path(name).display()))?;
            Ok(Map::from_map_data(data)?)
        })
        .map(Some)
    }

    /// Takes the maps out of a loaded object (for one whose maps are not pinned).
    pub fn take(ebpf: &mut Ebpf) -> Result<Self> {
        Self::from_source(|name| ebpf.take_map(name).with_context(|| format!("no map {name}")))
    }

    fn from_source(mut map: impl FnMut(&str) -> Result<Map>) -> Result<Self> {
        Ok(Self {
            routes: map(maps::ROUTES)?.try_into()?,
            peers: map(maps::PEERS)?.try_into()?,
            peer_addresses: map(maps::PEER_ADDRESSES)?.try_into()?,
            control: map(maps::CONTROL)?.try_into()?,
            answers: map(maps::ANSWERS)?.try_into()?,
            buckets: map(maps::BUCKETS)?.try_into()?,
            forwarded: map(maps::FORWARDED)?.try_into()?,
            decided: map(maps::DECIDED)?.try_into()?,
            functions: map(maps::FUNCTIONS)?.try_into()?,
            pairs: map(maps::PAIRS)?.try_into()?,
            verdicts: map(maps::VERDICTS)?.try_into()?,
        })
    }

    pub fn set_route(&mut self, name: &Name, route: &Route) -> Result<()> {
        self.routes.insert(name, route, 0).context("cannot write a routing table")
    }

    pub fn remove_route(&mut self, name: &Name) -> Result<()> {
        absent_is_fine(self.routes.remove(name)).context("cannot remove a routing table")
    }

    pub fn routes(&self) -> Vec<(Name, Route)> {
        self.routes.iter().filter_map(Result::ok).collect()
    }

    pub fn set_peer(&mut self, number: u32, peer: &Peer) -> Result<()> {
        self.peers.insert(number, peer, 0).context("cannot write a peer")
    }

    pub fn remove_peer(&mut self, number: u32) -> Result<()> {
        absent_is_fine(self.peers.remove(&number)).context("cannot remove a peer")
    }

    pub fn peers(&self) -> Vec<(u32, Peer)> {
        self.peers.iter().filter_map(Result::ok).collect()
    }

    pub fn set_peer_address(&mut self, address: IpAddr, number: u32) -> Result<()> {
        self.peer_addresses.insert(Address::from(address), number, 0).context("cannot write a peer's address")
    }

    pub fn remove_peer_address(&mut self, address: IpAddr) -> Result<()> {
        absent_is_fine(self.peer_addresses.remove(&Address::from(address))).context("cannot remove a peer's address")
    }

    pub fn peer_addresses(&self) -> Vec<(IpAddr, u32)> {
        self.peer_addresses.iter().filter_map(Result::ok).map(|(address, number)| (address.into(), number)).collect()
    }

    pub fn control(&self) -> Result<Control> {
        self.control.get(&0, 0).context("cannot read the control values")
    }

    pub fn set_control(&mut self, control: &Control) -> Result<()> {
        self.control.set(0, control, 0).context("cannot write the control values")
    }

    pub fn answer(&self, index: u32) -> Result<Answer> {
        self.answers.get(&index, 0).context("cannot read an answer")
    }

    pub fn set_answer(&mut self, index: u32, answer: &Answer) -> Result<()> {
        self.answers.set(index, answer, 0).context("cannot write an answer")
    }

    pub fn buckets(&self, function: u32) -> Result<Buckets> {
        self.buckets.get(&function, 0).context("cannot read the buckets")
    }

    /// Forgets a function's bucket levels and turn, when its number goes to another function.
    pub fn reset_buckets(&mut self, function: u32) -> Result<()> {
        let empty = Buckets { turn: 0, local_tat_ns: 0, out_tat_ns: [0; 64], in_tat_ns: [0; 64] };
        self.buckets.set(function, empty, 0).context("cannot reset the buckets")
    }

    /// Sums over CPUs.
    pub fn function_counters(&self, function: u32) -> Result<FunctionCounters> {
        let values = self.functions.get(&function, 0).context("cannot read a function's counters")?;
        Ok(values.iter().fold(FunctionCounters::default(), |a, b| FunctionCounters {
            seen: a.seen + b.seen,
            local: a.local + b.local,
            to_proxy: a.to_proxy + b.to_proxy,
            forwarded: a.forwarded + b.forwarded,
            refused: a.refused + b.refused,
            unavailable: a.unavailable + b.unavailable,
            received: a.received + b.received,
            turned_away: a.turned_away + b.turned_away,
        }))
    }

    /// Sums over CPUs.
    pub fn pair_counters(&self, function: u32, peer: u32) -> Result<PairCounters> {
        let values = self.pairs.get(&pair_index(function, peer), 0).context("cannot read a pair's counters")?;
        Ok(values.iter().fold(PairCounters::default(), |a, b| PairCounters {
            forwarded: a.forwarded + b.forwarded,
            received: a.received + b.received,
            bounced: a.bounced + b.bounced,
            turned_away: a.turned_away + b.turned_away,
        }))
    }

    /// Packets by verdict, in the order of [`Verdict::ALL`].
    pub fn verdicts(&self) -> Result<Vec<(Verdict, u64)>> {
        let count = |v: &Verdict| {
            let values = self.verdicts.get(&v.number(), 0).context("cannot read a verdict's counter")?;
            Ok((*v, values.iter().map(|c| c.packets).sum()))
        };
        Verdict::ALL.iter().map(count).collect()
    }

    pub fn forwarded(&self) -> impl Iterator<Item = (FlowKey, Flow)> + '_ {
        self.forwarded.iter().filter_map(Result::ok)
    }

    pub fn decided(&self) -> impl Iterator<Item = (FlowKey, Flow)> + '_ {
        self.decided.iter().filter_map(Result::ok).flat_map(|set| {
            let filled = set.marks.into_iter().zip(set.ways).filter(|(mark, _)| *mark > BUSY);
            filled.map(|(_, Decision { key, flow, .. })| (key, flow))
        })
    }

    /// Peers that a live forwarded connection names, or a decision that was looked at since `since_ns` (monotonic clock).
    pub fn named_peers(&self, since_ns: u64) -> BTreeSet<u32> {
        let recent = self.decided().filter(|(_, flow)| flow.last_ns >= since_ns);
        let peer = |(_, flow): (FlowKey, Flow)| match Target::from(flow.target) {
            Target::Peer(number) => Some(number),
            _ => None,
        };
        self.forwarded().chain(recent).filter_map(peer).collect()
    }

    /// For tests: what XDP would have recorded.
    pub fn set_forwarded(&mut self, key: &FlowKey, flow: &Flow) -> Result<()> {
        self.forwarded.insert(key, flow, 0).context("cannot write a flow")
    }

    /// For tests: what XDP would have recorded.
    pub fn set_decided(&mut self, key: &FlowKey, flow: &Flow) -> Result<()> {
        let place = decided::place(self.control()?.seed, key);
        let mut set = self.decided.get(&place.set, 0).context("cannot read decisions")?;
        set.put(key, flow, place.mark).context("no way is free")?;
        self.decided.set(place.set, set, 0).context("cannot write a decision")
    }

    /// Forgets forwarded connections that have been silent for too long at `now_ns` (monotonic clock); returns how many, and
    /// how many are left.
    pub fn sweep(&mut self, now_ns: u64, patience: &Patience) -> Result<(usize, usize)> {
        let mut idle = Vec::new();
        let mut live = 0;
        for (key, flow) in self.forwarded() {
            if flow.is_over(now_ns, patience) {
                idle.push(key);
            } else {
                live += 1;
            }
        }
        for key in &idle {
            absent_is_fine(self.forwarded.remove(key)).context("cannot remove a flow")?;
        }
        Ok((idle.len(), live))
    }

    pub fn clear_flows(&mut self) -> Result<()> {
        for key in self.forwarded().map(|(key, _)| key).collect::<Vec<_>>() {
            absent_is_fine(self.forwarded.remove(&key))?;
        }
        for index in 0..SETS as u32 {
            if self.decided.get(&index, 0)?.marks != [EMPTY; WAYS] {
                self.decided.set(index, Set::default(), 0)?;
            }
        }
        Ok(())
    }
}

/// The ring buffer of events. They are rare: whoever is interested looks from time to time.
pub struct Events(RingBuf<MapData>);

impl Events {
    pub fn open(pins: &Pins) -> Result<Self> {
        let data = pinned_map(pins, maps::EVENTS)?.context("no pin for the events")?;
        Ok(Self(Map::from_map_data(data)?.try_into()?))
    }

    /// The oldest event that has not been taken.
    pub fn take(&mut self) -> Option<Event> {
        let item = self.0.next()?;
        let bytes: &[u8] = &item;
        read_event(bytes)
    }
}

fn read_event(bytes: &[u8]) -> Option<Event> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    Some(Event {
        time_ns: u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?),
        verdict: word(8)?,
        function: word(12)?,
        source: Address(bytes.get(16..32)?.try_into().ok()?),
    })
}

fn absent_is_fine(result: Result<(), MapError>) -> Result<(), MapError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(e)) if e.io_error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
