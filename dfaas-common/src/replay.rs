//! Connections that peers have handed over: each gets a socket once. Who has recorded a first packet, and sends it again when
//! that socket is gone, does not make its call run again.
//!
//! A table of fingerprints, the oldest of a set go first. It remembers [`SETS`] × [`WAYS`] connections; keys of the tunnel change
//! every ten minutes and are valid for twice as long, so that up to about 400 handed-over connections a second nothing recorded
//! is ever taken again, and above that nothing young. Several CPUs write without a lock: at worst one of two is forgotten.

use crate::{packet::Segment, siphash::Key};

pub const SETS: usize = 1 << 15;
pub const WAYS: usize = 15;

/// One line of cache. Map value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Set {
    /// The way that is taken next.
    pub next: u32,
    /// 0: none.
    pub prints: [u32; WAYS],
}

const _: () = assert!(size_of::<Set>() == 64 && SETS.is_power_of_two());

/// Where a connection is to be found, and as what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub set: u32,
    pub print: u32,
}

/// Of the connection whose first data packet this is: by its client and both initial sequence numbers.
#[inline(always)]
pub fn place(seed: u64, first: &Segment) -> Place {
    let hash = Key(seed, 0x7265_706c_6179_2121).hash2(
        u64::from(first.source.raw()) << 32 | u64::from(first.source_port),
        u64::from(first.client_isn()) << 32 | u64::from(first.our_isn()),
    );
    Place { set: hash as u32 & (SETS as u32 - 1), print: (hash >> 32) as u32 | 1 }
}

impl Set {
    #[inline(always)]
    pub fn has(&self, print: u32) -> bool {
        let mut found = false;
        let mut way = 0;
        while way < WAYS {
            found |= self.prints[way] == print;
            way += 1;
        }
        found
    }

    #[inline(always)]
    pub fn put(&mut self, print: u32) {
        let way = if self.next < WAYS as u32 { self.next } else { 0 };
        self.prints[way as usize] = print;
        self.next = way + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressV4;

    fn first(client: u32, sequence: u32) -> Segment {
        Segment {
            source: AddressV4::from_raw(client),
            source_port: 4711,
            sequence,
            acknowledgement: 99,
            payload_len: 10,
            ..Segment::NONE
        }
    }

    #[test]
    fn a_set_remembers_its_last_connections() {
        let mut set = Set::default();
        assert!(!set.has(1));
        for print in (1..100).map(|n| n << 1 | 1) {
            set.put(print);
            assert!(set.has(print));
            for young in (1..=print >> 1).rev().take(WAYS) {
                assert!(set.has(young << 1 | 1), "{young} of {print}");
            }
        }
        assert!(!set.has(3));
    }

    #[test]
    fn another_connection_is_another_and_a_repeated_packet_is_not() {
        let place = |s: &Segment| super::place(7, s);
        let one = first(1, 5);
        assert_eq!(place(&one), place(&Segment { payload_len: 20, flags: 1, header_len: 32, ..one }));
        assert_ne!(place(&one), place(&first(2, 5)));
        assert_ne!(place(&one), place(&first(1, 6)));
        assert_ne!(place(&one), place(&Segment { acknowledgement: 100, ..one }));
        assert_ne!(place(&one), place(&Segment { source_port: 4712, ..one }));
    }
}
