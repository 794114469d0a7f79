//! Forwarding tables: by strategy, minute and function, from node (row) to node (column), calls per second.

use std::path::Path;

use anyhow::Result;

use super::{create, write_text};
use crate::replay::{
    Experiment, Minute,
    instance::{Instance, number},
    measured::FUNCTIONS,
    traffic::FunctionMinute,
};

/// What the nodes' own clients offer, and what the nodes can serve, node by function.
pub const INVOCATION_RATES: &str = "invoc_rates.csv";
pub const MAX_RATES: &str = "max_rates.csv";

/// The last repetition of every strategy, as the original leaves it.
pub(super) fn write_all(folder: &Path, instance: &Instance, experiment: &Experiment) -> Result<()> {
    for result in &experiment.results {
        for (i, minute) in result.last.iter().enumerate() {
            write(&folder.join(result.choice.name()).join(format!("minute_{i}")), instance, minute)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, instance: &Instance, minute: &Minute) -> Result<()> {
    create(folder)?;
    let names: Vec<&str> = instance.nodes.iter().map(|node| node.name.as_str()).collect();
    for (function, traffic) in FUNCTIONS.iter().zip(&minute.functions) {
        let calls = |from, to| traffic.table.get(&(from, to)).copied().unwrap_or(0.0);
        write_text(&folder.join(format!("{function}.csv")), &table(&names, &names, calls))?;
    }
    let by_function = |rates: fn(&FunctionMinute, usize) -> Option<f64>| {
        table(&names, &FUNCTIONS, |node, function| rates(&minute.functions[function], node).unwrap_or(0.0))
    };
    write_text(&folder.join(INVOCATION_RATES), &by_function(|f, node| f.rates.get(&node).copied()))?;
    write_text(&folder.join(MAX_RATES), &by_function(|f, node| f.max_rates.get(&node).copied()))
}

/// Tab separated, with names in the first row and column.
fn table(rows: &[&str], columns: &[&str], value: impl Fn(usize, usize) -> f64) -> String {
    let mut text = format!("\t{}\n", columns.join("\t"));
    for (i, row) in rows.iter().enumerate() {
        text.push_str(row);
        for j in 0..columns.len() {
            text.push('\t');
            text.push_str(&number(value(i, j)).to_string());
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_written_without_a_fraction() {
        let text = table(&["a", "b"], &["x", "y"], |i, j| if i == j { 3.0 } else { 0.5 });
        assert_eq!(text, "\tx\ty\na\t3\t0.5\nb\t0.5\t3\n");
    }
}
