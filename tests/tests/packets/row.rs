//! One case: what is given, the packet, what must come of it.

use dfaas_common::{
    counters::{FunctionCounters, PairCounters},
    flow::{Flow, FlowKey},
    hint::{Hint, Kind},
    peer::Peer,
    route::Route,
    settings::HintWay,
    verdict::Verdict,
};
use dfaas_tests::packet::Frame;

use super::{
    bench::{Bench, Through},
    world::{self, Connection, Where},
};

pub(crate) const XDP_DROP: i32 = 1;
pub(crate) const XDP_PASS: i32 = 2;
pub(crate) const XDP_TX: i32 = 3;
pub(crate) const XDP_REDIRECT: i32 = 4;
/// Let the next TC program see the packet.
pub(crate) const TC_NEXT: i32 = -1;
pub(crate) const TC_SHOT: i32 = 2;
pub(crate) const TC_REDIRECT: i32 = 7;

pub(crate) const LOCAL_FIRST: Hint = Hint::new(Kind::LocalFirst, 0);
pub(crate) const PROXY_FIRST: Hint = Hint::new(Kind::ProxyFirst, 0);
pub(crate) const LOCAL_EARLY: Hint = Hint::new(Kind::LocalEarly, 0);

pub(crate) const fn peer_first(number: u32) -> Hint {
    Hint::new(Kind::PeerFirst, number)
}

pub(crate) const fn peer_later(number: u32) -> Hint {
    Hint::new(Kind::PeerLater, number)
}

/// The frame that must come out.
pub(crate) enum Out {
    Untouched,
    /// Whatever: the packet ends here.
    Ignored,
    Exactly(Vec<u8>),
}

type Step = Box<dyn Fn(&mut Bench)>;

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) given: Vec<Step>,
    pub(crate) through: Through,
    pub(crate) frame: Vec<u8>,
    pub(crate) verdict: Option<Verdict>,
    pub(crate) action: i32,
    pub(crate) out: Out,
    pub(crate) hint: Option<Hint>,
    pub(crate) counts: FunctionCounters,
    pub(crate) pairs: Vec<(u32, PairCounters)>,
    /// All flow entries afterwards; `None`: as before.
    pub(crate) flows: Option<Vec<(Where, FlowKey, Flow)>>,
    /// The time of the entry moves on.
    pub(crate) touched: bool,
    pub(crate) event: Option<(u32, std::net::Ipv4Addr)>,
    /// No headroom is left for poison.
    pub(crate) takes_all_room: bool,
    /// `None`: whatever way, so with metadata and, if there is a hint, in the source address.
    pub(crate) way: Option<HintWay>,
    /// The driver has no room for metadata.
    pub(crate) crowded: bool,
}

pub(crate) fn row(name: impl Into<String>, frame: impl Into<Input>) -> Row {
    Row {
        name: name.into(),
        given: Vec::new(),
        through: Through::Xdp,
        frame: frame.into().0,
        verdict: None,
        action: XDP_PASS,
        out: Out::Untouched,
        hint: None,
        counts: FunctionCounters::default(),
        pairs: Vec::new(),
        flows: None,
        touched: false,
        event: None,
        takes_all_room: false,
        way: None,
        crowded: false,
    }
}

/// A frame, built or as bytes.
pub(crate) struct Input(Vec<u8>);

impl Input {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Frame> for Input {
    fn from(frame: Frame) -> Self {
        Self(frame.bytes())
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Row {
    // What is given.

    pub(crate) fn given(mut self, step: impl Fn(&mut Bench) + 'static) -> Self {
        self.given.push(Box::new(step));
        self
    }

    #[allow(clippy::large_types_passed_by_value, reason = "kept by the row")]
    pub(crate) fn route(self, route: Route) -> Self {
        self.given(move |b| b.tables.set_route(&world::name(world::ECHO), &route).unwrap())
    }

    pub(crate) fn peer(self, number: u32, change: fn(&mut Peer)) -> Self {
        self.given(move |b| {
            let mut peer = super::peers::peer(number);
            change(&mut peer);
            b.tables.set_peer(number, &peer).unwrap();
        })
    }

    pub(crate) fn without_peer(self, number: u32) -> Self {
        self.given(move |b| b.tables.remove_peer(number).unwrap())
    }

    pub(crate) fn without_service_listener(self) -> Self {
        self.given(Bench::stop_service)
    }

    pub(crate) fn without_placed_listener(self) -> Self {
        self.given(Bench::stop_placed)
    }

    pub(crate) fn without_handoff_listener(self) -> Self {
        self.given(Bench::stop_handoff)
    }

    /// An entry of this connection.
    pub(crate) fn flow(self, place: Where, connection: Connection, flow: Flow) -> Self {
        self.given(move |b| match place {
            Where::Forwarded => b.tables.set_forwarded(&connection.key(), &flow).unwrap(),
            Where::Decided => b.tables.set_decided(&connection.key(), &flow).unwrap(),
        })
    }

    /// Packets that came before.
    pub(crate) fn after(self, frame: &Frame) -> Self {
        let frame = frame.bytes();
        self.given(move |b| {
            b.send(&frame);
        })
    }

    pub(crate) fn through(mut self, through: Through) -> Self {
        self.through = through;
        self
    }

    // What must come of it.

    fn ends(mut self, verdict: Verdict, action: i32, out: Out) -> Self {
        self.verdict = Some(verdict);
        self.action = action;
        self.out = out;
        self
    }

    pub(crate) fn passes(self, verdict: Verdict) -> Self {
        self.ends(verdict, XDP_PASS, Out::Untouched)
    }

    pub(crate) fn passes_as(self, verdict: Verdict, frame: &Frame) -> Self {
        let frame = frame.bytes();
        self.ends(verdict, XDP_PASS, Out::Exactly(frame))
    }

    pub(crate) fn drops(self, verdict: Verdict) -> Self {
        self.ends(verdict, XDP_DROP, Out::Ignored)
    }

    pub(crate) fn sends(self, verdict: Verdict, frame: impl Into<Input>) -> Self {
        self.ends(verdict, XDP_TX, Out::Exactly(frame.into().0))
    }

    /// Out by another interface.
    pub(crate) fn redirects(self, verdict: Verdict, frame: impl Into<Input>) -> Self {
        self.ends(verdict, XDP_REDIRECT, Out::Exactly(frame.into().0))
    }

    pub(crate) fn tc(self, verdict: Verdict, action: i32, out: Out) -> Self {
        self.ends(verdict, action, out)
    }

    /// TC has nothing to do with it.
    pub(crate) fn left_alone(mut self) -> Self {
        self.verdict = None;
        self.action = TC_NEXT;
        self
    }

    pub(crate) fn hint(mut self, hint: Hint) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn counts(mut self, counts: FunctionCounters) -> Self {
        self.counts = counts;
        self
    }

    pub(crate) fn pair(mut self, number: u32, counts: PairCounters) -> Self {
        self.pairs.push((number, counts));
        self
    }

    /// The one entry afterwards.
    pub(crate) fn leaves(mut self, place: Where, connection: Connection, flow: Flow) -> Self {
        self.flows = Some(vec![(place, connection.key(), flow)]);
        self
    }

    /// So many entries afterwards, whatever they are.
    pub(crate) fn leaves_many(mut self, count: usize) -> Self {
        self.flows = Some(vec![(Where::Forwarded, FlowKey::default(), Flow::default()); count]);
        self
    }

    pub(crate) fn touched(mut self) -> Self {
        self.touched = true;
        self
    }

    /// The frame grows by so much that the headroom cannot be poisoned: run with zeroes only.
    pub(crate) fn takes_all_room(mut self) -> Self {
        self.takes_all_room = true;
        self
    }

    pub(crate) fn way(mut self, way: HintWay) -> Self {
        self.way = Some(way);
        self
    }

    /// As on a driver that has no room for metadata.
    pub(crate) fn without_metadata(mut self, way: HintWay) -> Self {
        self.way = Some(way);
        self.crowded = true;
        self
    }

    /// Reported with this function and source.
    pub(crate) fn event(mut self, function: u32, source: std::net::Ipv4Addr) -> Self {
        self.event = Some((function, source));
        self
    }
}
