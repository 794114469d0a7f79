//! The test bed: network namespaces, links, processes in them; and the federation emulator built on it.
//!
//! * [`netns`]: namespaces, entered by threads, removed with all that runs in them
//! * [`network`]: hosts on one switch, with what XDP needs of veth

pub mod netns;
pub mod network;
