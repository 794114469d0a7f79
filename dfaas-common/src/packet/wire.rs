//! Big-endian numbers and byte-wise types.

/// A type that may be read from, and written to, any bytes.
///
/// # Safety
/// Alignment 1, no padding, every bit pattern valid.
pub unsafe trait Wire: Copy {}

/// A buffer that any bytes may be copied into.
///
/// # Safety
/// No padding, every bit pattern valid.
pub unsafe trait Plain {}

// SAFETY: bytes.
unsafe impl<const N: usize> Wire for [u8; N] {}
// SAFETY: an array of byte arrays.
unsafe impl<const N: usize> Wire for [Be32; N] {}
// SAFETY: integers have no padding and no invalid values.
unsafe impl<const N: usize> Plain for [u8; N] {}
// SAFETY: as above.
unsafe impl<const N: usize> Plain for [u64; N] {}
// SAFETY: as above.
unsafe impl Plain for u32 {}

macro_rules! big_endian {
    ($name:ident, $int:ty, $len:literal) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
        #[repr(transparent)]
        pub struct $name([u8; $len]);

        impl $name {
            #[inline(always)]
            pub const fn new(value: $int) -> Self {
                Self(value.to_be_bytes())
            }
            #[inline(always)]
            pub const fn get(self) -> $int {
                <$int>::from_be_bytes(self.0)
            }
            /// The value as it lies in memory (network order).
            #[inline(always)]
            pub const fn raw(self) -> $int {
                <$int>::from_ne_bytes(self.0)
            }
            #[inline(always)]
            pub const fn from_raw(value: $int) -> Self {
                Self(value.to_ne_bytes())
            }
        }

        // SAFETY: a byte array.
        unsafe impl Wire for $name {}
    };
}

big_endian!(Be16, u16, 2);
big_endian!(Be32, u32, 4);
big_endian!(Be64, u64, 8);

/// A MAC address as scalars, to be kept in registers: six loose bytes become misaligned stack stores, which the
/// verifier refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Mac(u32, u16);

impl Mac {
    #[inline(always)]
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), u16::from_ne_bytes([bytes[4], bytes[5]]))
    }
    /// The six bytes, in memory order, and two zeroes.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        (self.1 as u64) << 32 | self.0 as u64
    }
    #[inline(always)]
    pub const fn bytes(self) -> [u8; 6] {
        let (a, b) = (self.0.to_ne_bytes(), self.1.to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1]]
    }
}
