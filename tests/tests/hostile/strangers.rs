//! Nodes of nobody: our own overlay, and around it an agent that says what it likes.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use dfaas_agent::{
    kernel::mode::Mode,
    name::{FunctionName, NodeId},
    p2p::{
        OverlayEvent, OverlayHandle, OverlaySettings,
        direct::{FunctionState, NodeState, VERSION},
        identity::Identity,
        message::{Message, ProxyAddress, RecalcInfo},
        start,
    },
};
use dfaas_tests::{federation::Node, netns::Entrance};
use tokio::sync::mpsc;

/// One identity.
pub(crate) struct Stranger {
    handle: OverlayHandle,
    events: mpsc::Receiver<OverlayEvent>,
    sequence: u64,
}

impl Stranger {
    /// Begins to connect to the node.
    pub(crate) fn meet(node: &str) -> Self {
        let mut settings = OverlaySettings::new(Identity::from_seed(rand::random()).unwrap().keypair);
        settings.bootstrap = vec![node.parse().unwrap()];
        settings.dht = false;
        let (handle, events) = start(settings).unwrap();
        Self { handle, events, sequence: 0 }
    }

    /// Says to the node, and to all, that it runs these functions and takes any number of calls at the address.
    pub(crate) fn speak(&mut self, node: &NodeId, functions: &[FunctionName], proxy: &ProxyAddress) {
        while self.events.try_recv().is_ok() {}
        self.sequence += 1;
        let of = |name: &FunctionName| (name.clone(), FunctionState { limit: 1e6, rate: 1e6, max_rate: Some(1.0) });
        let state = NodeState {
            version: VERSION,
            sequence: self.sequence,
            started_ms: 1,
            mode: Mode::Off,
            service: None,
            tunnel: None,
            proxy: Some(proxy.clone()),
            tunnel_key: None,
            functions: functions.iter().map(of).collect(),
            margin: None,
            draining: false,
            leaving: false,
        };
        // It may not be connected yet: the next time, then.
        let _ = self.handle.send_state(node, &state);
        let limits = functions.iter().map(|name| (name.clone(), 1e6)).collect();
        let limits = BTreeMap::from([(node.clone(), limits)]);
        let _ = self.handle.publish(&Message::Recalc(RecalcInfo { proxy: proxy.clone(), limits }));
    }
}

/// The address by which others find a node.
pub(crate) fn address_of(node: &Node) -> String {
    format!("/ip4/{}/tcp/31600/p2p/{}", node.address, node.id)
}

pub(crate) fn proxy(address: Ipv4Addr, port: u16) -> ProxyAddress {
    ProxyAddress { host: address.to_string().parse().unwrap(), port }
}

/// Strangers on a thread of their own, until it is dropped.
pub(crate) struct Strangers {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Strangers {
    /// Calls `act` again and again in `pause`, with what it left the last time.
    pub(crate) fn start<T>(from: &Entrance, pause: Duration, mut act: impl FnMut(&mut T) + Send + 'static) -> Self
    where
        T: Default + 'static,
    {
        let stop = Arc::new(AtomicBool::new(false));
        let (entrance, stopped) = (from.clone(), Arc::clone(&stop));
        let run = move || {
            entrance.go().unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut left = T::default();
                while !stopped.load(Relaxed) {
                    act(&mut left);
                    tokio::time::sleep(pause).await;
                }
            });
        };
        Self { stop, thread: Some(thread::spawn(run)) }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the strangers have failed");
        }
    }
}
