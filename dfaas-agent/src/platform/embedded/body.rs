//! A request body read whole before anything starts: a slow or vanishing client holds no process, and no
//! function sees half a body.

use std::{fmt, time::Duration};

use axum::body::HttpBody;
use futures::StreamExt;
use tokio::time::timeout;

use super::budget::{Exhausted, Lease};

#[derive(Clone, Debug)]
pub(super) struct BodyLimits {
    pub(super) bytes: usize,
    pub(super) timeout: Duration,
}

#[derive(Debug)]
pub(super) enum BodyError {
    TooLong { limit_bytes: usize },
    TimedOut(Duration),
    Memory,
    Broken(axum::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit_bytes } => write!(f, "the body is too long: expected at most {limit_bytes} bytes"),
            Self::TimedOut(limit) => write!(f, "the body did not arrive within {} s", limit.as_secs_f64()),
            Self::Memory => f.write_str("no memory left for more bodies"),
            Self::Broken(error) => write!(f, "the body broke off: {error}"),
        }
    }
}

impl std::error::Error for BodyError {}

/// In one piece: kept as the chunks it came in, a body of one-byte chunks would take many times its length.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    _lease: Lease,
}

/// A body beyond the limit is read on and dropped up to twice the limit: a client that is still writing
/// would otherwise see a reset connection and not the answer.
pub(super) async fn read(body: axum::body::Body, limits: &BodyLimits, mut lease: Lease) -> Result<Body, BodyError> {
    let too_long = BodyError::TooLong { limit_bytes: limits.bytes };
    let drop_limit = limits.bytes.saturating_mul(2);
    if body.size_hint().lower() > drop_limit as u64 {
        return Err(too_long);
    }
    let collect = async {
        let mut stream = body.into_data_stream();
        let (mut bytes, mut received) = (Vec::new(), 0_usize);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(BodyError::Broken)?;
            received = received.saturating_add(chunk.len());
            if received > drop_limit {
                return Err(too_long);
            }
            if received > limits.bytes {
                bytes = Vec::new();
            } else {
                lease.grow(chunk.len()).map_err(|Exhausted| BodyError::Memory)?;
                bytes.extend_from_slice(&chunk);
            }
        }
        if received > limits.bytes { Err(too_long) } else { Ok(Body { bytes, _lease: lease }) }
    };
    timeout(limits.timeout, collect).await.unwrap_or(Err(BodyError::TimedOut(limits.timeout)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;
    use crate::platform::embedded::budget::Budget;

    const LIMITS: BodyLimits = BodyLimits { bytes: 10, timeout: Duration::from_secs(30) };

    fn chunked(chunks: &[&'static str]) -> axum::body::Body {
        let chunks: Vec<Result<_, std::io::Error>> =
            chunks.iter().map(|c| Ok(Bytes::from_static(c.as_bytes()))).collect();
        axum::body::Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_within_the_limit_comes_whole() {
        let budget = Budget::new(100);
        let body = read(chunked(&["01234", "", "56789"]), &LIMITS, budget.lease()).await.unwrap();
        assert_eq!((body.bytes.as_slice(), budget.used_bytes()), (b"0123456789".as_slice(), 10));
        drop(body);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test]
    async fn limits_of_one_body_and_of_all_bodies_hold() {
        let budget = Budget::new(15);
        let read = |chunks| read(chunked(chunks), &LIMITS, budget.lease());
        assert!(matches!(read(&["0123456789", "a"]).await, Err(BodyError::TooLong { .. })));
        assert!(matches!(read(&["0123456789", "0123456789", "0123456789"]).await, Err(BodyError::TooLong { .. })));
        let held = read(&["012345678"]).await.unwrap();
        assert!(matches!(read(&["0123456"]).await, Err(BodyError::Memory)));
        drop(held);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let never = axum::body::Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(matches!(read(never, &LIMITS, Budget::new(10).lease()).await, Err(BodyError::TimedOut(_))));
    }
}
