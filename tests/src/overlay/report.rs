//! The figures, per agent.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::Value;

use super::{Options, crowd::Counts, member::Sizes, usage::Usage};

#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub nodes: usize,
    pub functions: usize,
    /// 0: no broadcasts.
    pub period_s: u64,
    /// 0: no states.
    pub heartbeat_s: u64,
    /// Until each was connected to all others.
    pub connected_after_s: f64,
    /// Until each had also heard a broadcast of all others that names it.
    pub converged_after_s: f64,
    /// Bytes that an agent received until then.
    pub joining_bytes: f64,
    /// How long was measured.
    pub seconds: f64,
    /// Bytes of one broadcast, and of one state.
    pub broadcast_bytes: usize,
    pub state_bytes: usize,
    /// Received by each agent; it sends as much.
    pub bytes_per_s: f64,
    pub packets_per_s: f64,
    pub broadcasts_per_s: f64,
    pub states_per_s: f64,
    /// By all agents together, in the whole time.
    pub messages_lost: u64,
    /// Of one core, per agent.
    pub cpu_percent: f64,
    pub memory_mib: f64,
    /// Of the whole machine, all agents: near 100, the other figures are those of an overloaded one.
    pub machine_percent: f64,
    pub machine: Value,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        machine: Value,
        (connected, converged, joining): (Duration, Duration, Usage),
        took: Duration,
        usage: Usage,
        counts: Counts,
        sizes: Sizes,
    ) -> Self {
        let agents = options.nodes as f64;
        let seconds = took.as_secs_f64();
        let each_second = |count: u64| rounded(count as f64 / agents / seconds);
        let cores = usage.cpu_ns as f64 / 1e9 / seconds;
        let cpus = machine["cpus"].as_f64().unwrap_or(1.0).max(1.0);
        Self {
            nodes: options.nodes,
            functions: options.functions,
            period_s: options.pace.period.map_or(0, |period| period.as_secs()),
            heartbeat_s: options.pace.heartbeat.map_or(0, |heartbeat| heartbeat.as_secs()),
            connected_after_s: rounded(connected.as_secs_f64()),
            converged_after_s: rounded(converged.as_secs_f64()),
            joining_bytes: rounded(joining.bytes as f64 / agents),
            seconds: rounded(seconds),
            broadcast_bytes: sizes.broadcast,
            state_bytes: sizes.state,
            bytes_per_s: each_second(usage.bytes),
            packets_per_s: each_second(usage.packets),
            broadcasts_per_s: each_second(counts.broadcasts),
            states_per_s: each_second(counts.states),
            messages_lost: counts.lost,
            cpu_percent: rounded(100.0 * cores / agents),
            memory_mib: rounded(usage.memory_bytes as f64 / agents / f64::from(1 << 20)),
            machine_percent: rounded(100.0 * cores / cpus),
            machine,
        }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// For people: one line a report.
pub(super) fn table(reports: &[Report]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "agents",
        "all connected",
        "all heard",
        "broadcast",
        "state",
        "kB/s",
        "packets/s",
        "CPU %",
        "MiB",
        "lost",
        "machine %",
    ]);
    for report in reports {
        table.add_row([
            report.nodes.to_string(),
            format!("{:.1} s", report.connected_after_s),
            format!("{:.1} s", report.converged_after_s),
            format!("{} B", report.broadcast_bytes),
            format!("{} B", report.state_bytes),
            format!("{:.1}", report.bytes_per_s / 1e3),
            format!("{:.0}", report.packets_per_s),
            format!("{:.2}", report.cpu_percent),
            format!("{:.1}", report.memory_mib),
            report.messages_lost.to_string(),
            format!("{:.0}", report.machine_percent),
        ]);
    }
    let Some(Report { functions, period_s, heartbeat_s, .. }) = reports.first() else { return String::new() };
    format!("per agent; {functions} functions, a broadcast every {period_s} s, a state every {heartbeat_s} s\n{table}")
}
