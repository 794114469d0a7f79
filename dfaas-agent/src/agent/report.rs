//! The agent's status, and its events in the log.

use std::{collections::BTreeMap, time::Instant};

use dfaas_common::verdict::Verdict;

use super::{Agent, kernel_plane::KernelView};
use crate::{
    config::ProxyKind,
    kernel::{
        firewall::{Firewall, Standing, View},
        mode::Mode,
    },
    name::NodeId,
    status::{Component, FunctionStatus, KernelStatus, MarginStatus, PeerStatus, PlaneStatus, Planes, Status},
};

/// Peers in the status that are not used: whoever likes can be one.
const MAX_OTHERS: usize = 64;

fn firewall_status(firewall: &Firewall) -> Component {
    let View { standing, repaired } = firewall.view();
    let repairs = if repaired == 0 { String::new() } else { format!(", put back {repaired} times") };
    Component {
        kind: "firewall".into(),
        healthy: !matches!(standing, Standing::Lost(_)),
        detail: format!("{}, {standing}{repairs}", firewall.policy().name()),
    }
}

/// Before anything is known.
pub(super) fn nothing(node: &NodeId) -> Status {
    let component = || Component { kind: String::new(), healthy: false, detail: "starting".into() };
    Status {
        node: node.clone(),
        host: String::new(),
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: 0,
        strategy: String::new(),
        decision: 0,
        ready: false,
        kernel: KernelStatus {
            mode: Mode::Off,
            interface: String::new(),
            xdp: String::new(),
            why: Vec::new(),
            error: None,
            firewall: None,
            flows: 0,
            verdicts: BTreeMap::new(),
        },
        proxy: component(),
        platform: component(),
        overlay: component(),
        planner: None,
        margin: None,
        planes: Planes::default(),
        peers: Vec::new(),
        functions: BTreeMap::new(),
    }
}

impl Agent {
    pub(super) fn report(&self, now: Instant) -> Status {
        Status {
            node: self.node.clone(),
            host: self.config.node.host.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: now.duration_since(self.started).as_secs(),
            strategy: self.config.strategy.strategy.name().into(),
            decision: self.decision.version,
            ready: self.is_ready(),
            kernel: self.kernel_status(),
            proxy: self.proxy_status(),
            platform: self.platform_status(),
            overlay: self.overlay_status(),
            planner: self.planner.planned.borrow().health.clone(),
            margin: self.margin_status(now),
            planes: self.planes(),
            peers: self.peer_statuses(now),
            functions: self.decision.functions.keys().map(|name| (name.clone(), self.function_status(name))).collect(),
        }
    }

    fn kernel_status(&self) -> KernelStatus {
        let verdicts = self.kernel.verdicts().into_iter().filter(|(_, n)| *n > 0);
        let view = self.kernel.view();
        KernelStatus {
            mode: self.kernel.mode,
            interface: self.config.kernel.interface.clone(),
            xdp: self.kernel.xdp.map(|place| place.to_string()).unwrap_or_default(),
            why: self.kernel.why.clone(),
            error: view.and_then(|view| view.error.clone()),
            firewall: self.kernel.firewall.as_ref().map(firewall_status),
            flows: view.map_or(0, |view| view.flows),
            verdicts: verdicts.map(|(verdict, n)| (verdict.name().to_owned(), n)).collect(),
        }
    }

    fn proxy_status(&self) -> Component {
        let view = self.proxy.view.borrow();
        let kind = match self.config.proxy.kind {
            ProxyKind::Managed => "managed haproxy",
            ProxyKind::External => "external haproxy",
        };
        let wrong = view.refused.as_ref().or(view.error.as_ref());
        let detail =
            wrong.cloned().unwrap_or_else(|| format!("process {}, restarted {} times", view.pid, view.restarts));
        Component { kind: kind.into(), healthy: wrong.is_none(), detail }
    }

    fn platform_status(&self) -> Component {
        let view = self.functions.borrow();
        let down = self.proxy.view.borrow().gateway_down.then(|| "haproxy cannot connect to the gateway".to_owned());
        let wrong = view.error.clone().or(down);
        let healthy = wrong.is_none() && view.known;
        let lacking = self.platform.lacking();
        let lacking = if lacking.is_empty() { String::new() } else { format!(", without {}", lacking.join("; ")) };
        let detail = wrong.unwrap_or_else(|| format!("{} functions{lacking}", view.functions.len()));
        Component { kind: self.config.platform.kind.name.into(), healthy, detail }
    }

    fn overlay_status(&self) -> Component {
        let listening = self.overlay.listen_addresses();
        let connected = self.overlay.connected().len();
        let detail = match listening.as_slice() {
            [] => "not listening".into(),
            addresses => {
                let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                format!("{connected} peers connected, listening on {}", addresses.join(" "))
            }
        };
        let open = if self.overlay.is_open() { "; open: whoever reaches this node may take part" } else { "" };
        let detail = format!("{detail}{open}");
        let members = self.overlay.members();
        let detail = match &members.error {
            Some(error) => format!("{detail}; the former list of members is in force: {error}"),
            None => detail,
        };
        Component { kind: "overlay".into(), healthy: !listening.is_empty() && members.error.is_none(), detail }
    }

    fn margin_status(&self, now: Instant) -> Option<MarginStatus> {
        let planned = self.planner.planned.borrow();
        let usage = planned.usage?;
        let views = self.peers.chosen_views(now, self.config.strategy.grant_lifetime);
        Some(MarginStatus {
            offered: planned.margin.map_or(0.0, |margin| margin.margin),
            cpu_percent: usage.cpu,
            ram_bytes: usage.ram,
            power_microwatts: usage.power,
            peers: views.into_iter().filter_map(|(id, view)| Some((id, view.margin?.margin))).collect(),
            standing: planned.standing.into(),
        })
    }

    fn planes(&self) -> Planes {
        let view = self.proxy.view.borrow();
        let nothing = KernelView::default();
        let kernel = self.kernel.view().unwrap_or(&nothing);
        Planes {
            kernel: PlaneStatus { version: kernel.obeyed, repaired: kernel.repaired },
            proxy: PlaneStatus { version: view.obeyed.version, repaired: view.repaired },
            decision_to_kernel_ms: kernel.delay.as_secs_f64() * 1000.0,
            proxy_reloads: view.reloads,
        }
    }

    fn is_ready(&self) -> bool {
        let proxy_obeys = self.proxy.view.borrow().obeyed.version > 0;
        let kernel_obeys = self.kernel.view().is_none_or(|view| view.obeyed > 0);
        self.functions.borrow().known && proxy_obeys && kernel_obeys
    }

    fn peer_statuses(&self, now: Instant) -> Vec<PeerStatus> {
        let status = |(node, peer): (&NodeId, &crate::peers::Peer)| PeerStatus {
            node: node.clone(),
            host: peer.proxy.as_ref().map(|(host, _)| host.to_string()).unwrap_or_default(),
            direct: peer.direct,
            state: self.peers.standing(node, now).name().into(),
            age_ms: peer.age(now).as_millis() as u64,
            mode: peer.state.as_ref().map(|(s, _)| s.mode.to_string()).unwrap_or_default(),
            tunnel: peer.state.as_ref().and_then(|(s, _)| s.tunnel),
            number: self.kernel.peer_number(node),
            trouble: self.trouble(node),
        };
        let (used, others): (Vec<_>, Vec<_>) = self.peers.iter().partition(|(node, _)| self.peers.is_chosen(node));
        used.into_iter().chain(others.into_iter().take(MAX_OTHERS)).map(status).collect()
    }

    fn trouble(&self, node: &NodeId) -> Option<String> {
        let of_kernel = || self.kernel.view()?.peer_troubles.get(node).cloned();
        self.peers.trouble(node).or_else(of_kernel)
    }

    fn function_status(&self, name: &crate::name::FunctionName) -> FunctionStatus {
        let table = &self.decision.functions[name];
        let sample = self.rates.last(name);
        FunctionStatus {
            deployed: table.deployed,
            limit: table.local_limit,
            rates: self.rates.rate(name).outcomes,
            totals: sample.totals(),
            by_kernel: sample.by_kernel,
            by_proxy: sample.by_proxy,
            local_weight: table.weights.local,
            reject_weight: table.weights.reject,
            weights: table.weights.peers.clone(),
            limits_in: table.limits_in.clone(),
            limits_out: table.limits_out.clone(),
        }
    }

    /// Logs what the programs found worth a look.
    pub(super) fn tell_events(&mut self) {
        for event in self.kernel.take_events() {
            let verdict = Verdict::from_number(event.verdict);
            let function = self.kernel.function_name(event.function).map(ToString::to_string).unwrap_or_default();
            let source: std::net::IpAddr = event.source.into();
            if let Some(Verdict::FirstToPeer | Verdict::FirstRefused) = verdict {
                tracing::info!(%function, %source, "{}", verdict.map_or("", Verdict::text));
            } else {
                tracing::warn!(%function, %source, "{}", verdict.map_or("unknown event", Verdict::text));
            }
        }
    }
}
