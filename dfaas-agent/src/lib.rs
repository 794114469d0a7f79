//! The agent of a DFaaS node. In reading order:
//!
//! * [`name`]: the validated names everything is keyed by (node, function, host)
//! * [`endpoint`], [`mode`]: words that everything uses; `request_rules`: what a request may look like
//! * [`config`]: what the agent is told
//! * [`decision`]: what a strategy returns, and both data planes obey
//! * [`strategy`]: pure functions from what is known to a decision
//! * [`forecast`]: what a node uses under a load
//! * [`rl_model`]: the service that the RL agent asks
//! * [`peers`], [`rates`]: what is known
//! * [`kernel`]: the kernel data plane
//! * [`proxy`]: HAProxy, the data plane for what the kernel does not steer
//! * [`platform`]: the FaaS platform that runs the functions of this node
//! * [`p2p`]: the overlay: discovery, broadcasts, direct messages between nodes
//! * [`agent`]: the loop that joins them
//! * [`status`], [`metrics`], [`http`]: what it says of itself
//! * [`untrusted`]: all readers of what others say, for the fuzzer
//! * [`cli`], [`logging`]: the commands of a node; `supervisor`: what systemd is told
//!
//! Load player, simulators and the program itself are crates of their own, below this folder.

#![forbid(unsafe_code)]

mod agent;
pub mod cli;
mod config;
pub mod decision;
mod endpoint;
pub mod forecast;
mod http;
mod http_body;
pub mod kernel;
mod logging;
mod metrics;
pub mod mode;
pub mod name;
mod once;
pub mod p2p;
mod peers;
pub mod platform;
pub mod proxy;
mod rates;
mod request_rules;
mod rl_model;
mod server;
mod sparse;
pub mod status;
pub mod strategy;
mod supervisor;
#[doc(hidden)]
pub mod untrusted;
