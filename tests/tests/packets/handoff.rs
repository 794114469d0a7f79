//! Connections that a peer hands to us: taken, or sent back as they came.

use dfaas_common::{
    counters::{FunctionCounters, PairCounters},
    limit::{CLOSED, Limit},
    route::Route,
    tunnel::{BOUNCE, FIRST, LATER},
    verdict::Verdict::{
        self, HandoffAccepted, LaterFromPeer, TurnedAwayBusy, TurnedAwayDraining, TurnedAwayFunction, TurnedAwayLimit,
        TurnedAwayNoListener,
    },
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST, Tunnel};

use super::{
    bench::Bench,
    first::{QUICK, idle},
    peers::{from_peer, from_peer_renewed, peer, peer_mac, peer_service, peer_tunnel, sealed},
    row::{Row, peer_first, peer_later, row},
    world::{ALIAS_B, B, CALL, CLIENT, Now, OUR_MAC, SEND_EPOCH, TUNNEL, route},
};

const RECEIVED_ONE: FunctionCounters = FunctionCounters {
    seen: 0,
    local: 0,
    to_proxy: 0,
    forwarded: 0,
    refused: 0,
    unavailable: 0,
    received: 1,
    turned_away: 0,
};
const TURNED_AWAY_ONE: FunctionCounters = FunctionCounters { received: 0, turned_away: 1, ..RECEIVED_ONE };
const FROM_PEER: PairCounters = PairCounters { forwarded: 0, received: 1, bounced: 0, turned_away: 0 };
const TURNED_AWAY_PEER: PairCounters = PairCounters { received: 0, turned_away: 1, ..FROM_PEER };

/// A call of a client of B.
pub(crate) fn call() -> Frame {
    Frame::tcp(CLIENT, peer_service(B))
        .flags(ACK | PSH)
        .sequence(0x3000_0001)
        .acknowledgement(0x4000_0001)
        .payload(CALL)
}

/// A later segment of the same connection.
pub(crate) fn later() -> Frame {
    call().flags(ACK).sequence(0x3000_0100).acknowledgement(0x4000_0100).payload("x")
}

/// As the stack gets it: without the tunnel.
pub(crate) fn taken(inner: &Frame) -> Frame {
    inner.clone().macs(OUR_MAC, peer_mac(B))
}

/// The call of [`call`] is taken.
pub(crate) fn handed(row: Row) -> Row {
    row.passes_as(HandoffAccepted, &taken(&call())).hint(peer_first(B)).counts(RECEIVED_ONE).pair(B, FROM_PEER)
}

/// As it came, marked and sealed anew.
fn sent_back(inner: &Frame) -> Vec<u8> {
    let packet = inner.packet();
    let seal = &peer(B).send;
    let tunnel = Tunnel {
        destination_mac: peer_mac(B),
        source_mac: OUR_MAC,
        from: TUNNEL,
        to: peer_tunnel(B),
        source_port: 0xd00d,
        kind: BOUNCE,
        marks: 0,
        epoch: SEND_EPOCH as u16,
        tag: sealed(seal, BOUNCE, &packet),
    };
    tunnel.carry(&packet, &[])
}

pub(crate) fn rows(_: Now) -> Vec<Row> {
    [accepted(), turned_away(), limits(), laters()].into_iter().flatten().collect()
}

fn case(name: &str) -> Row {
    row(name, from_peer(B, FIRST, &call()))
}

fn accepted() -> Vec<Row> {
    let with = |name: &str, inner: &Frame| {
        handed(row(name, from_peer(B, FIRST, inner))).passes_as(HandoffAccepted, &taken(inner))
    };
    let again = |name: &str| case(name).given(|b| b.connect(CLIENT, std::net::SocketAddrV4::new(ALIAS_B, 80)));
    vec![
        handed(case("handed: a call")),
        with("handed: a GET", &call().payload("GET /function/echo HTTP/1.1\r\n\r\n")),
        with("handed: with forty bytes of TCP options", &call().options(&[1; 40])),
        with("handed: a full packet", &call().payload(format!("{CALL}{}", "y".repeat(1300)))),
        with("handed: with FIN", &call().flags(FIN | PSH | ACK)),
        handed(row("handed: of a port that had another connection", from_peer_renewed(B, &call())))
            .hint(peer_first(B).renewing(true)),
        handed(case("handed: by LOCAL_FIRST with slots elsewhere"))
            .route(Route { slots: super::world::weighted(&[(3, 1)]).slots, ..route() }),
        handed(case("handed: no listener for own clients, which does not matter")).without_placed_listener(),
        // A repetition takes no token and is not counted.
        again("handed again: its socket exists").passes_as(HandoffAccepted, &taken(&call())).hint(peer_first(B)),
        again("handed again: over all limits, but its socket exists")
            .given(closed)
            .passes_as(HandoffAccepted, &taken(&call()))
            .hint(peer_first(B)),
        again("handed again: draining, but its socket exists")
            .given(drain)
            .passes_as(HandoffAccepted, &taken(&call()))
            .hint(peer_first(B)),
    ]
}

fn drain(b: &mut Bench) {
    let mut control = b.tables.control().unwrap();
    control.draining = 1;
    b.tables.set_control(&control).unwrap();
}

fn closed(b: &mut Bench) {
    let mut route = Route { local: Limit::CLOSED, ..route() };
    route.in_interval_ns[B as usize] = CLOSED;
    b.tables.set_route(&super::world::name(super::world::ECHO), &route).unwrap();
}

fn turned_away() -> Vec<Row> {
    let with = |name: &str, inner: Frame, verdict: Verdict| {
        row(name, from_peer(B, FIRST, &inner)).sends(verdict, sent_back(&inner))
    };
    let not_here = Route { deployed: 0, ..route() };
    vec![
        with("sent back: no listener", call(), TurnedAwayNoListener).without_handoff_listener(),
        with("sent back: no listener and no route", call().payload("x"), TurnedAwayNoListener)
            .without_handoff_listener(),
        with("sent back: draining", call(), TurnedAwayDraining).given(drain),
        with("sent back: not deployed", call(), TurnedAwayFunction).route(not_here),
        with("sent back: unknown function", call().payload("GET /function/other HTTP/1.1\r\n\r\n"), TurnedAwayFunction),
        with("sent back: no call", call().payload("GET / HTTP/1.1\r\nHost: dfaas\r\n\r\n"), TurnedAwayFunction),
        with("sent back: a request line cut short", call().payload("POST /function/ec"), TurnedAwayFunction),
        with("sent back: TLS", call().payload([22, 3, 1].repeat(20)), TurnedAwayFunction),
        with("sent back: FIRST without data", call().payload(""), TurnedAwayFunction),
        with("sent back: with TCP options", call().options(&[1; 40]), TurnedAwayNoListener).without_handoff_listener(),
        with("sent back: a full packet", call().payload([0x5a; 1400]), TurnedAwayFunction),
    ]
}

/// Limits of the peer, and of this node.
fn limits() -> Vec<Row> {
    let one_a_day = 86_400_000_000_000;
    let back = |name: &str, verdict: Verdict, route: Route| {
        case(name).route(route).sends(verdict, sent_back(&call())).counts(TURNED_AWAY_ONE).pair(B, TURNED_AWAY_PEER)
    };
    let grant = |interval_ns| {
        let mut route = route();
        route.in_interval_ns[B as usize] = interval_ns;
        route
    };
    let local = |interval_ns, burst_ns| Route { local: Limit { interval_ns, burst_ns }, ..route() };
    let other = call().from(std::net::SocketAddrV4::new(*CLIENT.ip(), 50_003));
    let before = |row: Row| {
        let frame = from_peer(B, FIRST, &other);
        row.given(move |b| {
            b.send(&frame);
        })
    };
    vec![
        back("limit: no grant", TurnedAwayLimit, grant(CLOSED)),
        handed(case("limit: the grant's first call")).route(grant(one_a_day)),
        before(back("limit: the grant is used up", TurnedAwayLimit, grant(one_a_day))),
        handed(
            before(
                before(case("limit: a tiny grant before leaves nothing").route(grant(one_a_day)))
                    .route(grant(QUICK.interval_ns)),
            )
            .given(idle),
        ),
        handed(
            before(
                before(case("limit: a tiny one of this node before leaves nothing").route(local(one_a_day, 0)))
                    .route(local(QUICK.interval_ns, 0)),
            )
            .given(idle),
        ),
        before(handed(case("limit: the grant's burst"))).route(Route { in_burst_ns: one_a_day, ..grant(one_a_day) }),
        back("limit: this node's is closed", TurnedAwayBusy, local(CLOSED, 0)),
        handed(case("limit: this node's first call")).route(local(one_a_day, 0)),
        before(back("limit: this node's is used up", TurnedAwayBusy, local(one_a_day, 0))),
        // Half of the burst is for own clients.
        before(handed(case("limit: half of this node's burst"))).route(local(one_a_day, 2 * one_a_day)),
        before(back("limit: more than half of this node's burst", TurnedAwayBusy, local(one_a_day, one_a_day))),
    ]
}

/// LATER is passed on, whatever it is: TC looks for its socket.
fn laters() -> Vec<Row> {
    let case = |name: &str, inner: Frame| {
        row(format!("later from B: {name}"), from_peer(B, LATER, &inner))
            .passes_as(LaterFromPeer, &taken(&inner))
            .hint(peer_later(B))
    };
    vec![
        case("data", later()),
        case("bare ACK", later().payload("")),
        case("FIN", later().flags(FIN | ACK)),
        case("reset", later().payload("").flags(RST)),
        case("a full packet", later().payload([0xa5; 1400])),
        case("draining", later()).given(drain),
        case("no listener", later()).without_handoff_listener(),
        case("the first itself", call()),
    ]
}
