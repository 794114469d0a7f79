//! Frames on a direct stream: an unsigned varint length, then that many bytes.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response::Codec};

use super::MAX_FRAME_BYTES;

/// Passes frames on unread; what is in them is judged by the overlay, which knows whom to tell.
#[derive(Clone, Debug, Default)]
pub(in crate::p2p) struct FrameCodec;

impl Codec for FrameCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_frame(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &frame).await
    }

    async fn write_response<T>(&mut self, _: &StreamProtocol, io: &mut T, frame: Vec<u8>) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write_frame(io, &frame).await
    }
}

async fn read_frame<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<Vec<u8>> {
    let length = read_length(io).await?;
    // Memory follows what arrives, not what was announced.
    let mut frame = Vec::new();
    io.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("frame ended after {} of {length} bytes", frame.len()),
        ));
    }
    Ok(frame)
}

/// At most three bytes: the bound fits 21 bits.
async fn read_length<T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<usize> {
    let mut length = 0;
    for shift in [0, 7, 14] {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            if length > MAX_FRAME_BYTES {
                break;
            }
            return Ok(length);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame length above {MAX_FRAME_BYTES} bytes")))
}

async fn write_frame<T: AsyncWrite + Unpin + Send>(io: &mut T, frame: &[u8]) -> io::Result<()> {
    if frame.len() > MAX_FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("frame of {} bytes", frame.len())));
    }
    let mut head = Vec::with_capacity(3);
    let mut length = frame.len();
    while length >= 0x80 {
        head.push(length as u8 | 0x80);
        length >>= 7;
    }
    head.push(length as u8);
    io.write_all(&head).await?;
    io.write_all(frame).await?;
    io.close().await
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        block_on(read_frame(&mut Cursor::new(bytes)))
    }

    #[test]
    fn frames_of_every_length_class_come_back_whole() {
        for length in [0, 1, 127, 128, 16_383, 16_384, MAX_FRAME_BYTES] {
            let frame: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let mut wire = Cursor::new(Vec::new());
            block_on(write_frame(&mut wire, &frame)).unwrap();
            assert_eq!(read(wire.get_ref()).unwrap(), frame);
        }
        assert_eq!(read(&[0x80, 0x01]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let mut wire = Cursor::new(Vec::new());
        block_on(write_frame(&mut wire, &[7; 300])).unwrap();
        assert_eq!(wire.get_ref()[..3], [0xac, 0x02, 7]);
    }

    #[test]
    fn a_length_above_the_bound_is_refused_before_any_byte_of_it() {
        let mut wire = Cursor::new(Vec::new());
        assert!(block_on(write_frame(&mut wire, &vec![0; MAX_FRAME_BYTES + 1])).is_err());
        for head in [[0x81, 0x80, 0x10, 0], [0xff, 0xff, 0xff, 0x7f], [0x80, 0x80, 0x80, 0x00]] {
            assert_eq!(read(&head).unwrap_err().kind(), io::ErrorKind::InvalidData, "{head:x?}");
        }
        assert_eq!(read(&[]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
