//! Who is whose neighbour: an undirected graph without self-loops, and the random connected one of the instances.

use rand::{Rng, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

/// Neighbours by node, in the order in which the edges were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    neighbours: Vec<Vec<usize>>,
}

impl Graph {
    /// `nodes` nodes and no edge.
    pub fn new(nodes: usize) -> Self {
        Self { neighbours: vec![Vec::new(); nodes] }
    }

    /// The graph of [`Graph::random`] that belongs to a seed.
    pub fn generate(nodes: usize, probability: f64, seed: u64) -> Self {
        Self::random(nodes, probability, &mut StdRng::seed_from_u64(seed))
    }

    /// Connected: every node gets an edge to a later one, and one to each other later node with this probability.
    /// Without any edge if the probability is 0 or less, complete if it is 1 or more.
    pub fn random(nodes: usize, probability: f64, rng: &mut impl Rng) -> Self {
        let mut graph = Self::new(nodes);
        if probability <= 0.0 || probability.is_nan() {
            return graph;
        }
        let all: Vec<usize> = (0..nodes).collect();
        for node in 0..nodes {
            let later = &all[node + 1..];
            let Some(&first) = later.choose(rng) else { break };
            graph.connect(node, first);
            for &other in later {
                if other != first && rng.random::<f64>() < probability {
                    graph.connect(node, other);
                }
            }
        }
        graph
    }

    /// Adds an edge. The caller makes sure that it joins two nodes and is new.
    pub fn connect(&mut self, a: usize, b: usize) {
        debug_assert!(a != b && !self.neighbours[a].contains(&b));
        self.neighbours[a].push(b);
        self.neighbours[b].push(a);
    }

    pub fn nodes(&self) -> usize {
        self.neighbours.len()
    }

    pub fn neighbours(&self, node: usize) -> &[usize] {
        &self.neighbours[node]
    }

    /// Every edge once, the smaller node first.
    pub fn edges(&self) -> impl Iterator<Item = (usize, usize)> {
        let from =
            |(a, to): (usize, &'_ Vec<usize>)| to.iter().filter(move |b| a < **b).map(move |b| (a, *b)).collect();
        self.neighbours.iter().enumerate().flat_map(move |node| -> Vec<_> { from(node) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(graph: &Graph) -> usize {
        let mut seen = vec![false; graph.nodes()];
        let mut open = vec![0];
        while let Some(node) = open.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                open.extend(graph.neighbours(node));
            }
        }
        seen.into_iter().filter(|s| *s).count()
    }

    #[test]
    fn a_random_graph_is_connected_and_symmetric() {
        for seed in 0..50 {
            let graph = Graph::generate(30, 0.02, seed);
            assert_eq!(reached(&graph), 30, "seed {seed}");
            for node in 0..30 {
                for &other in graph.neighbours(node) {
                    assert_ne!(node, other);
                    assert!(graph.neighbours(other).contains(&node));
                }
                let mut unique = graph.neighbours(node).to_vec();
                unique.sort_unstable();
                unique.dedup();
                assert_eq!(unique.len(), graph.neighbours(node).len());
            }
        }
    }

    #[test]
    fn the_number_of_edges_follows_the_probability() {
        let edges: usize = (0..20).map(|seed| Graph::generate(100, 0.1, seed).edges().count()).sum();
        // 99 certain ones, and a tenth of the other 4851, twenty times; five standard deviations.
        let mean = 20.0 * (99.0 + 0.1 * 4851.0);
        assert!(
            (edges as f64 - mean).abs() < 5.0 * (20.0 * 4851.0 * 0.09_f64).sqrt(),
            "{edges} edges, expected {mean}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_graph() {
        assert_eq!(Graph::generate(20, 0.3, 7), Graph::generate(20, 0.3, 7));
        assert_ne!(Graph::generate(20, 0.3, 7), Graph::generate(20, 0.3, 8));
    }

    #[test]
    fn extreme_probabilities_give_no_edge_or_all() {
        assert_eq!(Graph::generate(10, 0.0, 1).edges().count(), 0);
        assert_eq!(Graph::generate(10, f64::NAN, 1).edges().count(), 0);
        assert_eq!(Graph::generate(10, 1.0, 1).edges().count(), 45);
        assert_eq!(Graph::generate(0, 0.5, 1).edges().count(), 0);
        assert_eq!(Graph::generate(1, 0.5, 1).edges().count(), 0);
    }
}
