//! A token bucket: how much of something one peer may ask of us. The clock is passed in.

use std::time::Instant;

#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    level: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(per_second: f64, burst: f64, now: Instant) -> Self {
        Self { per_second, burst, level: burst, filled: now }
    }

    /// True if it would take the whole burst now.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level + seconds * self.per_second >= self.burst
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.take_many(now, 1.0)
    }

    /// Takes so much, or all there can be, if that is less.
    pub(super) fn take_many(&mut self, now: Instant, amount: f64) -> bool {
        let amount = amount.min(self.burst);
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.level = (self.level + seconds * self.per_second).min(self.burst);
        self.filled = self.filled.max(now);
        let taken = self.level >= amount;
        if taken {
            self.level -= amount;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_only_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 5.0, start);
        let mut taken = |after_ms| (0..100).filter(|_| bucket.take(start + Duration::from_millis(after_ms))).count();
        assert_eq!(taken(0), 5);
        assert_eq!(taken(250), 2);
        assert_eq!(taken(100), 0, "a clock that goes back gives nothing");
        assert_eq!(taken(60_000), 5, "an idle peer saves up no more than the burst");
        let later = start + Duration::from_mins(2);
        assert!(bucket.take_many(later, 3.0) && !bucket.take_many(later, 3.0) && bucket.take_many(later, 2.0));
        assert!(bucket.take_many(later + Duration::from_mins(1), 1000.0), "more than the burst takes the whole burst");
        assert!(!bucket.take(later + Duration::from_mins(1)));
    }
}
