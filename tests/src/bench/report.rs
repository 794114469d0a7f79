//! What came out of loads on both contenders: medians with their spread, and what is charged where.

pub(crate) mod machine;

use std::fmt::Write as _;

use serde_json::{Value, json};

pub(super) use self::machine::sentence;
use super::{
    figure::{Figure, Sample},
    findings::{Findings, number, range},
    spread::Spread,
};

/// Something of a sample; not a number if it was not measured.
type Quantity = fn(&Sample) -> f64;

/// What stands against what. The ratio tells how many times better the kernel is.
struct Comparison {
    what: &'static str,
    unit: &'static str,
    kernel: Quantity,
    proxy: Quantity,
    more_is_better: bool,
}

const fn cost(what: &'static str, kernel: Quantity, proxy: Quantity) -> Comparison {
    Comparison { what, unit: "µs", kernel, proxy, more_is_better: false }
}

/// In the order of the table; the first is the headline.
const COMPARISONS: [Comparison; 8] = [
    cost("CPU of A: programs, process with its packets", Sample::own_us, Sample::node_us),
    cost("CPU of A: programs, process alone", Sample::own_us, Sample::own_us),
    cost("CPU of A: whole node", Sample::node_us, Sample::node_us),
    cost("CPU of everything", Sample::all_us, Sample::all_us),
    Comparison { what: "one CPU of A", unit: "/s", kernel: of_one_cpu, proxy: of_one_cpu, more_is_better: true },
    Comparison { what: "at saturation", unit: "/s", kernel: per_second, proxy: per_second, more_is_better: true },
    Comparison { what: "p50 at 30 %", unit: "ms", kernel: p50_ms, proxy: p50_ms, more_is_better: false },
    Comparison { what: "p99 at 30 %", unit: "ms", kernel: p99_ms, proxy: p99_ms, more_is_better: false },
];

fn per_second(sample: &Sample) -> f64 {
    sample.outcome.per_second
}

/// What a CPU that does nothing else but node A's work could handle.
fn of_one_cpu(sample: &Sample) -> f64 {
    1e6 / sample.node_us()
}

fn p50_ms(sample: &Sample) -> f64 {
    sample.latency.map_or(f64::NAN, |latency| latency.p50_ms)
}

fn p99_ms(sample: &Sample) -> f64 {
    sample.latency.map_or(f64::NAN, |latency| latency.p99_ms)
}

struct Entry {
    figure: String,
    round: usize,
    contender: &'static str,
    sample: Sample,
}

#[derive(Default)]
pub(super) struct Report {
    entries: Vec<Entry>,
}

impl Report {
    pub(super) fn add(&mut self, figure: &Figure, round: usize, contender: &'static str, sample: Sample) {
        self.entries.push(Entry { figure: figure.name.clone(), round, contender, sample });
    }

    fn values(&self, figure: &Figure, contender: &str, value: Quantity) -> Vec<f64> {
        let of = self.entries.iter().filter(|e| e.figure == figure.name && e.contender == contender);
        of.map(|e| value(&e.sample)).filter(|n| n.is_finite()).collect()
    }

    /// Of both contenders, and of the ratio in each round; `None` if it was not measured.
    fn compare(&self, figure: &Figure, comparison: &Comparison) -> Option<[Spread; 3]> {
        let kernel = self.values(figure, "kernel", comparison.kernel);
        let proxy = self.values(figure, "HAProxy", comparison.proxy);
        let ratio =
            |(kernel, proxy): (&f64, &f64)| if comparison.more_is_better { kernel / proxy } else { proxy / kernel };
        let ratios: Vec<f64> = kernel.iter().zip(&proxy).map(ratio).collect();
        Some([Spread::of(&kernel)?, Spread::of(&proxy)?, Spread::of(&ratios)?])
    }

    pub(super) fn findings(&self, figures: &[Figure], packet_threads: bool) -> Findings {
        let mut findings = Findings::default();
        self.entries.iter().for_each(|entry| findings.line(sample_line(entry)));
        let mut rows = Vec::new();
        for figure in figures {
            for comparison in &COMPARISONS {
                let Some([kernel, proxy, ratio]) = self.compare(figure, comparison) else { continue };
                rows.push(vec![
                    format!("{}: {}, {}", figure.name, comparison.what, comparison.unit),
                    number(kernel.median),
                    number(proxy.median),
                    number(ratio.median),
                    range(&ratio),
                ]);
                findings.line(json!({
                    "kind": "figure", "figure": figure.name, "compared": comparison.what, "unit": comparison.unit,
                    "kernel": kernel, "haproxy": proxy, "ratio": ratio,
                }));
            }
        }
        findings.table(&["", "kernel", "HAProxy", "times better", "in the rounds"], rows);
        findings.say(self.details(figures));
        findings.say(if packet_threads { CHARGED_BY_THREAD } else { CHARGED_INLINE });
        findings
    }

    /// What the programs do for one request, and what the loads were like.
    fn details(&self, figures: &[Figure]) -> String {
        let mut text = String::new();
        for figure in figures {
            let last = self.entries.iter().rfind(|e| e.figure == figure.name && e.contender == "kernel");
            let Some(sample) = last.map(|entry| &entry.sample) else { continue };
            let _ = write!(text, "{}", figure.name);
            for program in sample.cost.programs.iter().filter(|p| p.runs > 0) {
                let (runs, requests) = (program.runs as f64, sample.outcome.requests as f64);
                let _ = write!(
                    text,
                    "; {} runs {:.2} times, {:.0} ns each",
                    program.name,
                    runs / requests,
                    program.ns as f64 / runs
                );
            }
            if let Some(latency) = sample.latency {
                let _ = write!(text, "; latency at {:.0}/s, sent up to {:.1} ms late", latency.rate, latency.late_ms);
            }
            text.push('\n');
        }
        let tw = self.entries.iter().map(|e| e.sample.time_wait).max().unwrap_or(0);
        let _ = writeln!(text, "At most {tw} of the client's ports were in TIME_WAIT.");
        text
    }
}

const CHARGED_BY_THREAD: &str = "\
What is charged: \"programs\" is the run time of the kernel programs on node A, the packets' driver not included. \
\"Process\" is the time of HAProxy on node A: its code and its system calls, with what it sends. \"Its packets\" is what \
arrives for it: the kernel thread that handles node A's interface, driver and TCP. \"Whole node\" charges the kernel path \
with that thread too. So the first comparison charges HAProxy with a driver that the programs do not pay for, the second \
leaves out half of its TCP, and the third charges both with everything. \"Everything\" is that, the switch, node B with its \
function, and the client; other work on this machine is in none of them. \"One CPU of A\" is what a CPU could handle \
that does nothing but the whole node's work: the inverse of its cost, not a load that was run.
";

const CHARGED_INLINE: &str = "\
What is charged: to the kernel, the run time of its programs on node A, the packets' driver not included; to HAProxy, \
the time of its process on node A: its code, its system calls, and whatever packets were handled while it ran, those of \
the switch, node B and the client too. \"Everything\" is the time of all processes, with the packets they handled.
";

fn sample_line(e: &Entry) -> Value {
    let s = &e.sample;
    let programs: Vec<Value> =
        s.cost.programs.iter().map(|p| json!({ "name": p.name, "runs": p.runs, "ns": p.ns })).collect();
    let latency =
        s.latency.map(|l| json!({ "rate": l.rate, "p50_ms": l.p50_ms, "p99_ms": l.p99_ms, "sent_late_ms": l.late_ms }));
    json!({ "kind": "sample", "figure": e.figure, "round": e.round, "contender": e.contender,
            "requests": s.outcome.requests, "requests_per_second": s.outcome.per_second, "not_2xx": s.outcome.not_2xx,
            "errors": s.outcome.errors, "own_us": s.own_us(), "node_us": s.node_us(), "all_us": s.all_us(),
            "programs": programs, "latency": latency, "client_time_wait": s.time_wait })
}
