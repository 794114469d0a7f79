//! What was measured, as charts.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use dfaas_base::duration::go;
use dfaas_plot::{Bins, Chart, Content, Layer, Series};

use super::{
    record::Record,
    summary::{Tally, Times, UNKNOWN},
};

/// Layers of their own; smaller ones are summed up.
const MAX_LAYERS: usize = 10;
const SECONDS: &str = "time since the start (s)";

/// Draws all charts into a folder, which is made.
pub fn draw(records: &[Record], folder: &Path) -> Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let start = records.iter().map(|record| record.due_ns).min().unwrap_or(0);
    let mut charts = vec![
        ("answers_by_status", per_second(records, start, "Answers per second by status", status)),
        ("answers_by_node", per_second(records, start, "Answers per second by serving node", node)),
        ("latency_over_time", over_time(records, start)),
        ("latency_density", density(records)),
    ];
    let attacks = by_attack(records);
    if attacks.len() > 1 {
        charts.push(("success_by_attack", success(&attacks)));
    }
    let mut files = Vec::new();
    for (name, chart) in charts {
        files.extend(chart.write(&folder.join(name))?);
    }
    Ok(files)
}

/// In the order of their names.
pub fn by_attack(records: &[Record]) -> BTreeMap<&str, Vec<&Record>> {
    let mut attacks: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records {
        attacks.entry(&record.attack).or_default().push(record);
    }
    attacks
}

fn subtitle(records: &[Record]) -> String {
    let attacks = by_attack(records);
    let names: Vec<_> = attacks.keys().copied().filter(|name| !name.is_empty()).take(6).collect();
    let more = if attacks.len() > 6 { " …" } else { "" };
    let of = if names.is_empty() { String::new() } else { format!(" of {}{more}", names.join(", ")) };
    format!("{} requests{of}", records.len())
}

fn status(record: &Record) -> Option<String> {
    record.late?;
    Some(if record.is_complete() { record.exchange.code.to_string() } else { "no answer".into() })
}

fn node(record: &Record) -> Option<String> {
    record.is_complete().then(|| record.served_by().map_or(UNKNOWN, |name| name).to_owned())
}

fn second(start: u64, ns: u64) -> usize {
    (ns.saturating_sub(start) / 1_000_000_000) as usize
}

/// Counted in the second in which the answer came.
fn per_second(records: &[Record], start: u64, title: &str, name: fn(&Record) -> Option<String>) -> Chart {
    let mut layers: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let seconds = records.iter().map(|record| second(start, record.end_ns())).max().map_or(0, |last| last + 1);
    for record in records {
        if let Some(name) = name(record) {
            let counts = layers.entry(name).or_insert_with(|| vec![0.0; seconds]);
            counts[second(start, record.end_ns())] += 1.0;
        }
    }
    let mut layers: Vec<Layer> = layers.into_iter().map(|(name, values)| Layer::new(name, values)).collect();
    if layers.len() > MAX_LAYERS {
        let sum = |layer: &Layer| layer.values.iter().sum::<f64>();
        layers.sort_by(|a, b| sum(b).total_cmp(&sum(a)));
        let rest = layers.split_off(MAX_LAYERS - 1);
        let total = |second: usize| rest.iter().map(|layer| layer.values[second]).sum();
        layers.push(Layer::new(format!("{} others", rest.len()), (0..seconds).map(total).collect()));
    }
    let content = Content::Bins(Bins { start: 0.0, width: 1.0, layers });
    Chart::new(title, SECONDS, "answers per second", content).subtitle(subtitle(records))
}

/// Percentiles of the requests that were due in each second.
fn over_time(records: &[Record], start: u64) -> Chart {
    let mut seconds: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.late.is_some()) {
        let ms = record.latency.as_secs_f64() * 1e3;
        seconds.entry(second(start, record.due_ns)).or_default().push(ms);
    }
    for values in seconds.values_mut() {
        values.sort_by(f64::total_cmp);
    }
    let series = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)].map(|(name, share)| {
        let rank = |n: usize| ((n as f64 * share).ceil() as usize).clamp(1, n) - 1;
        let point = |(second, values): (&usize, &Vec<f64>)| (*second as f64 + 0.5, values[rank(values.len())]);
        Series::new(name, seconds.iter().map(point).collect())
    });
    let content = Content::Lines(series.into());
    Chart::new("Latency over time", SECONDS, "latency (ms)", content)
        .subtitle(format!("{}, by the second in which they were due", subtitle(records)))
}

fn density(records: &[Record]) -> Chart {
    let sent = || records.iter().filter(|record| record.late.is_some());
    let mut times = Times::default();
    sent().for_each(|record| times.add(record.latency));
    let values: Vec<f64> = sent().map(|record| record.latency.as_secs_f64() * 1e3).collect();
    // The slowest percent share the last bin: they would press the others together.
    let end = (times.percentile(99.0).as_secs_f64() * 1.1e3).max(1e-3);
    let width = nice_width(end / 60.0);
    let name = format!("share of requests (bins of {width} ms; the last holds all slower ones)");
    let mut chart = Chart::new(
        "Latency density",
        "latency (ms)",
        "share per ms",
        Content::Bins(Bins::density(name, &values, width, end)),
    )
    .subtitle(subtitle(records));
    for (name, time) in [("mean", times.mean()), ("p50", times.percentile(50.0)), ("p95", times.percentile(95.0))] {
        chart = chart.mark(format!("{name} {}", go(rounded(time))), time.as_secs_f64() * 1e3);
    }
    chart
}

/// 1, 2, 2.5 or 5 times a power of ten, at least as wide.
fn nice_width(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|f| f * power).find(|width| *width >= least).unwrap_or(power * 10.0)
}

/// To whole microseconds.
fn rounded(time: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_micros(time.as_micros() as u64)
}

fn success(attacks: &BTreeMap<&str, Vec<&Record>>) -> Chart {
    let rate = |records: &Vec<&Record>| Tally::of(records.iter().copied()).success_rate() * 100.0;
    let content = Content::Bars {
        categories: attacks.keys().map(|name| (*name).to_owned()).collect(),
        layers: vec![Layer::new("successful", attacks.values().map(rate).collect())],
        stacked: false,
    };
    Chart::new("Success by attack", "attack", "successful requests (%)", content)
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn answers_count_in_the_second_in_which_they_came() {
        let records =
            [record("a", 0, 200, 1), record("a", 900, 200, 200), record("a", 950, 0, 10), record("a", 1, 429, 1)];
        let chart = per_second(&records, records[0].due_ns, "t", status);
        let Content::Bins(bins) = chart.content else { panic!("bins") };
        let layers: Vec<_> = bins.layers.iter().map(|l| (l.name.as_str(), l.values.clone())).collect();
        assert_eq!(layers, [("200", vec![1.0, 1.0]), ("429", vec![1.0, 0.0]), ("no answer", vec![1.0, 0.0])]);
    }

    #[test]
    fn many_nodes_are_summed_up() {
        let mut records: Vec<_> = (0..30).map(|n| record("a", n, 200, 1)).collect();
        for (n, record) in records.iter_mut().enumerate() {
            record.exchange.server = Some(n.to_string().into());
        }
        let Content::Bins(bins) = per_second(&records, records[0].due_ns, "t", node).content else { panic!("bins") };
        assert_eq!((bins.layers.len(), bins.layers[9].name.as_str()), (10, "21 others"));
        assert_eq!(bins.layers[9].values, [21.0]);
    }

    #[test]
    fn widths_of_bins_are_round() {
        assert_eq!([0.3, 1.0, 11.0, 24.0, 70.0].map(nice_width), [0.5, 1.0, 20.0, 25.0, 100.0]);
    }

    #[test]
    fn several_attacks_have_a_chart_of_their_success() {
        let folder = tempfile::tempdir().unwrap();
        let files = draw(&[record("a", 0, 200, 1), record("b", 0, 500, 30)], folder.path()).unwrap();
        assert_eq!(files.len(), 10);
        assert!(files.iter().all(|file| file.is_file()) && files[8].ends_with("success_by_attack.svg"));
        assert_eq!(draw(&[record("a", 0, 200, 1)], folder.path()).unwrap().len(), 8);
    }
}
