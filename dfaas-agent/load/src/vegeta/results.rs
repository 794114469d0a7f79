//! Results: one JSON object a line.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::record::{Exchange, Record, nanos};
use dfaas_base::BadInput;

/// A result. The times are those of the plan: `timestamp` is when the request was due, `latency` counts from there;
/// `late` (ours) is what the player itself is to blame for.
#[derive(Serialize, Deserialize)]
struct ResultLine {
    #[serde(default)]
    attack: String,
    #[serde(default)]
    seq: u64,
    code: u16,
    timestamp: String,
    latency: u64,
    #[serde(default)]
    bytes_out: u64,
    #[serde(default)]
    bytes_in: u64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    method: String,
    #[serde(default)]
    url: String,
    #[serde(default)]
    headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    stage: u32,
    /// Nanoseconds; `null`: not sent. Absent in results of vegeta itself.
    #[serde(default = "not_late")]
    late: Option<u64>,
}

const SERVER: &str = "X-Server";
const NODE: &str = "Dfaas-Node-Id";
const FORWARDED: &str = "Dfaas-Forwarded-To";

#[allow(clippy::unnecessary_wraps, reason = "serde wants the type of the field")]
fn not_late() -> Option<u64> {
    Some(0)
}

/// One line, with its end.
pub fn write_result(to: &mut impl Write, record: &Record) -> Result<()> {
    let exchange = &record.exchange;
    let timestamp = OffsetDateTime::from_unix_timestamp_nanos(i128::from(record.due_ns))
        .map_err(anyhow::Error::from)
        .and_then(|time| Ok(time.format(&Rfc3339)?))?;
    // As vegeta, which takes a bad status for an error.
    let error = if exchange.error.is_empty() && exchange.code >= 400 {
        status_text(exchange.code)
    } else {
        exchange.error.to_string()
    };
    let named = [(SERVER, &exchange.server), (NODE, &exchange.node), (FORWARDED, &exchange.forwarded_to)];
    let named =
        named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), vec![value.as_ref()?.to_string()])));
    let line = ResultLine {
        attack: record.attack.to_string(),
        seq: record.seq,
        code: exchange.code,
        timestamp,
        latency: nanos(record.latency),
        bytes_out: exchange.bytes_out,
        bytes_in: exchange.bytes_in,
        error,
        body: None,
        method: record.method.to_string(),
        url: record.url.to_string(),
        headers: Some(named.collect()),
        stage: record.stage,
        late: record.late.map(nanos),
    };
    serde_json::to_writer(&mut *to, &line)?;
    to.write_all(b"\n")?;
    Ok(())
}

fn status_text(code: u16) -> String {
    let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason());
    format!("{code} {}", reason.unwrap_or_default()).trim_end().to_owned()
}

/// Reads results, ours or vegeta's own.
pub fn read_results(path: &Path) -> Result<Vec<Record>> {
    let name = path.display();
    let file = std::fs::File::open(path).map_err(|e| BadInput(format!("cannot open {name}: {e}")))?;
    let mut records = Vec::new();
    for (n, line) in std::io::BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {name}, line {}", n + 1))?;
        if !line.trim().is_empty() {
            let record = read_result(&line).map_err(|e| BadInput(format!("{name}, line {}: {e}", n + 1)))?;
            records.push(record);
        }
    }
    if records.is_empty() {
        return Err(BadInput(format!("{name} has no results, expected one JSON object a line")).into());
    }
    Ok(records)
}

/// One line. The error says what was expected.
pub fn read_result(line: &str) -> Result<Record, String> {
    let line: ResultLine = serde_json::from_str(line).map_err(|e| format!("{e}; expected a result as JSON"))?;
    let time = OffsetDateTime::parse(&line.timestamp, &Rfc3339)
        .map_err(|e| format!("timestamp {:?}: {e}, expected one as in RFC 3339", line.timestamp))?;
    let due_ns = u64::try_from(time.unix_timestamp_nanos())
        .map_err(|_| format!("timestamp {:?} is before 1970 or after 2554", line.timestamp))?;
    let header = |wanted: &str| {
        let found = line.headers.iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, values)| values.first()).map(|value| Arc::from(value.as_str()))
    };
    let error = if line.code >= 400 && line.error.starts_with(&line.code.to_string()) { "" } else { &line.error };
    let latency = Duration::from_nanos(line.latency);
    let late = line.late.map(Duration::from_nanos);
    Ok(Record {
        attack: line.attack.as_str().into(),
        method: line.method.as_str().into(),
        url: line.url.as_str().into(),
        seq: line.seq,
        due_ns,
        stage: line.stage,
        latency,
        late,
        exchange: Exchange {
            waiting: latency.saturating_sub(late.unwrap_or_default()),
            code: line.code,
            error: error.into(),
            bytes_in: line.bytes_in,
            bytes_out: line.bytes_out,
            server: header(SERVER),
            node: header(NODE),
            forwarded_to: header(FORWARDED),
            ..Exchange::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::samples::record;

    #[test]
    fn results_come_back_as_they_were_written() {
        let mut unsent = record("b", 3, 0, 0);
        unsent.late = None;
        for mut record in [record("a", 1, 200, 5), record("a", 2, 429, 1), record("b", 2, 0, 9), unsent] {
            record.exchange.node = Some("12D3".into());
            let mut text = Vec::new();
            write_result(&mut text, &record).unwrap();
            assert_eq!(read_result(std::str::from_utf8(&text).unwrap()).unwrap(), record);
        }
    }

    #[test]
    fn a_line_of_vegeta_itself_is_understood() {
        let line = r#"{"attack":"x","seq":7,"code":503,"timestamp":"2024-05-01T12:00:00.5+02:00","latency":1500000,
            "bytes_out":5,"bytes_in":19,"error":"503 Service Unavailable","body":"bm8=","method":"POST",
            "url":"http://n1/f","headers":{"X-Server":["10.0.0.2"],"Content-Length":["19"]}}"#;
        let record = read_result(line).unwrap();
        assert_eq!(record.due_ns, 1_714_557_600_500_000_000);
        assert_eq!((record.is_complete(), record.is_success(), record.late), (true, false, Some(Duration::ZERO)));
        assert_eq!(record.served_by().map(|name| &**name), Some("10.0.0.2"));
    }
}
