//! Bytes on a connection, piece by piece: for what no HTTP client would send.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::netns::Entrance;

/// An answer longer than this is cut.
const ANSWER_MAX_BYTES: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub enum Piece {
    /// Sent at once, in a segment of its own where the size allows it.
    Send(Vec<u8>),
    Wait(Duration),
    /// No more from here: the other side sees the end.
    Finish,
}

impl Piece {
    pub fn text(text: &str) -> Self {
        Self::Send(text.as_bytes().to_vec())
    }
}

/// Connects, sends the pieces, and reads until the other side closes. `timeout` holds for each wait for bytes.
pub fn exchange(from: &Entrance, to: SocketAddr, pieces: &[Piece], timeout: Duration) -> Result<Vec<u8>> {
    from.enter(|| {
        let mut stream = TcpStream::connect_timeout(&to, timeout).with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        for piece in pieces {
            match piece {
                Piece::Send(bytes) => stream.write_all(bytes).with_context(|| format!("cannot send to {to}"))?,
                Piece::Wait(time) => thread::sleep(*time),
                Piece::Finish => stream.shutdown(Shutdown::Write)?,
            }
        }
        let mut answer = Vec::new();
        let read = stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer);
        read.with_context(|| format!("after {} bytes from {to}: {:?}", answer.len(), shown(&answer)))?;
        Ok(answer)
    })?
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
