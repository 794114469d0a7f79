//! What is called.

/// A function that node A hands to node B, and one that it refuses.
pub(super) const FORWARDED: &str = "figlet";
pub(super) const REFUSED: &str = "nowhere";
/// End of the path of calls that the service with bodies answers.
pub(super) const BODIES: &str = "/bodies";
