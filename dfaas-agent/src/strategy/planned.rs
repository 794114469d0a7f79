//! Tables from weights that were worked out off the agent's loop (node margin, RL agent). Between two plans peers may come,
//! go, or take a function away: what a plan says of those falls to this node.

use super::{FunctionTables, Plan, Snapshot, names, open_grants, runners};
use crate::{
    decision::{FunctionTable, Shape, Weights},
    name::FunctionName,
};

pub(super) fn decide(snapshot: &Snapshot, plan: &Plan) -> FunctionTables {
    names(snapshot).into_iter().map(|name| (name.clone(), table(snapshot, plan, name))).collect()
}

fn table(snapshot: &Snapshot, plan: &Plan, name: &FunctionName) -> FunctionTable {
    let local = snapshot.functions.get(name);
    let limits_out = runners(snapshot, name);
    let planned = plan.weights.get(name);
    let mut weights = planned.cloned().unwrap_or_else(Weights::local);
    if local.is_some() {
        let lost: u32 = weights.peers.iter().filter(|(id, _)| !limits_out.contains_key(*id)).map(|(_, w)| *w).sum();
        weights.peers.retain(|id, _| limits_out.contains_key(id));
        weights.local += lost;
    } else {
        // Nobody plans for what does not run here.
        let equal = limits_out.keys().map(|id| (id.clone(), 1)).collect();
        weights = Weights { local: 0, reject: 0, peers: equal };
    }
    FunctionTable {
        deployed: local.is_some(),
        local_limit: if local.is_some() { None } else { Some(0.0) },
        shape: Shape::Weighted,
        weights,
        limits_in: open_grants(snapshot),
        limits_out,
        timeout: local.and_then(|f| f.timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decision::UNLIMITED,
        strategy::{
            LocalFunction, PeerFunction, PeerView,
            test_names::{function, node},
        },
    };

    fn snapshot(peers: &[u8]) -> Snapshot {
        let view = || PeerView {
            functions: [(function("f"), PeerFunction { limit_out: UNLIMITED, excess: 0.0 })].into(),
            ..PeerView::default()
        };
        Snapshot {
            functions: [(function("f"), LocalFunction::default())].into(),
            peers: peers.iter().map(|n| (node(*n), view())).collect(),
        }
    }

    fn plan() -> Plan {
        let weights = Weights { local: 50, reject: 10, peers: [(node(1), 30), (node(2), 10)].into() };
        Plan { weights: [(function("f"), weights)].into() }
    }

    #[test]
    fn without_a_plan_all_stays_here() {
        let table = &decide(&snapshot(&[1]), &Plan::default())[&function("f")];
        assert_eq!(table.weights, Weights::local());
    }

    #[test]
    fn the_plan_is_obeyed() {
        let table = &decide(&snapshot(&[1, 2]), &plan())[&function("f")];
        assert_eq!(table.weights, plan().weights[&function("f")]);
        assert_eq!(table.limits_in.len(), 2);
    }

    /// B12: a peer may go between the plan and its use.
    #[test]
    fn the_share_of_a_lost_peer_stays_here() {
        let table = &decide(&snapshot(&[2]), &plan())[&function("f")];
        assert_eq!(table.weights, Weights { local: 80, reject: 10, peers: [(node(2), 10)].into() });
    }
}
