//! TC egress: what this node sends on a handed-off connection goes back through the node the client called.

use aya_ebpf::helpers as h;
use dfaas_common::{
    address::AddressV4,
    packet::{ETH_LEN, ETHERTYPE_IPV4, EthIpTcp, PROTOCOL_TCP},
    tunnel::{LATER, OUTER_LEN, outer},
    verdict::Verdict,
};

use crate::{
    maps,
    packet::{Packet, Skb},
    setting,
};

/// Offset of the source address.
const SOURCE_AT: u32 = ETH_LEN as u32 + 12;
/// `BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP`: super-packets are cut to
/// segments behind the tunnel header.
const ENCAPSULATION: u64 = 1 | 1 << 1 | 1 << 4;

/// `None`: nothing to do with us. Otherwise the TC action.
#[inline(always)]
pub(super) fn encapsulate(mut skb: Skb) -> Option<Result<i32, Verdict>> {
    let frame: &EthIpTcp = skb.get(0)?;
    let source = frame.ip.sender();
    if source.masked(setting!(alias_mask)) != setting!(alias_network)
        || frame.eth.ethertype.get() != ETHERTYPE_IPV4
        || frame.ip.version_ihl != 0x45
        || frame.ip.protocol != PROTOCOL_TCP
    {
        return None;
    }
    let spread = frame.tcp.destination.raw();
    let number = maps::peer_number(source)?;
    Some(through_tunnel(&mut skb, source, number, spread).ok_or(Verdict::ReturnFailed))
}

#[inline(always)]
fn through_tunnel(skb: &mut Skb, source: AddressV4, number: u32, spread: u16) -> Option<i32> {
    let peer = maps::peer(number)?;
    if peer.alias != source || peer.send.epoch == 0 {
        return None;
    }
    skb.replace_address(SOURCE_AT, source, peer.service)?;
    let len = skb.len() - ETH_LEN as u32;
    skb.grow(OUTER_LEN as i32, ENCAPSULATION)?;
    skb.pull((ETH_LEN + OUTER_LEN) as u32)?;
    *skb.get_mut(ETH_LEN)? =
        outer(setting!(tunnel_address), peer.tunnel, spread, len as u16, LATER, peer.send.epoch, peer.send.token);
    // SAFETY: no parameters: the next hop is looked up by the new destination.
    Some(unsafe { h::bpf_redirect_neigh(skb.ifindex(), core::ptr::null_mut(), 0, 0) } as i32)
}
