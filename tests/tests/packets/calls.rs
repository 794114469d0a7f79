//! First data packets, by their cookie and by what they call.

use std::net::SocketAddrV4;

use dfaas_common::{
    cookie::{self, Kind},
    flow::{CLIENT_FINISHED, Flow},
    options::Options,
    siphash::Key,
    verdict::Verdict::{self, EarlyLater, NoCookie, NotACall, PeerIsClient, UnknownFunction},
};
use dfaas_tests::packet::{ACK, FIN};

use super::{
    first::local,
    peers::{peer_service, peer_tunnel},
    row::{PROXY_FIRST, Row, row},
    world::{
        B, CALL, CLIENT, Connection, HERE, LINUX, NO_FUNCTION, Now, SECRET, SERVICE, TO_PROXY, WINDOWS, Where, name,
        route, segment, stamp, weighted,
    },
};

/// Left to HAProxy here.
fn to_proxy(row: Row, connection: Connection, verdict: Verdict) -> Row {
    let flow = Flow { function: NO_FUNCTION, ..connection.flow(TO_PROXY) };
    row.passes(verdict).hint(PROXY_FIRST).leaves(Where::Decided, connection, flow)
}

pub(crate) fn rows(now: Now) -> Vec<Row> {
    [cookies(now), calls(now), not_calls(now)].into_iter().flatten().collect()
}

fn cookies(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let by = |key, epoch: u32| Connection::of(CLIENT, c.isn, key, epoch);
    let switched = |row: Row, epoch: u32| {
        row.given(move |b| {
            let mut control = b.tables.control().unwrap();
            control.secret.switch_epoch = epoch;
            b.tables.set_control(&control).unwrap();
        })
    };
    let call = |name: &str, c: Connection| row(name, c.first(CALL));
    let (previous, next) = (by(SECRET.current, now.0.wrapping_sub(1)), by(SECRET.next, now.0));
    let stale = such_that(Kind::Foreign, SECRET.current, now, |from| {
        Connection::of(from, 7, SECRET.current, now.0.wrapping_sub(2))
    });
    let old = such_that(Kind::Foreign, SECRET.next, now, |from| Connection::of(from, 7, SECRET.current, now.0));
    let early = such_that(Kind::Foreign, SECRET.current, now, |from| Connection::of(from, 7, SECRET.next, now.0));
    let nothing =
        such_that(Kind::Foreign, SECRET.current, now, |from| Connection { from, isn: 7, cookie: u32::MAX, stamp: 0 });
    let behind = such_that(Kind::Later, SECRET.current, now, |from| Connection {
        isn: 507,
        ..Connection::of(from, 7, SECRET.current, now.0)
    });
    let other_facts = such_that(Kind::Later, SECRET.current, now, |from| {
        let c = Connection::of(from, 7, SECRET.current, now.0);
        Connection { cookie: c.cookie ^ 1, ..c }
    });
    let mut rows = vec![
        local(call("call with a cookie of this epoch", c), c),
        local(call("call with a cookie of the previous epoch", previous), previous),
        call("call with a cookie of the epoch before the previous", stale).passes(NoCookie),
        local(switched(call("call with a cookie of the next key after the switch", next), now.0), next),
        local(switched(call("call with a cookie of the old key from before the switch", previous), now.0), previous),
        switched(call("call with a cookie of the old key from after the switch", old), now.0).passes(NoCookie),
        call("call with a cookie of the next key before the switch", early).passes(NoCookie),
        call("segment that overtook the first", behind).drops(EarlyLater),
        call("segment behind the first of a connection that the stack has", behind)
            .given(move |b| b.connect(behind.from, SERVICE))
            .passes(NoCookie),
        call("call that acknowledges nothing of ours", nothing).passes(NoCookie),
        call("call with other facts in the cookie", other_facts).drops(EarlyLater),
    ];
    // Bits of the tag over the tuple, and of the tag over the ISN.
    for (bit, verdict) in [(20, NoCookie), (31, NoCookie), (8, EarlyLater), (19, EarlyLater)] {
        let forged = Connection { cookie: c.cookie ^ 1 << bit, ..c };
        let row = call(&format!("call with bit {bit} of the cookie flipped"), forged);
        rows.push(if verdict == NoCookie { row.passes(verdict) } else { row.drops(verdict) });
    }
    rows
}

/// A connection, by its client port, whose cookie is certainly of this kind: one tag in 4096 holds by chance.
fn such_that(kind: Kind, key: Key, now: Now, make: impl Fn(SocketAddrV4) -> Connection) -> Connection {
    let check = |c: &Connection| {
        let epoch = cookie::epoch_of(c.cookie, false, now.0);
        cookie::check(key, &segment(c.from), c.isn, c.cookie, false, epoch).0
    };
    (40_001..=u16::MAX).map(|port| make(SocketAddrV4::new(*CLIENT.ip(), port))).find(|c| check(c) == kind).unwrap()
}

fn calls(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let long = "x".repeat(63);
    let mut rows: Vec<_> = [
        ("GET", "GET /function/echo HTTP/1.1\r\n\r\n"),
        ("POST", CALL),
        ("a path behind the name", "GET /function/echo/deep/er HTTP/1.1\r\n\r\n"),
        ("a query behind the name", "GET /function/echo?a=/b HTTP/1.1\r\n\r\n"),
        ("HTTP/1.0", "GET /function/echo HTTP/1.0\r\n\r\n"),
        ("the request line cut behind the name", "POST /function/echo "),
    ]
    .map(|(text, request)| local(row(format!("call: {text}"), c.first(request)), c))
    .into();
    let longest = format!("GET /function/{long} HTTP/1.1\r\n\r\n");
    rows.push(local(
        row("call: a name of 63 bytes", c.first(longest))
            .given(move |b| b.tables.set_route(&name(&long), &route()).unwrap()),
        c,
    ));
    let s = c.stamping(now);
    rows.push(local(row("call: with a timestamp", s.first(CALL).options(&s.stamp())), s));
    let unstamped = s.first(CALL).options(&stamp(2));
    rows.push(row("call: with a timestamp that does not echo ours", unstamped).drops(EarlyLater));
    // A timestamp in each segment or in none (RFC 7323, 3.2). Where the other form has its parity, this one's must happen to be
    // the epoch's too, or nothing of it holds.
    let mut others = (40_001..).map(|port| SocketAddrV4::new(*CLIENT.ip(), port)).map(|from| Connection { from, ..c });
    let bare = others.find_map(|c| {
        let bare = c.offering(&WINDOWS, SECRET.current, now.0);
        (bare.cookie >> 5 & 1 == now.0 & 1).then_some(bare)
    });
    let bare = bare.unwrap();
    let late = bare.first(CALL).options(&bare.stamp());
    rows.push(row("call: with a timestamp that was not offered", late).drops(EarlyLater));
    // There lies the second bit of the window scale.
    let lost = c.offering(&Options { window_scale: (now.0 as u8 & 1) << 1, ..LINUX }, SECRET.current, now.0);
    rows.push(row("call: without the timestamp that was offered", lost.first(CALL)).drops(EarlyLater));
    rows.push(local(row("call: with forty bytes of TCP options", c.first(CALL).options(&[1; 40])), c));
    rows.push(local(row("call: a full packet", c.first(format!("{CALL}{}", "y".repeat(1300)))), c));
    rows.push(local(row("call: in a frame with padding", c.first(CALL).padded_to(300)), c));
    let finished = Flow { finished: CLIENT_FINISHED, ..c.flow(HERE) };
    rows.push(local(row("call: with FIN", c.first(CALL).flags(ACK | FIN)), c).leaves(Where::Decided, c, finished));
    rows.push(row("call: of a function without a table", c.first("GET /function/other HTTP/1.1\r\n\r\n")).leaves(
        Where::Decided,
        c,
        Flow { function: NO_FUNCTION, ..c.flow(HERE) },
    ));
    let last = rows.pop().map(|row| to_proxy(row, c, UnknownFunction));
    rows.extend(last);
    let longer = "GET /function/echoo HTTP/1.1\r\n\r\n";
    rows.push(to_proxy(row("call: of a function whose name only begins alike", c.first(longer)), c, UnknownFunction));
    for (text, ip) in [("service", *peer_service(B).ip()), ("tunnel", peer_tunnel(B))] {
        let peer = Connection::of(SocketAddrV4::new(ip, 40001), c.isn, SECRET.current, now.0);
        let row = row(format!("call: from a peer's {text} address"), peer.first(CALL)).route(weighted(&[(3, 1)]));
        rows.push(to_proxy(row, peer, PeerIsClient));
    }
    rows
}

/// What HAProxy must look at.
fn not_calls(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let long = format!("GET /function/{} HTTP/1.1\r\n\r\n", "x".repeat(64));
    let cases: [(&str, &[u8]); 18] = [
        ("another path", b"GET /healthz HTTP/1.1\r\n\r\n"),
        ("the start page", b"GET / HTTP/1.1\r\nHost: dfaas\r\n\r\n"),
        ("PUT", b"PUT /function/echo HTTP/1.1\r\n\r\n"),
        ("HEAD", b"HEAD /function/echo HTTP/1.1\r\n\r\n"),
        ("lower case", b"get /function/echo HTTP/1.1\r\n\r\n"),
        ("two spaces", b"GET  /function/echo HTTP/1.1\r\n\r\n"),
        ("no name", b"GET /function/ HTTP/1.1\r\n\r\n"),
        ("a name of 64 bytes", long.as_bytes()),
        ("a line end in the name", b"GET /function/echo\r\n\r\n"),
        ("a zero in the name", b"GET /function/ec\0o HTTP/1.1\r\n\r\n"),
        ("absolute form", b"GET http://x/function/echo HTTP/1.1\r\n\r\n"),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("cut before the name", b"POST /function/"),
        ("cut in the name", b"POST /function/ech"),
        ("sixteen bytes", b"GET /function/x "),
        ("one byte", b"G"),
        ("a full packet of nothing", &[0; 1400]),
    ];
    cases.map(|(text, bytes)| to_proxy(row(format!("no call: {text}"), c.first(bytes)), c, NotACall)).into()
}
