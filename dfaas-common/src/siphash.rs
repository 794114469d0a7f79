//! SipHash (Aumasson and Bernstein, 2012), the one keyed hash of the data path: 2-4 over two words, 1-3 over packets.

#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Key(pub u64, pub u64);

// A key must not reach a log by accident.
impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    #[inline(always)]
    pub fn hash2(self, a: u64, b: u64) -> u64 {
        siphash2(self.0, self.1, a, b)
    }
}

#[inline(always)]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[inline(always)]
fn compress(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

/// A function of its own in the kernel too, so that the verifier walks it once.
#[cfg_attr(target_arch = "bpf", unsafe(no_mangle))]
#[inline(never)]
pub extern "C" fn siphash2(key0: u64, key1: u64, a: u64, b: u64) -> u64 {
    let mut v = start(key0, key1);
    for word in [a, b] {
        compress(&mut v, word);
    }
    // The last word holds the message's length, bytes, in its top byte.
    compress(&mut v, 16 << 56);
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline(always)]
const fn start(key0: u64, key1: u64) -> [u64; 4] {
    [
        key0 ^ 0x736f_6d65_7073_6575,
        key1 ^ 0x646f_7261_6e64_6f6d,
        key0 ^ 0x6c79_6765_6e65_7261,
        key1 ^ 0x7465_6462_7974_6573,
    ]
}

/// SipHash-1-3 over words that come one by one: half the price of 2-4, for what is long.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Stream {
    v: [u64; 4],
    words: u64,
}

impl Stream {
    #[inline(always)]
    pub const fn new(key0: u64, key1: u64) -> Self {
        Self { v: start(key0, key1), words: 0 }
    }

    #[inline(always)]
    pub fn take(&mut self, word: u64) {
        self.v[3] ^= word;
        round(&mut self.v);
        self.v[0] ^= word;
        self.words += 1;
    }

    #[inline(always)]
    pub fn finish(mut self) -> u64 {
        // As below.
        self.take((8 * self.words) << 56);
        self.v[2] ^= 0xff;
        for _ in 0..3 {
            round(&mut self.v);
        }
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The standard library's own SipHash-2-4.
    #[allow(deprecated, reason = "the only independent SipHash-2-4 at hand")]
    fn reference(key: Key, words: &[u64]) -> u64 {
        use std::hash::{Hasher, SipHasher};
        let mut hasher = SipHasher::new_with_keys(key.0, key.1);
        for word in words {
            hasher.write(&word.to_le_bytes());
        }
        hasher.finish()
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(k0: u64, k1: u64, a: u64, b: u64) {
            let key = Key(k0, k1);
            prop_assert_eq!(key.hash2(a, b), reference(key, &[a, b]));
        }
    }

    proptest! {
        /// The standard library's own SipHash-1-3, whose keys are zero.
        #[test]
        fn a_stream_agrees_with_the_standard_library(words in proptest::collection::vec(any::<u64>(), 0..40)) {
            use std::hash::Hasher;
            let mut hasher = std::hash::DefaultHasher::new();
            let mut stream = Stream::new(0, 0);
            for word in words {
                hasher.write(&word.to_le_bytes());
                stream.take(word);
            }
            prop_assert_eq!(stream.finish(), hasher.finish());
        }
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert_eq!(format!("{:?}", Key(0xdead, 0xbeef)), "Key(..)");
    }
}
