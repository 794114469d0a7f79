//! Charts of an experiment: success over the minutes for each function, and the graph.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Experiment, instance::Instance, measured::FUNCTIONS};
use dfaas_plot::{Chart, Content, Graph, GraphEdge, Series};

/// More nodes would be a ball of wool.
const MAX_NODES_IN_GRAPH: usize = 200;

pub fn write(folder: &Path, instance: &Instance, experiment: &Experiment) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (place, function) in FUNCTIONS.iter().enumerate() {
        success(experiment, place).write(&folder.join(format!("success_rate_{function}")))?;
    }
    if instance.nodes.len() <= MAX_NODES_IN_GRAPH {
        graph(instance).write(&folder.join("graph"))?;
    }
    Ok(())
}

/// Means over the repetitions.
fn success(experiment: &Experiment, function: usize) -> Chart {
    let series = experiment.results.iter().map(|result| {
        let minutes = result.repetitions.first().map_or(0, |first| first.series[function].success_percent.len());
        let mean = |minute: usize| {
            let all = result.repetitions.iter().map(|repetition| repetition.series[function].success_percent[minute]);
            all.sum::<f64>() / result.repetitions.len() as f64
        };
        Series::new(result.choice.name(), (0..minutes).map(|minute| (minute as f64, mean(minute))).collect())
    });
    let content = Content::Lines(series.collect());
    Chart::new(format!("Success rate of {}", FUNCTIONS[function]), "minute", "served calls in percent", content)
        .subtitle(format!("mean over {} repetitions", experiment.seeds.len()))
}

fn graph(instance: &Instance) -> Chart {
    let neighbours = instance.nodes.iter().enumerate().flat_map(|(from, node)| {
        // Both ends know of an edge.
        node.neighbours.iter().filter(move |to| from < **to).map(move |to| (from, *to))
    });
    let edge = |(from, to)| GraphEdge { from, to, weight: 0.3, label: String::new() };
    let mut graph = Graph::circle(instance.nodes.iter().map(|node| node.name.clone()), neighbours.map(edge).collect());
    graph.groups = instance.nodes.iter().map(|node| format!("type {}", node.node_type)).collect();
    graph.groups.sort();
    graph.groups.dedup();
    for (drawn, node) in graph.nodes.iter_mut().zip(&instance.nodes) {
        drawn.group =
            graph.groups.iter().position(|group| group.strip_prefix("type ") == Some(&node.node_type)).unwrap_or(0);
    }
    Chart::new("Federation", "", "", Content::Graph(graph)).subtitle(format!("{} nodes", instance.nodes.len()))
}
