//! What HAProxy answers. It is ours, but its answers hold names that others have given.

use std::time::SystemTime;

use dfaas_base::Reader;

use super::{
    apply::map_entries,
    counters::{self, Reading},
    runtime_api::{Processes, info_field},
    stage,
    stat::{self, ResponseTimes},
};

pub(crate) const READERS: &[Reader] =
    &[("haproxy-stat", show_stat), ("haproxy-table", show_table), ("haproxy-lines", show_lines)];

fn show_stat(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = (ResponseTimes::read(&text), stat::peer_states(&text), stat::gateway_is_up(&text));
}

fn show_table(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut reading = Reading::default();
    reading.add_worker(Some(7), &text);
    reading.add_worker(None, &text);
    let _ = counters::local_rates(&text);
}

/// Answers to `show info`, `show proc`, `show map` and `get var`.
fn show_lines(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = (info_field(&text, "Pid"), Processes::parse(&text), map_entries(&text));
    let _ = stage::read(&text, SystemTime::now());
}
