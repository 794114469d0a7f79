//! What holds while no new value can be had: the last one for a while, then nothing. Pure; the clock is passed in.

use std::time::{Duration, Instant};

/// A value that is made anew now and then, and may fail to be.
#[derive(Clone, Debug)]
pub(crate) struct Fallback<T> {
    /// How long the last value may stand in.
    limit: Duration,
    last: Option<(Instant, T)>,
    /// Why the newest try gave nothing.
    failure: Option<String>,
}

/// What to go by.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing<'a, T> {
    /// The newest try succeeded.
    Fresh(&'a T),
    /// It did not: the value of `age` ago holds on.
    Last { value: &'a T, age: Duration, why: &'a str },
    /// Nothing that is young enough: everything is served locally.
    Nothing { why: &'a str },
}

impl<'a, T> Standing<'a, T> {
    pub(crate) fn value(&self) -> Option<&'a T> {
        match self {
            Self::Fresh(value) | Self::Last { value, .. } => Some(value),
            Self::Nothing { .. } => None,
        }
    }

    /// For metrics: a fixed word.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Fresh(_) => "fresh",
            Self::Last { .. } => "last",
            Self::Nothing { .. } => "nothing",
        }
    }

    /// For health; `None`: all is well.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Fresh(_) => None,
            Self::Last { age, why, .. } => Some(format!("the value of {:.1} s ago holds: {why}", age.as_secs_f64())),
            Self::Nothing { why } => Some(format!("all is served here: {why}")),
        }
    }
}

impl<T> Fallback<T> {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, last: None, failure: None }
    }

    /// Takes the outcome of a try.
    pub(crate) fn record(&mut self, now: Instant, outcome: Result<T, String>) {
        match outcome {
            Ok(value) => {
                self.last = Some((now, value));
                self.failure = None;
            }
            Err(why) => self.failure = Some(why),
        }
    }

    /// A value that nobody renewed in time is as old as if the tries had failed.
    pub(crate) fn standing(&self, now: Instant) -> Standing<'_, T> {
        let Some((made, value)) = &self.last else {
            return Standing::Nothing { why: self.failure.as_deref().unwrap_or("no value yet") };
        };
        let age = now.saturating_duration_since(*made);
        let why = self.failure.as_deref().unwrap_or("no new value came");
        match &self.failure {
            _ if age > self.limit => Standing::Nothing { why },
            Some(_) => Standing::Last { value, age, why },
            None => Standing::Fresh(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn the_last_value_holds_until_its_limit_and_not_longer() {
        let start = Instant::now();
        let mut fallback = Fallback::new(LIMIT);
        fallback.record(start, Ok(7));
        assert_eq!(fallback.standing(start), Standing::Fresh(&7));
        fallback.record(after(start, 1000), Err("no answer".to_owned()));
        let standing = fallback.standing(after(start, 1500));
        assert_eq!(standing, Standing::Last { value: &7, age: Duration::from_millis(1500), why: "no answer" });
        assert_eq!(standing.complaint().unwrap(), "the value of 1.5 s ago holds: no answer");
        assert_eq!(fallback.standing(after(start, 3000)).value(), Some(&7));
        let gone = fallback.standing(after(start, 3001));
        assert_eq!((gone.value(), gone.name()), (None, "nothing"));
        assert_eq!(gone.complaint().unwrap(), "all is served here: no answer");
    }

    #[test]
    fn a_success_ends_the_fall_back() {
        let start = Instant::now();
        let mut fallback = Fallback::<u8>::new(LIMIT);
        assert_eq!(fallback.standing(start), Standing::Nothing { why: "no value yet" });
        fallback.record(start, Err("no answer".to_owned()));
        assert_eq!(fallback.standing(start), Standing::Nothing { why: "no answer" });
        fallback.record(after(start, 10), Ok(1));
        assert_eq!(fallback.standing(after(start, 10)).complaint(), None);
    }

    #[test]
    fn a_value_that_nobody_renews_grows_old_too() {
        let start = Instant::now();
        let mut fallback = Fallback::new(LIMIT);
        fallback.record(start, Ok(1));
        assert_eq!(fallback.standing(after(start, 4000)), Standing::Nothing { why: "no new value came" });
        fallback.record(after(start, 5000), Ok(2));
        assert_eq!(fallback.standing(after(start, 4000)), Standing::Fresh(&2), "asked with an older time");
    }
}
