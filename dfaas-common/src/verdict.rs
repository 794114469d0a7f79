//! Every packet outcome: one number is the error, the reason and the index of its counter.
//!
//! Numbers are stable: dashboards and `bpftool` output rely on them. A retired one stays, marked unused.

/// What happens to the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Up to the stack, or to the next TC program.
    Pass,
    Drop,
    /// Out by the interface it came in by, or by another one.
    Transmit,
}

macro_rules! verdicts {
    ($($name:ident = $number:literal, $action:ident, $text:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Verdict {
            $(#[doc = $text] $name = $number,)*
        }

        impl Verdict {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
            pub const COUNT: usize = Self::ALL.len();

            #[inline(always)]
            pub const fn action(self) -> Action {
                match self {
                    $(Self::$name => Action::$action,)*
                }
            }

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// By number, from a map or an event.
            pub fn from_number(number: u32) -> Option<Self> {
                Self::ALL.get(number as usize).copied()
            }
        }
    };
}

verdicts! {
    // Not ours to steer.
    NotSteered = 0, Pass, "not TCP to the service address, nor the tunnel";
    VlanTagged = 1, Pass, "VLAN-tagged frame";
    IpOptions = 2, Pass, "IPv4 header with options";
    Fragment = 3, Pass, "IPv4 fragment";
    BadIpLength = 4, Pass, "IPv4 length fields make no sense";
    BadTcpOffset = 5, Pass, "TCP data offset makes no sense";
    // Handshake.
    SynAnswered = 6, Transmit, "SYN answered with a cookie";
    SynMalformed = 7, Drop, "SYN together with ACK, RST or FIN";
    NoAckFlag = 8, Drop, "segment without ACK, SYN or RST";
    HandshakeAck = 9, Drop, "bare ACK that ends the handshake";
    CloseWithoutData = 10, Pass, "handshake closed before any data; the stack resets it";
    NoCookie = 11, Pass, "segment that belongs to no handshake of ours";
    EarlyLater = 12, Drop, "later segment overtook the first one";
    // First data packet.
    FirstToLocal = 13, Pass, "first data packet, placed on this node";
    FirstToPeer = 14, Transmit, "first data packet, handed to a peer";
    FirstRefused = 15, Transmit, "first data packet, refused: everything is at its limit";
    FirstUnavailable = 16, Transmit, "first data packet, refused: no listener here and no peer";
    NotACall = 17, Pass, "first data packet that is no complete call of a function, given to HAProxy";
    UnknownFunction = 18, Pass, "first data packet for a function without a table, given to HAProxy";
    PeerIsClient = 19, Pass, "first data packet from a peer's own address, given to HAProxy";
    FlowTableFull = 20, Pass, "first data packet for a peer, given to HAProxy because the flow table is full";
    // Later packets of a decided connection.
    FirstRepeated = 21, Pass, "first data packet again, for this node";
    LaterToLocal = 22, Pass, "later packet, for this node";
    LaterToPeer = 23, Transmit, "later packet, to the peer";
    RefusalRepeated = 24, Transmit, "refusal sent again";
    RefusalAcked = 25, Transmit, "data behind a refusal acknowledged and thrown away";
    RefusalDone = 26, Drop, "acknowledgement or reset of a refusal";
    PeerLost = 27, Drop, "later packet for a peer that is gone";
    // Tunnel, at the peer that serves.
    HandoffAccepted = 28, Pass, "first packet from a peer, accepted";
    LaterFromPeer = 29, Pass, "later packet from a peer";
    TurnedAwayNoListener = 30, Transmit, "first packet from a peer sent back: no listener";
    TurnedAwayLimit = 31, Transmit, "first packet from a peer sent back: over the limit granted";
    TurnedAwayBusy = 32, Transmit, "first packet from a peer sent back: this node is at its own limit";
    TurnedAwayFunction = 33, Transmit, "first packet from a peer sent back: function not deployed";
    TurnedAwayDraining = 34, Transmit, "first packet from a peer sent back: draining";
    // Tunnel, at the node that forwarded.
    Returned = 35, Transmit, "answer of a peer, to the client";
    BouncedToPeer = 36, Transmit, "sent back by a peer, handed to the next one";
    BouncedToLocal = 37, Pass, "sent back by a peer, placed on this node";
    BouncedRefused = 38, Transmit, "sent back by a peer, refused";
    BouncedBack = 39, Drop, "sent back by a peer without a reason to: no such connection";
    ReturnWithoutFlow = 40, Drop, "answer of a peer for a connection that is not there";
    // Tunnel, checks.
    TunnelStranger = 41, Drop, "tunnel packet from an address that is no peer's";
    TunnelMalformed = 42, Drop, "tunnel packet whose headers make no sense";
    TunnelWrongEpoch = 43, Drop, "tunnel packet with a key epoch that is not in use";
    TunnelWrongTag = 44, Drop, "tunnel packet whose tag or token is wrong";
    TunnelWrongService = 45, Drop, "tunnel packet for another service address than its sender's";
    TunnelMartian = 46, Drop, "tunnel packet with an inner source that cannot be a client";
    // Failures.
    NoRoom = 47, Drop, "no room in front of or behind the packet";
    LoadFailed = 48, Drop, "packet shorter than its headers say";
    PeerUnknown = 49, Drop, "peer's entry is gone";
    // TC ingress.
    Placed = 50, Pass, "socket made on the local listener";
    PlaceFailed = 51, Pass, "the kernel refused to make the socket";
    PlacedAlready = 52, Pass, "first packet again, its socket exists";
    PlaceWithoutListener = 53, Pass, "no listener at placing time";
    OldSocketReplaced = 54, Drop, "old socket of the same tuple ended, packet sent round again";
    LaterWithoutSocket = 55, Drop, "later packet overtook the first one";
    LaterWithSocket = 56, Pass, "later packet, for its socket";
    // TC egress.
    ReturnSent = 57, Transmit, "answer sent back through the tunnel";
    ReturnFailed = 58, Drop, "answer could not be put into the tunnel";
    // Observation only.
    Observed = 59, Pass, "request line counted, packet passed";
    // First data packet, continued.
    FirstToProxy = 60, Pass, "first data packet, given to HAProxy to steer to a peer without a kernel path";
    // Later packets in the batch of the first one.
    EarlyToLocal = 61, Pass, "later packet, for this node; TC looks whether its socket is there yet";
    SentRound = 62, Drop, "later packet sent round again: those before it are in the same batch";
    // Hints from XDP to TC.
    HintForged = 63, Drop, "frame whose source address is a hint of ours, from the network";
    FirstWithoutHint = 64, Transmit, "first data packet, refused: XDP could not tell TC to make the socket here";
    WithoutHint = 65, Drop, "packet for this node that XDP could not tell TC about";
    // Not ours to steer, continued.
    OtherLink = 66, Pass, "frame to another link-layer address than this node's";
    // Later packets of a decided connection, continued.
    FirstChanged = 67, Pass, "first data packet again, but it calls something else: given to HAProxy";
    // Tunnel, checks, continued.
    TunnelReplayed = 68, Drop, "first packet from a peer, of a connection that has had its socket";
    // Handshake, continued.
    ProbeAnswered = 69, Transmit, "keep-alive probe before any request, acknowledged";
}

impl Verdict {
    #[inline(always)]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// All that counting and the programs' return need in one register: `[16]` is it worth an event, `[15:8]` action,
    /// `[7:0]` number.
    #[inline(always)]
    pub const fn code(self) -> u32 {
        (self.is_notable() as u32) << 16 | (self.action() as u32) << 8 | self.number()
    }

    /// Is it worth an event?
    #[inline(always)]
    pub const fn is_notable(self) -> bool {
        matches!(
            self,
            Self::FirstToPeer
                | Self::FirstRefused
                | Self::FirstUnavailable
                | Self::FlowTableFull
                | Self::BouncedBack
                | Self::TunnelStranger
                | Self::TunnelMalformed
                | Self::TunnelWrongEpoch
                | Self::TunnelWrongTag
                | Self::TunnelWrongService
                | Self::TunnelMartian
                | Self::PlaceFailed
                | Self::HintForged
                | Self::FirstWithoutHint
                | Self::WithoutHint
                | Self::FirstChanged
                | Self::TunnelReplayed
        )
    }
}

/// Size of the map of counters: room for verdicts to come without a new layout.
pub const MAX_VERDICTS: usize = 128;
const _: () = assert!(Verdict::COUNT <= MAX_VERDICTS && Verdict::COUNT < 256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_says_all_of_its_verdict() {
        for verdict in Verdict::ALL {
            let code = verdict.code();
            assert_eq!(code & 0xff, verdict.number());
            assert_eq!(code >> 8 & 0xff, verdict.action() as u32);
            assert_eq!(code >> 16, u32::from(verdict.is_notable()), "{verdict:?}");
        }
        assert!(Verdict::WithoutHint.is_notable() && !Verdict::OtherLink.is_notable(), "also above number 63");
    }

    #[test]
    fn the_table_of_the_documentation_has_them_all() {
        // Tests run in the package's folder.
        let text = std::fs::read_to_string("../docs/inspect.md").unwrap();
        for verdict in Verdict::ALL {
            let action = match verdict.action() {
                Action::Pass => "passed on",
                Action::Drop => "dropped",
                Action::Transmit => "sent",
            };
            let line = format!("| {} | `{}` | {action} | {} |", verdict.number(), verdict.name(), verdict.text());
            assert!(text.contains(&line), "docs/inspect.md lacks: {line}");
        }
    }

    #[test]
    fn numbers_are_dense_and_lead_back() {
        for (i, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(verdict.number() as usize, i);
            assert_eq!(Verdict::from_number(i as u32), Some(*verdict));
            assert!(!verdict.text().is_empty());
        }
        assert_eq!(Verdict::from_number(Verdict::COUNT as u32), None);
    }
}
