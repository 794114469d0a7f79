//! Readers: from the text of a setting to its value, or why it is none.

use std::{collections::BTreeMap, fmt::Display, net::Ipv4Addr, path::PathBuf, str::FromStr, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};

use dfaas_common::settings::HintWay;

use super::kinds::{ForecasterKind, ProxyKind};
use crate::{
    forecast::NodeType,
    mode::{FirewallPolicy, XdpPlace},
    name::FunctionName,
    platform::{self, PlatformKind},
    strategy::rl_agent::Pace,
};

type Read<T> = Result<T, String>;

fn given(text: &str) -> Read<&str> {
    if text.is_empty() { Err("not given".to_owned()) } else { Ok(text) }
}

/// For a text that others read, and only if they need it.
#[allow(clippy::unnecessary_wraps, reason = "a reader like the others")]
pub(super) fn anything(text: &str) -> Read<String> {
    Ok(text.to_owned())
}

pub(super) fn text(text: &str) -> Read<String> {
    given(text).map(str::to_owned)
}

pub(super) fn path(text: &str) -> Read<PathBuf> {
    given(text).map(PathBuf::from)
}

pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Read<T> {
    given(text)?.parse().map_err(|e: T::Err| e.to_string())
}

/// `None` if it is empty.
pub(super) fn optional<T: FromStr<Err: Display>>(text: &str) -> Read<Option<T>> {
    if text.is_empty() { Ok(None) } else { parsed(text).map(Some) }
}

/// `None` if it is `auto`.
pub(super) fn auto<T: FromStr<Err: Display>>(text: &str) -> Read<Option<T>> {
    if text == "auto" { Ok(None) } else { parsed(text).map(Some) }
}

/// The original's syntax; an empty text is false.
pub(super) fn boolean(text: &str) -> Read<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" | "" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub(super) fn port(text: &str) -> Read<u16> {
    text.parse().ok().filter(|port| *port != 0).ok_or_else(|| "expected a port from 1 to 65535".to_owned())
}

pub(super) fn optional_port(text: &str) -> Read<Option<u16>> {
    if text.is_empty() { Ok(None) } else { port(text).map(Some) }
}

/// A finite number above 0.
pub(super) fn positive(text: &str) -> Read<f64> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0".to_owned())
}

pub(super) fn whole<const LEAST: u32>(text: &str) -> Read<u32> {
    let number = text.parse().ok().filter(|number| *number >= LEAST);
    number.ok_or_else(|| format!("expected a whole number of at least {LEAST}"))
}

pub(super) fn duration<const LEAST_MS: u64>(text: &str) -> Read<Duration> {
    let duration = dfaas_base::duration::parse(text).ok_or("expected a duration such as 500ms, 5s or 1m30s")?;
    let least = Duration::from_millis(LEAST_MS);
    if duration < least { Err(format!("expected at least {}", dfaas_base::duration::go(least))) } else { Ok(duration) }
}

pub(super) fn optional_duration(text: &str) -> Read<Option<Duration>> {
    if text.is_empty() { Ok(None) } else { duration::<0>(text).map(Some) }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Parts between commas, trimmed, empty ones left out.
pub(super) fn list<T: FromStr<Err: Display>>(text: &str) -> Read<Vec<T>> {
    parts(text).map(|part| part.parse().map_err(|e| format!("{part:?}: {e}"))).collect()
}

/// Addresses that say whom one meets there.
pub(super) fn nodes(text: &str) -> Read<Vec<Multiaddr>> {
    parts(text).map(node).collect()
}

pub(super) fn node(text: &str) -> Read<Multiaddr> {
    let address: Multiaddr = text.parse().map_err(|e| format!("{text:?}: {e}"))?;
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        Ok(address)
    } else {
        Err(format!("{address}: expected it to end in /p2p/<node id>"))
    }
}

/// Address and length; room for 64 peers.
pub(super) fn network(text: &str) -> Read<(Ipv4Addr, u8)> {
    let parsed = text.split_once('/').and_then(|(network, len)| {
        let (network, len) = (network.parse::<Ipv4Addr>().ok()?, len.parse::<u8>().ok()?);
        (8..=25).contains(&len).then_some((network, len))
    });
    parsed.ok_or_else(|| "expected an IPv4 network of length 8 to 25, such as 169.254.64.0/18".to_owned())
}

pub(super) fn rate_limits(text: &str) -> Read<BTreeMap<FunctionName, u32>> {
    let limit = |part: &str| {
        let (function, rate) = part.split_once('=')?;
        Some((function.trim().parse().ok()?, rate.trim().parse().ok()?))
    };
    let wrong = |part| format!("{part:?}: expected FUNCTION=RATE with a whole number");
    parts(text).map(|part| limit(part).ok_or_else(|| wrong(part))).collect()
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Read<T> {
    let names = || choices.iter().map(|choice| choice.0).collect::<Vec<_>>().join(", ");
    choices
        .iter()
        .find(|choice| choice.0 == text)
        .map(|choice| choice.1)
        .ok_or_else(|| format!("expected one of {}", names()))
}

pub(super) fn xdp_place(text: &str) -> Read<Option<XdpPlace>> {
    one_of(text, &[("auto", None), ("native", Some(XdpPlace::Native)), ("generic", Some(XdpPlace::Generic))])
}

pub(super) fn proxy_kind(text: &str) -> Read<ProxyKind> {
    one_of(text, &[("managed", ProxyKind::Managed), ("external", ProxyKind::External)])
}

pub(super) fn firewall(text: &str) -> Read<FirewallPolicy> {
    use FirewallPolicy::{Check, Manage, Off};
    one_of(text, &[Manage, Check, Off].map(|policy| (policy.name(), policy)))
}

pub(super) fn hint_way(text: &str) -> Read<HintWay> {
    one_of(text, &[("auto", HintWay::Auto), ("metadata", HintWay::Metadata), ("source", HintWay::Source)])
}

pub(super) fn platform_kind(text: &str) -> Read<&'static PlatformKind> {
    one_of(text, &platform::KINDS.map(|kind| (kind.name, kind)))
}

pub(super) fn forecaster_kind(text: &str) -> Read<ForecasterKind> {
    use ForecasterKind::{Measured, Model, Remote};
    one_of(text, &[("measured", Measured), ("model", Model), ("remote", Remote)])
}

pub(super) fn node_type(text: &str) -> Read<NodeType> {
    one_of(text, &[("0", NodeType::Heavy), ("1", NodeType::Mid), ("2", NodeType::Light)])
}

pub(super) fn pace(text: &str) -> Read<Pace> {
    one_of(text, &[("periodic", Pace::Periodic), ("stages", Pace::Stages)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_given_only_where_it_may_be() {
        assert!(text("").is_err() && path("").is_err() && parsed::<Ipv4Addr>("").is_err());
        assert_eq!((optional::<u16>(""), optional_port(""), boolean("")), (Ok(None), Ok(None), Ok(false)));
    }

    #[test]
    fn bounds_are_kept_and_named() {
        assert_eq!(duration::<200>("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration::<200>("199ms"), Err("expected at least 200ms".to_owned()));
        assert!(whole::<10>("9").unwrap_err().contains("at least 10"));
        assert!(["0", "-1", "inf", "nan", ""].iter().all(|bad| positive(bad).is_err()));
        assert!(["0", "65536", "-1", ""].iter().all(|bad| port(bad).is_err()));
        assert!(["10.0.0.0/7", "10.0.0.0/26", "10.0.0.0", "::/16"].iter().all(|bad| network(bad).is_err()));
    }
}
