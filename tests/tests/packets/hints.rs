//! How XDP tells TC what it has decided, on drivers that have no room for metadata; and frames from the network that look as
//! if XDP had said something. That all other rows with a hint hold both ways is the runner's business.

use dfaas_common::{
    counters::FunctionCounters,
    flow::Target,
    settings::{ANSWER_UNAVAILABLE, Control, HintWay},
    verdict::Verdict::{
        EarlyToLocal, FirstRepeated, FirstToLocal, FirstToProxy, FirstWithoutHint, HintForged, NotSteered, OtherLink,
        WithoutHint,
    },
};
use dfaas_tests::packet::Frame;

use super::{
    peers::from_peer,
    refusal::answer,
    row::{LOCAL_EARLY, LOCAL_FIRST, PROXY_FIRST, Row, peer_first, row},
    world::{
        B, CALL, CLIENT, Connection, ECHO_NUMBER, HERE, HINT_SECRET, NO_FUNCTION, Now, OUR_MAC, TO_PROXY, UNAVAILABLE,
        Where, by_slots, link,
    },
};

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [crowded(now), untold(now), forged(now), links(now)].into_iter().flatten().collect()
}

/// The other way is taken by itself.
fn crowded(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let local = |target| c.flow(target);
    let case = |name: &str, frame: Frame| row(format!("no room: {name}"), frame).without_metadata(HintWay::Auto);
    let known = |name: &str, frame: Frame, detail| {
        let flow = local(detail);
        case(name, frame).flow(Where::Decided, c, flow).leaves(Where::Decided, c, flow).touched()
    };
    vec![
        super::first::local(case("the first", c.first(CALL)), c).hint(LOCAL_FIRST),
        case("the first, for HAProxy", c.first(CALL))
            .route(by_slots(&[(dfaas_common::route::SLOT_PROXY, 1)]))
            .passes(FirstToProxy)
            .hint(PROXY_FIRST)
            .counts(FunctionCounters { local: 0, to_proxy: 1, ..super::first::LOCAL_ONE })
            .leaves(Where::Decided, c, local(TO_PROXY))
            .touched(),
        known("the first again", c.first(CALL), HERE).passes(FirstRepeated).hint(LOCAL_FIRST),
        known("the first again, for HAProxy", c.first(CALL), TO_PROXY).passes(FirstRepeated).hint(PROXY_FIRST),
        known("more before an answer", c.ack(), HERE).passes(EarlyToLocal).hint(LOCAL_EARLY),
    ]
}

/// Metadata alone was asked for: the client hears it at once, and nothing is lost without a count.
fn untold(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let case = |name: &str, frame: Frame| row(format!("untold: {name}"), frame).without_metadata(HintWay::Metadata);
    let known = |name: &str, frame: Frame| {
        let flow = c.flow(HERE);
        case(name, frame)
            .flow(Where::Decided, c, flow)
            .leaves(Where::Decided, c, flow)
            .touched()
            .drops(WithoutHint)
            .event(NO_FUNCTION, *CLIENT.ip())
    };
    // Longer than the answer: there is no room to grow.
    let first = c.first(format!("{CALL}{}", "z".repeat(300)));
    let refusal = answer(&first, c, UNAVAILABLE);
    vec![
        case("the first", first)
            .sends(FirstWithoutHint, refusal)
            .counts(FunctionCounters { local: 0, unavailable: 1, ..super::first::LOCAL_ONE })
            .leaves(Where::Decided, c, c.flow(Target::Refused(ANSWER_UNAVAILABLE)))
            .event(ECHO_NUMBER, *CLIENT.ip())
            .touched(),
        known("the first again", c.first(CALL)).event(ECHO_NUMBER, *CLIENT.ip()),
        known("more before an answer", c.ack()),
    ]
}

/// Only with the secret of this node.
fn forged(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let source = peer_first(B).source(HINT_SECRET);
    let case = |name: &str, frame: Frame| row(format!("forged: {name}"), frame.macs(OUR_MAC, source));
    let dropped = |row: Row| row.drops(HintForged).event(NO_FUNCTION, std::net::Ipv4Addr::UNSPECIFIED);
    let tunnelled = dfaas_tests::packet::patched(from_peer(B, dfaas_common::tunnel::FIRST, &c.first(CALL)), 6, &source);
    let mut other = c.flow(HERE);
    other.mac = peer_first(B).source(HINT_SECRET ^ 1);
    vec![
        dropped(case("a call", c.first(CALL))),
        dropped(case("a handshake", c.syn())),
        dropped(case("what is not steered", c.first(CALL).ethertype(0x0806))),
        dropped(row("forged: in the tunnel's frame", tunnelled)),
        row("forged: without the secret, so a source as any other", c.first(CALL).macs(OUR_MAC, other.mac))
            .way(HintWay::Auto)
            .passes(FirstToLocal)
            .hint(LOCAL_FIRST)
            .counts(super::first::LOCAL_ONE)
            .leaves(Where::Decided, c, other)
            .touched(),
    ]
}

/// A flooding switch shows us the frames of others.
fn links(now: Now) -> Vec<Row> {
    const ELSEWHERE: [u8; 6] = [2, 0, 0, 0, 0, 0x51];
    let c = Connection::new(now);
    let case = |name: &str, frame: Frame| row(format!("to another address: {name}"), frame.macs(ELSEWHERE, [2; 6]));
    let tunnelled = from_peer(B, dfaas_common::tunnel::FIRST, &c.first(CALL));
    let with = |links: [u64; 2]| {
        move |b: &mut super::bench::Bench| {
            let control = b.tables.control().unwrap();
            b.tables.set_control(&Control { links, ..control }).unwrap();
        }
    };
    let from_there = dfaas_common::flow::Flow { mac: [2; 6], ..c.flow(HERE) };
    let taken = |name: &str, links: [u64; 2]| {
        super::first::local(row(name, c.first(CALL).macs(ELSEWHERE, [2; 6])).given(with(links)), c).leaves(
            Where::Decided,
            c,
            from_there,
        )
    };
    vec![
        case("a handshake", c.syn()).passes(OtherLink),
        case("a call", c.first(CALL)).passes(OtherLink),
        row("to all: a call", c.first(CALL).macs([0xff; 6], [2; 6])).passes(OtherLink),
        case("what is not steered", c.first(CALL).ethertype(0x0806)).passes(NotSteered),
        row("to another address: a tunnel packet", dfaas_tests::packet::patched(tunnelled, 0, &ELSEWHERE))
            .passes(OtherLink),
        taken("to the address of the interface above", [link(OUR_MAC), link(ELSEWHERE)]),
        taken("to any address, while ours is not known", [0, 0]),
    ]
}
