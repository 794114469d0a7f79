//! The suites in `tests/`: built as the user, run as root one after another, because they share the machine's network.

use std::{
    env,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{ReferenceData, Report, Runner, Verdict, foreign_peer};
use crate::{
    ci::is_ci,
    matrix,
    project::{Project, with_system_folders},
    root,
    step::{Step, text_of},
};

const BUILD_LIMIT: Duration = Duration::from_mins(45);
const SUITE_LIMIT: Duration = Duration::from_mins(20);

/// One test binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Suite {
    name: String,
    executable: PathBuf,
    /// A file in `tests/tests/`; the library's own unit tests may be none.
    is_integration: bool,
}

pub(super) fn run(project: &Project, filters: &[String], data: &ReferenceData, all: &mut Verdict) -> Result<()> {
    let suites = build(project)?;
    if suites.iter().all(|suite| !suite.is_integration) {
        all.problems.push("root suites: there is none in tests/tests".to_owned());
    }
    for suite in suites {
        if suite.name == foreign_peer::SUITE
            && let Err(error) = foreign_peer::install(project)
        {
            // The first line says what is wrong, the rest is in the log.
            let reason = format!("{error:#}");
            all.leave_out(&suite.name, reason.lines().next().unwrap_or_default(), is_ci());
            continue;
        }
        if suite.name == matrix::SUITE
            && has_tests(&suite, filters)
            && let Err(error) = matrix::prepare_suite(project)
        {
            let reason = format!("{error:#}");
            all.leave_out(&suite.name, reason.lines().next().unwrap_or_default(), is_ci());
            continue;
        }
        let runner = run_one(project, &suite, filters, data)?;
        all.add(&suite.name, &runner, !filters.is_empty() || !suite.is_integration);
    }
    Ok(())
}

pub(super) fn build(project: &Project) -> Result<Vec<Suite>> {
    let mut cargo = project.cargo();
    cargo.args(["test", "--package", "dfaas-tests", "--no-run"]);
    cargo.arg("--message-format=json-render-diagnostics");
    let log = Step::new("build the root suites", cargo, BUILD_LIMIT).compiling().run(project)?;
    let file = File::open(&log).with_context(|| format!("cannot read the log {}", log.display()))?;
    let lines = BufReader::new(file).lines();
    Ok(lines.map_while(Result::ok).filter_map(|line| suite_in(&line)).collect())
}

/// The test binary in one of cargo's messages, if it tells one.
fn suite_in(line: &str) -> Option<Suite> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_test = message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
    let executable = PathBuf::from(message["executable"].as_str().filter(|_| is_test)?);
    let is_integration = message["target"]["kind"] == serde_json::json!(["test"]);
    let target = message["target"]["name"].as_str()?;
    let name = if is_integration { format!("tests/{target}") } else { format!("{target} (unit tests)") };
    Some(Suite { name, executable, is_integration })
}

/// Without any there is nothing to prepare.
fn has_tests(suite: &Suite, filters: &[String]) -> bool {
    let mut command = Command::new(&suite.executable);
    command.args(["--list", "--format=terse"]).args(filters);
    text_of(command).is_none_or(|list| list.lines().any(|line| line.ends_with(": test")))
}

fn run_one(project: &Project, suite: &Suite, filters: &[String], data: &ReferenceData) -> Result<Runner> {
    let package = project.root.join("tests");
    let mut environment = vec![("CARGO_MANIFEST_DIR", package.display().to_string())];
    environment.extend(data.environment());
    for name in ["CI", "RUST_BACKTRACE", "RUST_LOG"] {
        environment.extend(env::var(name).ok().map(|value| (name, value)));
    }
    environment.push(("PATH", with_system_folders(&env::var("PATH").unwrap_or_default())));
    let mut command = root::command(Path::new(&suite.executable), &environment, "the suite")?;
    command.current_dir(&package).arg("--test-threads=1").args(data.libtest_args()).args(filters);
    let mut step = Step::new(format!("{} (as root)", suite.name), command, SUITE_LIMIT).echo();
    let ended = step.run_to_end(project)?;
    Ok(Runner { report: Report::read(&ended.log)?, failure: ended.failure(step.limit()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &str, test: bool, executable: &str) -> String {
        format!(
            r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"xdp_cases"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
        )
    }

    #[test]
    fn test_binaries_are_taken_from_cargos_messages() {
        let suite = suite_in(&message("test", true, r#""/t/xdp_cases-1""#)).unwrap();
        assert_eq!((suite.name.as_str(), suite.is_integration), ("tests/xdp_cases", true));
        assert!(!suite_in(&message("lib", true, r#""/t/lib-1""#)).unwrap().is_integration);
    }

    #[test]
    fn other_messages_and_noise_are_passed_over() {
        for line in [
            message("bin", false, r#""/t/federation""#),
            message("lib", true, "null"),
            "   Compiling dfaas-tests".to_owned(),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ] {
            assert_eq!(suite_in(&line), None, "{line}");
        }
    }
}
