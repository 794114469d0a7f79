//! The agent of a DFaaS node. In reading order:
//!
//! * [`name`]: the validated names everything is keyed by (node, function, host)
//! * [`decision`]: what a strategy returns, and both data planes obey
//! * [`config`]: what the agent is told
//! * [`kernel`]: the kernel data plane
//! * [`platform`]: the FaaS platform that runs the functions of this node
//! * [`proxy`]: HAProxy, the data plane for what the kernel does not steer
//! * [`p2p`]: the overlay: discovery, broadcasts, direct messages between nodes

#![forbid(unsafe_code)]

pub mod config;
pub mod decision;
pub mod kernel;
pub mod name;
pub mod p2p;
pub mod platform;
pub mod proxy;
pub mod status;
pub mod strategy;
