//! The labels a function may carry for this project, and what happens to those nobody can read: the label
//! or the function is left out, counted, and named once in a warning.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::LeftOut;

pub(super) const MAX_RATE: &str = "dfaas.maxrate";
pub(super) const TIMEOUT: &str = "dfaas.timeout_ms";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLabel {
    label: &'static str,
    value: String,
    expected: &'static str,
}

impl fmt::Display for BadLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.value.chars().take(80).collect();
        write!(f, "label {} {shown:?}: expected {}", self.label, self.expected)
    }
}

impl std::error::Error for BadLabel {}

impl BadLabel {
    pub(super) fn not_a_text(label: &'static str, value: String) -> Self {
        Self { label, value, expected: "a text" }
    }
}

pub(super) fn max_rate(value: &str) -> Result<u32, BadLabel> {
    let expected = "calls per second as a whole number from 0 to 4294967295";
    number(value).ok_or_else(|| BadLabel { label: MAX_RATE, value: value.to_owned(), expected })
}

/// 0 is refused: HAProxy reads a time-out of 0 as none at all.
pub(super) fn timeout(value: &str) -> Result<Duration, BadLabel> {
    let expected = "milliseconds as a whole number from 1 to 4294967295";
    match number(value) {
        None | Some(0) => Err(BadLabel { label: TIMEOUT, value: value.to_owned(), expected }),
        Some(ms) => Ok(Duration::from_millis(ms.into())),
    }
}

/// Digits only; the standard parser would take a plus sign as well.
fn number(value: &str) -> Option<u32> {
    if value.bytes().all(|b| b.is_ascii_digit()) { value.parse().ok() } else { None }
}

/// Something left out of one reading of the functions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Complaint {
    /// The whole function is left out.
    Function(String),
    /// The function stays, without this label.
    Label(String),
}

/// Warns about a complaint when it appears, not at every reading after that.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    functions_left_out: AtomicU64,
    labels_ignored: AtomicU64,
    /// Those of the last reading, so its size is bounded by what one reading can hold.
    known: Mutex<BTreeSet<Complaint>>,
}

impl Complaints {
    /// Counts all, returns (and logs) the new ones.
    pub(super) fn report(&self, complaints: Vec<Complaint>) -> Vec<Complaint> {
        let now: BTreeSet<Complaint> = complaints.into_iter().collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<Complaint> = now.difference(&known).cloned().collect();
        for complaint in &now {
            match complaint {
                Complaint::Function(_) => self.functions_left_out.fetch_add(1, Relaxed),
                Complaint::Label(_) => self.labels_ignored.fetch_add(1, Relaxed),
            };
        }
        for complaint in &fresh {
            match complaint {
                Complaint::Function(text) => tracing::warn!("function left out: {text}"),
                Complaint::Label(text) => tracing::warn!("label ignored: {text}"),
            }
        }
        *known = now;
        fresh
    }

    pub(super) fn counters(&self) -> LeftOut {
        LeftOut {
            functions_left_out: self.functions_left_out.load(Relaxed),
            labels_ignored: self.labels_ignored.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_decimal_numbers_in_range_are_labels() {
        assert_eq!(max_rate("0"), Ok(0));
        assert_eq!(max_rate("4294967295"), Ok(u32::MAX));
        for bad in ["", "+1", "-1", "1.5", " 1", "4294967296", "many"] {
            assert!(max_rate(bad).is_err(), "{bad:?}");
        }
        assert_eq!(timeout("250"), Ok(Duration::from_millis(250)));
        assert!(timeout("0").is_err());
        assert_eq!(
            max_rate("many").unwrap_err().to_string(),
            r#"label dfaas.maxrate "many": expected calls per second as a whole number from 0 to 4294967295"#
        );
    }

    #[test]
    fn a_complaint_is_new_once_and_again_after_it_went_away() {
        let complaints = Complaints::default();
        let bad = || vec![Complaint::Label("a".to_owned()), Complaint::Function("b".to_owned())];
        assert_eq!(complaints.report(bad()).len(), 2);
        assert_eq!(complaints.report(bad()), []);
        assert_eq!(complaints.counters(), LeftOut { functions_left_out: 2, labels_ignored: 2 });
        complaints.report(Vec::new());
        assert_eq!(complaints.report(bad()).len(), 2);
    }
}
