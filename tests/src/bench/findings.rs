//! What a benchmark has found: lines for programs, a text for people, and the promises that did not hold.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table};
use serde_json::Value;

use super::spread::Spread;
use crate::view::PRESET;

#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    lines: Vec<Value>,
    text: String,
    broken: Vec<String>,
}

impl Findings {
    pub(super) fn line(&mut self, line: Value) {
        self.lines.push(line);
    }

    /// A paragraph.
    pub(super) fn say(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.text, "{}", text.as_ref().trim_end());
    }

    /// A table; all columns but the first hold numbers.
    pub(super) fn table(&mut self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let mut table = Table::new();
        table.load_preset(PRESET);
        table.set_header(header);
        table.add_rows(rows);
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        self.say(table.to_string());
    }

    /// Something that holds on every machine, and did not hold here: the benchmark has failed.
    pub(super) fn broken(&mut self, promise: String) {
        self.broken.push(promise);
    }

    pub(super) fn all_broken(&self) -> &[String] {
        &self.broken
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn append(&mut self, other: Self) {
        self.lines.extend(other.lines);
        self.text += &other.text;
        self.broken.extend(other.broken);
    }

    /// One object a line.
    pub(super) fn json_lines(&self) -> String {
        self.lines.iter().fold(String::new(), |all, line| all + &line.to_string() + "\n")
    }

    /// Writes the lines to a file of the directory.
    pub(super) fn save(&self, directory: &Path, name: &str) -> Result<PathBuf> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(format!("{name}.jsonl"));
        fs::write(&path, self.json_lines()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// With three digits: `0.61`, `17.4`, `102`; a dash for what was not measured.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "–".to_owned(),
        size if size < 10.0 => format!("{value:.2}"),
        size if size < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub(super) fn range(spread: &Spread) -> String {
    format!("{} – {}", number(spread.min), number(spread.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_saved_as_they_are_printed() {
        let directory = tempfile::tempdir().unwrap();
        let mut findings = Findings::default();
        findings.line(json!({ "kind": "a" }));
        findings.line(json!({ "kind": "b", "n": 1 }));
        let path = findings.save(&directory.path().join("new"), "flood").unwrap();
        assert!(path.ends_with("new/flood.jsonl"));
        assert_eq!(fs::read_to_string(path).unwrap(), "{\"kind\":\"a\"}\n{\"kind\":\"b\",\"n\":1}\n");
    }

    #[test]
    fn numbers_have_the_digits_that_count() {
        let numbers = [0.614, 17.44, 102.4, 26_000.2, f64::NAN].map(number);
        assert_eq!(numbers, ["0.61", "17.4", "102", "26000", "–"]);
    }
}
