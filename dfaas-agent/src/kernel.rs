//! The kernel data plane, seen from user space.
//!
//! * [`mode`]: what this kernel can do, and why not more
//! * [`object`]: the programs as an ELF image, fitted to the running kernel ([`btf`], [`kfunc`])
//! * [`load`]: load, attach, take over, detach ([`pins`])
//! * [`tables`]: typed handles of the maps, the only place that knows their names
//! * [`secrets`], [`clock`], [`network`], [`next_hops`], [`sockets`]: what the maps are filled with besides
//! * [`firewall`]: placed connections kept apart from connection tracking
//! * [`plan`]: a decision as map contents; [`mirror`]: the difference written, through the operations in [`maps`]

pub(crate) mod btf;
pub(crate) mod clock;
pub(crate) mod firewall;
pub(crate) mod kfunc;
pub mod load;
pub(crate) mod maps;
pub(crate) mod mirror;
pub mod mode;
pub(crate) mod network;
pub(crate) mod next_hops;
pub mod object;
pub mod pins;
pub(crate) mod plan;
pub(crate) mod secrets;
pub(crate) mod sockets;
pub mod tables;
