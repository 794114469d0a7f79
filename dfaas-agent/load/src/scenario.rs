//! A scenario: several attacks with their times and the conditions they must meet, from a TOML file.

pub mod environment;
mod file;

use std::{path::Path, time::Duration};

use self::file::File;
use super::{Attack, DEFAULT_TIMEOUT, threshold::Threshold};
use dfaas_base::BadInput;

#[derive(Clone, Debug, Default)]
pub struct Scenario {
    /// Base URLs whose `/healthz` must answer first; empty: those of all targets.
    pub nodes: Vec<String>,
    /// After that, before the first attack.
    pub wait: Duration,
    pub attacks: Vec<Attack>,
    /// Of all attacks together.
    pub thresholds: Vec<Threshold>,
    /// Of the attack with the same index.
    pub attack_thresholds: Vec<Vec<Threshold>>,
}

/// Reads a scenario. Errors name file, line and field.
pub fn read(path: &Path) -> Result<Scenario, BadInput> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|e| BadInput(format!("cannot read {name}: {e}")))?;
    parse(&text, path.parent().unwrap_or(Path::new(""))).map_err(|e| BadInput(format!("{name}: {e}")))
}

fn parse(text: &str, folder: &Path) -> Result<Scenario, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
    let mut scenario =
        Scenario { nodes: file.nodes, wait: file.wait.0, thresholds: file.thresholds, ..Scenario::default() };
    if file.attack.is_empty() {
        return Err("no attack, expected a table [[attack]]".into());
    }
    for (n, table) in file.attack.into_iter().enumerate() {
        let what = format!("attack {} ({})", n + 1, table.name);
        if scenario.attacks.iter().any(|attack| attack.name == table.name) {
            return Err(format!("{what}: another attack has this name, expected a name of its own"));
        }
        let timeout = table.timeout.or(file.timeout).map_or(DEFAULT_TIMEOUT, |time| time.0);
        scenario.attack_thresholds.push(table.thresholds.clone());
        let seed = file.seed.wrapping_add(n as u64);
        scenario.attacks.push(table.attack(folder, timeout, seed).map_err(|e| format!("{what}: {e}"))?);
    }
    Ok(scenario)
}

/// The name becomes that of a folder.
pub fn check_name(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(allowed) {
        return Err(format!("name {name:?}, expected letters, digits and - _ ."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Arrivals, plan::Stage},
        *,
    };

    const GOOD: &str = r#"
        nodes = ["http://10.0.0.1:30080"]
        wait = "90s"
        thresholds = ["success >= 0.9"]
        [[attack]]
        name = "light"
        target = "http://10.0.0.1:30080/function/figlet"
        body = "hello"
        headers = { X-A = "b" }
        rate = 350
        duration = "15m"
        thresholds = ["p99 <= 50ms"]
        [[attack]]
        name = "mid"
        delay = 300
        target = "http://10.0.0.2:30080/function/figlet"
        stages = [{ from = 0, rate = "100/s", duration = "5s" }, { rate = 100, duration = 55.5 }]
        poisson = true
        close = true
        timeout = "1s"
    "#;

    #[test]
    fn a_scenario_has_attacks_with_rates_or_stages() {
        let scenario = parse(GOOD, Path::new("")).unwrap();
        let [light, mid] = &scenario.attacks[..] else { panic!("two attacks") };
        assert_eq!((scenario.wait, scenario.thresholds.len()), (Duration::from_secs(90), 1));
        assert_eq!(light.stages, [Stage::constant(350.0, Duration::from_mins(15))]);
        assert_eq!((light.targets[0].method.as_str(), light.timeout), ("POST", DEFAULT_TIMEOUT));
        assert_eq!((mid.delay, mid.timeout, mid.close), (Duration::from_mins(5), Duration::from_secs(1), true));
        assert_eq!((mid.stages[0].from, mid.stages[1].duration.as_millis()), (0.0, 55_500));
        assert_eq!(mid.arrivals, Arrivals::Poisson { seed: 1 });
        assert_eq!(scenario.attack_thresholds.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn errors_name_line_field_and_value() {
        for (from, to, parts) in [
            ("rate = 350", "rate = \"fast\"", ["line 10", "rate", "fast"]),
            ("rate = 350", "raet = 350", ["line 10", "raet", "expected"]),
            ("duration = \"15m\"", "duration = \"15 x\"", ["line 11", "duration", "15 x"]),
            ("p99 <= 50ms", "p99 < 50ms", ["line 12", "thresholds", "p99 < 50ms"]),
            ("rate = 350", "", ["attack 1 (light)", "rate", "stages"]),
            ("name = \"mid\"", "name = \"light\"", ["attack 2", "light", "name of its own"]),
            ("name = \"light\"", "name = \"../x\"", ["attack 1", "../x", "letters"]),
            ("http://10.0.0.2:30080", "10.0.0.2", ["attack 2 (mid)", "10.0.0.2/function", "http://"]),
            ("body = \"hello\"", "body_file = \"no.txt\"", ["attack 1", "no.txt", "cannot read"]),
        ] {
            let error = parse(&GOOD.replace(from, to), Path::new("/folder")).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{parts:?} in {error}");
        }
        assert!(parse("", Path::new("")).unwrap_err().contains("[[attack]]"));
    }
}
