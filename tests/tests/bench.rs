//! The bench still fits the programs it measures: no figure, no success.

use std::process::Command;

#[test]
fn every_kind_of_packet_has_its_time() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_federation")).args(["bench", "--packets", "--quick", "--json"]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 11, "{text}");
    for line in lines {
        assert!(line["median_ns"].as_f64().is_some_and(|ns| ns > 0.0), "{line}");
    }
}
