//! Indices of recorded forwarding tables: a folder with `minute_0`, `minute_1` and so on, or one with such folders.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::replay::{
    files::{INVOCATION_RATES, MAX_RATES},
    indices::{Indices, Series},
    traffic::FunctionMinute,
};
use dfaas_base::BadInput;

/// What a folder holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Analysis {
    /// Tables of one strategy.
    One(Indices),
    /// By folder, which the original names by the strategy.
    Several(BTreeMap<String, Indices>),
}

pub fn analyse(folder: &Path) -> Result<Analysis> {
    let subfolders = subfolders(folder)?;
    let minutes = minutes(&subfolders);
    if !minutes.is_empty() {
        return Ok(Analysis::One(indices(folder, &minutes)?));
    }
    let mut several = BTreeMap::new();
    for inner in &subfolders {
        let folders = self::subfolders(inner)?;
        let minutes = self::minutes(&folders);
        if !minutes.is_empty() {
            several.insert(name(inner), indices(inner, &minutes)?);
        }
    }
    if several.is_empty() {
        let text = format!("{}: no folder minute_0 in it or one level below", folder.display());
        return Err(BadInput(text).into());
    }
    Ok(Analysis::Several(several))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |e| BadInput(format!("{}: {e}, expected a folder with tables", folder.display()));
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The folders of the minutes, by number.
fn minutes(folders: &[PathBuf]) -> BTreeMap<usize, &Path> {
    let number = |folder: &Path| name(folder).strip_prefix("minute_")?.parse().ok();
    folders.iter().filter_map(|folder| Some((number(folder)?, folder.as_path()))).collect()
}

fn indices(folder: &Path, minutes: &BTreeMap<usize, &Path>) -> Result<Indices> {
    let missing = (0..minutes.len()).find(|minute| !minutes.contains_key(minute));
    if let Some(minute) = missing {
        return Err(BadInput(format!("{}: minute_{minute} is missing", folder.display())).into());
    }
    if minutes.len() < 2 {
        return Err(BadInput(format!("{}: only minute_0, expected 2 minutes or more", folder.display())).into());
    }
    // In the order of the columns, as they were summed when they were recorded: so the last digits agree too.
    let mut series: Vec<(String, Series)> = Vec::new();
    for (minute, folder) in minutes {
        for (function, traffic) in read_minute(folder)? {
            let place = series.iter().position(|(known, _)| *known == function).unwrap_or_else(|| {
                series.push((function, Series::default()));
                series.len() - 1
            });
            series[place].1.push(&traffic);
        }
        if let Some((function, _)) = series.iter().find(|(_, series)| series.rejected.len() != minute + 1) {
            let text = format!("{}: {function} is not in every minute", folder.display());
            return Err(BadInput(text).into());
        }
    }
    Ok(Indices::of(series.iter().map(|(_, series)| series)))
}

fn read_minute(folder: &Path) -> Result<Vec<(String, FunctionMinute)>> {
    let rates = Table::read(&folder.join(INVOCATION_RATES))?;
    let max_rates = Table::read(&folder.join(MAX_RATES))?;
    let mut functions = Vec::new();
    for function in &rates.columns {
        let mut traffic = FunctionMinute {
            rates: rates.column(function, &rates.rows)?,
            max_rates: max_rates.column(function, &rates.rows)?,
            ..FunctionMinute::default()
        };
        let calls = Table::read(&folder.join(format!("{function}.csv")))?;
        for (i, from) in calls.rows.iter().enumerate() {
            let from = calls.place(&rates.rows, from)?;
            for (j, to) in calls.columns.iter().enumerate() {
                if calls.values[i][j] > 0.0 {
                    traffic.table.insert((from, calls.place(&rates.rows, to)?), calls.values[i][j]);
                }
            }
        }
        functions.push((function.clone(), traffic));
    }
    Ok(functions)
}

/// Tab separated, with names in the first row and column.
#[derive(Debug)]
struct Table {
    file: String,
    columns: Vec<String>,
    rows: Vec<String>,
    values: Vec<Vec<f64>>,
}

impl Table {
    fn read(path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let refused = |e: csv::Error| BadInput(format!("{file}: {e}, expected a table with tabs"));
        let mut reader = csv::ReaderBuilder::new().delimiter(b'\t').from_path(path).map_err(refused)?;
        let columns: Vec<String> = reader.headers().map_err(refused)?.iter().skip(1).map(str::to_owned).collect();
        if let Some(name) = columns.iter().find(|name| name.is_empty() || name.contains(['/', '\\'])) {
            return Err(BadInput(format!("{file}: column {name:?}, expected the name of a function or node")).into());
        }
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        for record in reader.records() {
            let record = record.map_err(refused)?;
            let row = record.get(0).unwrap_or_default().to_owned();
            let cell = |(column, text): (&String, &str)| {
                let number = text.parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0);
                let expected = "expected calls per second, 0 or more";
                number.ok_or_else(|| BadInput(format!("{file}: row {row}, column {column} is {text:?}, {expected}")))
            };
            values.push(columns.iter().zip(record.iter().skip(1)).map(cell).collect::<Result<_, _>>()?);
            rows.push(row);
        }
        Ok(Self { file, columns, rows, values })
    }

    fn place(&self, nodes: &[String], name: &str) -> Result<usize> {
        let found = nodes.iter().position(|node| node == name);
        let expected = format!("expected a node of {INVOCATION_RATES}");
        found.ok_or_else(|| BadInput(format!("{}: node {name:?}, {expected}", self.file)).into())
    }

    /// Values of a function by place of the node.
    fn column(&self, function: &str, nodes: &[String]) -> Result<BTreeMap<usize, f64>> {
        let found = self.columns.iter().position(|column| column == function);
        let column = found.ok_or_else(|| BadInput(format!("{}: column {function} is missing", self.file)))?;
        self.rows.iter().zip(&self.values).map(|(row, values)| Ok((self.place(nodes, row)?, values[column]))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\ta\tb\n";

    /// Two minutes of two nodes: 3 of a's 8 calls go to b, which has room for 2.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for minute in ["minute_0", "minute_1"] {
            let minute = folder.path().join(minute);
            fs::create_dir(&minute).unwrap();
            fs::write(minute.join(INVOCATION_RATES), "\tf\na\t8\nb\t0\n").unwrap();
            fs::write(minute.join(MAX_RATES), "\tf\na\t5\nb\t2\n").unwrap();
            fs::write(minute.join("f.csv"), format!("{NODES}a\t5\t3\nb\t0\t0\n")).unwrap();
        }
        folder
    }

    fn complaint(file: &str, text: &str) -> String {
        let folder = folder();
        fs::write(folder.path().join(file), text).unwrap();
        let refused = analyse(folder.path()).unwrap_err();
        assert!(refused.is::<BadInput>());
        refused.to_string()
    }

    #[test]
    fn a_folder_of_minutes_gives_one_set_of_indices() {
        let (outer, inner) = (tempfile::tempdir().unwrap(), folder());
        let Analysis::One(indices) = analyse(inner.path()).unwrap() else { panic!("several") };
        assert_eq!((indices.0[0], indices.0[8]), (87.5, 120.0));
        fs::rename(inner.path(), outer.path().join("random")).unwrap();
        assert_eq!(analyse(outer.path()).unwrap(), Analysis::Several([("random".to_owned(), indices)].into()));
    }

    #[test]
    fn bad_tables_are_refused_by_file_place_and_value() {
        let text = complaint("minute_1/f.csv", &format!("{NODES}a\t5\t-3\n"));
        assert!(text.contains("minute_1/f.csv: row a, column b is \"-3\", expected calls"), "{text}");
        let text = complaint("minute_1/f.csv", "\ta\tc\na\t5\t3\n");
        assert!(text.contains("minute_1/f.csv: node \"c\", expected a node of invoc_rates.csv"), "{text}");
        let text = complaint("minute_1/max_rates.csv", "\tg\na\t5\nb\t2\n");
        assert!(text.contains("max_rates.csv: column f is missing"), "{text}");
        let text = complaint("minute_0/invoc_rates.csv", "\tf\na\tNaN\nb\t0\n");
        assert!(text.contains("invoc_rates.csv: row a, column f is \"NaN\""), "{text}");
        let text = complaint("minute_1/invoc_rates.csv", "\t../f\na\t1\nb\t0\n");
        assert!(text.contains("column \"../f\""), "{text}");
    }

    #[test]
    fn a_missing_minute_is_named() {
        let folder = folder();
        fs::rename(folder.path().join("minute_0"), folder.path().join("minute_2")).unwrap();
        assert!(analyse(folder.path()).unwrap_err().to_string().contains("minute_0 is missing"));
        let empty = tempfile::tempdir().unwrap();
        assert!(analyse(empty.path()).unwrap_err().to_string().contains("no folder minute_0"));
    }
}
