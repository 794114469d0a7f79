//! Counters and events.

use aya_ebpf::helpers as h;
use dfaas_common::{
    address::AddressV4,
    counters::{FunctionCounters, PairCounters},
    event::{Event, INTERVAL_NS},
};

use crate::maps;

/// Adds one to a field of the function's counters.
#[inline(always)]
pub(crate) fn function(function: u32, field: fn(*mut FunctionCounters) -> *mut u64) {
    if let Some(counters) = maps::function_counters(function) {
        // SAFETY: a per-CPU value, and programs are not preempted by themselves on one CPU.
        unsafe { *field(counters) += 1 };
    }
}

/// Adds one to a field of the counters of function and peer.
#[inline(always)]
pub(crate) fn pair(function: u32, peer: u32, field: fn(*mut PairCounters) -> *mut u64) {
    if let Some(counters) = maps::pair_counters(function, peer) {
        // SAFETY: as above.
        unsafe { *field(counters) += 1 };
    }
}

/// A field for [`function`] or [`pair`].
#[macro_export]
macro_rules! field {
    ($name:ident) => {
        // SAFETY: the pointer is to a live map value; only its field's address is taken.
        |counters| unsafe { &raw mut (*counters).$name }
    };
}

/// Counts a verdict by its code, and reports it if it is worth it and none of its kind was reported lately.
#[inline(always)]
pub(crate) fn verdict(code: u32, function: u32, source: AddressV4) {
    let number = code & 0xff;
    if let Some(counter) = maps::verdict_counter(number) {
        // SAFETY: as above.
        unsafe { (*counter).packets += 1 };
    }
    if code >> 16 != 0 {
        report(number, function, source);
    }
}

#[inline(never)]
fn report(number: u32, function: u32, source: AddressV4) {
    let Some(gate) = maps::gate(number) else { return };
    // SAFETY: no arguments.
    let now = unsafe { h::bpf_ktime_get_coarse_ns() };
    // SAFETY: an aligned word in a map; two CPUs may both pass the gate, which costs one event more.
    unsafe {
        let last = gate.read_volatile();
        if last != 0 && now < last.saturating_add(INTERVAL_NS) {
            return;
        }
        gate.write_volatile(now);
    }
    let _ = maps::emit(&Event { time_ns: now, verdict: number, function, source: source.into() });
}
