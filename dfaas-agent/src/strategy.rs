//! Strategies: pure functions from what a node knows to what it grants and where calls go. No I/O, no clock.
//!
//! All rates are calls per second.

mod all_local;
pub mod node_margin;
mod planned;
pub mod recalc;
pub(crate) mod rl_agent;
mod static_weights;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use crate::{
    decision::{FunctionTable, UNLIMITED, Weights},
    forecast::{GroupRates, NodeType, Usage},
    name::{FunctionName, NodeId},
};

/// What a node knows when it decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Functions deployed here.
    pub functions: BTreeMap<FunctionName, LocalFunction>,
    /// Peers that may be used, or may use this node.
    pub peers: BTreeMap<NodeId, PeerView>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalFunction {
    /// Label `dfaas.maxrate`; `None`: no limit, and nothing to grant.
    pub max_rate: Option<f64>,
    /// What our own clients offer, served here or not.
    pub rate: f64,
    pub timeout: Option<Duration>,
}

/// What a peer has told us.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerView {
    /// Functions that it runs.
    pub functions: BTreeMap<FunctionName, PeerFunction>,
    /// Of a peer that runs node margin.
    pub margin: Option<MarginView>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerFunction {
    /// What it accepts from us.
    pub limit_out: f64,
    /// What its own clients offer above its limit.
    pub excess: f64,
}

/// What node margin knows of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MarginView {
    pub node_type: NodeType,
    pub thresholds: Usage,
    /// Percentage points of its thresholds that it offers to this node.
    pub margin: f64,
    /// Its load when it said so.
    pub load: GroupRates,
}

/// Routing tables of all functions, ours and those that only peers run.
pub type FunctionTables = BTreeMap<FunctionName, FunctionTable>;

/// What a strategy that takes its time has worked out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub weights: BTreeMap<FunctionName, Weights>,
}

/// What a strategy decides from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    pub snapshot: &'a Snapshot,
    /// Of node margin and RL agent; the others need none.
    pub plan: &'a Plan,
    /// The state of recalc in the original's arithmetic, if that is wanted.
    pub compat: Option<&'a recalc::Compat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Recalc,
    NodeMargin,
    Static,
    AllLocal,
    RlAgent,
}

/// A strategy whose plans take their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedStrategy {
    NodeMargin,
    RlAgent,
}

impl Strategy {
    pub const ALL: [Self; 5] = [Self::Recalc, Self::NodeMargin, Self::Static, Self::AllLocal, Self::RlAgent];

    pub fn decide(self, inputs: Inputs<'_>) -> FunctionTables {
        match (self, inputs.compat) {
            (Self::Recalc, Some(compat)) => compat.outcome(inputs.snapshot),
            (Self::Recalc, None) => recalc::decide(inputs.snapshot),
            (Self::Static, Some(_)) => static_weights::decide(inputs.snapshot, Rounding::Original),
            (Self::Static, None) => static_weights::decide(inputs.snapshot, Rounding::LargestRemainder),
            (Self::AllLocal, _) => all_local::decide(inputs.snapshot),
            (Self::NodeMargin | Self::RlAgent, _) => planned::decide(inputs.snapshot, inputs.plan),
        }
    }

    /// If its weights are worked out off the agent's loop: by whom.
    pub const fn planned(self) -> Option<PlannedStrategy> {
        match self {
            Self::NodeMargin => Some(PlannedStrategy::NodeMargin),
            Self::RlAgent => Some(PlannedStrategy::RlAgent),
            Self::Recalc | Self::Static | Self::AllLocal => None,
        }
    }

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recalc => "recalcstrategy",
            Self::NodeMargin => "nodemarginstrategy",
            Self::Static => "staticstrategy",
            Self::AllLocal => "alllocalstrategy",
            Self::RlAgent => "rlagentstrategy",
        }
    }
}

/// How shares become whole percents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rounding {
    /// One by one, so the sum may miss 100.
    Original,
    LargestRemainder,
}

/// All functions that run anywhere.
fn names(snapshot: &Snapshot) -> Vec<&FunctionName> {
    let mut names: Vec<&FunctionName> = snapshot.functions.keys().collect();
    names.extend(snapshot.peers.values().flat_map(|peer| peer.functions.keys()));
    names.sort();
    names.dedup();
    names
}

/// Peers that run a function and accept calls of it, with what they accept.
fn runners(snapshot: &Snapshot, name: &FunctionName) -> BTreeMap<NodeId, f64> {
    let accepts = |(id, peer): (&NodeId, &PeerView)| {
        let limit = peer.functions.get(name)?.limit_out;
        (limit > 0.0).then(|| (id.clone(), limit))
    };
    snapshot.peers.iter().filter_map(accepts).collect()
}

/// Strategies that divide by weights alone take whatever the peers send.
fn open_grants(snapshot: &Snapshot) -> BTreeMap<NodeId, f64> {
    snapshot.peers.keys().map(|id| (id.clone(), UNLIMITED)).collect()
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = String;
    /// The original's names, with or without their ending.
    fn from_str(s: &str) -> Result<Self, String> {
        let short = |name: &'static str| name.trim_end_matches("strategy");
        let wanted = s.strip_suffix("strategy").unwrap_or(s);
        Self::ALL
            .into_iter()
            .find(|strategy| short(strategy.name()) == wanted)
            .ok_or_else(|| format!("unknown strategy {s:?}: expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Whole percents in proportion to the shares; what rounding leaves goes to the largest remainders, so the sum is 100
/// unless all shares are 0. Of any size: what is not a number counts for nothing.
pub(crate) fn percentages<K: Ord + Clone>(shares: &BTreeMap<K, f64>) -> BTreeMap<K, u32> {
    let counted = |share: &f64| *share > 0.0 && share.is_finite();
    let largest = shares.values().copied().filter(counted).fold(0.0, f64::max);
    // Relative to the largest, so that no sum is too large for a number.
    let total: f64 = shares.values().filter(|share| counted(share)).map(|share| share / largest).sum();
    if total <= 0.0 {
        return BTreeMap::new();
    }
    let exact = |share: &f64| share / largest * 100.0 / total;
    let mut percents: BTreeMap<K, u32> =
        shares.iter().filter(|s| counted(s.1)).map(|(id, share)| (id.clone(), exact(share) as u32)).collect();
    let left = 100_u32.saturating_sub(percents.values().sum());
    let mut by_remainder: Vec<_> = shares.iter().filter(|s| counted(s.1)).collect();
    by_remainder.sort_by(|a, b| exact(b.1).fract().total_cmp(&exact(a.1).fract()));
    for (id, _) in by_remainder.into_iter().take(left as usize) {
        *percents.entry(id.clone()).or_default() += 1;
    }
    percents
}

impl Weights {
    /// Everything here.
    pub fn local() -> Self {
        Self { local: 100, ..Self::default() }
    }
}

#[cfg(test)]
pub(crate) mod test_names {
    use super::*;

    pub(crate) fn node(n: u8) -> NodeId {
        let digits = b"123456789ABCDEFGHJKLMN";
        format!("12D3KooW{}", "x".repeat(43) + &(digits[n as usize] as char).to_string()).parse().unwrap()
    }

    pub(crate) fn function(name: &str) -> FunctionName {
        name.parse().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::{test_names::node, *};
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, prop_assume, proptest};

    proptest! {
        #[test]
        fn percentages_sum_to_a_hundred(shares in prop::collection::vec(0.0f64..1e6, 1..20)) {
            let shares: BTreeMap<_, _> = shares.into_iter().enumerate().map(|(i, s)| (node(i as u8), s)).collect();
            prop_assume!(shares.values().any(|s| *s > 0.0));
            let percents = percentages(&shares);
            prop_assert_eq!(percents.values().sum::<u32>(), 100);
            for (id, percent) in percents {
                let exact = shares[&id] * 100.0 / shares.values().sum::<f64>();
                prop_assert!((f64::from(percent) - exact).abs() < 1.0);
            }
        }
    }

    #[test]
    fn shares_of_any_size_become_percents() {
        let of = |shares: &[f64]| {
            let shares = shares.iter().enumerate().map(|(i, share)| (i, *share)).collect();
            percentages(&shares).into_values().collect::<Vec<_>>()
        };
        assert_eq!(of(&[1.7e308, 1.7e308, 1.0]), [50, 50, 0]);
        assert_eq!(of(&[f64::INFINITY, 30.0, f64::NAN, 10.0]), [75, 25]);
        assert_eq!(of(&[5e-324, 5e-324]), [50, 50]);
    }

    #[test]
    fn names_of_the_original_are_understood() {
        assert_eq!("recalcstrategy".parse(), Ok(Strategy::Recalc));
        assert_eq!("alllocal".parse(), Ok(Strategy::AllLocal));
        for strategy in Strategy::ALL {
            assert_eq!(strategy.name().parse(), Ok(strategy));
        }
        assert!("x".parse::<Strategy>().unwrap_err().contains("unknown strategy \"x\""));
    }
}
