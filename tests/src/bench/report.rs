//! What came out: medians with their spread, and what is charged where.

mod machine;
mod spread;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde_json::{Value, json};

pub(super) use self::spread::Spread;
use super::{
    Args,
    figure::{FIGURES, Figure, Sample},
};

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

    fn values(&self, figure: &Figure, contender: &str, value: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
        let of = self.entries.iter().filter(|e| e.figure == figure.name && e.contender == contender);
        of.filter_map(|e| value(&e.sample)).collect()
    }

    /// Of both contenders, and of the ratio in each round.
    fn compare(&self, figure: &Figure, value: impl Fn(&Sample) -> Option<f64>) -> Option<[Spread; 3]> {
        let kernel = self.values(figure, "kernel", &value);
        let proxy = self.values(figure, "HAProxy", &value);
        let ratios: Vec<f64> = kernel.iter().zip(&proxy).map(|(kernel, proxy)| proxy / kernel).collect();
        Some([Spread::of(&kernel)?, Spread::of(&proxy)?, Spread::of(&ratios)?])
    }

    pub(super) fn lines(&self) -> String {
        let mut text = format!("{}\n", json!({ "kind": "machine", "machine": self.machine }));
        for e in &self.entries {
            let _ = writeln!(text, "{}", sample_line(e));
        }
        for figure in &FIGURES {
            let own = self.compare(figure, |s| Some(s.own_us())).map(spreads_json);
            let node = self.compare(figure, Sample::node_us).map(spreads_json);
            let line = json!({ "kind": "figure", "figure": figure.name, "own": own, "node": node });
            let _ = writeln!(text, "{line}");
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
        table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(["CPU of node A, µs per request", "kernel", "HAProxy", "ratio", "ratio, worst to best"]);
        for figure in &FIGURES {
            self.add_row(&mut table, figure, figure.name, |s| Some(s.own_us()));
        }
        for figure in &FIGURES {
            self.add_row(&mut table, figure, &format!("whole node: {}", figure.name), Sample::node_us);
        }
        table.column_iter_mut().skip(1).for_each(|column| {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        });
        format!("{table}\n\n{}\n{}\n{}", self.details(), self.charges(), machine::sentence(&self.machine))
    }

    fn add_row(&self, table: &mut Table, figure: &Figure, title: &str, value: impl Fn(&Sample) -> Option<f64>) {
        let Some([kernel, proxy, ratio]) = self.compare(figure, value) else { return };
        table.add_row([
            title.to_owned(),
            format!("{:.2}", kernel.median),
            format!("{:.1}", proxy.median),
            format!("{:.1}", ratio.median),
            format!("{:.1} – {:.1}", ratio.min, ratio.max),
        ]);
    }

    /// Requests per second, and what the programs do for one request.
    fn details(&self) -> String {
        let mut text = String::new();
        for figure in &FIGURES {
            let Some([kernel, proxy, _]) = self.compare(figure, |s| Some(s.outcome.per_second)) else { continue };
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
            "What is charged: to the kernel, the run time of its programs on node A; to HAProxy, the time of its process \
             on node A: its code and its system calls, with TCP's way out. Neither pays for packets that come in at \
             node A (driver, and for HAProxy also TCP): \"whole node\" adds them, as the time of the kernel threads that \
             handle node A's interface. Wires, switch, node B and the client are charged to nobody.\n"
        } else {
            "What is charged: to the kernel, the run time of its programs on node A, without the driver; to HAProxy, the \
             time of its process on node A: its code, its system calls, and the packets that were handled while it ran, \
             whosever they were.\n"
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

fn spreads_json(spreads: [Spread; 3]) -> Value {
    let [kernel, proxy, ratio] = spreads.map(|s| json!({ "median": s.median, "min": s.min, "max": s.max }));
    json!({ "kernel_us": kernel, "haproxy_us": proxy, "ratio": ratio })
}
