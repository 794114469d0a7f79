//! All tests: those any user can run, then the suites in `tests/` that need root.

mod clean_room;
mod foreign_peer;
mod libtest;
mod reference_data;
mod root_suites;

use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    build::{self, BuildArgs, Profile},
    ci::is_ci,
    project::Project,
    setup::{self, Part},
    step::{Step, say},
};
pub(crate) use clean_room::{CleanRoomArgs, enter as enter_clean_room};
use libtest::{Report, Summary};
use reference_data::ReferenceData;
pub(crate) use reference_data::VARIABLE as DATA_VARIABLE;

/// The filter that means the clean room, and nothing else.
const CLEAN_ROOM: &str = "clean-room";
const HOST_LIMIT: Duration = Duration::from_mins(40);

#[derive(Args, Debug)]
pub(crate) struct TestArgs {
    /// Only report what the machine lacks; fail if something is missing
    #[arg(long)]
    no_install: bool,
    /// Fail if the reference data is absent (as with the variable CI set)
    #[arg(long)]
    require_data: bool,
    /// Try the first commands on more than one release of Debian
    #[arg(long)]
    long: bool,
    /// Run only tests whose name contains one of these; `clean-room` alone: only the first commands on a fresh machine
    filters: Vec<String>,
}

/// What all runners together came to.
#[derive(Debug, Default)]
struct Verdict {
    total: Summary,
    problems: Vec<String>,
}

pub(crate) fn run(project: &Project, args: &TestArgs) -> Result<()> {
    setup::ensure(project, &Part::OF_THE_TESTS, args.no_install)?;
    build::run(project, BuildArgs::of(Profile::Dev))?;
    if args.filters == [CLEAN_ROOM] {
        // What the room runs is compiled outside of it.
        root_suites::build(project)?;
        let mut cargo = project.cargo();
        cargo.args(["test", "--no-run"]);
        Step::new("build the host tests", cargo, HOST_LIMIT).run(project)?;
        return clean_room::suites(args.long).iter().try_for_each(|suite| clean_room::run(project, suite));
    }
    let data = ReferenceData::find(project);
    let mut verdict = Verdict::default();
    let host = host_tests(project, args, &data)?;
    verdict.add("host tests", &host, !args.filters.is_empty());
    if let Err(error) = root_suites::run(project, &args.filters, &data, &mut verdict) {
        verdict.fail(format!("root suites: {error:#}"));
    }
    let rooms = if args.filters.is_empty() { clean_room::suites(args.long) } else { &[] };
    for suite in rooms {
        match clean_room::run(project, suite) {
            Ok(()) => verdict.total.passed += 1,
            Err(error) => verdict.fail(format!("{error:#}")),
        }
    }
    if verdict.total.ran() == 0 {
        verdict.problems.push(format!("no test ran (filter: {})", args.filters.join(" ")));
    }
    if let (Err(reason), true) = (&data.folder, args.require_data || is_ci()) {
        verdict.problems.push(format!("{reason}, and it is required here"));
    }
    verdict.finish()
}

/// `cargo test` of the default members, documentation examples included.
fn host_tests(project: &Project, args: &TestArgs, data: &ReferenceData) -> Result<Runner> {
    let mut cargo = project.cargo();
    cargo.args(["test", "--no-fail-fast"]).envs(data.environment());
    cargo.arg("--").args(data.libtest_args()).args(&args.filters);
    let mut step = Step::new("host tests (cargo test)", cargo, HOST_LIMIT).echo();
    let ended = step.run_to_end(project)?;
    Ok(Runner { report: Report::read(&ended.log)?, failure: ended.failure(step.limit()) })
}

/// One runner's counts, and why its process failed if it did.
#[derive(Debug)]
struct Runner {
    report: Report,
    failure: Option<String>,
}

impl Verdict {
    /// Under a filter a runner may well have nothing to run.
    fn add(&mut self, name: &str, runner: &Runner, filtered: bool) {
        let summary = runner.report.total();
        self.total += summary;
        if let Some(failure) = &runner.failure {
            self.problems.push(format!("{name}: {failure}"));
            // A runner that died told no count of its own.
            self.total.failed += u64::from(summary.failed == 0);
        } else if summary.ran() == 0 && summary.ignored == 0 && !filtered {
            self.problems.push(format!("{name}: no test ran"));
        }
        for skipped in &runner.report.ignored {
            println!("skipped: {name}: {skipped}");
        }
    }

    /// Something that is no test of a runner's own count.
    fn fail(&mut self, problem: String) {
        self.problems.push(problem);
        self.total.failed += 1;
    }

    /// A suite that cannot run on this machine: named, and a failure where it is `required`.
    fn leave_out(&mut self, suite: &str, reason: &str, required: bool) {
        if required {
            self.problems.push(format!("{suite}: {reason}, and it is required here"));
            self.total.failed += 1;
        } else {
            println!("skipped: {suite}: {reason}");
            self.total.ignored += 1;
        }
    }

    fn finish(self) -> Result<()> {
        say("result of all tests");
        for problem in &self.problems {
            println!("problem: {problem}");
        }
        let Summary { passed, failed, ignored } = self.total;
        println!("{passed} passed, {failed} failed, {ignored} skipped");
        if failed > 0 || !self.problems.is_empty() {
            bail!("the tests did not pass");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(text: &str, failure: Option<&str>) -> Runner {
        Runner { report: Report::parse(text.as_bytes()).unwrap(), failure: failure.map(str::to_owned) }
    }

    const TWO: &str = "test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s\n";
    const ZERO: &str = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out; finished in 0.0s\n";

    #[test]
    fn runners_are_summed() {
        let mut verdict = Verdict::default();
        verdict.add("a", &runner(TWO, None), false);
        verdict.add("b", &runner(TWO, None), false);
        assert_eq!(verdict.total, Summary { passed: 4, failed: 0, ignored: 2 });
        assert!(verdict.finish().is_ok());
    }

    #[test]
    fn a_runner_that_ran_nothing_is_a_problem_unless_filtered() {
        let mut verdict = Verdict::default();
        verdict.add("filtered", &runner(ZERO, None), true);
        assert!(verdict.problems.is_empty());
        verdict.add("empty", &runner(ZERO, None), false);
        assert!(verdict.finish().is_err());
    }

    #[test]
    fn a_runner_that_died_counts_as_a_failure() {
        let mut verdict = Verdict::default();
        verdict.add("dead", &runner("", Some("signal: 11 (SIGSEGV)")), false);
        assert_eq!(verdict.total.failed, 1);
        assert!(verdict.finish().is_err());
    }

    #[test]
    fn a_suite_left_out_is_skipped_but_a_failure_where_it_is_required() {
        let mut verdict = Verdict::default();
        verdict.leave_out("tests/a", "no npm", false);
        assert_eq!(verdict.total, Summary { passed: 0, failed: 0, ignored: 1 });
        verdict.leave_out("tests/a", "no npm", true);
        assert_eq!((verdict.total.failed, verdict.problems.len()), (1, 1));
        assert!(verdict.finish().is_err());
    }

    #[test]
    fn failures_told_by_the_runner_are_not_counted_twice() {
        let text = "test result: FAILED. 1 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.0s\n";
        let mut verdict = Verdict::default();
        verdict.add("a", &runner(text, Some("exit status: 101")), false);
        assert_eq!(verdict.total, Summary { passed: 1, failed: 3, ignored: 0 });
    }
}
