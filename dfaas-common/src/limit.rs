//! Token buckets, in the form of the generic cell rate algorithm: the whole state is one number, the theoretical
//! arrival time (TAT) at which the bucket is full again, so it can be changed by one compare-and-swap.
//!
//! The state outlives the limit: what a slow limit has left is cut to what the limit in force could have left.

/// Interval of a limit that admits nothing.
pub const CLOSED: u64 = 0;
/// Interval of a limit that admits everything.
pub const OPEN: u64 = u64::MAX;

/// Up to this the burst of a slow limit is its interval.
pub const LONGEST_OWN_BURST_NS: u64 = 1_000_000_000;

/// What a node takes from a peer beyond what it granted, as a factor: clocks of two nodes do not tick alike.
pub const TOLERANCE: f64 = 1.05;

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

    /// Of an interval and a burst that many limits share. Two calls may come at once however low the rate, if the interval
    /// is not above [`LONGEST_OWN_BURST_NS`]: one slow limit does not lengthen the burst of the others.
    #[inline(always)]
    pub fn sharing(interval_ns: u64, burst_ns: u64) -> Self {
        Self { interval_ns, burst_ns: burst_ns.max(interval_ns.min(LONGEST_OWN_BURST_NS)) }
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

/// The TAT after one more call, or, if the call is over the limit, the error with the TAT to be kept: in both cases never
/// later than `now_ns` and one burst and interval of this limit, whatever the old one was. `ahead_ns`: the part of the
/// burst that this call may use. Not for `OPEN` and `CLOSED`.
#[inline(always)]
pub fn admit(tat: u64, now_ns: u64, limit: Limit, ahead_ns: u64) -> Result<u64, u64> {
    // By the whole burst: calls that may use a part of it do not refill it for those that may use all.
    let latest = now_ns.saturating_add(limit.burst_ns).saturating_add(limit.interval_ns);
    let tat = tat.min(latest);
    let base = tat.max(now_ns);
    // Waiting ahead of the plan by more than the burst: refuse.
    if base - now_ns > ahead_ns { Err(tat) } else { Ok(base.saturating_add(limit.interval_ns)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn admitted(limit: Limit, arrivals: impl Iterator<Item = u64>) -> usize {
        let mut bucket = Bucket(0);
        arrivals.filter(|now| bucket.admits(*now, limit, limit.burst_ns)).count()
    }

    struct Bucket(u64);

    impl Bucket {
        fn admits(&mut self, now_ns: u64, limit: Limit, ahead_ns: u64) -> bool {
            let answer = admit(self.0, now_ns, limit, ahead_ns);
            self.0 = answer.unwrap_or_else(|kept| kept);
            answer.is_ok()
        }
    }

    /// Rates from one call in days to a million a second, and the edges.
    fn limit() -> impl Strategy<Value = Limit> {
        let interval = prop_oneof![1u64..1_000_000, 1_000_000u64..1_000_000_000_000, Just(1), Just(OPEN - 1)];
        let burst = prop_oneof![Just(0), 0u64..10_000_000_000, Just(u64::MAX)];
        (interval, burst).prop_map(|(interval_ns, burst_ns)| Limit { interval_ns, burst_ns })
    }

    /// A limit that comes into force, and times at which calls come, in any order.
    fn history() -> impl Strategy<Value = Vec<(Limit, Vec<u64>)>> {
        let time = prop_oneof![0u64..1_000_000_000_000, Just(0), Just(u64::MAX)];
        proptest::collection::vec((limit(), proptest::collection::vec(time, 1..12)), 1..6)
    }

    proptest! {
        #[test]
        fn the_arrival_time_is_never_later_than_the_limit_in_force_allows(tat: u64, history in history(), part in 1u64..4) {
            let mut bucket = Bucket(tat);
            for (limit, times) in history {
                for now in times {
                    bucket.admits(now, limit, limit.burst_ns / part);
                    let latest = u128::from(now) + u128::from(limit.burst_ns) + u128::from(limit.interval_ns);
                    prop_assert!(u128::from(bucket.0) <= latest, "{} at {now} by {limit:?}", bucket.0);
                }
            }
        }

        #[test]
        fn a_bucket_that_was_idle_for_its_burst_and_interval_admits(tat: u64, history in history(), part in 1u64..4) {
            let mut bucket = Bucket(tat);
            for (limit, times) in history {
                for now in times {
                    bucket.admits(now, limit, limit.burst_ns / part);
                    let idle = now.saturating_add(limit.burst_ns).saturating_add(limit.interval_ns);
                    prop_assert!(Bucket(bucket.0).admits(idle, limit, 0), "{} at {idle} by {limit:?}", bucket.0);
                }
            }
        }

        /// Whatever was in force before, the calls of one stretch of time are no more than its limit admits.
        #[test]
        fn what_a_former_limit_has_left_adds_nothing(tat: u64, rate in 1u64..1_000, burst_ms in 0u64..500, start in 0u64..1 << 40) {
            let limit = Limit::new(rate as f64, burst_ms * 1_000_000);
            let mut bucket = Bucket(tat);
            let calls = (0..5_000u64).map(|i| start + i * 1_000_000);
            let got = calls.filter(|now| bucket.admits(*now, limit, limit.burst_ns)).count() as u64;
            prop_assert!(got <= rate * 5 + limit.burst_ns / limit.interval_ns + 2, "{got} admitted");
        }

        /// Peers may use a part of the burst: their refused calls leave the rest of it as it was.
        #[test]
        fn calls_that_may_use_half_of_the_burst_do_not_refill_it(rate in 1u64..1_000, burst_ms in 1u64..500) {
            let limit = Limit::new(rate as f64, burst_ms * 1_000_000);
            let mut bucket = Bucket(0);
            let now = 1_000_000_000;
            while bucket.admits(now, limit, limit.burst_ns) {}
            let full = bucket.0;
            prop_assert!(!bucket.admits(now, limit, limit.burst_ns / 2));
            prop_assert_eq!(bucket.0, full);
        }

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
    fn a_slow_limit_shares_the_burst_of_others_without_lengthening_it() {
        let burst = |interval_ns| Limit::sharing(interval_ns, 200).burst_ns;
        assert_eq!((burst(1), burst(300), burst(OPEN - 1)), (200, 300, LONGEST_OWN_BURST_NS));
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
