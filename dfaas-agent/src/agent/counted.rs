//! What the kernel and HAProxy have counted of one function, joined: pure, and the only place that knows what both count.

use std::collections::BTreeMap;

use dfaas_common::counters::FunctionCounters;

use crate::{
    name::NodeId,
    proxy::{FunctionSample, PeerSample},
    rates::Sample,
    status::Outcomes,
    strategy::rl_agent::Forwarded,
};

/// Where the calls of a function went. Every call is counted once, by the data plane that had the last word.
pub(super) fn sample(kernel: &FunctionCounters, proxy: &FunctionSample) -> Sample {
    let taken = |p: &PeerSample| (p.forwarded + p.handed_off).saturating_sub(p.refused);
    let received: u64 = proxy.from_peers.values().map(taken).sum();
    let handed_off: u64 = proxy.from_peers.values().map(|p| p.handed_off).sum();
    let by_kernel = Outcomes {
        // What the kernel gives HAProxy to steer is counted by both.
        offered: kernel.seen.saturating_sub(kernel.to_proxy),
        local: proxy.placed_first,
        forwarded: kernel.forwarded,
        rejected: kernel.refused + kernel.unavailable,
        received: handed_off.min(received),
    };
    let by_proxy = Outcomes {
        offered: proxy.placed_kept + proxy.service,
        local: proxy.served_local.saturating_sub(received + proxy.placed_first),
        forwarded: proxy.forwarded.values().sum::<u64>(),
        rejected: proxy.refused,
        received: received.saturating_sub(handed_off),
    };
    let kept = proxy.served_local.saturating_sub(proxy.placed_first + handed_off);
    Sample { by_kernel, by_proxy, kept }
}

/// Calls that each peer took. Connections that the kernel has `handed_off` count as answered well: their answers do not
/// come back through this node's HAProxy.
pub(super) fn forwarded(proxy: &FunctionSample, handed_off: &BTreeMap<NodeId, u64>) -> BTreeMap<NodeId, Forwarded> {
    let of_proxy = |(node, calls): (&NodeId, &u64)| {
        let answered_well = proxy.forwarded_well.get(node).copied().unwrap_or(0);
        let response_ms = proxy.forward_response_ms.get(node).copied().map(f64::from);
        (node.clone(), Forwarded { calls: *calls, answered_well, response_ms })
    };
    let mut forwarded: BTreeMap<NodeId, Forwarded> = proxy.forwarded.iter().map(of_proxy).collect();
    for (node, calls) in handed_off {
        let of = forwarded.entry(node.clone()).or_default();
        of.calls += calls;
        of.answered_well += calls;
    }
    forwarded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, prop, prop_assert_eq, prop_oneof, proptest};

    use super::*;
    use crate::strategy::test_names::node;

    /// What may happen to a call, and to how many.
    #[derive(Clone, Copy, Debug)]
    enum Call {
        /// The first of a connection that the kernel places here.
        Placed,
        /// A later one on such a connection.
        Kept(Steered),
        /// The kernel leaves it to HAProxy.
        ToProxy(Steered),
        /// HAProxy alone sees it.
        Service(Steered),
        ForwardedByKernel,
        RefusedByKernel,
        UnavailableInKernel,
        FromPeer(Taken),
        HandedOff,
    }

    #[derive(Clone, Copy, Debug)]
    enum Steered {
        Here,
        ToPeer,
        Refused,
    }

    #[derive(Clone, Copy, Debug)]
    enum Taken {
        Served,
        Refused,
    }

    fn any_call() -> impl Strategy<Value = Call> {
        let steered = || prop_oneof![Just(Steered::Here), Just(Steered::ToPeer), Just(Steered::Refused)];
        prop_oneof![
            Just(Call::Placed),
            steered().prop_map(Call::Kept),
            steered().prop_map(Call::ToProxy),
            steered().prop_map(Call::Service),
            Just(Call::ForwardedByKernel),
            Just(Call::RefusedByKernel),
            Just(Call::UnavailableInKernel),
            prop_oneof![Just(Taken::Served), Just(Taken::Refused)].prop_map(Call::FromPeer),
            Just(Call::HandedOff),
        ]
    }

    #[derive(Default)]
    struct World {
        kernel: FunctionCounters,
        proxy: FunctionSample,
        expected: Outcomes<u64>,
        kept: u64,
    }

    impl World {
        fn steer(&mut self, steered: Steered) {
            self.expected.offered += 1;
            match steered {
                Steered::Here => {
                    self.proxy.served_local += 1;
                    self.expected.local += 1;
                    self.kept += 1;
                }
                Steered::ToPeer => {
                    *self.proxy.forwarded.entry(node(1)).or_default() += 1;
                    self.expected.forwarded += 1;
                }
                Steered::Refused => {
                    self.proxy.refused += 1;
                    self.expected.rejected += 1;
                }
            }
        }

        fn by_kernel(&mut self) {
            self.kernel.seen += 1;
            self.expected.offered += 1;
        }

        fn receive(&mut self) -> &mut PeerSample {
            self.proxy.from_peers.entry(node(2)).or_default()
        }

        fn happens(&mut self, call: Call) {
            match call {
                Call::Placed => {
                    self.by_kernel();
                    self.kernel.local += 1;
                    self.proxy.placed_first += 1;
                    self.proxy.served_local += 1;
                    self.expected.local += 1;
                }
                Call::Kept(steered) => {
                    self.proxy.placed_kept += 1;
                    self.steer(steered);
                }
                Call::ToProxy(steered) => {
                    self.kernel.seen += 1;
                    self.kernel.to_proxy += 1;
                    self.proxy.service += 1;
                    self.steer(steered);
                }
                Call::Service(steered) => {
                    self.proxy.service += 1;
                    self.steer(steered);
                }
                Call::ForwardedByKernel => {
                    self.by_kernel();
                    self.kernel.forwarded += 1;
                    self.expected.forwarded += 1;
                }
                Call::RefusedByKernel => {
                    self.by_kernel();
                    self.kernel.refused += 1;
                    self.expected.rejected += 1;
                }
                Call::UnavailableInKernel => {
                    self.by_kernel();
                    self.kernel.unavailable += 1;
                    self.expected.rejected += 1;
                }
                Call::FromPeer(taken) => self.peer_calls(taken),
                Call::HandedOff => {
                    self.receive().handed_off += 1;
                    self.proxy.served_local += 1;
                    self.expected.received += 1;
                }
            }
        }

        fn peer_calls(&mut self, taken: Taken) {
            self.receive().forwarded += 1;
            match taken {
                Taken::Served => {
                    self.proxy.served_local += 1;
                    self.expected.received += 1;
                    self.kept += 1;
                }
                Taken::Refused => self.receive().refused += 1,
            }
        }
    }

    proptest! {
        #[test]
        fn every_call_is_counted_once_whichever_plane_has_seen_it(calls in prop::collection::vec(any_call(), 0..60)) {
            let mut world = World::default();
            for call in calls {
                world.happens(call);
            }
            let sample = sample(&world.kernel, &world.proxy);
            prop_assert_eq!(sample.totals(), world.expected);
            prop_assert_eq!(sample.kept, world.kept);
        }
    }

    /// HAProxy's counters are read later than the kernel's.
    #[test]
    fn counters_read_at_different_times_never_underflow() {
        let ahead = FunctionSample { placed_first: 5, served_local: 3, ..FunctionSample::default() };
        let sample = sample(&FunctionCounters { to_proxy: 2, ..FunctionCounters::default() }, &ahead);
        assert_eq!((sample.by_kernel.offered, sample.by_proxy.local, sample.kept), (0, 0, 0));
    }

    #[test]
    fn calls_to_peers_are_joined_and_the_kernels_count_as_answered_well() {
        let proxy = FunctionSample {
            forwarded: [(node(1), 10)].into(),
            forwarded_well: [(node(1), 6)].into(),
            forward_response_ms: [(node(1), 34)].into(),
            ..FunctionSample::default()
        };
        let forwarded = forwarded(&proxy, &[(node(1), 2), (node(2), 3)].into());
        assert_eq!(forwarded[&node(1)], Forwarded { calls: 12, answered_well: 8, response_ms: Some(34.0) });
        assert_eq!(forwarded[&node(2)], Forwarded { calls: 3, answered_well: 3, response_ms: None });
    }
}
