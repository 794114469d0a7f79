//! Mode `observe`: counts calls by function and passes everything.
//!
//! A call is a TCP segment to the service address that begins with a complete request line; one that begins within a
//! segment (pipelining) is not seen.

use aya_ebpf::bindings::{xdp_action::XDP_PASS, xdp_md};
use dfaas_common::{
    address::AddressV4,
    http::Name,
    packet::{EthIpTcp, Segment, TCP_AT, is_vlan_tagged},
    route::NO_FUNCTION,
    verdict::Verdict,
};

use crate::{
    count, field, maps,
    packet::{Packet, Xdp},
    request::read_name,
    setting,
};

#[inline(always)]
pub(crate) fn run(ctx: *mut xdp_md) -> u32 {
    let x = Xdp::new(ctx);
    let verdict = match observe(&x) {
        Ok(function) => {
            count::function(function, field!(seen));
            Verdict::Observed
        }
        Err(verdict) => verdict,
    };
    count::verdict(verdict.code(), NO_FUNCTION, AddressV4::UNSPECIFIED);
    XDP_PASS
}

#[inline(always)]
fn observe(x: &Xdp) -> Result<u32, Verdict> {
    let frame: &EthIpTcp = x.get(0).ok_or(Verdict::NotSteered)?;
    if is_vlan_tagged(frame.eth.ethertype.get()) {
        return Err(Verdict::VlanTagged);
    }
    if frame.ip.receiver() != setting!(service_address) {
        return Err(Verdict::NotSteered);
    }
    let s = Segment::parse(frame, x.len())?;
    if s.destination_port != setting!(service_port) || !s.carries_data() {
        return Err(Verdict::NotSteered);
    }
    let mut name = Name::default();
    if read_name(x, TCP_AT as u32 + s.header_len, s.payload_len, &mut name) == 0 {
        return Err(Verdict::NotACall);
    }
    maps::route(&name).map(|route| route.function).ok_or(Verdict::UnknownFunction)
}
