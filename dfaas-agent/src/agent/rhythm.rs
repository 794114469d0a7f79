//! When the original's steps are due: at wall-clock multiples of the period, on every node at the same time
//! (docs/strategies.md). Our own strategies need none of this; they follow every change at once.

use std::time::{Duration, SystemTime};

use crate::{
    config::StrategyConfig,
    strategy::{Snapshot, recalc::Compat},
};

/// Time since 1970.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Tells when a period begins. A clock that jumps begins another one, and no more.
#[derive(Debug, Default)]
pub(super) struct Periods(u128);

impl Periods {
    pub(super) fn begins(&mut self, time: Duration, period: Duration) -> bool {
        let now = period_number(time, period);
        std::mem::replace(&mut self.0, now) != now
    }
}

/// Number of the period of this length that a wall-clock time is in.
fn period_number(time: Duration, period: Duration) -> u128 {
    time.as_millis() / period.as_millis().max(1)
}

/// Recalc in the original's arithmetic, step by step.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    compat: Option<Compat>,
    half: u128,
}

impl Rhythm {
    /// Does the steps that are due at this time: grants at k·P, weights at (k + ½)·P, grants at once at the start.
    pub(super) fn step(&mut self, time: Duration, settings: &StrategyConfig, snapshot: &Snapshot) {
        if !settings.compat {
            self.compat = None;
            return;
        }
        let half = period_number(time, settings.period / 2);
        let is_first = self.compat.is_none();
        let compat = self.compat.get_or_insert_default();
        if is_first || (half != self.half && half.is_multiple_of(2)) {
            compat.grant(snapshot);
        } else if half != self.half {
            compat.weigh(snapshot);
        }
        self.half = half;
    }

    pub(super) fn compat(&self) -> Option<&Compat> {
        self.compat.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{
        LocalFunction, PeerFunction, PeerView, Strategy,
        test_names::{function, node},
    };

    fn settings(compat: bool) -> StrategyConfig {
        StrategyConfig {
            strategy: Strategy::Recalc,
            compat,
            period: Duration::from_mins(1),
            rate_window: Duration::from_secs(1),
            burst: Duration::ZERO,
            grant_lifetime: Duration::from_secs(30),
        }
    }

    fn overloaded() -> Snapshot {
        let peer = PeerView {
            functions: [(function("f"), PeerFunction { limit_out: 5.0, excess: 0.0 })].into(),
            ..PeerView::default()
        };
        Snapshot {
            functions: [(function("f"), LocalFunction { max_rate: Some(1.0), rate: 9.0, timeout: None })].into(),
            peers: [(node(1), peer)].into(),
        }
    }

    /// Reference, appendix A: start at 12:00:10 with a period of a minute, weights at 12:00:30.
    #[test]
    fn weights_follow_grants_after_half_a_period() {
        let mut rhythm = Rhythm::default();
        let weight = |rhythm: &Rhythm| rhythm.compat().unwrap().entry(&function("f"), &node(1)).weight;
        for (second, expected) in [(10, 0), (29, 0), (30, 100), (59, 100), (60, 100)] {
            rhythm.step(Duration::from_secs(12 * 3600 + second), &settings(true), &overloaded());
            assert_eq!(weight(&rhythm), expected, "at second {second}");
        }
    }

    const HOUR_S: u64 = 3_600;

    #[test]
    fn a_clock_that_jumps_an_hour_begins_one_period_and_no_more() {
        let period = Duration::from_secs(7);
        for jumped_s in [2 * HOUR_S, 0] {
            let mut periods = Periods::default();
            let mut begun = |from_s: u64, to_s: u64| -> usize {
                (from_s * 4..to_s * 4).filter(|n| periods.begins(Duration::from_millis(n * 250), period)).count()
            };
            assert_eq!(begun(HOUR_S, HOUR_S + 70), 11, "the first, and one every 7 seconds");
            let after_jump = begun(jumped_s + 70, jumped_s + 140);
            assert!((10..=11).contains(&after_jump), "{after_jump} periods in 70 s");
        }
    }

    #[test]
    fn a_clock_that_jumps_an_hour_changes_neither_grants_nor_weights() {
        let told = |rhythm: &Rhythm| rhythm.compat().unwrap().entry(&function("f"), &node(1));
        for jumped_s in [13 * HOUR_S, 11 * HOUR_S, 13 * HOUR_S + 17, 11 * HOUR_S - 17] {
            let mut rhythm = Rhythm::default();
            for second in 10..70 {
                rhythm.step(Duration::from_secs(12 * HOUR_S + second), &settings(true), &overloaded());
            }
            let before = told(&rhythm);
            for second in 70..200 {
                rhythm.step(Duration::from_secs(jumped_s + second), &settings(true), &overloaded());
                assert_eq!(told(&rhythm), before, "{second} s after the start, with a jump to {jumped_s} s");
            }
        }
    }

    #[test]
    fn our_own_arithmetic_keeps_no_state() {
        let mut rhythm = Rhythm::default();
        rhythm.step(Duration::from_secs(1), &settings(true), &overloaded());
        rhythm.step(Duration::from_secs(2), &settings(false), &overloaded());
        assert!(rhythm.compat().is_none());
    }
}
