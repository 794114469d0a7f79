//! The overlay: who the other nodes are, and what they tell each other. In reading order:
//!
//! * [`identity`]: the key file and the node id
//! * [`message`]: the broadcasts of the original agents
//! * [`direct`]: what our own nodes tell each other beside them
//! * [`event`]: what the agent hears of all this
//! * [`members`], `federation`, `hosts`, `authors`, `faults`, `tally`: who may come and speak, how often, and who did
//! * `swarm`, `streams`, `meter`, `gossip`: libp2p set up as the original's, and what must not go on unnoticed
//! * `dht`, `mdns`, `names`: where nodes are found
//! * `dial`, `address`: whom to connect to
//! * `overlay`, `handle`: the task that owns the node, and the agent's side of it

pub mod direct;
pub mod event;
pub mod identity;
pub mod members;
pub mod message;

mod address;
mod authors;
mod bucket;
mod counters;
mod dht;
mod dial;
mod faults;
mod federation;
mod gossip;
mod handle;
mod hosts;
mod mdns;
mod meter;
mod names;
mod overlay;
mod streams;
mod swarm;
mod tally;
pub(crate) mod untrusted;

pub use counters::{Count, Counters};
pub use dht::DEFAULT_RENDEZVOUS;
pub use event::OverlayEvent;
pub use federation::{Secret, TooShort};
pub use gossip::DEFAULT_TOPIC;
pub use handle::{ConnectedPeer, OverlayError, OverlayHandle};
pub use members::{Members, MembersChange};
pub use overlay::{OverlaySettings, start};
pub use tally::MessageCount;

/// Text of a remote side for logs and errors: escaped and cut.
fn shown(text: &str) -> String {
    text.chars().take(160).flat_map(char::escape_debug).collect()
}
