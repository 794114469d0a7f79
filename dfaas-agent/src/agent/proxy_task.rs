//! HAProxy on a task of its own: a reload may take its time without holding the agent up.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

use crate::{
    decision::Decision,
    proxy::{Applied, Proxy, ProxySettings, Sample},
};

const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// HAProxy is compared with the decision after so many samples.
const SAMPLES_PER_REPAIR: u64 = 2;
/// What open connections are given when HAProxy is stopped.
const GRACE: Duration = Duration::from_secs(10);

/// What the agent sees of HAProxy.
#[derive(Clone, Debug, Default)]
pub(super) struct ProxyView {
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
    decisions: watch::Sender<Arc<Decision>>,
    pub(super) view: watch::Receiver<ProxyView>,
    /// HAProxy obeys another decision: what was promised on condition of it can be told.
    pub(super) obeys: Arc<Notify>,
    stop: mpsc::Sender<bool>,
    task: JoinHandle<()>,
}

impl ProxyTask {
    /// Nothing runs and nothing is obeyed.
    pub(super) fn none() -> Self {
        let (decisions, _) = watch::channel(Arc::new(Decision::default()));
        let (_, view) = watch::channel(ProxyView::default());
        Self { decisions, view, obeys: Arc::default(), stop: mpsc::channel(1).0, task: tokio::spawn(async {}) }
    }

    /// Waits until HAProxy serves. A failure is told in the view and tried again with the next decision.
    pub(super) async fn start(settings: ProxySettings, first: Arc<Decision>) -> Self {
        let (decisions, receiver) = watch::channel(first);
        let (shown, view) = watch::channel(ProxyView::default());
        let (stop, stopped) = mpsc::channel(1);
        let proxy = open(&settings, &receiver, &shown).await;
        let obeys = Arc::new(Notify::new());
        let task = tokio::spawn(run(settings, proxy, receiver, shown, stopped, Arc::clone(&obeys)));
        Self { decisions, view, obeys, stop, task }
    }

    pub(super) fn apply(&self, decision: Arc<Decision>) {
        let _ = self.decisions.send(decision);
    }

    /// Ends the task; HAProxy goes on unless it is to be `stopped`.
    pub(super) async fn end(self, stopped: bool) {
        let _ = self.stop.send(stopped).await;
        if tokio::time::timeout(GRACE * 2, self.task).await.is_err() {
            tracing::warn!("haproxy did not end in time");
        }
    }
}

async fn open(
    settings: &ProxySettings,
    decisions: &watch::Receiver<Arc<Decision>>,
    shown: &watch::Sender<ProxyView>,
) -> Option<Proxy> {
    let decision = decisions.borrow().clone();
    match Proxy::start(settings.clone(), &decision).await {
        Ok(proxy) => {
            shown.send_modify(|view| {
                (view.error, view.refused) = (None, None);
                view.obeyed = decision;
            });
            Some(proxy)
        }
        Err(e) => {
            report(shown, &format!("{e}"));
            None
        }
    }
}

/// Logs an error once, not at every try.
fn report(shown: &watch::Sender<ProxyView>, error: &str) {
    let known = shown.borrow().error.as_deref() == Some(error);
    if !known {
        tracing::error!("haproxy: {error}");
        shown.send_modify(|view| view.error = Some(error.to_owned()));
    }
}

async fn run(
    settings: ProxySettings,
    mut proxy: Option<Proxy>,
    mut decisions: watch::Receiver<Arc<Decision>>,
    shown: watch::Sender<ProxyView>,
    mut stopped: mpsc::Receiver<bool>,
    obeys: Arc<Notify>,
) {
    let mut tick = interval(SAMPLE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut in_step = true;
    let mut samples = 0;
    loop {
        tokio::select! {
            end = stopped.recv() => {
                let Some(proxy) = proxy.take() else { return };
                if end == Some(true) {
                    if let Err(e) = proxy.stop(GRACE).await {
                        tracing::warn!("haproxy does not stop: {e}");
                    }
                } else {
                    proxy.leave_running().await;
                }
                return;
            }
            changed = decisions.changed() => {
                if changed.is_err() {
                    // The agent is gone: HAProxy goes on.
                    if let Some(proxy) = proxy.take() {
                        proxy.leave_running().await;
                    }
                    return;
                }
                in_step = false;
            }
            _ = tick.tick() => {
                if let Some(proxy) = &mut proxy {
                    observe(proxy, &shown).await;
                    samples += 1;
                    if in_step && samples % SAMPLES_PER_REPAIR == 0 {
                        repair(proxy, &shown).await;
                        in_step = proxy.is_in_step();
                    }
                }
            }
        }
        if proxy.is_none() {
            proxy = open(&settings, &decisions, &shown).await;
            in_step = proxy.is_some();
        }
        if let (false, Some(proxy)) = (in_step, &mut proxy) {
            let decision = decisions.borrow_and_update().clone();
            match proxy.apply(&decision).await {
                Ok(applied) => {
                    tracing::debug!(version = decision.version, ?applied, "haproxy obeys");
                    in_step = true;
                    shown.send_modify(|view| {
                        (view.error, view.refused) = (None, None);
                        view.obeyed = decision;
                        view.reloads += u64::from(applied == Applied::Reloaded);
                    });
                    obeys.notify_one();
                }
                Err(e) => refused(&shown, &format!("{e}")),
            }
        }
    }
}

/// Logs a refusal once, not at every try.
fn refused(shown: &watch::Sender<ProxyView>, why: &str) {
    let known = shown.borrow().refused.as_deref() == Some(why);
    if !known {
        tracing::error!("haproxy does not take the decision, the one before stays in force: {why}");
        shown.send_modify(|view| view.refused = Some(why.to_owned()));
    }
}

async fn repair(proxy: &mut Proxy, shown: &watch::Sender<ProxyView>) {
    match proxy.repair().await {
        Ok(0) => {}
        Ok(n) => {
            tracing::warn!("haproxy did not run what it was told: {n} values put right");
            shown.send_modify(|view| view.repaired += n as u64);
        }
        Err(e) => report(shown, &format!("{e}")),
    }
}

async fn observe(proxy: &mut Proxy, shown: &watch::Sender<ProxyView>) {
    match proxy.sample().await {
        Ok(sample) => shown.send_modify(|view| view.sample = sample),
        Err(e) => return report(shown, &format!("{e}")),
    }
    match proxy.health().await {
        Ok(health) => shown.send_modify(|view| {
            view.restarts = health.restarts;
            view.pid = health.pid;
            view.gateway_down = !health.gateway_up;
            view.error = None;
        }),
        Err(e) => report(shown, &format!("{e}")),
    }
}
