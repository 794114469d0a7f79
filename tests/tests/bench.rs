//! The bench still fits what it measures: no figure, no success. Nothing is asked of the figures.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::{path::Path, process::Command};

use serde_json::Value;

fn bench(what: &[&str], directory: &Path) -> Vec<Value> {
    let mut command = Command::new(dfaas_tests::built::program("federation").unwrap());
    let output =
        command.args(["bench", "--quick", "--json", "--directory"]).arg(directory).args(what).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// For machines where only the way to the figures is in doubt.
#[test]
fn a_benchmark_alone_has_its_figures() {
    let directory = tempfile::tempdir().unwrap();
    let lines = bench(&["packets"], directory.path());
    let packets =
        lines.iter().filter(|line| line["kind"] == "packet" && line["median_ns"].as_f64() > Some(0.0)).count();
    assert!(packets >= 15, "{lines:?}");
}

/// All of it, at its quickest.
#[test]
fn every_benchmark_has_its_figures() {
    let directory = tempfile::tempdir().unwrap();
    let lines = bench(&[], directory.path());
    let text = format!("{lines:?}");
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let benches: Vec<_> = of("machine").iter().map(|line| line["bench"].as_str().unwrap().to_owned()).collect();
    assert_eq!(benches, ["packets", "forward", "reject", "overload", "flood", "churn"]);
    for bench in benches {
        let file = directory.path().join(format!("{bench}.jsonl"));
        assert!(std::fs::metadata(&file).is_ok_and(|file| file.len() > 0), "{}", file.display());
    }
    for (kind, least, value) in [
        ("packet", 15, "median_ns"),
        ("program", 5, "size"),
        ("sample", 54, "own_us"),
        ("overload", 24, "served_per_second"),
        ("flood", 9, "wanted"),
        ("churn", 3, "calls"),
    ] {
        let found = of(kind);
        assert!(found.len() >= least, "{} lines of {kind}, expected {least}:\n{text}", found.len());
        for line in found {
            assert!(line[value].is_object() || line[value].as_f64().is_some_and(|n| n > 0.0), "{line}");
        }
    }
    // Latencies at a fixed rate, of both kinds of connection.
    let p99 = of("figure").into_iter().filter(|line| line["compared"] == "p99 at 30 %").count();
    assert_eq!(p99, 2, "{text}");
}
