//! The world that every row starts from: this node, two peers, one function, one client.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use dfaas_agent::kernel::tables::Tables;
use dfaas_common::{
    cookie::{self, Made, Secret},
    flow::{Flow, FlowKey, Listener, Target},
    http::Name,
    limit::{CLOSED, Limit, OPEN},
    options::Options,
    packet::{Mac, Segment},
    route::{LOCAL_FIRST, Route, SLOT_REFUSE, WEIGHTED, fill_slots},
    settings::{ANSWER_BUSY, ANSWER_UNAVAILABLE, Answer, Control},
    siphash::Key,
};
use dfaas_tests::packet::{ACK, Frame, PSH, SYN};
use nix::time::{ClockId, clock_gettime};

use super::peers::{alias, peer, peer_service, peer_tunnel};

pub(crate) const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 1, 0, 1), 80);
pub(crate) const TUNNEL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// To this node: to the listener for calls that the kernel has admitted, to HAProxy's own.
pub(crate) const HERE: Target = Target::Local(Listener::Placed);
pub(crate) const TO_PROXY: Target = Target::Local(Listener::Proxy);
pub(crate) const PLACED: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10080);
pub(crate) const HANDOFF: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10081);
/// Not link-local, so that only the range itself can be the reason to refuse an address of it.
pub(crate) const ALIASES: (Ipv4Addr, u8) = (Ipv4Addr::new(100, 64, 0, 0), 18);
pub(crate) const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 40001);

pub(crate) const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub(crate) const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];

/// No function, in events and entries.
pub(crate) const NO_FUNCTION: u32 = dfaas_common::route::NO_FUNCTION;

/// Numbers of the peers.
pub(crate) const B: u32 = 2;
pub(crate) const C: u32 = 3;
pub(crate) const ALIAS_B: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);

/// The one function with a table, and its number.
pub(crate) const ECHO: &str = "echo";
pub(crate) const ECHO_NUMBER: u32 = 5;
pub(crate) const CALL: &str = "POST /function/echo HTTP/1.1\r\nHost: dfaas\r\nContent-Length: 0\r\n\r\n";

pub(crate) const BUSY: &str =
    "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
pub(crate) const UNAVAILABLE: &str =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Epochs in use between us and a peer.
pub(crate) const SEND_EPOCH: u32 = 41;
pub(crate) const RECEIVE_EPOCH: u32 = 17;
pub(crate) const PREVIOUS_EPOCH: u32 = 16;

pub(crate) const SECRET: Secret = Secret {
    current: Key(0x0123_4567_89ab_cdef, 0x1357_9bdf_0246_8ace),
    next: Key(0xfeed_face_cafe_beef, 0x0bad_c0de_dead_10cc),
    switch_epoch: u32::MAX / 2,
    reserved: 0,
};

pub(crate) const SEED: u64 = 0x7e57_0000_0000_5eed;
/// In source addresses that are hints: the seed's upper bits.
pub(crate) const HINT_SECRET: u16 = 0x7e57;

/// A link-layer address as the programs compare it.
pub(crate) const fn link(mac: [u8; 6]) -> u64 {
    Mac::new(mac).word()
}

/// Which flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Where {
    Forwarded,
    Decided,
}

/// The cookie's epoch when the rows were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Now(pub(crate) u32);

impl Now {
    pub(crate) fn read() -> Self {
        Self(cookie::epoch(monotonic_ns()))
    }
}

pub(crate) fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// A client's connection whose handshake is done.
#[derive(Clone, Copy)]
pub(crate) struct Connection {
    pub(crate) from: SocketAddrV4,
    pub(crate) isn: u32,
    /// Our initial sequence number.
    pub(crate) cookie: u32,
    /// The timestamp of our SYN-ACK.
    pub(crate) stamp: u32,
}

/// A timestamp option with this echo.
pub(crate) fn stamp(echo: u32) -> [u8; 12] {
    let mut option = [1, 1, 8, 10, 0xa1, 0xb2, 0xc3, 0xd4, 0, 0, 0, 0];
    option[8..].copy_from_slice(&echo.to_be_bytes());
    option
}

/// What a client of Linux offers, and one of Windows.
pub(crate) const LINUX: Options = Options { window_scale: 7, has_timestamp: true, ..WINDOWS };
pub(crate) const WINDOWS: Options = Options { mss: 1460, window_scale: 8, sack: true, ..Options::NONE };

impl Connection {
    pub(crate) fn new(now: Now) -> Self {
        Self::of(CLIENT, 0x1000_0000, SECRET.current, now.0)
    }

    /// With a cookie made by this key in this epoch.
    pub(crate) fn of(from: SocketAddrV4, isn: u32, key: Key, epoch: u32) -> Self {
        Self { from, isn, cookie: 0, stamp: 0 }.offering(&WINDOWS, key, epoch)
    }

    /// The same client, had it offered this.
    pub(crate) fn offering(self, offered: &Options, key: Key, epoch: u32) -> Self {
        let agreed = cookie::agree(offered);
        let Made { cookie, stamp } =
            cookie::make(key, &segment(self.from), self.isn, &agreed, offered.has_timestamp, epoch);
        Self { cookie, stamp, ..self }
    }

    /// The same client, with timestamps.
    pub(crate) fn stamping(self, now: Now) -> Self {
        self.offering(&LINUX, SECRET.current, now.0)
    }

    /// A timestamp option that echoes the one of our SYN-ACK.
    pub(crate) fn stamp(&self) -> [u8; 12] {
        stamp(self.stamp)
    }

    /// A segment of the client; no data, nothing acknowledged but our SYN-ACK.
    pub(crate) fn ack(&self) -> Frame {
        Frame::tcp(self.from, SERVICE)
            .macs(OUR_MAC, CLIENT_MAC)
            .sequence(self.isn.wrapping_add(1))
            .acknowledgement(self.cookie.wrapping_add(1))
    }

    pub(crate) fn syn(&self) -> Frame {
        self.ack().flags(SYN).sequence(self.isn).acknowledgement(0)
    }

    /// The first data packet.
    pub(crate) fn first(&self, payload: impl AsRef<[u8]>) -> Frame {
        self.ack().flags(ACK | PSH).payload(payload)
    }

    /// A segment behind the first, when some of our data has been acknowledged.
    pub(crate) fn later(&self) -> Frame {
        self.ack().sequence(self.isn.wrapping_add(200)).acknowledgement(self.cookie.wrapping_add(300))
    }

    pub(crate) fn key(&self) -> FlowKey {
        FlowKey::v4((*self.from.ip()).into(), self.from.port().to_be())
    }

    /// As XDP records it.
    pub(crate) fn flow(&self, target: Target) -> Flow {
        Flow {
            mac: CLIENT_MAC,
            finished: 0,
            bounces: 0,
            target: target.into(),
            client_isn: self.isn,
            our_isn: self.cookie,
            newer_isn: self.isn,
            function: ECHO_NUMBER,
            ifindex: super::bench::LO,
            acknowledged: self.isn.wrapping_add(1),
            last_ns: 0,
        }
    }
}

/// What a cookie is made over.
pub(crate) fn segment(from: SocketAddrV4) -> Segment {
    Segment {
        source: (*from.ip()).into(),
        destination: (*SERVICE.ip()).into(),
        source_port: from.port().to_be(),
        destination_port: SERVICE.port().to_be(),
        ..Segment::NONE
    }
}

/// A table of the function: local without limit, no peers.
pub(crate) fn route() -> Route {
    Route {
        name: [0; 64],
        function: ECHO_NUMBER,
        version: 1,
        shape: LOCAL_FIRST,
        deployed: 1,
        local: Limit::OPEN,
        out_burst_ns: 0,
        in_burst_ns: 0,
        out_interval_ns: [OPEN; 64],
        in_interval_ns: [OPEN; 64],
        slots: [SLOT_REFUSE; 256],
    }
}

/// Everything by these weights.
pub(crate) fn weighted(targets: &[(u8, u32)]) -> Route {
    Route { shape: WEIGHTED, slots: fill_slots(targets), ..route() }
}

/// Nothing locally, the rest by these weights.
pub(crate) fn by_slots(targets: &[(u8, u32)]) -> Route {
    Route { local: Limit { interval_ns: CLOSED, burst_ns: 0 }, slots: fill_slots(targets), ..route() }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Writes this world into the maps, and nothing else stays in them.
pub(crate) fn fill(tables: &mut Tables) {
    for (name, _) in tables.routes() {
        tables.remove_route(&name).unwrap();
    }
    for (address, _) in tables.peer_addresses() {
        tables.remove_peer_address(address).unwrap();
    }
    tables.set_route(&name(ECHO), &route()).unwrap();
    tables.reset_buckets(ECHO_NUMBER).unwrap();
    for number in [B, C] {
        tables.set_peer(number, &peer(number)).unwrap();
        for address in [peer_tunnel(number), *peer_service(number).ip(), alias(number)] {
            tables.set_peer_address(IpAddr::V4(address), number).unwrap();
        }
    }
    tables
        .set_control(&Control { secret: SECRET, seed: SEED, links: [link(OUR_MAC), 0], draining: 0, layout: 0 })
        .unwrap();
    tables.set_answer(ANSWER_BUSY, &Answer::new(BUSY.as_bytes()).unwrap()).unwrap();
    tables.set_answer(ANSWER_UNAVAILABLE, &Answer::new(UNAVAILABLE.as_bytes()).unwrap()).unwrap();
}
