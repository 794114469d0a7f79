//! What came out: medians with their spread, and what is charged where.

pub(crate) mod machine;
mod spread;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use comfy_table::Table;
use serde_json::{Value, json};

pub(super) use self::spread::Spread;
use super::{
    Args,
    figure::{FIGURES, Figure, Sample},
};
use crate::view::PRESET;

/// Something of a sample; not a number if it was not measured.
type Quantity = fn(&Sample) -> f64;

/// What stands against what, in the order of the table; the first is the headline.
const COMPARISONS: [(&str, Quantity, Quantity); 3] = [
    ("programs, process with its packets", Sample::own_us, Sample::node_us),
    ("programs, process alone", Sample::own_us, Sample::own_us),
    ("whole node", Sample::node_us, Sample::node_us),
];

fn per_second(sample: &Sample) -> f64 {
    sample.outcome.per_second
}

struct Entry {
    figure: &'static str,
    round: usize,
    contender: &'static str,
    sample: Sample,
}

pub(super) struct Report {
    machine: Value,
    file: &'static str,
    entries: Vec<Entry>,
}

impl Report {
    pub(super) fn new(args: &Args) -> Self {
        let mut machine = machine::describe();
        machine["rounds"] = args.rounds().into();
        machine["seconds"] = args.seconds().into();
        machine["xdp"] = args.xdp.to_string().into();
        machine["packet_threads"] = (!args.inline).into();
        Self { machine, file: if args.quick { "quick.jsonl" } else { "full.jsonl" }, entries: Vec::new() }
    }

    pub(super) fn add(&mut self, figure: &Figure, round: usize, contender: &'static str, sample: Sample) {
        self.entries.push(Entry { figure: figure.name, round, contender, sample });
    }

    fn values(&self, figure: &Figure, contender: &str, value: Quantity) -> Vec<f64> {
        let of = self.entries.iter().filter(|e| e.figure == figure.name && e.contender == contender);
        of.map(|e| value(&e.sample)).filter(|n| n.is_finite()).collect()
    }

    /// Of both contenders, and of the ratio in each round; `None` if it was not measured.
    fn compare(&self, figure: &Figure, of_kernel: Quantity, of_proxy: Quantity) -> Option<[Spread; 3]> {
        let kernel = self.values(figure, "kernel", of_kernel);
        let proxy = self.values(figure, "HAProxy", of_proxy);
        let ratios: Vec<f64> = kernel.iter().zip(&proxy).map(|(kernel, proxy)| proxy / kernel).collect();
        Some([Spread::of(&kernel)?, Spread::of(&proxy)?, Spread::of(&ratios)?])
    }

    pub(super) fn lines(&self) -> String {
        let mut text = format!("{}\n", json!({ "kind": "machine", "machine": self.machine }));
        for e in &self.entries {
            let _ = writeln!(text, "{}", sample_line(e));
        }
        for figure in &FIGURES {
            for (what, kernel, proxy) in COMPARISONS {
                let Some([kernel, proxy, ratio]) = self.compare(figure, kernel, proxy) else { continue };
                let [kernel, proxy, ratio] =
                    [kernel, proxy, ratio].map(|s| json!({ "median": s.median, "min": s.min, "max": s.max }));
                let line = json!({ "kind": "figure", "figure": figure.name, "compared": what, "kernel_us": kernel,
                                   "haproxy_us": proxy, "ratio": ratio });
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// Writes the lines to a file of the directory.
    pub(super) fn save(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let path = directory.join(self.file);
        fs::write(&path, self.lines()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::new();
        table.load_preset(PRESET);
        table.set_header(["CPU of node A", "kernel, µs", "HAProxy, µs", "ratio", "ratios of the rounds"]);
        for figure in &FIGURES {
            for (what, kernel, proxy) in COMPARISONS {
                let Some([kernel, proxy, ratio]) = self.compare(figure, kernel, proxy) else { continue };
                table.add_row([
                    format!("{}: {what}", figure.name),
                    format!("{:.2}", kernel.median),
                    format!("{:.1}", proxy.median),
                    format!("{:.1}", ratio.median),
                    format!("{:.1} – {:.1}", ratio.min, ratio.max),
                ]);
            }
        }
        table.column_iter_mut().skip(1).for_each(|column| {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        });
        format!("{table}\n\n{}\n{}\n{}", self.details(), self.charges(), machine::sentence(&self.machine))
    }

    /// Requests per second, and what the programs do for one request.
    fn details(&self) -> String {
        let mut text = String::new();
        for figure in &FIGURES {
            let Some([kernel, proxy, _]) = self.compare(figure, per_second, per_second) else { continue };
            let _ = write!(
                text,
                "{}: {:.0} requests/s by the kernel, {:.0} by HAProxy",
                figure.name, kernel.median, proxy.median
            );
            let last = self.entries.iter().rfind(|e| e.figure == figure.name && e.contender == "kernel");
            for program in last.iter().flat_map(|e| &e.sample.cost.programs).filter(|p| p.runs > 0) {
                let runs = program.runs as f64;
                let requests = last.map_or(1, |e| e.sample.outcome.requests) as f64;
                let each_ns = program.ns as f64 / runs;
                let _ = write!(text, "; {} runs {:.2} times, {each_ns:.0} ns each", program.name, runs / requests);
            }
            text.push('\n');
        }
        let tw = self.entries.iter().map(|e| e.sample.time_wait).max().unwrap_or(0);
        let _ = writeln!(text, "At most {tw} of the client's ports were in TIME_WAIT.");
        text
    }

    fn charges(&self) -> &'static str {
        if self.machine["packet_threads"] == true {
            "What is charged: \"programs\" is the run time of the kernel programs on node A, the packets' driver not \
             included. \"Process\" is the time of HAProxy on node A: its code and its system calls, with what it sends. \
             \"Its packets\" is what arrives for it: the kernel thread that handles node A's interface, driver and TCP. \
             \"Whole node\" charges the kernel path with that thread too. So the first comparison charges HAProxy with a \
             driver that the programs do not pay for, the second leaves out half of its TCP, and the third charges both \
             with everything. Switch, node B and the client are charged to nobody.\n"
        } else {
            "What is charged: to the kernel, the run time of its programs on node A, the packets' driver not included; to \
             HAProxy, the time of its process on node A: its code, its system calls, and whatever packets were handled \
             while it ran, those of the switch, node B and the client too.\n"
        }
    }
}

fn sample_line(e: &Entry) -> Value {
    let s = &e.sample;
    let programs: Vec<Value> =
        s.cost.programs.iter().map(|p| json!({ "name": p.name, "runs": p.runs, "ns": p.ns })).collect();
    json!({ "kind": "sample", "figure": e.figure, "round": e.round, "contender": e.contender,
            "requests": s.outcome.requests, "requests_per_second": s.outcome.per_second, "not_2xx": s.outcome.not_2xx,
            "errors": s.outcome.errors, "own_us": s.own_us(), "node_us": s.node_us(), "programs": programs,
            "client_time_wait": s.time_wait })
}
