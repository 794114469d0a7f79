//! From text to values. A wrong one is noted and replaced by something harmless, so that all are found in one go.

use std::{collections::BTreeMap, net::Ipv4Addr, str::FromStr, time::Duration};

use dfaas_base::duration;

use super::{
    InvalidConfig,
    keys::{KEYS, UNUSED},
    sources::Resolved,
};
use crate::name::{FunctionName, Host};

/// Something harmless to go on with after a wrong value.
pub(super) trait Placeholder {
    fn placeholder() -> Self;
}

macro_rules! placeholder {
    ($($t:ty = $value:expr),* $(,)?) => {$(
        impl Placeholder for $t {
            fn placeholder() -> Self {
                $value
            }
        }
    )*};
}

placeholder!(
    String = String::new(),
    std::path::PathBuf = Self::new(),
    Ipv4Addr = Ipv4Addr::UNSPECIFIED,
    std::net::SocketAddr = std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
    crate::name::Host = "invalid".parse().expect("a valid name"),
    crate::strategy::Strategy = Self::AllLocal,
);

pub(super) struct Reader<'a> {
    resolved: &'a Resolved,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(resolved: &'a Resolved) -> Self {
        Self { resolved, errors: Vec::new() }
    }

    pub(super) fn finish(self) -> Result<(), InvalidConfig> {
        if self.errors.is_empty() { Ok(()) } else { Err(InvalidConfig(self.errors)) }
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.resolved.text(name)
    }

    pub(super) fn wrong(&mut self, name: &str, why: impl std::fmt::Display) {
        let text = self.resolved.text(name);
        self.errors.push(format!("{name}={text:?} ({}): {why}", self.resolved.origin(name)));
    }

    fn expected(name: &str) -> &'static str {
        KEYS.iter().find(|key| key.name == name).map_or("a value", |key| key.value)
    }

    pub(super) fn parse<T: FromStr<Err: std::fmt::Display> + Placeholder>(&mut self, name: &str) -> T {
        self.parse_or(name, || None)
    }

    /// The setting, or what `fallback` finds for one that is not given.
    pub(super) fn parse_or<T: FromStr<Err: std::fmt::Display> + Placeholder>(
        &mut self,
        name: &str,
        fallback: impl FnOnce() -> Option<String>,
    ) -> T {
        let mut text = self.resolved.text(name).to_owned();
        if text.is_empty() {
            if let Some(found) = fallback() {
                text = found;
            } else {
                self.wrong(name, format!("not given, expected {}", Self::expected(name)));
                return T::placeholder();
            }
        }
        text.parse().unwrap_or_else(|e: T::Err| {
            self.wrong(name, format!("{e} (expected {})", Self::expected(name)));
            T::placeholder()
        })
    }

    pub(super) fn optional<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.resolved.text(name);
        if text.is_empty() {
            return None;
        }
        text.parse().map_err(|e| self.wrong(name, e)).ok()
    }

    /// `auto` is `None`.
    pub(super) fn auto<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        if self.resolved.text(name) == "auto" { None } else { self.optional(name) }
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let text = self.resolved.text(name);
        choices.iter().find(|c| c.0 == text).map_or_else(
            || {
                self.wrong(name, format!("expected {}", Self::expected(name)));
                choices[0].1
            },
            |c| c.1,
        )
    }

    /// The original's syntax; an empty text is false.
    pub(super) fn bool(&mut self, name: &str) -> bool {
        match self.resolved.text(name) {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
            "0" | "f" | "F" | "FALSE" | "false" | "False" | "" => false,
            _ => {
                self.wrong(name, "expected true or false");
                false
            }
        }
    }

    pub(super) fn port(&mut self, name: &str) -> u16 {
        match self.resolved.text(name).parse() {
            Ok(port) if port != 0 => port,
            _ => {
                self.wrong(name, "expected a port from 1 to 65535");
                1
            }
        }
    }

    /// A finite number above 0.
    pub(super) fn positive(&mut self, name: &str) -> f64 {
        match self.resolved.text(name).parse() {
            Ok(number) if f64::is_finite(number) && number > 0.0 => number,
            _ => {
                self.wrong(name, "expected a number above 0");
                1.0
            }
        }
    }

    /// The syntax of settings that have no effect here.
    pub(super) fn unused(&mut self) {
        for key in KEYS.iter().filter(|key| key.help == UNUSED && !self.resolved.text(key.name).is_empty()) {
            match key.value {
                "PORT" => _ = self.port(key.name),
                "DURATION" => _ = self.duration(key.name, Duration::ZERO),
                "HOST" => _ = self.optional::<Host>(key.name),
                _ => {}
            }
        }
    }

    pub(super) fn whole(&mut self, name: &str, least: u32) -> u32 {
        match self.resolved.text(name).parse() {
            Ok(number) if number >= least => number,
            _ => {
                self.wrong(name, format!("expected a whole number of at least {least}"));
                least
            }
        }
    }

    pub(super) fn duration(&mut self, name: &str, least: Duration) -> Duration {
        match duration::parse(self.resolved.text(name)) {
            Some(duration) if duration >= least => duration,
            Some(_) => {
                self.wrong(name, format!("expected at least {least:?}"));
                least
            }
            None => {
                self.wrong(name, "expected a duration such as 500ms, 5s or 1m30s");
                least
            }
        }
    }

    /// Parts between commas, trimmed, empty ones left out.
    pub(super) fn list<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Vec<T> {
        let mut values = Vec::new();
        for part in self.resolved.text(name).split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.parse() {
                Ok(value) => values.push(value),
                Err(e) => self.wrong(name, format!("{part:?}: {e}")),
            }
        }
        values
    }

    pub(super) fn aliases(&mut self) -> (Ipv4Addr, u8) {
        let name = "AGENT_ALIAS_RANGE";
        let parsed = self.resolved.text(name).split_once('/').and_then(|(network, len)| {
            let (network, len) = (network.parse::<Ipv4Addr>().ok()?, len.parse::<u8>().ok()?);
            // 64 peers must fit.
            (8..=25).contains(&len).then_some((network, len))
        });
        parsed.unwrap_or_else(|| {
            self.wrong(name, "expected an IPv4 network of length 8 to 25, such as 169.254.64.0/18");
            (Ipv4Addr::UNSPECIFIED, 18)
        })
    }

    pub(super) fn rate_limits(&mut self) -> BTreeMap<FunctionName, u32> {
        let name = "AGENT_RATE_LIMITS";
        let mut limits = BTreeMap::new();
        for part in self.resolved.text(name).split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let parsed =
                part.split_once('=').and_then(|(f, rate)| Some((f.trim().parse().ok()?, rate.trim().parse().ok()?)));
            match parsed {
                Some((function, rate)) => {
                    limits.insert(function, rate);
                }
                None => self.wrong(name, format!("{part:?}: expected FUNCTION=RATE with a whole number")),
            }
        }
        limits
    }
}
