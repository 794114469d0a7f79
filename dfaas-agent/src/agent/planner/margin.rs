//! Node margin, live: who forecasts, what is learned, and what follows for weights and margin.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};

use super::{Observed, Proposal};
use crate::{
    config::{ForecasterKind, PlanningConfig},
    forecast::{
        Forecaster, GroupRates, Load,
        folder::ModelFolder,
        groups::Groups,
        measured::Measured,
        models::{Family, UsageModels},
        node_state::{NodeState, Paths},
        remote::{Budget, Remote, RemoteSettings},
    },
    name::{FunctionName, NodeId},
    p2p::direct::MarginState,
    strategy::{
        MarginView, PeerView, Plan, Snapshot,
        node_margin::{self, Options, Own, PeerMargin},
    },
};

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// For one question to the service, and for all of one plan.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(900);
const BUDGET: Budget = Budget { calls: 2000, time: Duration::from_secs(5) };

enum Source {
    Measured,
    Models(Arc<UsageModels>),
    Remote(Remote),
}

/// The forecaster in use, and the costs that are learned beside it.
pub(super) struct Forecasters {
    source: Source,
    measured: Measured,
    state: NodeState,
    sampled: Option<Instant>,
    /// Calls executed until then.
    executed: BTreeMap<FunctionName, u64>,
}

impl Forecasters {
    pub(super) fn new(planning: &PlanningConfig) -> Result<Self> {
        let source = match planning.forecaster {
            ForecasterKind::Measured => Source::Measured,
            ForecasterKind::Model => {
                let folder = ModelFolder::open(&planning.models_dir);
                let models = folder.and_then(|folder| UsageModels::load(&folder, Family::default()));
                Source::Models(Arc::new(models.map_err(|e| anyhow!(e)).context("AGENT_MODELS_DIR")?))
            }
            ForecasterKind::Remote => Source::Remote(Remote::new(RemoteSettings {
                address: planning.forecaster_address.clone(),
                timeout: QUESTION_TIMEOUT,
                budget: BUDGET,
            })?),
        };
        let paths = Paths { functions: planning.function_cgroups.clone(), ..Paths::default() };
        Ok(Self {
            source,
            measured: Measured::new(planning.forecast_memory),
            state: NodeState::new(paths),
            sampled: None,
            executed: BTreeMap::new(),
        })
    }

    pub(super) fn name(&self) -> &'static str {
        match self.source {
            Source::Measured => "measured forecaster",
            Source::Models(_) => "forecaster models",
            Source::Remote(_) => "remote forecaster",
        }
    }

    /// A forecast costs microseconds.
    pub(super) fn are_cheap(&self) -> bool {
        !matches!(self.source, Source::Remote(_))
    }

    pub(super) fn detail(&self) -> String {
        let quality = self.measured.quality();
        match (&self.source, quality.cpu_rms) {
            (Source::Measured, Some(cpu)) => {
                format!("{} samples, CPU forecast off by {cpu:.1} % of a core", quality.samples)
            }
            (Source::Measured, None) => format!("{} samples", quality.samples),
            _ => "answers".into(),
        }
    }

    /// Takes a sample of the node, once a second: what it used, and what it executed over the same time.
    pub(super) fn learn(&mut self, observed: &Observed, run_here: &BTreeMap<FunctionName, Duration>) {
        let now = Instant::now();
        if self.sampled.is_some_and(|sampled| now.duration_since(sampled) < SAMPLE_INTERVAL) {
            return;
        }
        let seconds = self.sampled.map_or(1.0, |sampled| now.duration_since(sampled).as_secs_f64());
        self.sampled = Some(now);
        let executed: BTreeMap<_, _> =
            observed.marks.iter().map(|(name, mark)| (name.clone(), mark.executed)).collect();
        let since = |(name, count): (&FunctionName, &u64)| {
            let before = self.executed.get(name).unwrap_or(count);
            (name.clone(), count.saturating_sub(*before) as f64 / seconds)
        };
        let rates = executed.iter().map(since).collect();
        self.executed = executed;
        let reading = self.state.read(now, observed.marks.keys(), run_here);
        if let Err(e) = self.measured.learn(&reading, &rates) {
            tracing::debug!("sample left out: {e}");
        }
    }

    /// On a thread where waiting for a forecaster harms nobody.
    pub(super) async fn plan(&self, observed: &Observed) -> Result<Proposal, String> {
        let observed = observed.clone();
        let computed = match &self.source {
            Source::Measured => {
                let measured = self.measured.clone();
                // What cannot be read must not count as unused: its limit is taken out of the reckoning.
                let knows_power = measured.knows_power();
                tokio::task::spawn_blocking(move || compute(&observed, &measured, knows_power)).await
            }
            Source::Models(models) => {
                let models = Arc::clone(models);
                tokio::task::spawn_blocking(move || compute(&observed, &*models, true)).await
            }
            Source::Remote(remote) => {
                let remote = remote.clone();
                tokio::task::spawn_blocking(move || compute(&observed, &remote.computation(), true)).await
            }
        };
        computed.map_err(|e| e.to_string())?
    }
}

/// Margin and weights from one forecaster (of one iteration of the original, what follows its measuring).
fn compute(observed: &Observed, forecaster: &dyn Forecaster, knows_power: bool) -> Result<Proposal, String> {
    let Observed { planning, snapshot, .. } = observed;
    let groups = groups(planning)?;
    let options = Options {
        metrics: if knows_power { Options::LIVE.metrics } else { node_margin::Metrics::WithoutPower },
        ..if observed.terms.compat { Options::COMPATIBLE } else { Options::LIVE }
    };
    let rates: BTreeMap<_, _> = snapshot.functions.iter().map(|(name, f)| (name.clone(), f.rate)).collect();
    let load = groups.rates(rates.iter().map(|(name, rate)| (name, *rate)));
    let by_function: Vec<_> = rates.iter().map(|(name, rate)| (name.clone(), *rate)).collect();
    let own_load = Load { groups: load, functions: &by_function };
    let usage = forecaster.usage(planning.node_type, &own_load).map_err(|e| e.to_string())?;
    let neighbours = common_neighbours(snapshot);
    let margin = node_margin::margin(&usage, &planning.thresholds, neighbours.len(), &options);
    let own = Own { node: planning.node_type, limits: planning.thresholds, rates, groups: &groups };
    let peers = neighbours.iter().filter_map(|(id, view)| Some(((*id).clone(), peer_margin(view)?))).collect();
    let weights = node_margin::weigh(&own, &peers, forecaster, &options).map_err(|e| e.to_string())?;
    let told = if margin > 0.0 { load } else { GroupRates::default() };
    let margin = MarginState {
        node_type: planning.node_type.number(),
        thresholds: planning.thresholds.into(),
        margin,
        load: told.into(),
    };
    Ok(Proposal { plan: Plan { weights }, margin: Some(margin), usage: Some(usage) })
}

/// The file is small and may change under our feet; the original reads it every time, too.
fn groups(planning: &PlanningConfig) -> Result<Groups, String> {
    if planning.group_list.exists() { Groups::read(&planning.group_list) } else { Ok(Groups::default()) }
}

/// Peers that run one of our functions.
fn common_neighbours(snapshot: &Snapshot) -> BTreeMap<&NodeId, &PeerView> {
    let shares = |peer: &PeerView| peer.functions.keys().any(|name| snapshot.functions.contains_key(name));
    snapshot.peers.iter().filter(|(_, peer)| shares(peer)).collect()
}

fn peer_margin(view: &PeerView) -> Option<PeerMargin> {
    let MarginView { node_type, thresholds, margin, load } = view.margin?;
    let accepted = view.functions.iter().filter(|(_, function)| function.limit_out > 0.0);
    let functions = accepted.map(|(name, _)| name.clone()).collect();
    Some(PeerMargin { node: node_type, limits: thresholds, margin, load, functions })
}

/// Whether something happened that must not wait for the next period.
#[derive(Debug, Default)]
pub(super) struct News {
    functions: BTreeSet<FunctionName>,
    /// Functions and margin of each peer.
    peers: BTreeMap<NodeId, (BTreeSet<FunctionName>, i64)>,
}

impl News {
    pub(super) fn take(&mut self, observed: &Observed) -> bool {
        let margin = |peer: &PeerView| peer.margin.map_or(-1, |view| view.margin.round() as i64);
        let of_peer =
            |(id, peer): (&NodeId, &PeerView)| (id.clone(), (peer.functions.keys().cloned().collect(), margin(peer)));
        let fresh = Self {
            functions: observed.snapshot.functions.keys().cloned().collect(),
            peers: observed.snapshot.peers.iter().map(of_peer).collect(),
        };
        let differs = fresh.functions != self.functions || fresh.peers != self.peers;
        *self = fresh;
        differs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Config, sources::Resolved},
        forecast::{ForecastError, NodeType, Usage},
        strategy::{
            LocalFunction, PeerFunction, PlannedStrategy,
            test_names::{function, node},
        },
    };

    /// One percent of a core, and a thousandth of the other limits, per call and second.
    struct Linear;

    impl Forecaster for Linear {
        fn usage(&self, _: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
            let calls: f64 = load.functions.iter().map(|(_, rate)| rate).sum();
            Ok(Usage { cpu: 10.0 + calls, ram: 1e9 + 1e6 * calls, power: 1e5 + 100.0 * calls })
        }
    }

    fn observed(rate: f64, margins: &[f64]) -> Observed {
        let file = BTreeMap::from([("AGENT_STRATEGY".to_owned(), "nodemargin".to_owned())]);
        let resolved = Resolved::new(&BTreeMap::new(), |_| None, &file);
        let config = Config::new(&resolved, |_| Some(std::net::Ipv4Addr::new(10, 0, 0, 9))).unwrap();
        let peer = |margin: &f64| PeerView {
            functions: [(function("figlet"), PeerFunction { limit_out: 1e9, excess: 0.0 })].into(),
            margin: Some(MarginView {
                thresholds: config.planning.thresholds,
                margin: *margin,
                ..MarginView::default()
            }),
        };
        let figlet = LocalFunction { max_rate: None, rate, timeout: None };
        Observed {
            strategy: PlannedStrategy::NodeMargin,
            terms: config.strategy,
            snapshot: Snapshot {
                functions: [(function("figlet"), figlet)].into(),
                peers: margins.iter().enumerate().map(|(i, margin)| (node(i as u8), peer(margin))).collect(),
            },
            planning: config.planning,
            marks: BTreeMap::new(),
            stage: None,
        }
    }

    #[test]
    fn a_node_with_room_keeps_all_and_offers_the_rest() {
        let outcome = compute(&observed(50.0, &[30.0, 30.0]), &Linear, true).unwrap();
        assert_eq!(outcome.plan.weights[&function("figlet")].local, 100);
        let margin = outcome.margin.unwrap();
        assert!(margin.margin > 0.0 && margin.margin < 50.0, "{margin:?}");
        assert_eq!(margin.load.low, 50.0);
    }

    #[test]
    fn an_overloaded_node_offers_nothing_and_sends_what_is_too_much() {
        let outcome = compute(&observed(200.0, &[50.0, 0.0]), &Linear, true).unwrap();
        let weights = &outcome.plan.weights[&function("figlet")];
        // 110 calls fit under the threshold of 120 percent; the peer without a margin gets nothing.
        assert!((53..=55).contains(&weights.local), "{weights:?}");
        assert_eq!(weights.peers.keys().collect::<Vec<_>>(), [&node(0)]);
        let margin = outcome.margin.unwrap();
        assert_eq!((margin.margin, margin.load.low), (0.0, 0.0));
    }

    #[test]
    fn a_changed_margin_is_news_and_a_changed_rate_is_not() {
        let mut news = News::default();
        assert!(news.take(&observed(10.0, &[20.0])));
        assert!(!news.take(&observed(90.0, &[20.2])));
        assert!(news.take(&observed(90.0, &[25.0])));
        assert!(news.take(&observed(90.0, &[])));
    }
}
