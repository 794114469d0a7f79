//! Into the tunnel, and out of it.

use dfaas_common::{
    hint::Hint,
    packet::{ETH_LEN, Eth, IpTcp, Mac, Wire},
    tunnel::{FIRST, LATER, OUTER_LEN, Outer, outer},
    verdict::Verdict,
};

use super::{Plan, seal};
use crate::{
    maps,
    packet::{Packet, Xdp},
    setting,
};

/// Offset of the inner IPv4 header.
pub(super) const INNER_AT: u32 = ETH_LEN as u32 + OUTER_LEN as u32;

/// A frame's headers up to the inner packet.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct OuterFrame {
    pub(super) eth: Eth,
    pub(super) outer: Outer,
}
// SAFETY: byte-wise parts, no padding.
unsafe impl Wire for OuterFrame {}

/// A frame's headers up to the inner TCP header.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Tunnelled {
    pub(super) eth: Eth,
    pub(super) outer: Outer,
    pub(super) inner: IpTcp,
}
// SAFETY: as above.
unsafe impl Wire for Tunnelled {}

/// Sends the packet to a peer.
#[inline(never)]
pub(super) fn encapsulate(x: Xdp, peer: u32, first: bool, marks: u8) -> u32 {
    match try_encapsulate(x, peer, first, marks) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

#[inline(always)]
fn try_encapsulate(mut x: Xdp, number: u32, first: bool, marks: u8) -> Result<(), Verdict> {
    let peer = maps::peer(number).ok_or(Verdict::PeerLost)?;
    let kind = if first { FIRST } else { LATER };
    let inner: &IpTcp = x.get(ETH_LEN).ok_or(Verdict::LoadFailed)?;
    // Not the frame's length: short frames are padded.
    let len = inner.ip.total_len.get();
    let spread = inner.tcp.source.raw();
    let proof = seal::proof(x, ETH_LEN as u32, len.into(), &peer.send, kind, marks).ok_or(Verdict::LoadFailed)?;
    x.adjust_head(-(OUTER_LEN as i32)).ok_or(Verdict::NoRoom)?;
    let source = Mac::new(x.get::<Eth>(OUTER_LEN).ok_or(Verdict::LoadFailed)?.destination);
    let frame: &mut OuterFrame = x.get_mut(0).ok_or(Verdict::LoadFailed)?;
    frame.eth.set(Mac::new(peer.mac), source);
    frame.outer = outer(setting!(tunnel_address), peer.tunnel, spread, len, kind, peer.send.epoch, proof);
    frame.outer.geneve.marks = marks;
    Ok(())
}

/// Gives a connection that one peer has sent back to the next.
#[inline(never)]
pub(super) fn hand_on(x: Xdp, peer: u32, marks: u8) -> u32 {
    match try_hand_on(x, peer, marks) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

#[inline(always)]
fn try_hand_on(mut x: Xdp, number: u32, marks: u8) -> Result<(), Verdict> {
    let peer = maps::peer(number).ok_or(Verdict::PeerLost)?;
    let inner: &IpTcp = x.get(INNER_AT as usize).ok_or(Verdict::LoadFailed)?;
    let (len, spread) = (inner.ip.total_len.get(), inner.tcp.source.raw());
    let proof = seal::proof(x, INNER_AT, len.into(), &peer.send, FIRST, marks).ok_or(Verdict::LoadFailed)?;
    let frame: &mut OuterFrame = x.get_mut(0).ok_or(Verdict::LoadFailed)?;
    let source = Mac::new(frame.eth.destination);
    frame.eth.set(Mac::new(peer.mac), source);
    frame.outer = outer(setting!(tunnel_address), peer.tunnel, spread, len, FIRST, peer.send.epoch, proof);
    frame.outer.geneve.marks = marks;
    Ok(())
}

/// Takes the tunnel off; the link-layer addresses stay.
#[inline(always)]
fn take_off(x: &mut Xdp, destination: Option<Mac>) -> Result<(), Verdict> {
    let eth: &Eth = x.get(0).ok_or(Verdict::LoadFailed)?;
    // Towards a client, the frame leaves from where the tunnel came in.
    let (to, from) = match destination {
        Some(client) => (client, Mac::new(eth.destination)),
        None => (Mac::new(eth.destination), Mac::new(eth.source)),
    };
    x.adjust_head(OUTER_LEN as i32).ok_or(Verdict::NoRoom)?;
    x.get_mut::<Eth>(0).ok_or(Verdict::LoadFailed)?.set(to, from);
    Ok(())
}

/// Inner packet to the stack, with a hint for TC.
#[inline(never)]
pub(super) fn pass_inner(mut x: Xdp, hint: Hint) -> u32 {
    if let Err(verdict) = take_off(&mut x, None) {
        return verdict.code();
    }
    if x.set_hint(hint) { 0 } else { Verdict::WithoutHint.code() }
}

/// Inner packet to the client.
#[inline(never)]
pub(super) fn return_inner(mut x: Xdp, plan: &Plan) -> u32 {
    match take_off(&mut x, Some(plan.mac)) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

/// The tunnel off, and the frame as the client sent it, so that an answer made of it goes there.
#[inline(never)]
pub(super) fn uncover(mut x: Xdp, plan: &Plan) -> u32 {
    match try_uncover(&mut x, plan.mac) {
        Ok(()) => 0,
        Err(verdict) => verdict.code(),
    }
}

#[inline(always)]
fn try_uncover(x: &mut Xdp, client: Mac) -> Result<(), Verdict> {
    take_off(x, None)?;
    x.get_mut::<Eth>(0).ok_or(Verdict::LoadFailed)?.source = client.bytes();
    Ok(())
}
