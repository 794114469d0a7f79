//! What the loader knows and the programs need, frozen into their read-only data: the verifier sees constants.

use crate::address::AddressV4;

/// Ports as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// The address and port that clients call.
    pub service_address: AddressV4,
    pub service_port: u16,
    /// Segment size we announce, bytes.
    pub mss: u16,
    /// This node's end of the tunnel.
    pub tunnel_address: AddressV4,
    /// Listener for connections placed here.
    pub placed_address: AddressV4,
    pub placed_port: u16,
    /// Listener for connections handed off by peers.
    pub handoff_port: u16,
    pub handoff_address: AddressV4,
    /// Range of the alias addresses.
    pub alias_network: AddressV4,
    pub alias_mask: AddressV4,
    /// Offsets in the running kernel's `tcp_timewait_sock`, from its BTF.
    pub time_wait_rcv_nxt: u32,
    pub time_wait_ts_recent: u32,
    pub time_wait_ts_offset: u32,
    /// A [`HintWay`].
    pub hint_way: u32,
}

/// How XDP tells TC what it has decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u32)]
pub enum HintWay {
    /// As metadata, else as source address.
    #[default]
    Auto = 0,
    Metadata = 1,
    /// In place of the frame's source address: for drivers without metadata.
    Source = 2,
}

impl Settings {
    pub const ZERO: Self = Self {
        service_address: AddressV4::UNSPECIFIED,
        service_port: 0,
        mss: 0,
        tunnel_address: AddressV4::UNSPECIFIED,
        placed_address: AddressV4::UNSPECIFIED,
        placed_port: 0,
        handoff_port: 0,
        handoff_address: AddressV4::UNSPECIFIED,
        alias_network: AddressV4::UNSPECIFIED,
        alias_mask: AddressV4::UNSPECIFIED,
        time_wait_rcv_nxt: 0,
        time_wait_ts_recent: 0,
        time_wait_ts_offset: 0,
        hint_way: HintWay::Auto as u32,
    };
}

/// What may change while the programs run. Map value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Control {
    pub secret: crate::cookie::Secret,
    /// Of [`crate::decided::place`] and of hints. Drawn by whoever filled the maps first.
    pub seed: u64,
    /// Link-layer addresses of this node, as [`crate::packet::Mac::word`]: frames to others are not steered. The first one
    /// is 0: all are.
    pub links: [u64; 2],
    /// Non-zero: no new calls from peers.
    pub draining: u32,
    /// [`crate::maps::LAYOUT_VERSION`] of whoever filled the maps first; 0: nobody yet.
    pub layout: u32,
}

impl Control {
    /// What source addresses that are hints have in them.
    #[inline(always)]
    pub fn hint_secret(&self) -> u16 {
        (self.seed >> 48) as u16
    }

    /// Is a frame to this link-layer address ours?
    #[inline(always)]
    pub fn is_ours(&self, link: u64) -> bool {
        self.links[0] == 0 || self.links[0] == link || self.links[1] == link
    }
}

/// Longest answer that the kernel gives by itself, head and body, bytes. The frame grows into the headroom, of which
/// there are 216 bytes at least: the shortest request must have room for the longest answer.
pub const MAX_ANSWER: usize = 192;
/// Index of the answer "429 Too Many Requests".
pub const ANSWER_BUSY: u32 = 0;
/// Index of the answer "503 Service Unavailable".
pub const ANSWER_UNAVAILABLE: u32 = 1;
pub const MAX_ANSWERS: usize = 4;

/// An HTTP answer, ready to be sent. Map value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Answer {
    pub len: u32,
    /// [`crate::checksum::sum_bytes`] of the text, folded to 32 bits.
    pub sum: u32,
    pub text: [u8; MAX_ANSWER],
}

impl Answer {
    /// `None` if the text is longer than [`MAX_ANSWER`].
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_ANSWER {
            return None;
        }
        let mut answer =
            Self { len: text.len() as u32, sum: crate::checksum::sum_bytes(text) as u32, text: [0; MAX_ANSWER] };
        answer.text[..text.len()].copy_from_slice(text);
        Some(answer)
    }
}
