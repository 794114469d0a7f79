//! Durations as Go writes them: in settings, command lines, labels of functions, and results of vegeta.

use std::time::Duration;

const UNITS: [(&str, f64); 7] =
    [("ns", 1e-9), ("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];

/// A sum of numbers with units, as `time.ParseDuration` of Go takes it: `500ms`, `1m30s`, `1.5h`. No sign.
///
/// `None` if it is something else, or more than a [`Duration`] can hold.
pub fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, next) = after.split_at(after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len()));
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
        seconds += number.parse::<f64>().ok()? * size;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Like [`parse`], and a plain number is seconds: `30`, `2.5`.
pub fn parse_or_seconds(text: &str) -> Option<Duration> {
    let plain = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    plain.or_else(|| parse(text))
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_in_go() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5000),
            ("0s", 0),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5s", 1500),
            ("1.5h", 5_400_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "5", "s", "5x", "-1s", "1s s", "1e3s", "1m30", "1..5s", "99999999999999999999h"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn plain_numbers_may_be_seconds() {
        assert_eq!(parse_or_seconds("2.5"), Some(Duration::from_millis(2500)));
        assert_eq!(parse_or_seconds("250ms"), Some(Duration::from_millis(250)));
        for bad in ["", "-1", "abc", "5 parsecs", "inf", "nan"] {
            assert_eq!(parse_or_seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_does() {
        let said = [0, 999, 1_500, 145_082_066, 1_000_000_000, 10_094_965_987, 90_000_000_000, 3_723_500_000_000]
            .map(|nanos| go(Duration::from_nanos(nanos)));
        let expected = ["0s", "999ns", "1.5µs", "145.082066ms", "1s", "10.094965987s", "1m30s", "1h2m3.5s"];
        assert_eq!(said, expected);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(micros in 0..=1_000_000_000_000_u64) {
            let duration = Duration::from_micros(micros);
            let back = parse(&go(duration)).unwrap();
            // Floating point: a billionth of the time may get lost.
            prop_assert!(back.abs_diff(duration) <= Duration::from_nanos(1 + micros / 1_000_000));
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in "[0-9.a-zµ]{0,12}") {
            let _ = parse(&text);
        }
    }
}
