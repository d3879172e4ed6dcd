//! The middle product of short blocks: tiles of 2^15 bits, each product by Karatsuba's rule.

use keystill_kernels::{Isa, bits, gf2x};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::bits::BitBlock;

use super::speed::Speed;

/// Words of a tile.
pub(super) const TILE: usize = 512;

/// Picoseconds of one thread, about.
pub(super) fn cost(speed: &Speed, x_bits: usize, m: usize) -> usize {
    let tiles = |bits: usize| bits.div_ceil(64 * TILE);
    tiles(x_bits) * (tiles(m) + 1) * speed.tile
}

/// t: the seed rotated left by m, diagonal by diagonal from the upper right.
pub(super) fn diagonals(seed: &BitBlock, m: usize) -> BitBlock {
    let m = m.min(seed.len());
    let mut diagonals = seed.slice(m..seed.len());
    diagonals.append(&seed.slice(0..m));
    diagonals
}

/// Coefficients n − 1 … n + m − 2 of t·x.
///
/// x is moved up so that it fills whole tiles, t by one bit: then coefficient k of the output lies in
/// the products of tiles c of x and j of t with j + c = N + ⌊k/tile⌋ or one less, N being x's tiles.
pub(super) fn middle_product(isa: Isa, x: &BitBlock, t: &BitBlock, m: usize) -> BitBlock {
    let x = tiles(x, x.len().next_multiple_of(64 * TILE) - x.len());
    let t = tiles(t, 1);
    let (x_tiles, rows) = (x.len() / TILE, m.div_ceil(64 * TILE));
    let tile_of_t = |j: usize| t.get(j * TILE..(j + 1) * TILE);
    let add = |mut sum: Vec<u64>, c: usize| {
        let (mut product, mut scratch) =
            (Zeroizing::new(vec![0; 2 * TILE]), Zeroizing::new(vec![0; 4 * TILE]));
        for row in 0..=rows {
            // The product of tile j meets the rows row − 1 (its low half) and row (its high half).
            let Some(tile) = (row + x_tiles).checked_sub(c + 1).and_then(tile_of_t) else { continue };
            gf2x::product(isa, tile, &x[c * TILE..(c + 1) * TILE], &mut product, &mut scratch);
            let (low, high) = product.split_at(TILE);
            if row > 0 {
                bits::xor(isa, &mut sum[(row - 1) * TILE..row * TILE], low);
            }
            if row < rows {
                bits::xor(isa, &mut sum[row * TILE..(row + 1) * TILE], high);
            }
        }
        sum
    };
    let empty = || vec![0; rows * TILE];
    let join = |mut a: Vec<u64>, mut b: Vec<u64>| {
        bits::xor(isa, &mut a, &b);
        b.zeroize();
        a
    };
    let sum = (0..x_tiles).into_par_iter().with_min_len(16).fold(empty, add).reduce(empty, join);
    BitBlock::from_words(sum, m)
}

/// The bits moved up by `up`, in whole tiles.
fn tiles(block: &BitBlock, up: usize) -> Zeroizing<Vec<u64>> {
    let words = (block.len() + up).div_ceil(64).next_multiple_of(TILE);
    let mut moved = Zeroizing::new(vec![0; words]);
    let (skip, shift) = (up / 64, up % 64);
    for (place, word) in block.words().iter().enumerate() {
        moved[skip + place] |= word << shift;
        // What is moved out of the last word is zero; no branch asks the bits.
        if let Some(next) = moved.get_mut(skip + place + 1) {
            *next |= word >> 1 >> (63 - shift);
        }
    }
    moved
}
