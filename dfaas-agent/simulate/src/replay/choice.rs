//! The strategies that can be replayed: the rules of the original's simulator and the strategies of the live agent.

mod live;

use std::collections::BTreeMap;

use anyhow::Result;
use rand::Rng;

use super::{instance::Instance, traffic::Routing};
use crate::replayed::{LocalView, NodeMetrics, Rule, Shares};
use dfaas_agent::{name::FunctionName, strategy::Strategy};
use dfaas_base::BadInput;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Rule(Rule),
    Live(Live),
}

/// The code of the live agent; only what it knows comes from the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    pub strategy: Strategy,
    /// In the arithmetic of the original's agent.
    pub original: bool,
}

const fn live(strategy: Strategy, original: bool) -> Choice {
    Choice::Live(Live { strategy, original })
}

/// On the command line, in results, and what it is.
const CHOICES: [(&str, &str, Choice); 9] = [
    ("base", "base_strategy", Choice::Rule(Rule::Base)),
    ("random", "random_strategy", Choice::Rule(Rule::Random)),
    ("static", "dfaas_static_strategy", Choice::Rule(Rule::StaticShare)),
    ("empirical", "empirical_strategy", Choice::Rule(Rule::Empirical)),
    ("recalc", "recalc_strategy", live(Strategy::Recalc, false)),
    ("recalc-original", "recalc_original_strategy", live(Strategy::Recalc, true)),
    ("static-agent", "static_agent_strategy", live(Strategy::Static, false)),
    ("static-agent-original", "static_agent_original_strategy", live(Strategy::Static, true)),
    ("all-local", "all_local_strategy", live(Strategy::AllLocal, false)),
];

/// Where each function's calls of one node go in a minute.
pub type Routes = BTreeMap<FunctionName, Routing>;

impl Choice {
    /// A list with commas, of which the order is kept.
    pub fn parse_list(list: &str) -> Result<Vec<Self>> {
        let mut choices: Vec<Self> = Vec::new();
        for word in list.split(',').map(str::trim) {
            let found = CHOICES.iter().find(|(short, long, _)| *short == word || *long == word);
            let Some((.., choice)) = found else {
                let known: Vec<&str> = CHOICES.iter().map(|(short, ..)| *short).collect();
                return Err(BadInput(format!("--strategy has {word:?}, expected of {}", known.join(", "))).into());
            };
            if !choices.contains(choice) {
                choices.push(*choice);
            }
        }
        Ok(choices)
    }

    /// The name in results.
    pub fn name(self) -> &'static str {
        CHOICES.iter().find(|(.., choice)| *choice == self).map_or("", |(_, name, _)| *name)
    }

    /// What every node does in a minute; nodes in the order of the instance.
    pub fn decide(self, instance: &Instance, minute: &[NodeMetrics], rng: &mut impl Rng) -> Vec<Routes> {
        match self {
            Self::Rule(rule) => {
                shares(instance, minute, |view, function| rule.shares(view, function, rng), Routing::Excess)
            }
            Self::Live(live) => live::decide(live, instance, minute),
        }
    }
}

/// Shares of the overloaded functions, from a rule, by neighbour's number in the instance.
pub fn shares<T>(
    instance: &Instance,
    minute: &[NodeMetrics],
    mut rule: impl FnMut(&LocalView<'_>, &FunctionName) -> Shares,
    wrap: impl Fn(BTreeMap<usize, f64>) -> T,
) -> Vec<BTreeMap<FunctionName, T>> {
    let mut decided = Vec::with_capacity(minute.len());
    for (node, own) in instance.nodes.iter().zip(minute) {
        let view = LocalView { own, neighbours: node.neighbours.iter().map(|other| &minute[*other]).collect() };
        let overloaded = own.functions.iter().filter(|(_, metrics)| metrics.overloaded);
        let by_function = overloaded.map(|(function, _)| {
            let by_place = rule(&view, function);
            let by_node = by_place.into_iter().map(|(place, share)| (node.neighbours[place], share)).collect();
            (function.clone(), wrap(by_node))
        });
        decided.push(by_function.collect());
    }
    decided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_known_by_the_names_of_the_command_and_of_the_results() {
        let choices = Choice::parse_list("base, recalc,dfaas_static_strategy,base").unwrap();
        let names: Vec<&str> = choices.iter().map(|choice| choice.name()).collect();
        assert_eq!(names, ["base_strategy", "recalc_strategy", "dfaas_static_strategy"]);
        let refused = Choice::parse_list("base,fastest").unwrap_err();
        assert!(refused.is::<BadInput>() && refused.to_string().contains("\"fastest\""), "{refused}");
        assert!(Choice::parse_list("").is_err());
    }
}
