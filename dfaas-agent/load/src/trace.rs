//! Recorded rates, window by window, as stages.

use std::{collections::BTreeMap, path::Path, str::FromStr, time::Duration};

use super::plan::Stage;
use dfaas_base::BadInput;

/// How a rate of a trace becomes stages: a ramp to it, and some time at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageBuilder {
    OneMinuteWindow,
    TwoMinuteWindow,
    ThreeMinuteWindow,
    /// Afterwards back to nothing, and a rest.
    WithCooldown,
}

impl StageBuilder {
    pub const ALL: [(&'static str, Self); 4] = [
        ("OneMinuteWindow", Self::OneMinuteWindow),
        ("TwoMinuteWindow", Self::TwoMinuteWindow),
        ("ThreeMinuteWindow", Self::ThreeMinuteWindow),
        ("WithCooldown", Self::WithCooldown),
    ];

    /// Stages of a ramp begin at the rate before; the first at 0.
    pub fn stages(self, rates: &[f64]) -> Vec<Stage> {
        let seconds = Duration::from_secs;
        let (ramp, hold) = match self {
            Self::OneMinuteWindow => (seconds(5), seconds(55)),
            Self::TwoMinuteWindow => (seconds(10), seconds(110)),
            Self::ThreeMinuteWindow => (seconds(15), seconds(165)),
            Self::WithCooldown => (seconds(20), seconds(160)),
        };
        let (mut stages, mut before) = (Vec::new(), 0.0);
        for &rate in rates {
            stages.push(Stage { from: before, to: rate, duration: ramp });
            stages.push(Stage::constant(rate, hold));
            before = rate;
            if self == Self::WithCooldown {
                stages.push(Stage { from: rate, to: 0.0, duration: seconds(5) });
                stages.push(Stage::constant(0.0, seconds(15)));
                before = 0.0;
            }
        }
        stages
    }
}

impl FromStr for StageBuilder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(|(name, _)| name).join(", ");
        let found = Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, builder)| *builder);
        found.ok_or_else(|| format!("no stage builder {text:?}, expected one of {names}"))
    }
}

/// The rates of one function at one node. Without a name the only one there is.
pub fn read(path: &Path, function: Option<&str>, node: Option<&str>) -> Result<Vec<f64>, BadInput> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| BadInput(format!("cannot read {name}: {e}")))?;
    parse(&text, function, node).map_err(|e| BadInput(format!("{name}: {e}")))
}

fn parse(text: &str, function: Option<&str>, node: Option<&str>) -> Result<Vec<f64>, String> {
    let trace: BTreeMap<String, BTreeMap<String, Vec<f64>>> = serde_json::from_str(text)
        .map_err(|e| format!(r#"{e}; expected {{"FUNCTION": {{"NODE": [requests per second, ...]}}}}"#))?;
    let nodes = pick(&trace, "function", function)?;
    let rates = pick(nodes, "node", node)?;
    if let Some(bad) = rates.iter().find(|rate| !(0.0..1e9).contains(*rate)) {
        return Err(format!("rate {bad}, expected 0 or more requests per second"));
    }
    if rates.is_empty() {
        return Err("the trace of this node is empty, expected rates".into());
    }
    Ok(rates.clone())
}

fn pick<'a, T>(map: &'a BTreeMap<String, T>, what: &str, name: Option<&str>) -> Result<&'a T, String> {
    let names = || map.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match (name, map.len()) {
        (Some(name), _) => map.get(name).ok_or_else(|| format!("no {what} {name:?}, expected one of {}", names())),
        (None, 1) => map.values().next().ok_or_else(|| format!("no {what}")),
        (None, _) => Err(format!("{} {what}s, expected --{what} to name one of {}", map.len(), names())),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::plan::{expected, length},
        *,
    };

    #[test]
    fn windows_ramp_and_hold() {
        let stages = StageBuilder::OneMinuteWindow.stages(&[60.0, 120.0]);
        let seconds: Vec<_> = stages.iter().map(|s| (s.from, s.to, s.duration.as_secs())).collect();
        assert_eq!(seconds, [(0.0, 60.0, 5), (60.0, 60.0, 55), (60.0, 120.0, 5), (120.0, 120.0, 55)]);
        let each = |builder: StageBuilder| length(&builder.stages(&[1.0])).as_secs();
        assert_eq!(StageBuilder::ALL.map(|(_, builder)| each(builder)), [60, 120, 180, 200]);
        assert_eq!(StageBuilder::WithCooldown.stages(&[8.0, 4.0])[4].from, 0.0);
        assert_eq!("TwoMinuteWindow".parse(), Ok(StageBuilder::TwoMinuteWindow));
        assert!("x".parse::<StageBuilder>().unwrap_err().contains("WithCooldown"));
    }

    #[test]
    fn a_trace_without_a_choice_needs_no_names() {
        let one = r#"{"0": {"node_a": [1, 2.5]}}"#;
        let two = r#"{"0": {"node_a": [1], "node_b": [2]}}"#;
        assert_eq!(parse(one, None, None), Ok(vec![1.0, 2.5]));
        assert_eq!(parse(two, Some("0"), Some("node_b")), Ok(vec![2.0]));
        for (text, node, part) in [
            (two, None, "--node to name one of node_a, node_b"),
            (two, Some("c"), "\"c\""),
            (r#"{"0": {"a": [-1]}}"#, None, "rate -1"),
            (r#"{"0": {"a": []}}"#, None, "empty"),
            ("[]", None, "expected {"),
        ] {
            let error = parse(text, None, node).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    #[ignore = "needs the reference data"]
    fn the_trace_of_the_original_is_read() {
        let folder = std::env::var("DFAAS_REFERENCE_DATA").expect("DFAAS_REFERENCE_DATA names the folder");
        let rates = read(&Path::new(&folder).join("traces/up_down_trace.json"), Some("0"), Some("0")).unwrap();
        assert_eq!((rates.len(), rates[5]), (9, 850.0));
        // Nine windows of a minute at the mean of the rates, less half of the first ramp, and the slopes between.
        let planned = expected(&StageBuilder::OneMinuteWindow.stages(&rates)) as f64;
        let sum: f64 = rates.iter().sum();
        assert!((planned - (sum * 60.0 - 2.5 * rates[8])).abs() <= 1.0, "{planned}");
    }
}
