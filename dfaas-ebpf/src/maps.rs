//! Every map. Nobody else names one; who writes it and who reads it stands beside it.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use dfaas_common::{
    address::{Address, AddressV4},
    counters::{FunctionCounters, PairCounters, VerdictCounter, pair_index},
    decided::{self, BUSY, Decision, EMPTY, SETS, Set, WAYS},
    event::Event,
    flow::{Flow, FlowKey},
    http::Name,
    maps::{EVENTS_BYTES, MAX_FORWARDED, MAX_PEER_ADDRESSES},
    packet::Segment,
    peer::{MAX_PEERS, Peer},
    replay,
    route::{Buckets, MAX_FUNCTIONS, Route},
    settings::{Answer, Control, MAX_ANSWERS},
    verdict::MAX_VERDICTS,
};

use crate::atomic;

/// Values of such a map are replaced whole: a reader keeps the old one until it is done (RCU). Preallocated elements
/// would be reused under its hands.
const REPLACED_WHOLE: usize = BPF_F_NO_PREALLOC as usize;

// Written by the agent, read by the programs.
#[btf_map]
static ROUTES: HashMap<Name, Route, MAX_FUNCTIONS, REPLACED_WHOLE> = HashMap::new();
#[btf_map]
static PEERS: HashMap<u32, Peer, MAX_PEERS, REPLACED_WHOLE> = HashMap::new();
/// Tunnel, service and alias addresses to the peer's number.
#[btf_map]
static PEER_ADDRESSES: HashMap<Address, u32, MAX_PEER_ADDRESSES> = HashMap::new();
#[btf_map]
static CONTROL: Array<Control, 1> = Array::new();
#[btf_map]
static ANSWERS: Array<Answer, MAX_ANSWERS> = Array::new();

// Written by the programs, read by the agent.
/// Live connections given to peers. The agent sweeps those that have been idle for very long.
#[btf_map]
static FORWARDED: HashMap<FlowKey, Flow, MAX_FORWARDED> = HashMap::new();
/// All other decisions, and connections that have ended.
#[btf_map]
static DECIDED: Array<Set, SETS> = Array::new();
/// Connections from peers that have had their socket.
#[btf_map]
static TAKEN: Array<replay::Set, { replay::SETS }> = Array::new();
#[btf_map]
static BUCKETS: Array<Buckets, MAX_FUNCTIONS> = Array::new();
#[btf_map]
static FUNCTIONS: PerCpuArray<FunctionCounters, MAX_FUNCTIONS> = PerCpuArray::new();
#[btf_map]
static PAIRS: PerCpuArray<PairCounters, { MAX_FUNCTIONS * MAX_PEERS }> = PerCpuArray::new();
#[btf_map]
static VERDICTS: PerCpuArray<VerdictCounter, MAX_VERDICTS> = PerCpuArray::new();
/// Time of the last event by verdict.
#[btf_map]
static GATES: Array<u64, MAX_VERDICTS> = Array::new();
#[btf_map]
static EVENTS: RingBuf<Event, EVENTS_BYTES> = RingBuf::new();

/// How often a decision is offered to a set that other CPUs write at the same time.
const TRIES: u32 = 3;

macro_rules! by_reference {
    ($map:ident, $key:expr) => {
        // SAFETY: values of this map are replaced whole and kept until the program ends (RCU read section).
        $map.get_ptr($key).map(|p| unsafe { &*p })
    };
}

#[inline(always)]
pub(crate) fn route(name: &Name) -> Option<&'static Route> {
    by_reference!(ROUTES, name)
}

#[inline(always)]
pub(crate) fn peer(number: u32) -> Option<&'static Peer> {
    by_reference!(PEERS, number)
}

#[inline(always)]
pub(crate) fn peer_number(address: AddressV4) -> Option<u32> {
    // SAFETY: a word, written at once.
    PEER_ADDRESSES.get_ptr(Address::from(address)).map(|p| unsafe { *p })
}

#[inline(always)]
pub(crate) fn control() -> Option<&'static Control> {
    // SAFETY: fields are read one by one; the agent announces key changes long before they count.
    CONTROL.get_ptr(0).map(|p| unsafe { &*p })
}

#[inline(always)]
pub(crate) fn answer(index: u32) -> Option<&'static Answer> {
    // SAFETY: written once, before the programs are attached.
    ANSWERS.get_ptr(index).map(|p| unsafe { &*p })
}

#[inline(always)]
pub(crate) fn buckets(function: u32) -> Option<*mut Buckets> {
    BUCKETS.get_ptr_mut(function)
}

/// A decision, and whether it lies in the table of live forwarded connections. Several CPUs may write single fields.
#[inline(always)]
pub(crate) fn flow(key: &FlowKey) -> Option<(*mut Flow, bool)> {
    match FORWARDED.get_ptr_mut(key) {
        Some(flow) => Some((flow, true)),
        None => decided(key).map(|(set, way, _)| {
            // SAFETY: a live map value; only the address is taken.
            (unsafe { &raw mut (*set).ways[way].flow }, false)
        }),
    }
}

/// Set, way and mark of a client in [`DECIDED`].
#[inline(always)]
fn decided(key: &FlowKey) -> Option<(*mut Set, usize, u64)> {
    let found = find_decided(key);
    if found == 0 {
        return None;
    }
    // The mark is that of a moment ago: whoever changes it later compares.
    let (set, way) = (DECIDED.get_ptr_mut((found - 1) / WAYS as u32)?, (found - 1) as usize % WAYS);
    // SAFETY: a live map value; a word.
    Some((set, way, unsafe { (&raw const (*set).marks[way]).read_volatile() }))
}

/// Set times [`WAYS`] plus way plus one; 0 if the client is not in [`DECIDED`]. A function of its own that the verifier
/// checks once and alone; such a function returns no pointers.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn find_decided(key: *const FlowKey) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: not null, and sized by the verifier from its type.
    let key = unsafe { &*key };
    let Some(control) = control() else { return 0 };
    let place = decided::place(control.seed, key);
    let Some(set) = DECIDED.get_ptr(place.set) else { return 0 };
    // SAFETY: a live map value.
    unsafe { decided::find(set, key, place.mark) }.map_or(0, |way| place.set * WAYS as u32 + way as u32 + 1)
}

/// Stores a decision in [`DECIDED`]; 0 if other CPUs were faster, again and again. Like [`find_decided`] a function of
/// its own.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn put_decided(key: *const FlowKey, flow: *const Flow) -> u32 {
    if key.is_null() || flow.is_null() {
        return 0;
    }
    // SAFETY: not null, and sized by the verifier from their types.
    let (key, flow) = unsafe { (&*key, &*flow) };
    let Some(control) = control() else { return 0 };
    let place = decided::place(control.seed, key);
    let Some(set) = DECIDED.get_ptr_mut(place.set) else { return 0 };
    for _ in 0..TRIES {
        // SAFETY: a live map value.
        let Some((way, found)) = (unsafe { decided::choose(set, key, place.mark) }) else { continue };
        let way = way % WAYS;
        if change_mark(set, way, found, BUSY) {
            // SAFETY: ours as long as it is marked busy.
            unsafe { (*set).ways[way] = Decision { key: *key, reserved: 0, flow: *flow } };
            return change_mark(set, way, BUSY, place.mark).into();
        }
    }
    0
}

#[inline(always)]
fn remove_decided(key: &FlowKey) {
    if let Some((set, way, mark)) = decided(key)
        && mark > BUSY
    {
        change_mark(set, way, mark, EMPTY);
    }
}

/// Claims a way or gives it back; false if another CPU was faster.
#[inline(always)]
fn change_mark(set: *mut Set, way: usize, from: u64, to: u64) -> bool {
    // SAFETY: an aligned word in a map value.
    unsafe { atomic::compare_exchange(&raw mut (*set).marks[way % WAYS], from, to) == from }
}

/// Where the decision on an older connection of the same client port was found.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Older {
    Nowhere = 0,
    Forwarded,
    Decided,
}

/// Records the decision for a connection; false if the table is full.
#[inline(always)]
pub(crate) fn insert_forwarded(key: &FlowKey, flow: &Flow, older: Older) -> bool {
    let stored = FORWARDED.insert(key, flow, 0).is_ok();
    if stored && older == Older::Decided {
        remove_decided(key);
    }
    stored
}

/// Records the decision for a connection. A failure does no harm: the next packet is judged by its cookie.
#[inline(always)]
pub(crate) fn insert_decided(key: &FlowKey, flow: &Flow, older: Older) {
    if older == Older::Forwarded {
        let _ = FORWARDED.remove(key);
    }
    put_decided(key, flow);
}

/// Moves a connection that has ended to where it may be evicted: its last packets still find their way. If that fails it
/// stays until the agent sweeps it.
#[inline(always)]
pub(crate) fn retire(key: &FlowKey, flow: *mut Flow) {
    // SAFETY: the value lives in the map until it is removed below.
    if put_decided(key, unsafe { &*flow }) != 0 {
        let _ = FORWARDED.remove(key);
    }
}

/// Has the connection from a peer whose first packet this is had its socket?
#[inline(always)]
pub(crate) fn was_taken(first: &Segment) -> bool {
    let Some(control) = control() else { return false };
    let place = replay::place(control.seed, first);
    // SAFETY: a live map value of words; others may write one meanwhile.
    TAKEN.get_ptr(place.set).is_some_and(|set| unsafe { &*set }.has(place.print))
}

/// It has now.
#[inline(always)]
pub(crate) fn note_taken(first: &Segment) {
    let Some(control) = control() else { return };
    let place = replay::place(control.seed, first);
    if let Some(set) = TAKEN.get_ptr_mut(place.set) {
        // SAFETY: as above.
        unsafe { &mut *set }.put(place.print);
    }
}

#[inline(always)]
pub(crate) fn function_counters(function: u32) -> Option<*mut FunctionCounters> {
    FUNCTIONS.get_ptr_mut(function)
}

#[inline(always)]
pub(crate) fn pair_counters(function: u32, peer: u32) -> Option<*mut PairCounters> {
    PAIRS.get_ptr_mut(pair_index(function, peer))
}

#[inline(always)]
pub(crate) fn verdict_counter(number: u32) -> Option<*mut VerdictCounter> {
    VERDICTS.get_ptr_mut(number)
}

#[inline(always)]
pub(crate) fn gate(number: u32) -> Option<*mut u64> {
    GATES.get_ptr_mut(number)
}

/// False if the agent has fallen behind and the buffer is full.
#[inline(always)]
pub(crate) fn emit(event: &Event) -> bool {
    EVENTS.output(event, 0).is_ok()
}
