//! The program `nft`.
//!
//! Not a library that builds the same JSON: the table is one constant text, which people can read and load by hand.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    rules::Rules,
    table::{Found, compare},
};

#[derive(Clone, Debug)]
pub(super) struct Nft {
    program: PathBuf,
}

impl Nft {
    pub(super) fn new(program: PathBuf) -> Self {
        Self { program }
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn exists(&self) -> bool {
        self.program.is_file()
    }

    /// Looks for the table.
    pub(super) fn find(&self, rules: &Rules) -> Result<Found> {
        let output = self.run(&["--json", "list", "table", "ip", &rules.table], "")?;
        if is_absent(&output) {
            return Ok(Found::Absent);
        }
        let listing: Value = serde_json::from_slice(&self.checked(output)?).context("nft lists no JSON")?;
        Ok(compare(&listing, rules))
    }

    /// Replaces the table, all of it or nothing.
    pub(super) fn install(&self, rules: &Rules) -> Result<()> {
        self.checked(self.run(&["--file", "-"], &rules.text)?)?;
        Ok(())
    }

    /// False if there was none.
    pub(super) fn remove(&self, table: &str) -> Result<bool> {
        if !self.exists() {
            return Ok(false);
        }
        let output = self.run(&["delete", "table", "ip", table], "")?;
        if is_absent(&output) {
            return Ok(false);
        }
        self.checked(output)?;
        Ok(true)
    }

    fn run(&self, args: &[&str], input: &str) -> Result<Output> {
        let context = || format!("cannot run {}", self.program.display());
        let mut command = Command::new(&self.program);
        // Messages are read below.
        command.args(args).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(context)?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(input.as_bytes()) {
                // It has said on the other pipe what it does not like.
                Err(e) if e.kind() != io::ErrorKind::BrokenPipe => return Err(e).with_context(context),
                _ => {}
            }
        }
        child.wait_with_output().with_context(context)
    }

    fn checked(&self, output: Output) -> Result<Vec<u8>> {
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}", self.program.display(), text.lines().next().unwrap_or("no message"));
        }
        Ok(output.stdout)
    }
}

/// ENOENT, the one failure that is no trouble.
fn is_absent(output: &Output) -> bool {
    !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("No such file or directory")
}
