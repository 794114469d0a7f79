use std::collections::VecDeque;

use futures::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A stream with room for so many bytes.
#[derive(Default)]
struct Fake {
    room: usize,
    written: Vec<u8>,
    incoming: VecDeque<u8>,
    /// The other side has ended its half.
    ended: bool,
}

impl AsyncRead for Fake {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.incoming.is_empty() && !self.ended {
            return Poll::Pending;
        }
        let read = self.incoming.len().min(bytes.len());
        bytes.iter_mut().zip(self.incoming.drain(..read)).for_each(|(byte, read)| *byte = read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Fake {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.room.min(bytes.len());
        self.room -= written;
        self.written.extend_from_slice(&bytes[..written]);
        if written == 0 { Poll::Pending } else { Poll::Ready(Ok(written)) }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn watched(ours: bool, room: usize) -> Watched<Fake> {
    Watched::new(Fake { room, ..Fake::default() }, ours, Arc::default())
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_takes_fails_and_each_byte_taken_gives_more_time() {
    let mut stream = watched(true, 3);
    let start = tokio::time::Instant::now();
    let error = stream.write_all(b"four").await.unwrap_err();
    assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, STALLED_AFTER.as_secs()));
    assert_eq!(stream.stream.written, b"fou");

    for _ in 0..10 {
        let waited = tokio::time::timeout(STALLED_AFTER.mul_f64(0.99), stream.write(b"x")).await;
        assert!(waited.is_err(), "not given up before its time");
        stream.stream.room = 1;
        assert_eq!(stream.write(b"x").await.unwrap(), 1);
    }
    assert_eq!(stream.counters.get(Count::StreamStalled), 1);
}

#[tokio::test]
async fn a_stream_we_opened_ends_for_writing_when_the_other_side_ends_its_half() {
    let mut stream = watched(true, 100);
    stream.write_all(b"heard").await.unwrap();
    stream.stream.ended = true;
    assert_eq!(stream.write_all(b"not heard").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(stream.stream.written, b"heard");
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    assert_eq!(stream.counters.get(Count::StreamEnded), 1);
}

#[tokio::test]
async fn what_comes_before_the_end_is_read_whole_and_in_order() {
    let mut stream = watched(true, 100);
    let sent: Vec<u8> = (0..AHEAD as u8 * 3).collect();
    stream.stream.incoming.extend(&sent);
    stream.stream.ended = true;
    stream.write_all(b"the end is not seen yet").await.unwrap();
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    assert_eq!(read, sent);
    assert!(stream.write_all(b"now it is").await.is_err());
}

/// Who answers writes after the question has ended.
#[tokio::test]
async fn a_stream_the_other_side_opened_may_be_answered_after_its_end() {
    let mut stream = watched(false, 100);
    stream.stream.incoming.extend(b"question");
    stream.stream.ended = true;
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    stream.write_all(b"answer").await.unwrap();
    assert_eq!((read.as_slice(), stream.stream.written.as_slice()), (&b"question"[..], &b"answer"[..]));
}
