//! The sum-product decoder for the binary symmetric channel: 8-bit messages, 64 checks at once.
//!
//! Layered belief propagation in syndrome form on a quasi-cyclic code: the sign of a check starts at its
//! syndrome bit. All channel values of a binary symmetric channel are of one magnitude, so plain min-sum
//! overrates the first messages of heavy checks by far. The check rule here is A-min* (Jones, Vallés,
//! Smith and Villasenor, MILCOM 2003) by sums: with φ(x) = −ln tanh(x/2) and Σ = Σ φ(|v|) over the edges of
//! a check, its least reliable edges hear φ⁻¹(Σ − φ(least)), which is exact, and all others φ⁻¹(Σ).
//!
//! Values are in units of ¼: L = 4 ln(p₀/p₁). Those from checks are at most 32, and less to bits of many checks
//! ([`limits`]): at a lower limit for all frames stood still near their end.
//! φ is a table in units of 1/2048, summed in 16 bits with saturation at 2¹⁶ − 1, so that the order of the edges
//! changes nothing; φ⁻¹ is a table of three steps.
//!
//! *Lanes.* Sixty-four checks are worked on at once, and sixty-four bits of a block lie side by side, so that an edge's
//! shift is two: of the words in a block, and of the lanes in a word ([`bit_of`]). Whoever has worked on a word leaves
//! its lanes turned as the column's next edge wants them, the first edge after the last: every access is one whole,
//! aligned word.
//!
//! | rung | way | bound by |
//! |---|---|---|
//! | avx512 | 64 lanes a vector and two words of checks at once, tables by `vpermb`, words of the checks to come prefetched | byte arithmetic; codes beyond the second cache: memory |
//! | avx2 | 32 lanes a vector, tables by `vpshufb` | byte arithmetic |
//! | portable | the scalar body | table look-ups |
//! | scalar | the lanes one by one | table look-ups |

use std::fmt;
use std::ops::{Deref, Range};

/// Lanes: checks worked on at once, and the least lift of a code.
pub const LANES: usize = 64;

/// The magnitude of a bit that is known; no message changes it.
const CERTAIN: i8 = 127;

/// Most edges of a check.
pub const MOST_EDGES: usize = 192;

/// Most block columns.
pub const MOST_COLUMNS: usize = 1024;

/// Most words of a block.
const MOST_WORDS: usize = 64;

/// The largest message from a check.
const MOST_TOLD: u8 = 32;

/// φ of a magnitude, in units of 1/2048; 0 counts as 0.12 units, from 31 on it is 0.
const PHI: [u16; 32] = [
    8601, 4269, 2881, 2102, 1581, 1207, 930, 719, 558, 433, 337, 262, 204, 159, 124, 96, 75, 58, 46, 35, 28,
    21, 17, 13, 10, 8, 6, 5, 4, 3, 2, 0,
];

/// φ⁻¹ in steps of 1, 16 and 256: the first for sums below 64, the second below 1024, the last above.
const INVERSE: [[u8; 64]; 3] = [
    [
        32, 32, 30, 29, 28, 27, 26, 25, 25, 24, 24, 24, 23, 23, 23, 22, 22, 22, 22, 21, 21, 21, 21, 21, 21,
        20, 20, 20, 20, 20, 20, 20, 19, 19, 19, 19, 19, 19, 19, 19, 19, 18, 18, 18, 18, 18, 18, 18, 18, 18,
        18, 18, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17, 17,
    ],
    [
        25, 21, 19, 17, 16, 15, 15, 14, 14, 13, 13, 12, 12, 12, 11, 11, 11, 11, 11, 10, 10, 10, 10, 10, 9, 9,
        9, 9, 9, 9, 9, 8, 8, 8, 8, 8, 8, 8, 8, 8, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 6, 6, 6, 6, 6, 6, 6,
        6, 6, 6, 6,
    ],
    [
        14, 9, 7, 6, 5, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
];

/// A quasi-cyclic graph: in block row r, check z meets bit [`bit_of`]`(z, shift)` of block column `column`,
/// for each of the row's edges. A row consists of two halves: where the parity of the first half is told
/// too, a check becomes two lighter ones.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Bits in a block, a multiple of 64 up to 4096.
    pub lift: usize,
    /// Block columns.
    pub columns: usize,
    /// Where the edges of each block row's two halves begin, and one more: where the last one's end.
    pub rows: &'a [u32],
    /// Block column and shift of each edge.
    pub edges: &'a [(u32, u32)],
    /// By column, the lanes that its first edge turns it by: see [`turns`].
    pub firsts: &'a [u8],
    /// By edge, the lanes that the column's next edge turns it by beyond that: see [`turns`].
    pub turns: &'a [u8],
    /// By edge, the largest message from its check, at most 32: see [`limits`].
    pub limits: &'a [u8],
}

/// A graph whose parts fit together: no edge leads out of it, and no two of a row to the same column, so that the checks
/// of a row have no bit in common.
#[derive(Clone, Copy)]
pub struct Graph<'a> {
    parts: Parts<'a>,
}

impl<'a> Deref for Graph<'a> {
    type Target = Parts<'a>;

    fn deref(&self) -> &Parts<'a> {
        &self.parts
    }
}

/// The bit of a block that an edge of this shift leads check `check` of a row to: the shift's words and its lanes are
/// added apart, each going round.
///
/// `check`, `shift`: below `lift`, a multiple of 64.
#[must_use]
pub const fn bit_of(check: usize, shift: usize, lift: usize) -> usize {
    (check / LANES + shift / LANES) % (lift / LANES) * LANES + (check + shift) % LANES
}

/// The check that meets this bit by an edge of this shift: the inverse of [`bit_of`].
#[must_use]
pub const fn check_of(bit: usize, shift: usize, lift: usize) -> usize {
    let word = (bit / LANES + lift / LANES - shift / LANES) % (lift / LANES);
    word * LANES + (bit + LANES - shift % LANES) % LANES
}

/// Fills in how lanes are turned: `firsts` by column, `turns` by edge. Panics if an edge's column or turn has no
/// place.
pub fn turns(edges: &[(u32, u32)], firsts: &mut [u8], turns: &mut [u8]) {
    let lanes = |shift: u32| (shift % LANES as u32) as u8;
    edges.iter().rev().for_each(|(column, shift)| firsts[*column as usize] = lanes(*shift));
    // Going back, each column's entry is what its next edge wants; in the end it is the first edge's again.
    for ((column, shift), turn) in edges.iter().zip(turns).rev() {
        let next = &mut firsts[*column as usize];
        *turn = (*next + LANES as u8 - lanes(*shift)) % LANES as u8;
        *next = lanes(*shift);
    }
}

/// What all messages to a bit may add up to. From 140 to 180 decodes best: with more, frames diverge, with 110 they take
/// a tenth more iterations, with 70 they stand still.
const MOST_HEARD: usize = 180;

/// The largest message of each edge, by the degree of its column: all that a bit hears is at most 180.
///
/// Posteriors saturate at 127. When a bit of degree 20 has heard 640 and some of its checks turn, what they take back is
/// taken from 127: four wrong checks outvoted sixteen, and frames with a few wrong bits left diverged. Panics if an
/// edge's column is none.
#[must_use]
pub fn limits(columns: usize, edges: &[(u32, u32)]) -> Vec<u8> {
    let mut degrees = vec![0; columns];
    edges.iter().for_each(|(column, _)| degrees[*column as usize] += 1);
    let limit = |degree: usize| (MOST_HEARD / degree).min(usize::from(MOST_TOLD)) as u8;
    edges.iter().map(|(column, _)| limit(degrees[*column as usize])).collect()
}

impl fmt::Debug for Graph<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph({} × {} blocks of {})", self.rows.len() / 2, self.columns, self.lift)
    }
}

impl<'a> Graph<'a> {
    /// The graph of these parts. Panics if they do not fit together.
    #[must_use]
    pub fn new(parts: Parts<'a>) -> Self {
        let Parts { lift, columns, rows, edges, firsts, turns, limits } = parts;
        let words = lift / LANES;
        assert!(lift.is_multiple_of(LANES) && (1..=MOST_WORDS).contains(&words), "a lift of {lift}");
        assert!(columns <= MOST_COLUMNS, "{columns} columns are too many");
        let is_whole =
            rows.first() == Some(&0) && rows.last().is_some_and(|end| *end as usize == edges.len());
        assert!(is_whole && rows.len() % 2 == 1 && rows.is_sorted(), "rows");
        assert!(rows.windows(3).all(|row| (row[2] - row[0]) as usize <= MOST_EDGES), "a row too heavy");
        let inside = |(column, shift): &(u32, u32)| (*column as usize) < columns && (*shift as usize) < lift;
        assert!(edges.iter().all(inside), "an edge leads out of the graph");
        assert!(firsts.len() == columns && turns.len() == edges.len(), "turns");
        assert!(limits.len() == edges.len(), "limits");
        let mut rows = rows.windows(3).step_by(2);
        assert!(
            rows.all(|row| are_apart(&edges[row[0] as usize..row[2] as usize])),
            "a column twice in a row"
        );
        Self { parts }
    }
}

/// Whether no two edges lead to the same column.
fn are_apart(edges: &[(u32, u32)]) -> bool {
    let mut met = [0u64; MOST_COLUMNS / 64];
    edges.iter().all(|(column, _)| {
        let (met, bit) = (&mut met[*column as usize / 64], 1 << (column % 64));
        let is_new = *met & bit == 0;
        *met |= bit;
        is_new
    })
}

impl Graph<'_> {
    /// Words of a block.
    #[inline(always)]
    fn words(&self) -> usize {
        self.lift / LANES
    }

    /// Words of the whole syndrome.
    #[must_use]
    pub fn syndrome_words(&self) -> usize {
        self.rows.len() / 2 * self.words()
    }

    /// The word among all blocks' that an edge leads the word `word` of a row to.
    #[inline(always)]
    fn place(&self, (column, shift): (u32, u32), word: usize) -> usize {
        let at = shift as usize / LANES + word;
        let wrapped = if at >= self.words() { at - self.words() } else { at };
        column as usize * self.words() + wrapped
    }

    /// The checks that are told, 64 of them at once.
    #[inline(always)]
    fn told<'a>(&'a self, syndrome: &'a [u64], halves: &'a [u64]) -> Walk<'a> {
        assert_eq!(syndrome.len(), self.syndrome_words(), "a bit a check");
        assert!(halves.len() <= syndrome.len(), "more halves than checks");
        Walk { graph: self, syndrome, halves, next: 0, row: 0, word: 0, is_within: false }
    }
}

/// A walk over the checks, row by row: where only the first half of a check is told too, its halves come one by one.
///
/// By hand, because it stands in the innermost loop but one: no division, and inlined into each rung.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    syndrome: &'a [u64],
    halves: &'a [u64],
    /// The next word of the syndrome: its block row, and its place in it.
    next: usize,
    row: usize,
    word: usize,
    /// Whether the first half of that word is behind us.
    is_within: bool,
}

impl Walk<'_> {
    #[inline(always)]
    fn part(&self, [from, to]: [usize; 2], parity: u64) -> Told {
        let rows = &self.graph.rows[2 * self.row..];
        let (start, end) = (rows[0] as usize, rows[2] as usize);
        let edges = rows[from] as usize..rows[to] as usize;
        let messages = start * self.graph.lift + (self.word * (end - start) + edges.start - start) * LANES;
        Told { edges, parity, word: self.word, messages }
    }

    /// The parity of the checks in the row's next word, if there is one and they are told as the last ones were: whole.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn beside(&mut self) -> Option<u64> {
        if self.word == 0 || self.is_within || self.halves.len() >= self.next {
            return None;
        }
        let parity = *self.syndrome.get(self.next)?;
        self.advance();
        Some(parity)
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.next += 1;
        self.word += 1;
        if self.word * LANES == self.graph.lift {
            (self.row, self.word) = (self.row + 1, 0);
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = Told;

    #[inline(always)]
    fn next(&mut self) -> Option<Told> {
        let whole = *self.syndrome.get(self.next)?;
        let told = match self.halves.get(self.next) {
            None => self.part([0, 2], whole),
            Some(half) if self.is_within => self.part([1, 2], half ^ whole),
            Some(half) => {
                self.is_within = true;
                return Some(self.part([0, 1], *half));
            }
        };
        self.is_within = false;
        self.advance();
        Some(told)
    }
}

/// Sixty-four checks that are told.
struct Told {
    edges: Range<usize>,
    parity: u64,
    /// Place of the word in its row.
    word: usize,
    /// Where their messages begin: those of a row's word stand together, 64 an edge.
    messages: usize,
}

kernel! {
    /// The posteriors before the first pass: ±`magnitude` by the bits of a code word, and ±127 where
    /// `certain` has a one.
    ///
    /// `bits`, `certain`: 64 a word, block column by block column; `posteriors`: a byte a bit in the same order but for
    /// the lanes of a word, positive for 0. Panics if a length does not fit.
    pub fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]);

    /// One pass over all checks: how many were violated, by what their bits knew without them, when their turn
    /// came.
    ///
    /// `syndrome`: one bit a check, row by row; `halves`: the parities of first halves of the first checks, as
    /// many as are told; `posteriors`: as from [`prepare`]; `messages`: `lift` bytes an edge, zero at first.
    /// Panics if a length does not fit.
    pub fn iterate(
        graph: Graph<'_>,
        syndrome: &[u64],
        halves: &[u64],
        posteriors: &mut [i8],
        messages: &mut [i8],
    ) -> usize;

    /// The signs of the posteriors: `bits`, 64 a word, block column by block column. Panics if a length does not
    /// fit.
    pub fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]);

    /// Whether bits, 64 a word, block column by block column, meet what is told. Stops at the first row that fails.
    /// Panics if a length does not fit.
    pub fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], bits: &[u64]) -> bool;

    /// The syndrome of bits, 64 a word, block column by block column.
    ///
    /// `syndrome`, `halves`: one bit a check, of the whole check and of its first half. Panics if a length does
    /// not fit.
    pub fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]);
}

mod scalar;
use scalar as portable;

#[cfg(target_arch = "aarch64")]
use portable as neon;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

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
                let start = rows[rows.len() - 1];
                rows.extend([start + row.len() as u32 / 2, start + row.len() as u32]);
                row
            })
            .collect();
        (rows, edges)
    }

    /// How its lanes are turned.
    fn turned(edges: &[(u32, u32)]) -> ([u8; 24], Vec<u8>) {
        let (mut firsts, mut by_edge) = ([0; 24], vec![0; edges.len()]);
        turns(edges, &mut firsts, &mut by_edge);
        (firsts, by_edge)
    }

    /// The graph of these parts: rows and edges, how lanes are turned, limits.
    fn graph<'a>(
        lift: usize,
        (rows, edges): (&'a [u32], &'a [(u32, u32)]),
        (firsts, turns): (&'a [u8], &'a [u8]),
        limits: &'a [u8],
    ) -> Graph<'a> {
        Graph::new(Parts { lift, columns: 24, rows, edges, firsts, turns, limits })
    }

    #[test]
    fn every_level_decodes_alike_and_right() {
        for (seed, lift) in [(1, 64), (2, 128), (3, 512)] {
            let mut rng = Lcg(seed);
            let (rows, edges) = code(&mut rng, lift as u64);
            let ((firsts, turns), limits) = (turned(&edges), limits(24, &edges));
            let graph = graph(lift, (&rows, &edges), (&firsts, &turns), &limits);
            let bits: Vec<u64> =
                (0..24 * lift / 64).map(|_| rng.next(1 << 30) << 34 ^ rng.next(1 << 34)).collect();
            let mut noisy = bits.clone();
            (0..24 * lift / 100).for_each(|_| {
                let place = rng.next(24 * lift as u64) as usize;
                noisy[place / 64] ^= 1 << (place % 64);
            });
            let mut reference = None;
            for isa in Isa::available() {
                let [mut told, mut halves] = [0; 2].map(|_| vec![0; 6 * lift / 64]);
                syndrome(isa, graph, &bits, &mut told, &mut halves);
                halves.truncate(lift / 64 - 1);
                let mut posteriors = vec![0i8; 24 * lift];
                let certain: Vec<u64> = (0..24 * lift as u64 / 64).map(|word| 1 << (word % 64)).collect();
                let known: Vec<u64> = (noisy.iter().zip(&bits).zip(&certain))
                    .map(|((noisy, bits), certain)| noisy & !certain | bits & certain)
                    .collect();
                prepare(isa, graph, &known, &certain, 18, &mut posteriors);
                let mut messages = vec![0i8; edges.len() * lift];
                let (mut passes, mut violated) = (0, Vec::new());
                let mut decoded = vec![0; bits.len()];
                decide(isa, graph, &posteriors, &mut decoded);
                assert_eq!(decoded, known, "{isa}: before the first pass");
                while !is_satisfied(isa, graph, &told, &halves, &decoded) && passes < 40 {
                    violated.push(iterate(isa, graph, &told, &halves, &mut posteriors, &mut messages));
                    decide(isa, graph, &posteriors, &mut decoded);
                    passes += 1;
                }
                assert!(passes < 40 && passes > 0, "{isa}, lift {lift}: {passes} passes");
                assert_eq!(decoded, bits, "{isa}: the bits");
                let last = iterate(isa, graph, &told, &halves, &mut posteriors, &mut messages);
                assert!(violated[0] > 10 * last, "{isa}, lift {lift}: {violated:?}, in the end {last}");
                let got = (posteriors, violated);
                let want = reference.get_or_insert_with(|| got.clone());
                assert_eq!(&got, want, "{isa}, lift {lift}");
            }
        }
    }

    #[test]
    fn the_tables_are_their_formulas() {
        let phi = |x: f64| -(x / 2.0).tanh().ln();
        for (magnitude, told) in PHI.iter().enumerate() {
            let value = if magnitude == 0 { 0.12 } else { magnitude as f64 };
            let want = if magnitude < 31 { (2048.0 * phi(value / 4.0)).round() } else { 0.0 };
            assert_eq!(f64::from(*told), want, "φ of {magnitude}");
        }
        for (table, (step, middle)) in INVERSE.iter().zip([(1.0, 0.0), (16.0, 7.5), (256.0, 127.5)]) {
            for (place, told) in table.iter().enumerate() {
                let sum = (place as f64 * step + middle) / 2048.0;
                let want = if sum > 0.0 { (4.0 * phi(sum)).round().min(32.0) } else { 32.0 };
                assert_eq!(f64::from(*told), want, "φ⁻¹ of {sum}");
            }
        }
    }

    #[test]
    fn every_level_iterates_as_scalar_does_whatever_was_told_before() {
        let (columns, mut rng) = (200, Lcg(8));
        for (lift, told_halves) in [(64, 0), (128, 0), (192, 2), (320, 3)] {
            let (mut rows, mut edges) = (vec![0], Vec::new());
            for degree in [2, 3, 4, 5, 9, 14, 31, 191] {
                let first = rng.next(columns);
                edges.extend((0..degree).map(|edge| {
                    let column = (first + edge * 37) % columns;
                    (column as u32, rng.next(lift as u64) as u32)
                }));
                rows.extend([edges.len() - degree as usize / 2, edges.len()].map(|end| end as u32));
            }
            let (mut firsts, mut by_edge) = (vec![0; columns as usize], vec![0; edges.len()]);
            turns(&edges, &mut firsts, &mut by_edge);
            let limits: Vec<u8> = (0..edges.len()).map(|_| 9 + rng.next(24) as u8).collect();
            let (firsts, turns) = (firsts.as_slice(), by_edge.as_slice());
            let parts =
                Parts { lift, columns: 200, rows: &rows, edges: &edges, firsts, turns, limits: &limits };
            let graph = Graph::new(parts);
            // Sizes of every kind, nothing more often than else, and the least that saturates.
            let sizes = [0, 0, 1, 4, 40, 127];
            let mut value = |most: i16| {
                let size = sizes[rng.next(6) as usize].min(most);
                let value = rng.next(2 * size as u64 + 1) as i16 - size;
                if value == -127 { -128 } else { value as i8 }
            };
            let posteriors: Vec<i8> = (0..200 * lift).map(|_| value(127)).collect();
            let messages: Vec<i8> = (0..edges.len() * lift).map(|_| value(32)).collect();
            let parities: Vec<u64> = (0..8 * lift / 64).map(|word| 0x9249_2492 << (word % 32)).collect();
            let iterated = |isa: Isa| {
                let (mut posteriors, mut messages) = (posteriors.clone(), messages.clone());
                let halves = &parities[1..=told_halves];
                let passes =
                    [0; 3].map(|_| iterate(isa, graph, &parities, halves, &mut posteriors, &mut messages));
                (passes, posteriors, messages)
            };
            let mut levels = Isa::available().map(|isa| (isa, iterated(isa)));
            let (_, want) = levels.next().expect("scalar");
            levels.for_each(|(isa, found)| assert!(found == want, "{isa}, lift {lift}"));
        }
    }

    #[test]
    #[should_panic(expected = "a column twice in a row")]
    fn a_row_that_meets_a_column_twice_is_no_row() {
        let (firsts, turns, limits) = ([0; 24], [0; 2], [32; 2]);
        graph(64, (&[0, 1, 2], &[(5, 1), (5, 2)]), (&firsts, &turns), &limits);
    }

    #[test]
    fn all_that_a_bit_hears_is_little_more_than_its_posterior_can_be() {
        let edges: Vec<(u32, u32)> = [2, 3, 7, 8, 20]
            .iter()
            .zip(0..)
            .flat_map(|(degree, column)| vec![(column, 0); *degree])
            .collect();
        let limits = limits(5, &edges);
        let places = [0, 2, 5, 12, 20];
        assert_eq!(places.map(|place| limits[place]), [32, 32, 25, 22, 9], "by degree");
    }

    #[test]
    fn no_message_is_above_its_limit() {
        let mut rng = Lcg(5);
        let (rows, edges) = code(&mut rng, 64);
        let (firsts, turns) = turned(&edges);
        let limits: Vec<u8> = (0..edges.len()).map(|edge| 3 + (edge % 9) as u8).collect();
        let graph = graph(64, (&rows, &edges), (&firsts, &turns), &limits);
        for isa in Isa::available() {
            let (mut posteriors, mut messages) = (vec![0; 24 * 64], vec![0; edges.len() * 64]);
            prepare(isa, graph, &[0; 24], &[0; 24], 40, &mut posteriors);
            (0..3).for_each(|_| _ = iterate(isa, graph, &[0; 6], &[], &mut posteriors, &mut messages));
            for (limit, messages) in limits.iter().zip(messages.chunks(64)) {
                assert!(
                    messages.iter().all(|message| *message == *limit as i8),
                    "{isa}: {limit}: {messages:?}"
                );
            }
        }
    }

    #[test]
    fn halves_add_up_to_the_checks_and_are_met_by_the_word() {
        let (lift, mut rng) = (128, Lcg(9));
        let (rows, edges) = code(&mut rng, lift as u64);
        let ((firsts, turns), limits) = (turned(&edges), limits(24, &edges));
        let graph = graph(lift, (&rows, &edges), (&firsts, &turns), &limits);
        let as_rows: Vec<u32> = rows.iter().flat_map(|row| [*row, *row]).skip(1).collect();
        let finer = Graph::new(Parts { rows: &as_rows, ..*graph });
        let bits: Vec<u64> = (0..48).map(|_| rng.next(1 << 31) << 33 ^ rng.next(1 << 31)).collect();
        for isa in Isa::available() {
            let [mut whole, mut halves] = [0; 2].map(|_| vec![0; 12]);
            syndrome(isa, graph, &bits, &mut whole, &mut halves);
            let [mut parts, mut none] = [0; 2].map(|_| vec![0; 24]);
            syndrome(isa, finer, &bits, &mut parts, &mut none);
            for word in 0..12 {
                let [first, second] = [0, 1].map(|half| parts[(word / 2 * 2 + half) * 2 + word % 2]);
                assert_eq!((halves[word], whole[word]), (first, first ^ second), "{isa}: word {word}");
            }
            assert!(is_satisfied(isa, graph, &whole, &halves[..5], &bits), "{isa}: the word itself");
            halves[4] ^= 1;
            assert!(is_satisfied(isa, graph, &whole, &halves[..4], &bits), "{isa}: not told");
            assert!(!is_satisfied(isa, graph, &whole, &halves[..5], &bits), "{isa}: told and wrong");
        }
    }

    #[test]
    fn shifts_lead_there_and_back_and_every_bit_has_one_check() {
        for (lift, shift) in [(64, 0), (64, 63), (128, 64), (512, 77), (4096, 4095)] {
            let mut met = vec![false; lift];
            for check in 0..lift {
                let bit = bit_of(check, shift, lift);
                assert_eq!(check_of(bit, shift, lift), check, "lift {lift}, shift {shift}");
                met[bit] = true;
            }
            assert!(met.iter().all(|met| *met), "lift {lift}, shift {shift}");
        }
    }

    #[test]
    fn the_syndrome_is_its_definition() {
        let (lift, mut rng) = (192, Lcg(4));
        let (rows, edges) = code(&mut rng, lift as u64);
        let ((firsts, turns), limits) = (turned(&edges), limits(24, &edges));
        let graph = graph(lift, (&rows, &edges), (&firsts, &turns), &limits);
        let bits: Vec<u64> = (0..72).map(|_| rng.next(1 << 31) << 33 ^ rng.next(1 << 31)).collect();
        for isa in Isa::available() {
            let [mut whole, mut halves] = [0; 2].map(|_| vec![0; 18]);
            syndrome(isa, graph, &bits, &mut whole, &mut halves);
            for check in 0..6 * lift {
                let (row, check) = (check / lift, check % lift);
                let met = edges[rows[2 * row] as usize..rows[2 * row + 2] as usize].iter();
                let parity = met.fold(0, |sum, (column, shift)| {
                    let bit = *column as usize * lift + bit_of(check, *shift as usize, lift);
                    sum ^ bits[bit / 64] >> (bit % 64) & 1
                });
                let place = row * lift + check;
                assert_eq!(whole[place / 64] >> (place % 64) & 1, parity, "{isa}: row {row}, check {check}");
            }
        }
    }
}
