//! The decoder for codes with degree-1 leaves: 16-bit messages, leaves computed once a frame.
//!
//! A frame is cut into blocks of 64 bits, and every edge of the graph joins a block to a check by
//! a rotation of the 64 lanes (quasi-cyclic lifting, Z = 64). Most checks join a few *core* blocks
//! and one *leaf*, a block that stands in no other check: what a leaf says never changes, so only
//! the core is iterated. The remaining checks, the *parity checks* of the core, tell when the
//! decoder has arrived; a leaf check can always be satisfied by its leaf.
//!
//! Layered schedule: one iteration visits all leaf checks, then all parity checks; each check
//! takes its old message C off the posteriors V (a = V − C), computes the new one and adds it.
//! Log-likelihood ratios are in units of 1/[`UNIT`] and saturate at ±32.
//!
//! * Leaf check with leaf t = ±tanh(L/2) (the syndrome bit is its sign):
//!   C_i = 2·artanh(t·∏_{j≠i} tanh(a_j/2)), by a piecewise linear tanh and
//!   2·artanh(o) ≈ 2o(1 + 0.45·o²); |o| never exceeds |t|. At low rates leaves say so little that a
//!   straight line does: C_i = g·∏, where the gain g is the mean of L and 2·tanh(L/2), the message
//!   between its two ends ([`LeafRule`]).
//! * Parity check, as long as many are violated: like a leaf check whose leaf is certain. That is
//!   exact where messages are small, but says 2.9 at most, and bits would stick there.
//! * Parity check, towards the end: C_i = ± ⊞_{j≠i} |a_j| with a ⊞ b = min + f(a + b) − f(|a − b|),
//!   f(x) = ln(1 + e^(−x)) ≈ ⅔·(1 − x/c)² below c = 8/3, near the parabola that has value and slope at
//!   zero exact. A cubic takes as many iterations and half as long again; it is twice the work of the
//!   product ([`ParityRule`]).
//!
//! | rung | symbols/s of the whole way, rate 0.15 | bound by |
//! |---|---|---|
//! | avx512 | 1 | shuffles and multiplications: tanh by `vpermi2w` |
//! | avx2 | 0.5 of it | tanh by eight `vpshufb` |
//! | portable | 0.07 of it | rows of 64 lanes, vectorised by the compiler; tanh lane by lane |
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

/// How the message of a leaf check follows from the product of what its bits say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeafRule {
    /// 2·artanh of the product, by a cubic: for leaves that say much.
    Curve,
    /// A straight line: a fifth less work; takes a tenth more iterations at rate 0.15, 1 % at 0.05.
    Line,
}

/// How a parity check reckons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParityRule {
    /// By the product of what its bits say: 2.9 at most. For the long way on which many are violated.
    Product,
    /// By ⊞ of log-likelihood ratios, up to 10: for the end of the way. Twice the work.
    Sizes,
}

/// The graph: leaf checks first, then parity checks, and their edges in that order.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'a> {
    /// Leaf checks.
    pub leaf_runs: &'a [Run],
    /// How leaf checks reckon.
    pub leaf_rule: LeafRule,
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
    /// One iteration over all checks. Returns how many parity checks, lane by lane, were violated
    /// by the posteriors that they met.
    ///
    /// Panics if the graph's edges, blocks and checks are not those of `beliefs`, or a degree is 0
    /// or above [`MAX_DEGREE`]. Time depends on the graph only.
    pub fn iterate(graph: &Graph<'_>, beliefs: &mut Beliefs<'_>) -> u32;

    /// What leaves of the ratios L enter their checks with, by the rule: tanh(L/2) in the units of products, or the mean
    /// of L and 2·tanh(L/2) in units; with the other sign where the syndrome bit is 1. Ratios are
    /// clipped to ±3.
    ///
    /// `ratios`: 64 a syndrome word. Panics if the lengths differ. Time depends on the length only.
    pub fn leaves(rule: LeafRule, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]);
}

/// tanh(x/2) in Q15 at x = 0, 1, … 32, moved outward so that straight lines between are near
/// minimax.
const KNOTS: [i16; 33] = [
    0, 15514, 25283, 29826, 31658, 32355, 32615, 32711, 32746, 32759, 32764, 32766, 32766, 32766, 32766,
    32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766, 32766,
    32766, 32766, 32766,
];

/// The lines between the knots: value at the left end and rise, by the six top bits of a
/// two's-complement ratio.
const LINES: [[i16; 64]; 2] = {
    let mut lines = [[0; 64]; 2];
    let mut i = 0;
    while i < 64 {
        let (left, right) = if i < 32 { (KNOTS[i], KNOTS[i + 1]) } else { (-KNOTS[64 - i], -KNOTS[63 - i]) };
        lines[0][i] = left;
        lines[1][i] = right - left;
        i += 1;
    }
    lines
};

/// Products o are kept in units of 2⁻¹⁵/σ, σ³ = 0.45·2·[`UNIT`]/2¹⁵, so that 2·artanh(o) takes two
/// multiplications: o·(2·[`UNIT`]/σ + o²). This is a one, 2¹⁵·σ.
const ONE: i16 = 9965;
/// 2·[`UNIT`]/σ: the slope of 2·artanh(o) at small o.
const ARTANH_SLOPE: i16 = 6734;
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
/// Leaves are clipped here, where the decoder's artanh ends: 3.
const LEAF_LIMIT: i16 = 3 * UNIT;

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
