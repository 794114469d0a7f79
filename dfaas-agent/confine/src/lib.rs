//! A function is somebody's program on this machine. Before it starts, the process that becomes it gives up what it does not
//! need, step by step ([`init`]), as an [`order`] says that comes in front of its input. The agent keeps a control group
//! ([`groups`]) for each call, with which whatever a call has started ends, wherever it went.
//!
//! The agent has no `unsafe`, and Rust runs code between fork and exec only in it: hence a program in between, which is the
//! agent's own. It costs an exec (docs/security.md has the figure).

#![forbid(unsafe_code)]

mod calls;
mod files;
pub mod groups;
pub mod init;
pub mod order;
