//! How often each author may speak, whoever passes its messages on. No I/O; the clock is passed in.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use super::bucket::Bucket;

/// Authors with an allowance of their own; further ones share one.
const MAX_AUTHORS: usize = 1024;
/// Seconds' worth of messages that may come at once.
const BURST_SECONDS: f64 = 10.0;
/// A message counts once more for each of these.
const UNIT_BYTES: usize = 64 * 1024;
const TIDY_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Authors {
    per_second: f64,
    buckets: BTreeMap<PeerId, Bucket>,
    others: Bucket,
    tidied: Instant,
}

impl Authors {
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, buckets: BTreeMap::new(), others: bucket(per_second, now), tidied: now }
    }

    /// True if this message of the author may be looked at. A long one counts as several.
    pub(super) fn take(&mut self, author: PeerId, bytes: usize, now: Instant) -> bool {
        let amount = 1.0 + (bytes / UNIT_BYTES) as f64;
        if let Some(bucket) = self.buckets.get_mut(&author) {
            return bucket.take_many(now, amount);
        }
        if self.buckets.len() >= MAX_AUTHORS && now >= self.tidied + TIDY_EVERY {
            self.tidied = now;
            // A full bucket says no more than a new one.
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= MAX_AUTHORS {
            return self.others.take_many(now, amount);
        }
        self.buckets.entry(author).or_insert_with(|| bucket(self.per_second, now)).take_many(now, amount)
    }
}

fn bucket(per_second: f64, now: Instant) -> Bucket {
    Bucket::new(per_second, (per_second * BURST_SECONDS).max(1.0), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_author_cannot_use_up_what_others_may_say() {
        let start = Instant::now();
        let mut authors = Authors::new(2.0, start);
        let (loud, quiet) = (PeerId::random(), PeerId::random());
        assert_eq!((0..100).filter(|_| authors.take(loud, 100, start)).count(), 20);
        assert!(authors.take(quiet, 100, start));
        assert_eq!((0..100).filter(|_| authors.take(loud, 100, start + Duration::from_secs(3))).count(), 6);
    }

    #[test]
    fn long_messages_count_as_several() {
        let start = Instant::now();
        let mut authors = Authors::new(10.0, start);
        let author = PeerId::random();
        assert_eq!((0..100).filter(|_| authors.take(author, 1 << 20, start)).count(), 5);
        assert_eq!((0..100).filter(|_| authors.take(author, 1000, start)).count(), 15);
    }

    #[test]
    fn made_up_authors_share_one_allowance_and_make_way_when_they_are_silent() {
        let start = Instant::now();
        let mut authors = Authors::new(1.0, start);
        let taken = (0..10_000).filter(|_| authors.take(PeerId::random(), 100, start)).count();
        assert_eq!((taken, authors.buckets.len()), (MAX_AUTHORS + 10, MAX_AUTHORS));
        let later = start + Duration::from_secs(20);
        let author = PeerId::random();
        assert_eq!((0..100).filter(|_| authors.take(author, 100, later)).count(), 10);
        assert_eq!(authors.buckets.len(), 1);
    }
}
