//! The decoder for codes with degree-1 leaves: 16-bit messages, leaves computed once a frame.
//!
//! A frame is cut into blocks of 64 bits, and every edge of the graph joins a block to a check by
//! a rotation of the 64 lanes (quasi-cyclic lifting, Z = 64). Most checks join a few *core* blocks
//! and one *leaf*, a block that stands in no other check: what a leaf says never changes, so only
//! the core is iterated. The remaining checks, the *parity checks* of the core, tell when the
//! decoder has arrived; a leaf check can always be satisfied by its leaf.
//!
//! Layered schedule: the leaf checks of a graph, or of a part of one, come first, then its parity checks; each check
//! takes its old message C off the posteriors V (a = V − C), computes the new one and adds it.
//! Log-likelihood ratios are in units of 1/[`UNIT`] and saturate at ±32.
//!
//! * Leaf check: C_i = g·∏_{j≠i} t(a_j). Exact is 2·artanh(tanh(L/2)·∏ tanh(a_j/2)), which in the leaf's ratio L
//!   and in the product bends upwards. Here what a leaf enters with, g(L), is any curve ([`Gain`]), and a
//!   factor is tanh(a/2) or bent as t·(1 + κ·t²)/(1 + κ) ([`Factors`]): with κ by the rate, and g by how far
//!   the frame has come, that takes no more iterations than the exact rule and a quarter less work.
//! * Parity check, on the long way on which many are violated: the same with g = ±1, and 2·artanh of the product
//!   by a piecewise linear table that ends at 7.
//! * Parity check, at the end: C_i = ± ⊞_{j≠i} |a_j| with a ⊞ b = min + f(a + b) − f(|a − b|),
//!   f(x) = ln(1 + e^(−x)) ≈ ⅔·(1 − x/c)² below c = 8/3, near the parabola that has value and slope at
//!   zero exact. It is twice the work, but bits that the product cannot push far enough do not stick
//!   ([`ParityRule`]).
//!
//! Tables are of straight lines by the upper six bits; value and rise are one byte each, so that a look-up and a
//! multiplication of bytes give a factor (`vpermi2w`, `vpmaddubsw`). A factor of one is 255·127/2¹⁵,
//! [`FULL_FACTOR`]: leaves enter with so much more.
//!
//! | rung | symbols/s of the whole way, rate 0.15 | bound by |
//! |---|---|---|
//! | avx512 | 1 | multiplications, saturating additions and shuffles, about evenly |
//! | avx2 | 0.5 of it | factors by four `vpshufb` |
//! | portable | 0.07 of it | rows of 64 lanes, vectorised by the compiler; factors lane by lane |
//! | scalar | 0.02 of it | one lane at a time |
//!
//! A posterior is kept in the lane order of the check that wrote it last, so that an edge costs one
//! rotation, not two: the rotation of an edge is relative to the edge before it of the same block.

/// Units per log-likelihood ratio of 1.
pub const UNIT: i16 = 1024;

/// Most core blocks in a check.
pub const MAX_DEGREE: usize = 16;

/// The 64 lanes of a block, aligned to cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct Lanes(pub [i16; 64]);

impl Default for Lanes {
    fn default() -> Self {
        Self([0; 64])
    }
}

/// Joins a check to a core block: lane i of the check is lane (i + rotation) mod 64 of the block,
/// in the order that the block's previous edge left it in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// The core block.
    pub block: u16,
    /// The rotation, below 64.
    pub rotation: u16,
}

/// Checks of equal degree, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Core blocks in each: 1 to [`MAX_DEGREE`].
    pub degree: usize,
    /// How many.
    pub checks: usize,
}

/// In which order an iteration visits the parity checks. Checks that share the bits of a chain pass
/// what they know on along it, in one iteration from end to end: by turns to and fro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// First to last.
    Ascending,
    /// Last to first.
    Descending,
}

/// What a bit's ratio a enters a product with: tanh(a/2), or a curve bent from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factors([i16; 64]);

impl Factors {
    /// tanh(a/2).
    pub const TANH: Self = Self::bent(0.0);

    /// t·(1 + κ·t²)/(1 + κ), t = tanh(a/2); κ from 0 to 1.
    #[must_use]
    pub const fn bent(bend: f64) -> Self {
        let mut knots = [0; 33];
        let mut i = 0;
        while i < 33 {
            let t = KNOTS[i] as f64 / 32768.0;
            knots[i] = (127.0 * t * (1.0 + bend * t * t) / (1.0 + bend) + 0.5) as i8;
            i += 1;
        }
        Self(lines_of_bytes(&knots))
    }
}

/// What a leaf's ratio enters its check with: an odd, rising curve by straight lines between multiples of ¼, up
/// to ±8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// At the left end of each line.
    values: [i16; 64],
    /// To its right end.
    rises: [i16; 64],
}

impl Gain {
    /// The curve `at(L)`, L from 0 to 8, which must begin at zero, rise, and stay below 31.
    #[must_use]
    pub fn new(at: impl Fn(f64) -> f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "saturating")]
        let knot = |i: usize| (f64::from(UNIT) * at(i as f64 / 4.0) + 0.5) as i16;
        let signed = |i: usize| if i <= 32 { knot(i) } else { -knot(64 - i) };
        // The 33rd line begins at −8; the one before ends at 8.
        let left = |i: usize| if i == 32 { -knot(32) } else { signed(i) };
        Self {
            values: std::array::from_fn(left),
            rises: std::array::from_fn(|i| signed(i + 1).wrapping_sub(left(i)).max(0)),
        }
    }
}

/// How a parity check reckons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParityRule {
    /// By the product of what its bits say: 7 at most. For the long way on which many are violated.
    Product,
    /// By ⊞ of log-likelihood ratios, up to 10: for the end of the way. Twice the work.
    Sizes,
}

/// The graph, or a part of it: leaf checks first, then parity checks, and their edges in that order.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    /// Leaf checks.
    pub leaf_runs: &'a [Run],
    /// What bits enter leaf checks with.
    pub factors: &'a Factors,
    /// Parity checks of the core.
    pub parity_runs: &'a [Run],
    /// The order of the parity checks.
    pub parity_order: Order,
    /// How parity checks reckon.
    pub parity_rule: ParityRule,
    /// Every edge.
    pub edges: &'a [Edge],
}

/// A frame in decoding.
#[derive(Debug)]
pub struct Beliefs<'a> {
    /// One a core block: log-likelihood ratios, positive for 0.
    pub posteriors: &'a mut [Lanes],
    /// One an edge: the message from the check, zero at the start.
    pub messages: &'a mut [Lanes],
    /// One a leaf check: see [`leaves`].
    pub leaves: &'a [Lanes],
    /// One a parity check: its 64 syndrome bits.
    pub syndrome: &'a [u64],
}

kernel! {
    /// Visits all checks of the graph once. Returns how many parity checks, lane by lane, were violated
    /// by the posteriors that they met.
    ///
    /// Panics if the graph's edges, blocks and checks are not those of `beliefs`, or a degree is 0
    /// or above [`MAX_DEGREE`]. Time depends on the graph only.
    pub fn iterate(graph: &Graph<'_>, beliefs: &mut Beliefs<'_>) -> u32;

    /// What leaves of these ratios enter their checks with; with the other sign where the syndrome bit is 1.
    ///
    /// `ratios`: 64 a syndrome word. Panics if the lengths differ. Time depends on the length only.
    pub fn leaves(gain: &Gain, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]);
}

/// A factor of one: 255·127 of 2¹⁵. A product of D − 1 factors is this to the power of D − 1 too small.
pub const FULL_FACTOR: f64 = 32385.0 / 32768.0;

/// tanh(x/2) in Q15 at x = 0, 1, … 32, moved outward so that straight lines between are near
/// minimax.
const KNOTS: [i16; 33] = [
    0, 15514, 25283, 29826, 31658, 32355, 32615, 32711, 32746, 32759, 32764, 32766, 32766, 32766, 32766,
    32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766,
    32766, 32766, 32766,
];

/// 2·artanh in 16ths at 0, 1/32, … 1, ending at 7.
const ARTANH_KNOTS: [i8; 33] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 18, 19, 20, 22, 23, 25, 27, 29, 31, 34, 36, 39, 43,
    48, 55, 66, 112,
];

/// The lines of 2·artanh, for products in units of 2⁻¹⁴: value and rise in 16ths.
const ARTANH: [i16; 64] = lines_of_bytes(&ARTANH_KNOTS);

/// The lines between the knots of an odd curve, by the six top bits of a two's-complement number: the low byte
/// is the value at the left end, the high byte the rise.
const fn lines_of_bytes(knots: &[i8; 33]) -> [i16; 64] {
    let mut lines = [0; 64];
    let mut i = 0;
    while i < 64 {
        let (left, right) = if i < 32 { (knots[i], knots[i + 1]) } else { (-knots[64 - i], -knots[63 - i]) };
        lines[i] = i16::from_le_bytes([left as u8, (right - left) as u8]);
        i += 1;
    }
    lines
}

/// What certainty enters a parity check of this degree with: one, in units of 2⁻¹⁴ less what rounding may
/// add, by as much more as the factors are too small.
const fn certain(degree: usize) -> i16 {
    let mut one = 16368.0;
    let mut i = 1;
    while i < degree {
        one /= FULL_FACTOR;
        i += 1;
    }
    one as i16
}

/// Parity checks reckon in this many times finer units, without sign, up to 10.67.
const FINE: u16 = 3;
/// The most that a parity check reckons with.
const MOST_SIZE: u16 = i16::MAX as u16 / FINE;
/// c = 8/3 in fine units: where the correction of ⊞ ends. As 4·[`CORRECTION_END`] = 2¹⁵, no ⊞ is negative.
const CORRECTION_END: i16 = 8192;
/// 2¹⁶/[`FINE`], rounded up: what a product's upper half divides by [`FINE`] with.
const COARSE: u16 = 21846;
/// The most that a parity check says: 10.
const PARITY_LIMIT: i16 = 10 * UNIT;
/// Leaves say no more than they do just below 8.
const LEAF_LIMIT: i16 = 8 * UNIT - 1;

#[macro_use]
mod runs;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod scalar;

#[cfg(target_arch = "aarch64")]
use portable as neon;

#[cfg(test)]
mod tests;
