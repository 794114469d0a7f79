//! The folder of a run: summary, tables, report, charts.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::{
    charts,
    record::Record,
    report,
    summary::{Summary, Tally},
    table, vegeta,
};
use dfaas_base::BadInput;

/// As it stands in `summary.json`.
#[derive(Debug, Serialize)]
pub struct Summaries {
    pub merged: Summary,
    pub attacks: BTreeMap<String, Summary>,
}

impl Summaries {
    pub fn of(records: &[Record]) -> Self {
        let attacks = charts::by_attack(records);
        let summary = |records: Vec<&Record>| Tally::of(records).summary();
        Self {
            merged: Tally::of(records).summary(),
            attacks: attacks.into_iter().map(|(name, records)| (name.to_owned(), summary(records))).collect(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub charts: bool,
    /// The table tells the two phases of a trace that is played twice.
    pub phases: bool,
}

/// Before a run, so that no run is in vain: the folder exists and is empty, or may be replaced.
pub fn prepare(folder: &Path, force: bool) -> Result<()> {
    let name = folder.display();
    fs::create_dir_all(folder).map_err(|e| BadInput(format!("cannot make {name}: {e}")))?;
    let mut entries = fs::read_dir(folder).map_err(|e| BadInput(format!("cannot read {name}: {e}")))?;
    if !force && entries.next().is_some() {
        return Err(BadInput(format!("{name} is not empty, expected a new folder, or --force to write into it")).into());
    }
    Ok(())
}

/// Files of all attacks together in the folder itself; of each of several attacks in `attacks/NAME`.
pub fn write(folder: &Path, records: &[Record], wanted: Wanted) -> Result<()> {
    let mut sorted = records.to_vec();
    sorted.sort_by_key(|record| record.due_ns);
    write_part(folder, &sorted, wanted)?;
    let attacks = charts::by_attack(&sorted);
    if attacks.len() > 1 {
        for (name, records) in attacks {
            let records: Vec<Record> = records.into_iter().cloned().collect();
            write_part(&folder.join("attacks").join(name), &records, wanted)?;
        }
    }
    Ok(())
}

fn write_part(folder: &Path, records: &[Record], wanted: Wanted) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = |name: &str, write: &dyn Fn(&mut BufWriter<File>) -> Result<()>| {
        let path = folder.join(name);
        let context = || format!("cannot write {}", path.display());
        let mut file = BufWriter::new(File::create(&path).with_context(context)?);
        write(&mut file).and_then(|()| Ok(file.flush()?)).with_context(context)
    };
    file("summary.json", &|to| {
        serde_json::to_writer_pretty(&mut *to, &Summaries::of(records))?;
        Ok(writeln!(to)?)
    })?;
    file("requests.csv", &|to| table::write(to, records, wanted.phases))?;
    file("results.json", &|to| records.iter().try_for_each(|record| vegeta::write_result(to, record)))?;
    file("report.txt", &|to| Ok(to.write_all(report::text(&Tally::of(records)).as_bytes())?))?;
    if wanted.charts {
        charts::draw(records, &folder.join("plots"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn a_folder_with_something_in_it_is_left_alone_without_force() {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path(), false).unwrap();
        fs::write(folder.path().join("x"), "").unwrap();
        assert!(prepare(folder.path(), false).unwrap_err().is::<BadInput>());
        prepare(folder.path(), true).unwrap();
    }

    #[test]
    fn several_attacks_are_merged_and_each_has_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let records = [record("b", 5, 200, 1), record("a", 1, 429, 1)];
        write(folder.path(), &records, Wanted { charts: false, phases: false }).unwrap();
        let summary = fs::read_to_string(folder.path().join("summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(summary["merged"]["planned"], 2);
        assert_eq!(summary["attacks"]["a"]["by_status"]["429"], 1);
        let results = vegeta::read_results(&folder.path().join("results.json")).unwrap();
        assert_eq!(results.iter().map(|record| &*record.attack).collect::<Vec<_>>(), ["a", "b"]);
        assert!(folder.path().join("attacks/b/report.txt").is_file() && !folder.path().join("plots").exists());
    }
}
