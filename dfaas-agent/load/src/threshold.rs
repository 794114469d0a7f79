//! Conditions on a summary: `success >= 0.99`, `p99 <= 50ms`.

use std::{fmt, str::FromStr, time::Duration};

use dfaas_base::duration::go;

use super::{summary::Tally, units};

#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    at_least: bool,
    limit: f64,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    /// Share, 0 to 1.
    Success,
    /// Successes per second.
    Throughput,
    /// Counts.
    Unsent,
    Errors,
    Status(u16),
    /// Seconds.
    Mean,
    Max,
    Percentile(f64),
}

const EXPECTED: &str = "METRIC >= VALUE or METRIC <= VALUE, with success (0.99 or 99%), throughput, unsent, errors, \
                        status_CODE, or mean, p50, p90, p95, p99, max (50ms)";

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("threshold {text:?}: {what}, expected {EXPECTED}");
        let (at_least, parts) = match (text.split_once(">="), text.split_once("<=")) {
            (Some(parts), None) => (true, parts),
            (None, Some(parts)) => (false, parts),
            _ => return Err(wrong("no comparison".into())),
        };
        let (name, value) = (parts.0.trim(), parts.1.trim());
        let metric = Metric::named(name).ok_or_else(|| wrong(format!("no metric {name:?}")))?;
        let limit = metric.value(value).ok_or_else(|| wrong(format!("bad value {value:?}")))?;
        Ok(Self { metric, at_least, limit, text: text.trim().to_owned() })
    }
}

impl Metric {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "success" => Self::Success,
            "throughput" => Self::Throughput,
            "unsent" => Self::Unsent,
            "errors" => Self::Errors,
            "mean" => Self::Mean,
            "max" => Self::Max,
            _ => match name.split_at_checked(1)? {
                ("p", percent) => Self::Percentile(percent.parse().ok().filter(|p| (0.0..=100.0).contains(p))?),
                _ => Self::Status(name.strip_prefix("status_")?.parse().ok().filter(|code| *code < 1_000)?),
            },
        })
    }

    fn value(self, text: &str) -> Option<f64> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        match self {
            Self::Success => match text.strip_suffix('%') {
                Some(percent) => Some(number(percent)? / 100.0),
                None => number(text),
            },
            Self::Throughput | Self::Unsent | Self::Errors | Self::Status(_) => number(text),
            Self::Mean | Self::Max | Self::Percentile(_) => Some(units::duration(text).ok()?.as_secs_f64()),
        }
    }

    fn of(self, tally: &Tally) -> f64 {
        match self {
            Self::Success => tally.success_rate(),
            Self::Throughput => tally.throughput(),
            Self::Unsent => (tally.planned - tally.sent) as f64,
            Self::Errors => tally.errors.values().sum::<u64>() as f64,
            Self::Status(code) => tally.by_status.get(&code).copied().unwrap_or(0) as f64,
            Self::Mean => tally.latency.mean().as_secs_f64(),
            Self::Max => tally.latency.max().as_secs_f64(),
            Self::Percentile(percent) => tally.latency.percentile(percent).as_secs_f64(),
        }
    }
}

impl Threshold {
    /// What is there instead, if it is missed.
    pub fn missed(&self, tally: &Tally) -> Option<String> {
        let value = self.metric.of(tally);
        let met = if self.at_least { value >= self.limit } else { value <= self.limit };
        let said = match self.metric {
            Metric::Mean | Metric::Max | Metric::Percentile(_) => go(Duration::from_secs_f64(value)),
            _ => format!("{value:.4}").trim_end_matches('0').trim_end_matches('.').to_owned(),
        };
        (!met).then(|| format!("{self} missed: it is {said}"))
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::samples::record, *};

    #[test]
    fn thresholds_are_met_or_missed_and_say_the_value() {
        let records: Vec<_> = (1..=100).map(|n| record("a", n, if n <= 98 { 200 } else { 429 }, n)).collect();
        let tally = Tally::of(&records);
        let missed = |text: &str| text.parse::<Threshold>().unwrap().missed(&tally);
        for met in ["success >= 0.98", "success>=98%", "p50 <= 60ms", "max <= 0.1", "status_429 <= 2", "errors <= 0"] {
            assert_eq!(missed(met), None, "{met}");
        }
        assert_eq!(missed(" success >= 99%").unwrap(), "success >= 99% missed: it is 0.98");
        assert_eq!(missed("max <= 50ms").unwrap(), "max <= 50ms missed: it is 100ms");
        assert!(missed("p99.9 <= 50ms").is_some() && missed("status_200 >= 99").is_some());
    }

    #[test]
    fn a_bad_threshold_is_named_with_what_was_expected() {
        for bad in ["", "success", "success = 1", "speed >= 1", "p101 <= 1s", "p99 <= fast", "success >= nan", "é >= 1"]
        {
            let error = bad.parse::<Threshold>().unwrap_err();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("expected"), "{error}");
        }
    }
}
