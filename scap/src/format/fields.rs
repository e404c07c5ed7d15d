//! Reads fields from a byte slice in sequence.

/// A cursor over bytes. If too few bytes are left, the reading methods return `None` and consume nothing.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(&'a [u8]);

macro_rules! integers {
    ($($name:ident)*) => { $(
        /// Takes an integer, in the byte order of this machine.
        #[inline]
        pub fn $name(&mut self) -> Option<$name> {
            self.array().map($name::from_ne_bytes)
        }
    )* };
}

impl<'a> Fields<'a> {
    /// Starts at the first byte.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Fields<'a> {
        Fields(bytes)
    }

    /// Takes `N` bytes.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// Takes `len` bytes.
    #[inline]
    pub fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    integers!(u8 u16 u32 u64 i64);

    /// Reads bytes that follow their 16-bit length.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let len = ahead.u16()?;
        let text = ahead.bytes(len.into())?;
        *self = ahead;
        Some(text)
    }

    /// Returns how many bytes are left.
    #[inline]
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Returns the bytes that are left.
    #[inline]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
