//! TCP options (RFC 9293, 3.2; RFC 7323; RFC 2018), read from a 64-byte buffer of which 40 are used, so that masked
//! indices need no bounds checks in the kernel.

/// No window scaling was offered. A shift is 14 at most (RFC 7323, 2.3), so 15 is free.
pub const NO_WINDOW_SCALE: u8 = 15;
/// More options than fit in 40 bytes do not exist; single-byte paddings may exceed it and are then ignored.
pub const MAX_STEPS: u32 = 20;

use crate::packet::Be32;

pub type Buffer = [u8; 64];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Options {
    pub timestamp: u32,
    pub timestamp_echo: u32,
    /// 0: not given.
    pub mss: u16,
    /// Shift count, or [`NO_WINDOW_SCALE`].
    pub window_scale: u8,
    pub sack: bool,
    pub has_timestamp: bool,
}

impl Options {
    pub const NONE: Self = Self {
        timestamp: 0,
        timestamp_echo: 0,
        mss: 0,
        window_scale: NO_WINDOW_SCALE,
        sack: false,
        has_timestamp: false,
    };
}

#[inline(always)]
fn at(buffer: &Buffer, i: u32) -> u8 {
    // SAFETY: the index is masked to the buffer. Volatile, so that bytes are not merged to misaligned words (the
    // verifier refuses those on the stack).
    unsafe { core::ptr::from_ref(&buffer[(i & 63) as usize]).read_volatile() }
}

#[inline(always)]
fn word(buffer: &Buffer, i: u32) -> u32 {
    u32::from_be_bytes([at(buffer, i), at(buffer, i + 1), at(buffer, i + 2), at(buffer, i + 3)])
}

/// Reads the option at `i` of `len` bytes; returns where the next one is, or `None` at the end or at nonsense.
#[inline(always)]
pub fn step(buffer: &Buffer, i: u32, len: u32, options: &mut Options) -> Option<u32> {
    if i >= len || i >= 40 {
        return None;
    }
    let kind = at(buffer, i);
    if kind == 0 {
        return None;
    }
    if kind == 1 {
        return Some(i + 1);
    }
    let option_len = at(buffer, i + 1);
    if option_len < 2 || i + u32::from(option_len) > len {
        return None;
    }
    match (kind, option_len) {
        (2, 4) => options.mss = u16::from_be_bytes([at(buffer, i + 2), at(buffer, i + 3)]),
        (3, 3) => options.window_scale = at(buffer, i + 2).min(14),
        (4, 2) => options.sack = true,
        (8, 10) => {
            options.has_timestamp = true;
            options.timestamp = word(buffer, i + 2);
            options.timestamp_echo = word(buffer, i + 6);
        }
        _ => {}
    }
    Some(i + u32::from(option_len))
}

/// Reads the options of a SYN laid out as Linux does it (segment size, SACK, timestamp, window scale), without the walk;
/// false if they are laid out otherwise.
#[inline(always)]
pub fn usual_of_syn(words: &[Be32; 5], options: &mut Options) -> bool {
    let [mss, sack_timestamp, timestamp, echo, scale] = words.map(Be32::get);
    if mss >> 16 != 0x0204 || sack_timestamp != 0x0402_080a || scale >> 8 != 0x01_0303 {
        return false;
    }
    options.timestamp = timestamp;
    options.timestamp_echo = echo;
    options.mss = mss as u16;
    options.window_scale = (scale as u8).min(14);
    options.sack = true;
    options.has_timestamp = true;
    true
}

/// The same for any other segment as everybody lays it out (RFC 7323, appendix A): the timestamp alone.
#[inline(always)]
pub fn usual_of_data(words: &[Be32; 3], options: &mut Options) -> bool {
    let [kind, timestamp, echo] = words.map(Be32::get);
    if kind != 0x0101_080a {
        return false;
    }
    options.timestamp = timestamp;
    options.timestamp_echo = echo;
    options.has_timestamp = true;
    true
}

/// The plain loop (user space; in the kernel `bpf_loop` drives [`step`], because the verifier unrolls loops).
pub fn parse(buffer: &Buffer, len: u32) -> Options {
    let mut options = Options::NONE;
    let mut i = 0;
    for _ in 0..MAX_STEPS {
        match step(buffer, i, len, &mut options) {
            Some(next) => i = next,
            None => break,
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse_bytes(bytes: &[u8]) -> Options {
        let mut buffer = [0u8; 64];
        buffer[..bytes.len()].copy_from_slice(bytes);
        parse(&buffer, bytes.len() as u32)
    }

    const LINUX_SYN: [u8; 20] = [2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7];

    #[test]
    fn a_linux_syn_is_read_whole() {
        let want =
            Options { timestamp: 9, timestamp_echo: 0, mss: 1460, window_scale: 7, sack: true, has_timestamp: true };
        assert_eq!(parse_bytes(&LINUX_SYN), want);
    }

    #[test]
    fn an_option_that_claims_more_than_there_is_ends_the_walk() {
        for cut in 0..LINUX_SYN.len() {
            let options = parse_bytes(&LINUX_SYN[..cut]);
            assert_eq!(options.mss, if cut >= 4 { 1460 } else { 0 }, "cut at {cut}");
            assert_eq!(options.sack, cut >= 6, "cut at {cut}");
            assert_eq!(options.has_timestamp, cut >= 16, "cut at {cut}");
            assert_eq!(options.window_scale, NO_WINDOW_SCALE, "cut at {cut}");
        }
    }

    #[test]
    fn a_length_below_two_does_not_loop() {
        assert_eq!(parse_bytes(&[2, 1, 5, 0xb4]), Options::NONE);
        assert_eq!(parse_bytes(&[9, 0, 2, 4, 5, 0xb4]), Options::NONE);
    }

    #[test]
    fn a_shift_above_fourteen_counts_as_fourteen() {
        assert_eq!(parse_bytes(&[3, 3, 200, 0]).window_scale, 14);
    }

    fn words<const N: usize>(bytes: &[u8]) -> [Be32; N] {
        std::array::from_fn(|i| Be32::new(u32::from_be_bytes(bytes[4 * i..4 * i + 4].try_into().unwrap())))
    }

    fn usual_syn(bytes: &[u8]) -> Option<Options> {
        let mut options = Options::NONE;
        usual_of_syn(&words(bytes), &mut options).then_some(options)
    }

    fn usual_data(bytes: &[u8]) -> Option<Options> {
        let mut options = Options::NONE;
        usual_of_data(&words(bytes), &mut options).then_some(options)
    }

    #[test]
    fn any_other_layout_is_left_to_the_walk() {
        let data = [1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 8];
        assert!(usual_syn(&LINUX_SYN).is_some() && usual_data(&data).is_some());
        for at in [0, 1, 4, 5, 6, 7, 16, 17, 18] {
            let mut bytes = LINUX_SYN;
            bytes[at] ^= 0x40;
            assert_eq!(usual_syn(&bytes), None, "byte {at}");
        }
        for at in 0..4 {
            let mut bytes = data;
            bytes[at] ^= 0x40;
            assert_eq!(usual_data(&bytes), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn the_usual_layouts_mean_what_the_walk_reads(mss: [u8; 2], timestamp: [u8; 8], scale: u8) {
            let syn = [&[2, 4][..], &mss, &[4, 2, 8, 10], &timestamp, &[1, 3, 3, scale]].concat();
            prop_assert_eq!(usual_syn(&syn), Some(parse_bytes(&syn)));
            let data = [&[1, 1, 8, 10][..], &timestamp].concat();
            prop_assert_eq!(usual_data(&data), Some(parse_bytes(&data)));
        }

        #[test]
        fn any_bytes_give_options_in_range(bytes in prop::collection::vec(any::<u8>(), 0..=40)) {
            prop_assert!(parse_bytes(&bytes).window_scale <= NO_WINDOW_SCALE);
        }
    }
}
