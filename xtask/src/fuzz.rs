//! `fuzz`: every reader of what others say, tried with inputs that an engine makes up by what they cover.
//!
//! The engine is libFuzzer. Coverage needs no nightly compiler: the pass is LLVM's, and `tests/fuzz/with-coverage.sh` asks for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    project::Project,
    setup::{self, Part},
    step::{Step, say},
};

const SOURCE: &str = "tests/fuzz";
const BUILD_LIMIT: Duration = Duration::from_mins(30);
/// Beyond the time to play: reading the inputs, and one that does not end.
const ENDING: Duration = Duration::from_mins(2);
/// One input may take this long, and so much memory, in MB.
const MOST_SECONDS: u32 = 10;
const MOST_MEMORY: u32 = 2048;

#[derive(Args, Debug)]
pub(crate) struct FuzzArgs {
    /// Name all targets, and end
    #[arg(long)]
    list: bool,
    /// Time for all targets together
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Only report what the machine lacks; fail if something is missing
    #[arg(long)]
    no_install: bool,
    /// Only these
    targets: Vec<String>,
}

pub(crate) fn run(project: &Project, args: &FuzzArgs) -> Result<()> {
    let targets = chosen(&all(&project.root.join(SOURCE).join("corpus"))?, &args.targets)?;
    if args.list {
        println!("{}", targets.join("\n"));
        return Ok(());
    }
    setup::ensure(project, &[Part::Fuzz], args.no_install)?;
    let program = build(project)?;
    let seconds = (args.seconds / targets.len() as u64).max(1);
    let mut failed = Vec::new();
    for target in &targets {
        match play(project, &program, target, seconds) {
            Ok(told) => println!("    {told}"),
            Err(error) => {
                eprintln!("error: {error:#}");
                failed.push(target.as_str());
            }
        }
    }
    say(&format!("{} of {} targets found nothing", targets.len() - failed.len(), targets.len()));
    if failed.is_empty() { Ok(()) } else { bail!("found something: {}", failed.join(", ")) }
}

/// Each target has a folder of inputs, by its name.
fn all(corpus: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn chosen(all: &[String], wanted: &[String]) -> Result<Vec<String>> {
    if let Some(unknown) = wanted.iter().find(|name| !all.contains(name)) {
        bail!("no target {unknown}, expected one of {}", all.join(", "));
    }
    Ok(if wanted.is_empty() { all.to_vec() } else { wanted.to_vec() })
}

fn build(project: &Project) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.args(["build", "--package", "dfaas-fuzz", "--features", "engine", "--bin", "fuzz"]);
    cargo.env("RUSTC_WORKSPACE_WRAPPER", project.root.join(SOURCE).join("with-coverage.sh"));
    Step::new("build the fuzz targets", cargo, BUILD_LIMIT).compiling().run(project)?;
    Ok(project.target().join("debug/fuzz"))
}

/// What the engine says at the end.
fn play(project: &Project, program: &Path, target: &str, seconds: u64) -> Result<String> {
    let found = project.target().join("fuzz");
    let grown = found.join("corpus").join(target);
    fs::create_dir_all(&grown).with_context(|| format!("cannot make {}", grown.display()))?;
    let mut command = Command::new(program);
    command.env("DFAAS_FUZZ_TARGET", target);
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={MOST_SECONDS}"));
    command.arg(format!("-rss_limit_mb={MOST_MEMORY}")).arg("-print_final_stats=1");
    command.arg(format!("-artifact_prefix={}/{target}-", found.display()));
    // The first folder takes what is new.
    command.arg(grown).arg(project.root.join(SOURCE).join("corpus").join(target));
    let log = Step::new(format!("fuzz {target}"), command, Duration::from_secs(seconds) + ENDING).run(project)?;
    let text = fs::read(&log).with_context(|| format!("cannot read the log {}", log.display()))?;
    summary(&String::from_utf8_lossy(&text))
        .with_context(|| format!("the engine's last words are not understood: {}", log.display()))
}

/// From the last line that tells the coverage, and the statistics behind it. An engine that sees no coverage only guesses: a failure.
fn summary(log: &str) -> Option<String> {
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))?.trim();
    let covered = log.lines().rev().find_map(|line| line.split_once(" cov: ")?.1.split_whitespace().next())?;
    (covered.parse::<u64>().ok()? > 0).then(|| format!("{runs} inputs, {covered} edges"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_run_is_told_and_one_without_coverage_is_none() {
        let log = "#8\tINITED cov: 71 ft: 72 corp: 2/90b\n#9\tNEW    cov: 82 ft: 90 corp: 3/9b lim: 4 exec/s: 0\n#120\tDONE   cov: 82 \
                   ft: 90 corp: 3/9b\nDone 120 runs in 3 second(s)\nstat::number_of_executed_units: 120\n";
        assert_eq!(summary(log).unwrap(), "120 inputs, 82 edges");
        assert_eq!(summary(&log.replace("cov: 82", "cov: 0")), None);
        assert_eq!(summary("INFO: Running with entropic power schedule\n"), None);
    }

    #[test]
    fn targets_are_the_folders_of_inputs_and_an_unknown_one_is_named() {
        let all = all(&Project::find().unwrap().root.join(SOURCE).join("corpus")).unwrap();
        assert!(all.iter().any(|name| name == "broadcast"), "{all:?}");
        assert_eq!(chosen(&all, &[]).unwrap(), all);
        assert_eq!(chosen(&all, &["mdns".to_owned()]).unwrap(), ["mdns"]);
        assert!(chosen(&all, &["mdms".to_owned()]).unwrap_err().to_string().contains("no target mdms"));
    }
}
