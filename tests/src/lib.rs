//! The test bed: network namespaces, links, processes in them; and the federation emulator built on it. In reading order:
//!
//! * [`built`]: where this program and its siblings are
//! * [`machine`]: what the machine beneath must have
//! * [`netns`]: namespaces, entered by threads, removed with all that runs in them
//! * [`network`]: hosts on one switch, with what XDP needs of veth
//! * [`link`]: links that lose, repeat and delay frames
//! * [`federation`]: nodes with their agents on such a network
//! * [`pair`]: two nodes without agents, their tables written by hand
//! * [`client`]: calls and loads from a namespace
//! * [`mod@flood`]: SYNs with forged sources
//! * [`packet`]: frames, built and checked without the product's own code
//! * [`scenario`]: loads on a federation, and what is expected of it
//! * [`hosts`]: hosts that boot a real systemd
//! * [`service`]: HTTP services in a namespace
//! * [`stop`]: the wish to end, from a signal
//! * [`view`]: what the emulator shows
//! * [`emulator`]: the command `federation run`
//! * [`mod@bench`]: the command `federation bench`: the kernel path against the proxy it replaces
//! * [`matrix`]: the command `federation matrix`: nodes on other kernels and drivers, as guests under QEMU
//! * [`overlay`]: the command `federation overlay`: what many agents in one overlay pay

#![forbid(unsafe_code)]

pub mod bench;
pub mod built;
pub mod client;
pub mod emulator;
pub mod federation;
pub mod flood;
pub mod hosts;
pub mod link;
pub mod machine;
pub mod matrix;
pub mod netns;
pub mod network;
pub mod overlay;
pub mod packet;
pub mod pair;
pub mod scenario;
pub mod service;
pub mod stop;
pub mod view;
