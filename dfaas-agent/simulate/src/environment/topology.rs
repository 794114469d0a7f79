//! Who may forward to whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;

use crate::field::{Document, Field};
use dfaas_base::BadInput;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub names: Vec<String>,
    /// Numbers of nodes, ascending.
    pub neighbours: Vec<Vec<usize>>,
}

/// Name, number of nodes, edges.
type Named = (&'static str, usize, &'static [(usize, usize)]);

/// The topologies of the original. The star's middle is the first node.
const NAMED: [Named; 4] = [
    ("two", 2, &[(0, 1)]),
    ("three", 3, &[(0, 1), (0, 2), (1, 2)]),
    ("star", 3, &[(0, 1), (0, 2)]),
    ("five", 5, &[(0, 1), (0, 2), (0, 3), (2, 3), (1, 4)]),
];

impl Topology {
    /// A name of the original, or a file.
    pub fn read(given: &str) -> Result<Self> {
        if let Some(topology) = Self::named(given) {
            return Ok(topology);
        }
        let path = Path::new(given);
        if !path.is_file() {
            let names: Vec<&str> = NAMED.iter().map(|(name, ..)| *name).collect();
            let expected = format!("expected a file or one of {}", names.join(", "));
            return Err(BadInput(format!("--topology is {given:?}, {expected}")).into());
        }
        let text = std::fs::read_to_string(path).map_err(|e| BadInput(format!("{given}: {e}, expected a graph")))?;
        if text.trim_start().starts_with('{') {
            Self::from_json(&Document::parse(path, &text)?.root())
        } else {
            Self::from_lines(given, &text)
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        let (_, nodes, edges) = NAMED.iter().find(|(known, ..)| *known == name)?;
        let names = (0..*nodes).map(|n| format!("node_{n}")).collect();
        let mut topology = Self { names, neighbours: vec![Vec::new(); *nodes] };
        for (a, b) in *edges {
            topology.connect(*a, *b);
        }
        Some(topology)
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// The node that is the only neighbour of all others, of three or more.
    pub fn middle_of_star(&self) -> Option<usize> {
        let middle = (0..self.names.len()).find(|node| self.neighbours[*node].len() + 1 == self.names.len())?;
        let others = self.neighbours.iter().enumerate().filter(|(node, _)| *node != middle);
        (self.names.len() > 2 && others.clone().all(|(_, neighbours)| neighbours.len() == 1)).then_some(middle)
    }

    /// A star around this node.
    #[must_use]
    pub fn with_middle(&self, middle: usize) -> Self {
        let mut star = Self { names: self.names.clone(), neighbours: vec![Vec::new(); self.names.len()] };
        (0..self.names.len()).filter(|node| *node != middle).for_each(|node| star.connect(middle, node));
        star
    }

    /// Twice the same edge is one edge.
    fn connect(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            if let Err(place) = self.neighbours[from].binary_search(&to) {
                self.neighbours[from].insert(place, to);
            }
        }
    }

    /// Every line: a node, then neighbours of it. What follows a `#` is a remark.
    fn from_lines(file: &str, text: &str) -> Result<Self> {
        let mut edges: Vec<(&str, &str, String)> = Vec::new();
        let mut nodes: Vec<&str> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
            let Some(node) = words.next() else { continue };
            nodes.push(node);
            for other in words {
                nodes.push(other);
                edges.push((node, other, format!("{file}: line {}", number + 1)));
            }
        }
        Self::from_edges(&nodes, &edges, file)
    }

    /// An object with a list of neighbours for every node, as such or under `neighbours`.
    fn from_json(root: &Field<'_>) -> Result<Self> {
        let entries: Vec<_> = root.entries()?.into_iter().filter(|(_, node)| !node.is_number()).collect();
        let nodes: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
        let mut edges = Vec::new();
        for (name, entry) in &entries {
            let list = if entry.is_object() { entry.get("neighbours")? } else { entry.clone() };
            for other in list.items()? {
                if !nodes.contains(&other.text()?) {
                    return Err(other.error("a node of this file"));
                }
                edges.push((*name, other.text()?, other.place()));
            }
        }
        Self::from_edges(&nodes, &edges, &root.place())
    }

    fn from_edges(nodes: &[&str], edges: &[(&str, &str, String)], place: &str) -> Result<Self> {
        // Shorter names first, so that node_2 comes before node_10.
        let names: BTreeSet<(usize, &str)> = nodes.iter().map(|name| (name.len(), *name)).collect();
        let names: Vec<&str> = names.into_iter().map(|(_, name)| name).collect();
        if names.is_empty() {
            return Err(BadInput(format!("{place}: no node, expected a graph")).into());
        }
        if let Some(name) = names.iter().find(|name| name.contains([',', ';', '"'])) {
            return Err(BadInput(format!("{place}: node {name:?}, expected a name without , ; and \"")).into());
        }
        let number: BTreeMap<&str, usize> = names.iter().enumerate().map(|(n, name)| (*name, n)).collect();
        let mut topology = Self {
            neighbours: vec![Vec::new(); names.len()],
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for (a, b, place) in edges {
            if a == b {
                return Err(BadInput(format!("{place}: {a} is its own neighbour, expected another node")).into());
            }
            topology.connect(number[a], number[b]);
        }
        Ok(topology)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_topologies_are_those_of_the_original() {
        assert_eq!(Topology::named("two").unwrap().neighbours, [[1], [0]]);
        assert_eq!(Topology::named("star").unwrap().neighbours, [vec![1, 2], vec![0], vec![0]]);
        let five = Topology::named("five").unwrap();
        assert_eq!(five.neighbours, [vec![1, 2, 3], vec![0, 4], vec![0, 3], vec![0, 2], vec![1]]);
        assert!(Topology::read("seven").unwrap_err().to_string().contains("--topology is \"seven\""));
    }

    #[test]
    fn lines_and_json_give_the_same_graph() {
        let lines =
            Topology::from_lines("g.txt", "# a ring\nnode_10 node_2\nnode_2, node_1\nnode_1 node_10\n").unwrap();
        assert_eq!(lines.names, ["node_1", "node_2", "node_10"]);
        assert_eq!(lines.neighbours, [vec![1, 2], vec![0, 2], vec![0, 1]]);
        let text = r#"{"node_1": ["node_2"], "node_2": ["node_10"], "node_10": {"neighbours": ["node_1"]}, "seed": 3}"#;
        let document = Document::parse(Path::new("g.json"), text).unwrap();
        assert_eq!(Topology::from_json(&document.root()).unwrap(), lines);
    }

    #[test]
    fn self_loops_and_unknown_neighbours_are_refused_by_place() {
        let refused = Topology::from_lines("g.txt", "a b\nb b\n").unwrap_err();
        assert_eq!(refused.to_string(), "g.txt: line 2: b is its own neighbour, expected another node");
        let document = Document::parse(Path::new("g.json"), r#"{"a": ["b", "c"], "b": []}"#).unwrap();
        let refused = Topology::from_json(&document.root()).unwrap_err();
        assert_eq!(refused.to_string(), "g.json: a[1] is \"c\", expected a node of this file");
        assert!(Topology::from_lines("g.txt", "# nothing\n").is_err());
    }
}
