//! The messages as they are on the wire, read as tolerantly as Go's decoder does: field names in any case,
//! `null` and missing fields are zero values, unknown fields are skipped.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{BadMessage, Load, ProxyAddress};
use crate::p2p::shown;

pub(super) fn object<T: Fields>(bytes: &[u8]) -> Result<T, BadMessage> {
    serde_json::from_slice::<Object<T>>(bytes)
        .map(|object| object.0)
        .map_err(|error| BadMessage::Malformed(shown(&error.to_string())))
}

/// The fields of one JSON object.
pub(super) trait Fields: Default {
    /// Takes the value of the next field if its name is known; false: it is not, skip it.
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error>;
}

#[derive(Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Fields> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Fields> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = T::default();
                while let Some(name) = map.next_key::<String>()? {
                    if !fields.take(&name, &mut map)? {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Reads the next value into `slot`; `null` leaves it alone.
fn set<'de, A: MapAccess<'de>, T: Deserialize<'de>>(slot: &mut T, map: &mut A) -> Result<bool, A::Error> {
    if let Some(value) = map.next_value()? {
        *slot = value;
    }
    Ok(true)
}

#[derive(Default)]
pub(super) struct Kind(pub(super) String);

impl Fields for Kind {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name.eq_ignore_ascii_case("MsgType") { set(&mut self.0, map) } else { Ok(false) }
    }
}

#[derive(Default)]
pub(super) struct Text(pub(super) String);

impl Fields for Text {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name.eq_ignore_ascii_case("Text") { set(&mut self.0, map) } else { Ok(false) }
    }
}

#[derive(Default)]
pub(super) struct Proxy {
    host: String,
    port: u64,
}

impl Proxy {
    pub(super) fn check(self) -> Result<ProxyAddress, BadMessage> {
        let port = u16::try_from(self.port).ok().filter(|port| *port > 0).ok_or(BadMessage::Port(self.port))?;
        Ok(ProxyAddress { host: self.host.try_into().map_err(BadMessage::Host)?, port })
    }
}

impl Fields for Proxy {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            _ if name.eq_ignore_ascii_case("HAProxyHost") => set(&mut self.host, map),
            _ if name.eq_ignore_ascii_case("HAProxyPort") => set(&mut self.port, map),
            _ => Ok(false),
        }
    }
}

type RawLimits = BTreeMap<String, Option<BTreeMap<String, Option<f64>>>>;

#[derive(Default)]
pub(super) struct Recalc {
    pub(super) proxy: Proxy,
    pub(super) limits: RawLimits,
}

impl Fields for Recalc {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if name.eq_ignore_ascii_case("FuncLimits") { set(&mut self.limits, map) } else { self.proxy.take(name, map) }
    }
}

/// `nodeinfoNMS`, and `nodeinfoStatic`, which has some of its fields.
#[derive(Default)]
pub(super) struct Info {
    pub(super) proxy: Proxy,
    pub(super) node_type: i64,
    pub(super) max_values: BTreeMap<String, Option<f64>>,
    pub(super) functions: Vec<Option<String>>,
}

impl Info {
    pub(super) fn proxy(&self) -> Result<ProxyAddress, BadMessage> {
        Proxy { host: self.proxy.host.clone(), port: self.proxy.port }.check()
    }
}

impl Fields for Info {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            _ if name.eq_ignore_ascii_case("NodeType") => set(&mut self.node_type, map),
            _ if name.eq_ignore_ascii_case("MaxValues") => set(&mut self.max_values, map),
            _ if name.eq_ignore_ascii_case("Functions") => set(&mut self.functions, map),
            _ => self.proxy.take(name, map),
        }
    }
}

#[derive(Default)]
pub(super) struct Margin {
    pub(super) margin: f64,
    pub(super) load: Object<Load>,
}

impl Fields for Margin {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            _ if name.eq_ignore_ascii_case("Margin") => set(&mut self.margin, map),
            _ if name.eq_ignore_ascii_case("Load") => set(&mut self.load, map),
            _ => Ok(false),
        }
    }
}

impl Fields for Load {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        match name {
            _ if name.eq_ignore_ascii_case("RateHighUsage") => set(&mut self.high, map),
            _ if name.eq_ignore_ascii_case("RateLowUsage") => set(&mut self.low, map),
            _ if name.eq_ignore_ascii_case("RateMediumUsage") => set(&mut self.medium, map),
            _ => Ok(false),
        }
    }
}
