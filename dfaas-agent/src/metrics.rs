//! The status as Prometheus metrics. Labels are functions and peers of this node, which are bounded, and fixed words.

mod overlay;

use std::time::Duration;

use anyhow::Result;
use prometheus::{Gauge, GaugeVec, IntCounter, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector};

use crate::{
    p2p::{Counters, MessageCount},
    status::{MarginStatus, Outcomes, Status},
};

/// The two metrics of the original.
pub struct Iterations {
    pub count: IntCounter,
    pub duration_seconds: Gauge,
}

impl Iterations {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            count: IntCounter::new("dfaas_agent_strategy_iterations", "Iterations of the strategy since the start")?,
            duration_seconds: Gauge::new(
                "dfaas_agent_strategy_iteration_duration_seconds",
                "Duration of the last iteration of the strategy",
            )?,
        })
    }

    pub(crate) fn done(&self, duration: Duration) {
        self.count.inc();
        self.duration_seconds.set(duration.as_secs_f64());
    }
}

/// All metrics in Prometheus' text format.
pub(crate) fn render(
    status: &Status,
    iterations: &Iterations,
    messages: &[MessageCount],
    counters: &Counters,
) -> Result<String> {
    let registry = Registry::new();
    registry.register(Box::new(iterations.count.clone()))?;
    registry.register(Box::new(iterations.duration_seconds.clone()))?;
    node(&registry, status)?;
    functions(&registry, status)?;
    peers(&registry, status)?;
    overlay::overlay(&registry, messages, counters)?;
    status.margin.iter().try_for_each(|status| margin(&registry, status))?;
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

fn add<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> Result<T> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn whole(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    add(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
}

fn real(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<GaugeVec> {
    add(registry, GaugeVec::new(Opts::new(name, help), labels)?)
}

fn node(registry: &Registry, status: &Status) -> Result<()> {
    whole(registry, "dfaas_mode", "The kernel's part: 1 for the mode in force", &["mode", "xdp"])?
        .with_label_values(&[status.kernel.mode.name(), &status.kernel.xdp])
        .set(1);
    whole(registry, "dfaas_decision_version", "Version of the decision in force", &[])?
        .with_label_values::<&str>(&[])
        .set(i64::from(status.decision));
    whole(registry, "dfaas_forwarded_connections", "Live connections handed to peers", &[])?
        .with_label_values::<&str>(&[])
        .set(status.kernel.flows as i64);
    let up = whole(registry, "dfaas_component_up", "1 if the component is well", &["component"])?;
    for component in status.components() {
        up.with_label_values(&[component.kind.as_str()]).set(component.healthy.into());
    }
    let version = whole(registry, "dfaas_plane_version", "Version of the decision a data plane obeys", &["plane"])?;
    let repaired = whole(registry, "dfaas_plane_repairs", "Entries that differed from the decision", &["plane"])?;
    for (name, plane) in [("kernel", status.planes.kernel), ("haproxy", status.planes.proxy)] {
        version.with_label_values(&[name]).set(i64::from(plane.version));
        repaired.with_label_values(&[name]).set(plane.repaired as i64);
    }
    whole(registry, "dfaas_proxy_reloads", "Reloads of HAProxy by this agent", &[])?
        .with_label_values::<&str>(&[])
        .set(status.planes.proxy_reloads as i64);
    real(registry, "dfaas_decision_to_kernel_seconds", "From the last decision to the kernel's tables", &[])?
        .with_label_values::<&str>(&[])
        .set(status.planes.decision_to_kernel_ms / 1000.0);
    let packets = whole(registry, "dfaas_packets", "Packets by verdict of the kernel path", &["verdict"])?;
    for (verdict, n) in &status.kernel.verdicts {
        packets.with_label_values(&[verdict.as_str()]).set(*n as i64);
    }
    Ok(())
}

fn outcomes<T: Copy>(o: &Outcomes<T>) -> [(&'static str, T); 5] {
    [
        ("offered", o.offered),
        ("local", o.local),
        ("forwarded", o.forwarded),
        ("rejected", o.rejected),
        ("received", o.received),
    ]
}

fn functions(registry: &Registry, status: &Status) -> Result<()> {
    let requests = whole(
        registry,
        "dfaas_requests",
        "Calls by outcome and data plane since the maps were made",
        &["function", "outcome", "plane"],
    )?;
    let rates = real(registry, "dfaas_request_rate", "Calls per second by outcome", &["function", "outcome"])?;
    let limit = real(registry, "dfaas_limit", "Calls per second this node may serve", &["function"])?;
    let weights = whole(
        registry,
        "dfaas_weight",
        "Share of a target: of the excess, or of all calls where local is not 0",
        &["function", "target"],
    )?;
    let limit_in = real(registry, "dfaas_limit_in", "Calls per second accepted from a peer", &["function", "peer"])?;
    let limit_out = real(registry, "dfaas_limit_out", "Calls per second a peer accepts", &["function", "peer"])?;
    for (name, f) in &status.functions {
        let name = name.as_str();
        for (plane, counted) in [("kernel", &f.by_kernel), ("haproxy", &f.by_proxy)] {
            for (outcome, n) in outcomes(counted) {
                requests.with_label_values(&[name, outcome, plane]).set(n as i64);
            }
        }
        for (target, weight) in [("local", f.local_weight), ("reject", f.reject_weight)] {
            weights.with_label_values(&[name, target]).set(i64::from(weight));
        }
        for (outcome, rate) in outcomes(&f.rates) {
            rates.with_label_values(&[name, outcome]).set(rate);
        }
        if let Some(l) = f.limit {
            limit.with_label_values(&[name]).set(l);
        }
        f.weights.iter().for_each(|(p, w)| weights.with_label_values(&[name, p.as_str()]).set(i64::from(*w)));
        f.limits_in.iter().for_each(|(p, l)| limit_in.with_label_values(&[name, p.as_str()]).set(*l));
        f.limits_out.iter().for_each(|(p, l)| limit_out.with_label_values(&[name, p.as_str()]).set(*l));
    }
    Ok(())
}

fn margin(registry: &Registry, margin: &MarginStatus) -> Result<()> {
    let usage = real(registry, "dfaas_forecast", "What this node uses, as forecast", &["metric"])?;
    for (metric, value) in [
        ("cpu_percent", margin.cpu_percent),
        ("ram_bytes", margin.ram_bytes),
        ("power_microwatts", margin.power_microwatts),
    ] {
        usage.with_label_values(&[metric]).set(value);
    }
    let offered = real(registry, "dfaas_margin", "Percentage points of its resources that a node offers", &["node"])?;
    offered.with_label_values(&["self"]).set(margin.offered);
    margin.peers.iter().for_each(|(peer, points)| offered.with_label_values(&[peer.as_str()]).set(*points));
    whole(registry, "dfaas_plan_standing", "1 for what the plan in force is", &["standing"])?
        .with_label_values(&[margin.standing.as_str()])
        .set(1);
    Ok(())
}

fn peers(registry: &Registry, status: &Status) -> Result<()> {
    let state = whole(registry, "dfaas_peer", "1 for the state a peer is in", &["peer", "state"])?;
    let age = real(registry, "dfaas_peer_age_seconds", "Time since the last word of a peer", &["peer"])?;
    for peer in &status.peers {
        state.with_label_values(&[peer.node.as_str(), &peer.state]).set(1);
        age.with_label_values(&[peer.node.as_str()]).set(peer.age_ms as f64 / 1000.0);
    }
    Ok(())
}
