//! The overlay: who the other nodes are, and what they tell each other. In reading order:
//!
//! * [`identity`]: the key file and the node id
//! * [`message`]: the broadcasts of the original agents

pub mod identity;
pub mod message;

/// Text of a remote side for logs and errors: escaped and cut.
fn shown(text: &str) -> String {
    text.chars().take(160).flat_map(char::escape_debug).collect()
}
