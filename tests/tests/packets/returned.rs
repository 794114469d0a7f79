//! What comes back from peers: answers for clients, and connections they did not take.

use dfaas_common::{
    counters::{FunctionCounters, PairCounters},
    flow::{CLIENT_FINISHED, FINISHED, Flow, PEER_FINISHED, Target},
    limit::Limit,
    peer::DEAD,
    route::{Route, SLOT_LOCAL},
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE},
    tunnel::{BOUNCE, FIRST, LATER},
    verdict::Verdict::{BouncedBack, BouncedRefused, BouncedToLocal, BouncedToPeer, ReturnWithoutFlow, Returned},
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST, SYN};

use super::{
    peers::{from_peer, peer_mac, peer_tunnel, to_peer},
    refusal::answer,
    row::{LOCAL_FIRST, PROXY_FIRST, Row, row},
    world::{
        B, BUSY, C, CALL, CLIENT, CLIENT_MAC, Connection, HERE, NO_FUNCTION, Now, OUR_MAC, SERVICE, TO_PROXY,
        UNAVAILABLE, Where, by_slots, weighted,
    },
};

const BOUNCED: PairCounters = PairCounters { forwarded: 0, received: 0, bounced: 1, turned_away: 0 };
const FORWARDED: PairCounters = PairCounters { bounced: 0, forwarded: 1, ..BOUNCED };
const NOTHING: FunctionCounters = FunctionCounters {
    seen: 0,
    local: 0,
    to_proxy: 0,
    forwarded: 0,
    refused: 0,
    unavailable: 0,
    received: 0,
    turned_away: 0,
};

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [answers(now), astray(now), ends(now), bounces(now), bogus(now)].into_iter().flatten().collect()
}

/// A segment of B's HAProxy, as B's TC makes it.
fn reply(c: Connection) -> Frame {
    Frame::tcp(SERVICE, CLIENT)
        .sequence(c.cookie.wrapping_add(1))
        .acknowledgement(c.isn.wrapping_add(100))
        .flags(PSH | ACK)
        .payload("HTTP/1.1 200 OK\r\n\r\n")
}

fn answers(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let flow = c.flow(Target::Peer(B));
    let acknowledged = |flow| Flow { acknowledged: c.isn.wrapping_add(100), ..flow };
    let to_client = |frame: &Frame| frame.clone().macs(CLIENT_MAC, OUR_MAC);
    let case = |name: &str, frame: Frame| {
        row(format!("answer: {name}"), from_peer(B, LATER, &frame))
            .flow(Where::Forwarded, c, flow)
            .sends(Returned, to_client(&frame))
            .leaves(Where::Forwarded, c, acknowledged(flow))
            .touched()
    };
    let far = Flow { ifindex: 4711, ..flow };
    vec![
        case("data", reply(c)),
        case("bare ACK", reply(c).payload("")),
        case("a full packet", reply(c).payload([0x33; 1400])),
        case("with TCP options", reply(c).options(&[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2])),
        case("with TTL 1", reply(c).ttl(1)),
        case("from B, which is draining", reply(c)).peer(B, |p| p.state = dfaas_common::peer::DRAINING),
        case("from B, which was thought dead", reply(c)).peer(B, |p| p.state = DEAD),
        case("to a client on another interface", reply(c))
            .flow(Where::Forwarded, c, far)
            .redirects(Returned, to_client(&reply(c)))
            .leaves(Where::Forwarded, c, acknowledged(far)),
        case("on a connection that has ended", reply(c))
            .given(|b| b.tables.clear_flows().unwrap())
            .flow(Where::Decided, c, Flow { finished: FINISHED, ..flow })
            .leaves(Where::Decided, c, acknowledged(Flow { finished: FINISHED, ..flow })),
        case("with an acknowledgement that was overtaken", reply(c).acknowledgement(c.isn)).leaves(
            Where::Forwarded,
            c,
            flow,
        ),
        row("answer: sealed like a FIRST", from_peer(B, FIRST, &reply(c)))
            .flow(Where::Forwarded, c, flow)
            .sends(Returned, to_client(&reply(c)))
            .leaves(Where::Forwarded, c, acknowledged(flow)),
    ]
}

fn astray(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let case =
        |name: &str| row(format!("answer astray: {name}"), from_peer(B, LATER, &reply(c))).drops(ReturnWithoutFlow);
    vec![
        case("no such connection"),
        case("of a connection that another peer has").flow(Where::Forwarded, c, c.flow(Target::Peer(C))),
        case("of a connection of this node").flow(Where::Decided, c, c.flow(HERE)),
        case("of a connection that was refused").flow(Where::Decided, c, c.flow(Target::Refused(0))),
    ]
}

fn ends(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let with = |finished| Flow { finished, ..c.flow(Target::Peer(B)) };
    let (live, over) = (Where::Forwarded, Where::Decided);
    let case = |name: &str, before: (Where, u8), flags: u8, after: (Where, u8)| {
        let frame = reply(c).flags(flags);
        row(format!("answer ends: {name}"), from_peer(B, LATER, &frame))
            .flow(before.0, c, with(before.1))
            .sends(Returned, frame.macs(CLIENT_MAC, OUR_MAC))
            .leaves(after.0, c, Flow { acknowledged: c.isn.wrapping_add(100), ..with(after.1) })
    };
    vec![
        case("FIN of the peer", (live, 0), FIN | ACK, (live, PEER_FINISHED)),
        case("FIN of the peer behind the client's", (live, CLIENT_FINISHED), FIN | ACK, (over, FINISHED)),
        case("FIN of the peer again", (over, FINISHED), FIN | ACK, (over, FINISHED)),
        case("reset of the peer", (live, 0), RST | ACK, (over, FINISHED)),
        case("ACK behind the client's FIN", (live, CLIENT_FINISHED), ACK, (live, CLIENT_FINISHED)),
        case("SYN and ACK, which only a peer that is wrong would send", (live, 0), SYN | ACK, (live, 0)),
    ]
}

/// B sends a call back.
fn bounce(name: &str, c: Connection) -> Row {
    row(format!("bounce: {name}"), from_peer(B, BOUNCE, &c.first(CALL))).flow(
        Where::Forwarded,
        c,
        c.flow(Target::Peer(B)),
    )
}

/// The flow behind one more bounce.
fn once_more(flow: Flow) -> Flow {
    Flow { bounces: flow.bounces + 1, ..flow }
}

fn bounces(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    [bounces_to_a_peer(c), bounces_to_this_node(c), bounces_to_nobody(c)].into_iter().flatten().collect()
}

fn bounces_to_a_peer(c: Connection) -> Vec<Row> {
    let case = |name: &str, bounces: u8| {
        bounce(name, c)
            .flow(Where::Forwarded, c, Flow { bounces, ..c.flow(Target::Peer(B)) })
            .route(weighted(&[(2, 1), (3, 1)]))
            .sends(BouncedToPeer, to_peer(C, FIRST, &c.first(CALL).packet(), CLIENT, &[]))
            .pair(B, BOUNCED)
            .pair(C, FORWARDED)
            .leaves(Where::Forwarded, c, once_more(Flow { bounces, ..c.flow(Target::Peer(C)) }))
    };
    vec![case("to the next peer", 0), case("a second time", 1), case("a third time", 2)]
}

fn bounces_to_this_node(c: Connection) -> Vec<Row> {
    let alone = weighted(&[(SLOT_LOCAL, 1)]);
    let case = |name: &str, bounces: u8| {
        bounce(name, c)
            .flow(Where::Forwarded, c, Flow { bounces, ..c.flow(Target::Peer(B)) })
            .passes_as(BouncedToLocal, &c.first(CALL).macs(OUR_MAC, peer_mac(B)))
            .hint(LOCAL_FIRST)
            .counts(FunctionCounters { local: 1, ..NOTHING })
            .pair(B, BOUNCED)
            .leaves(Where::Decided, c, once_more(Flow { bounces, ..c.flow(HERE) }))
    };
    vec![
        case("to this node by its limit", 0),
        case("to this node by its slot", 0).route(alone),
        case("to this node, which was too often for a peer", 3).route(alone),
        bounce("of a function whose table is gone", c)
            .given(|b| b.tables.remove_route(&super::world::name(super::world::ECHO)).unwrap())
            .passes_as(BouncedToLocal, &c.first(CALL).macs(OUR_MAC, peer_mac(B)))
            .hint(PROXY_FIRST)
            .leaves(Where::Decided, c, once_more(c.flow(TO_PROXY))),
    ]
}

fn bounces_to_nobody(c: Connection) -> Vec<Row> {
    let both = weighted(&[(2, 1), (3, 1)]);
    let last = Route { local: Limit::CLOSED, ..weighted(&[(2, 1)]) };
    let case = |name: &str, bounces: u8, index: u32, text: &str, counts: FunctionCounters| {
        bounce(name, c)
            .flow(Where::Forwarded, c, Flow { bounces, ..c.flow(Target::Peer(B)) })
            .sends(BouncedRefused, answer(&c.first(CALL), c, text))
            .counts(counts)
            .pair(B, BOUNCED)
            .leaves(Where::Decided, c, once_more(Flow { bounces, ..c.flow(Target::Refused(index)) }))
    };
    let busy =
        |name: &str, bounces: u8| case(name, bounces, ANSWER_BUSY, BUSY, FunctionCounters { refused: 1, ..NOTHING });
    let none = FunctionCounters { unavailable: 1, ..NOTHING };
    let far = |flow: Flow| Flow { ifindex: 4711, ..flow };
    vec![
        busy("too often", 3).route(both),
        busy("nobody else", 0).route(last),
        busy("no weights", 0).route(by_slots(&[])),
        busy("the next peer is dead", 0).route(both).peer(C, |p| p.state = DEAD),
        case("no listener here and no peer", 0, ANSWER_UNAVAILABLE, UNAVAILABLE, none)
            .route(weighted(&[(SLOT_LOCAL, 1)]))
            .without_placed_listener(),
        busy("nobody else, the client on another interface", 0)
            .route(last)
            .flow(Where::Forwarded, c, far(c.flow(Target::Peer(B))))
            .redirects(BouncedRefused, answer(&c.first(CALL), c, BUSY))
            .leaves(Where::Decided, c, once_more(far(c.flow(Target::Refused(ANSWER_BUSY))))),
    ]
}

/// Sent back without a reason to: a replay, a mistake, an attack.
fn bogus(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let ends = |row: Row| row.drops(BouncedBack).event(NO_FUNCTION, peer_tunnel(B));
    let plain = |name: &str| ends(row(format!("bogus bounce: {name}"), from_peer(B, BOUNCE, &c.first(CALL))));
    let other = |name: &str, c2: Connection| {
        ends(row(format!("bogus bounce: {name}"), from_peer(B, BOUNCE, &c2.first(CALL)))).flow(
            Where::Forwarded,
            c,
            c.flow(Target::Peer(B)),
        )
    };
    vec![
        plain("no such connection"),
        plain("of a connection of this node").flow(Where::Decided, c, c.flow(HERE)),
        plain("of a connection that was refused").flow(Where::Decided, c, c.flow(Target::Refused(ANSWER_BUSY))),
        plain("of a connection that another peer has").flow(Where::Forwarded, c, c.flow(Target::Peer(C))),
        other("another ISN of the client", Connection { isn: c.isn + 1, ..c }),
        other("another ISN of ours", Connection { cookie: c.cookie ^ 1, ..c }),
        plain("the same again, when C has it")
            .flow(Where::Forwarded, c, c.flow(Target::Peer(B)))
            .route(weighted(&[(2, 1), (3, 1)]))
            .given(move |b| {
                b.send(&from_peer(B, BOUNCE, &c.first(CALL)));
            }),
        plain("the same again, when this node has it").flow(Where::Forwarded, c, c.flow(Target::Peer(B))).given(
            move |b| {
                b.send(&from_peer(B, BOUNCE, &c.first(CALL)));
            },
        ),
    ]
}
