//! A client port used again, and calls whose peer died before it answered.

use dfaas_common::{
    flow::{CLIENT_HEARD, FINISHED, Flow, Target},
    peer::DEAD,
    route::Route,
    settings::ANSWER_BUSY,
    tunnel::{FIRST, LATER},
    verdict::Verdict::{EarlyLater, FirstRefused, FirstRepeated, FirstToLocal, FirstToPeer, LaterToLocal, LaterToPeer},
};

use super::{
    first::{FORWARDED_ONE, LOCAL_ONE, TO_PEER},
    peers::{to_peer, to_peer_renewed},
    refusal::{REFUSED_ONE, answer},
    row::{LOCAL_FIRST, Row, row},
    world::{B, BUSY, C, CALL, CLIENT, Connection, ECHO_NUMBER, HERE, Now, SECRET, Where, by_slots, weighted},
};

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [newer(now), older(now), elsewhere(now)].into_iter().flatten().collect()
}

/// The same tuple, a later connection.
fn second(now: Now) -> Connection {
    Connection::of(CLIENT, 0x2000_0000, SECRET.current, now.0)
}

/// The first packet of a newer connection, whose SYN was seen, is decided like any other.
fn newer(now: Now) -> Vec<Row> {
    let (old, new) = (Connection::new(now), second(now));
    let seen = |flow: Flow| Flow { newer_isn: new.isn, ..flow };
    let case = |name: &str, place: Where, flow: Flow| {
        row(format!("newer connection: {name}"), new.first(CALL)).flow(place, old, seen(flow))
    };
    let to_local = |row: Row| {
        row.passes(FirstToLocal)
            .hint(LOCAL_FIRST.renewing(true))
            .counts(LOCAL_ONE)
            .leaves(Where::Decided, new, new.flow(HERE))
            .touched()
    };
    let to_b = |row: Row| {
        row.route(weighted(&[(2, 1)]))
            .sends(FirstToPeer, to_peer_renewed(B, &new.first(CALL).packet(), CLIENT))
            .counts(FORWARDED_ONE)
            .pair(B, TO_PEER)
            .leaves(Where::Forwarded, new, new.flow(Target::Peer(B)))
            .event(ECHO_NUMBER, *CLIENT.ip())
    };
    let refused = answer(&new.first(CALL), new, BUSY);
    vec![
        to_local(case("local, then local", Where::Decided, old.flow(HERE))),
        to_local(case("forwarded, then local", Where::Forwarded, old.flow(Target::Peer(B)))),
        to_local(case("ended, then local", Where::Decided, Flow { finished: FINISHED, ..old.flow(Target::Peer(B)) })),
        to_local(case("refused, then local", Where::Decided, old.flow(Target::Refused(ANSWER_BUSY)))),
        to_b(case("local, then forwarded", Where::Decided, old.flow(HERE))),
        to_b(case("forwarded, then forwarded", Where::Forwarded, old.flow(Target::Peer(C)))),
        to_b(case("ended, then forwarded", Where::Decided, Flow { finished: FINISHED, ..old.flow(Target::Peer(C)) })),
        case("forwarded, then refused", Where::Forwarded, old.flow(Target::Peer(B)))
            .route(by_slots(&[]))
            .sends(FirstRefused, refused)
            .counts(REFUSED_ONE)
            .leaves(Where::Decided, new, new.flow(Target::Refused(ANSWER_BUSY)))
            .event(ECHO_NUMBER, *CLIENT.ip()),
        to_local(
            row("newer connection: its SYN was answered just before", new.first(CALL))
                .flow(Where::Decided, old, old.flow(HERE))
                .after(&new.syn()),
        ),
    ]
}

/// What does not prove to be newer follows the old decision.
fn older(now: Now) -> Vec<Row> {
    let (old, new) = (Connection::new(now), second(now));
    let forged = Connection { cookie: new.cookie ^ 1 << 31, ..new };
    let local = old.flow(HERE);
    let forwarded = old.flow(Target::Peer(B));
    let seen = |flow: Flow| Flow { newer_isn: new.isn, ..flow };
    let heard = |flow: Flow| Flow { finished: CLIENT_HEARD, ..flow };
    let tunnelled = |frame: &dfaas_tests::packet::Frame| to_peer(B, LATER, &frame.packet(), CLIENT, &[]);
    let unseen = new.first(CALL);
    let with_forged = forged.first(CALL);
    let early = new.first("x").sequence(new.isn.wrapping_add(1401));
    let late = old.later().payload("x");
    vec![
        row("older connection: data while a newer SYN is out", late.clone())
            .flow(Where::Forwarded, old, seen(forwarded))
            .sends(LaterToPeer, tunnelled(&late))
            .leaves(Where::Forwarded, old, heard(seen(forwarded))),
        row("older connection: its first again while a newer SYN is out", old.first(CALL))
            .flow(Where::Decided, old, seen(local))
            .passes(FirstRepeated)
            .hint(LOCAL_FIRST),
        row("newer connection: its SYN was never seen", unseen.clone())
            .flow(Where::Forwarded, old, forwarded)
            .sends(LaterToPeer, tunnelled(&unseen))
            .leaves(Where::Forwarded, old, heard(forwarded)),
        row("newer connection: its SYN was never seen, local", unseen)
            .flow(Where::Decided, old, local)
            .passes(LaterToLocal),
        row("newer connection: a later packet overtook the first", early.clone())
            .flow(Where::Forwarded, old, seen(forwarded))
            .drops(EarlyLater),
        row("newer connection: a later packet overtook the first, local", early)
            .flow(Where::Decided, old, seen(local))
            .drops(EarlyLater),
        row("newer connection: a forged cookie", with_forged.clone())
            .flow(Where::Forwarded, old, seen(forwarded))
            .sends(LaterToPeer, tunnelled(&with_forged))
            .leaves(Where::Forwarded, old, heard(seen(forwarded))),
    ]
}

/// A call may be given away a second time only when its peer is dead.
fn elsewhere(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let old = c.flow(Target::Peer(B));
    let route = || Route { slots: weighted(&[(2, 1), (3, 1)]).slots, ..weighted(&[]) };
    let first = c.first(CALL);
    let case =
        |name: &str| row(format!("call again: {name}"), c.first(CALL)).flow(Where::Forwarded, c, old).route(route());
    let to_c = |row: Row| {
        row.sends(FirstToPeer, to_peer(C, FIRST, &first.packet(), CLIENT, &[]))
            .counts(FORWARDED_ONE)
            .pair(C, TO_PEER)
            .leaves(Where::Forwarded, c, c.flow(Target::Peer(C)))
            .event(ECHO_NUMBER, *CLIENT.ip())
    };
    vec![
        to_c(case("B is dead, C takes it").peer(B, |p| p.state = DEAD)),
        to_c(case("B is gone, C takes it").without_peer(B)),
        case("B is dead, this node takes it")
            .peer(B, |p| p.state = DEAD)
            .route(super::world::route())
            .passes(FirstToLocal)
            .hint(LOCAL_FIRST)
            .counts(LOCAL_ONE)
            .leaves(Where::Decided, c, c.flow(HERE)),
        case("B lives: to B again, not counted twice")
            .sends(LaterToPeer, to_peer(B, FIRST, &first.packet(), CLIENT, &[])),
        case("B has lapsed, but is not dead: to B again")
            .peer(B, |p| p.expires_ns = 1)
            .sends(LaterToPeer, to_peer(B, FIRST, &first.packet(), CLIENT, &[])),
    ]
}
