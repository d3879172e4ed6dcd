//! Slices: Gaussian values cut into cells, and what the correcting side believes of a cell's bits.
//!
//! A value's *cell* is a number of 8 bits, one of 256 intervals in rising order. Its upper four bits are the *levels*,
//! highest first, which are kept secret and corrected one after the other; its lower four say where within one of the
//! sixteen wide intervals the value lies and are told, mirrored in every second interval: what is told changes
//! nowhere by more than a step between neighbours.
//!
//! Bits lie in *planes* of one bit a symbol, 64 symbols a word: four of the levels, highest first, then four that are
//! told, highest first. With y_c the value that stands for cell c and y = t·x + noise of variance σ², the values being
//! normal of variance s², a cell that what is known allows has the likelihood
//!
//! ```text
//! P(c | x) ∝ exp(y_c (a y_c + b x)),   a = 1/(2s²) − 1/(2σ²),   b = t/σ²
//! ```
//!
//! and a level's ratio is that of the sums over the cells with a 0 and with a 1 there. Powers and logarithms are
//! polynomials of single precision; all sums run in a fixed order without fused multiply-add, so that every level
//! computes the same numbers. One body serves all: the compiler vectorises it.
//!
//! Van Assche, Cardinal, Cerf, "Reconciliation of a quantum-distributed Gaussian key", IEEE Trans. Inf. Theory 50, 394
//! (2004), without the part that is told.

/// Bits of a cell's number that are secret.
pub const LEVELS: usize = 4;

/// Bits of a cell's number that are told.
pub const TOLD: usize = 4;

/// Cells.
pub const CELLS: usize = 1 << (LEVELS + TOLD);

/// What the correcting side knows of values and channel.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// y_c, by cell.
    pub values: &'a [f32; CELLS],
    /// a · log₂ e.
    pub curvature: f32,
    /// b · log₂ e.
    pub slope: f32,
}

kernel! {
    /// The reference side: the eight planes of its values' cells, cell c beginning at `ends[c − 1]`.
    ///
    /// `symbols`: 64 a word; `ends`: rising; `planes`: eight times as many words. Panics otherwise. What is not a
    /// number falls into cell 0. Time independent of the data.
    pub fn cut(symbols: &[f32], ends: &[f32; CELLS - 1], planes: &mut [u64]);

    /// The correcting side: log-likelihood ratios of a level's bits, positive for 0, rounded and saturated at
    /// ±32767 units of `1 / unit`.
    ///
    /// `planes`: the told ones and those of the levels above; the others are not read. `level`: below [`LEVELS`].
    /// `ratios`: one a symbol. Panics otherwise. Time independent of the data.
    pub fn soften(sight: Sight<'_>, planes: &[u64], level: usize, unit: f32, symbols: &[f32], ratios: &mut [i16]);

    /// Who knows all planes: the values that stand for the cells.
    ///
    /// Lengths as in [`cut`]. Panics otherwise.
    pub fn rebuild(planes: &[u64], values: &[f32; CELLS], symbols: &mut [f32]);
}

mod scalar;

use scalar as portable;
#[cfg(target_arch = "aarch64")]
use scalar as neon;

/// The scalar bodies under wider features: the compiler vectorises them.
#[cfg(target_arch = "x86_64")]
macro_rules! rung {
    ($name:ident, $features:literal) => {
        mod $name {
            use super::{CELLS, Sight};

            #[target_feature(enable = $features)]
            pub(super) fn cut(symbols: &[f32], ends: &[f32; CELLS - 1], planes: &mut [u64]) {
                super::scalar::cut(symbols, ends, planes);
            }

            #[target_feature(enable = $features)]
            pub(super) fn soften(
                sight: Sight<'_>,
                planes: &[u64],
                level: usize,
                unit: f32,
                symbols: &[f32],
                ratios: &mut [i16],
            ) {
                super::scalar::soften(sight, planes, level, unit, symbols, ratios);
            }

            #[target_feature(enable = $features)]
            pub(super) fn rebuild(planes: &[u64], values: &[f32; CELLS], symbols: &mut [f32]) {
                super::scalar::rebuild(planes, values, symbols);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
rung!(avx2, "avx2");
#[cfg(target_arch = "x86_64")]
rung!(avx512, "avx512f,avx512bw,avx512dq,avx512vl");

#[cfg(test)]
mod tests;
