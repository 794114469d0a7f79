//! What a case shows at a glance: success rates over the minutes, overloaded nodes, and the federation.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::{
    MINUTES,
    analysis::{PredictedOutcome, functions},
    files::folder_name,
    instance::kind_name,
    sweep::Case,
};
use dfaas_plot::{Chart, Content, Series};

/// A folder `plots` for every case.
pub fn write(folder: &Path, cases: &[Case]) -> Result<()> {
    let several = cases.iter().any(|case| case.instance.seed != cases[0].instance.seed);
    for case in cases {
        let plots = folder.join(folder_name(&case.instance, several)).join("plots");
        fs::create_dir_all(&plots).with_context(|| format!("cannot create {}", plots.display()))?;
        for (place, function) in functions(&case.instance).iter().enumerate() {
            let rates = |outcome: &PredictedOutcome, minute: usize| outcome.success_rates[minute][place] * 100.0;
            let title = format!("Success rate of {function}");
            lines(case, &title, "served (%)", rates).write(&plots.join(format!("success_rate_{function}")))?;
        }
        let overloaded = |outcome: &PredictedOutcome, minute: usize| outcome.overloaded_nodes[minute] as f64;
        lines(case, "Overloaded nodes after forwarding", "nodes", overloaded).write(&plots.join("overloaded_nodes"))?;
    }
    Ok(())
}

/// A line for each strategy over the minutes.
fn lines(case: &Case, title: &str, y: &str, value: impl Fn(&PredictedOutcome, usize) -> f64) -> Chart {
    let series = |outcome: &PredictedOutcome| {
        let points = (0..MINUTES).map(|minute| (minute as f64, value(outcome, minute))).collect();
        Series::new(outcome.strategy.name(), points)
    };
    let content = Content::Lines(case.outcomes.iter().map(series).collect());
    let mut kinds = std::collections::BTreeMap::<_, usize>::new();
    for node in &case.instance.nodes {
        *kinds.entry(node.kind).or_default() += 1;
    }
    let kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| format!("{count} {}", kind_name(kind))).collect();
    let subtitle = format!("nodes: {}; overloaded at most {} %", kinds.join(", "), case.instance.overloaded_percent);
    Chart::new(title, "minute", y, content).subtitle(subtitle)
}
