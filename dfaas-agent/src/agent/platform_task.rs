//! Asks the FaaS platform what it runs, on a task of its own: a platform that hangs holds nothing up.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{name::FunctionName, once::Once, platform::Platform};

const POLL_INTERVAL: Duration = Duration::from_secs(1);
const POLL_TIMEOUT: Duration = Duration::from_secs(5);

/// One deployed function, as far as the agent cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deployed {
    pub(super) max_rate: Option<u32>,
    pub(super) timeout: Option<Duration>,
    pub(super) replicas: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct PlatformView {
    /// The last list that could be had.
    pub(super) functions: BTreeMap<FunctionName, Deployed>,
    /// `None`: all is well.
    pub(super) error: Option<String>,
    /// True once a list could be had.
    pub(super) known: bool,
}

/// Polls until the receiver is gone. The first answer, good or bad, is there when this returns.
pub(super) async fn start(
    platform: Arc<dyn Platform>,
    rate_limits: BTreeMap<FunctionName, u32>,
) -> watch::Receiver<PlatformView> {
    let (shown, view) = watch::channel(PlatformView::default());
    let mut trouble = Once::default();
    poll(&*platform, &rate_limits, &shown, &mut trouble).await;
    tokio::spawn(async move {
        let mut tick = interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shown.is_closed() {
            tick.tick().await;
            poll(&*platform, &rate_limits, &shown, &mut trouble).await;
        }
    });
    view
}

async fn poll(
    platform: &dyn Platform,
    rate_limits: &BTreeMap<FunctionName, u32>,
    shown: &watch::Sender<PlatformView>,
    trouble: &mut Once<String>,
) {
    let list = async {
        platform.health().await?;
        platform.functions().await
    };
    let answer = match timeout(POLL_TIMEOUT, list).await {
        Ok(answer) => answer,
        Err(_) => Err(anyhow::anyhow!("no answer within {POLL_TIMEOUT:?}")),
    };
    match answer {
        Ok(list) => {
            let deployed = list.into_iter().map(|f| {
                let max_rate = rate_limits.get(&f.name).copied().or(f.max_rate);
                (f.name, Deployed { max_rate, timeout: f.timeout, replicas: f.replicas })
            });
            let functions: BTreeMap<_, _> = deployed.collect();
            if trouble.is_over() {
                tracing::info!("the platform answers again");
            }
            shown.send_if_modified(|view| {
                let changed = view.functions != functions || view.error.is_some() || !view.known;
                view.error = None;
                view.known = true;
                view.functions = functions;
                changed
            });
        }
        Err(e) => {
            let error = format!("{e:#}");
            if trouble.is_new(error.clone()) {
                tracing::warn!("the platform does not answer, its last list stays in force: {error}");
                shown.send_modify(|view| view.error = Some(error));
            }
        }
    }
}
