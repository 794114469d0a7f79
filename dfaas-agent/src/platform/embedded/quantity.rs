//! Amounts as deployments write them: `128Mi`, `1.5G`, `250m`.

const UNITS: [(&str, f64); 9] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("k", 1e3),
    ("K", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("m", 1e-3),
    ("", 1.0),
];

/// At least one; `None` if it is no amount.
pub(super) fn bytes(text: &str) -> Option<u64> {
    amount(text).filter(|bytes| *bytes >= 1.0).map(|bytes| bytes as u64)
}

/// At least one; `None` if it is no amount.
pub(super) fn thousandths(text: &str) -> Option<u64> {
    amount(text).map(|amount| (amount * 1e3).round()).filter(|part| *part >= 1.0).map(|part| part as u64)
}

fn amount(text: &str) -> Option<f64> {
    let (number, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = number.parse().ok().filter(|_| is_plain)?;
    Some(number * unit).filter(|amount| *amount < 1e18)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_decimal_and_binary_units() {
        for (text, want) in
            [("128Mi", 128 << 20), ("128M", 128_000_000), ("1.5Gi", 3 << 29), ("4096", 4096), ("2k", 2000)]
        {
            assert_eq!(bytes(text), Some(want), "{text}");
        }
        assert_eq!((thousandths("250m"), thousandths("0.5"), thousandths("2")), (Some(250), Some(500), Some(2000)));
        for text in ["", "Mi", "-1", "0", "1e9", "nan", "inf", "1 M", "99999999999G", "1..2"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
