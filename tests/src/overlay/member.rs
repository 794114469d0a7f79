//! One overlay, and what the agent around it would say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use dfaas_agent::{
    kernel::mode::Mode,
    name::{FunctionName, NodeId},
    p2p::{
        Counters, OverlayEvent, OverlayHandle, OverlaySettings,
        direct::{FunctionState, NodeState, TunnelKey, VERSION},
        identity::Identity,
        message::{Message, ProxyAddress, RecalcInfo},
        start,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval, timeout},
};

/// As the agent's.
const TICK: Duration = Duration::from_millis(250);
const START: Duration = Duration::from_secs(30);
/// Calls per second granted and measured: the size of a number on the wire is what counts here.
const GRANT: f64 = 35.0;
const RATE: f64 = 12.75;

/// How often an agent speaks; `None`: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// To all, at multiples of this time on the wall clock.
    pub period: Option<Duration>,
    /// To each peer.
    pub heartbeat: Option<Duration>,
}

/// Bytes of what an agent says, without signature and frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sizes {
    pub(super) broadcast: usize,
    pub(super) state: usize,
}

/// What others may see of a member.
#[derive(Debug)]
pub(super) struct Shown {
    handle: OverlayHandle,
    pub(super) counters: Arc<Counters>,
    heard: AtomicUsize,
    broadcast_bytes: AtomicUsize,
    state_bytes: AtomicUsize,
}

impl Shown {
    pub(super) fn connected(&self) -> usize {
        self.handle.connected().len()
    }

    pub(super) fn heard(&self) -> usize {
        self.heard.load(Relaxed)
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes { broadcast: self.broadcast_bytes.load(Relaxed), state: self.state_bytes.load(Relaxed) }
    }
}

pub(super) struct Member {
    id: NodeId,
    events: mpsc::Receiver<OverlayEvent>,
    shown: Arc<Shown>,
    functions: Vec<FunctionName>,
    heard: BTreeSet<NodeId>,
    /// When each peer was last sent a state.
    told: BTreeMap<NodeId, Instant>,
    sequence: u64,
    /// Number of the period of the last broadcast.
    period: u128,
}

impl Member {
    pub(super) fn start(bootstrap: Option<&str>, functions: usize) -> Result<Self> {
        let identity = Identity::from_seed(rand::random())?;
        let mut settings = OverlaySettings::new(identity.keypair);
        settings.listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
        settings.bootstrap = bootstrap.map(str::parse).transpose()?.into_iter().collect();
        let (handle, events) = start(settings)?;
        let shown = Arc::new(Shown {
            counters: handle.counters(),
            handle,
            heard: AtomicUsize::new(0),
            broadcast_bytes: AtomicUsize::new(0),
            state_bytes: AtomicUsize::new(0),
        });
        let name = |i| format!("function{i:03}").parse().context("name of a function");
        let functions = (0..functions).map(name).collect::<Result<_>>()?;
        Ok(Self {
            id: identity.node_id,
            events,
            shown,
            functions,
            heard: BTreeSet::new(),
            told: BTreeMap::new(),
            sequence: 0,
            period: 0,
        })
    }

    pub(super) fn shown(&self) -> Arc<Shown> {
        Arc::clone(&self.shown)
    }

    /// Where it listens, with its id at the end.
    pub(super) async fn address(&mut self) -> Result<String> {
        let listening = async {
            while let Some(event) = self.events.recv().await {
                if let OverlayEvent::Listening(address) = event {
                    return Some(address);
                }
            }
            None
        };
        let address = timeout(START, listening).await.ok().flatten().context("an overlay that does not listen")?;
        Ok(format!("{address}/p2p/{}", self.id))
    }

    /// Speaks and listens for ever.
    pub(super) async fn run(mut self, pace: watch::Receiver<Pace>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                _ = tick.tick() => {
                    let pace = *pace.borrow();
                    self.send_states(pace);
                    self.broadcast(pace);
                }
            }
        }
    }

    fn hear(&mut self, event: OverlayEvent) {
        if let OverlayEvent::Broadcast { from, message: Message::Recalc(info) } = event
            && info.limits.contains_key(&self.id)
            && self.heard.insert(from)
        {
            self.shown.heard.store(self.heard.len(), Relaxed);
        }
    }

    fn send_states(&mut self, pace: Pace) {
        let Some(heartbeat) = pace.heartbeat else { return };
        let now = Instant::now();
        let peers = self.shown.handle.connected().into_iter().filter(|(_, peer)| peer.direct);
        for (peer, _) in peers.collect::<Vec<_>>() {
            if self.told.get(&peer).is_some_and(|told| now.duration_since(*told) < heartbeat) {
                continue;
            }
            let state = self.state();
            // The peer may be gone since: nothing to do.
            if self.shown.handle.send_state(&peer, &state).is_ok() {
                self.told.insert(peer, now);
            }
        }
    }

    /// Everything filled in, as between nodes that hand connections off.
    fn state(&mut self) -> NodeState {
        self.sequence += 1;
        let function = FunctionState { limit: GRANT, rate: RATE, max_rate: Some(2.0 * GRANT) };
        let address = Ipv4Addr::new(10, 77, 0, 1);
        let state = NodeState {
            version: VERSION,
            sequence: self.sequence,
            started_ms: 1,
            mode: Mode::Handoff,
            service: Some((address, 80).into()),
            tunnel: Some(IpAddr::V4(address)),
            proxy: Some(proxy()),
            tunnel_key: Some(TunnelKey { epoch: 1, key: [0xa5; 16], token: u64::MAX }),
            functions: self.functions.iter().map(|name| (name.clone(), function)).collect(),
            margin: None,
            draining: false,
            leaving: false,
        };
        if self.shown.state_bytes.load(Relaxed) == 0 {
            self.shown.state_bytes.store(state.encode().map_or(0, |bytes| bytes.len()), Relaxed);
        }
        state
    }

    fn broadcast(&mut self, pace: Pace) {
        let Some(period) = pace.period else { return };
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = since_1970.as_millis() / period.as_millis().max(1);
        if number == self.period {
            return;
        }
        self.period = number;
        let limits = || self.functions.iter().map(|name| (name.clone(), GRANT)).collect();
        let limits = self.shown.handle.connected().into_keys().map(|peer| (peer, limits())).collect();
        let message = Message::Recalc(RecalcInfo { proxy: proxy(), limits });
        self.shown.broadcast_bytes.store(message.encode().map_or(0, |bytes| bytes.len()), Relaxed);
        // One that cannot be sent is counted by the overlay.
        let _ = self.shown.handle.publish(&message);
    }
}

fn proxy() -> ProxyAddress {
    let host = "10.77.0.1".parse().unwrap_or_else(|_| unreachable!("an address is a host"));
    ProxyAddress { host, port: 30080 }
}
