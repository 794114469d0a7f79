//! The FaaS platform with real processes and real HTTP on loopback.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "platform/admin.rs"]
mod admin;
#[path = "platform/calls.rs"]
mod calls;
#[path = "platform/cost.rs"]
mod cost;
#[path = "platform/ends.rs"]
mod ends;
#[path = "platform/limits.rs"]
mod limits;
#[path = "platform/openfaas.rs"]
mod openfaas;
#[path = "platform/runner.rs"]
mod runner;
