//! Strategies: pure functions from what a node knows to what it grants and where calls go. No I/O, no clock.
//!
//! All rates are calls per second.

mod all_local;
mod recalc;
pub mod replayed;

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use crate::{
    decision::{FunctionTable, Weights},
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

/// What a peer has told us, by function that it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerView {
    pub functions: BTreeMap<FunctionName, PeerFunction>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PeerFunction {
    /// What it accepts from us.
    pub limit_out: f64,
    /// What its own clients offer above its limit.
    pub excess: f64,
}

/// Routing tables of all functions, ours and those that only peers run.
pub type Outcome = BTreeMap<FunctionName, FunctionTable>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    Recalc,
    AllLocal,
}

impl Strategy {
    pub fn decide(self, snapshot: &Snapshot) -> Outcome {
        match self {
            Self::Recalc => recalc::decide(snapshot),
            Self::AllLocal => all_local::decide(snapshot),
        }
    }

    /// The name in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recalc => "recalcstrategy",
            Self::AllLocal => "alllocalstrategy",
        }
    }
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
        match s.strip_suffix("strategy").unwrap_or(s) {
            "recalc" => Ok(Self::Recalc),
            "alllocal" => Ok(Self::AllLocal),
            "nodemargin" | "static" | "rlagent" => Err(format!("strategy {s:?} is not supported by this version")),
            _ => Err(format!("unknown strategy {s:?}: expected recalcstrategy or alllocalstrategy")),
        }
    }
}

/// Whole percents in proportion to the shares; what rounding leaves goes to the largest remainders, so the sum is 100
/// unless all shares are 0.
pub(crate) fn percentages(shares: &BTreeMap<NodeId, f64>) -> BTreeMap<NodeId, u32> {
    let total: f64 = shares.values().sum();
    if total <= 0.0 {
        return BTreeMap::new();
    }
    let exact = |share: &f64| share * 100.0 / total;
    let mut percents: BTreeMap<NodeId, u32> =
        shares.iter().filter(|s| *s.1 > 0.0).map(|(id, share)| (id.clone(), exact(share) as u32)).collect();
    let left = 100 - percents.values().sum::<u32>();
    let mut by_remainder: Vec<_> = shares.iter().filter(|s| *s.1 > 0.0).collect();
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
    fn names_of_the_original_are_understood() {
        assert_eq!("recalcstrategy".parse(), Ok(Strategy::Recalc));
        assert_eq!("alllocal".parse(), Ok(Strategy::AllLocal));
        assert!("staticstrategy".parse::<Strategy>().unwrap_err().contains("not supported"));
        assert!("x".parse::<Strategy>().unwrap_err().contains("unknown strategy \"x\""));
    }
}
