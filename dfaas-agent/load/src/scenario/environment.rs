//! The scenario in the `ATTACKS_*` variables that the operator container of DFaaS read.

use std::time::Duration;

use super::{Scenario, check_name};
use crate::{Arrivals, Attack, DEFAULT_TIMEOUT, plan::Stage, target, target::Target};
use dfaas_base::BadInput;

/// Where a node's proxy listens, for nodes that are named without a port.
const NODE_PORT: u16 = 30080;
const DEFAULT_WAIT: Duration = Duration::from_secs(90);

/// The scenario, and whether charts are wanted.
pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<(Scenario, bool), BadInput> {
    let list = |name: &str| variable(name).map(|text| split(&text));
    let names = list("ATTACKS_NAME").ok_or_else(|| BadInput("ATTACKS_NAME is not set, expected names by ;".into()))?;
    let column = |name: &str, default: Option<&str>| match (list(name), default) {
        (Some(values), _) if values.len() == names.len() => Ok(values),
        (Some(values), _) => {
            let (got, expected) = (values.len(), names.len());
            Err(BadInput(format!("{name} has {got} values, expected {expected}, as many as ATTACKS_NAME, by ;")))
        }
        (None, Some(default)) => Ok(vec![default.to_owned(); names.len()]),
        (None, None) => Err(BadInput(format!("{name} is not set, expected {} values by ;", names.len()))),
    };
    let targets = column("ATTACKS_TARGET", None)?;
    let methods = column("ATTACKS_METHOD", Some("GET"))?;
    let bodies = column("ATTACKS_BODY", Some(""))?;
    let delays = numbers("ATTACKS_DELAY", &column("ATTACKS_DELAY", Some("0"))?, "seconds")?;
    let rates = numbers("ATTACKS_RATE", &column("ATTACKS_RATE", None)?, "requests per second")?;
    let minutes = numbers("ATTACKS_DURATION", &column("ATTACKS_DURATION", None)?, "minutes")?;
    let mut scenario = Scenario { nodes: list("NODES").unwrap_or_default(), ..Scenario::default() };
    scenario.nodes = scenario.nodes.iter().map(|node| base(node)).collect();
    scenario.wait = match variable("WAIT_TIME") {
        Some(text) => time(numbers("WAIT_TIME", &[text], "seconds")?[0]),
        None => DEFAULT_WAIT,
    };
    for (n, name) in names.iter().enumerate() {
        let target = |e: String| BadInput(format!("attack {} ({name}) in ATTACKS_*: {e}", n + 1));
        check_name(name).map_err(target)?;
        if names[..n].contains(name) {
            return Err(BadInput(format!("ATTACKS_NAME has {name:?} twice, expected different names")));
        }
        let body = target::body(&bodies[n]).map_err(target)?;
        scenario.attacks.push(Attack {
            name: name.clone(),
            delay: time(delays[n]),
            targets: vec![Target::new(&methods[n], &targets[n], &[], body).map_err(target)?],
            stages: vec![Stage::constant(rates[n], time(minutes[n] * 60.0))],
            arrivals: Arrivals::Constant,
            timeout: DEFAULT_TIMEOUT,
            close: false,
            stage_headers: false,
        });
        scenario.attack_thresholds.push(Vec::new());
    }
    let skip = variable("SKIP_PLOTS").unwrap_or_default();
    Ok((scenario, !["1", "true", "yes"].contains(&skip.trim().to_ascii_lowercase().as_str())))
}

fn split(text: &str) -> Vec<String> {
    text.trim().trim_end_matches(';').split(';').map(|part| part.trim().to_owned()).collect()
}

fn numbers(name: &str, values: &[String], unit: &str) -> Result<Vec<f64>, BadInput> {
    let number = |text: &String| text.parse().ok().filter(|number| (0.0..=1e9).contains(number));
    let wrong = |text: &String| BadInput(format!("{name}: {text:?}, expected {unit} as a number"));
    values.iter().map(|text| number(text).ok_or_else(|| wrong(text))).collect()
}

fn time(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// A node may be named by address alone.
fn base(node: &str) -> String {
    if node.starts_with("http://") {
        node.trim_end_matches('/').to_owned()
    } else if node.contains(':') {
        format!("http://{node}")
    } else {
        format!("http://{node}:{NODE_PORT}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(changed: &'static str, to: Option<&'static str>) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let value = match name {
                _ if name == changed => to,
                "NODES" => Some("10.0.0.1;10.0.0.2:31000;http://n3/"),
                "ATTACKS_NAME" => Some("light;mid;"),
                "ATTACKS_DELAY" => Some("0;300"),
                "ATTACKS_TARGET" => Some("http://10.0.0.1:30080/function/figlet;http://10.0.0.2:30080/function/figlet"),
                "ATTACKS_METHOD" => Some("GET;POST"),
                "ATTACKS_BODY" => Some(";Hello world!"),
                "ATTACKS_RATE" => Some("350;100"),
                "ATTACKS_DURATION" => Some("15;10"),
                "SKIP_PLOTS" => Some("true"),
                _ => None,
            };
            value.map(str::to_owned)
        }
    }

    #[test]
    fn the_lists_become_attacks() {
        let (scenario, charts) = read(variable("", None)).unwrap();
        assert_eq!(scenario.nodes, ["http://10.0.0.1:30080", "http://10.0.0.2:31000", "http://n3"]);
        assert_eq!((scenario.wait, charts, scenario.attacks.len()), (DEFAULT_WAIT, false, 2));
        let mid = &scenario.attacks[1];
        assert_eq!((mid.delay.as_secs(), &mid.targets[0].body[..]), (300, &b"Hello world!"[..]));
        assert_eq!(mid.stages, [Stage::constant(100.0, Duration::from_mins(10))]);
    }

    #[test]
    fn errors_name_the_variable_and_the_value() {
        for (name, value, parts) in [
            ("ATTACKS_NAME", None, ["ATTACKS_NAME", "not set"]),
            ("ATTACKS_RATE", Some("350"), ["ATTACKS_RATE", "1 values"]),
            ("ATTACKS_RATE", Some("350;many"), ["ATTACKS_RATE", "many"]),
            ("ATTACKS_DURATION", None, ["ATTACKS_DURATION", "not set"]),
            ("ATTACKS_TARGET", Some("http://a/;b"), ["attack 2 (mid)", "b is not a URL"]),
            ("ATTACKS_NAME", Some("x;x"), ["ATTACKS_NAME", "twice"]),
            ("WAIT_TIME", Some("soon"), ["WAIT_TIME", "soon"]),
        ] {
            let BadInput(error) = read(variable(name, value)).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} in {error}");
        }
    }
}
