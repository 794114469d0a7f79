//! Rates from counters that only grow, averaged over a sliding window. The clock is passed in.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{name::FunctionName, status::Outcomes};

/// One function's counters at one time.
type Totals = Outcomes<u64>;

/// The last samples of every function.
#[derive(Debug)]
pub(crate) struct Rates {
    window: Duration,
    samples: BTreeMap<FunctionName, VecDeque<(Instant, Sample)>>,
}

/// What is counted of a function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub by_kernel: Totals,
    pub by_proxy: Totals,
    /// Calls that only HAProxy has seen and this node has served.
    pub kept: u64,
}

impl Sample {
    pub(crate) fn totals(&self) -> Totals {
        let (a, b) = (&self.by_kernel, &self.by_proxy);
        Outcomes {
            offered: a.offered + b.offered,
            local: a.local + b.local,
            forwarded: a.forwarded + b.forwarded,
            rejected: a.rejected + b.rejected,
            received: a.received + b.received,
        }
    }
}

/// Calls per second over the window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    pub outcomes: Outcomes<f64>,
    pub kept: f64,
}

impl Rates {
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, samples: BTreeMap::new() }
    }

    pub(crate) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Takes what the counters say at `now`. Functions that are not named are forgotten.
    pub(crate) fn record(&mut self, now: Instant, samples: BTreeMap<FunctionName, Sample>) {
        self.samples.retain(|name, _| samples.contains_key(name));
        for (name, sample) in samples {
            let history = self.samples.entry(name).or_default();
            history.push_back((now, sample));
            // One sample older than the window stays, so that the window is covered.
            while history.len() > 2 && history[1].0 + self.window <= now {
                history.pop_front();
            }
        }
    }

    /// The newest sample.
    pub(crate) fn last(&self, name: &FunctionName) -> Sample {
        self.samples.get(name).and_then(|history| history.back()).map_or_else(Sample::default, |(_, sample)| *sample)
    }

    pub(crate) fn totals(&self, name: &FunctionName) -> Totals {
        self.last(name).totals()
    }

    pub(crate) fn rate(&self, name: &FunctionName) -> Rate {
        let Some(history) = self.samples.get(name) else { return Rate::default() };
        let (Some((from, old)), Some((to, new))) = (history.front(), history.back()) else { return Rate::default() };
        let seconds = to.duration_since(*from).as_secs_f64();
        if seconds == 0.0 {
            return Rate::default();
        }
        // A counter that fell (a part of its sum was restarted) counts as standing still.
        let per_second = |old: u64, new: u64| new.saturating_sub(old) as f64 / seconds;
        let (a, b) = (old.totals(), new.totals());
        Rate {
            outcomes: Outcomes {
                offered: per_second(a.offered, b.offered),
                local: per_second(a.local, b.local),
                forwarded: per_second(a.forwarded, b.forwarded),
                rejected: per_second(a.rejected, b.rejected),
                received: per_second(a.received, b.received),
            },
            kept: per_second(old.kept, new.kept),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(n: u64) -> BTreeMap<FunctionName, Sample> {
        let by_kernel = Outcomes { offered: n, ..Outcomes::default() };
        [("f".parse().unwrap(), Sample { by_kernel, kept: n / 2, ..Sample::default() })].into()
    }

    #[test]
    fn a_steady_stream_has_its_rate_after_the_second_sample() {
        let name = "f".parse().unwrap();
        let start = Instant::now();
        let mut rates = Rates::new(Duration::from_secs(1));
        rates.record(start, offered(1000));
        assert_eq!(rates.rate(&name).outcomes.offered, 0.0);
        for quarter in 1..20 {
            rates.record(start + Duration::from_millis(250 * quarter), offered(1000 + 10 * quarter));
            assert_eq!(rates.rate(&name).outcomes.offered, 40.0);
            assert_eq!(rates.rate(&name).kept, 20.0);
        }
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let name = "f".parse().unwrap();
        let start = Instant::now();
        let mut rates = Rates::new(Duration::from_secs(1));
        for quarter in 0..=4 {
            rates.record(start + Duration::from_millis(250 * quarter), offered(100 * quarter));
        }
        for quarter in 5..=8 {
            rates.record(start + Duration::from_millis(250 * quarter), offered(400));
        }
        assert_eq!(rates.rate(&name).outcomes.offered, 0.0);
    }

    #[test]
    fn a_counter_that_fell_gives_no_negative_rate() {
        let name = "f".parse().unwrap();
        let start = Instant::now();
        let mut rates = Rates::new(Duration::from_secs(1));
        rates.record(start, offered(1000));
        rates.record(start + Duration::from_secs(1), offered(5));
        assert_eq!(rates.rate(&name).outcomes.offered, 0.0);
    }
}
