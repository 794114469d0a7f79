//! The status as Prometheus metrics. Labels are functions and peers of this node, which are bounded, and fixed words.

mod meters;
mod overlay;

use anyhow::Result;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector};

pub(crate) use self::meters::Meters;
use crate::{
    p2p::{Counters, MessageCount},
    platform::LeftOut,
    status::{MarginStatus, Outcomes, Status},
};

/// All metrics in Prometheus' text format.
pub(crate) fn render(
    status: &Status,
    meters: &Meters,
    messages: &[MessageCount],
    counters: &Counters,
    left_out: LeftOut,
) -> Result<String> {
    let registry = Registry::new();
    meters.register(&registry)?;
    node(&registry, status)?;
    planes(&registry, status)?;
    functions(&registry, status)?;
    peers(&registry, status)?;
    overlay::overlay(&registry, messages, counters)?;
    platform(&registry, left_out)?;
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

/// What only grows: a fresh counter, to be brought to what was counted elsewhere. Its name ends in `_total`.
fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    add(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
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
    Ok(())
}

fn planes(registry: &Registry, status: &Status) -> Result<()> {
    let version = whole(registry, "dfaas_plane_version", "Version of the decision a data plane obeys", &["plane"])?;
    let repaired = counter(
        registry,
        "dfaas_plane_repairs_total",
        "Entries put right that differed from the decision",
        &["plane"],
    )?;
    for (name, plane) in [("kernel", status.planes.kernel), ("haproxy", status.planes.proxy)] {
        version.with_label_values(&[name]).set(i64::from(plane.version));
        repaired.with_label_values(&[name]).inc_by(plane.repaired);
    }
    let reloads = counter(registry, "dfaas_proxy_reloads_total", "Reloads of HAProxy by this agent", &[])?;
    reloads.with_label_values::<&str>(&[]).inc_by(status.planes.proxy_reloads);
    let packets = counter(registry, "dfaas_packets_total", "Packets by verdict of the kernel path", &["verdict"])?;
    for (verdict, n) in &status.kernel.verdicts {
        packets.with_label_values(&[verdict.as_str()]).inc_by(*n);
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
    let requests = counter(
        registry,
        "dfaas_requests_total",
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
                requests.with_label_values(&[name, outcome, plane]).inc_by(n);
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

fn platform(registry: &Registry, left_out: LeftOut) -> Result<()> {
    let help = "Functions and labels of the platform that could not be used, at every reading";
    let counted = counter(registry, "dfaas_platform_left_out_total", help, &["what"])?;
    counted.with_label_values(&["function"]).inc_by(left_out.functions_left_out);
    counted.with_label_values(&["label"]).inc_by(left_out.labels_ignored);
    Ok(())
}

fn peers(registry: &Registry, status: &Status) -> Result<()> {
    let state = whole(registry, "dfaas_peer", "1 for the state a peer is in", &["peer", "state"])?;
    let age = real(registry, "dfaas_peer_age_seconds", "Time since the last word of a peer", &["peer"])?;
    let trouble = whole(registry, "dfaas_peer_trouble", "1 if something keeps the kernel from using it", &["peer"])?;
    for peer in &status.peers {
        state.with_label_values(&[peer.node.as_str(), &peer.state]).set(1);
        age.with_label_values(&[peer.node.as_str()]).set(peer.age_ms as f64 / 1000.0);
        trouble.with_label_values(&[peer.node.as_str()]).set(peer.trouble.is_some().into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
