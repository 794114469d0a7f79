//! The test bed: network namespaces, links, processes in them; and the federation emulator built on it. In reading order:
//!
//! * [`netns`]: namespaces, entered by threads, removed with all that runs in them
//! * [`network`]: hosts on one switch, with what XDP needs of veth
//! * [`federation`]: nodes with their agents on such a network
//! * [`client`]: calls and loads from a namespace

#![forbid(unsafe_code)]

pub mod client;
pub mod federation;
pub mod netns;
pub mod network;
