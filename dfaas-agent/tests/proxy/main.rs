//! The proxy with a real HAProxy on loopback addresses, and small servers as gateway and as peers.

mod adoption;
mod client;
mod harness;
mod limits;
mod random;
mod reload;
mod rules;
