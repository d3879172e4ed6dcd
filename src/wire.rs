//! The bytes of a message: a bounded reader and a writer.
//!
//! All numbers are little-endian. Variable-length integers are LEB128 (seven bits a byte, lowest
//! first, at most ten bytes). A bit string is its length in bits as a variable-length integer,
//! then its bytes, lowest bit first, padding zero: other padding is refused, so that a message has
//! one spelling only.

use std::sync::{Mutex, PoisonError};

use crate::bits::{self, BitBlock};

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends before its last field.
    #[error("the message ends early: {missing} more bytes were announced")]
    Truncated {
        /// Bytes missing.
        missing: usize,
    },
    /// Bytes follow its last field.
    #[error("{extra} bytes follow the end of the message")]
    Trailing {
        /// Bytes too many.
        extra: usize,
    },
    /// A field is not one of the values or lengths that it may have.
    #[error("field `{field}` is out of range")]
    Field {
        /// The field.
        field: &'static str,
    },
}

/// Reads the fields of one message; never past its end, never more than it was told to expect.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the first byte on.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] if there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or_else(|| Malformed::Truncated { missing: count - self.bytes.len() })?;
        self.bytes = rest;
        Ok(taken)
    }

    /// What is left, without taking it.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// A byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// 32 bits.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// 64 bits.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// 128 bits.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] at the end.
    pub fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// A finite double.
    ///
    /// # Errors
    /// [`Malformed`] at the end, or for a value that is not finite.
    pub fn f64(&mut self, field: &'static str) -> Result<f64, Malformed> {
        let value = f64::from_le_bytes(self.array()?);
        if value.is_finite() { Ok(value) } else { Err(Malformed::Field { field }) }
    }

    /// A variable-length integer.
    ///
    /// # Errors
    /// [`Malformed`] at the end, or where it does not fit in 64 bits or is not in shortest form.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part || (byte == 0 && shift > 0) {
                return Err(Malformed::Field { field: "varint" });
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Field { field: "varint" })
    }

    /// A count of at most `most`.
    ///
    /// # Errors
    /// [`Malformed`] at the end, or above `most`.
    pub fn count(&mut self, most: usize, field: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.varint()?).map_err(|_| Malformed::Field { field })?;
        if count <= most { Ok(count) } else { Err(Malformed::Field { field }) }
    }

    /// A bit string of at most `most` bits.
    ///
    /// # Errors
    /// [`Malformed`] if it is longer, cut, or padded with ones.
    pub fn bits(&mut self, most: usize, field: &'static str) -> Result<BitBlock, Malformed> {
        self.bits_into(BitBlock::default(), most, field)
    }

    /// [`Reader::bits`], in the memory of another string.
    pub(crate) fn bits_into(
        &mut self,
        memory: BitBlock,
        most: usize,
        field: &'static str,
    ) -> Result<BitBlock, Malformed> {
        let len = self.count(most, field)?;
        let bytes = self.bytes(len.div_ceil(8))?;
        if !len.is_multiple_of(8) && bytes.last().is_some_and(|last| last >> (len % 8) != 0) {
            return Err(Malformed::Field { field });
        }
        Ok(memory.cleared(len).take_bytes(bytes))
    }

    /// Ends the message.
    ///
    /// # Errors
    /// [`Malformed::Trailing`] if bytes are left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Malformed::Trailing { extra: self.bytes.len() }) }
    }
}

/// Bytes that stand before a body, at most: see `session::message`.
pub(crate) const HEADER_ROOM: usize = 24;

/// Bytes of a short message with its header: most have no more, so that writing one asks for memory once, or not at all.
const SHORT: usize = 256;

/// How many short messages that were sent lend their memory to the next.
const MOST_LENT: usize = 128;

/// The memory of short messages that were sent: public, and soon used again.
static LENT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Takes the memory of a message that was sent, for the next. Who does not give it back only costs an allocation.
pub fn give_back(mut message: Vec<u8>) {
    if message.capacity() == SHORT {
        message.clear();
        let mut lent = LENT.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.len() < MOST_LENT {
            lent.push(message);
        }
    }
}

/// An empty message with room for so many bytes: of memory that was given back, if it is short.
pub(crate) fn message(bytes: usize) -> Vec<u8> {
    if bytes > SHORT {
        return Vec::with_capacity(bytes);
    }
    let lent = LENT.lock().unwrap_or_else(PoisonError::into_inner).pop();
    lent.unwrap_or_else(|| Vec::with_capacity(SHORT))
}

/// Writes the fields of one message.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// An empty message.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// An empty message with room for so many bytes, and for the header that a session sets before them.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: message(bytes + HEADER_ROOM) }
    }

    /// Goes on behind what is written.
    pub(crate) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends 32 bits.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends 64 bits.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends 128 bits.
    pub fn u128(&mut self, value: u128) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a double.
    pub fn f64(&mut self, value: f64) -> &mut Self {
        self.bytes(&value.to_le_bytes())
    }

    /// Appends a variable-length integer.
    pub fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
        self
    }

    /// Appends a count.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.varint(count as u64)
    }

    /// Appends a bit string.
    pub fn bits(&mut self, bits: &BitBlock) -> &mut Self {
        self.count(bits.len());
        bits.write_bytes(&mut self.bytes);
        self
    }

    /// Appends the first `len` bits of `words` as a bit string.
    pub(crate) fn words(&mut self, words: &[u64], len: usize) -> &mut Self {
        self.count(len);
        bits::write_bytes(words, len, &mut self.bytes);
        self
    }

    /// The message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_written_as_the_bits_that_they_are_whatever_stands_behind_them() {
        for len in [0, 1, 7, 8, 63, 64, 65, 100, 128] {
            let words = [0x0123_4567_89ab_cdef, u64::MAX, u64::MAX];
            let (mut by_words, mut by_bits) = (Writer::new(), Writer::new());
            by_words.words(&words, len);
            by_bits.bits(&BitBlock::from_words(words.to_vec(), len));
            assert_eq!(by_words.finish(), by_bits.finish(), "{len} bits");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u64, b: u128, bits in proptest::collection::vec(any::<bool>(), 0..200)) {
            let block = BitBlock::from_bools(&bits);
            let mut writer = Writer::new();
            writer.varint(a).u128(b).bits(&block).u8(7);
            let bytes = writer.finish();
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(a));
            prop_assert_eq!(reader.u128(), Ok(b));
            prop_assert_eq!(reader.bits(200, "bits"), Ok(block));
            prop_assert_eq!(reader.u8(), Ok(7));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.varint().is_ok() && reader.bits(64, "bits").is_ok() {}
            let _ = reader.f64("value");
        }
    }

    #[test]
    fn a_second_spelling_is_refused() {
        assert_eq!(
            Reader::new(&[0x80, 0]).varint(),
            Err(Malformed::Field { field: "varint" }),
            "two-byte zero"
        );
        let bits = Reader::new(&[3, 0b1000]).bits(8, "bits");
        assert_eq!(bits, Err(Malformed::Field { field: "bits" }), "padding of ones");
        let long = Reader::new(&[9]).bits(8, "bits");
        assert_eq!(long, Err(Malformed::Field { field: "bits" }), "longer than allowed");
    }
}
