//! A function that takes bodies of any size and gives them back, and counts them: what did not arrive is seen.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::Result;
use axum::{Router, extract::DefaultBodyLimit};
use bytes::Bytes;

use crate::{netns::Namespace, service::Service};

pub(super) const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

pub(super) struct Bodies {
    received_bytes: Arc<AtomicU64>,
    _service: Service,
}

impl Bodies {
    pub(super) fn start(namespace: &Namespace) -> Result<Self> {
        let received_bytes = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&received_bytes);
        let echo = move |body: Bytes| {
            count.fetch_add(body.len() as u64, Relaxed);
            async { body }
        };
        let router = Router::new().fallback(echo).layer(DefaultBodyLimit::disable());
        let service = Service::start(&namespace.entrance()?, ADDRESS, router)?;
        Ok(Self { received_bytes, _service: service })
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Relaxed)
    }
}
