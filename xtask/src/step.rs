//! One named step: a command with a time limit, a log file and a duration; a failure names all of them.

mod output;
mod progress;
mod tree;

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::project::Project;
use output::Shown;

const SHOWN_LINES: usize = 30;
const POLL: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(crate) struct Step {
    name: String,
    command: Command,
    limit: Duration,
    shown: Shown,
}

/// How a step's command ended; a non-zero status is not an error yet.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: the time limit was reached and the command killed.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) log: PathBuf,
}

impl Ended {
    /// Why it did not succeed; `limit` is the time it had.
    pub(crate) fn failure(&self, limit: Duration) -> Option<String> {
        match self.status {
            Some(status) if status.success() => None,
            Some(status) => Some(status.to_string()),
            None => Some(format!("killed at its time limit of {} s", limit.as_secs())),
        }
    }
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, command: Command, limit: Duration) -> Self {
        Self { name: name.into(), command, limit, shown: Shown::Nothing }
    }

    /// Show the command's output as it comes, not only in the log.
    pub(crate) fn echo(mut self) -> Self {
        self.shown = Shown::All;
        self
    }

    /// The command is a cargo that compiles: show how far it is.
    pub(crate) fn compiling(mut self) -> Self {
        progress::ask(&mut self.command);
        self.shown = Shown::Progress;
        self
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Runs to the end; any failure is an error with the last lines of the log.
    pub(crate) fn run(mut self, project: &Project) -> Result<PathBuf> {
        let ended = self.run_to_end(project)?;
        let Some(failure) = ended.failure(self.limit) else { return Ok(ended.log) };
        let shown = if self.shown == Shown::All { String::new() } else { last_lines(&ended.log, SHOWN_LINES) };
        bail!(
            "step `{}` failed: {failure}\n  command: {}\n  log: {}{}",
            self.name,
            command_line(&self.command),
            project.relative(&ended.log).display(),
            shown
        )
    }

    /// Runs to the end and leaves the judgement to the caller.
    pub(crate) fn run_to_end(&mut self, project: &Project) -> Result<Ended> {
        say(&self.name);
        let log = log_path(project, &self.name);
        fs::create_dir_all(project.logs()).with_context(|| format!("cannot create {}", project.logs().display()))?;
        let begin = Instant::now();
        let (from_child, to_log) = std::io::pipe().context("cannot open a pipe for the step's output")?;
        self.command.stdin(Stdio::null()).stdout(to_log.try_clone()?).stderr(to_log);
        let spawned = self.command.spawn();
        // The command keeps the writing ends open otherwise, and the copy would never see the end.
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child =
            spawned.with_context(|| format!("step `{}`: cannot start {}", self.name, command_line(&self.command)))?;
        let copy = output::copy_to(from_child, &log, self.shown)?;
        let status = wait_until(&mut child, begin + self.limit)?;
        copy.finish();
        let verdict = if status.is_some_and(|s| s.success()) { "done in" } else { "failed after" };
        println!("    {verdict} {:.1} s", begin.elapsed().as_secs_f64());
        Ok(Ended { status, log })
    }
}

/// The line that opens a step.
pub(crate) fn say(name: &str) {
    println!("==> {name}");
}

/// What a short command prints on both streams, whatever its exit status; `None` if it does not start or end in time.
pub(crate) fn text_of(mut command: Command) -> Option<String> {
    const LIMIT: Duration = Duration::from_secs(20);
    const MOST_BYTES: u64 = 1 << 20;
    let (from_child, to_us) = std::io::pipe().ok()?;
    command.stdin(Stdio::null()).stdout(to_us.try_clone().ok()?).stderr(to_us);
    let mut child = command.spawn().ok()?;
    drop(command);
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        from_child.take(MOST_BYTES).read_to_end(&mut bytes).map(|_| bytes)
    });
    wait_until(&mut child, Instant::now() + LIMIT).ok()??;
    let bytes = reader.join().ok()?.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the step's command")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            tree::kill(child)?;
            return Ok(None);
        }
        std::thread::sleep(POLL);
    }
}

fn log_path(project: &Project, name: &str) -> PathBuf {
    let mut file = String::new();
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let _ = write!(file, "{}{}", if file.is_empty() { "" } else { "-" }, word.to_ascii_lowercase());
    }
    project.logs().join(file + ".log")
}

fn last_lines(log: &Path, count: usize) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    // Cargo's messages for machines say nothing to a reader.
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"")).collect();
    let shown = &lines[lines.len().saturating_sub(count)..];
    let head = if shown.is_empty() { "; it is empty" } else { "; its end:" };
    shown.iter().fold(head.to_owned(), |text, line| text + "\n  | " + line)
}

/// The command as one could type it, without its environment.
pub(crate) fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || "'\"$*;|&<>()".contains(c));
        if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
