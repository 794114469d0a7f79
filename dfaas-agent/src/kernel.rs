//! The kernel data plane, seen from user space.
//!
//! * [`mode`]: what this kernel can do, and why not more
//! * [`object`]: the programs as an ELF image, fitted to the running kernel ([`btf`], [`kfunc`])
//! * [`load`]: load, attach, take over, detach ([`pins`])
//! * [`tables`]: typed handles of the maps, the only place that knows their names
//! * [`secrets`], [`clock`], [`network`]: what the maps are filled with besides
//! * [`plan`]: a decision as map contents; [`sync`]: the difference written

pub mod btf;
pub mod clock;
pub mod kfunc;
pub mod load;
pub mod mode;
pub mod network;
pub mod object;
pub mod pins;
pub mod plan;
pub mod secrets;
pub mod sync;
pub mod tables;
