//! The proxy with a real HAProxy on loopback addresses, and small servers as gateway and as peers.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod adoption;
mod client;
mod gateway;
mod harness;
mod heads;
mod limits;
mod original;
mod random;
mod reload;
mod rules;
