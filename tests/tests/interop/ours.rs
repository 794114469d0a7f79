//! A node of ours without the agent around it: what it hears, and what it says, in the test's hands.

use std::time::{Duration, Instant};

use dfaas_agent::{
    name::NodeId,
    p2p::{Counters, OverlayEvent, OverlayHandle, OverlaySettings, identity::Identity, start},
};
use std::sync::Arc;
use tokio::{runtime::Runtime, sync::mpsc, time::timeout};

use crate::DEADLINE;

pub(crate) struct Ours {
    pub(crate) id: NodeId,
    pub(crate) handle: OverlayHandle,
    /// With the id at the end.
    pub(crate) address: String,
    events: mpsc::Receiver<OverlayEvent>,
    runtime: Runtime,
}

impl Ours {
    pub(crate) fn start(bootstrap: &[&str]) -> Self {
        let runtime = Runtime::new().unwrap();
        let identity = Identity::from_seed(rand::random()).unwrap();
        let mut settings = OverlaySettings::new(identity.keypair);
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        settings.bootstrap = bootstrap.iter().map(|address| address.parse().unwrap()).collect();
        let (handle, events) = {
            let _inside = runtime.enter();
            start(settings).unwrap()
        };
        let mut ours = Self { id: identity.node_id, handle, address: String::new(), events, runtime };
        let address = ours.wait("listening", |event| match event {
            OverlayEvent::Listening(address) => Some(address.to_string()),
            _ => None,
        });
        ours.address = format!("{address}/p2p/{}", ours.id);
        ours
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.handle.counters()
    }

    /// The first event that `pick` takes; those before it are lost.
    pub(crate) fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(OverlayEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = self.hear(deadline.saturating_duration_since(Instant::now())).and_then(&mut pick) {
                return found;
            }
            assert!(Instant::now() < deadline, "never heard: {what}");
        }
    }

    /// The next event, if one comes in this time.
    fn hear(&mut self, within: Duration) -> Option<OverlayEvent> {
        let next = self.runtime.block_on(async { timeout(within, self.events.recv()).await });
        next.ok().map(|event| event.expect("the overlay goes on"))
    }
}
