//! The machine that was measured on.

use std::fs;

use serde_json::{Value, json};

/// What figures depend on.
pub(crate) fn describe() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let load: Option<f64> = read("/proc/loadavg").split(' ').next().and_then(|n| n.parse().ok());
    json!({ "kernel": read("/proc/sys/kernel/osrelease").trim(), "cpu": model, "load_before": load,
            "cpus": std::thread::available_parallelism().map_or(0, usize::from) })
}

pub(in crate::bench) fn sentence(machine: &Value) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    let load = machine["load_before"].as_f64().unwrap_or(f64::NAN);
    let busy =
        if load > 0.5 { " (others work here too: times are a little longer than on a quiet machine)" } else { "" };
    format!(
        "{} CPUs ({}), Linux {}, XDP {}, {} rounds by turns, load average before {load}{busy}.",
        machine["cpus"],
        text("cpu"),
        text("kernel"),
        text("xdp"),
        machine["rounds"]
    )
}
