//! Questions and answers of multicast DNS as the original's nodes write them: service `<rendezvous>.local`, one text
//! `dnsaddr=<address>/p2p/<peer>` per address.

use std::net::IpAddr;

use anyhow::Context;
use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, Query},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR, SRV, TXT},
    },
};
use libp2p::Multiaddr;

/// Means nothing: the texts say where a node listens.
const DUMMY_PORT: u16 = 4001;
const TTL_SECONDS: u32 = 4500;
const HOST_TTL_SECONDS: u32 = 120;
/// Texts taken from one answer.
const MAX_TEXTS: usize = 64;
/// Of a character string in DNS.
const MAX_TEXT_BYTES: usize = 255;

/// The names of this node's answers.
#[derive(Debug)]
pub(super) struct Service {
    /// Of all nodes that belong together.
    shared: Name,
    instance: Name,
    /// The original's nodes take no answer without the address of a host.
    host: Name,
}

/// What a packet means to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// Somebody looks for nodes; the number of the question.
    Question(u16),
    /// Somebody says where nodes are.
    Nodes(Vec<Multiaddr>),
}

impl Service {
    /// `instance` is a label that no other node has.
    pub(super) fn new(rendezvous: &str, instance: &str) -> anyhow::Result<Self> {
        // Label by label, which keeps capital letters: the original's nodes tell them from small ones.
        let name = |text: String| -> anyhow::Result<Name> {
            let mut name = Name::from_labels(text.split('.').map(str::as_bytes))
                .with_context(|| format!("{text:?} is no name for mDNS, expected labels of 1 to 63 characters"))?;
            name.set_fqdn(true);
            Ok(name)
        };
        Ok(Self {
            shared: name(format!("{rendezvous}.local"))?,
            instance: name(format!("{instance}.{rendezvous}.local"))?,
            host: name(format!("{instance}.local"))?,
        })
    }

    pub(super) fn question(&self) -> anyhow::Result<Vec<u8>> {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.add_query(Query::query(self.shared.clone(), RecordType::PTR));
        Ok(message.to_vec()?)
    }

    /// `question`: its number, where the answer goes to the one who asked alone, who then wants to see it again.
    pub(super) fn answer(&self, addresses: &[Multiaddr], question: Option<u16>) -> anyhow::Result<Vec<u8>> {
        let mut message = Message::new(question.unwrap_or(0), MessageType::Response, OpCode::Query);
        message.metadata.authoritative = true;
        if question.is_some() {
            message.add_query(Query::query(self.shared.clone(), RecordType::PTR));
        }
        let record = |name: &Name, data| Record::from_rdata(name.clone(), TTL_SECONDS, data);
        message.add_answer(record(&self.shared, RData::PTR(PTR(self.instance.clone()))));
        message.add_additional(record(&self.instance, RData::SRV(SRV::new(0, 0, DUMMY_PORT, self.host.clone()))));
        let texts = addresses.iter().map(|address| format!("dnsaddr={address}"));
        let texts = texts.filter(|text| text.len() <= MAX_TEXT_BYTES).take(MAX_TEXTS).collect();
        message.add_additional(record(&self.instance, RData::TXT(TXT::new(texts))));
        let mut ips: Vec<IpAddr> = addresses.iter().filter_map(crate::p2p::address::ip).collect();
        ips.sort_unstable();
        ips.dedup();
        for ip in ips {
            let data = match ip {
                IpAddr::V4(ip) => RData::A(A(ip)),
                IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
            };
            message.add_additional(Record::from_rdata(self.host.clone(), HOST_TTL_SECONDS, data));
        }
        Ok(message.to_vec()?)
    }

    /// Anything that is not understood is nothing: other programs speak here too.
    pub(super) fn hear(&self, packet: &[u8]) -> Heard {
        let Ok(message) = Message::from_vec(packet) else { return Heard::Nothing };
        if message.metadata.message_type == MessageType::Query {
            let asks_us = |query: &Query| {
                is_same(query.name(), &self.shared) && matches!(query.query_type(), RecordType::PTR | RecordType::ANY)
            };
            let asked = message.queries.iter().any(asks_us);
            return if asked { Heard::Question(message.metadata.id) } else { Heard::Nothing };
        }
        let nodes: Vec<Multiaddr> =
            message.all_sections().flat_map(|record| self.texts(record)).take(MAX_TEXTS).collect();
        if nodes.is_empty() { Heard::Nothing } else { Heard::Nodes(nodes) }
    }

    /// Addresses in a record of another node of this service that is not being taken back.
    fn texts<'a>(&self, record: &'a Record) -> impl Iterator<Item = Multiaddr> + use<'a> {
        let is_anothers = is_same(&record.name.base_name(), &self.shared) && !is_same(&record.name, &self.instance);
        let texts = match &record.data {
            RData::TXT(texts) if is_anothers && record.ttl > 0 => &texts.txt_data[..],
            _ => &[],
        };
        texts.iter().filter_map(|text| str::from_utf8(text).ok()?.strip_prefix("dnsaddr=")?.parse().ok())
    }
}

fn is_same(one: &Name, other: &Name) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

#[cfg(test)]
mod tests;
