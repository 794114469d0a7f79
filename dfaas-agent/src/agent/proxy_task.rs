//! HAProxy on a task of its own: a reload may take its time without holding the agent up.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    decision::Decision,
    once::Once,
    proxy::{Applied, Proxy, ProxyError, ProxySettings, Sample},
};

const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// HAProxy is compared with the decision after so many samples.
const SAMPLES_PER_REPAIR: u64 = 2;
/// What open connections are given when HAProxy is stopped.
const GRACE: Duration = Duration::from_secs(10);
/// Between two reloads: peers that come and go must not have HAProxy do nothing else.
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// Between two tries to start HAProxy: the first, and the longest after ever more that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the agent sees of HAProxy.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyView {
    /// HAProxy serves, or could not be started.
    pub(super) tried: bool,
    /// It is one that a former agent has left.
    pub(super) adopted: bool,
    pub(super) sample: Sample,
    /// The process cannot be had or asked. `None`: all is well.
    pub(super) error: Option<String>,
    /// It did not take the last decision: the one before stays in force.
    pub(super) refused: Option<String>,
    pub(super) restarts: u64,
    pub(super) pid: u32,
    /// The decision it obeys.
    pub(super) obeyed: Arc<Decision>,
    /// Values that were found to differ from it, and put right.
    pub(super) repaired: u64,
    pub(super) reloads: u64,
    /// HAProxy cannot connect to this node's gateway.
    pub(super) gateway_down: bool,
}

pub(super) struct ProxyTask {
    decisions: watch::Sender<Option<Arc<Decision>>>,
    pub(super) view: watch::Receiver<ProxyView>,
    /// HAProxy obeys another decision: what was promised on condition of it can be told.
    pub(super) obeys: Arc<Notify>,
    stop: mpsc::Sender<bool>,
    task: JoinHandle<()>,
}

impl ProxyTask {
    /// HAProxy is left alone until there is a decision.
    pub(super) fn start(settings: ProxySettings) -> Self {
        let (decisions, receiver) = watch::channel(None);
        let (shown, view) = watch::channel(ProxyView::default());
        let (stop, stopped) = mpsc::channel(1);
        let obeys = Arc::new(Notify::new());
        let task = Task {
            settings,
            proxy: None,
            decisions: receiver,
            shown,
            obeys: Arc::clone(&obeys),
            in_step: true,
            reloaded: None,
            samples: 0,
            next_try: Instant::now(),
            pause: FIRST_PAUSE,
            error: Once::default(),
            refusal: Once::default(),
        };
        Self { decisions, view, obeys, stop, task: tokio::spawn(task.run(stopped)) }
    }

    /// A failure is told in the view and tried again.
    pub(super) fn apply(&self, decision: Arc<Decision>) {
        let _ = self.decisions.send(Some(decision));
    }

    /// Until HAProxy serves by the first decision, or could not be started.
    pub(super) async fn tried(&mut self) {
        let _ = self.view.wait_for(|view| view.tried).await;
    }

    /// Ends the task; HAProxy goes on unless it is to be `stopped`.
    pub(super) async fn end(self, stopped: bool) {
        let _ = self.stop.send(stopped).await;
        if tokio::time::timeout(GRACE * 2, self.task).await.is_err() {
            tracing::warn!("haproxy did not end in time");
        }
    }
}

struct Task {
    settings: ProxySettings,
    proxy: Option<Proxy>,
    decisions: watch::Receiver<Option<Arc<Decision>>>,
    shown: watch::Sender<ProxyView>,
    obeys: Arc<Notify>,
    /// HAProxy has been told the last decision.
    in_step: bool,
    reloaded: Option<Instant>,
    samples: u64,
    next_try: Instant,
    pause: Duration,
    /// What is told in the view, by its cause.
    error: Once<String>,
    refusal: Once<String>,
}

impl Task {
    async fn run(mut self, mut stopped: mpsc::Receiver<bool>) {
        let mut tick = interval(SAMPLE_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                end = stopped.recv() => return self.end(end == Some(true)).await,
                changed = self.decisions.changed() => {
                    if changed.is_err() {
                        // The agent is gone: HAProxy goes on.
                        return self.end(false).await;
                    }
                    self.in_step = false;
                }
                _ = tick.tick() => self.look().await,
            }
            if self.proxy.is_none() {
                self.open().await;
            }
            if !self.in_step {
                self.tell().await;
            }
        }
    }

    async fn end(self, stop: bool) {
        let Some(proxy) = self.proxy else { return };
        if !stop {
            proxy.leave_running().await;
        } else if let Err(e) = proxy.stop(GRACE).await {
            tracing::warn!("haproxy does not stop: {e}");
        }
    }

    async fn open(&mut self) {
        let Some(decision) = self.decisions.borrow_and_update().clone() else { return };
        if Instant::now() < self.next_try {
            return;
        }
        match Proxy::start(self.settings.clone(), &decision).await {
            Ok(proxy) => {
                self.shown.send_modify(|view| view.adopted = proxy.is_adopted());
                self.proxy = Some(proxy);
                self.pause = FIRST_PAUSE;
                self.obey(decision, None);
            }
            Err(e) => {
                self.fail(&e);
                self.next_try = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            }
        }
        self.shown.send_modify(|view| view.tried = true);
    }

    async fn tell(&mut self) {
        let Some(proxy) = &mut self.proxy else { return };
        let Some(mut decision) = self.decisions.borrow_and_update().clone() else { return };
        // Limits and weights at once, the structure in its time.
        let is_early = self.reloaded.is_some_and(|reloaded| reloaded.elapsed() < RELOAD_INTERVAL);
        let is_held = is_early && proxy.is_in_step() && proxy.needs_reload(&decision);
        if is_held {
            decision = Arc::new(decision.within(&self.shown.borrow().obeyed));
        }
        match proxy.apply(&decision).await {
            Ok(applied) => {
                tracing::debug!(version = decision.version, ?applied, is_held, "haproxy obeys");
                if applied == Applied::Reloaded {
                    self.reloaded = Some(Instant::now());
                }
                self.obey(decision, Some(applied));
                self.in_step = !is_held;
            }
            Err(e) => {
                if self.refusal.is_new(e.cause()) {
                    tracing::error!("haproxy does not take the decision, the one before stays in force: {e}");
                }
                self.shown.send_modify(|view| view.refused = Some(e.to_string()));
            }
        }
    }

    fn obey(&mut self, decision: Arc<Decision>, applied: Option<Applied>) {
        self.in_step = true;
        let was_wrong = [self.error.is_over(), self.refusal.is_over()];
        if was_wrong.contains(&true) {
            tracing::info!("haproxy takes the decision again");
        }
        self.shown.send_modify(|view| {
            (view.error, view.refused) = (None, None);
            view.obeyed = decision;
            view.reloads += u64::from(applied == Some(Applied::Reloaded));
        });
        self.obeys.notify_one();
    }

    fn fail(&mut self, e: &ProxyError) {
        if self.error.is_new(e.cause()) {
            tracing::error!("haproxy: {e}");
        }
        self.shown.send_modify(|view| view.error = Some(e.to_string()));
    }

    /// Reads the counters, and from time to time compares HAProxy with the decision.
    async fn look(&mut self) {
        let Some(proxy) = &mut self.proxy else { return };
        let looked = observe(proxy, &self.shown).await;
        match looked {
            Ok(()) => _ = self.error.is_over(),
            Err(e) => self.fail(&e),
        }
        self.samples += 1;
        if self.in_step && self.samples.is_multiple_of(SAMPLES_PER_REPAIR) {
            self.repair().await;
        }
    }

    async fn repair(&mut self) {
        let Some(proxy) = &mut self.proxy else { return };
        let repaired = proxy.repair().await;
        self.in_step = proxy.is_in_step();
        match repaired {
            Ok(0) => {}
            Ok(n) => {
                tracing::warn!("haproxy did not run what it was told: {n} values put right");
                self.shown.send_modify(|view| view.repaired += n as u64);
            }
            Err(e) => self.fail(&e),
        }
    }
}

async fn observe(proxy: &mut Proxy, shown: &watch::Sender<ProxyView>) -> Result<(), ProxyError> {
    let sample = proxy.sample().await?;
    shown.send_modify(|view| view.sample = sample);
    let health = proxy.health().await?;
    shown.send_modify(|view| {
        view.restarts = health.restarts;
        view.pid = health.pid;
        view.gateway_down = !health.gateway_up;
        view.error = None;
    });
    Ok(())
}
