//! XDP and TC together, up to real sockets: packets over a veth pair whose near end has the programs. Each step says
//! which verdicts both programs count. (Live frames of `BPF_PROG_TEST_RUN` reach the stack without the hint.)

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::mpsc::sync_channel,
    thread::{self, sleep},
    time::{Duration, Instant},
};

use dfaas_common::{
    options::Options,
    settings::HintWay,
    tunnel::{FIRST, LATER},
    verdict::Verdict::{
        self, EarlyToLocal, FirstChanged, FirstRepeated, FirstToLocal, HandoffAccepted, LaterFromPeer, LaterToLocal,
        LaterWithSocket, LaterWithoutSocket, NotSteered, OldSocketReplaced, PlaceFailed, PlaceWithoutListener, Placed,
        PlacedAlready, ReturnSent, SentRound, SynAnswered, TunnelReplayed,
    },
};
use dfaas_tests::packet::{ACK, FIN, Frame, INNER_AT, IP_AT, PSH, RST};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto, socket};

use super::{
    bench::{Bench, in_namespace, ip},
    handoff,
    peers::{from_peer, from_peer_renewed, peer_mac, peer_tunnel},
    world::{ALIAS_B, B, CALL, CLIENT_MAC, Connection, LINUX, Now, OUR_MAC, SECRET, SERVICE, TUNNEL, WINDOWS},
};

const DEVICE: &str = "live0";
/// Offset of the TCP checksum in a frame.
const TCP_CHECKSUM_AT: usize = 50;
/// Not an address of this host, unlike the client of the tables.
const CLIENT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
/// A loaded machine may be slow; what does not come in this time does not come.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(way: HintWay) {
    in_namespace(|| {
        let mut live = Live::new(way);
        for (name, scenario) in [
            ("placed here", placed_here as fn(&mut Live)),
            ("another call in place of one that was judged", smuggled),
            ("placed whatever was offered", placed_whatever_was_offered),
            ("a tuple in TIME_WAIT is used again", time_wait_is_replaced),
            ("a tuple in TIME_WAIT is used again with older numbers", older_numbers_are_served),
            ("the same at a peer", older_numbers_are_served_for_a_peer),
            ("a socket of a dead connection gives way", dead_socket_gives_way),
            ("handed off by a peer", handed_off),
            ("a recorded first packet", recorded),
            ("no socket for a later packet", overtaken),
            ("sysctls that refuse", refused_by_the_kernel),
        ] {
            println!("row: live, {way:?}: {name}");
            live.bench.reset();
            scenario(&mut live);
        }
    });
}

struct Live {
    bench: Bench,
    far: Far,
}

/// Sockets in the namespace of the far end.
struct Far {
    /// Takes whole IPv4 packets.
    raw: OwnedFd,
    /// Sees every frame.
    wire: OwnedFd,
}

fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|b| format!("{b:02x}")).join(":")
}

impl Far {
    /// Brings up the far end of the veth pair in a namespace of its own, which lives as long as the sockets.
    fn new() -> Self {
        let (tell, tid) = sync_channel(0);
        let (go, wait) = sync_channel(0);
        let thread = thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid()).unwrap();
            wait.recv().unwrap();
            ip(&format!("link set far0 address {}", mac(CLIENT_MAC)));
            ip("link set far0 up");
            ip("address add 198.18.0.1/32 dev far0");
            ip("route add 10.0.0.0/8 dev far0");
            for near in [*SERVICE.ip(), TUNNEL] {
                ip(&format!("neighbour add {near} lladdr {} dev far0 nud permanent", mac(OUR_MAC)));
            }
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let raw = socket(AddressFamily::Inet, SockType::Raw, flags, SockProtocol::Raw).unwrap();
            let wire = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
            Self { raw, wire }
        });
        ip(&format!("link set far0 netns {}", tid.recv().unwrap()));
        go.send(()).unwrap();
        thread.join().unwrap()
    }
}

impl Live {
    fn new(way: HintWay) -> Self {
        ip(&format!("link add {DEVICE} address {} type veth peer name far0", mac(OUR_MAC)));
        ip(&format!("link set {DEVICE} up"));
        let far = Far::new();
        for (network, neighbour, lladdr) in
            [("203.0.113.0/24", CLIENT, CLIENT_MAC), ("10.9.0.0/24", peer_tunnel(B), peer_mac(B))]
        {
            ip(&format!("route add {network} dev {DEVICE}"));
            ip(&format!("neighbour add {neighbour} lladdr {} dev {DEVICE} nud permanent", mac(lladdr)));
        }
        let mut bench = Bench::new(way);
        bench.attach(DEVICE);
        Self { bench, far }
    }

    fn connection(port: u16, isn: u32) -> Connection {
        Connection::of(SocketAddrV4::new(CLIENT, port), isn, SECRET.current, Now::read().0)
    }

    /// Sends a frame; exactly these verdicts are counted, by both programs together.
    fn step(&mut self, what: &str, frame: impl Into<super::row::Input>, want: &[Verdict]) {
        let before = self.bench.tables.verdicts().unwrap();
        let frame: super::row::Input = frame.into();
        let packet = &frame.bytes()[IP_AT..];
        let octet = |at| packet[at];
        let to = SockaddrIn::new(octet(16), octet(17), octet(18), octet(19), 0);
        sendto(self.far.raw.as_raw_fd(), packet, &to, MsgFlags::empty()).unwrap();
        let mut want: Vec<_> = want.iter().map(|v| v.name()).collect();
        want.sort_unstable();
        let deadline = Instant::now() + PATIENCE;
        let got = loop {
            let after = self.bench.tables.verdicts().unwrap();
            let pairs = before.iter().zip(&after);
            let grown = pairs.flat_map(|(b, a)| vec![b.0.name(); (a.1 - b.1) as usize]);
            // What the stacks send by themselves does not count here.
            let own = [ReturnSent.name(), NotSteered.name()];
            let mut got: Vec<_> = grown.filter(|name| !own.contains(name)).collect();
            got.sort_unstable();
            if got == want || Instant::now() > deadline {
                break got;
            }
            sleep(Duration::from_millis(5));
        };
        assert_eq!(got, want, "verdicts of: {what}");
    }

    /// The next frame on the wire that holds this text.
    fn on_the_wire(&self, text: &str) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while Instant::now() < deadline {
            match recv(self.far.wire.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(len) if buffer[..len].windows(text.len()).any(|w| w == text.as_bytes()) => {
                    return buffer[..len].to_vec();
                }
                Ok(_) => {}
                Err(_) => sleep(Duration::from_millis(5)),
            }
        }
        panic!("nothing with {text:?} on the wire");
    }
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listener.accept() {
            Ok((stream, from)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return (stream, from);
            }
            Err(e) => assert!(e.kind() == ErrorKind::WouldBlock && Instant::now() < deadline, "nothing to accept: {e}"),
        }
        sleep(Duration::from_millis(5));
    }
}

fn nothing_to_accept(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    let result = listener.accept();
    assert!(result.is_err(), "a connection that must not be: {result:?}");
}

/// The connection is the client's, to this address, and begins with this request.
fn check((stream, from): &mut (TcpStream, SocketAddr), client: SocketAddrV4, to: SocketAddrV4, request: &str) {
    assert_eq!((*from, stream.local_addr().unwrap()), (client.into(), to.into()));
    let mut got = vec![0; request.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), request);
}

fn placed_here(live: &mut Live) {
    let c = Live::connection(41_001, 0x1000_0000);
    live.step("the first", c.first(CALL), &[FirstToLocal, Placed]);
    let mut server = accept(live.bench.placed());
    check(&mut server, c.from, SERVICE, CALL);
    live.step("the first again", c.first(CALL), &[FirstRepeated, PlacedAlready]);
    let more = c.ack().sequence(c.isn + 1 + CALL.len() as u32).flags(PSH | ACK).payload("more");
    live.step("data behind it", more.clone(), &[EarlyToLocal, LaterWithSocket]);
    check(&mut server, c.from, SERVICE, "more");
    nothing_to_accept(live.bench.placed());
    server.0.write_all(b"the answer").unwrap();
    let frame = live.on_the_wire("the answer");
    assert_eq!(frame[..12], [CLIENT_MAC, OUR_MAC].concat(), "link-layer addresses of the answer");
    assert_eq!(frame[38..42], (c.cookie + 1).to_be_bytes(), "our sequence number");
    assert_eq!(frame[42..46], more.end().to_be_bytes(), "what is acknowledged");
}

/// XDP judges a packet that the stack then drops for its checksum: what comes in its place as another call is HAProxy's to judge,
/// not the placed listener's, which asks for no limit.
fn smuggled(live: &mut Live) {
    let c = Live::connection(41_009, 0x1000_0000);
    let mut bait = c.first(CALL).bytes();
    bait[TCP_CHECKSUM_AT] ^= 0xff;
    live.step("a call whose checksum is wrong", bait, &[FirstToLocal, Placed]);
    let other = "POST /function/other HTTP/1.1\r\n\r\n";
    live.step("another call in its place", c.first(other), &[FirstChanged, Placed]);
    check(&mut accept(live.bench.service()), c.from, SERVICE, other);
    live.step("the first call after all", c.first(CALL), &[FirstRepeated, PlacedAlready]);
    nothing_to_accept(live.bench.placed());
}

/// No timestamps, no SACK, no scaling, small segments; and all of it.
fn placed_whatever_was_offered(live: &mut Live) {
    for (port, offered) in [
        (41_010, Options::NONE),
        (41_011, Options { has_timestamp: true, ..Options::NONE }),
        (41_012, Options { mss: 1220, ..WINDOWS }),
        (41_013, WINDOWS),
        (41_014, Options { window_scale: 14, ..LINUX }),
        (41_015, Options { window_scale: 0, ..LINUX }),
        (41_016, Options { mss: 1460, ..Options::NONE }),
        (41_017, Options { has_timestamp: false, ..LINUX }),
    ] {
        let c = Live::connection(port, 77).offering(&offered, SECRET.current, Now::read().0);
        let first = if offered.has_timestamp { c.first(CALL).options(&c.stamp()) } else { c.first(CALL) };
        live.step(&format!("{offered:?}"), first, &[FirstToLocal, Placed]);
        check(&mut accept(live.bench.placed()), c.from, SERVICE, CALL);
    }
}

fn time_wait_is_replaced(live: &mut Live) {
    let c = Live::connection(41_002, 0x1000_0000);
    live.step("the first", c.first(CALL), &[FirstToLocal, Placed]);
    let mut server = accept(live.bench.placed());
    check(&mut server, c.from, SERVICE, CALL);
    drop(server);
    // Our FIN is acknowledged and answered: the server's end waits.
    let end = c.isn + 1 + CALL.len() as u32;
    let fin = c.ack().sequence(end).acknowledgement(c.cookie + 2).flags(FIN | ACK);
    live.step("FIN", fin, &[LaterToLocal]);
    live.step("the old first again", c.first(CALL), &[FirstRepeated, PlacedAlready]);
    // Its decision forgotten, the sockets alone must tell.
    live.bench.tables.clear_flows().unwrap();
    live.step("the old first, forgotten by XDP", c.first(CALL), &[FirstToLocal, PlacedAlready]);
    let newer = Live::connection(41_002, 0x1800_0000);
    live.bench.tables.clear_flows().unwrap();
    live.step("the first of a newer connection", newer.first(CALL), &[FirstToLocal, OldSocketReplaced, Placed]);
    check(&mut accept(live.bench.placed()), newer.from, SERVICE, CALL);
    nothing_to_accept(live.bench.placed());
}

/// The client sends FIN and acknowledges ours: the server's end waits.
fn leave_in_time_wait(live: &mut Live, c: Connection, stamp: Option<[u8; 12]>) {
    let with = |frame: Frame| stamp.map_or(frame.clone(), |stamp| frame.options(&stamp));
    live.step("the first", with(c.first(CALL)), &[FirstToLocal, Placed]);
    let mut server = accept(live.bench.placed());
    check(&mut server, c.from, SERVICE, CALL);
    drop(server);
    let end = c.isn + 1 + CALL.len() as u32;
    let fin = c.ack().sequence(end).acknowledgement(c.cookie + 2).flags(FIN | ACK);
    live.step("FIN", with(fin), &[LaterToLocal]);
}

/// A timestamp option with the client's clock so many ticks back.
fn stamp_back(c: Connection, ticks: u32) -> [u8; 12] {
    let mut option = c.stamp();
    let value = u32::from_be_bytes([option[4], option[5], option[6], option[7]]) - ticks;
    option[4..8].copy_from_slice(&value.to_be_bytes());
    option
}

/// As of a device behind the same NAT, or one that was switched off: older numbers, older clock, or none.
fn older_numbers_are_served(live: &mut Live) {
    const BACK: u32 = 1_000_000;
    for (port, stamped) in [(41_020, true), (41_021, false)] {
        let connection = |isn| {
            let c = Live::connection(port, isn);
            if stamped { c.stamping(Now::read()) } else { c }
        };
        let old = connection(0x1000_0000);
        let option = |c, ticks| stamped.then(|| stamp_back(c, ticks));
        leave_in_time_wait(live, old, option(old, 0));
        let new = connection(0x1000_0000 - BACK);
        let first = |c: Connection, ticks| match option(c, ticks) {
            Some(option) => c.first(CALL).options(&option),
            None => c.first(CALL),
        };
        live.step("its SYN", new.syn(), &[SynAnswered]);
        live.step("its first", first(new, BACK), &[FirstToLocal, OldSocketReplaced, Placed]);
        let mut server = accept(live.bench.placed());
        check(&mut server, new.from, SERVICE, CALL);
        // Neither is a call to be made twice.
        live.step("its first again", first(new, BACK), &[FirstRepeated, PlacedAlready]);
        nothing_to_accept(live.bench.placed());
    }
}

/// The same at a peer, which knows only its sockets and what A says.
fn older_numbers_are_served_for_a_peer(live: &mut Live) {
    const BACK: u32 = 1_000_000;
    for (port, stamped) in [(41_022, true), (41_023, false)] {
        let alias = SocketAddrV4::new(ALIAS_B, 80);
        let client = SocketAddrV4::new(CLIENT, port);
        let with = |frame: Frame, timestamp: u32, echo: u32| {
            let mut option = super::world::stamp(echo);
            option[4..8].copy_from_slice(&timestamp.to_be_bytes());
            if stamped { frame.options(&option) } else { frame }
        };
        let plain = call(port);
        let old = with(plain.clone(), 0x2000_0000, 0x7777_7777);
        live.step("the first", from_peer(B, FIRST, &old), &[HandoffAccepted, Placed]);
        let mut server = accept(live.bench.handoff());
        check(&mut server, client, alias, CALL);
        drop(server);
        // Behind the SYN of ours come no data, but our FIN.
        let fin = plain.clone().sequence(plain.end()).acknowledgement(0x4000_0002).flags(FIN | ACK).payload("");
        let fin = with(fin, 0x2000_0001, 0x7777_7777);
        live.step("FIN", from_peer(B, LATER, &fin), &[LaterFromPeer, LaterWithSocket]);
        live.step("the old first again", from_peer(B, FIRST, &old), &[TunnelReplayed]);
        let new = plain.sequence(0x3000_0001 - BACK).acknowledgement(0x4abc_0001);
        let new = with(new, 0x2000_0000 - BACK, 0x1234_5678);
        let renewed = from_peer_renewed(B, &new);
        live.step("the first of another connection", renewed, &[HandoffAccepted, OldSocketReplaced, Placed]);
        check(&mut accept(live.bench.handoff()), client, alias, CALL);
        live.step("that again", from_peer(B, FIRST, &new), &[HandoffAccepted, PlacedAlready]);
        nothing_to_accept(live.bench.handoff());
    }
}

fn dead_socket_gives_way(live: &mut Live) {
    let c = Live::connection(41_003, 0x1000_0000);
    live.step("the first", c.first(CALL), &[FirstToLocal, Placed]);
    let mut old = accept(live.bench.placed());
    check(&mut old, c.from, SERVICE, CALL);
    let newer = Live::connection(41_003, 0x1800_0000);
    live.bench.tables.clear_flows().unwrap();
    live.step("the first of a newer connection", newer.first(CALL), &[FirstToLocal, OldSocketReplaced, Placed]);
    check(&mut accept(live.bench.placed()), newer.from, SERVICE, CALL);
    let end = old.0.read(&mut [0; 8]);
    assert_eq!(end.map_err(|e| e.kind()), Err(ErrorKind::ConnectionReset), "the old socket");
}

/// A call of a client of B, from elsewhere.
fn call(port: u16) -> Frame {
    handoff::call().from(SocketAddrV4::new(CLIENT, port))
}

fn handed_off(live: &mut Live) {
    let (client, alias) = (SocketAddrV4::new(CLIENT, 41_004), SocketAddrV4::new(ALIAS_B, 80));
    let first = call(41_004);
    live.step("the first", from_peer(B, FIRST, &first), &[HandoffAccepted, Placed]);
    let mut server = accept(live.bench.handoff());
    check(&mut server, client, alias, CALL);
    live.step("the first again", from_peer(B, FIRST, &first), &[HandoffAccepted, PlacedAlready]);
    let more = first.clone().sequence(first.end()).payload("more");
    live.step("data behind it", from_peer(B, LATER, &more), &[LaterFromPeer, LaterWithSocket]);
    check(&mut server, client, alias, "more");
    nothing_to_accept(live.bench.handoff());
    server.0.write_all(b"the answer").unwrap();
    let frame = live.on_the_wire("the answer");
    assert_eq!(frame[..12], [peer_mac(B), OUR_MAC].concat(), "link-layer addresses of the answer");
    assert_eq!(frame[30..34], peer_tunnel(B).octets(), "outer destination");
    let inner = [super::peers::peer_service(B).ip().octets(), CLIENT.octets()].concat();
    assert_eq!(frame[INNER_AT + 12..INNER_AT + 20], inner, "inner addresses");
}

/// Whoever has recorded a first packet cannot make its call run again when its socket is gone.
fn recorded(live: &mut Live) {
    let first = call(41_024);
    live.step("the first", from_peer(B, FIRST, &first), &[HandoffAccepted, Placed]);
    let mut server = accept(live.bench.handoff());
    check(&mut server, SocketAddrV4::new(CLIENT, 41_024), SocketAddrV4::new(ALIAS_B, 80), CALL);
    let reset = first.clone().sequence(first.end()).flags(RST | ACK).payload("");
    live.step("reset", from_peer(B, LATER, &reset), &[LaterFromPeer]);
    drop(server);
    live.step("the first again", from_peer(B, FIRST, &first), &[TunnelReplayed]);
    nothing_to_accept(live.bench.handoff());
    // Another connection of the same client port is another.
    let newer = first.sequence(0x3100_0000).acknowledgement(0x4abd_0001);
    live.step("the first of a newer one", from_peer(B, FIRST, &newer), &[HandoffAccepted, Placed]);
    drop(accept(live.bench.handoff()));
}

fn overtaken(live: &mut Live) {
    let first = call(41_005);
    let more = first.clone().sequence(first.end()).payload("more");
    live.step("data before the first", from_peer(B, LATER, &more), &[LaterFromPeer, SentRound, LaterWithoutSocket]);
    live.step(
        "bare ACK before the first",
        from_peer(B, LATER, &first.clone().flags(ACK).payload("")),
        &[LaterFromPeer, SentRound, LaterWithoutSocket],
    );
    live.step("the first", from_peer(B, FIRST, &first), &[HandoffAccepted, Placed]);
    check(&mut accept(live.bench.handoff()), SocketAddrV4::new(CLIENT, 41_005), SocketAddrV4::new(ALIAS_B, 80), CALL);
}

/// A placing that fails leaves no socket, and is told.
fn refused_by_the_kernel(live: &mut Live) {
    const SYSCTL: &str = "/proc/sys/net/ipv4/tcp_timestamps";
    let c = Live::connection(41_006, 0x1000_0000).stamping(Now::read());
    let stamped = c.first(CALL).options(&c.stamp());
    std::fs::write(SYSCTL, "0").unwrap();
    live.step("a timestamp where the host allows none", stamped.clone(), &[FirstToLocal, PlaceFailed]);
    std::fs::write(SYSCTL, "1").unwrap();
    live.step("the same when it does", stamped, &[FirstRepeated, Placed]);
    check(&mut accept(live.bench.placed()), c.from, SERVICE, CALL);
    let d = Live::connection(41_007, 0x1000_0000);
    live.step("the first", d.first(CALL), &[FirstToLocal, Placed]);
    drop(accept(live.bench.placed()));
    live.bench.stop_placed();
    let e = Live::connection(41_008, 0x1000_0000);
    live.bench.tables.set_decided(&e.key(), &e.flow(super::world::HERE)).unwrap();
    live.step("decided, then the listener went", e.first(CALL), &[FirstRepeated, PlaceWithoutListener]);
}
