//! RL agent, live: questions to the model, one per function.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::Result;

use super::{Observed, Proposal};
use crate::{
    config::PlanningConfig,
    decision::Weights,
    name::{FunctionName, NodeId},
    rl_model::{ExchangeLog, ModelSettings, RlModel},
    strategy::{
        Plan,
        rl_agent::{Action, Driver, Pace, Subject, question},
    },
};

/// As the original's.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(900);
const LOG_BYTES: u64 = 16 << 20;

pub(super) struct Model {
    node: NodeId,
    client: RlModel,
    log: ExchangeLog,
    pace: Pace,
    cores: u32,
    drivers: BTreeMap<FunctionName, Driver>,
    weights: BTreeMap<FunctionName, Weights>,
}

impl Model {
    pub(super) fn new(node: NodeId, planning: &PlanningConfig, log: PathBuf) -> Result<Self> {
        let settings = ModelSettings { address: planning.model_address.clone(), timeout: QUESTION_TIMEOUT };
        Ok(Self {
            node,
            client: RlModel::new(settings)?,
            log: ExchangeLog::new(log, LOG_BYTES),
            pace: planning.pace,
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            drivers: BTreeMap::new(),
            weights: BTreeMap::new(),
        })
    }

    /// `None`: nothing was due. An answer that cannot be had leaves all weights as they are.
    pub(super) async fn plan(&mut self, observed: &Observed, is_period: bool) -> Option<Result<Proposal, String>> {
        if self.pace == Pace::Periodic && !is_period {
            return None;
        }
        let functions = &observed.snapshot.functions;
        self.drivers.retain(|name, _| functions.contains_key(name));
        self.weights.retain(|name, _| functions.contains_key(name));
        let mut failure = None;
        for name in functions.keys() {
            let Some(mark) = observed.marks.get(name) else { continue };
            let driver = self.drivers.entry(name.clone()).or_insert_with(|| Driver::new(self.pace));
            match driver.step(observed.stage, mark.clone(), self.cores) {
                Action::Nothing => {}
                Action::AllLocal => {
                    self.weights.insert(name.clone(), Weights::local());
                }
                Action::Ask { current, previous } => {
                    let subject = self.subject(observed, name);
                    let asked = question(&subject, &current, previous.as_ref(), observed.planning.explore);
                    match self.client.ask(&subject, &asked).await {
                        Ok(answered) => {
                            if let Err(e) = self.log.append(&asked, &answered.text, SystemTime::now()) {
                                tracing::warn!("{e:#}");
                            }
                            self.weights.insert(name.clone(), answered.weights);
                        }
                        Err(e) => {
                            failure.get_or_insert(format!("{e:#}"));
                            self.drivers.entry(name.clone()).and_modify(Driver::not_answered);
                        }
                    }
                }
            }
        }
        let plan = Plan { weights: self.weights.clone() };
        Some(failure.map_or_else(|| Ok(Proposal { plan, ..Proposal::default() }), Err))
    }

    fn subject(&self, observed: &Observed, function: &FunctionName) -> Subject {
        let snapshot = &observed.snapshot;
        let runs = |id: &&NodeId| snapshot.peers[*id].functions.get(function).is_some_and(|f| f.limit_out > 0.0);
        Subject {
            node: self.node.clone(),
            function: function.clone(),
            neighbours: snapshot.peers.keys().filter(runs).cloned().collect(),
            named: snapshot.functions.len() > 1,
        }
    }
}
