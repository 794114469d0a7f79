//! Tables that a user gives us and gets back: columns by name, complaints that name line, column and value.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};

use dfaas_base::BadInput;

#[derive(Clone, Debug)]
pub struct CsvFile {
    file: String,
    /// Places of the columns that were asked for.
    columns: BTreeMap<&'static str, usize>,
    rows: Vec<csv::StringRecord>,
}

impl CsvFile {
    pub fn read(path: &Path, columns: &[&'static str]) -> Result<Self> {
        let file = path.display().to_string();
        let refused = |e: csv::Error| BadInput(format!("{file}: {e}, expected a table with commas"));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(refused)?;
        let header = reader.headers().map_err(refused)?.clone();
        let mut places = BTreeMap::new();
        for column in columns {
            let place = header.iter().position(|name| name == *column);
            places.insert(*column, place.ok_or_else(|| BadInput(format!("{file}: column {column} is missing")))?);
        }
        let rows = reader.records().collect::<Result<_, _>>().map_err(refused)?;
        Ok(Self { file, columns: places, rows })
    }

    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        // The first line is the header.
        self.rows.iter().zip(2..).map(|(record, line)| Row { table: self, record, line })
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    table: &'a CsvFile,
    record: &'a csv::StringRecord,
    line: usize,
}

impl<'a> Row<'a> {
    pub fn text(&self, column: &str) -> Result<&'a str> {
        let place = self.table.columns.get(column).with_context(|| format!("no column {column}"))?;
        self.record.get(*place).with_context(|| format!("{}: {column} is missing in a row", self.table.file))
    }

    /// A number that passes a test.
    pub fn checked(&self, column: &str, expected: &str, valid: impl Fn(&f64) -> bool) -> Result<f64> {
        let number = self.text(column)?.parse().ok().filter(|n: &f64| n.is_finite() && valid(n));
        number.map_or_else(|| Err(self.error(column, expected)), Ok)
    }

    pub fn error(&self, column: &str, expected: &str) -> anyhow::Error {
        let value: String = self.text(column).unwrap_or_default().chars().take(60).collect();
        BadInput(format!("{}: line {}, {column} is {value:?}, expected {expected}", self.table.file, self.line)).into()
    }
}
