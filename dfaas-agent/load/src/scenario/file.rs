//! The tables of a scenario file.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, de};

use super::check_name;
use crate::{Arrivals, Attack, plan::Stage, target, target::Target, threshold::Threshold, units};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) nodes: Vec<String>,
    #[serde(default)]
    pub(super) wait: Time,
    #[serde(default)]
    pub(super) seed: u64,
    #[serde(default)]
    pub(super) timeout: Option<Time>,
    #[serde(default, deserialize_with = "thresholds")]
    pub(super) thresholds: Vec<Threshold>,
    #[serde(default)]
    pub(super) attack: Vec<AttackTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttackTable {
    pub(super) name: String,
    #[serde(default)]
    delay: Time,
    target: String,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
    /// From the folder of the scenario.
    #[serde(default)]
    body_file: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    rate: Option<Rate>,
    #[serde(default)]
    duration: Option<Time>,
    #[serde(default)]
    stages: Vec<StageTable>,
    #[serde(default)]
    poisson: bool,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    stage_headers: bool,
    #[serde(default)]
    pub(super) timeout: Option<Time>,
    #[serde(default, deserialize_with = "thresholds")]
    pub(super) thresholds: Vec<Threshold>,
}

/// `from` makes a ramp.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StageTable {
    #[serde(default)]
    from: Option<Rate>,
    rate: Rate,
    duration: Time,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Time(pub(super) Duration);
#[derive(Clone, Copy)]
struct Rate(f64);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a text")]
enum NumberOrText {
    Number(f64),
    Text(String),
}

impl NumberOrText {
    fn text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text,
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        units::duration(&NumberOrText::deserialize(from)?.text()).map(Self).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        units::rate(&NumberOrText::deserialize(from)?.text()).map(Self).map_err(de::Error::custom)
    }
}

fn thresholds<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Threshold>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts.iter().map(|text| text.parse().map_err(de::Error::custom)).collect()
}

impl AttackTable {
    pub(super) fn attack(self, folder: &Path, timeout: Duration, seed: u64) -> Result<Attack, String> {
        check_name(&self.name)?;
        let body = match (&self.body, &self.body_file) {
            (Some(_), Some(_)) => return Err("body and body_file, expected at most one of them".into()),
            (Some(text), None) => target::body(text)?,
            (None, Some(path)) => target::body_file(&folder.join(path))?,
            (None, None) => Bytes::new(),
        };
        let method = self.method.as_deref().unwrap_or(if body.is_empty() { "GET" } else { "POST" });
        let headers: Vec<_> = self.headers.clone().into_iter().collect();
        let target = Target::new(method, &self.target, &headers, body)?;
        Ok(Attack {
            stages: self.stages()?,
            name: self.name,
            delay: self.delay.0,
            targets: vec![target],
            arrivals: if self.poisson { Arrivals::Poisson { seed } } else { Arrivals::Constant },
            timeout,
            close: self.close,
            stage_headers: self.stage_headers,
        })
    }

    fn stages(&self) -> Result<Vec<Stage>, String> {
        match (self.rate, self.duration, self.stages.as_slice()) {
            (Some(rate), Some(duration), []) => Ok(vec![Stage::constant(rate.0, duration.0)]),
            (None, None, [_, ..]) => {
                let stage = |stage: &StageTable| Stage {
                    from: stage.from.unwrap_or(stage.rate).0,
                    to: stage.rate.0,
                    duration: stage.duration.0,
                };
                Ok(self.stages.iter().map(stage).collect())
            }
            _ => Err("expected either rate and duration, or stages".into()),
        }
    }
}
