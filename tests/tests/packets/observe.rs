//! The program of mode `observe`.

use dfaas_common::{
    counters::FunctionCounters,
    verdict::Verdict::{
        self, BadIpLength, Fragment, IpOptions, NotACall, NotSteered, Observed, UnknownFunction, VlanTagged,
    },
};
use dfaas_tests::packet::{ACK, FIN, Frame, PSH, RST};

use super::{
    bench::Through,
    first::LOCAL_ONE,
    handoff,
    peers::from_peer,
    row::{Row, row},
    world::{B, CALL, Connection, Now, TUNNEL},
};

const SEEN: FunctionCounters = FunctionCounters { local: 0, ..LOCAL_ONE };

pub(crate) fn rows(now: Now) -> Vec<Row> {
    let c = Connection::new(now);
    let passes = |name: &str, frame: Frame, verdict: Verdict| {
        let row = row(format!("observed: {name}"), frame).through(Through::Observe).passes(verdict);
        if verdict == Observed { row.counts(SEEN) } else { row }
    };
    let elsewhere = std::net::SocketAddrV4::new(TUNNEL, 80);
    vec![
        passes("a call", c.first(CALL), Observed),
        passes("a call on a connection kept alive", c.later().flags(PSH | ACK).payload(CALL), Observed),
        passes("a call with FIN", c.first(CALL).flags(FIN | ACK), Observed),
        passes("a call with a forged cookie, which is not looked at", c.first(CALL).acknowledgement(1), Observed),
        passes("a call with TCP options", c.first(CALL).options(&[1; 40]), Observed),
        passes("an unknown function", c.first("GET /function/other HTTP/1.1\r\n\r\n"), UnknownFunction),
        passes("another path", c.first("GET /healthz HTTP/1.1\r\n\r\n"), NotACall),
        passes("the middle of a body", c.later().payload([7; 300]), NotACall),
        passes("SYN", c.syn(), NotSteered),
        passes("bare ACK", c.ack(), NotSteered),
        passes("reset with data", c.first(CALL).flags(RST | ACK), NotSteered),
        passes("another address", c.first(CALL).to(elsewhere), NotSteered),
        passes("VLAN tag", c.first(CALL).tagged(0x8100), VlanTagged),
        passes("IPv4 options", c.first(CALL).ip_options(&[1; 4]), IpOptions),
        passes("fragment", c.first(CALL).fragment(0x2000), Fragment),
        passes("total length beyond the frame", c.first(CALL).total_len(1000), BadIpLength),
        row("observed: a short frame", c.first(CALL).bytes()[..53].to_vec())
            .through(Through::Observe)
            .passes(NotSteered),
        row("observed: a tunnel packet", from_peer(B, dfaas_common::tunnel::FIRST, &handoff::call()))
            .through(Through::Observe)
            .passes(NotSteered),
    ]
}
