//! When requests are due: a pure function of stages, kind of arrivals and seed.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::Arrivals;

/// Absorbs rounding: 3 requests planned as 3.0000000000000004 stay 3.
const ROUNDING: f64 = 1e-9;

/// Some time with a rate (requests per second) that is constant or changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    pub from: f64,
    pub to: f64,
    pub duration: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// After the start of the first stage.
    pub due: Duration,
    /// Index of the stage.
    pub stage: usize,
}

impl Stage {
    pub const fn constant(rate: f64, duration: Duration) -> Self {
        Self { from: rate, to: rate, duration }
    }

    /// How many requests are due in it.
    fn requests(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.duration.as_secs_f64()
    }

    /// When (seconds after its begin) the number of requests that were due reaches `count`.
    fn when(&self, count: f64) -> f64 {
        let length = self.duration.as_secs_f64();
        let growth = (self.to - self.from) / (2.0 * length);
        // The form of the root that is exact also for a constant rate.
        let divisor = self.from + (self.from * self.from + 4.0 * growth * count).max(0.0).sqrt();
        if divisor > 0.0 { (2.0 * count / divisor).min(length) } else { 0.0 }
    }
}

/// How long all stages take.
pub fn length(stages: &[Stage]) -> Duration {
    stages.iter().map(|stage| stage.duration).sum()
}

/// How many requests are due at constant distances; on average for random ones.
pub fn expected(stages: &[Stage]) -> u64 {
    (stages.iter().map(Stage::requests).sum::<f64>() - ROUNDING).ceil().max(0.0) as u64
}

/// All arrivals in order of time.
pub fn arrivals(stages: &[Stage], kind: Arrivals) -> impl Iterator<Item = Arrival> + Send + 'static {
    let random = match kind {
        Arrivals::Constant => None,
        Arrivals::Poisson { seed } => Some(StdRng::seed_from_u64(seed)),
    };
    let mut walk = Walk { stages: stages.to_vec(), stage: 0, begin: Duration::ZERO, before: 0.0, count: 0.0, random };
    walk.count = walk.first();
    walk
}

/// Every arrival is where the integral of the rate reaches a count: 0, 1, 2 … or, for a Poisson process, sums of
/// exponentially distributed steps of mean 1.
struct Walk {
    stages: Vec<Stage>,
    stage: usize,
    /// Begin of the stage, and how many requests were due before it.
    begin: Duration,
    before: f64,
    /// Of the next arrival.
    count: f64,
    random: Option<StdRng>,
}

impl Walk {
    fn first(&mut self) -> f64 {
        if self.random.is_some() { self.step() } else { 0.0 }
    }

    fn step(&mut self) -> f64 {
        self.random.as_mut().map_or(1.0, |random| -(1.0 - random.random::<f64>()).ln())
    }
}

impl Iterator for Walk {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let stage = self.stages.get(self.stage)?;
            if self.count < self.before + stage.requests() - ROUNDING {
                let due = self.begin + Duration::from_secs_f64(stage.when((self.count - self.before).max(0.0)));
                self.count += self.step();
                return Some(Arrival { due, stage: self.stage });
            }
            self.before += stage.requests();
            self.begin += stage.duration;
            self.stage += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    fn times(stages: &[Stage]) -> Vec<f64> {
        arrivals(stages, Arrivals::Constant).map(|arrival| (arrival.due.as_secs_f64() * 1e3).round() / 1e3).collect()
    }

    #[test]
    fn constant_arrivals_have_equal_distances_and_begin_at_once() {
        assert_eq!(times(&[Stage::constant(4.0, secs(1.0))]), [0.0, 0.25, 0.5, 0.75]);
        assert_eq!(times(&[Stage::constant(0.1, secs(30.0))]), [0.0, 10.0, 20.0]);
    }

    #[test]
    fn a_pause_is_a_stage_without_arrivals() {
        let stages =
            [Stage::constant(2.0, secs(1.0)), Stage::constant(0.0, secs(3.0)), Stage::constant(1.0, secs(2.0))];
        assert_eq!(times(&stages), [0.0, 0.5, 4.0, 5.0]);
        assert_eq!(arrivals(&stages, Arrivals::Constant).last().unwrap().stage, 2);
    }

    #[test]
    fn a_ramp_has_as_many_arrivals_as_its_mean_rate_says_and_they_get_closer() {
        let due = times(&[Stage { from: 0.0, to: 100.0, duration: secs(2.0) }]);
        assert_eq!(due.len(), 100);
        // After t seconds of a ramp by 50 per second, 25 t² were due.
        assert_eq!((due[25], due[81]), (1.0, 1.8));
        assert!(due.windows(3).all(|w| w[2] - w[1] <= w[1] - w[0] + 0.002));
    }

    #[test]
    fn random_arrivals_are_the_same_for_a_seed_and_of_the_right_number_and_variance() {
        let stages = [Stage::constant(1_000.0, secs(20.0))];
        let walk = |seed| arrivals(&stages, Arrivals::Poisson { seed }).collect::<Vec<_>>();
        assert_eq!(walk(7), walk(7));
        assert_ne!(walk(7), walk(8));
        let all = walk(7);
        // Five standard deviations of a Poisson count.
        assert!((all.len() as f64 - 20_000.0).abs() < 5.0 * 20_000f64.sqrt(), "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|w| w[1].due.saturating_sub(w[0].due).as_secs_f64() * 1e3).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Of an exponential distribution: the square of the mean.
        assert!((mean - 1.0).abs() < 0.05 && (variance - 1.0).abs() < 0.1, "{mean} {variance}");
    }

    proptest! {
        #[test]
        fn arrivals_are_in_order_within_the_stages_and_as_many_as_expected(
            rates in prop::collection::vec((0.0..500.0f64, 0.0..500.0f64, 1u64..3_000), 1..6),
            seed: u64,
        ) {
            let stage = |&(from, to, millis): &(f64, f64, u64)| {
                Stage { from, to, duration: Duration::from_millis(millis) }
            };
            let stages: Vec<Stage> = rates.iter().map(stage).collect();
            let end = length(&stages);
            let constant: Vec<_> = arrivals(&stages, Arrivals::Constant).collect();
            prop_assert!((constant.len() as i64 - expected(&stages) as i64).abs() <= 1);
            for all in [constant, arrivals(&stages, Arrivals::Poisson { seed }).collect()] {
                prop_assert!(all.windows(2).all(|w| w[0].due <= w[1].due && w[0].stage <= w[1].stage));
                prop_assert!(all.iter().all(|arrival| arrival.due <= end));
            }
        }
    }
}
