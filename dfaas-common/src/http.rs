//! From the request line (RFC 9112, 3) to the function's name, without branches over the bytes.

/// Longest name with its ending zero, bytes.
pub const NAME_LEN: usize = 64;
/// A shorter request cannot name a function: `GET /function/x `.
pub const MIN_REQUEST_LEN: u32 = 16;

/// A function's name padded with zeroes, in eight words, so that it is compared and masked quickly. Map key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct Name(pub [u64; NAME_LEN / 8]);

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = ONES << 7;

#[inline(always)]
const fn word(bytes: &[u8; 8]) -> u64 {
    u64::from_le_bytes(*bytes)
}

/// High bit of every byte that is below `n` (at most 128). Exact for the lowest such byte; higher ones may be wrong.
#[inline(always)]
const fn below(bytes: u64, n: u64) -> u64 {
    bytes.wrapping_sub(ONES.wrapping_mul(n)) & !bytes & HIGH
}

/// Number of bytes before the name, from the first sixteen bytes of a request (little-endian words); 0 if this is not
/// `GET` or `POST` of `/function/`. Other methods are rare and left to HAProxy.
#[inline(always)]
pub fn prefix_len(first: u64, second: u64) -> u32 {
    if first == word(b"POST /fu") && second & ((1 << 56) - 1) == word(b"nction/\0") {
        15
    } else if first == word(b"GET /fun") && second & ((1 << 48) - 1) == word(b"ction/\0\0") {
        14
    } else {
        0
    }
}

/// Cuts off the bytes behind the name. False if the name is empty, longer than 63 bytes, or not ended by ` `, `/` or
/// `?` within the buffer: the request line may then go on in the next packet.
#[inline(always)]
pub fn cut(name: &mut Name) -> bool {
    let mut live = u64::MAX;
    let mut bad = 0u64;
    for slot in &mut name.0 {
        let bytes = *slot;
        let stop = below(bytes, 0x21) | below(bytes ^ (ONES * b'/' as u64), 1) | below(bytes ^ (ONES * b'?' as u64), 1);
        let first = stop & stop.wrapping_neg();
        // Zero (end of the data) and other control characters end a name that is not complete.
        bad |= below(bytes, 0x20) & first & live;
        *slot = bytes & live & (first >> 7).wrapping_sub(1);
        live &= u64::from(stop != 0).wrapping_sub(1);
    }
    live == 0 && bad == 0 && name.0[0] & 0xff != 0
}

impl Name {
    /// `None` if the text is longer than 63 bytes.
    pub fn new(text: &str) -> Option<Self> {
        if text.len() >= NAME_LEN {
            return None;
        }
        let mut bytes = [0u8; NAME_LEN];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let mut name = Self::default();
        for (slot, chunk) in name.0.iter_mut().zip(bytes.chunks_exact(8)) {
            *slot = u64::from_le_bytes(chunk.try_into().ok()?);
        }
        Some(name)
    }

    /// The name's bytes, padded with zeroes.
    pub fn bytes(&self) -> [u8; NAME_LEN] {
        let mut bytes = [0u8; NAME_LEN];
        for (chunk, slot) in bytes.chunks_exact_mut(8).zip(&self.0) {
            chunk.copy_from_slice(&slot.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the kernel does: sixteen bytes, then up to 64 from the name on.
    fn parse(request: &[u8]) -> Option<Name> {
        let le = |at: usize| word(&std::array::from_fn(|i| *request.get(at + i).unwrap_or(&0)));
        if request.len() < MIN_REQUEST_LEN as usize {
            return None;
        }
        let prefix = prefix_len(le(0), le(8)) as usize;
        let mut name = Name(std::array::from_fn(|i| le(prefix + 8 * i)));
        (prefix != 0 && cut(&mut name)).then_some(name)
    }

    /// The same said plainly.
    fn by_definition(request: &[u8]) -> Option<Name> {
        let rest = request.strip_prefix(b"POST /function/").or_else(|| request.strip_prefix(b"GET /function/"))?;
        let end = rest.iter().position(|b| *b <= b' ' || matches!(b, b'/' | b'?'))?;
        if rest[end] < b' ' || end == 0 || end >= NAME_LEN {
            return None;
        }
        std::str::from_utf8(&rest[..end]).ok().and_then(Name::new)
    }

    #[test]
    fn names_end_at_space_slash_or_question_mark() {
        for (line, want) in [
            ("POST /function/figlet HTTP/1.1\r\n", Some("figlet")),
            ("GET /function/a/b HTTP/1.1\r\n", Some("a")),
            ("GET /function/a123456789abcdef?x HTTP/1.1\r\n", Some("a123456789abcdef")),
            ("GET /function/ HTTP/1.1\r\n", None),
            ("GET /function/abc\r\n", None),
            ("GET /function/abc", None),
            ("GET /other/abcdefgh HTTP/1.1", None),
            ("PUT /function/figlet HTTP/1.1", None),
            ("get /function/figlet HTTP/1.1", None),
            ("POST  /function/figlet HTTP/1.1", None),
            ("GET /functions/figlet HTTP/1.1", None),
        ] {
            assert_eq!(parse(line.as_bytes()), want.and_then(Name::new), "{line:?}");
        }
    }

    #[test]
    fn every_split_point_gives_the_whole_name_or_none() {
        let line = b"POST /function/sentiment-analysis HTTP/1.1\r\nHost: x\r\n\r\n";
        let whole = Name::new("sentiment-analysis");
        let complete_from = b"POST /function/sentiment-analysis ".len();
        for cut in 0..=line.len() {
            let want = if cut >= complete_from { whole } else { None };
            assert_eq!(parse(&line[..cut]), want, "cut at {cut}");
        }
    }

    #[test]
    fn names_up_to_63_bytes_are_read() {
        for len in 1..80 {
            let name = "x".repeat(len);
            let want = if len < NAME_LEN { Name::new(&name) } else { None };
            assert_eq!(parse(format!("GET /function/{name} HTTP/1.1").as_bytes()), want, "{len}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(rest in "[ -~\r\n\t\0]{0,90}", post: bool) {
            let request = format!("{} /function/{rest}", if post { "POST" } else { "GET" });
            prop_assume!(request.len() >= MIN_REQUEST_LEN as usize);
            prop_assert_eq!(parse(request.as_bytes()), by_definition(request.as_bytes()));
        }

        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn bytes_and_new_are_inverse(text in "[a-z0-9._-]{0,63}") {
            let name = Name::new(&text).unwrap();
            let bytes = name.bytes();
            prop_assert_eq!(&bytes[..text.len()], text.as_bytes());
            prop_assert!(bytes[text.len()..].iter().all(|b| *b == 0));
        }
    }
}
