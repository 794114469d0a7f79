//! How long calls took, from the moment they were due: who sends late because answers are slow hides nothing.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;

/// Microseconds to two digits.
#[derive(Clone)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self(Histogram::new(2).expect("a histogram may have two digits"))
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls, p50 {} ms, p99 {} ms", self.calls(), self.quantile_ms(0.5), self.quantile_ms(0.99))
    }
}

impl Latency {
    pub fn record(&mut self, took: Duration) {
        // It grows with what comes.
        let _ = self.0.record(took.as_micros() as u64);
    }

    pub fn add(&mut self, other: &Self) {
        let _ = self.0.add(&other.0);
    }

    pub fn calls(&self) -> u64 {
        self.0.len()
    }

    /// Not a number without calls.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        if self.0.is_empty() { f64::NAN } else { self.0.value_at_quantile(quantile) as f64 / 1000.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_true_to_two_digits_over_all_that_was_added() {
        let (mut all, mut half) = (Latency::default(), Latency::default());
        (1..=500).for_each(|ms| all.record(Duration::from_millis(ms)));
        (501..=1000).for_each(|ms| half.record(Duration::from_millis(ms)));
        all.add(&half);
        assert_eq!(all.calls(), 1000);
        for (quantile, want_ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let got_ms = all.quantile_ms(quantile);
            assert!((got_ms / want_ms - 1.0f64).abs() < 0.02, "{quantile}: {got_ms} ms, expected {want_ms}");
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert!(Latency::default().quantile_ms(0.5).is_nan());
    }

    #[test]
    fn a_call_of_a_day_is_counted() {
        let mut latency = Latency::default();
        latency.record(Duration::from_hours(24));
        assert!(latency.quantile_ms(0.5) > 80_000_000.0);
    }
}
