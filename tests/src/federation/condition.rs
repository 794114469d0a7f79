//! When a federation is settled.

use dfaas_agent::{kernel::mode::Mode, status::Status};

use super::options::Options;

/// What is missing until every node runs as asked and sees all others.
pub(super) fn unjoined(statuses: &[(&str, Status)], options: &Options) -> Option<String> {
    statuses.iter().find_map(|(name, status)| Some(format!("{name} {}", node_unjoined(status, statuses, options)?)))
}

/// What is missing until every node was also granted something by each. Nodes under load may have nothing to grant.
pub(super) fn unsettled(statuses: &[(&str, Status)], options: &Options) -> Option<String> {
    let ungranted = |(name, status): &(&str, Status)| {
        let others = statuses.iter().filter(|(_, other)| other.node != status.node);
        let mut lacks = others.filter_map(|(other, other_status)| Some((other, without_grant(status, other_status)?)));
        let (other, function) = lacks.next()?;
        Some(format!("{name} was granted nothing by {other} for {function}"))
    };
    unjoined(statuses, options).or_else(|| {
        let recalc = options.strategy.starts_with("recalc");
        statuses.iter().filter(|_| recalc).find_map(ungranted)
    })
}

fn node_unjoined(status: &Status, all: &[(&str, Status)], options: &Options) -> Option<String> {
    if status.kernel.mode != options.mode {
        let (mode, why) = (status.kernel.mode, status.kernel.why.join("; "));
        return Some(format!("is in mode {mode}, expected {}: {why}", options.mode));
    }
    for (part, component) in [("proxy", &status.proxy), ("platform", &status.platform)] {
        if !component.healthy {
            return Some(format!("has a {part} that is not healthy: {}", component.detail));
        }
    }
    for (other, other_status) in all.iter().filter(|(_, other)| other.node != status.node) {
        match status.peers.iter().find(|peer| peer.node == other_status.node) {
            None => return Some(format!("does not see {other}")),
            Some(peer) if peer.state != "up" => return Some(format!("sees {other} as {}, expected up", peer.state)),
            Some(peer) if options.mode == Mode::Handoff && peer.number.is_none() => {
                return Some(format!("has no number for {other}, so cannot hand connections off to it"));
            }
            Some(_) => {}
        }
    }
    None
}

/// A function of `other` that it could share, but does not with this node.
fn without_grant(status: &Status, other: &Status) -> Option<String> {
    let shared = other.functions.iter().filter(|(_, f)| f.deployed && f.limit.is_some_and(|limit| limit > 0.0));
    let granted = |name| status.functions.get(name).is_some_and(|f| f.limits_out.contains_key(&other.node));
    // Without one deployed function the platform has not been asked yet.
    if !other.functions.values().any(|f| f.deployed) {
        return Some("any function".to_owned());
    }
    shared.map(|(name, _)| name).find(|name| !granted(name)).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn id(n: usize) -> String {
        format!("12D3KooW{}", n.to_string().repeat(44))
    }

    fn status(n: usize, peers: &[(usize, &str)], granted_by: &[usize]) -> Status {
        let peers: Vec<_> = peers
            .iter()
            .map(|(n, state)| {
                json!({"node": id(*n), "host": "h", "direct": true, "state": state, "age_ms": 0, "mode": "handoff",
                       "tunnel": null, "number": 0})
            })
            .collect();
        let outcomes = json!({"offered": 0, "local": 0, "forwarded": 0, "rejected": 0, "received": 0});
        let limits: serde_json::Map<_, _> = granted_by.iter().map(|n| (id(*n), json!(5.0))).collect();
        serde_json::from_value(json!({
            "node": id(n), "host": "h", "version": "0", "uptime_s": 1, "strategy": "recalcstrategy", "decision": 1,
            "kernel": {"mode": "handoff", "interface": "eth0", "xdp": "native", "why": [], "flows": 0, "verdicts": {}},
            "proxy": {"kind": "managed", "healthy": true, "detail": ""},
            "platform": {"kind": "embedded", "healthy": true, "detail": ""},
            "overlay": {"kind": "libp2p", "healthy": true, "detail": ""}, "ready": true,
            "planes": {"kernel": {"version": 1, "repaired": 0}, "proxy": {"version": 1, "repaired": 0},
                       "decision_to_kernel_ms": 0.0, "proxy_reloads": 0},
            "peers": peers,
            "functions": {"figlet": {"deployed": true, "limit": 10.0, "rates": outcomes, "totals": outcomes,
                                     "weights": {}, "limits_in": {}, "limits_out": limits}},
        }))
        .unwrap()
    }

    fn missing(statuses: &[(&str, Status)]) -> Option<String> {
        unsettled(statuses, &Options::new(Path::new("a"), Path::new("d")))
    }

    #[test]
    fn a_federation_is_settled_when_all_see_all_and_were_granted_something() {
        let n2 = || ("n2", status(2, &[(1, "up")], &[1]));
        assert_eq!(missing(&[("n1", status(1, &[(2, "up")], &[2])), n2()]), None);
        let text = |n1: Status| missing(&[("n1", n1), n2()]).unwrap();
        assert_eq!(text(status(1, &[], &[2])), "n1 does not see n2");
        assert_eq!(text(status(1, &[(2, "silent")], &[2])), "n1 sees n2 as silent, expected up");
        assert_eq!(text(status(1, &[(2, "up")], &[])), "n1 was granted nothing by n2 for figlet");
    }

    #[test]
    fn another_mode_than_asked_for_is_named_with_its_reason() {
        let mut one = status(1, &[], &[]);
        one.kernel.mode = Mode::Observe;
        one.kernel.why = vec!["the reason".to_owned()];
        assert_eq!(missing(&[("n1", one)]).unwrap(), "n1 is in mode observe, expected handoff: the reason");
    }
}
