//! When the original's steps are due: at wall-clock multiples of the period, on every node at the same time (reference
//! section 6). Our own strategies need none of this; they follow every change at once.

use std::time::{Duration, SystemTime};

use crate::{
    config::StrategyConfig,
    strategy::{Snapshot, recalc::Compat},
};

/// Time since 1970.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Number of the period of this length that a wall-clock time is in.
pub(super) fn period_number(time: Duration, period: Duration) -> u128 {
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

    #[test]
    fn our_own_arithmetic_keeps_no_state() {
        let mut rhythm = Rhythm::default();
        rhythm.step(Duration::from_secs(1), &settings(true), &overloaded());
        rhythm.step(Duration::from_secs(2), &settings(false), &overloaded());
        assert!(rhythm.compat().is_none());
    }
}
