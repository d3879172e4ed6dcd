//! The middle product of long blocks, by transforms of 2^20 or 2^24 bits.
//!
//! With chunks of a bits of x and of y, chunk r of y is ⊕_c x_c · t_(r−c) at coefficients a … 2a − 1,
//! t_d being the 2a bits of t from d·a + (bits of x) − a − 1 on (bits before and after t are zero, and
//! one bit more than needed puts the output on whole words). 2a ≤ N − 2^16, so that what wraps around
//! the modulus stays below a.

use keystill_kernels::{Isa, gf2x::fourier};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bits::BitBlock;

use super::tiles::TILE;

/// Products of tiles up to which tiles are quicker.
const MOST_TILE_PRODUCTS: usize = 48;

/// How a middle product is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    log: usize,
    x_bits: usize,
    m: usize,
    /// Bits of a chunk of x and of y.
    a: usize,
    b: usize,
    p: usize,
    q: usize,
}

impl Shape {
    /// The cheapest cut, or none where tiles are.
    pub(super) fn of(isa: Isa, x_bits: usize, m: usize) -> Option<Self> {
        let tiles = |bits: usize| bits.div_ceil(64 * TILE);
        let most = if fourier::is_transform(isa) { MOST_TILE_PRODUCTS } else { 1 << 14 };
        if tiles(x_bits) * tiles(m) <= most {
            return None;
        }
        let (small, large) = (Self::cut(20, x_bits, m), Self::cut(24, x_bits, m));
        Some(if small.cost() <= large.cost() { small } else { large })
    }

    fn cut(log: usize, x_bits: usize, m: usize) -> Self {
        let room = (1 << log) - (1 << 16);
        let whole = |bits: usize| bits.next_multiple_of(64);
        if whole(x_bits) + whole(m) <= room {
            return Self { log, x_bits, m, a: whole(x_bits), b: whole(m), p: 1, q: 1 };
        }
        let a = room / 2;
        Self { log, x_bits, m, a, b: a, p: x_bits.div_ceil(a), q: m.div_ceil(a) }
    }

    /// Bits that pass a transform, and a twentieth of those multiplied.
    fn cost(&self) -> usize {
        let transforms = 20 * (2 * (self.p + self.q) - 1) * self.log / 20;
        (transforms + self.p * self.q) << self.log
    }

    /// The words held while it is computed on so many threads.
    pub(super) fn memory_words(&self, isa: Isa, threads: usize) -> usize {
        let n = 1 << (self.log - 6);
        let working = n + fourier::scratch_words(isa, self.log);
        let output = self.q * self.b / 64;
        output + (2 * self.p + self.q - 1) * n + threads.min(self.p + self.q) * working
    }
}

/// The transforms of the seed's diagonals.
pub(super) struct Diagonals {
    shape: Shape,
    tables: fourier::Tables,
    values: Vec<Zeroizing<Vec<u64>>>,
}

impl std::fmt::Debug for Diagonals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Diagonals({} transforms of 2^{} bits)", self.values.len(), self.shape.log)
    }
}

impl Diagonals {
    pub(super) fn new(isa: Isa, shape: Shape, seed: &BitBlock) -> Self {
        let tables = fourier::Tables::new(shape.log);
        let Shape { x_bits, m, a, b, p, q, .. } = shape;
        let bits = x_bits + m - 1;
        let values = transforms(isa, &tables, p + q - 1, |chunk, values| {
            // Diagonal d = chunk − (p − 1); t_k is seed bit k + m, and from k = bits − m on k − (bits − m).
            let start = (chunk * b + x_bits) as i64 - (p * a + 1) as i64;
            let turn = (bits - m.min(bits)) as i64;
            copy_bits(seed, m.min(bits)..bits, -start, a + b, values);
            copy_bits(seed, 0..m.min(bits), turn - start, a + b, values);
        });
        Self { shape, tables, values }
    }

    /// The m bits of the middle product with the first bits of `input`.
    pub(super) fn middle_product(&self, isa: Isa, input: &BitBlock) -> BitBlock {
        let Shape { x_bits, m, a, b, p, q, .. } = self.shape;
        let x = transforms(isa, &self.tables, p, |chunk, values| {
            copy_bits(input, chunk * a..x_bits.min((chunk + 1) * a), 0, a, values);
        });
        let mut output = vec![0; q * b / 64];
        output.par_chunks_mut(b / 64).enumerate().for_each(|(r, output)| {
            let mut sum = Zeroizing::new(vec![0; self.tables.words()]);
            let mut scratch = Zeroizing::new(vec![0; fourier::scratch_words(isa, self.shape.log)]);
            for (c, x) in x.iter().enumerate() {
                let t = &self.values[r + p - 1 - c];
                fourier::multiply_add(isa, &self.tables, &mut sum, x, t, &mut scratch);
            }
            fourier::inverse(isa, &self.tables, &mut sum, &mut scratch);
            output.copy_from_slice(&sum[a / 64..(a + b) / 64]);
        });
        BitBlock::from_words(output, m)
    }
}

/// Chunks, each filled and transformed, on the current pool.
fn transforms(
    isa: Isa,
    tables: &fourier::Tables,
    count: usize,
    fill: impl Fn(usize, &mut [u64]) + Sync,
) -> Vec<Zeroizing<Vec<u64>>> {
    let scratch = || Zeroizing::new(vec![0; fourier::scratch_words(isa, tables.log())]);
    let transform = |scratch: &mut Zeroizing<Vec<u64>>, chunk: usize| {
        let mut values = Zeroizing::new(vec![0; tables.words()]);
        fill(chunk, &mut values);
        fourier::forward(isa, tables, &mut values, scratch);
        values
    };
    (0..count).into_par_iter().with_max_len(1).map_init(scratch, transform).collect()
}

/// Adds the bits of a range to `to`, the first at bit `at`; what falls outside its first `limit` bits
/// is left out.
fn copy_bits(from: &BitBlock, range: std::ops::Range<usize>, at: i64, limit: usize, to: &mut [u64]) {
    let skipped = usize::try_from(-at).unwrap_or(0);
    let start = range.start + skipped;
    let place = usize::try_from(at).unwrap_or(0);
    if start >= range.end || place >= limit {
        return;
    }
    let count = (range.end - start).min(limit - place);
    let words = from.words();
    let (first, shift) = (place / 64, place % 64);
    let mut left = count;
    for index in 0..count.div_ceil(64) {
        let word = at_bit(words, start + 64 * index) & (u64::MAX >> (64 - left.min(64)));
        left = left.saturating_sub(64);
        to[first + index] ^= word << shift;
        if let Some(next) = to.get_mut(first + index + 1).filter(|_| shift > 0) {
            *next ^= word >> (64 - shift);
        }
    }
}

/// The 64 bits from a place on, zeros beyond the end.
fn at_bit(words: &[u64], bit: usize) -> u64 {
    let (word, shift) = (bit / 64, bit % 64);
    let low = words.get(word).map_or(0, |word| word >> shift);
    let high = words.get(word + 1).filter(|_| shift > 0);
    low | high.map_or(0, |word| word << (64 - shift))
}
