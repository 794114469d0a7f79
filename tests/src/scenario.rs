//! Scenarios: loads on a federation, and what is expected of it.

mod judge;
mod report;
mod run;

pub use self::{
    judge::{Expected, Split, judge},
    report::Report,
    run::{Moment, Pace, run},
};

/// A course of loads, as data.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub description: &'static str,
    /// One after the other.
    pub steps: &'static [Step],
    pub expectation: Expectation,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub seconds: u64,
    /// At the same time.
    pub sources: &'static [Source],
}

/// Clients of one node.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Index of the node that is called.
    pub node: usize,
    pub function: &'static str,
    /// Calls per second.
    pub rate: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    Nothing,
    /// The first source's node serves its limit, the others the rest in proportion to what they granted it.
    Split,
}

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "cloudnet",
        description: "50 calls of figlet per second at n1, which may serve 10 with the default limits",
        steps: &[Step { seconds: 60, sources: &[Source { node: 0, function: "figlet", rate: 50.0 }] }],
        expectation: Expectation::Split,
    },
    Scenario {
        name: "idle",
        description: "no calls",
        steps: &[Step { seconds: 30, sources: &[] }],
        expectation: Expectation::Nothing,
    },
    Scenario {
        name: "two-hot",
        description: "50 calls of figlet per second at n1 and 10 at n2: two nodes ask for what the third has left",
        steps: &[Step {
            seconds: 60,
            sources: &[
                Source { node: 0, function: "figlet", rate: 50.0 },
                Source { node: 1, function: "figlet", rate: 10.0 },
            ],
        }],
        expectation: Expectation::Nothing,
    },
];

impl Scenario {
    pub fn find(name: &str) -> Result<&'static Self, String> {
        SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
            let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            format!("unknown scenario {name:?}: expected {}", names.join(", "))
        })
    }

    /// Nodes that it takes.
    pub fn nodes(&self) -> usize {
        self.steps.iter().flat_map(|step| step.sources).map(|source| source.node + 1).max().unwrap_or(1)
    }

    /// The source whose calls are judged.
    fn judged(&self) -> Option<&'static Source> {
        match self.expectation {
            Expectation::Nothing => None,
            Expectation::Split => self.steps.first()?.sources.first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federation::FUNCTIONS;

    #[test]
    fn every_scenario_can_be_found_and_run() {
        for (i, scenario) in SCENARIOS.iter().enumerate() {
            assert!(SCENARIOS[..i].iter().all(|other| other.name != scenario.name), "{} twice", scenario.name);
            assert_eq!(Scenario::find(scenario.name).unwrap().name, scenario.name);
            for source in scenario.steps.iter().flat_map(|step| step.sources) {
                assert!(FUNCTIONS.contains(&source.function) && source.rate > 0.0, "{}", scenario.name);
            }
            // What is judged is one source, for one step.
            assert!(scenario.expectation == Expectation::Nothing || scenario.steps.len() == 1, "{}", scenario.name);
        }
        assert!(Scenario::find("none").unwrap_err().contains("cloudnet"));
    }
}
