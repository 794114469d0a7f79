//! Any frames: made by a grammar of what clients and peers send, then bent. Whatever comes, the programs count one known verdict, do
//! what that verdict says, send nothing with a wrong checksum, and leave alone what they pass.
//!
//! The same frames at every run; `DFAAS_FRAMES` tells how many others are tried by hand.

use std::{collections::BTreeSet, net::SocketAddrV4};

use dfaas_common::{
    settings::HintWay,
    tunnel::{BOUNCE, FIRST, LATER},
    verdict::{Action, Verdict},
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST, SYN, verify};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom as _};

use super::{
    bench::{Bench, Ran, Through, in_namespace},
    peers::{alias, from_peer, peer_service, tunnel_from},
    row::{TC_NEXT, TC_REDIRECT, TC_SHOT, XDP_DROP, XDP_PASS, XDP_REDIRECT, XDP_TX},
    world::{ALIAS_B, B, C, CALL, CLIENT, Connection, ECHO, Now, SECRET, SERVICE, by_slots, name, route, weighted},
};

const FRAMES: usize = 6_000;
/// Fewer are frames that have become dull.
const LEAST_VERDICTS: usize = 30;
/// After so many the tables are as at the start again.
const EPISODE: usize = 200;
const CLIENTS: u16 = 6;
/// Ethernet and IPv4.
const SHORTEST: usize = 34;
const CALLS: [&str; 7] = [
    CALL,
    "GET /function/echo?x=1 HTTP/1.1\r\n\r\n",
    "GET /function/nobody-has-it HTTP/1.1\r\n\r\n",
    "POST /function/ech",
    "PUT /function/echo HTTP/1.1\r\n\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03 hello, a handshake of TLS",
    "",
];

pub(crate) fn run() {
    let many = std::env::var("DFAAS_FRAMES").ok().and_then(|count| count.parse().ok());
    in_namespace(|| {
        let mut seen = BTreeSet::new();
        let mut random = StdRng::seed_from_u64(many.map_or(7, |count: usize| count as u64));
        for way in [HintWay::Auto, HintWay::Source] {
            let mut bench = Bench::new(way);
            for number in 0..many.unwrap_or(FRAMES) {
                if number % EPISODE == 0 {
                    begin(&mut bench, number / EPISODE);
                }
                let made = frame(&mut random, Now::read());
                let frame = bent(&mut random, made);
                let shown = || format!("{way:?}, frame {number}: {frame:02x?}");
                let verdict =
                    through_xdp(&mut bench, &frame, way).unwrap_or_else(|wrong| panic!("{}\n{wrong}", shown()));
                seen.insert(verdict.name());
                through_tc(&mut bench, &frame).unwrap_or_else(|wrong| panic!("{}\n{wrong}", shown()));
            }
        }
        println!("{} verdicts: {seen:?}", seen.len());
        assert!(seen.len() >= LEAST_VERDICTS, "{} verdicts: {seen:?}", seen.len());
    });
}

/// Tables that send calls here, to peers, to HAProxy and to nobody, in turn.
fn begin(bench: &mut Bench, episode: usize) {
    bench.reset();
    let routes = [weighted(&[(2, 1), (3, 1)]), by_slots(&[]), route(), by_slots(&[(2, 1)])];
    bench.tables.set_route(&name(ECHO), &routes[episode % routes.len()]).unwrap();
}

/// What a client or a peer may send.
fn frame(random: &mut StdRng, now: Now) -> Vec<u8> {
    let from = SocketAddrV4::new(*CLIENT.ip(), CLIENT.port() + random.random_range(0..CLIENTS));
    let connection = Connection::of(from, 0x1000_0000, SECRET.current, now.0);
    let call = *CALLS.choose(random).unwrap();
    let flags = [ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK, FIN, 0].choose(random).copied().unwrap();
    let near = |random: &mut StdRng, number: u32| number.wrapping_add_signed(random.random_range(-70_000..70_000));
    let options: Vec<u8> = (0..random.random_range(0..10) * 4).map(|_| random.random_range(0..12)).collect();
    let segment = match random.random_range(0..6) {
        0 => connection.syn().options(&options),
        1 => connection.ack(),
        2 | 3 => connection.first(call),
        4 => connection.later().flags(flags).payload(call),
        _ => {
            let (sequence, acknowledgement) = (near(random, connection.isn), near(random, connection.cookie));
            connection
                .ack()
                .flags(flags)
                .sequence(sequence)
                .acknowledgement(acknowledgement)
                .options(&options)
                .payload(call)
        }
    };
    let peer = *[B, C].choose(random).unwrap();
    match random.random_range(0..10) {
        0 => from_peer(peer, FIRST, &segment.to(peer_service(peer))),
        1 => from_peer(peer, LATER, &segment),
        2 => from_peer(peer, BOUNCE, &connection.first(call)),
        3 => from_peer(peer, LATER, &reply(connection, flags, call)),
        4 => tunnel_from(peer, random.random_range(0..6), &segment.packet())
            .carry(&reply(connection, flags, call).packet(), b"more"),
        5 => reply(connection, flags, call).from(SocketAddrV4::new(ALIAS_B, SERVICE.port())).bytes(),
        6 => segment.to(SocketAddrV4::new(alias(peer), SERVICE.port())).bytes(),
        _ => segment.bytes(),
    }
}

/// What the serving side answers.
fn reply(connection: Connection, flags: u8, text: &str) -> Frame {
    Frame::tcp(SERVICE, connection.from)
        .sequence(connection.cookie.wrapping_add(1))
        .acknowledgement(connection.isn.wrapping_add(100))
        .flags(flags)
        .payload(text)
}

/// Half of them as they are; else some bytes are others, the end is missing, or more follows.
fn bent(random: &mut StdRng, mut frame: Vec<u8>) -> Vec<u8> {
    match random.random_range(0..8) {
        0..4 => {}
        4 => frame.truncate(random.random_range(14..=frame.len())),
        5 => frame.extend((0..random.random_range(1..40)).map(|_| random.random::<u8>())),
        _ => {
            for _ in 0..random.random_range(1..4) {
                // Mostly in the headers, where it matters.
                let at = random.random_range(0..frame.len().min(110));
                frame[at] =
                    if random.random() { random.random() } else { frame[at] ^ (1 << random.random_range(0..8)) };
            }
        }
    }
    frame
}

fn counted(bench: &Bench) -> Vec<(Verdict, u64)> {
    bench.tables.verdicts().unwrap()
}

/// The verdicts that were counted, one by one.
fn grown(before: &[(Verdict, u64)], after: &[(Verdict, u64)]) -> Vec<Verdict> {
    let pairs = before.iter().zip(after);
    pairs.flat_map(|(before, after)| std::iter::repeat_n(after.0, (after.1 - before.1) as usize)).collect()
}

fn through_xdp(bench: &mut Bench, frame: &[u8], way: HintWay) -> Result<Verdict, String> {
    use Verdict::{
        BouncedRefused, BouncedToLocal, FirstRefused, FirstUnavailable, HandoffAccepted, LaterFromPeer, ProbeAnswered,
        RefusalAcked, RefusalRepeated, SynAnswered,
    };
    let before = counted(bench);
    let ran = bench.run(Through::Xdp, frame, 0);
    let [verdict] = grown(&before, &counted(bench))[..] else {
        return Err(format!("counted {:?}, expected one verdict", grown(&before, &counted(bench))));
    };
    let expected: &[i32] = match verdict.action() {
        Action::Pass => &[XDP_PASS],
        Action::Drop => &[XDP_DROP],
        Action::Transmit => &[XDP_TX, XDP_REDIRECT],
    };
    if !expected.contains(&ran.action) {
        return Err(format!("{verdict:?} with action {}, expected {expected:?}", ran.action));
    }
    let made_here = matches!(
        verdict,
        SynAnswered | ProbeAnswered | FirstRefused | FirstUnavailable | RefusalRepeated | RefusalAcked | BouncedRefused
    );
    if verdict.action() == Action::Transmit && (made_here || verify(frame).is_ok()) {
        verify(&ran.frame).map_err(|wrong| format!("{verdict:?} sends {:02x?}: {wrong}", ran.frame))?;
    }
    let taken_off = matches!(verdict, HandoffAccepted | LaterFromPeer | BouncedToLocal);
    if verdict.action() == Action::Pass && !taken_off && !is_same(frame, &ran, way) {
        return Err(format!("{verdict:?} changes the frame to {:02x?}", ran.frame));
    }
    Ok(verdict)
}

/// But for the source address, which may hold a hint.
fn is_same(frame: &[u8], ran: &Ran, way: HintWay) -> bool {
    let without = |frame: &[u8]| [&frame[..6], &frame[12..]].concat();
    if way == HintWay::Source { without(frame) == without(&ran.frame) } else { frame == ran.frame }
}

/// Without what XDP tells, as a frame that came by another way.
fn through_tc(bench: &mut Bench, frame: &[u8]) -> Result<(), String> {
    // The kernel makes no packets of less for a test run.
    if frame.len() < SHORTEST {
        return Ok(());
    }
    for through in [Through::TcIn(0), Through::TcOut] {
        let before = counted(bench);
        let ran = bench.run(through, frame, 0);
        let verdicts = grown(&before, &counted(bench));
        if verdicts.len() > 1 || ![TC_NEXT, TC_SHOT, TC_REDIRECT].contains(&ran.action) {
            return Err(format!("TC: {verdicts:?} with action {}", ran.action));
        }
        if ran.action == TC_REDIRECT && verify(frame).is_ok() {
            verify(&ran.frame).map_err(|wrong| format!("TC: {verdicts:?} sends {:02x?}: {wrong}", ran.frame))?;
        }
    }
    Ok(())
}
