//! The steady state of a function that scales to zero: warm containers serve, a call that finds none starts a new one, idle
//! ones are removed after a while.
//!
//! A birth-death chain over the number of warm containers; each state's blocking is that of an Erlang loss system.

pub mod table;

/// Times in seconds, rates in calls per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    pub arrival_rate: f64,
    pub warm_service_s: f64,
    pub cold_service_s: f64,
    pub idle_before_kill_s: f64,
    pub maximum_concurrency: usize,
    /// Look at no more states than are likely; a chain that stays below the maximum rejects nothing.
    pub faster: bool,
}

/// Means over the states.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SteadyState {
    /// Warm containers, and all of them.
    pub servers: f64,
    pub servers_total: f64,
    pub running: f64,
    pub running_warm: f64,
    pub running_cold: f64,
    pub idle: f64,
    pub cold_probability: f64,
    pub utilization: f64,
    pub response_s: f64,
    pub rejection_probability: f64,
    pub rejection_rate: f64,
}

/// States looked at first, and beyond each that still gains more containers than it loses.
const STATES_AHEAD: usize = 30;

/// States before the most likely one that are less likely by this factor are 0: what the original's solver finds there is
/// rounding, and it takes half of it for 0.
const ROUNDING: f64 = 3e-14;

/// The loss system and the removal of containers, by number of warm containers.
#[derive(Debug)]
struct States {
    /// Probability that a call finds no warm container.
    blocking: Vec<f64>,
    /// Containers removed per second.
    kill_rate: Vec<f64>,
}

/// Loads of zero are allowed; all values must be finite, the times above 0 and the concurrency 1 or more.
pub fn steady_state(load: &Load) -> SteadyState {
    let states = States::new(load);
    let probability = states.probabilities(load);
    let last = probability.len() - 1;
    let full = last == load.maximum_concurrency;
    let mut mean = SteadyState::default();
    for (containers, p) in probability.iter().enumerate() {
        let blocking = states.blocking[containers];
        // At the maximum a call that finds no warm container is refused.
        let cold = if full && containers == last { 0.0 } else { blocking };
        let warm = 1.0 - blocking;
        let response = if full && containers == last {
            load.warm_service_s
        } else {
            blocking * load.cold_service_s + warm * load.warm_service_s
        };
        mean.servers += p * containers as f64;
        mean.running_warm += p * load.arrival_rate * warm * load.warm_service_s;
        mean.running_cold += p * load.arrival_rate * cold * load.cold_service_s;
        mean.cold_probability += p * cold;
        mean.response_s += p * response;
    }
    mean.servers_total = mean.servers + mean.running_cold;
    mean.running = mean.running_warm + mean.running_cold;
    mean.idle = mean.servers - mean.running_warm;
    mean.utilization = if mean.servers > 0.0 { mean.running_warm / mean.servers } else { 0.0 };
    if full {
        mean.rejection_probability = states.blocking[last] * probability[last];
        mean.rejection_rate = load.arrival_rate * mean.rejection_probability;
    }
    mean
}

impl States {
    fn new(load: &Load) -> Self {
        let rate = load.arrival_rate;
        let mut states = Self { blocking: vec![1.0], kill_rate: vec![0.0] };
        let all = load.maximum_concurrency;
        let mut last = if load.faster { STATES_AHEAD.min(all) } else { all };
        let mut containers = 0;
        while containers < last {
            containers += 1;
            let before = states.blocking[containers - 1];
            // Erlang's recursion; the inverse grows beyond any number for hopelessly many containers.
            let blocking = 1.0 / (1.0 + containers as f64 / (rate * load.warm_service_s * before));
            let kill_rate = states.kill_rate[containers - 1] + 1.0 / lifetime(load, rate * (before - blocking));
            states.blocking.push(blocking);
            states.kill_rate.push(kill_rate);
            if rate * blocking > kill_rate {
                last = last.max((containers + STATES_AHEAD).min(all));
            }
        }
        states
    }

    /// The stationary distribution. In logarithms, because products of hundreds of rates leave the range of numbers.
    fn probabilities(&self, load: &Load) -> Vec<f64> {
        let mut logs = vec![0.0];
        for containers in 1..self.blocking.len() {
            let block_rate = load.arrival_rate * self.blocking[containers - 1];
            let start_rate = 1.0 / load.cold_service_s;
            let up = block_rate * start_rate / (block_rate + start_rate);
            let down = self.kill_rate[containers];
            if down > 0.0 {
                logs.push(if up > 0.0 { logs[containers - 1] + up.ln() - down.ln() } else { f64::NEG_INFINITY });
            } else {
                // No way back: the states before this one are left for good.
                logs.fill(f64::NEG_INFINITY);
                logs.push(0.0);
            }
        }
        let (mode, most) = logs
            .iter()
            .copied()
            .enumerate()
            .fold((0, f64::NEG_INFINITY), |best, (i, log)| if log > best.1 { (i, log) } else { best });
        let mut relative: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
        for before in &mut relative[..mode] {
            *before = if *before < ROUNDING { 0.0 } else { *before };
        }
        let total: f64 = relative.iter().sum();
        relative.iter().map(|p| p / total).collect()
    }
}

/// Mean life of a container that gets this many calls per second.
fn lifetime(load: &Load, rate: f64) -> f64 {
    let idle = load.idle_before_kill_s;
    if rate <= 0.0 {
        return idle;
    }
    let survived = (-idle * rate).exp();
    let horizon = idle + load.warm_service_s;
    let passed = (-rate * horizon).exp();
    let gap = (1.0 - passed) / rate - horizon * passed;
    idle + (1.0 / survived - 1.0) * gap
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(arrival_rate: f64, maximum_concurrency: usize, faster: bool) -> Load {
        Load {
            arrival_rate,
            warm_service_s: 2.0,
            cold_service_s: 3.0,
            idle_before_kill_s: 60.0,
            maximum_concurrency,
            faster,
        }
    }

    /// Erlang's B for 3 servers and an offered load of 2: (8/6) / (1 + 2 + 2 + 8/6) = 4/19.
    #[test]
    fn blocking_is_that_of_the_loss_system() {
        let states = States::new(&load(1.0, 3, false));
        assert!((states.blocking[3] - 4.0 / 19.0).abs() < 1e-15, "{:?}", states.blocking);
    }

    #[test]
    fn probabilities_sum_to_one_whatever_the_load() {
        for rate in [0.0, 1e-9, 0.01, 1.0, 30.0, 1e5] {
            for states in [1, 2, 40, 2000] {
                for faster in [false, true] {
                    let load = load(rate, states, faster);
                    let sum: f64 = States::new(&load).probabilities(&load).iter().sum();
                    assert!((sum - 1.0).abs() < 1e-12, "{load:?}: {sum}");
                    let mean = steady_state(&load);
                    assert!(mean.running_warm >= 0.0 && mean.rejection_rate >= 0.0, "{load:?}: {mean:?}");
                    assert!(mean.running_warm <= states as f64 + 1e-9, "{load:?}: {mean:?}");
                }
            }
        }
    }

    #[test]
    fn calls_beyond_what_the_containers_can_serve_are_rejected() {
        let mean = steady_state(&load(100.0, 10, true));
        // Ten containers serve five calls per second.
        assert!((mean.rejection_rate - 95.0).abs() < 0.1, "{mean:?}");
        assert!(mean.cold_probability < 1e-9, "{mean:?}");
    }

    #[test]
    fn the_faster_solution_finds_the_same_means() {
        let (all, some) = (steady_state(&load(3.0, 1000, false)), steady_state(&load(3.0, 1000, true)));
        assert!((all.servers - some.servers).abs() < 1e-6 * all.servers, "{all:?} {some:?}");
        assert_eq!(some.rejection_rate, 0.0);
    }

    #[test]
    fn without_calls_no_container_runs() {
        let mean = steady_state(&load(0.0, 10, false));
        assert_eq!((mean.servers, mean.running, mean.rejection_rate, mean.utilization), (0.0, 0.0, 0.0, 0.0));
    }

    /// The recursive formula overflows stacks at this depth.
    #[test]
    fn a_hundred_thousand_containers_are_no_problem() {
        let mean = steady_state(&load(20_000.0, 100_000, false));
        assert!(mean.running_warm > 39_000.0 && mean.rejection_rate < 1e-9, "{mean:?}");
    }
}
