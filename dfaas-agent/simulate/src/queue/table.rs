//! The queue model for every row of a table.

use std::path::Path;

use anyhow::Result;

use super::{Load, SteadyState, steady_state};
use crate::csv_file::{CsvFile, Row};

const INPUTS: [&str; 6] = [
    "arrival_rate",
    "warm_service_time",
    "cold_service_time",
    "idle_time_before_kill",
    "maximum_concurrency",
    "faster_solution",
];

const OUTPUTS: [&str; 11] = [
    "avg_server_count",
    "avg_server_count_total",
    "avg_running_count",
    "avg_running_warm_count",
    "avg_running_cold_count",
    "avg_idle_count",
    "cold_prob",
    "avg_utilization",
    "avg_resp_time",
    "rejection_prob",
    "rejection_rate",
];

/// A chain of this length is solved in a blink; a longer one is a slip of the pen.
const MAX_CONCURRENCY: f64 = 1e6;

/// Reads a table with the columns `INPUTS` and gives it back with `OUTPUTS`, as CSV.
pub fn solve(path: &Path) -> Result<String> {
    let file = CsvFile::read(path, &INPUTS)?;
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(INPUTS.iter().chain(&OUTPUTS))?;
    for row in file.rows() {
        let inputs = INPUTS.iter().map(|column| row.text(column).map(str::to_owned));
        let mut cells: Vec<String> = inputs.collect::<Result<_>>()?;
        cells.extend(values(&steady_state(&load(&row)?)).map(|value| value.to_string()));
        out.write_record(&cells)?;
    }
    Ok(String::from_utf8(out.into_inner()?)?)
}

fn load(row: &Row<'_>) -> Result<Load> {
    let seconds = |column| row.checked(column, "seconds above 0", |s| *s > 0.0);
    let concurrency = format!("a whole number from 1 to {MAX_CONCURRENCY}");
    let whole = |n: &f64| n.fract() == 0.0 && (1.0..=MAX_CONCURRENCY).contains(n);
    Ok(Load {
        arrival_rate: row.checked("arrival_rate", "a rate of 0 or more", |rate| *rate >= 0.0)?,
        warm_service_s: seconds("warm_service_time")?,
        cold_service_s: seconds("cold_service_time")?,
        idle_before_kill_s: seconds("idle_time_before_kill")?,
        maximum_concurrency: row.checked("maximum_concurrency", &concurrency, whole)? as usize,
        faster: row.checked("faster_solution", "0 or 1", |flag| *flag == 0.0 || *flag == 1.0)? == 1.0,
    })
}

fn values(mean: &SteadyState) -> [f64; 11] {
    [
        mean.servers,
        mean.servers_total,
        mean.running,
        mean.running_warm,
        mean.running_cold,
        mean.idle,
        mean.cold_probability,
        mean.utilization,
        mean.response_s,
        mean.rejection_probability,
        mean.rejection_rate,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfaas_base::BadInput;

    fn solved(text: &str) -> Result<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("in.csv");
        std::fs::write(&file, text).unwrap();
        solve(&file)
    }

    #[test]
    fn columns_may_come_in_any_order_and_others_are_ignored() {
        let one = solved(&format!("{}\n1,2,3,60,5,1\n", INPUTS.join(","))).unwrap();
        let reversed: Vec<&str> = INPUTS.iter().rev().copied().collect();
        let two = solved(&format!("note,{}\nx,1,5,60,3,2,1\n", reversed.join(","))).unwrap();
        assert_eq!(one, two);
        assert_eq!(one.lines().next().unwrap().split(',').count(), 17);
    }

    #[test]
    fn a_bad_cell_is_named_by_line_column_and_value() {
        let header = INPUTS.join(",");
        for (row, expected) in [
            ("-1,2,3,60,5,1", "line 3, arrival_rate is \"-1\", expected a rate of 0 or more"),
            ("1,0,3,60,5,1", "line 3, warm_service_time is \"0\", expected seconds above 0"),
            ("1,2,NaN,60,5,1", "line 3, cold_service_time is \"NaN\", expected seconds above 0"),
            ("1,2,3,60,2.5,1", "line 3, maximum_concurrency is \"2.5\", expected a whole number"),
            ("1,2,3,60,5,2", "line 3, faster_solution is \"2\", expected 0 or 1"),
        ] {
            let refused = solved(&format!("{header}\n1,2,3,60,5,1\n{row}\n")).unwrap_err();
            assert!(refused.is::<BadInput>() && refused.to_string().contains(expected), "{refused}");
        }
    }
}
