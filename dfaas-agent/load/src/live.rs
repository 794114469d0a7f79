//! One line while a load is played, on a terminal only.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::{record::Record, summary::Tally};

/// How often numbers change, and over how long they are taken: fast enough to follow, slow enough to read.
const EVERY: Duration = Duration::from_millis(500);
/// Nodes that are shown.
const MAX_NODES: usize = 6;

/// Numbers of the last half second beside the share of the whole plan that is done.
#[derive(Debug)]
pub struct Live {
    bar: ProgressBar,
    recent: Tally,
    since: Instant,
}

impl Live {
    /// Draws to standard error; nothing if that is no terminal.
    pub fn new(planned: u64) -> Self {
        let bar = ProgressBar::new(planned);
        let style = ProgressStyle::with_template("{elapsed_precise} {bar:20} {pos}/{len}  {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, recent: Tally::default(), since: Instant::now() }
    }

    pub fn see(&mut self, record: &Record) {
        self.recent.add(record);
        let took = self.since.elapsed();
        if took >= EVERY {
            self.bar.inc(self.recent.planned);
            self.bar.set_message(message(&self.recent, took));
            (self.recent, self.since) = (Tally::default(), Instant::now());
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn message(tally: &Tally, took: Duration) -> String {
    let ms = |percent| tally.latency.percentile(percent).as_secs_f64() * 1e3;
    let mut nodes: Vec<_> = tally.by_node.iter().collect();
    nodes.sort_by(|a, b| b.1.cmp(a.1));
    let per_second = |n: u64| n as f64 / took.as_secs_f64();
    let nodes = nodes.iter().take(MAX_NODES).map(|(name, n)| format!("{name} {:.0}/s", per_second(**n)));
    format!(
        "{:.0}/s  ok {:.1} %  p50 {:.1}  p95 {:.1}  p99 {:.1} ms  {}",
        per_second(tally.planned),
        tally.success_rate() * 100.0,
        ms(50.0),
        ms(95.0),
        ms(99.0),
        nodes.collect::<Vec<_>>().join("  ")
    )
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn the_line_tells_rate_success_latency_and_nodes() {
        let tally = Tally::of(&[record("a", 0, 200, 10), record("a", 1, 429, 10)]);
        let line = message(&tally, Duration::from_millis(500));
        assert_eq!(line, "4/s  ok 50.0 %  p50 10.0  p95 10.0  p99 10.0 ms  n1 2/s  unknown 2/s");
    }
}
