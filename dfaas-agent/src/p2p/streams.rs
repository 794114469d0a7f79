//! Streams that say when nobody listens any more. yamux as the original speaks it, and two rules on top for every
//! stream, because protocols of the library wait for ever where these are broken:
//!
//! * A write that makes no progress for [`STALLED_AFTER`] fails.
//! * A stream we opened ends for writing when the other side has ended its half. A peer that finds a message it cannot
//!   read does that to our gossip, and drops all that still comes. go-libp2p takes it for the end as well.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{AsyncRead, AsyncWrite, FutureExt, TryFutureExt, future};
use libp2p::{
    core::{
        muxing::{StreamMuxer, StreamMuxerEvent},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    },
    yamux,
};
use tokio::time::Sleep;

use super::{
    counters::{Count, Counters},
    meter,
};

/// Longer than an honest peer that is busy stops reading; shorter than anybody should miss what others hear.
const STALLED_AFTER: Duration = Duration::from_secs(10);
/// What is read ahead of a stream whose end is looked for.
const AHEAD: usize = 64;

/// The upgrade of a connection to yamux with watched streams.
#[derive(Clone)]
pub(super) struct Upgrade {
    yamux: yamux::Config,
    counters: Arc<Counters>,
}

impl Upgrade {
    pub(super) const fn new(yamux: yamux::Config, counters: Arc<Counters>) -> Self {
        Self { yamux, counters }
    }
}

impl UpgradeInfo for Upgrade {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.yamux.protocol_info()
    }
}

type Upgraded<F> =
    future::MapOk<F, Box<dyn FnOnce(<F as futures::TryFuture>::Ok) -> Muxer<<F as futures::TryFuture>::Ok> + Send>>;

impl<C> InboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<yamux::Muxer<C>>;
    type Error = io::Error;
    type Future = Upgraded<<yamux::Config as InboundConnectionUpgrade<C>>::Future>;

    fn upgrade_inbound(self, io: C, info: Self::Info) -> Self::Future {
        let Self { yamux, counters } = self;
        yamux.upgrade_inbound(io, info).map_ok(Box::new(|muxer| Muxer { muxer, counters }))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Upgrade
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<yamux::Muxer<C>>;
    type Error = io::Error;
    type Future = Upgraded<<yamux::Config as OutboundConnectionUpgrade<C>>::Future>;

    fn upgrade_outbound(self, io: C, info: Self::Info) -> Self::Future {
        let Self { yamux, counters } = self;
        yamux.upgrade_outbound(io, info).map_ok(Box::new(|muxer| Muxer { muxer, counters }))
    }
}

/// A connection whose streams are watched.
pub(super) struct Muxer<M> {
    muxer: M,
    counters: Arc<Counters>,
}

impl<M: StreamMuxer + Unpin> Muxer<M> {
    fn inner(&mut self) -> Pin<&mut M> {
        Pin::new(&mut self.muxer)
    }
}

impl<M> StreamMuxer for Muxer<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = Watched<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(self.inner().poll_inbound(cx))?;
        Poll::Ready(Ok(Watched::new(stream, false, Arc::clone(&self.counters))))
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        let stream = ready!(self.inner().poll_outbound(cx))?;
        Poll::Ready(Ok(Watched::new(stream, true, Arc::clone(&self.counters))))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner().poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        self.inner().poll(cx)
    }
}

/// One stream. Reading and writing it must be up to one task, as it is in every protocol here: looking for its end
/// takes the place of a reader that waits.
pub(super) struct Watched<S> {
    stream: S,
    /// We opened it.
    ours: bool,
    /// Read ahead of the reader.
    ahead: Vec<u8>,
    ended: bool,
    stalled: Option<Pin<Box<Sleep>>>,
    counters: Arc<Counters>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Watched<S> {
    const fn new(stream: S, ours: bool, counters: Arc<Counters>) -> Self {
        Self { stream, ours, ahead: Vec::new(), ended: false, stalled: None, counters }
    }

    /// Fails if we opened the stream and the other side has ended its half.
    fn ensure_heard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if !self.ours || !self.ahead.is_empty() {
            return Ok(());
        }
        let mut bytes = [0; AHEAD];
        if !self.ended
            && let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut bytes)?
        {
            self.ahead.extend_from_slice(&bytes[..read]);
            self.ended = read == 0;
            if self.ended {
                self.counters.add(Count::StreamEnded);
            }
        }
        if self.ended { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }

    /// Passes on how a write went, or fails if it has waited for too long.
    fn timed<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            if matches!(written, Poll::Ready(Err(_))) {
                meter::blocked();
            }
            return written;
        }
        meter::blocked();
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(STALLED_AFTER)));
        ready!(stalled.poll_unpin(cx));
        self.counters.add(Count::StreamStalled);
        self.stalled = None;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, bytes);
        }
        let read = self.ahead.len().min(bytes.len());
        bytes[..read].copy_from_slice(&self.ahead[..read]);
        self.ahead.drain(..read);
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Err(ended) = self.ensure_heard(cx) {
            return self.timed(cx, Poll::Ready(Err(ended)));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            meter::wrote(bytes);
        }
        self.timed(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.timed(cx, flushed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_close(cx);
        self.timed(cx, closed)
    }
}

#[cfg(test)]
mod tests;
