//! What the service manager is told (sd_notify(3)); nothing where there is none.

use std::time::Duration;

use sd_notify::{NotifyState, notify};

/// The node serves.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// The start takes so much longer: what it waits for.
pub(crate) fn waiting(what: &str, longer: Duration) {
    let longer = u32::try_from(longer.as_micros()).unwrap_or(u32::MAX);
    tell(&[NotifyState::ExtendTimeoutUsec(longer), NotifyState::Status(what)]);
}

pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = notify(state) {
        tracing::debug!("cannot tell the service manager: {e}");
    }
}
