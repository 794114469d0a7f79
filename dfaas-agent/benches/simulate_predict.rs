//! How the time of the predictive simulator grows: the number of links grows tenfold with the number of nodes.
//!
//! Needs the original's models, in the folder that `DFAAS_REFERENCE_DATA` names.

#![allow(clippy::unwrap_used, reason = "what is not as expected ends the run")]

use std::{hint::black_box, path::PathBuf};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use dfaas_agent::forecast::{groups::Groups, models::Family};
use dfaas_simulate::predict::{
    analysis::evaluate,
    generate::{Wanted, generate},
    node::NodeModel,
    run::PredictedStrategy,
};

fn growth(criterion: &mut Criterion) {
    let Some(data) = std::env::var_os("DFAAS_REFERENCE_DATA") else {
        #[allow(clippy::print_stderr, reason = "the answer to whoever runs the bench")]
        {
            eprintln!("not run: DFAAS_REFERENCE_DATA does not name the reference data");
        }
        return;
    };
    let model = NodeModel::load(&PathBuf::from(data).join("forecaster"), Family::Regression).unwrap();
    let groups = Groups::default();
    let mut group = criterion.benchmark_group("simulate predict, all strategies, by links");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for nodes in [10, 30, 100, 300, 1000] {
        // Ten links for each node, besides the one that connects it.
        let edge_probability = (20.0 / nodes as f64).min(1.0);
        let instance = generate(&Wanted { nodes, edge_probability, overloaded_percent: 60.0, seed: 701 }, &groups);
        let links = instance.nodes.iter().map(|node| node.neighbours.len()).sum::<usize>() / 2;
        group.throughput(Throughput::Elements(links as u64));
        group.bench_with_input(BenchmarkId::from_parameter(links), &instance, |b, instance| {
            b.iter(|| {
                for strategy in PredictedStrategy::ALL {
                    black_box(evaluate(instance, &model, &groups, (strategy, false)).unwrap());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, growth);
criterion_main!(benches);
