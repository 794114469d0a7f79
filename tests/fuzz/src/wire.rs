//! What the kernel programs read of packets, by the code that they share with the host.

use dfaas_base::Reader;
use dfaas_common::{
    http::{MIN_REQUEST_LEN, NAME_LEN, Name, cut, prefix_len},
    options::{MAX_STEPS, NO_WINDOW_SCALE, Options, parse},
    siphash::Key,
    tunnel::{FIRST, tag},
};

pub(crate) const TARGETS: &[Reader] =
    &[("request-line", request_line), ("tcp-options", tcp_options), ("tunnel-tag", tunnel_tag)];

/// The kernel's reader and httparse find the same function, or none.
fn request_line(bytes: &[u8]) {
    if bytes.len() < MIN_REQUEST_LEN as usize {
        return;
    }
    let le = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| *bytes.get(at + i).unwrap_or(&0)));
    let prefix = prefix_len(le(0), le(8)) as usize;
    let mut name = Name(std::array::from_fn(|i| le(prefix + 8 * i)));
    let read = (prefix != 0 && cut(&mut name)).then_some(name);
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut headers = [httparse::EMPTY_HEADER; 1];
    let mut request = httparse::Request::new(&mut headers);
    // What it refuses, HAProxy answers in the kernel's place.
    let head = [line, b"\r\n"].concat();
    if request.parse(&head).is_err() {
        return;
    }
    let Some(path) = request.path else { return };
    let steered = (bytes.starts_with(b"GET ") || bytes.starts_with(b"POST ")) && request.version.is_some();
    let expected = path.strip_prefix("/function/").filter(|_| steered).and_then(|rest| {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        Name::new(&rest[..end]).filter(|_| (1..NAME_LEN).contains(&end))
    });
    if steered {
        assert_eq!(read, expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

/// The same by slices instead of masked indices (RFC 9293, 3.1).
fn options_of(mut rest: &[u8]) -> Options {
    let mut options = Options::NONE;
    for _ in 0..MAX_STEPS {
        match rest {
            [1, next @ ..] => rest = next,
            [kind, len, ..] if *kind != 0 && *len >= 2 && usize::from(*len) <= rest.len() => {
                let (option, next) = rest.split_at(usize::from(*len));
                match (kind, &option[2..]) {
                    (2, &[high, low]) => options.mss = u16::from_be_bytes([high, low]),
                    (3, &[shift]) => options.window_scale = shift.min(14),
                    (4, []) => options.sack = true,
                    (8, times) if times.len() == 8 => {
                        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| times[at + i]));
                        options.has_timestamp = true;
                        (options.timestamp, options.timestamp_echo) = (word(0), word(4));
                    }
                    _ => {}
                }
                rest = next;
            }
            _ => break,
        }
    }
    options
}

fn tcp_options(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(40)];
    let mut buffer = [0xff; 64];
    buffer[..bytes.len()].copy_from_slice(bytes);
    let read = parse(&buffer, bytes.len() as u32);
    assert_eq!(read, options_of(bytes));
    assert!(read.window_scale <= NO_WINDOW_SCALE);
}

/// No byte of a packet can change behind its tag.
fn tunnel_tag(bytes: &[u8]) {
    let Some(([at, flip], inner)) = bytes.split_first_chunk::<2>().filter(|(_, inner)| inner.len() >= 8) else {
        return;
    };
    let of = |inner: &[u8]| tag(Key(1, 2), FIRST, 0, 3, inner);
    let mut other = inner.to_vec();
    let at = usize::from(*at) % other.len();
    other[at] ^= flip;
    assert_eq!(of(inner) == of(&other), *flip == 0, "byte {at} of {}", inner.len());
}
