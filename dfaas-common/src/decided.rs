//! The table of decisions that may be forgotten, the least recently used first: sets of four in an array. The kernel's own
//! LRU hash map spends more on one insertion than a refusal needs for all else (docs/kernel-notes.md).
//!
//! Several CPUs use it without a lock. A way (one place of a set) is claimed by its mark; whoever cannot claim one stores
//! nothing. A reader may see a way that is being replaced, as in the kernel's map.

use crate::{
    flow::{Flow, FlowKey},
    maps::MAX_DECIDED,
};

pub const WAYS: usize = 4;
pub const SETS: usize = MAX_DECIDED / WAYS;
const _: () = assert!(SETS.is_power_of_two());

/// Mark of a way without a decision.
pub const EMPTY: u64 = 0;
/// Mark of a way that is being written.
pub const BUSY: u64 = 1;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Decision {
    pub key: FlowKey,
    pub reserved: u32,
    pub flow: Flow,
}

/// Map value. The marks lie together, so that a client that is not in the table costs one line of cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Set {
    /// [`EMPTY`], [`BUSY`], or the hash of the way's key.
    pub marks: [u64; WAYS],
    pub ways: [Decision; WAYS],
}

impl Set {
    /// Stores a decision in a set that nobody else writes meanwhile; the way that it took.
    pub fn put(&mut self, key: &FlowKey, flow: &Flow, mark: u64) -> Option<usize> {
        // SAFETY: a set.
        let (way, _) = unsafe { choose(self, key, mark) }?;
        self.ways[way] = Decision { key: *key, reserved: 0, flow: *flow };
        self.marks[way] = mark;
        Some(way)
    }
}

/// Where a client's decision is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Index of its set.
    pub set: u32,
    pub mark: u64,
}

/// `seed` is drawn anew by each node, so that nobody can choose clients that meet in one set.
#[inline(always)]
pub fn place(seed: u64, key: &FlowKey) -> Place {
    const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
    let words = key.words();
    let pair = |i: usize| u64::from(words[i]) << 32 | u64::from(words[i + 1]);
    let mut hash = seed;
    for part in [pair(0), pair(2), u64::from(words[4])] {
        hash = (hash ^ part).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 32;
    }
    Place { set: hash as u32 & (SETS as u32 - 1), mark: hash | 1 << 63 }
}

/// The way that holds the decision on this client.
///
/// # Safety
/// `set` points to a set; others may write it meanwhile.
#[inline(always)]
pub unsafe fn find(set: *const Set, key: &FlowKey, mark: u64) -> Option<usize> {
    // SAFETY: the caller's promise, and the index is below WAYS.
    (0..WAYS).find(|way| unsafe { mark_of(set, *way) == mark && has_key(set, *way, key) })
}

/// The way that a new decision on this client takes, and its mark: the client's own, else an empty one, else the least
/// recently used. `None` if all are being written.
///
/// # Safety
/// As for [`find`].
#[inline(always)]
pub unsafe fn choose(set: *const Set, key: &FlowKey, mark: u64) -> Option<(usize, u64)> {
    let mut chosen = None;
    let mut least = u64::MAX;
    for way in 0..WAYS {
        // SAFETY: as above.
        let found = unsafe { mark_of(set, way) };
        let age = match found {
            BUSY => continue,
            EMPTY => 1,
            // SAFETY: as above.
            _ if found == mark && unsafe { has_key(set, way, key) } => 0,
            // SAFETY: as above.
            _ => unsafe { (&raw const (*set).ways[way].flow.last_ns).read_volatile() }.max(2),
        };
        if age < least {
            least = age;
            chosen = Some((way, found));
        }
    }
    chosen
}

/// # Safety
/// As for [`find`], and `way` is below [`WAYS`].
#[inline(always)]
unsafe fn mark_of(set: *const Set, way: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { (&raw const (*set).marks[way]).read_volatile() }
}

/// # Safety
/// As for [`mark_of`].
#[inline(always)]
unsafe fn has_key(set: *const Set, way: usize, key: &FlowKey) -> bool {
    // SAFETY: the caller's promise.
    let found = unsafe { (*set).ways[way].key };
    found.words() == key.words()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressV4;
    use proptest::prelude::*;

    fn key(n: u32) -> FlowKey {
        FlowKey::v4(AddressV4::from_raw(0x0a00_0000_u32.to_be() | n >> 16), n as u16)
    }

    fn find(set: &Set, key: &FlowKey, mark: u64) -> Option<usize> {
        // SAFETY: a set.
        unsafe { super::find(set, key, mark) }
    }

    fn insert(set: &mut Set, key: FlowKey, mark: u64, last_ns: u64) -> Option<usize> {
        set.put(&key, &Flow { last_ns, ..Flow::default() }, mark)
    }

    proptest! {
        #[test]
        fn what_was_stored_last_is_found_and_the_oldest_are_gone(clients in proptest::collection::vec(0u32..12, 1..40)) {
            let mut set = Set::default();
            let mut newest: Vec<u32> = Vec::new();
            for (time, client) in clients.iter().enumerate() {
                insert(&mut set, key(*client), place(7, &key(*client)).mark, time as u64 + 10);
                newest.retain(|c| c != client);
                newest.push(*client);
            }
            let kept = newest.len().saturating_sub(WAYS);
            for (age, client) in newest.iter().enumerate() {
                let found = find(&set, &key(*client), place(7, &key(*client)).mark);
                prop_assert_eq!(found.is_some(), age >= kept, "client {}", client);
            }
        }
    }

    #[test]
    fn equal_marks_do_not_mix_clients_up() {
        let mut set = Set::default();
        let mark = 1 << 63;
        let (a, b) = (insert(&mut set, key(1), mark, 5), insert(&mut set, key(2), mark, 6));
        assert_ne!(a, b);
        assert_eq!((find(&set, &key(1), mark), find(&set, &key(2), mark)), (a, b));
        assert_eq!(find(&set, &key(3), mark), None);
    }

    #[test]
    fn a_way_that_is_being_written_is_left_alone() {
        let mut set = Set { marks: [BUSY; WAYS], ..Set::default() };
        assert_eq!(insert(&mut set, key(1), 1 << 63, 5), None);
        set.marks[2] = EMPTY;
        assert_eq!(insert(&mut set, key(1), 1 << 63, 5), Some(2));
    }

    /// Clients of one address, by their ports: as even as chance would have it. Of 16384 sets 0.37 % are expected to get more
    /// than four of 16384 keys.
    #[test]
    fn ports_spread_over_the_sets() {
        let mut filled = vec![0u8; SETS];
        for port in 0..SETS as u32 {
            filled[place(0x1234_5678_9abc_def0, &key(port)).set as usize] += 1;
        }
        let over = filled.iter().filter(|n| usize::from(**n) > WAYS).count();
        assert!(over < SETS / 100, "{over} of {SETS} sets overflow");
    }
}
