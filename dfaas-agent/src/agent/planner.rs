//! Strategies that take their time (a forecaster or a model is asked) work off the agent's loop: it leaves what it knows
//! here, and takes the last plan from here. What holds while no plan can be made is said in docs/strategies.md.

mod margin;
mod model;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use self::{
    margin::{Forecasters, News},
    model::Model,
};
use super::rhythm::{Periods, wall_clock};
use crate::{
    config::{PlanningConfig, StrategyConfig},
    forecast::{Usage, fallback::Fallback},
    name::{FunctionName, NodeId},
    p2p::direct::MarginState,
    platform::Platform,
    status::Component,
    strategy::{Plan, PlannedStrategy, Snapshot, rl_agent::Mark},
};

const TICK: Duration = Duration::from_millis(500);
/// A plan stands in for those that could not be made for so many periods, and at least so long.
const LIFETIME_PERIODS: u32 = 3;
const SHORTEST_LIFETIME: Duration = Duration::from_secs(3);

/// What the agent knows, for those who plan.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) strategy: PlannedStrategy,
    pub(super) terms: StrategyConfig,
    pub(super) planning: PlanningConfig,
    pub(super) snapshot: Snapshot,
    pub(super) marks: BTreeMap<FunctionName, Mark>,
    /// Of a load test, as its clients tell.
    pub(super) stage: Option<u32>,
}

/// One plan, and what it rests on.
#[derive(Clone, Debug, Default, PartialEq)]
struct Proposal {
    plan: Plan,
    margin: Option<MarginState>,
    usage: Option<Usage>,
}

/// What holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Planned {
    pub(super) plan: Plan,
    /// Of node margin: what the others are told.
    pub(super) margin: Option<MarginState>,
    /// What this node uses, as forecast.
    pub(super) usage: Option<Usage>,
    /// `None`: the strategy plans nothing.
    pub(super) health: Option<Component>,
    /// `fresh`, `last` or `nothing`.
    pub(super) standing: &'static str,
}

/// The agent's side.
pub(super) struct Planner {
    observed: watch::Sender<Option<Arc<Observed>>>,
    pub(super) planned: watch::Receiver<Arc<Planned>>,
}

impl Planner {
    /// Models that are asked for are read here: a node must not find out under load that they are wrong.
    pub(super) fn start(
        node: NodeId,
        platform: Arc<dyn Platform>,
        planning: &PlanningConfig,
        model_log: std::path::PathBuf,
    ) -> Result<Self> {
        let (observed, receiver) = watch::channel(None);
        let (shown, planned) = watch::channel(Arc::default());
        let task = Task {
            observed: receiver,
            shown,
            forecasters: Forecasters::new(planning)?,
            model: Model::new(node, planning, model_log)?,
            platform,
            strategy: None,
            periods: Periods::default(),
            news: News::default(),
            fallback: Fallback::new(SHORTEST_LIFETIME),
        };
        tokio::spawn(task.run());
        Ok(Self { observed, planned })
    }

    pub(super) fn observe(&self, observed: Observed) {
        self.observed.send_replace(Some(Arc::new(observed)));
    }

    /// Nothing is to be planned.
    pub(super) fn rest(&self) {
        self.observed.send_if_modified(|observed| observed.take().is_some());
    }
}

struct Task {
    observed: watch::Receiver<Option<Arc<Observed>>>,
    shown: watch::Sender<Arc<Planned>>,
    forecasters: Forecasters,
    model: Model,
    platform: Arc<dyn Platform>,
    strategy: Option<PlannedStrategy>,
    periods: Periods,
    news: News,
    fallback: Fallback<Proposal>,
}

impl Task {
    async fn run(mut self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.shown.is_closed() {
            tick.tick().await;
            let observed = self.observed.borrow().clone();
            if let Some(observed) = observed {
                self.step(&observed).await;
            } else {
                self.strategy = None;
                self.show(Planned::default());
            }
        }
    }

    async fn step(&mut self, observed: &Observed) {
        let strategy = observed.strategy;
        if self.strategy != Some(strategy) {
            let lifetime = (observed.terms.period * LIFETIME_PERIODS).max(SHORTEST_LIFETIME);
            (self.strategy, self.fallback) = (Some(strategy), Fallback::new(lifetime));
            self.periods = Periods::default();
        }
        self.forecasters.learn(observed, &self.platform.cpu_times());
        let is_period = self.periods.begins(wall_clock(), observed.terms.period);
        let news = self.news.take(observed);
        let outcome = match strategy {
            PlannedStrategy::NodeMargin => {
                // What can be had for nothing is looked at all the time, what must be asked for when there is news.
                let eager = !observed.terms.compat && (news || self.forecasters.are_cheap());
                if is_period || eager { Some(self.forecasters.plan(observed).await) } else { None }
            }
            PlannedStrategy::RlAgent => self.model.plan(observed, is_period).await,
        };
        if let Some(outcome) = outcome {
            self.fallback.record(Instant::now(), outcome);
        }
        self.show(self.standing(strategy, observed));
    }

    fn standing(&self, strategy: PlannedStrategy, observed: &Observed) -> Planned {
        let kind = match strategy {
            PlannedStrategy::NodeMargin => self.forecasters.name(),
            PlannedStrategy::RlAgent => "model",
        };
        let standing = self.fallback.standing(Instant::now());
        let complaint = standing.complaint();
        let detail = complaint.clone().unwrap_or_else(|| match strategy {
            PlannedStrategy::NodeMargin => self.forecasters.detail(),
            PlannedStrategy::RlAgent => format!("model {} answers", observed.planning.model_address),
        });
        let outcome = standing.value().cloned().unwrap_or_default();
        Planned {
            plan: outcome.plan,
            margin: outcome.margin,
            usage: outcome.usage,
            health: Some(Component { kind: kind.into(), healthy: complaint.is_none(), detail }),
            standing: standing.name(),
        }
    }

    fn show(&self, planned: Planned) {
        self.shown.send_if_modified(|shown| {
            let changed = **shown != planned;
            if changed {
                let complaint = |planned: &Planned| planned.health.as_ref().is_some_and(|health| !health.healthy);
                match (complaint(shown), complaint(&planned)) {
                    (false, true) => tracing::warn!("no plan: {}", planned.health.as_ref().map_or("", |h| &h.detail)),
                    (true, false) => tracing::info!("plans can be made again"),
                    _ => {}
                }
                *shown = Arc::new(planned);
            }
            changed
        });
    }
}
