//! A set of trained models: what a node uses, and whether it is overloaded, by the load of its groups.
//!
//! Files: `<metric>.<family>.lgb.txt[.gz]` for each metric, `overloaded_node.lgb.txt[.gz]`, and `scalers.json` for all.

use std::{fmt, str::FromStr};

pub use super::columns::{FEATURES, METRICS, OVERLOADED};
use super::{
    ForecastError, Forecaster, GroupRates, Load, NodeType, Usage,
    folder::ModelFolder,
    lightgbm::{Model, Objective},
    scalers::Scalers,
    tree::Forest,
};

/// What the models predict: the mean, or a bound that a share of the measurements stays under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Regression,
    Quantile005,
    Quantile095,
}

impl Family {
    pub const ALL: [Self; 3] = [Self::Regression, Self::Quantile005, Self::Quantile095];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Regression => "regression",
            Self::Quantile005 => "quantile005",
            Self::Quantile095 => "quantile095",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|family| family.name() == s);
        found.ok_or_else(|| format!("unknown models {s:?}: expected regression, quantile005 or quantile095"))
    }
}

/// The load of a node as the models see it: group rates in calls per second, and its type.
pub fn features(groups: GroupRates, node: NodeType) -> [f64; FEATURES.len()] {
    [groups.high, groups.low, groups.medium, f64::from(node.number())]
}

/// Three models of one family.
#[derive(Clone, Debug)]
pub struct UsageModels {
    forest: Forest<{ FEATURES.len() }, { METRICS.len() }>,
    scalers: Scalers,
}

impl UsageModels {
    /// The error names the file and what is wrong in it.
    pub fn load(folder: &ModelFolder, family: Family) -> Result<Self, String> {
        let read = |metric: &str| -> Result<Model, String> {
            let plain = |objective| objective == Objective::Plain;
            read(folder, &format!("{metric}.{family}"), plain, "a regression or quantile model")
        };
        let models = [read(METRICS[0])?, read(METRICS[1])?, read(METRICS[2])?];
        let forest = Forest::new(models.each_ref().map(|model| model.trees.as_slice()))
            .map_err(|e| format!("{}: models of {family}: {e}", folder.root().display()))?;
        Ok(Self { forest, scalers: Scalers::read(folder)? })
    }

    /// Usage in units, rounded to two decimals like the original's service. Features must be finite.
    pub fn predict(&self, features: &[f64; FEATURES.len()]) -> Usage {
        let sums = self.forest.predict(&self.scalers.scale(features));
        let [cpu, ram, power] = self.scalers.unscale(sums).map(round2);
        Usage { cpu, ram, power }
    }
}

impl Forecaster for UsageModels {
    fn usage(&self, node: NodeType, load: &Load<'_>) -> Result<Usage, ForecastError> {
        let features = features(load.groups, node);
        match features.iter().position(|f| !f.is_finite()) {
            Some(i) => Err(ForecastError(format!("{} is {}, expected a rate", FEATURES[i], features[i]))),
            None => Ok(self.predict(&features)),
        }
    }
}

/// Says whether a node is overloaded; one for all families.
#[derive(Clone, Debug)]
pub struct OverloadModel {
    forest: Forest<{ FEATURES.len() }, 1>,
    scalers: Scalers,
    sigmoid: f64,
}

impl OverloadModel {
    pub fn load(folder: &ModelFolder) -> Result<Self, String> {
        let classifier = |objective| matches!(objective, Objective::Logistic { .. });
        let model = read(folder, OVERLOADED, classifier, "a binary classifier")?;
        let Objective::Logistic { sigmoid } = model.objective else { return Err("not a classifier".into()) };
        let forest =
            Forest::new([&model.trees]).map_err(|e| format!("{}: {OVERLOADED}: {e}", folder.root().display()))?;
        Ok(Self { forest, scalers: Scalers::read(folder)?, sigmoid })
    }

    pub fn probability(&self, features: &[f64; FEATURES.len()]) -> f64 {
        let [sum] = self.forest.predict(&self.scalers.scale(features));
        1.0 / (1.0 + (-self.sigmoid * sum).exp())
    }

    pub fn overloaded(&self, features: &[f64; FEATURES.len()]) -> bool {
        self.probability(features) > 0.5
    }
}

fn read(folder: &ModelFolder, model: &str, fits: impl Fn(Objective) -> bool, expected: &str) -> Result<Model, String> {
    let (file, bytes) = folder.read(&folder.model(model)?)?;
    let model = Model::from_bytes(&file, &bytes).map_err(|e| e.to_string())?;
    let shown = file.display();
    if model.features != FEATURES.len() {
        return Err(format!(
            "{shown}: has {} features, expected the {} of {FEATURES:?}",
            model.features,
            FEATURES.len()
        ));
    }
    if !fits(model.objective) {
        return Err(format!("{shown}: its objective is {:?}, expected {expected}", model.objective));
    }
    Ok(model)
}

/// Two decimals; halves go to the even neighbour.
fn round2(value: f64) -> f64 {
    (value * 100.0).round_ties_even() / 100.0
}

#[cfg(test)]
pub(crate) mod tests;
