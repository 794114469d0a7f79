//! What XDP tells TC about a packet that it passes up: as metadata in front of the frame, or, where the driver has no room
//! for that, in place of the frame's source address. The network can write neither: the former is not on the wire, and
//! frames from it with the latter are dropped by XDP; what XDP has not seen does not know the secret part.

/// What the packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First packet of a client's connection that is placed here.
    LocalFirst = 1,
    /// First packet of a connection that a peer handed off.
    PeerFirst = 2,
    /// Later packet of such a connection.
    PeerLater = 3,
    /// First packet of a client's connection that HAProxy is to steer.
    ProxyFirst = 4,
    /// Later packet of a client's connection of which nothing has been acknowledged yet.
    LocalEarly = 5,
}

impl Kind {
    #[inline(always)]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::LocalFirst),
            2 => Some(Self::PeerFirst),
            3 => Some(Self::PeerLater),
            4 => Some(Self::ProxyFirst),
            5 => Some(Self::LocalEarly),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    pub kind: Kind,
    /// Number of the peer that the packet came from; 0 if it came from a client.
    pub peer: u8,
    /// Of a first packet: its client port is known to have had another connection before.
    pub renewed: bool,
}

const _: () = assert!(crate::peer::MAX_PEERS <= 256);

/// First bytes of a source address that is a hint: locally administered, unicast.
const MARK: [u8; 2] = [0x02, 0x44];

impl Hint {
    /// In the upper half of the metadata.
    const MAGIC: u32 = 0x4446_6161;
    /// Bytes of metadata.
    pub const LEN: usize = size_of::<u64>();

    #[inline(always)]
    pub const fn new(kind: Kind, peer: u32) -> Self {
        Self { kind, peer: peer as u8, renewed: false }
    }

    #[inline(always)]
    #[must_use]
    pub const fn renewing(self, renewed: bool) -> Self {
        Self { renewed, ..self }
    }

    /// Kind and mark in one byte.
    #[inline(always)]
    const fn byte(self) -> u8 {
        self.kind as u8 | (self.renewed as u8) << 7
    }

    /// As metadata.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        (Self::MAGIC as u64) << 32 | (self.byte() as u64) << 8 | self.peer as u64
    }

    #[inline(always)]
    pub const fn from_word(word: u64) -> Option<Self> {
        if word >> 16 != (Self::MAGIC as u64) << 16 {
            return None;
        }
        Self::from_bytes((word >> 8) as u8, word as u8)
    }

    /// As a source address; `secret` is what this node alone knows.
    #[inline(always)]
    pub const fn source(self, secret: u16) -> [u8; 6] {
        let [a, b] = secret.to_ne_bytes();
        [MARK[0], MARK[1], a, b, self.byte(), self.peer]
    }

    #[inline(always)]
    pub const fn from_source(source: [u8; 6], secret: u16) -> Option<Self> {
        let [_, _, a, b, kind, peer] = source;
        if !Self::may_be_source(source) || u16::from_ne_bytes([a, b]) != secret {
            return None;
        }
        Self::from_bytes(kind, peer)
    }

    /// Worth asking for the secret?
    #[inline(always)]
    pub const fn may_be_source(source: [u8; 6]) -> bool {
        source[0] == MARK[0] && source[1] == MARK[1]
    }

    #[inline(always)]
    const fn from_bytes(byte: u8, peer: u8) -> Option<Self> {
        match Kind::from_number(byte & 0x7f) {
            Some(kind) => Some(Self { kind, peer, renewed: byte >> 7 != 0 }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [Kind; 5] = [Kind::LocalFirst, Kind::PeerFirst, Kind::PeerLater, Kind::ProxyFirst, Kind::LocalEarly];

    proptest! {
        #[test]
        fn a_hint_comes_back_both_ways(kind in 0usize..5, peer in 0u32..64, renewed: bool, secret: u16) {
            let hint = Hint::new(KINDS[kind], peer).renewing(renewed);
            prop_assert_eq!(Hint::from_word(hint.word()), Some(hint));
            prop_assert_eq!(Hint::from_source(hint.source(secret), secret), Some(hint));
            // Neither multicast, which no frame may come from, nor an address that a maker has given.
            prop_assert_eq!(hint.source(secret)[0] & 3, 2);
        }

        #[test]
        fn an_address_without_the_secret_is_no_hint(kind in 0usize..5, secret: u16, other: u16) {
            prop_assume!(secret != other);
            prop_assert_eq!(Hint::from_source(Hint::new(KINDS[kind], 1).source(other), secret), None);
        }

        #[test]
        fn other_words_and_addresses_are_no_hints(word: u64, source: [u8; 6], secret: u16) {
            if let Some(hint) = Hint::from_word(word) {
                prop_assert_eq!(hint.word(), word);
            }
            if let Some(hint) = Hint::from_source(source, secret) {
                prop_assert_eq!(hint.source(secret), source);
            }
        }
    }

    #[test]
    fn numbers_lead_back_to_their_kinds() {
        for number in 0..=u8::MAX {
            assert_eq!(Kind::from_number(number), KINDS.into_iter().find(|kind| *kind as u8 == number));
        }
    }
}
