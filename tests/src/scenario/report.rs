//! What came of a scenario, as a table and as one JSON object.

use std::collections::BTreeMap;

use comfy_table::Table;
use dfaas_agent::name::NodeId;
use serde_json::{Value, json};

use super::{Expected, Scenario, Source, Split};
use crate::{
    client::{Outcome, Second, Tally},
    federation::Federation,
    view::PRESET,
};

pub struct Report {
    scenario: &'static Scenario,
    names: Vec<String>,
    ids: Vec<NodeId>,
    sources: Vec<(Source, Tally)>,
    /// Sources whose step has ended.
    done: usize,
    whole: Tally,
    pub judged: Option<(Split, Expected)>,
    /// It did not come to its end.
    pub interrupted: bool,
}

impl Report {
    pub(super) fn new(federation: &Federation, scenario: &'static Scenario) -> Self {
        Self {
            scenario,
            names: federation.nodes.iter().map(|node| node.name.clone()).collect(),
            ids: federation.nodes.iter().map(|node| node.id.clone()).collect(),
            sources: Vec::new(),
            done: 0,
            whole: Tally::default(),
            judged: None,
            interrupted: false,
        }
    }

    pub(super) fn add(&mut self, source: &Source, tally: Tally) {
        self.sources.push((*source, tally));
    }

    /// The seconds of the next step come after those of this one.
    pub(super) fn next_step(&mut self) {
        let mut step = Tally::default();
        self.sources[self.done..].iter().for_each(|(_, tally)| step.merge(tally));
        self.done = self.sources.len();
        self.whole.append(step);
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// All calls of all sources.
    pub fn tally(&self) -> Tally {
        self.whole.clone()
    }

    /// True unless something that was expected did not happen.
    pub fn is_ok(&self) -> bool {
        self.judged.as_ref().is_none_or(|(_, expected)| expected.deviations.is_empty())
    }

    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(PRESET);
        let columns = ["second", "calls"].into_iter().chain(self.names.iter().map(String::as_str));
        table.set_header(columns.chain(["429", "other", "failed", "slowest ms"]));
        for (n, second) in self.whole.seconds.iter().enumerate() {
            table.add_row(self.row(&n.to_string(), second));
        }
        table.add_row(self.row("total", &self.whole.total()));
        if let Some((_, expected)) = &self.judged {
            let first = expected.first_second;
            table.add_row(self.row(&format!("from {first}"), &self.whole.total_from(first)));
            let mut row = vec!["expected".to_owned(), String::new()];
            row.extend(expected.calls.iter().map(|calls| format!("{calls:.0}")));
            table.add_row(row);
        }
        table.column_iter_mut().for_each(|column| column.set_cell_alignment(comfy_table::CellAlignment::Right));
        table.to_string()
    }

    fn row(&self, title: &str, second: &Second) -> Vec<String> {
        let status = |wanted: fn(u16) -> bool| {
            second.count(|o| matches!(o, Outcome::Answered { status, .. } if wanted(*status))).to_string()
        };
        let mut row = vec![title.to_owned(), second.calls().to_string()];
        row.extend(self.ids.iter().map(|id| second.served_by(id).to_string()));
        let failed = second.count(|o| matches!(o, Outcome::Failed(_))).to_string();
        let slowest = second.slowest.as_millis().to_string();
        row.extend([status(|s| s == 429), status(|s| s != 200 && s != 429), failed, slowest]);
        row
    }

    /// One sentence for each thing that is not as expected.
    pub fn deviations(&self) -> &[String] {
        self.judged.as_ref().map_or(&[], |(_, expected)| &expected.deviations)
    }

    pub fn json(&self) -> Value {
        let seconds = self.whole.seconds.iter().enumerate();
        let seconds: Vec<Value> = seconds.map(|(n, second)| self.second_json(Some(n), second)).collect();
        let sources = self.sources.iter().map(|(source, tally)| {
            json!({ "node": self.names[source.node], "function": source.function, "rate": source.rate,
                    "total": self.second_json(None, &tally.total()) })
        });
        let expected = self.judged.as_ref().map(|(split, expected)| {
            let by_name =
                |values: &[f64]| -> BTreeMap<&String, f64> { self.names.iter().zip(values.iter().copied()).collect() };
            json!({ "first_second": expected.first_second, "calls": by_name(&expected.calls), "limit": split.limit,
                    "grants": by_name(&split.grants), "deviations": expected.deviations })
        });
        json!({ "scenario": self.scenario.name, "seconds": seconds, "sources": sources.collect::<Vec<_>>(),
                "total": self.second_json(None, &self.whole.total()), "expected": expected, "ok": self.is_ok(),
                "interrupted": self.interrupted })
    }

    fn second_json(&self, number: Option<usize>, second: &Second) -> Value {
        let served = self.ids.iter().zip(&self.names).map(|(id, name)| (name, second.served_by(id)));
        let (mut statuses, mut failed) = (BTreeMap::new(), BTreeMap::new());
        for (outcome, n) in &second.outcomes {
            match outcome {
                Outcome::Answered { status, .. } => *statuses.entry(status.to_string()).or_insert(0) += n,
                Outcome::Failed(failure) => *failed.entry(failure.name()).or_insert(0) += n,
            }
        }
        let mut value = json!({ "calls": second.calls(), "served": served.collect::<BTreeMap<_, _>>(),
                "status": statuses, "failed": failed, "slowest_ms": second.slowest.as_millis() as u64 });
        if let (Some(number), Value::Object(fields)) = (number, &mut value) {
            fields.insert("second".to_owned(), number.into());
        }
        value
    }
}
