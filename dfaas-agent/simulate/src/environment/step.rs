//! One step of all agents.

use std::collections::HashMap;

use super::{Parameters, topology::Topology};
use crate::queue::{SteadyState, steady_state};

/// Shares of a node's input: here, each neighbour in the order of the topology, refused. Their sum is 1.
pub type Action = Vec<f64>;

/// What became of one agent's input, in calls per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeStep {
    pub input: u32,
    pub local: u32,
    /// To each neighbour.
    pub forwarded: Vec<u32>,
    pub rejected: u32,
    /// What reached the node, its own share included, and what of it the node had no container for.
    pub incoming: u32,
    pub incoming_rejected: u32,
    /// Of this agent's calls: rejected here, and by each neighbour.
    pub local_rejected: u32,
    pub forward_rejected: Vec<u32>,
    /// Of what is served here; 0 without such calls.
    pub response_s: f64,
    /// Time on the network of a forwarded call and of its answer; 0 without such calls.
    pub forward_ms: f64,
    pub answer_ms: f64,
    pub reward: f64,
}

#[derive(Debug)]
pub struct Environment {
    parameters: Parameters,
    topology: Topology,
    /// The same number of calls gives the same steady state, which is computed once.
    known: HashMap<u32, SteadyState>,
}

impl Environment {
    pub fn new(parameters: Parameters, topology: Topology) -> Self {
        Self { parameters, topology, known: HashMap::new() }
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Inputs and actions by node.
    pub fn step(&mut self, inputs: &[u32], actions: &[Action]) -> Vec<NodeStep> {
        let mut steps: Vec<NodeStep> =
            inputs.iter().zip(actions).map(|(input, action)| split(*input, action)).collect();
        for node in 0..steps.len() {
            self.serve(node, &mut steps);
        }
        for step in &mut steps {
            self.finish(step);
        }
        steps
    }

    /// What a node rejects goes back to the senders in proportion to what they sent.
    fn serve(&mut self, node: usize, steps: &mut [NodeStep]) {
        // The node itself comes first, then the others by number: this decides who bears a rest that could be anyone's.
        let mut senders = vec![(node, None, steps[node].local)];
        for &other in &self.topology.neighbours[node] {
            let place = self.topology.neighbours[other].iter().position(|neighbour| *neighbour == node);
            let calls = place.map_or(0, |place| steps[other].forwarded[place]);
            senders.push((other, place, calls));
        }
        let incoming: u32 = senders.iter().map(|(.., calls)| calls).sum();
        if incoming == 0 {
            return;
        }
        let state = self.steady_state(incoming);
        let rejected = state.rejection_rate.round_ties_even().clamp(0.0, f64::from(incoming)) as u32;
        steps[node].incoming = incoming;
        steps[node].incoming_rejected = rejected;
        steps[node].response_s = if steps[node].local > 0 { state.response_s } else { 0.0 };
        // Divided first, as the original does: the last bit decides between equal rests.
        let shares: Vec<f64> =
            senders.iter().map(|(.., calls)| f64::from(*calls) / f64::from(incoming) * f64::from(rejected)).collect();
        for ((sender, place, _), rejects) in senders.iter().zip(whole_parts(&shares, rejected)) {
            match place {
                None => steps[*sender].local_rejected = rejects,
                Some(place) => steps[*sender].forward_rejected[*place] = rejects,
            }
        }
    }

    fn steady_state(&mut self, incoming: u32) -> SteadyState {
        *self.known.entry(incoming).or_insert_with(|| steady_state(&self.parameters.load(incoming)))
    }

    fn finish(&self, step: &mut NodeStep) {
        let forwarded: u32 = step.forwarded.iter().sum();
        if forwarded > 0 {
            step.forward_ms = self.parameters.transfer_ms(self.parameters.request_bytes);
            step.answer_ms = self.parameters.transfer_ms(self.parameters.answer_bytes);
        }
        if step.input > 0 {
            let lost = step.local_rejected + step.forward_rejected.iter().sum::<u32>();
            let served = f64::from(step.local + forwarded) - f64::from(lost);
            step.reward = (served - f64::from(step.rejected)) / f64::from(step.input);
        }
    }
}

/// Whole calls from shares.
fn split(input: u32, action: &Action) -> NodeStep {
    let calls: Vec<f64> = action.iter().map(|share| share * f64::from(input)).collect();
    let parts = whole_parts(&calls, input);
    let (local, others) = parts.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
    let (rejected, forwarded) = others.split_last().map_or((0, &[][..]), |(last, rest)| (*last, rest));
    NodeStep {
        input,
        local,
        forwarded: forwarded.to_vec(),
        rejected,
        forward_rejected: vec![0; forwarded.len()],
        ..NodeStep::default()
    }
}

/// Rounded down; what is left of the total goes to the largest fractions, of equal ones to the first.
fn whole_parts(shares: &[f64], total: u32) -> Vec<u32> {
    let mut parts: Vec<u32> = shares.iter().map(|share| *share as u32).collect();
    let left = total.saturating_sub(parts.iter().sum());
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()));
    for place in order.into_iter().take(left as usize) {
        parts[place] += 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::new(Parameters::default(), Topology::named("two").unwrap())
    }

    #[test]
    fn a_share_becomes_whole_calls_and_the_largest_fractions_get_the_rest() {
        let step = split(67, &vec![0.3075, 0.4455, 0.2470]);
        assert_eq!((step.local, step.forwarded, step.rejected), (21, vec![30], 16));
        assert_eq!(whole_parts(&[0.5, 0.5, 2.0], 3), [1, 0, 2]);
    }

    #[test]
    fn calls_within_the_capacity_are_all_served() {
        let steps = environment().step(&[50, 20], &[vec![1.0, 0.0, 0.0], vec![0.0, 0.5, 0.5]]);
        assert_eq!((steps[0].incoming, steps[0].incoming_rejected, steps[0].reward), (60, 0, 1.0));
        assert_eq!((steps[1].forwarded.as_slice(), steps[1].rejected, steps[1].reward), (&[10][..], 10, 0.0));
        assert_eq!((steps[1].incoming, steps[1].response_s), (0, 0.0));
        assert!((steps[1].forward_ms - 5.081_92).abs() < 1e-12, "{}", steps[1].forward_ms);
    }

    #[test]
    fn rejects_are_borne_by_the_senders_in_proportion() {
        let steps = environment().step(&[120, 60], &[vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]]);
        assert_eq!(steps[0].incoming, 180);
        let (own, foreign) = (steps[0].local_rejected, steps[1].forward_rejected[0]);
        assert_eq!(own + foreign, steps[0].incoming_rejected);
        assert!(own.abs_diff(2 * foreign) <= 2, "{own} and {foreign} of 120 and 60");
        assert!(steps[1].reward < 1.0);
    }

    #[test]
    fn nothing_comes_of_nothing() {
        let steps = environment().step(&[0, 0], &[vec![1.0, 0.0, 0.0], vec![0.0, 1.0, 0.0]]);
        assert!(steps.iter().all(|step| step.incoming == 0 && step.reward == 0.0), "{steps:?}");
    }
}
