//! What comes to the nodes in every step: made-up processes with noise from a seed, or a recorded trace.

mod trace;

use std::{f64::consts::TAU, path::Path};

use anyhow::Result;
use rand::{Rng, SeedableRng as _, rngs::StdRng};

use dfaas_base::BadInput;

/// Calls per second of a node lie between these.
const RANGE: (f64, f64) = (1.0, 150.0);

/// Mean per node that a federation of the default parameters can just serve; more is scaled down.
const SUSTAINED: f64 = 63.0;

#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// 70 +- 65, one period an episode, phases spread evenly over the nodes.
    Sinusoidal,
    /// Mean 61, standard deviation 32.
    Normal,
    /// 5 and 100, node by node in turn.
    Constant,
    /// 5 on every other node, the rest grow from 1 to 150.
    LinearGrowth,
    /// All grow from 1 to 150.
    DoubleLinearGrowth,
    /// 5 and 100, from half time on 70 and 30, node by node in turn.
    StepChange,
    /// Recorded rates by node and window, scaled to the range and stretched over the episode.
    Trace(Vec<Vec<f64>>),
}

impl Arrivals {
    pub const NAMES: [&str; 6] =
        ["sinusoidal", "normal", "constant", "linear-growth", "double-linear-growth", "step-change"];

    /// A name, with or without the original's `synthetic-`, or the file of a trace.
    pub fn read(given: &str) -> Result<Self> {
        Ok(match given.strip_prefix("synthetic-").unwrap_or(given) {
            "sinusoidal" => Self::Sinusoidal,
            "normal" => Self::Normal,
            "constant" => Self::Constant,
            "linear-growth" => Self::LinearGrowth,
            "double-linear-growth" => Self::DoubleLinearGrowth,
            "step-change" => Self::StepChange,
            file if Path::new(file).is_file() => Self::Trace(trace::read(Path::new(file))?),
            _ => {
                let expected = format!("expected {} or the file of a trace", Self::NAMES.join(", "));
                return Err(BadInput(format!("--arrivals is {given:?}, {expected}")).into());
            }
        })
    }

    /// By step and node.
    pub fn generate(&self, nodes: usize, steps: usize, seed: u64) -> Vec<Vec<u32>> {
        let mut rng = StdRng::seed_from_u64(seed);
        // The noise of a node keeps its strength for the whole episode.
        let noise: Vec<f64> = (0..nodes).map(|_| rng.random_range(0.05..=0.10)).collect();
        let step = |step| {
            let rates = (0..nodes).map(|node| self.rate(node, nodes, step, steps, noise[node], &mut rng));
            self.bound(rates.collect())
        };
        (0..steps).map(step).collect()
    }

    fn rate(&self, node: usize, nodes: usize, step: usize, steps: usize, noise: f64, rng: &mut impl Rng) -> f64 {
        let even = node.is_multiple_of(2);
        let passed = step as f64 / (steps.max(2) - 1) as f64;
        let growing = RANGE.0 + (RANGE.1 - RANGE.0) * passed;
        match self {
            Self::Sinusoidal => {
                let phase = step as f64 / steps as f64 + node as f64 / nodes as f64;
                70.0 + 65.0 * ((TAU * phase).sin() + noise * normal(rng))
            }
            Self::Normal => 61.0 + 32.0 * normal(rng),
            Self::Constant => [100.0, 5.0][usize::from(even)],
            Self::LinearGrowth => [growing, 5.0][usize::from(even)],
            Self::DoubleLinearGrowth => growing,
            Self::StepChange if step < steps / 2 => [100.0, 5.0][usize::from(even)],
            Self::StepChange => [30.0, 70.0][usize::from(even)],
            Self::Trace(nodes) => {
                let windows = &nodes[node % nodes.len()];
                windows[(step * windows.len() / steps).min(windows.len() - 1)]
            }
        }
    }

    fn bound(&self, rates: Vec<f64>) -> Vec<u32> {
        let mut rates: Vec<f64> = rates.into_iter().map(|rate| rate.clamp(RANGE.0, RANGE.1)).collect();
        if matches!(self, Self::Sinusoidal | Self::Normal) {
            let excess = rates.iter().sum::<f64>() / (SUSTAINED * rates.len() as f64);
            rates.iter_mut().filter(|_| excess > 1.0).for_each(|rate| *rate = (*rate / excess).max(RANGE.0));
        }
        // Rounded down, so that the sum stays within what can be sustained.
        rates.into_iter().map(|rate| rate as u32).collect()
    }
}

/// By Box and Muller.
fn normal(rng: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_stays_in_range_and_depends_on_the_seed_alone() {
        for name in Arrivals::NAMES {
            let arrivals = Arrivals::read(&format!("synthetic-{name}")).unwrap();
            let rates = arrivals.generate(5, 288, 3);
            assert!(rates.iter().flatten().all(|rate| (1..=150).contains(rate)), "{name}");
            assert_eq!((rates.len(), rates[0].len()), (288, 5));
            assert_eq!(rates, arrivals.generate(5, 288, 3), "{name}");
        }
        assert_ne!(Arrivals::Normal.generate(5, 288, 3), Arrivals::Normal.generate(5, 288, 4));
    }

    #[test]
    fn waves_and_noise_are_scaled_to_what_the_nodes_can_sustain() {
        for arrivals in [Arrivals::Sinusoidal, Arrivals::Normal] {
            let rates = arrivals.generate(3, 288, 1);
            assert!(rates.iter().all(|step| step.iter().sum::<u32>() <= 3 * 63), "{arrivals:?}");
        }
    }

    #[test]
    fn a_wave_has_one_period_and_the_nodes_take_turns() {
        let rates = Arrivals::Sinusoidal.generate(2, 288, 1);
        assert!(rates[72][0] > 80 && rates[216][0] < 30, "{:?} {:?}", rates[72], rates[216]);
        assert!(rates[72][1] < 30 && rates[216][1] > 80);
    }

    #[test]
    fn steps_and_growth_reach_their_ends() {
        let change = Arrivals::StepChange.generate(2, 10, 1);
        assert_eq!((&change[4], &change[5]), (&vec![5, 100], &vec![70, 30]));
        let growth = Arrivals::LinearGrowth.generate(2, 10, 1);
        assert_eq!((&growth[0], &growth[9]), (&vec![5, 1], &vec![5, 150]));
    }

    #[test]
    fn an_unknown_process_is_refused() {
        let refused = Arrivals::read("tidal").unwrap_err();
        assert!(refused.is::<BadInput>() && refused.to_string().contains("--arrivals is \"tidal\""), "{refused}");
    }
}
