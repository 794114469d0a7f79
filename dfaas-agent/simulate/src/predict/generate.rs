//! Random instances with the original's distribution. Structure and load come from two random streams of one seed, so
//! that the same federation can be seen under several loads.

use rand::{
    Rng, SeedableRng as _,
    rngs::StdRng,
    seq::{IndexedRandom as _, SliceRandom as _},
};

use super::{
    MINUTES,
    instance::{Instance, Node},
};
use crate::graph::Graph;
use dfaas_agent::{
    forecast::{
        NodeType,
        groups::{Group, Groups},
    },
    name::FunctionName,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    pub nodes: usize,
    pub edge_probability: f64,
    /// Share of overloaded nodes, in percent.
    pub overloaded_percent: f64,
    pub seed: u64,
}

/// Rates of a node that is not overloaded, in parts of the most it could get.
const IDLE_SHARE: f64 = 0.15;
/// Minutes in which the load grows.
const RISE: usize = 4;

pub fn generate(wanted: &Wanted, groups: &Groups) -> Instance {
    let mut structure = StdRng::seed_from_u64(wanted.seed);
    let mut load = StdRng::seed_from_u64(wanted.seed);
    let share = wanted.overloaded_percent / 100.0;
    let mut may_overload = (share * wanted.nodes as f64).round_ties_even() as usize;
    let mut nodes = Vec::with_capacity(wanted.nodes);
    for _ in 0..wanted.nodes {
        let kind = kind(&mut structure);
        let functions = functions(&mut structure, groups);
        let overloaded = may_overload > 0 && load.random::<f64>() < share;
        may_overload -= usize::from(overloaded);
        nodes.push(node(kind, &functions, overloaded, &mut load));
    }
    let graph = Graph::random(wanted.nodes, wanted.edge_probability, &mut structure);
    for (i, node) in nodes.iter_mut().enumerate() {
        node.neighbours = graph.neighbours(i).to_vec();
    }
    let Wanted { seed, edge_probability, overloaded_percent, .. } = *wanted;
    Instance { seed, edge_probability, overloaded_percent, nodes }
}

fn kind(rng: &mut impl Rng) -> NodeType {
    match rng.random_range(0..10) {
        0..2 => NodeType::Heavy,
        2..5 => NodeType::Mid,
        _ => NodeType::Light,
    }
}

/// One to three groups, and of each a part that is not empty.
fn functions(rng: &mut impl Rng, groups: &Groups) -> Vec<(Group, Vec<FunctionName>)> {
    let mut all = Group::ALL;
    all.shuffle(rng);
    let count = rng.random_range(1..=all.len());
    let mut part = |group: &Group| {
        let all: Vec<_> = groups.functions(*group).into_iter().cloned().collect();
        let count = rng.random_range(1..=all.len());
        (*group, all.choose_multiple(rng, count).cloned().collect())
    };
    all[..count].iter().map(&mut part).collect()
}

fn node(kind: NodeType, groups: &[(Group, Vec<FunctionName>)], overloaded: bool, rng: &mut impl Rng) -> Node {
    let mut rates: Vec<(&FunctionName, [u32; MINUTES])> = Vec::new();
    for (group, functions) in groups {
        let most = most(kind, *group) * if overloaded { 1.0 } else { IDLE_SHARE };
        let first = rates.len();
        rates.extend(functions.iter().map(|function| (function, [0; MINUTES])));
        for minute in 0..MINUTES {
            let shares = split(group_rate(minute, most, rng), functions.len(), rng);
            for ((_, rates), share) in rates[first..].iter_mut().zip(shares) {
                rates[minute] = share;
            }
        }
    }
    rates.sort();
    let by_minute = |minute: usize| rates.iter().map(|(_, rates)| rates[minute]).collect();
    Node {
        kind,
        neighbours: Vec::new(),
        functions: rates.iter().map(|(function, _)| (*function).clone()).collect(),
        rates: std::array::from_fn(by_minute),
    }
}

/// The most calls per second that a group gets.
fn most(kind: NodeType, group: Group) -> f64 {
    let [low, high, medium] = match kind {
        NodeType::Heavy => [400.0, 90.0, 200.0],
        NodeType::Mid => [570.0, 80.0, 200.0],
        NodeType::Light => [330.0, 40.0, 180.0],
    };
    match group {
        Group::Low => low,
        Group::High => high,
        Group::Medium => medium,
    }
}

/// A triangle over the minutes.
fn group_rate(minute: usize, most: f64, rng: &mut impl Rng) -> u32 {
    let step = if minute < RISE { minute } else { MINUTES - 1 - minute } as f64;
    let bound = |step: f64| step * most / RISE as f64;
    rng.random_range(bound(step).floor() as u32..=bound(step + 1.0).ceil() as u32)
}

/// Random numbers, scaled down to the rate; what that loses goes to the first function.
fn split(rate: u32, functions: usize, rng: &mut impl Rng) -> Vec<u32> {
    let mut shares: Vec<u32> = (0..functions).map(|_| rng.random_range(0..=rate)).collect();
    let sum: u32 = shares.iter().sum();
    for share in &mut shares {
        *share = (*share * rate).checked_div(sum).unwrap_or(0);
    }
    let given: u32 = shares.iter().sum();
    if let Some(first) = shares.first_mut() {
        *first += rate - given;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Wanted = Wanted { nodes: 2000, edge_probability: 0.002, overloaded_percent: 60.0, seed: 5 };

    #[test]
    fn the_same_seed_gives_the_same_instance() {
        let small = Wanted { nodes: 20, ..WANTED };
        assert_eq!(generate(&small, &Groups::default()), generate(&small, &Groups::default()));
        let other = Wanted { seed: 6, ..small };
        assert_ne!(generate(&small, &Groups::default()), generate(&other, &Groups::default()));
    }

    #[test]
    fn another_load_leaves_the_structure_as_it_is() {
        let [low, high] = [0.0, 100.0].map(|overloaded_percent| {
            generate(&Wanted { nodes: 30, overloaded_percent, ..WANTED }, &Groups::default()).nodes
        });
        for (low, high) in low.iter().zip(&high) {
            assert_eq!((low.kind, &low.functions, &low.neighbours), (high.kind, &high.functions, &high.neighbours));
        }
        assert!(low.iter().zip(&high).all(|(low, high)| low.rates[3].iter().sum::<u32>() < high.rates[3].iter().sum()));
    }

    #[test]
    fn kinds_and_overload_have_their_shares() {
        let instance = generate(&WANTED, &Groups::default());
        let share = |kind| instance.nodes.iter().filter(|n| n.kind == kind).count() as f64 / 2000.0;
        for (kind, expected) in [(NodeType::Heavy, 0.2), (NodeType::Mid, 0.3), (NodeType::Light, 0.5)] {
            // Five standard deviations of a share among 2000.
            assert!((share(kind) - expected).abs() < 0.056, "{kind:?}: {}", share(kind));
        }
        let busy = |node: &&Node| {
            let groups = node.group_rates(3, &Groups::default());
            Group::ALL.into_iter().any(|group| groups.of(group) >= (most(node.kind, group) * 0.75).floor())
        };
        let overloaded = instance.nodes.iter().filter(busy).count();
        assert!((1090..=1200).contains(&overloaded), "{overloaded}");
    }

    #[test]
    fn the_load_is_a_triangle_and_split_without_loss() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..200 {
            for (minute, (low, high)) in
                [(0, 23), (22, 45), (45, 68), (67, 90), (45, 68), (22, 45), (0, 23)].into_iter().enumerate()
            {
                let rate = group_rate(minute, 90.0, &mut rng);
                assert!((low..=high).contains(&rate), "minute {minute}: {rate}");
                assert_eq!(split(rate, 3, &mut rng).iter().sum::<u32>(), rate);
            }
        }
        assert_eq!(split(0, 2, &mut rng), [0, 0]);
    }
}
