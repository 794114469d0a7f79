//! Socket lookups. The guard releases the reference.

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_tuple, bpf_sock_tuple__bindgen_ty_1__bindgen_ty_1 as TupleV4},
    helpers as h,
};
use dfaas_common::{address::AddressV4, flow::Listener, packet::Segment, reuse::TimeWait};

use crate::{packet::Packet, setting};

/// States of a socket (`include/net/tcp_states.h`); 0 stands for none.
pub(crate) const NONE: u32 = 0;
pub(crate) const TIME_WAIT: u32 = 6;
pub(crate) const LISTEN: u32 = 10;

/// Addresses and ports of a lookup; ports as on the wire.
#[derive(Clone, Copy)]
pub(crate) struct Tuple {
    pub(crate) source: AddressV4,
    pub(crate) destination: AddressV4,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

impl From<&Segment> for Tuple {
    #[inline(always)]
    fn from(s: &Segment) -> Self {
        Self {
            source: s.source,
            destination: s.destination,
            source_port: s.source_port,
            destination_port: s.destination_port,
        }
    }
}

impl Tuple {
    /// From the same source to a listener of this node.
    #[inline(always)]
    pub(crate) fn to(self, listener: Listener) -> Self {
        let (destination, destination_port) = match listener {
            Listener::Placed => (setting!(placed_address), setting!(placed_port)),
            Listener::Proxy => (setting!(service_address), setting!(service_port)),
        };
        Self { destination, destination_port, ..self }
    }

    /// From the same source to the listener for connections handed off by peers.
    #[inline(always)]
    pub(crate) fn to_handoff(self) -> Self {
        Self { destination: setting!(handoff_address), destination_port: setting!(handoff_port), ..self }
    }
}

pub(crate) struct Socket(*mut bpf_sock);

impl Drop for Socket {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the guard holds the one reference that the lookup took.
        unsafe { h::bpf_sk_release(self.0.cast()) };
    }
}

impl Socket {
    #[inline(always)]
    pub(crate) fn find<P: Packet>(packet: &P, t: Tuple) -> Option<Self> {
        let mut tuple = TupleV4 {
            saddr: t.source.raw(),
            daddr: t.destination.raw(),
            sport: t.source_port,
            dport: t.destination_port,
        };
        // The IPv4 member of the union is enough, its length tells the kernel.
        let tuple = (&raw mut tuple).cast::<bpf_sock_tuple>();
        // u64::MAX is BPF_F_CURRENT_NETNS.
        // SAFETY: context and tuple are valid for the call.
        let socket = unsafe { h::bpf_skc_lookup_tcp(packet.raw(), tuple, size_of::<TupleV4>() as u32, u64::MAX, 0) };
        // Not `then_some`: that builds a guard, and drops it, in the null case too.
        if socket.is_null() { None } else { Some(Self(socket)) }
    }

    #[inline(always)]
    pub(crate) fn state(&self) -> u32 {
        // SAFETY: a referenced socket.
        unsafe { (*self.0).state }
    }

    /// A socket in TIME_WAIT: a kernel structure, its offsets from the kernel's BTF.
    #[inline(always)]
    pub(crate) fn time_wait(&self) -> Option<TimeWait> {
        // SAFETY: a referenced socket; the helper answers null if it is of another kind.
        let socket = unsafe { h::bpf_skc_to_tcp_timewait_sock(self.0.cast()) };
        if socket.is_null() {
            return None;
        }
        // SAFETY: the verifier checks the offset against the structure's BTF.
        let field = |at: u32| unsafe { socket.byte_add(at as usize).cast::<u32>().read_volatile() };
        Some(TimeWait {
            rcv_nxt: field(setting!(time_wait_rcv_nxt)),
            ts_recent: field(setting!(time_wait_ts_recent)),
            ts_offset: field(setting!(time_wait_ts_offset)),
        })
    }

    /// `rcv_nxt` and our ISN of a full socket, by the helper's stable view.
    #[inline(always)]
    pub(crate) fn full(&self) -> Option<(u32, u32)> {
        // SAFETY: as above.
        let tcp = unsafe { h::bpf_tcp_sock(self.0) };
        if tcp.is_null() {
            return None;
        }
        // SAFETY: not null.
        unsafe { Some(((*tcp).rcv_nxt, (*tcp).snd_una.wrapping_sub((*tcp).bytes_acked as u32))) }
    }

    #[inline(always)]
    pub(crate) fn raw(&self) -> *mut bpf_sock {
        self.0
    }
}

/// State of the socket of this tuple, [`NONE`] if there is none.
#[inline(always)]
pub(crate) fn state<P: Packet>(packet: &P, tuple: Tuple) -> u32 {
    match Socket::find(packet, tuple) {
        Some(socket) => socket.state(),
        None => NONE,
    }
}

/// Is there a socket that has this tuple for itself?
#[inline(always)]
pub(crate) fn exists<P: Packet>(packet: &P, tuple: Tuple) -> bool {
    !matches!(state(packet, tuple), NONE | LISTEN)
}
