//! Durations and rates as people write them.

use std::time::Duration;

use dfaas_base::duration;

/// `500ms`, `1m30s`, or a plain number of seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    duration::parse_or_seconds(text).ok_or_else(|| {
        format!("{text:?} is not a duration, expected one such as 500ms, 30s or 1m30s, or a number of seconds")
    })
}

/// Requests per second: `50`, `50/s`, `3000/m`, `10/1s`.
pub fn rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("{text:?} is not a rate, expected requests per second, such as 50, 50/s or 3000/m");
    let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
    let unit = if unit.starts_with(|c: char| c.is_ascii_digit()) { unit.to_owned() } else { format!("1{unit}") };
    let per = duration::parse(&unit).filter(|per| !per.is_zero()).ok_or_else(wrong)?;
    let rate = count.parse::<f64>().map_err(|_| wrong())? / per.as_secs_f64();
    if rate.is_finite() && rate >= 0.0 { Ok(rate) } else { Err(wrong()) }
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
}
