//! The summary as text, in the form of vegeta's text report.

use std::fmt::Write as _;

use dfaas_base::duration::go;

use super::summary::Tally;

pub fn text(tally: &Tally) -> String {
    let mut out = String::new();
    let (total, attack) = (tally.total_time(), tally.attack_time());
    let latency = &tally.latency;
    let mean = |bytes: u64| bytes as f64 / tally.sent.max(1) as f64;
    let at = |percent| go(latency.percentile(percent));
    let mut line = |name: &str, parts: &str, values: String| {
        let _ = writeln!(out, "{name:<14}{parts:<34}{values}");
    };
    line(
        "Requests",
        "[total, rate, throughput]",
        format!("{}, {:.2}, {:.2}", tally.planned, tally.rate(), tally.throughput()),
    );
    line(
        "Duration",
        "[total, attack, wait]",
        format!("{}, {}, {}", go(total), go(attack), go(total.saturating_sub(attack))),
    );
    let latencies = [go(latency.min()), go(latency.mean()), at(50.0), at(90.0), at(95.0), at(99.0), go(latency.max())];
    line("Latencies", "[min, mean, 50, 90, 95, 99, max]", latencies.join(", "));
    line("Bytes In", "[total, mean]", format!("{}, {:.2}", tally.bytes_in, mean(tally.bytes_in)));
    line("Bytes Out", "[total, mean]", format!("{}, {:.2}", tally.bytes_out, mean(tally.bytes_out)));
    line("Success", "[ratio]", format!("{:.2}%", tally.success_rate() * 100.0));
    let codes: Vec<String> = tally.by_status.iter().map(|(code, n)| format!("{code}:{n}")).collect();
    line("Status Codes", "[code:count]", codes.join("  "));
    // Lines of our own.
    let nodes: Vec<String> = tally.by_node.iter().map(|(node, n)| format!("{node}:{n}")).collect();
    line("Served By", "[node:count]", nodes.join("  "));
    let unsent = tally.planned - tally.sent;
    let lateness = format!("{unsent}, {}, {}", go(tally.lateness.percentile(99.0)), go(tally.lateness.max()));
    line("Player", "[unsent, late 99, late max]", lateness);
    let _ = writeln!(out, "Error Set:");
    for error in tally.errors.keys() {
        let _ = writeln!(out, "{error}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn the_report_has_the_lines_of_vegeta() {
        let records: Vec<_> = (0..100).map(|n| record("a", n * 10, if n < 90 { 200 } else { 0 }, 20)).collect();
        let text = text(&Tally::of(&records));
        for line in [
            "Requests      [total, rate, throughput]         100, 101.01, 89.11",
            "Duration      [total, attack, wait]             1.01s, 990ms, 20ms",
            "Latencies     [min, mean, 50, 90, 95, 99, max]  20ms, 20ms, 20ms, 20ms, 20ms, 20ms, 20ms",
            "Bytes In      [total, mean]                     1000, 10.00",
            "Success       [ratio]                           90.00%",
            "Status Codes  [code:count]                      0:10  200:90",
            "connection refused",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
        }
    }
}
