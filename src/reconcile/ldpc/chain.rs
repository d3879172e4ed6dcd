//! What is left when the decoder stands still: two violated checks at the ends of a path of light columns.
//!
//! The columns of degree 2 form a zigzag through the rows ([`codes::bsc`](super::super::codes::bsc)), so that every
//! check lies on one path of them. If all bits of a stretch of a path are wrong, only the two checks at its ends are
//! violated, and both push with equal strength at bits that know little else: the decoder carries the
//! violations to and fro. Here they are joined: the bits between two violated checks of one path are flipped. Three
//! that are left alone meet in a wrong bit of degree 3, each at the end of a stretch from one of its checks. What
//! comes out has the syndrome; that it is the reference side's is what verification shows.

use std::collections::HashMap;

use keystill_kernels::Isa;
use keystill_kernels::ldpc::bsc::{self as kernel, Graph, bit_of, check_of};

/// More violated checks than these are no residue. The decoder asks as soon as a pass met no more.
pub(super) const MOST_VIOLATED: usize = 64;

/// Bits of a star. In a short code three checks that have nothing to do with each other meet in a longer one by chance.
const MOST_STAR: usize = 12;

/// A check, or a half of one whose halves are told: half row and place in the row. Whole checks stand under their
/// first half.
type Part = (usize, usize);

/// A bit: block column, and place in it.
type Bit = (usize, usize);

/// The paths of columns of degree 2 in a graph, of which the first `split` checks have their halves told.
struct Paths<'a> {
    graph: Graph<'a>,
    split: usize,
    /// By half row: the light columns in it, with their shifts there.
    light: Vec<Vec<(usize, usize)>>,
    /// By half row: the columns of degree 3 in it, likewise.
    threes: Vec<Vec<(usize, usize)>>,
    /// By column: the half rows it stands in, with its shifts.
    ends: Vec<Vec<(usize, usize)>>,
}

impl<'a> Paths<'a> {
    fn new(graph: Graph<'a>, split: usize) -> Self {
        let mut ends = vec![Vec::new(); graph.columns];
        for (half, bounds) in graph.rows.windows(2).enumerate() {
            for (column, shift) in &graph.edges[bounds[0] as usize..bounds[1] as usize] {
                ends[*column as usize].push((half, *shift as usize));
            }
        }
        let of_degree = |degree: usize| {
            let mut columns = vec![Vec::new(); graph.rows.len() - 1];
            for (column, ends) in ends.iter().enumerate().filter(|(_, ends)| ends.len() == degree) {
                ends.iter().for_each(|(half, shift)| columns[*half].push((column, *shift)));
            }
            columns
        };
        let (light, threes) = (of_degree(2), of_degree(3));
        Self { graph, split, light, threes, ends }
    }

    /// The part that a half of a check belongs to.
    fn part(&self, half: usize, place: usize) -> Part {
        let is_split = half / 2 * self.graph.lift + place < self.split;
        (if is_split { half } else { half / 2 * 2 }, place)
    }

    /// The light bits of a part.
    fn bits_of(&self, part: Part) -> impl Iterator<Item = Bit> + '_ {
        self.among(&self.light, part)
    }

    /// The bits of a part in columns listed by half row.
    fn among<'b>(
        &'b self,
        columns: &'b [Vec<(usize, usize)>],
        (half, place): Part,
    ) -> impl Iterator<Item = Bit> + 'b {
        let halves = if self.part(half + 1 - half % 2, place).0 == half && half % 2 == 0 { 2 } else { 1 };
        let columns = columns[half..half + halves].iter().flatten();
        columns.map(move |(column, shift)| (*column, bit_of(place, *shift, self.graph.lift)))
    }

    /// The parts that a bit stands in.
    fn parts_of(&self, (column, place): Bit) -> impl Iterator<Item = Part> + '_ {
        let lift = self.graph.lift;
        self.ends[column].iter().map(move |(half, shift)| self.part(*half, check_of(place, *shift, lift)))
    }

    /// The part at the other end of a light bit.
    fn across(&self, bit: Bit, from: Part) -> Option<Part> {
        self.parts_of(bit).find(|part| *part != from)
    }

    /// All parts of a path, with the bits between each and this one.
    fn reach(&self, start: Part) -> HashMap<Part, Vec<Bit>> {
        let mut reached = HashMap::from([(start, Vec::new())]);
        for first in self.bits_of(start) {
            let (mut bits, mut from, mut next) = (Vec::new(), start, Some(first));
            while let Some(bit) = next {
                bits.push(bit);
                let Some(part) = self.across(bit, from).filter(|part| !reached.contains_key(part)) else {
                    break;
                };
                reached.insert(part, bits.clone());
                next = self.bits_of(part).find(|other| *other != bit);
                from = part;
            }
        }
        reached
    }

    /// The fewest bits that violate these three parts: one of degree 3, and a stretch from each part to it.
    fn star(&self, ends: [Part; 3]) -> Option<Vec<Bit>> {
        let reached = ends.map(|end| self.reach(end));
        let mut best: Option<Vec<Bit>> = None;
        for (part, stretch) in &reached[0] {
            for bit in self.among(&self.threes, *part) {
                let others: Vec<Part> = self.parts_of(bit).filter(|other| other != part).collect();
                let [one, other] = others[..] else { continue };
                for (one, other) in [(one, other), (other, one)] {
                    let (Some(one), Some(other)) = (reached[1].get(&one), reached[2].get(&other)) else {
                        continue;
                    };
                    let bits = [&[bit][..], stretch, one, other].concat();
                    if bits.len() > MOST_STAR {
                        continue;
                    }
                    // Of equally few the first by place, so that nothing hangs on a map's order.
                    let is_better = |best: &Vec<Bit>| (bits.len(), &bits) < (best.len(), best);
                    if best.as_ref().is_none_or(is_better) {
                        best = Some(bits);
                    }
                }
            }
        }
        best
    }

    /// The bits from a violated part to the next one, along the path that begins with `first`.
    fn walk(&self, start: Part, first: Bit, violated: &[Part]) -> Option<(Vec<Bit>, Part)> {
        let (mut bits, mut bit, mut from) = (Vec::new(), first, start);
        while bits.len() < self.graph.columns {
            bits.push(bit);
            let part = self.across(bit, from)?;
            if violated.contains(&part) {
                return Some((bits, part));
            }
            bit = self.bits_of(part).find(|other| *other != bit)?;
            from = part;
        }
        None
    }
}

/// Joins what is violated, and tells whether nothing is any more.
///
/// `bits`: a code word as decided; `syndrome`, `halves`: what was told, 64 a word.
pub(super) fn mend(isa: Isa, graph: Graph<'_>, bits: &mut [u64], syndrome: &[u64], halves: &[u64]) -> bool {
    let mut violated = violations(isa, graph, bits, (syndrome, halves));
    if violated.is_empty() || violated.len() > MOST_VIOLATED {
        return violated.is_empty();
    }
    let paths = Paths::new(graph, 64 * halves.len());
    let (mut wrong, mut alone) = (Vec::new(), Vec::new());
    while let Some(start) = violated.pop() {
        let walks = paths.bits_of(start).filter_map(|first| paths.walk(start, first, &violated));
        match walks.min_by_key(|(bits, _)| bits.len()) {
            Some((mut between, end)) => {
                violated.retain(|part| *part != end);
                wrong.append(&mut between);
            }
            None => alone.push(start),
        }
    }
    match alone[..] {
        [] => {}
        [first, second, third] => wrong.extend(paths.star([first, second, third]).into_iter().flatten()),
        _ => return false,
    }
    for (column, place) in wrong {
        bits[(column * graph.lift + place) / 64] ^= 1 << (place % 64);
    }
    violations(isa, graph, bits, (syndrome, halves)).is_empty()
}

/// The parts that bits violate, as many as are looked at.
fn violations(isa: Isa, graph: Graph<'_>, bits: &[u64], (syndrome, halves): (&[u64], &[u64])) -> Vec<Part> {
    let words = graph.syndrome_words();
    let (mut whole, mut first) = (vec![0; words], vec![0; words]);
    kernel::syndrome(isa, graph, bits, &mut whole, &mut first);
    let mut violated = Vec::new();
    for word in 0..words {
        let both = whole[word] ^ syndrome[word];
        let parts = match halves.get(word) {
            Some(told) => [first[word] ^ told, both ^ first[word] ^ told],
            None => [both, 0],
        };
        for (half, mut wrong) in parts.into_iter().enumerate() {
            while wrong != 0 && violated.len() <= MOST_VIOLATED {
                let check = 64 * word + wrong.trailing_zeros() as usize;
                violated.push((2 * (check / graph.lift) + half, check % graph.lift));
                wrong &= wrong - 1;
            }
        }
    }
    violated
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::codes::bsc::Code;

    /// A word of zeros of which a stretch of a path is wrong; what is told has `split` words of halves.
    fn mended(split: usize, rows: std::ops::Range<usize>) -> Option<Vec<u64>> {
        let code = Code::build(256, 40, 256, 1).expect("a code");
        let graph = code.graph();
        let words = graph.syndrome_words();
        let mut bits = vec![0; code.bits() / 64];
        let paths = Paths::new(graph, 0);
        // Column c of degree 2 joins rows c and c + 1.
        let mut part = (2 * rows.start, 77);
        for row in rows {
            let bit = paths.bits_of(part).find(|(column, _)| *column == row).expect("a light column a row");
            bits[(bit.0 * graph.lift + bit.1) / 64] ^= 1 << (bit.1 % 64);
            part = paths.across(bit, part).expect("a second row");
        }
        let told = (vec![0; words], vec![0; split]);
        mend(Isa::best(), graph, &mut bits, &told.0, &told.1).then_some(bits)
    }

    #[test]
    fn stretches_of_a_path_are_joined_with_and_without_halves() {
        for split in [0, 40, 160] {
            for rows in [3..4, 3..9, 20..31] {
                let bits = mended(split, rows.clone()).expect("two violated checks of one path");
                assert!(bits.iter().all(|word| *word == 0), "rows {rows:?}, {split} words of halves");
            }
        }
    }

    #[test]
    fn three_alone_meet_in_a_bit_of_degree_3() {
        let code = Code::build(256, 40, 256, 1).expect("a code");
        let graph = code.graph();
        for (split, steps) in [(0, [0, 0, 0]), (0, [2, 0, 5]), (40, [1, 3, 0]), (160, [1, 2, 3])] {
            let halves = vec![0; split];
            let paths = Paths::new(graph, 64 * split);
            let column = (60..).find(|column| paths.ends[*column].len() == 3).expect("one of degree 3");
            let (mut bits, mut wrong) = (vec![0; code.bits() / 64], vec![(column, 33)]);
            for (mut part, steps) in paths.parts_of((column, 33)).zip(steps) {
                let mut last = None;
                for _ in 0..steps {
                    // The first and the last row end a path.
                    let Some(bit) = paths.bits_of(part).find(|bit| Some(*bit) != last) else { break };
                    part = paths.across(bit, part).expect("a second check");
                    wrong.push(bit);
                    last = Some(bit);
                }
            }
            wrong.iter().for_each(|(column, place)| bits[(column * 256 + place) / 64] ^= 1 << (place % 64));
            let told = vec![0; graph.syndrome_words()];
            assert!(
                mend(Isa::best(), graph, &mut bits, &told, &halves),
                "{split}, {steps:?}: it has the syndrome"
            );
            assert!(bits.iter().all(|word| *word == 0), "{split}, {steps:?}: {wrong:?}");
        }
    }

    #[test]
    fn what_no_path_joins_stays() {
        let code = Code::build(256, 40, 256, 1).expect("a code");
        let graph = code.graph();
        let syndrome = vec![0; graph.syndrome_words()];
        let mut bits = vec![0; code.bits() / 64];
        assert!(mend(Isa::best(), graph, &mut bits, &syndrome, &[]), "nothing is violated");
        // One bit of a heavy column.
        *bits.last_mut().expect("bits") ^= 1;
        assert!(!mend(Isa::best(), graph, &mut bits, &syndrome, &[]), "far more than two");
    }
}
