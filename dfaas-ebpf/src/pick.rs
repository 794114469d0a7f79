//! Which target takes a call.

use aya_ebpf::helpers as h;
use dfaas_common::{
    flow::{Listener, Target},
    http::Name,
    limit::{self, Limit},
    peer::MAX_PEERS,
    route::{Buckets, LOCAL_FIRST, NO_FUNCTION, Route, SLOT_LOCAL, SLOT_PROXY, SLOT_REFUSE},
    settings::ANSWER_BUSY,
};

use crate::{atomic, maps};

/// Turns tried before a call is refused. Slots are interleaved, so this passes over several full peers.
const MAX_TURNS: u32 = 8;
/// No peer is left out.
pub(crate) const NOBODY: u32 = NOT_HERE - 1;
/// Beside the number of the peer that is left out: this node is left out too.
pub(crate) const NOT_HERE: u32 = 1 << 31;

/// The outcome of [`pick`].
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Picked {
    /// Index of the function, or [`NO_FUNCTION`] if it has no table.
    pub(crate) function: u32,
    pub(crate) target: Target,
}

impl Picked {
    /// HAProxy's to steer: the call may be of a function that is at its limit here, which the listener for placed
    /// connections would not ask about.
    pub(crate) const BY_PROXY: Self = Self { function: NO_FUNCTION, target: Target::Local(Listener::Proxy) };
}

/// Chooses by the function's table; peer `without` is left out.
#[inline(always)]
pub(crate) fn pick(name: &Name, without: u32) -> Picked {
    let mut picked = Picked::BY_PROXY;
    pick_target(name, without, &mut picked);
    picked
}

/// A function of its own that the verifier checks once and alone.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn pick_target(name: *const Name, without: u32, out: *mut Picked) -> i32 {
    if name.is_null() || out.is_null() {
        return -1;
    }
    // SAFETY: not null, and sized by the verifier from the types.
    if let Some(picked) = choose(unsafe { &*name }, without) {
        // SAFETY: as above.
        unsafe { *out = picked };
        return 1;
    }
    0
}

#[inline(always)]
fn choose(name: &Name, without: u32) -> Option<Picked> {
    let route = maps::route(name)?;
    let buckets = maps::buckets(route.function)?;
    let picked = |target| Some(Picked { function: route.function, target });
    // SAFETY: no arguments.
    let now = unsafe { h::bpf_ktime_get_coarse_ns() };
    let (here, without) = (without & NOT_HERE == 0, without & !NOT_HERE);
    if here
        && route.shape == LOCAL_FIRST
        && route.deployed != 0
        && take_local(route, buckets, now, route.local.burst_ns)
    {
        return picked(Target::Local(Listener::Placed));
    }
    // SAFETY: an aligned word in a map value.
    let turn = unsafe { atomic::fetch_add(&raw mut (*buckets).turn, 1) } as u32;
    for i in 0..MAX_TURNS {
        match route.slots[turn.wrapping_add(i) as u8 as usize] {
            SLOT_REFUSE => break,
            // HAProxy knows the limits of those peers.
            SLOT_PROXY if here => return picked(Target::Local(Listener::Proxy)),
            SLOT_PROXY => {}
            SLOT_LOCAL => {
                if here && take_local(route, buckets, now, route.local.burst_ns) {
                    return picked(Target::Local(Listener::Placed));
                }
            }
            slot => {
                let number = u32::from(slot) & (MAX_PEERS as u32 - 1);
                if number != without && peer_takes(route, buckets, number, now) {
                    return picked(Target::Peer(number));
                }
            }
        }
    }
    picked(Target::Refused(ANSWER_BUSY))
}

/// Takes a token of what this node may serve; `ahead_ns` is the part of the burst that this call may use.
#[inline(always)]
pub(crate) fn take_local(route: &Route, buckets: *mut Buckets, now_ns: u64, ahead_ns: u64) -> bool {
    // SAFETY: a live map value; only the field's address is taken.
    take(unsafe { &raw mut (*buckets).local_tat_ns }, now_ns, route.local, ahead_ns)
}

/// Takes a token of what a peer grants us, if it takes calls at all.
#[inline(always)]
fn peer_takes(route: &Route, buckets: *mut Buckets, number: u32, now_ns: u64) -> bool {
    let index = number as usize & (MAX_PEERS - 1);
    // SAFETY: the index is masked to the array; only the address is taken.
    let tat = unsafe { (&raw mut (*buckets).out_tat_ns).cast::<u64>().add(index) };
    let granted = Limit::sharing(route.out_interval_ns[index], route.out_burst_ns);
    maps::peer(number).is_some_and(|peer| peer.takes_calls(now_ns)) && take(tat, now_ns, granted, granted.burst_ns)
}

/// Takes a token; `ahead_ns` is the part of the burst that this call may use.
#[inline(always)]
pub(crate) fn take(tat: *mut u64, now_ns: u64, limit: Limit, ahead_ns: u64) -> bool {
    match limit.interval_ns {
        limit::OPEN => true,
        limit::CLOSED => false,
        interval_ns => take_token(tat, now_ns, interval_ns, limit.burst_ns, ahead_ns) != 0,
    }
}

/// Without a lock: three lost races in a row admit a call that was within the limit, rather one too many than a wrong
/// refusal. A function of its own that the verifier checks once and alone.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn take_token(tat: *mut u64, now_ns: u64, interval_ns: u64, burst_ns: u64, ahead_ns: u64) -> u32 {
    if tat.is_null() {
        return 0;
    }
    let limit = Limit { interval_ns, burst_ns };
    // SAFETY: an aligned word in a map value.
    let mut old = unsafe { tat.read_volatile() };
    let mut admitted = 0;
    for _ in 0..3 {
        let new = match limit::admit(old, now_ns, limit, ahead_ns) {
            Ok(new) => {
                admitted = 1;
                new
            }
            Err(kept) if kept == old => return 0,
            Err(kept) => {
                admitted = 0;
                kept
            }
        };
        // SAFETY: as above.
        let was = unsafe { atomic::compare_exchange(tat, old, new) };
        if was == old {
            break;
        }
        old = was;
    }
    admitted
}
