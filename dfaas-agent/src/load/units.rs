//! Durations and rates as people write them, and durations as Go prints them.

use std::time::Duration;

use crate::config::parse_duration;

/// `500ms`, `1m30s`, or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    let number = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    number.or_else(|| parse_duration(text)).ok_or_else(|| {
        format!("{text:?} is not a duration, expected one such as 500ms, 30s or 1m30s, or a number of seconds")
    })
}

/// Requests per second: `50`, `50/s`, `3000/m`, `10/1s`.
pub fn rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is not a rate, expected requests per second, such as 50, 50/s or 3000/m");
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let unit = if unit.starts_with(|c: char| c.is_ascii_digit()) { unit.to_owned() } else { format!("1{unit}") };
    let per = parse_duration(&unit).filter(|per| !per.is_zero()).ok_or_else(wrong)?;
    let rate = count.parse::<f64>().map_err(|_| wrong())? / per.as_secs_f64();
    if rate.is_finite() && rate >= 0.0 { Ok(rate) } else { Err(wrong()) }
}

/// As Go prints a duration: `1m30s`, `12.5ms`, `318µs`.
pub fn go(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |unit: u32| {
        let text = format!("{:.9}", nanos as f64 / f64::from(unit));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(1_000_000)),
        _ => {
            let (minutes, rest) = (duration.as_secs() / 60, nanos % 60_000_000_000);
            let seconds = format!("{}.{:09}", rest / 1_000_000_000, rest % 1_000_000_000);
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_may_be_plain_seconds() {
        assert_eq!(duration("2.5"), Ok(Duration::from_millis(2_500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "-1", "abc", "5 parsecs", "inf", "nan"] {
            assert!(duration(bad).unwrap_err().contains("expected"), "{bad}");
        }
    }

    #[test]
    fn rates_may_be_by_any_time() {
        assert!(["50", "50/s", "3000/m", "5/100ms"].iter().all(|text| rate(text) == Ok(50.0)));
        for bad in ["", "x", "5/", "5/0s", "-1", "inf", "1/x"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        let said = [0, 999, 1_500, 145_082_066, 1_000_000_000, 10_094_965_987, 90_000_000_000, 3_723_500_000_000]
            .map(|nanos| go(Duration::from_nanos(nanos)));
        let expected = ["0s", "999ns", "1.5µs", "145.082066ms", "1s", "10.094965987s", "1m30s", "1h2m3.5s"];
        assert_eq!(said, expected);
    }
}
