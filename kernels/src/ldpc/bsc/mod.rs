//! The A-min* decoder for the binary symmetric channel: 8-bit messages, 64 checks at once.
//!
//! Layered belief propagation in syndrome form on a quasi-cyclic code: the sign of a check starts at its
//! syndrome bit. All channel values of a binary symmetric channel are of one magnitude, so plain min-sum
//! overrates the first messages of heavy checks by far; the check rule here is A-min* (Jones, Vallés,
//! Smith and Villasenor, MILCOM 2003): the least reliable edge hears the exact box-plus of the others,
//! all others hear the box-plus of all.
//!
//! Values are in units of ¼: L = 4 ln(p₀/p₁). box(a, b) = max(0, min(a, b) + g(a + b) − g(|a − b|)) with
//! g(x) = round(4 ln(1 + e^(−x/4))), which is 3 at 0, 2 up to 3, 1 up to 8, and 0 above.
//!
//! | rung | way | bound by |
//! |---|---|---|
//! | avx512 | 64 lanes a vector, g by `vpermb` | byte arithmetic |
//! | avx2 | the portable body | the same |
//! | portable | sixteen lanes a vector on `wide` | the same |
//! | scalar | the lanes one by one | the same |

use std::fmt;

/// Lanes: checks worked on at once, and the least lift of a code.
pub const LANES: usize = 64;

/// The largest magnitude of a message from a check.
const MESSAGE_LIMIT: u8 = 31;

/// Most edges of a check.
pub const MOST_EDGES: usize = 192;

/// A quasi-cyclic graph: in block row r, check z meets bit (z + shift) mod lift of block column `column`,
/// for each of the row's edges.
#[derive(Clone, Copy)]
pub struct Graph<'a> {
    /// Bits in a block, a multiple of 64.
    pub lift: usize,
    /// Block columns.
    pub columns: usize,
    /// Where each block row's edges begin, and one more: where the last one's end.
    pub rows: &'a [u32],
    /// Block column and shift of each edge.
    pub edges: &'a [(u32, u32)],
}

impl fmt::Debug for Graph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} × {} blocks of {})", self.rows.len().saturating_sub(1), self.columns, self.lift)
    }
}

impl Graph<'_> {
    /// Bytes of a block of posteriors: its bits, and the first 64 again so that a rotated load is plain.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.lift + LANES
    }

    fn check(&self) {
        let edges = self.edges.len();
        assert!(self.lift.is_multiple_of(LANES) && self.lift > 0, "a lift of {}", self.lift);
        assert!(
            self.rows.first() == Some(&0) && self.rows.last().is_some_and(|end| *end as usize == edges),
            "rows"
        );
        assert!(
            self.rows.windows(2).all(|row| row[0] <= row[1] && (row[1] - row[0]) as usize <= MOST_EDGES),
            "rows"
        );
        let inside =
            |(column, shift): &(u32, u32)| (*column as usize) < self.columns && (*shift as usize) < self.lift;
        assert!(self.edges.iter().all(inside), "an edge leads out of the graph");
    }
}

kernel! {
    /// One pass over all checks.
    ///
    /// `syndrome`: one bit a check, row by row; `posteriors`: `columns` blocks of `stride` bytes, positive
    /// for 0, mirrored; `messages`: `lift` bytes an edge, zero at first. Panics if a length does not fit.
    pub fn iterate(graph: Graph<'_>, syndrome: &[u64], posteriors: &mut [i8], messages: &mut [i8]);

    /// Whether the signs of the posteriors meet the syndrome. Stops at the first row that fails.
    pub fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], posteriors: &[i8]) -> bool;

    /// The syndrome of bits, 64 a word, block column by block column.
    ///
    /// `out`: one bit a check. Panics if a length does not fit.
    pub fn syndrome(graph: Graph<'_>, bits: &[u64], out: &mut [u64]);
}

mod portable;
mod scalar;

#[cfg(target_arch = "aarch64")]
use portable as neon;

#[cfg(target_arch = "x86_64")]
mod avx512;
/// The portable body: with the wider features its three-operand forms alone pay; 32 lanes are yet to be
/// written.
#[cfg(target_arch = "x86_64")]
use portable as avx2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    struct Lcg(u64);

    impl Lcg {
        fn next(&mut self, below: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 33) % below
        }
    }

    /// A random code of column degree 3.
    fn code(rng: &mut Lcg, lift: u64) -> (Vec<u32>, Vec<(u32, u32)>) {
        let mut by_row = vec![Vec::new(); 6];
        for column in 0..24u32 {
            let first = rng.next(6) as usize;
            for step in [0, 1 + rng.next(2) as usize, 4] {
                by_row[(first + step) % 6].push((column, rng.next(lift) as u32));
            }
        }
        let mut rows = vec![0];
        let edges: Vec<_> = by_row
            .into_iter()
            .flat_map(|row| {
                rows.push(rows[rows.len() - 1] + row.len() as u32);
                row
            })
            .collect();
        (rows, edges)
    }

    #[test]
    fn every_level_decodes_alike_and_right() {
        for (seed, lift) in [(1, 64), (2, 128), (3, 512)] {
            let mut rng = Lcg(seed);
            let (rows, edges) = code(&mut rng, lift as u64);
            let graph = Graph { lift, columns: 24, rows: &rows, edges: &edges };
            let bits: Vec<u64> =
                (0..24 * lift / 64).map(|_| rng.next(1 << 30) << 34 ^ rng.next(1 << 34)).collect();
            let mut noisy = bits.clone();
            (0..24 * lift / 100).for_each(|_| {
                let place = rng.next(24 * lift as u64) as usize;
                noisy[place / 64] ^= 1 << (place % 64);
            });
            let mut reference: Option<Vec<i8>> = None;
            for isa in Isa::available() {
                let mut told = vec![0; 6 * lift / 64];
                syndrome(isa, graph, &bits, &mut told);
                let mut posteriors = vec![0i8; 24 * graph.stride()];
                for (column, block) in posteriors.chunks_exact_mut(graph.stride()).enumerate() {
                    for (place, value) in block.iter_mut().enumerate() {
                        let bit = column * lift + place % lift;
                        *value = if noisy[bit / 64] >> (bit % 64) & 1 == 1 { -18 } else { 18 };
                    }
                }
                let mut messages = vec![0i8; edges.len() * lift];
                let mut passes = 0;
                while !is_satisfied(isa, graph, &told, &posteriors) && passes < 40 {
                    iterate(isa, graph, &told, &mut posteriors, &mut messages);
                    passes += 1;
                }
                assert!(passes < 40 && passes > 0, "{isa}, lift {lift}: {passes} passes");
                let decoded = |bit: usize| posteriors[bit / lift * graph.stride() + bit % lift] < 0;
                assert!(
                    (0..24 * lift).all(|bit| decoded(bit) == (bits[bit / 64] >> (bit % 64) & 1 == 1)),
                    "{isa}: the bits"
                );
                let want = reference.get_or_insert_with(|| posteriors.clone());
                assert_eq!(&posteriors, want, "{isa}, lift {lift}");
            }
        }
    }
}
