//! Token buckets, in the form of the generic cell rate algorithm: the whole state is one number, the theoretical
//! arrival time (TAT) at which the bucket is full again, so it can be changed by one compare-and-swap.

/// Interval of a limit that admits nothing.
pub const CLOSED: u64 = 0;
/// Interval of a limit that admits everything.
pub const OPEN: u64 = u64::MAX;

/// A rate and its burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Limit {
    /// Time between two calls at the full rate; [`OPEN`] and [`CLOSED`] are special.
    pub interval_ns: u64,
    /// How far the TAT may lie ahead: `burst_ns / interval_ns + 1` calls may come at once.
    pub burst_ns: u64,
}

impl Limit {
    pub const OPEN: Self = Self { interval_ns: OPEN, burst_ns: 0 };
    pub const CLOSED: Self = Self { interval_ns: CLOSED, burst_ns: 0 };

    /// `calls_per_second` of 0 or less, or not a number, admits nothing.
    pub fn new(calls_per_second: f64, burst_ns: u64) -> Self {
        Self { interval_ns: interval(calls_per_second), burst_ns }
    }
}

/// Nanoseconds between two calls.
pub fn interval(calls_per_second: f64) -> u64 {
    if calls_per_second > 1e9 {
        OPEN
    } else if calls_per_second > 0.0 {
        // A rate below one call in centuries is none.
        match (1e9 / calls_per_second) as u64 {
            OPEN => CLOSED,
            interval => interval,
        }
    } else {
        CLOSED
    }
}

/// The TAT after one more call, or `None` if the call is over the limit. Not for `OPEN` and `CLOSED`.
#[inline(always)]
pub fn admit(tat: u64, now_ns: u64, interval_ns: u64, burst_ns: u64) -> Option<u64> {
    let base = if tat > now_ns { tat } else { now_ns };
    // Waiting ahead of the plan by more than the burst: refuse.
    if base - now_ns > burst_ns { None } else { Some(base + interval_ns) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admitted(limit: Limit, arrivals: impl Iterator<Item = u64>) -> usize {
        let mut tat = 0;
        arrivals
            .filter(|now| {
                let next = admit(tat, *now, limit.interval_ns, limit.burst_ns);
                tat = next.unwrap_or(tat);
                next.is_some()
            })
            .count()
    }

    proptest! {
        #[test]
        fn over_any_time_the_rate_holds_within_the_burst(rate in 1u64..5_000, offered in 1u64..20_000, burst_ms in 0u64..500) {
            let limit = Limit::new(rate as f64, burst_ms * 1_000_000);
            let seconds = 5;
            let got = admitted(limit, (0..offered * seconds).map(|i| i * 1_000_000_000 / offered)) as f64;
            let burst = (limit.burst_ns / limit.interval_ns + 2) as f64;
            prop_assert!(got <= (rate * seconds) as f64 + burst, "{} admitted", got);
            let least = rate.min(offered) * seconds;
            // Evenly spaced arrivals that just miss the plan lose up to one interval each without a burst.
            if burst_ms > 0 && limit.burst_ns > limit.interval_ns {
                prop_assert!(got >= least as f64 * 0.98 - 1.0, "{} of {} admitted", got, least);
            }
        }
    }

    #[test]
    fn a_burst_of_ten_admits_eleven_at_once() {
        assert_eq!(admitted(Limit::new(100.0, 100_000_000), std::iter::repeat_n(1_000_000_000, 50)), 11);
    }

    #[test]
    fn rates_that_make_no_sense_admit_nothing() {
        for rate in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(interval(rate), CLOSED, "{rate}");
        }
        assert_eq!(interval(f64::INFINITY), OPEN);
        assert_eq!(interval(10.0), 100_000_000);
    }
}
