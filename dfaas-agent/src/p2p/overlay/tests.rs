//! Several overlays in one process on 127.0.0.1.

mod foreign;
mod hostile;
mod mesh;
mod node;
mod restart;
mod state;
