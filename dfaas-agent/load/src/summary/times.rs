//! Many durations in a few numbers.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::record::nanos;

/// Durations: an HDR histogram of three digits, with the exact mean and extremes.
#[derive(Clone, Debug)]
pub struct Times {
    histogram: Histogram<u64>,
    sum_ns: u128,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Times {
    fn default() -> Self {
        let histogram = Histogram::new(3).expect("three digits are allowed");
        Self { histogram, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Times {
    pub fn add(&mut self, duration: Duration) {
        let ns = nanos(duration);
        // Grows as far as it must; only values beyond its largest possible size, centuries, are left out.
        let _ = self.histogram.record(ns);
        self.sum_ns += u128::from(ns);
        self.min_ns = self.min_ns.min(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    pub fn mean(&self) -> Duration {
        let n = u128::from(self.histogram.len()).max(1);
        Duration::from_nanos(u64::try_from(self.sum_ns / n).unwrap_or(u64::MAX))
    }

    /// So many percent are at most this long; never more than the longest.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_percentile(percent).min(self.max_ns))
    }

    pub fn min(&self) -> Duration {
        Duration::from_nanos(if self.histogram.is_empty() { 0 } else { self.min_ns })
    }

    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    pub(super) fn milliseconds(&self) -> Milliseconds {
        let ms = |duration: Duration| duration.as_nanos() as f64 / 1e6;
        let at = |percent| ms(self.percentile(percent));
        Milliseconds {
            mean: ms(self.mean()),
            p50: at(50.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            max: ms(self.max()),
        }
    }
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Milliseconds {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_three_digits_and_never_above_the_maximum() {
        let mut times = Times::default();
        (1..=1_000).map(Duration::from_millis).for_each(|time| times.add(time));
        let ms = times.milliseconds();
        for (got, expected) in [(ms.p50, 500.0), (ms.p95, 950.0), (ms.p99, 990.0)] {
            assert!((got - expected).abs() <= expected / 1e3, "{got} instead of {expected}");
        }
        assert_eq!((ms.mean, ms.max, times.min()), (500.5, 1_000.0, Duration::from_millis(1)));
        assert!(times.percentile(100.0) <= times.max());
    }

    #[test]
    fn no_durations_are_zero() {
        let times = Times::default();
        assert_eq!([times.min(), times.mean(), times.percentile(99.0), times.max()], [Duration::ZERO; 4]);
    }
}
