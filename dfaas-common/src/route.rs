//! The routing table of one function: one map value, replaced as a whole, so a packet sees the old table or the new one
//! and nothing between.

use crate::{http::NAME_LEN, limit::Limit, peer::MAX_PEERS};

pub const SLOTS: usize = 256;
/// HAProxy's own listener: it steers to peers that have no kernel path.
pub const SLOT_PROXY: u8 = 0xfd;
pub const SLOT_LOCAL: u8 = 0xfe;
pub const SLOT_REFUSE: u8 = 0xff;
pub const MAX_FUNCTIONS: usize = 256;
pub const NO_FUNCTION: u32 = u32::MAX;

/// Local up to the limit, the excess by the slots.
pub const LOCAL_FIRST: u32 = 0;
/// Everything by the slots.
pub const WEIGHTED: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Route {
    /// Index of the function's counters and buckets.
    pub function: u32,
    /// Version of the decision this table belongs to.
    pub version: u32,
    /// [`LOCAL_FIRST`] or [`WEIGHTED`].
    pub shape: u32,
    /// Non-zero: this node runs the function.
    pub deployed: u32,
    /// What this node may serve.
    pub local: Limit,
    /// Burst of all limits towards peers, and of those from peers, as [`Limit::sharing`] takes it.
    pub out_burst_ns: u64,
    pub in_burst_ns: u64,
    /// By peer: interval of what it accepts from us, ns.
    pub out_interval_ns: [u64; MAX_PEERS],
    /// By peer: interval of what we accept from it, ns.
    pub in_interval_ns: [u64; MAX_PEERS],
    /// The function's name as text: the key is made for comparing.
    pub name: [i8; NAME_LEN],
    /// Targets in turn: a peer's number, [`SLOT_PROXY`], [`SLOT_LOCAL`] or [`SLOT_REFUSE`].
    pub slots: [u8; SLOTS],
}

/// State of a function's token buckets and its turn in the slots. Written by the kernel, kept when the table is
/// replaced: a new table does not refill a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Buckets {
    pub turn: u64,
    pub local_tat_ns: u64,
    pub out_tat_ns: [u64; MAX_PEERS],
    pub in_tat_ns: [u64; MAX_PEERS],
}

const _: () = assert!(size_of::<Route>() == 48 + 1024 + 64 + 256 && size_of::<Buckets>() == 16 + 1024);

/// Fills the slots by smooth weighted round robin: over 256 calls each target gets its share exactly (to the one slot
/// that rounding decides), and in every stretch nearly so. No weight above 0: everything is refused.
pub fn fill_slots(targets: &[(u8, u32)]) -> [u8; SLOTS] {
    let counts = shares(targets);
    let mut current = [0i64; SLOTS];
    let mut slots = [SLOT_REFUSE; SLOTS];
    for slot in &mut slots {
        let mut best: Option<usize> = None;
        for (i, count) in counts.iter().enumerate().take(targets.len()) {
            current[i] += i64::from(*count);
            if *count > 0 && best.is_none_or(|b| current[i] > current[b]) {
                best = Some(i);
            }
        }
        let Some(best) = best else { break };
        current[best] -= SLOTS as i64;
        *slot = targets[best].0;
    }
    slots
}

/// Slots of each target: proportional, the remainder to the largest fractions (first come, first served among equals).
/// At most 256 targets count.
fn shares(targets: &[(u8, u32)]) -> [u32; SLOTS] {
    let mut counts = [0u32; SLOTS];
    let n = targets.len().min(SLOTS);
    let total: u64 = targets[..n].iter().map(|t| u64::from(t.1)).sum();
    if total == 0 {
        return counts;
    }
    let mut fractions = [0u64; SLOTS];
    let mut given = 0;
    for i in 0..n {
        let scaled = u64::from(targets[i].1) * SLOTS as u64;
        counts[i] = (scaled / total) as u32;
        fractions[i] = scaled % total;
        given += counts[i];
    }
    for _ in given..SLOTS as u32 {
        let mut largest = 0;
        for i in 1..n {
            if fractions[i] > fractions[largest] {
                largest = i;
            }
        }
        counts[largest] += 1;
        fractions[largest] = 0;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn count(slots: &[u8; SLOTS], target: u8) -> usize {
        slots.iter().filter(|s| **s == target).count()
    }

    proptest! {
        #[test]
        fn shares_are_exact_to_less_than_one_slot(weights in prop::collection::vec(0u32..1000, 1..=8)) {
            let targets: Vec<_> = weights.iter().enumerate().map(|(i, w)| (i as u8, *w)).collect();
            let slots = fill_slots(&targets);
            let total: u32 = weights.iter().sum();
            if total == 0 {
                prop_assert!(slots.iter().all(|s| *s == SLOT_REFUSE));
            } else {
                for (target, weight) in targets {
                    let exact = f64::from(weight) * 256.0 / f64::from(total);
                    let got = count(&slots, target) as f64;
                    prop_assert!((got - exact).abs() < 1.0, "{} slots for {}", got, exact);
                    if weight == 0 { prop_assert_eq!(got, 0.0); }
                }
            }
        }

        /// No target waits much longer than its share says.
        #[test]
        fn turns_are_smooth(weights in prop::collection::vec(1u32..100, 2..=4)) {
            let targets: Vec<_> = weights.iter().enumerate().map(|(i, w)| (i as u8, *w)).collect();
            let slots = fill_slots(&targets);
            for (target, _) in &targets {
                let share = count(&slots, *target);
                prop_assume!(share > 0);
                let mut run = 0;
                for slot in slots.iter().chain(&slots) {
                    run = if slot == target { 0 } else { run + 1 };
                    prop_assert!(run <= 2 * SLOTS / share + targets.len(), "{} waits {} turns", target, run);
                }
            }
        }
    }

    #[test]
    fn every_small_weight_vector_is_exact_when_it_divides() {
        for a in 0..=16u32 {
            for b in 0..=16u32 {
                let c = 32 - a - b;
                let slots = fill_slots(&[(0, a), (1, b), (SLOT_LOCAL, c)]);
                assert_eq!(
                    [count(&slots, 0), count(&slots, 1), count(&slots, SLOT_LOCAL)],
                    [a, b, c].map(|w| w as usize * 8)
                );
            }
        }
    }

    #[test]
    fn the_paper_example_is_forty_to_sixty() {
        let slots = fill_slots(&[(0, 40), (1, 60)]);
        assert_eq!((count(&slots, 0), count(&slots, 1)), (102, 154));
    }
}
