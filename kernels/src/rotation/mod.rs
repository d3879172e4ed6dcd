//! Multidimensional rotations: products in the real, complex, quaternion and octonion algebras.
//!
//! 128 real symbols are a *group*: 8 rows of 16, and block j of a group is column j (dimension 8),
//! or the upper and lower half of it (dimension 4), and so on. Component i of all 16 blocks lies
//! in one row, which is a register: nothing is ever transposed. Bit 16·i + j of a group belongs to
//! row i, column j.
//!
//! The product is Cayley–Dickson's, (a, b)(c, d) = (ac − d̄b, da + bc̄), so that e_i·e_j is
//! ± e_(i xor j). With u' = (±1, …, ±1)/√d for the bits of a block (+ for 0):
//!
//! * the reference side sends r = |y| and m = u'·(y/r);
//! * the correcting side forms v = m·x̄ and believes L_i = 2·r·t·v_i/(√d·σ²);
//! * who knows the bits finds y = r·(ū'·m), because the algebras are alternative: ū'(u'ŷ) = ŷ.
//!
//! m is told in 6 bits a component, −31 to 31; r as the caller rounds it. All sums run in a fixed order without fused
//! multiply-add, so that every level computes the same numbers. One body serves all levels: the
//! compiler makes it registers of 16, 8 or 4.
//!
//! Leverrier, Alléaume, Boutros, Zémor, Grangier, "Multidimensional reconciliation for a
//! continuous-variable quantum key distribution", Phys. Rev. A 77, 042325 (2008).

/// Symbols in a group.
pub const GROUP: usize = 128;

/// Steps of a component of m: its code is m · 31, rounded, −31 to 31.
pub const COMPONENT_SCALE: f32 = 31.0;

/// How many real symbols are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Signs alone: lossless for QPSK and BPSK.
    One,
    /// Complex numbers.
    Two,
    /// Quaternions.
    Four,
    /// Octonions: the best for Gaussian modulation.
    Eight,
}

impl Dimension {
    /// The number of real symbols.
    #[must_use]
    pub fn symbols(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
            Self::Eight => 8,
        }
    }
}

/// What the reference side tells of its symbols, in codes.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// How many symbols make a block.
    pub dimension: Dimension,
    /// m · 31, one a symbol.
    pub components: &'a [i8],
    /// Norms in units of `norm_unit`: by group, blocks of the upper rows first, 16 a row of blocks.
    pub norms: &'a [u16],
    /// The unit of `norms`.
    pub norm_unit: f32,
}

kernel! {
    /// The reference side: the components m of `symbols` under `bits`, and the norms r.
    ///
    /// `symbols`: whole groups; `bits`: 2 words a group; `components`: one a symbol; `norms`: one a
    /// block. Panics otherwise. A block of norm 0 has components 0; what is not finite spoils its
    /// own block only. Time independent of the data.
    pub fn harden(dimension: Dimension, symbols: &[f32], bits: &[u64], components: &mut [i8], norms: &mut [f32]);

    /// The correcting side: log-likelihood ratios `scale` · r · v_i in the unit of `scale`, rounded
    /// to even and saturated at ±32767; what is not a number becomes 0.
    ///
    /// Lengths as in [`harden`]; `ratios`: one a symbol. Panics otherwise. Time independent of the
    /// data.
    pub fn soften(told: Told<'_>, symbols: &[f32], scale: f32, ratios: &mut [i16]);

    /// The reference side's symbols again, from what it told and the bits: r·(ū'·m/|m|).
    ///
    /// Lengths as in [`harden`]. Panics otherwise. Time independent of the data.
    pub fn rebuild(told: Told<'_>, bits: &[u64], symbols: &mut [f32]);

    /// Σ a·b, in double precision: 16 running sums, added up at the end.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn dot(a: &[f32], b: &[f32]) -> f64;
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
            use super::{Dimension, Told};

            #[target_feature(enable = $features)]
            pub(super) fn harden(
                dimension: Dimension,
                symbols: &[f32],
                bits: &[u64],
                components: &mut [i8],
                norms: &mut [f32],
            ) {
                super::scalar::harden(dimension, symbols, bits, components, norms);
            }

            #[target_feature(enable = $features)]
            pub(super) fn soften(told: Told<'_>, symbols: &[f32], scale: f32, ratios: &mut [i16]) {
                super::scalar::soften(told, symbols, scale, ratios);
            }

            #[target_feature(enable = $features)]
            pub(super) fn rebuild(told: Told<'_>, bits: &[u64], symbols: &mut [f32]) {
                super::scalar::rebuild(told, bits, symbols);
            }

            #[target_feature(enable = $features)]
            pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
                super::scalar::dot(a, b)
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
