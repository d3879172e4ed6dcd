//! The middle product of short blocks: tiles of 2^15 bits, each product by Karatsuba's rule.

use keystill_kernels::{Isa, bits, gf2x};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bits::BitBlock;

use super::copy::{Rotated, read_bits};
use super::speed::Speed;

/// Words of a tile.
const TILE: usize = 512;

/// Tiles of x that a thread takes at least.
const LEAST_TILES: usize = 16;

/// Picoseconds of one thread, about.
pub(super) fn cost(speed: &Speed, x_bits: usize, m: usize) -> usize {
    let tiles = |bits: usize| bits.div_ceil(64 * TILE);
    tiles(x_bits) * (tiles(m) + 1) * speed.tile
}

/// The words held while it is computed, beside the output.
pub(super) fn memory_words(x_bits: usize, m: usize, threads: usize) -> usize {
    let (x_tiles, rows) = (x_bits.div_ceil(64 * TILE), m.div_ceil(64 * TILE));
    let tasks = if x_tiles < 2 * LEAST_TILES { 1 } else { 2 };
    tasks * rows * TILE + tasks.min(threads) * 8 * TILE
}

/// Adds the coefficients n − 1 … n + m − 2 of t·x to the words of `output`.
///
/// x is moved up so that it fills whole tiles, t by one bit: then coefficient k of the output lies in
/// the products of tiles c of x and j of t with j + c = N + ⌊k/tile⌋ or one less, N being x's tiles.
pub(super) fn middle_product(isa: Isa, x: &BitBlock, x_bits: usize, t: &Rotated<'_>, output: &mut [u64]) {
    let (x_tiles, rows) = (x_bits.div_ceil(64 * TILE), output.len().div_ceil(TILE));
    let up = (64 * TILE * x_tiles - x_bits) as i64;
    let tile = |number: usize, up: i64| (64 * TILE * number) as i64 - up;
    let add = |mut memory: Zeroizing<Vec<u64>>, c: usize| {
        let (sum, rest) = memory.split_at_mut(rows * TILE);
        let (x_tile, rest) = rest.split_at_mut(TILE);
        let (t_tile, rest) = rest.split_at_mut(TILE);
        let (product, scratch) = rest.split_at_mut(2 * TILE);
        x_tile.fill(0);
        read_bits(isa, x.words(), 0..x_bits, tile(c, up), x_tile);
        for row in 0..=rows {
            // The product of tile j meets the rows row − 1 (its low half) and row (its high half).
            t_tile.fill(0);
            t.read(isa, tile(row + x_tiles - c - 1, 1), t_tile);
            gf2x::product(isa, t_tile, x_tile, product, scratch);
            let (low, high) = product.split_at(TILE);
            if row > 0 {
                bits::xor(isa, &mut sum[(row - 1) * TILE..row * TILE], low);
            }
            if row < rows {
                bits::xor(isa, &mut sum[row * TILE..(row + 1) * TILE], high);
            }
        }
        memory
    };
    // What a thread adds up, a tile of x, one of t, their product, and the memory of multiplication.
    let memory = || Zeroizing::new(vec![0; (rows + 1 + 1 + 2 + 4) * TILE]);
    let sum = (0..x_tiles)
        .into_par_iter()
        .with_min_len(LEAST_TILES.max(x_tiles.div_ceil(2)))
        .fold(memory, add)
        .reduce_with(|mut a, b| {
            bits::xor(isa, &mut a[..rows * TILE], &b[..rows * TILE]);
            a
        });
    if let Some(sum) = sum {
        bits::xor(isa, output, &sum[..output.len()]);
    }
}
