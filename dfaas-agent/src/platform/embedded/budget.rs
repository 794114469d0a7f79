//! A bound on the memory that request and response bodies take together.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

#[derive(Debug)]
pub(super) struct Budget {
    limit_bytes: u64,
    used_bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exhausted;

impl Budget {
    pub(super) fn new(limit_bytes: u64) -> Arc<Self> {
        Arc::new(Self { limit_bytes, used_bytes: AtomicU64::new(0) })
    }

    pub(super) fn lease(self: &Arc<Self>) -> Lease {
        Lease { budget: Arc::clone(self), bytes: 0 }
    }

    #[cfg(test)]
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Relaxed)
    }
}

/// One body's part of the budget, given back on drop.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Lease {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = bytes as u64;
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.budget.limit_bytes);
        self.budget.used_bytes.fetch_update(Relaxed, Relaxed, fits).map_err(|_| Exhausted)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.used_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_at_the_limit_and_gives_back_what_it_had() {
        let budget = Budget::new(100);
        let mut one = budget.lease();
        let mut two = budget.lease();
        assert_eq!(one.grow(60), Ok(()));
        assert_eq!(two.grow(50), Err(Exhausted));
        assert_eq!(two.grow(40), Ok(()));
        drop(one);
        assert_eq!(budget.used_bytes(), 40);
        assert_eq!(two.grow(60), Ok(()));
        drop(two);
        assert_eq!(budget.used_bytes(), 0);
    }
}
