//! Several overlays in one process on 127.0.0.1.

mod foreign;
mod hostile;
mod links;
mod members;
mod mesh;
mod multicast;
mod node;
mod plain;
mod restart;
mod secret;
mod state;
