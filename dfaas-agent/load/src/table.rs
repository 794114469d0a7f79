//! The table of all requests, with the columns of the k6 results that evaluations of DFaaS read.

use std::io::Write;

use anyhow::Result;
use csv::Writer;

use super::record::Record;

/// Those that are expected by name, then ours.
const COLUMNS: [&str; 13] = [
    "request_id",
    "http_status",
    "timestamp",
    "k6_stage",
    "http_req_duration",
    "http_req_blocked",
    "http_req_connecting",
    "http_req_waiting",
    "http_req_receiving",
    "http_req_failed",
    "dfaas_node_id",
    "dfaas_forwarded_to",
    "iteration",
];
const PHASE: &str = "phase";
const OURS: [&str; 5] = ["attack", "x_server", "latency", "lateness", "error"];

/// Times in milliseconds, the time of day in seconds since 1970.
///
/// `http_req_duration` is the time between request and answer, `latency` counts from when the request was due.
/// With `phases` every value of a trace is played twice, first for one strategy, then for the other.
pub fn write(to: impl Write, records: &[Record], phases: bool) -> Result<()> {
    let mut table = Writer::from_writer(to);
    let phase = if phases { &[PHASE][..] } else { &[] };
    table.write_record(COLUMNS.iter().chain(phase).chain(&OURS))?;
    for (n, record) in records.iter().enumerate() {
        table.write_record(row(n, record, phases))?;
    }
    table.flush()?;
    Ok(())
}

fn row(n: usize, record: &Record, phases: bool) -> Vec<String> {
    let exchange = &record.exchange;
    let ms = |duration: std::time::Duration| format!("{:.6}", duration.as_secs_f64() * 1e3);
    let text = |name: &Option<std::sync::Arc<str>>| name.as_deref().unwrap_or_default().to_owned();
    let mut row = vec![
        n.to_string(),
        exchange.code.to_string(),
        format!("{}.{:06}", record.due_ns / 1_000_000_000, record.due_ns % 1_000_000_000 / 1_000),
        record.stage.to_string(),
        ms(exchange.waiting + exchange.receiving),
        ms(exchange.blocked),
        ms(exchange.connecting),
        ms(exchange.waiting),
        ms(exchange.receiving),
        u8::from(!record.is_success()).to_string(),
        text(&exchange.node),
        text(&exchange.forwarded_to),
        (record.stage / if phases { 4 } else { 2 }).to_string(),
    ];
    if phases {
        row.push(if record.stage % 4 < 2 { "all_local" } else { "rl_agent" }.to_owned());
    }
    let late = record.late.map(ms).unwrap_or_default();
    row.extend([
        record.attack.to_string(),
        text(&exchange.server),
        ms(record.latency),
        late,
        exchange.error.to_string(),
    ]);
    row
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    fn written(records: &[Record], phases: bool) -> Vec<String> {
        let mut text = Vec::new();
        write(&mut text, records, phases).unwrap();
        String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_table_has_the_columns_that_evaluations_read() {
        let mut answered = record("a", 1_500, 200, 12);
        (answered.stage, answered.exchange.node) = (5, Some("12D3".into()));
        let lines = written(&[answered, record("a", 0, 0, 8)], false);
        assert!(lines[0].starts_with("request_id,http_status,timestamp,k6_stage,http_req_duration,"), "{}", lines[0]);
        let start =
            "0,200,1700000001.500000,5,12.000000,0.000000,0.000000,12.000000,0.000000,0,12D3,,2,a,n1,12.000000,";
        assert!(lines[1].starts_with(start), "{}", lines[1]);
        assert!(lines[2].starts_with("1,0,") && lines[2].ends_with("connection refused"), "{}", lines[2]);
    }

    #[test]
    fn phases_alternate_every_two_stages() {
        let staged = (0..8).map(|stage| Record { stage, ..record("a", 0, 200, 1) }).collect::<Vec<_>>();
        let lines = written(&staged, true);
        let part = |line: &String| line.split(',').skip(12).take(2).collect::<Vec<_>>().join(" ");
        let parts: Vec<_> = lines.iter().step_by(2).map(part).collect();
        assert_eq!(parts, ["iteration phase", "0 all_local", "0 rl_agent", "1 all_local", "1 rl_agent"]);
    }
}
