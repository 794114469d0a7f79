//! Moves calls, step by step, from an overloaded node to the peers that have room for them.

use super::{
    Options, PeerMargin, Step,
    margin::{Burden, Excess, percent},
    rotation::Rotation,
};
use crate::{
    forecast::{
        ForecastError, Forecaster, GroupRates, Load,
        groups::{Group, Groups},
    },
    name::FunctionName,
};

/// First step, in parts of the function's rate, and how often it is halved when refused.
const FIRST_STEP: f64 = 0.04;
const HALVINGS: i32 = 2;
/// What is left of a function under [`Step::OfKept`] when less would not change a whole percent.
const LEFT_OF_KEPT: f64 = 0.005;

/// Calls per second that stay and that go, by place of the function.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Division {
    pub kept: Vec<f64>,
    /// By place of the peer.
    pub sent: Vec<Vec<f64>>,
    /// Forecasts it took.
    pub forecasts: usize,
}

/// Moves calls until the burden is bearable or no peer takes more. `rates` must be at least 0 and finite. The number of
/// forecasts is bounded: every step moves a share of a rate, and what is refused is not tried again.
pub fn exchange(
    rates: &[(FunctionName, f64)],
    groups: &Groups,
    peers: &[&PeerMargin],
    burden: &dyn Burden,
    forecaster: &dyn Forecaster,
    options: &Options,
) -> Result<Division, ForecastError> {
    let mut exchange = Exchange::new(rates, groups, peers, burden, forecaster, options);
    exchange.relieve()?;
    let Exchange { kept, helpers, forecasts, .. } = exchange;
    let of = |list: Vec<(FunctionName, f64)>| list.into_iter().map(|(_, calls)| calls).collect();
    Ok(Division { kept: of(kept), sent: helpers.into_iter().map(|h| of(h.sent)).collect(), forecasts })
}

struct Exchange<'a> {
    rates: &'a [(FunctionName, f64)],
    group: Vec<Option<Group>>,
    burden: &'a dyn Burden,
    forecaster: &'a dyn Forecaster,
    options: &'a Options,
    kept: Vec<(FunctionName, f64)>,
    /// What the own forecast sees of it.
    load: GroupRates,
    helpers: Vec<Helper<'a>>,
    forecasts: usize,
}

/// A peer and what it would get.
struct Helper<'a> {
    peer: &'a PeerMargin,
    sent: Vec<(FunctionName, f64)>,
    load: GroupRates,
    /// Usage without anything from us, in percent; asked for when first needed.
    before: Option<f64>,
    refusals: Vec<i32>,
}

impl<'a> Exchange<'a> {
    fn new(
        rates: &'a [(FunctionName, f64)],
        groups: &Groups,
        peers: &[&'a PeerMargin],
        burden: &'a dyn Burden,
        forecaster: &'a dyn Forecaster,
        options: &'a Options,
    ) -> Self {
        let nothing: Vec<_> = rates.iter().map(|(function, _)| (function.clone(), 0.0)).collect();
        let helper = |&peer: &&'a PeerMargin| Helper {
            peer,
            sent: nothing.clone(),
            load: peer.load,
            before: None,
            refusals: vec![0; rates.len()],
        };
        Self {
            rates,
            group: rates.iter().map(|(function, _)| groups.of(function)).collect(),
            burden,
            forecaster,
            options,
            kept: rates.to_vec(),
            load: groups.rates(rates.iter().map(|(function, rate)| (function, *rate))),
            helpers: peers.iter().map(helper).collect(),
            forecasts: 0,
        }
    }

    fn relieve(&mut self) -> Result<(), ForecastError> {
        let mut excess = self.excess()?;
        if !exceeds(&excess) {
            return Ok(());
        }
        let (movable, goal) = if self.options.only_what_relieves {
            self.what_relieves(&excess)?
        } else {
            (vec![true; self.rates.len()], [true; 4])
        };
        let missed = |excess: &Excess| excess.iter().zip(goal).any(|(over, wanted)| wanted && *over > 0.0);
        let mut rotation = Rotation::new(self.common(&movable), self.options.stay_at_last);
        let mut last = None;
        while missed(&excess) && self.forecasts < self.options.most_forecasts {
            let Some((peer, function)) = rotation.now() else { break };
            let calls = self.step(peer, function);
            if calls <= 0.0 {
                rotation.exhausted(function);
            } else if self.accepts(peer, function, calls)? {
                self.take(function, calls);
                last = Some((peer, function, calls));
                excess = self.excess()?;
                rotation.accepted();
            } else if self.tries_less(peer, function) {
                rotation.postponed();
            } else {
                rotation.refused();
            }
        }
        match last {
            Some(last) if self.options.step == Step::OfRate && !missed(&excess) => self.refine(last, missed),
            _ => Ok(()),
        }
    }

    /// Peers with room, each with its functions among those that may be moved.
    fn common(&self, movable: &[bool]) -> impl Iterator<Item = (usize, Vec<usize>)> {
        self.helpers.iter().enumerate().filter(|(_, helper)| helper.has_room()).map(|(place, helper)| {
            let runs = |i: &usize| movable[*i] && helper.peer.functions.contains(&self.rates[*i].0);
            (place, (0..self.rates.len()).filter(runs).collect())
        })
    }

    /// Functions without which a metric that exceeds its limit would be lower, and the metrics that all of them lower.
    fn what_relieves(&mut self, now: &Excess) -> Result<(Vec<bool>, [bool; 4]), ForecastError> {
        let lowered = |then: &Excess| std::array::from_fn(|i| now[i] > 0.0 && then[i] < now[i]);
        let mut movable = Vec::new();
        for function in 0..self.rates.len() {
            let before = self.load;
            let rate = std::mem::replace(&mut self.kept[function].1, 0.0);
            self.load = less(before, self.group[function], rate);
            let changed: [bool; 4] = lowered(&self.excess()?);
            (self.load, self.kept[function].1) = (before, rate);
            movable.push(changed.contains(&true));
        }
        let before = (self.load, self.kept.clone());
        for (i, _) in movable.iter().enumerate().filter(|(_, movable)| **movable) {
            self.load = less(self.load, self.group[i], self.kept[i].1);
            self.kept[i].1 = 0.0;
        }
        let goal = lowered(&self.excess()?);
        (self.load, self.kept) = before;
        Ok((movable, goal))
    }

    /// Calls to try; 0 if nothing is left.
    fn step(&self, peer: usize, function: usize) -> f64 {
        let (rate, kept) = (self.rates[function].1, self.kept[function].1);
        match self.options.step {
            Step::OfRate => {
                let step = rate * FIRST_STEP / f64::from(1 << self.helpers[peer].refusals[function]);
                // What rounding leaves at the end is not a step of its own.
                if kept < step * 1.001 { if kept < rate * 1e-9 { 0.0 } else { kept } } else { step }
            }
            Step::OfKept if kept < rate * LEFT_OF_KEPT => 0.0,
            Step::OfKept => 0.01 * kept,
            Step::WholeOfKept => (0.01 * kept).ceil(),
        }
    }

    /// True if the peer's usage would grow by no more than its margin.
    fn accepts(&mut self, peer: usize, function: usize, calls: f64) -> Result<bool, ForecastError> {
        let before = if let Some(before) = self.helpers[peer].before {
            before
        } else {
            let before = self.percent(peer)?;
            *self.helpers[peer].before.insert(before)
        };
        self.helpers[peer].plan(self.group[function], function, calls);
        let growth = self.percent(peer)? - before;
        let margin = self.helpers[peer].peer.margin;
        let accepted = margin > growth || (self.options.accept_equal && margin == growth);
        if !accepted {
            let back = if self.options.refused_stays_planned { 1.0 } else { calls };
            self.helpers[peer].plan(self.group[function], function, -back);
        }
        Ok(accepted)
    }

    fn tries_less(&mut self, peer: usize, function: usize) -> bool {
        let refusals = &mut self.helpers[peer].refusals[function];
        *refusals += 1;
        self.options.step == Step::OfRate && *refusals <= HALVINGS
    }

    /// Takes calls that a peer has accepted out of what is kept.
    fn take(&mut self, function: usize, calls: f64) {
        self.kept[function].1 -= calls;
        let seen = if self.options.relief_of_one { 1.0 } else { calls };
        self.load = less(self.load, self.group[function], seen);
    }

    /// Takes back what the last step sent in vain.
    fn refine(
        &mut self,
        (peer, function, calls): (usize, usize, f64),
        missed: impl Fn(&Excess) -> bool,
    ) -> Result<(), ForecastError> {
        let mut part = calls;
        for _ in 0..=HALVINGS {
            part /= 2.0;
            self.helpers[peer].plan(self.group[function], function, -part);
            self.take(function, -part);
            if missed(&self.excess()?) {
                self.helpers[peer].plan(self.group[function], function, part);
                self.take(function, part);
            }
        }
        Ok(())
    }

    fn excess(&mut self) -> Result<Excess, ForecastError> {
        self.forecasts += 1;
        self.burden.excess(&Load { groups: self.load, functions: &self.kept })
    }

    fn percent(&mut self, peer: usize) -> Result<f64, ForecastError> {
        self.forecasts += 1;
        let Helper { peer, sent, load, .. } = &self.helpers[peer];
        let usage = self.forecaster.usage(peer.node, &Load { groups: *load, functions: sent })?;
        Ok(percent(&usage, &peer.limits, self.options))
    }
}

impl Helper<'_> {
    /// Peers say what they like: what is no rate or no margin is not used.
    fn has_room(&self) -> bool {
        let GroupRates { high, low, medium } = self.peer.load;
        let rates = [high, low, medium].iter().all(|rate| rate.is_finite() && *rate >= 0.0);
        rates && self.peer.margin.is_finite() && self.peer.margin > 0.0
    }

    fn plan(&mut self, group: Option<Group>, function: usize, calls: f64) {
        self.sent[function].1 += calls;
        if let Some(group) = group {
            self.load.add(group, calls);
        }
    }
}

fn exceeds(excess: &Excess) -> bool {
    excess.iter().any(|over| *over > 0.0)
}

/// A load without some calls. What rounding takes below nothing is nothing.
fn less(mut load: GroupRates, group: Option<Group>, calls: f64) -> GroupRates {
    if let Some(group) = group {
        let left = load.of(group) - calls;
        load.add(group, if left < 0.0 { -load.of(group) } else { -calls });
    }
    load
}
