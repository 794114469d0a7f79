//! The load player against real servers on loopback, good and bad ones.

#![cfg(feature = "load")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "load/arrivals.rs"]
mod arrivals;
#[path = "load/commands.rs"]
mod commands;
#[path = "load/scenarios.rs"]
mod scenarios;
#[path = "load/server.rs"]
mod server;
#[path = "load/servers.rs"]
mod servers;
