//! Everything that others say, read from plain bytes: what `cargo xtask fuzz` tries (`tests/fuzz`).

use dfaas_base::Reader;

use crate::{config, forecast, p2p, platform, proxy};

pub fn readers() -> impl Iterator<Item = Reader> {
    let parts: [&'static [Reader]; 5] = [
        p2p::untrusted::READERS,
        platform::READERS,
        proxy::untrusted::READERS,
        forecast::untrusted::READERS,
        config::untrusted::READERS,
    ];
    parts.into_iter().flatten().copied()
}
