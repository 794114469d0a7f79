//! The status on one screen.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::Status;

impl Status {
    /// Some lines and two tables.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let k = &self.kernel;
        let xdp = if k.xdp.is_empty() { String::new() } else { format!(", XDP {}", k.xdp) };
        let _ = writeln!(out, "node      {} ({})", self.node, self.host);
        let _ = writeln!(
            out,
            "agent     {}, up {} s, {}, decision {}",
            self.version, self.uptime_s, self.strategy, self.decision
        );
        let _ = writeln!(out, "kernel    {} on {}{xdp}, {} forwarded connections", k.mode, k.interface, k.flows);
        for reason in &k.why {
            let _ = writeln!(out, "          because {reason}");
        }
        for component in self.kernel.firewall.iter().chain([&self.proxy, &self.platform]) {
            let state = if component.healthy { "well" } else { "NOT WELL" };
            let _ = writeln!(
                out,
                "{:<9} {state}: {}",
                component.kind.split(' ').next_back().unwrap_or(""),
                component.detail
            );
        }
        let _ = writeln!(out, "\n{}", self.peer_table());
        for (peer, trouble) in self.peers.iter().filter_map(|peer| Some((peer, peer.trouble.as_ref()?))) {
            let _ = writeln!(out, "{}: {trouble}", self.short(peer.node.as_str()));
        }
        let _ = writeln!(out, "\n{}", self.function_table());
        out
    }

    fn peer_table(&self) -> Table {
        let mut table = table(&["peer", "host", "state", "mode", "heard", "number"]);
        for p in &self.peers {
            let number = p.number.map(|n| n.to_string()).unwrap_or_default();
            let heard = format!("{:.1} s", p.age_ms as f64 / 1000.0);
            let mode = if p.direct { p.mode.clone() } else { "original".into() };
            table.add_row([p.node.to_string(), p.host.clone(), p.state.clone(), mode, heard, number]);
        }
        table
    }

    /// Per second: what was offered and where it went; then limits.
    pub fn function_table(&self) -> Table {
        let mut table =
            table(&["function", "limit", "offered/s", "local/s", "forwarded/s", "rejected/s", "received/s", "weights"]);
        for column in 1..=6 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        for (name, f) in &self.functions {
            let r = &f.rates;
            let limit = f.limit.map_or("none".into(), |l| format!("{l:.0}"));
            let weights: Vec<_> =
                f.weights.iter().map(|(peer, w)| format!("{}:{w}", self.short(peer.as_str()))).collect();
            let mut row = vec![name.to_string(), limit];
            row.extend([r.offered, r.local, r.forwarded, r.rejected, r.received].map(|n| format!("{n:.1}")));
            row.push(weights.join(" "));
            table.add_row(row);
        }
        table
    }

    /// A peer's host, or the end of its name.
    fn short(&self, node: &str) -> String {
        let known = self.peers.iter().find(|p| p.node.as_str() == node && !p.host.is_empty());
        known.map_or_else(|| node[node.len().saturating_sub(6)..].to_owned(), |p| p.host.clone())
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_HORIZONTAL_ONLY);
    table.set_header(header.iter().copied());
    table
}
