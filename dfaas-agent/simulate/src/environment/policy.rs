//! Baselines: how an agent without learning chooses.

use anyhow::Result;
use rand::Rng;

use super::step::{Action, NodeStep};
use dfaas_base::BadInput;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    AllLocal,
    /// Any point of the simplex with equal probability.
    Random,
    /// Serve what fits; give the rest to neighbours by the share of the last calls that they served; refuse what nobody
    /// would take.
    Greedy,
}

impl Policy {
    pub const NAMES: [&str; 3] = ["all-local", "random", "greedy"];

    pub fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "all-local" => Self::AllLocal,
            "random" => Self::Random,
            "greedy" => Self::Greedy,
            _ => {
                let expected = format!("expected one of {}", Self::NAMES.join(", "));
                return Err(BadInput(format!("--policy is {name:?}, {expected}")).into());
            }
        })
    }

    /// An action from what the agent sees: its input, and what became of the calls it forwarded in the step before.
    pub fn choose(
        self,
        input: u32,
        neighbours: usize,
        last: Option<&NodeStep>,
        capacity: f64,
        rng: &mut impl Rng,
    ) -> Action {
        let mut action = vec![0.0; neighbours + 2];
        match self {
            Self::AllLocal => action[0] = 1.0,
            // Exponential variables over their sum are spread evenly.
            Self::Random => action.iter_mut().for_each(|share| *share = -(1.0 - rng.random::<f64>()).ln()),
            Self::Greedy => greedy(&mut action, input, last, capacity),
        }
        normalise(&mut action);
        action
    }
}

fn greedy(action: &mut Action, input: u32, last: Option<&NodeStep>, capacity: f64) {
    let input = f64::from(input);
    let here = capacity.floor().min(input);
    let excess = input - here;
    let neighbours = action.len() - 2;
    let served = |neighbour: usize| match last.map(|last| (last.forwarded[neighbour], last.forward_rejected[neighbour]))
    {
        Some((forwarded @ 1.., rejected)) => 1.0 - f64::from(rejected) / f64::from(forwarded),
        // Nobody knows what it would do with the next one.
        _ => 1.0,
    };
    let trust: Vec<f64> = (0..neighbours).map(served).collect();
    let sum: f64 = trust.iter().sum();
    action[0] = if input > 0.0 { here } else { 1.0 };
    if sum > 0.0 {
        action[1..=neighbours].iter_mut().zip(trust).for_each(|(share, trust)| *share = excess * trust / sum);
    } else {
        action[neighbours + 1] = excess;
    }
}

fn normalise(action: &mut Action) {
    let sum: f64 = action.iter().sum();
    if sum > 0.0 {
        for share in action {
            *share /= sum;
        }
    } else {
        action[0] = 1.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{SeedableRng as _, rngs::StdRng};

    fn chosen(policy: Policy, input: u32, last: Option<&NodeStep>) -> Action {
        policy.choose(input, 2, last, 66.7, &mut StdRng::seed_from_u64(5))
    }

    #[test]
    fn every_action_lies_on_the_simplex() {
        for policy in [Policy::AllLocal, Policy::Random, Policy::Greedy] {
            for input in [0, 1, 60, 150] {
                let action = chosen(policy, input, None);
                assert_eq!(action.len(), 4);
                assert!((action.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{policy:?} {action:?}");
                assert!(action.iter().all(|share| *share >= 0.0), "{policy:?} {action:?}");
            }
        }
    }

    #[test]
    fn greedy_gives_away_only_what_does_not_fit() {
        assert_eq!(chosen(Policy::Greedy, 60, None), [1.0, 0.0, 0.0, 0.0]);
        let action = chosen(Policy::Greedy, 100, None);
        assert!((action[0] - 0.66).abs() < 1e-12 && (action[1] - 0.17).abs() < 1e-12, "{action:?}");
    }

    #[test]
    fn greedy_turns_away_from_neighbours_that_rejected_and_refuses_if_all_did() {
        let last = |rejected: [u32; 2]| NodeStep {
            forwarded: vec![10, 10],
            forward_rejected: rejected.to_vec(),
            ..NodeStep::default()
        };
        let action = chosen(Policy::Greedy, 100, Some(&last([10, 0])));
        assert!((action[2] - 0.34).abs() < 1e-12 && action[1] == 0.0, "{action:?}");
        let action = chosen(Policy::Greedy, 100, Some(&last([10, 10])));
        assert!((action[3] - 0.34).abs() < 1e-12, "{action:?}");
    }
}
