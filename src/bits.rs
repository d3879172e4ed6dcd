//! What stages hand each other: bit strings and soft bits.
//!
//! Both may hold secrets: they are wiped on drop, have no `Clone`, and their `Debug` shows
//! lengths only.

use std::fmt;
use std::ops::{Deref, Range};

use keystill_kernels::{Wipeable, wipe};

/// Appends the first `len` bits of `words` as bytes, lowest bit first, the last byte padded with zeros.
pub(crate) fn write_bytes(words: &[u64], len: usize, bytes: &mut Vec<u8>) {
    let known = bytes.len();
    bytes.resize(known + len.div_ceil(8), 0);
    let (whole, rest) = bytes[known..].as_chunks_mut::<8>();
    for (bytes, word) in whole.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
    if let Some(word) = words.get(whole.len()) {
        rest.copy_from_slice(&word.to_le_bytes()[..rest.len()]);
    }
    if !len.is_multiple_of(8)
        && let Some(last) = bytes.last_mut()
    {
        *last &= u8::MAX >> (8 - len % 8);
    }
}

/// A string of bits, packed in words of 64, lowest bit first.
///
/// The bits beyond the length are zero, always. Wiped on drop.
#[derive(Default, PartialEq, Eq)]
pub struct BitBlock {
    words: Vec<u64>,
    len: usize,
}

impl BitBlock {
    /// `len` zeros.
    #[must_use]
    pub fn zeros(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// No bits yet, and room for so many: appending to it moves none, so that no copies are left behind.
    #[must_use]
    pub fn with_capacity(bits: usize) -> Self {
        Self { words: Vec::with_capacity(bits.div_ceil(64)), len: 0 }
    }

    /// The first `len` bits of `words`; words beyond them are dropped, missing ones are zero.
    #[must_use]
    pub fn from_words(mut words: Vec<u64>, len: usize) -> Self {
        let kept = len.div_ceil(64).min(words.len());
        wipe(&mut words[kept..]);
        words.resize(len.div_ceil(64), 0);
        let mut block = Self { words, len };
        block.clear_padding();
        block
    }

    /// The first `len` bits of `bytes`, lowest bit of a byte first; missing ones are zero.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], len: usize) -> Self {
        Self::zeros(len).take_bytes(bytes)
    }

    /// `len` zeros in the memory of this block, whose bits are overwritten.
    #[must_use]
    pub(crate) fn cleared(mut self, len: usize) -> Self {
        wipe(&mut self.words);
        if len.div_ceil(64) > self.words.capacity() {
            return Self::zeros(len);
        }
        self.words.resize(len.div_ceil(64), 0);
        self.len = len;
        self
    }

    /// Takes the bits of `bytes`, as [`BitBlock::from_bytes`] does, into zeros.
    pub(crate) fn take_bytes(self, bytes: &[u8]) -> Self {
        let mut block = self;
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, bytes) in block.words.iter_mut().zip(whole) {
            *word = u64::from_le_bytes(*bytes);
        }
        if let Some(word) = block.words.get_mut(whole.len()) {
            *word = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        block.clear_padding();
        block
    }

    /// The bits of a slice of truth values.
    #[must_use]
    pub fn from_bools(bools: &[bool]) -> Self {
        let mut block = Self::zeros(bools.len());
        for (i, bit) in bools.iter().enumerate() {
            block.words[i / 64] |= u64::from(*bit) << (i % 64);
        }
        block
    }

    /// Length in bits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no bit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The words, the bits beyond the length being zero.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// Lets `change` write the words; the bits beyond the length are cleared after it.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut [u64]) -> R) -> R {
        let result = change(&mut self.words);
        self.clear_padding();
        result
    }

    /// The bits as bytes, lowest bit first, the last byte padded with zeros.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len.div_ceil(8));
        self.write_bytes(&mut bytes);
        bytes
    }

    /// Appends the bits as bytes, as [`BitBlock::to_bytes`] gives them.
    pub(crate) fn write_bytes(&self, bytes: &mut Vec<u8>) {
        write_bytes(&self.words, self.len, bytes);
    }

    /// Bit `i`.
    ///
    /// # Panics
    /// Beyond the end.
    #[must_use]
    pub fn bit(&self, i: usize) -> bool {
        assert!(i < self.len, "bit {i} of {}", self.len);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Sets bit `i`.
    ///
    /// # Panics
    /// Beyond the end.
    pub fn set(&mut self, i: usize, bit: bool) {
        assert!(i < self.len, "bit {i} of {}", self.len);
        let mask = 1 << (i % 64);
        if bit {
            self.words[i / 64] |= mask;
        } else {
            self.words[i / 64] &= !mask;
        }
    }

    /// Appends one bit.
    pub fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        self.len += 1;
        self.words[(self.len - 1) / 64] |= u64::from(bit) << ((self.len - 1) % 64);
    }

    /// Appends the low `count` bits of `value`, lowest first.
    ///
    /// # Panics
    /// Above 64.
    pub fn push_bits(&mut self, value: u64, count: usize) {
        assert!(count <= 64, "a word has 64 bits, not {count}");
        let value = if count == 64 { value } else { value & ((1 << count) - 1) };
        let shift = self.len % 64;
        if shift == 0 {
            if count > 0 {
                self.words.push(value);
            }
        } else {
            let last = self.words.len() - 1;
            self.words[last] |= value << shift;
            if shift + count > 64 {
                self.words.push(value >> (64 - shift));
            }
        }
        self.len += count;
    }

    /// Appends another string.
    pub fn append(&mut self, other: &Self) {
        let (first, shift) = (self.len / 64, self.len % 64);
        self.len += other.len;
        self.words.resize(self.len.div_ceil(64), 0);
        let added = &mut self.words[first..];
        if shift == 0 {
            added.copy_from_slice(&other.words);
            return;
        }
        // A word's upper bits go to the word after.
        let (Some((into, behind)), Some(low)) = (added.split_first_mut(), other.words.first()) else {
            return;
        };
        *into |= low << shift;
        for (into, pair) in behind.iter_mut().zip(other.words.windows(2)) {
            *into = pair[1] << shift | pair[0] >> (64 - shift);
        }
        if let (Some(into), Some(high)) = (behind.get_mut(other.words.len() - 1), other.words.last()) {
            *into = high >> (64 - shift);
        }
    }

    /// A copy of the bits of a range.
    ///
    /// # Panics
    /// Beyond the end.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "bits {range:?} of {}", self.len);
        let mut block = Self::zeros(range.len());
        let (first, shift) = (range.start / 64, range.start % 64);
        for (i, word) in block.words.iter_mut().enumerate() {
            let low = self.words[first + i] >> shift;
            let high = self.words.get(first + i + 1).filter(|_| shift > 0);
            *word = low | high.map_or(0, |high| high << (64 - shift));
        }
        block.clear_padding();
        block
    }

    /// Leaves the first `len` bits, or all if there are no more; the rest is wiped.
    #[must_use]
    pub(crate) fn cut(mut self, len: usize) -> Self {
        let (words, len) = (std::mem::take(&mut self.words), len.min(self.len));
        Self::from_words(words, len)
    }

    /// The number of ones.
    #[must_use]
    pub fn count_ones(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn clear_padding(&mut self) {
        if let Some(last) = self.words.last_mut().filter(|_| !self.len.is_multiple_of(64)) {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }
}

impl Drop for BitBlock {
    fn drop(&mut self) {
        wipe(&mut self.words);
    }
}

impl fmt::Debug for BitBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitBlock({} bits)", self.len)
    }
}

/// A list of secret numbers, wiped on drop at the speed of memory. Its `Debug` shows the length only.
#[derive(Default)]
pub(crate) struct Wiped<T: Wipeable>(pub(crate) Vec<T>);

impl<T: Wipeable> Deref for Wiped<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Wipeable> Drop for Wiped<T> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl<T: Wipeable> fmt::Debug for Wiped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} numbers)", self.0.len())
    }
}

/// Fixed-point units of a soft bit per unit of log-likelihood ratio.
pub const LLR_UNIT: f32 = 1024.0;

/// What the correcting side believes of the reference side's bits: log-likelihood ratios
/// ln P(0)/P(1). Wiped on drop.
#[derive(PartialEq)]
pub enum Llrs {
    /// Hard bits, each wrong with the same probability: the binary symmetric channel of BB84.
    Hard {
        /// The bits.
        bits: BitBlock,
        /// The probability that one of them is wrong.
        error_probability: f64,
    },
    /// One ratio a bit in units of 1/[`LLR_UNIT`], positive for 0: the channel of CV-QKD.
    Soft(Vec<i16>),
}

impl Llrs {
    /// The number of bits spoken of.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Hard { bits, .. } => bits.len(),
            Self::Soft(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The hard bits, for methods that know nothing softer; `None` of soft bits.
    #[must_use]
    pub fn into_hard_bits(mut self) -> Option<BitBlock> {
        match &mut self {
            Self::Hard { bits, .. } => Some(std::mem::take(bits)),
            Self::Soft(_) => None,
        }
    }
}

impl Drop for Llrs {
    fn drop(&mut self) {
        if let Self::Soft(values) = self {
            wipe(values);
        }
    }
}

impl fmt::Debug for Llrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hard { bits, error_probability } => {
                write!(f, "Llrs(hard, {} bits, error probability {error_probability})", bits.len())
            }
            Self::Soft(values) => write!(f, "Llrs(soft, {} bits)", values.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_that_is_cut_is_its_first_bits_and_no_longer_than_before() {
        for (len, cut) in [(200, 200), (200, 130), (200, 128), (200, 1), (200, 0), (130, 1000)] {
            let block = || BitBlock::from_words(vec![u64::MAX; 4], len);
            let kept = cut.min(len);
            assert_eq!(block().cut(cut), block().slice(0..kept), "{cut} of {len}");
            assert_eq!(block().cut(cut).count_ones(), kept as u64, "{cut} of {len}: nothing beyond");
        }
    }

    proptest! {
        #[test]
        fn packing_and_slicing_keep_the_bits(
            a in proptest::collection::vec(any::<bool>(), 0..300),
            b in proptest::collection::vec(any::<bool>(), 0..300),
            cut in 0.0f64..1.0,
        ) {
            let mut block = BitBlock::from_bools(&a);
            block.append(&BitBlock::from_bools(&b));
            let whole: Vec<bool> = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(block.len(), whole.len());
            prop_assert_eq!(&block, &BitBlock::from_bools(&whole));
            prop_assert_eq!(&BitBlock::from_bytes(&block.to_bytes(), whole.len()), &block);
            let start = (cut * whole.len() as f64) as usize;
            prop_assert_eq!(block.slice(start..whole.len()), BitBlock::from_bools(&whole[start..]));
            prop_assert_eq!(block.count_ones(), whole.iter().filter(|bit| **bit).count() as u64);
        }
    }

    #[test]
    fn padding_is_cleared_whatever_the_source() {
        let mut block = BitBlock::from_words(vec![u64::MAX; 3], 65);
        assert_eq!(block.words(), [u64::MAX, 1], "65 ones");
        block.edit(|words| words.fill(u64::MAX));
        assert_eq!(block.count_ones(), 65, "an edit cannot leave padding");
        assert_eq!(BitBlock::from_bytes(&[0xff; 4], 9).to_bytes(), [0xff, 1], "bytes");
    }

    #[test]
    fn debug_shows_no_bit() {
        assert_eq!(format!("{:?}", BitBlock::from_words(vec![5], 3)), "BitBlock(3 bits)", "no content");
    }

    #[test]
    fn memory_that_was_used_holds_zeros_of_any_length() {
        for (before, after) in [(200, 70), (70, 200), (64, 64), (130, 0), (0, 5)] {
            let used = BitBlock::from_bools(&vec![true; before]).cleared(after);
            assert_eq!(used, BitBlock::zeros(after), "{before} bits, then {after}");
            let bytes = [0xff; 25];
            assert_eq!(used.take_bytes(&bytes), BitBlock::from_bytes(&bytes, after), "and bits of bytes");
        }
    }
}
