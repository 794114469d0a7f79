//! `dfaas-agent forecast predict`: forecasts for a table of loads.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use clap::Args;
use csv::StringRecord;
use dfaas_base::{BadInput, whole_file};

use super::ModelsArg;
use crate::forecast::{
    folder::ModelFolder,
    models::{FEATURES, Family, METRICS, OVERLOADED, OverloadModel, UsageModels},
};

/// Predict usage for every row of a CSV file
#[derive(Debug, Args)]
#[command(
    long_about = "Reads the columns rate_group_HIGH_USAGE, rate_group_LOW_USAGE, rate_group_MEDIUM_USAGE (calls per second) \
                  and node_type (0 heavy, 1 mid, 2 light); other columns are ignored. Writes them with the forecasts of \
                  all models: CPU in percent of one core, memory in bytes, power in microwatts, each as mean (regression) \
                  and as bounds (quantile005, quantile095), and the class of overloaded_node.\n\nThe output is written \
                  whole or not at all."
)]
pub(super) struct Predict {
    #[command(flatten)]
    models: ModelsArg,
    /// Table of loads
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// Table of forecasts, replaced if it exists
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Predict {
    pub(super) fn run(self) -> Result<ExitCode> {
        let models = Models::load(&self.models.models).map_err(BadInput)?;
        let rows = read(&self.csv).map_err(BadInput)?;
        whole_file::write(&self.out, |out| write(&models, &rows, out))?;
        Ok(ExitCode::SUCCESS)
    }
}

struct Models {
    usage: Vec<UsageModels>,
    overload: OverloadModel,
}

impl Models {
    fn load(folder: &Path) -> Result<Self, String> {
        let folder = ModelFolder::open(folder)?;
        let usage = Family::ALL.iter().map(|family| UsageModels::load(&folder, *family)).collect::<Result<_, _>>()?;
        Ok(Self { usage, overload: OverloadModel::load(&folder)? })
    }
}

/// A load as it was written, and as numbers.
struct Row {
    text: [String; FEATURES.len()],
    features: [f64; FEATURES.len()],
}

fn read(file: &Path) -> Result<Vec<Row>, String> {
    let shown = file.display();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(file)
        .map_err(|e| format!("{shown}: cannot be read: {e}"))?;
    let header = reader.headers().map_err(|e| format!("{shown}: {e}"))?.clone();
    let mut columns = [0; FEATURES.len()];
    for (column, name) in columns.iter_mut().zip(FEATURES) {
        let found = header.iter().position(|title| title.trim_start_matches('\u{feff}') == name);
        *column = found.ok_or_else(|| format!("{shown}: has no column {name}, expected {}", FEATURES.join(", ")))?;
    }
    let row = |record: Result<StringRecord, csv::Error>| {
        let record = record.map_err(|e| format!("{shown}: {e}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        parse(&record, &columns).map_err(|what| format!("{shown}: line {line}: {what}"))
    };
    reader.records().map(row).collect()
}

fn parse(record: &StringRecord, columns: &[usize; FEATURES.len()]) -> Result<Row, String> {
    let text = columns.map(|column| record.get(column).unwrap_or_default().to_owned());
    let mut features = [0.0; FEATURES.len()];
    for ((feature, text), name) in features.iter_mut().zip(&text).zip(FEATURES) {
        let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        *feature = number.ok_or_else(|| format!("{name} is {text:?}, expected a number of at least 0"))?;
    }
    if ![0.0, 1.0, 2.0].contains(&features[3]) {
        return Err(format!("{} is {:?}, expected 0 (heavy), 1 (mid) or 2 (light)", FEATURES[3], text[3]));
    }
    Ok(Row { text, features })
}

fn write(models: &Models, rows: &[Row], out: impl Write) -> Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let outputs = METRICS.iter().flat_map(|metric| Family::ALL.map(|family| format!("{metric}_{family}")));
    writer.write_record(FEATURES.map(str::to_owned).into_iter().chain(outputs).chain([OVERLOADED.to_owned()]))?;
    for row in rows {
        let by_family: Vec<_> = models.usage.iter().map(|models| models.predict(&row.features)).collect();
        for text in &row.text {
            writer.write_field(text)?;
        }
        for metric in 0..METRICS.len() {
            for usage in &by_family {
                writer.write_field([usage.cpu, usage.ram, usage.power][metric].to_string())?;
            }
        }
        writer.write_field(u8::from(models.overload.overloaded(&row.features)).to_string())?;
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(())
}
