//! Quasi-cyclic irregular LDPC codes for the binary symmetric channel, built from a seed.
//!
//! A code is a base graph of block columns and block rows whose edges are shifts. Both sides build the
//! same one from four numbers: block columns, block rows, lift and seed, so that any rate is at hand and no
//! graph has to be shipped or trusted.
//!
//! *Degrees.* Column degrees come from the [designer](design), which minimises the decoder's work near the
//! threshold; between two rows of the [table] their node shares are mixed. Degrees are capped at 20, because
//! messages have 8 bits.
//!
//! *Graph.* Columns are placed from the lightest up. Those of degree 2 form a zigzag through the rows, a
//! long one instead of many short cycles; all others take the rows that are lightest so far, so that check
//! degrees differ by little. A shift is redrawn until it closes no cycle of four edges and, of a column of degree
//! 3 or 4, none with the zigzag, and until no two columns of degree 3 meet the zigzag alike, which would make a word of few
//! bits, nor nearly so at two close places, which would hold few bits fast. It is a pair, of the words of 64 bits in a block and of the bits in a word, each going round for itself
//! ([`bit_of`]): a decoder of 64 lanes then reads and writes whole words.
//!
//! *Halves.* The edges of a row take turns in two halves, so that degrees are alike in both. Telling the
//! parity of a check's first half makes two checks of half the weight of it: between two numbers of rows,
//! and as increments, that is worth nearly as much as a code with more rows.

pub mod design;
pub mod table;

use std::collections::{HashMap, HashSet};

use keystill_kernels::ldpc::bsc::{Graph, MOST_EDGES, Parts, bit_of, check_of, limits, turns};

use table::{Row, TABLE};

/// Block columns that degrees are designed for.
const COLUMNS: u32 = 256;

/// Columns of a higher degree make no weak words with the chain: too many of their checks would fail.
const MOST_WEAK: u32 = 4;

/// Bits of the chain between two columns that meet it alike at two places: with no more, the decoder cannot turn them
/// back.
const NEAR: u32 = 4;

/// Shifts tried for an edge that closes no cycle of four.
const SHIFT_TRIES: usize = 2000;

/// A code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    lift: usize,
    columns: usize,
    /// Where the halves of rows begin.
    rows: Vec<u32>,
    edges: Vec<(u32, u32)>,
    /// How the decoder turns lanes, by column and by edge.
    firsts: Vec<u8>,
    turns: Vec<u8>,
    /// The largest message of each edge.
    limits: Vec<u8>,
}

impl Code {
    /// Builds the code of these numbers: `columns` and `checks` block columns and rows, `lift` bits in each
    /// block.
    ///
    /// `None` unless the lift is a power of two from 64 to 4096, there are 16 to 1024 block columns, and
    /// 4 to 3/4 as many block rows, no row of which gets too heavy for the decoder.
    #[must_use]
    pub fn build(columns: usize, checks: usize, lift: usize, seed: u64) -> Option<Self> {
        Self::with_shares(columns, checks, lift, seed, &node_shares(checks as f64 / columns as f64))
    }

    /// Builds the code of column degrees of one's own: `shares` are degrees, each with the share of the columns that
    /// have it, lightest first.
    ///
    /// `None` as for [`build`](Self::build).
    #[must_use]
    pub fn with_shares(
        columns: usize,
        checks: usize,
        lift: usize,
        seed: u64,
        shares: &[(u32, f64)],
    ) -> Option<Self> {
        let sizes = lift.is_power_of_two() && (64..=4096).contains(&lift) && (16..=1024).contains(&columns);
        if !sizes || checks < 4 || checks * 4 > columns * 3 {
            return None;
        }
        let degrees = column_degrees(columns, checks, shares);
        let mut builder = Builder::new(columns, checks, lift, seed);
        degrees.iter().enumerate().for_each(|(place, degree)| builder.add(place, *degree));
        builder.finish()
    }

    /// Bits of a code word.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.columns * self.lift
    }

    /// Checks: bits of a syndrome.
    #[must_use]
    pub fn checks(&self) -> usize {
        self.rows.len() / 2 * self.lift
    }

    /// Edges of the whole graph.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges.len() * self.lift
    }

    /// The graph, as the kernels want it.
    #[must_use]
    pub fn graph(&self) -> Graph<'_> {
        Graph::new(Parts {
            lift: self.lift,
            columns: self.columns,
            rows: &self.rows,
            edges: &self.edges,
            firsts: &self.firsts,
            turns: &self.turns,
            limits: &self.limits,
        })
    }
}

/// The degrees of all columns, lightest first.
fn column_degrees(columns: usize, checks: usize, shares: &[(u32, f64)]) -> Vec<u32> {
    let mut degrees = Vec::with_capacity(columns);
    let mut owed = 0.0;
    for (degree, share) in shares {
        owed += share * columns as f64;
        while (degrees.len() as f64) + 0.5 < owed && degrees.len() < columns {
            degrees.push((*degree).min(u32::try_from(checks).unwrap_or(u32::MAX)));
        }
    }
    let heaviest = degrees.last().copied().unwrap_or(3);
    degrees.resize(columns, heaviest);
    // More columns of degree 2 than rows would close cycles of degree 2 alone.
    let light = degrees.iter().filter(|degree| **degree == 2).count();
    degrees.iter_mut().take(light.saturating_sub(checks - 1)).for_each(|degree| *degree = 3);
    degrees.sort_unstable();
    degrees
}

/// Node shares by degree at a leak: those of the two nearest rows of the table, mixed.
fn node_shares(leak: f64) -> Vec<(u32, f64)> {
    let own = |row: &Row| f64::from(row.checks) / f64::from(COLUMNS);
    let above = TABLE.iter().position(|row| own(row) >= leak).unwrap_or(TABLE.len() - 1).max(1);
    let (lower, upper) = (&TABLE[above - 1], &TABLE[above]);
    let toward = ((leak - own(lower)) / (own(upper) - own(lower))).clamp(0.0, 1.0);
    let mut shares: Vec<(u32, f64)> = Vec::new();
    for (row, weight) in [(lower, 1.0 - toward), (upper, toward)] {
        for (degree, columns) in row.columns {
            let part = weight * f64::from(*columns) / f64::from(COLUMNS);
            match shares.iter_mut().find(|(own, _)| own == degree) {
                Some((_, share)) => *share += part,
                None => shares.push((*degree, part)),
            }
        }
    }
    shares.sort_unstable_by_key(|(degree, _)| *degree);
    shares
}

/// Few bits that noise turns together now and then, and that the decoder cannot turn back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weakness {
    None,
    /// Two checks are violated.
    Near,
    /// A word of the code, or a cycle with the chain.
    Word,
}

/// Places columns one by one.
struct Builder {
    lift: u32,
    rng: SplitMix,
    /// Row and shift of each column's edges.
    columns: Vec<Vec<(u32, u32)>>,
    /// Edges of each row.
    weights: Vec<u32>,
    /// Differences of shifts in use by pairs of rows: one twice is a cycle of four edges.
    differences: HashSet<(u32, u32, u32)>,
    /// The turn of each row along the chain of columns of degree 2, from its first row on.
    chain: Vec<u32>,
    /// How columns of degree 3 meet the chain: two alike are a word of few bits.
    meetings: HashSet<Meeting>,
    /// The rows at which columns of degree 3 meet two places, by those places.
    pairs: HashMap<Pair, Vec<[u32; 2]>>,
}

/// Where two edges of a column meet the chain, whatever the column's own turn: their rows, as in a [`Meeting`], and
/// the turn from one to the other.
type Pair = (u32, u32, u32);

/// Where the three edges of a column meet the chain, whatever the column's own turn: for each the row, or the first
/// row for all that the chain joins, and the turn along it.
type Meeting = [(u32, u32); 3];

impl Builder {
    fn new(columns: usize, checks: usize, lift: usize, seed: u64) -> Self {
        let lift = u32::try_from(lift).unwrap_or(u32::MAX);
        let columns = vec![Vec::new(); columns];
        Self {
            lift,
            rng: SplitMix(seed),
            columns,
            weights: vec![0; checks],
            differences: HashSet::new(),
            chain: vec![0],
            meetings: HashSet::new(),
            pairs: HashMap::new(),
        }
    }

    fn add(&mut self, column: usize, degree: u32) {
        let rows = if degree == 2 { self.zigzag(column) } else { self.lightest(degree) };
        rows.into_iter().for_each(|row| self.join(column, degree, row));
        match self.columns[column][..] {
            [(row, first), (_, second)] => {
                let turn = self.less(self.more(self.chain[row as usize], first), second);
                self.chain.push(turn);
            }
            [first, second, third] => {
                self.meetings.insert(self.meeting([first, second, third]));
                for (one, other) in [(first, second), (first, third), (second, third)] {
                    self.pairs.entry(self.pair(one, other)).or_default().push([one.0, other.0]);
                    self.pairs.entry(self.pair(other, one)).or_default().push([other.0, one.0]);
                }
            }
            _ => {}
        }
    }

    /// Adds an edge, of the first shift tried that closes no cycle of four and makes no weak word, or else of that which
    /// makes the least weak one.
    fn join(&mut self, column: usize, degree: u32, row: u32) {
        let (mut shift, mut best) = (0, None);
        for _ in 0..SHIFT_TRIES {
            shift = self.rng.below(self.lift);
            let mut differences = self.differences_of(column, row, shift);
            if differences.any(|difference| self.differences.contains(&difference)) {
                continue;
            }
            let weakness =
                if degree > MOST_WEAK { Weakness::None } else { self.weakness(column, row, shift) };
            best = best.filter(|(least, _)| *least <= weakness).or(Some((weakness, shift)));
            if weakness == Weakness::None {
                break;
            }
        }
        let shift = best.map_or(shift, |(_, shift)| shift);
        let taken: Vec<_> = self.differences_of(column, row, shift).collect();
        self.differences.extend(taken);
        self.columns[column].push((row, shift));
        self.weights[row as usize] += 1;
    }

    /// What this edge makes with the chain of columns of degree 2.
    ///
    /// A column that meets the chain twice at one place closes a cycle with the bits between; all its checks but those
    /// beside hold. Two columns of degree 3 that meet it alike make a word of the code, each with the bits between
    /// its checks and the other's. Two that meet it alike at two close places make nearly one.
    fn weakness(&self, column: usize, row: u32, shift: u32) -> Weakness {
        let (edge, edges) = ((row, shift), &self.columns[column][..]);
        let place = self.on_chain(edge);
        let is_cycle = place.0 == 0 && edges.iter().any(|edge| self.on_chain(*edge) == place);
        let is_word = matches!(edges, [first, second] if self.meetings.contains(&self.meeting([*first, *second, edge])));
        if is_cycle || is_word {
            return Weakness::Word;
        }
        let is_near = |own: &(u32, u32)| {
            let others = self.pairs.get(&self.pair(*own, edge)).into_iter().flatten();
            others.into_iter().any(|[one, other]| one.abs_diff(own.0) + other.abs_diff(row) <= NEAR)
        };
        if edges.iter().any(is_near) { Weakness::Near } else { Weakness::None }
    }

    /// How two edges meet the chain.
    fn pair(&self, one: (u32, u32), other: (u32, u32)) -> Pair {
        let (one, other) = (self.on_chain(one), self.on_chain(other));
        (one.0, other.0, self.less(one.1, other.1))
    }

    /// How three edges meet the chain.
    fn meeting(&self, edges: [(u32, u32); 3]) -> Meeting {
        let places = edges.map(|edge| self.on_chain(edge));
        let seen_from = |(_, origin): (u32, u32)| {
            let mut places = places.map(|(row, turn)| (row, self.less(turn, origin)));
            places.sort_unstable();
            places
        };
        let [first, second, third] = places.map(seen_from);
        first.min(second).min(third)
    }

    /// Where an edge meets the chain: row and turn, whatever its column's own.
    fn on_chain(&self, (row, shift): (u32, u32)) -> (u32, u32) {
        match self.chain.get(row as usize) {
            Some(turn) => (0, self.more(shift, *turn)),
            None => (row, shift),
        }
    }

    /// One shift and then another.
    fn more(&self, shift: u32, other: u32) -> u32 {
        let sum = bit_of(shift as usize, other as usize, self.lift as usize);
        u32::try_from(sum).unwrap_or(u32::MAX)
    }

    /// A shift, and another taken back.
    fn less(&self, shift: u32, other: u32) -> u32 {
        let difference = check_of(shift as usize, other as usize, self.lift as usize);
        u32::try_from(difference).unwrap_or(u32::MAX)
    }

    fn zigzag(&self, column: usize) -> Vec<u32> {
        let checks = self.weights.len();
        [column % checks, (column + 1) % checks].map(|row| u32::try_from(row).unwrap_or(u32::MAX)).to_vec()
    }

    /// The lightest rows, ties and near ties broken at random.
    fn lightest(&mut self, count: u32) -> Vec<u32> {
        let mut order: Vec<(u64, u32)> = Vec::with_capacity(self.weights.len());
        for (row, weight) in (0..).zip(&self.weights) {
            order.push((u64::from(*weight) * 1000 + u64::from(self.rng.below(1500)), row));
        }
        order.sort_unstable();
        order.into_iter().take(count as usize).map(|(_, row)| row).collect()
    }

    fn differences_of(&self, column: usize, row: u32, shift: u32) -> impl Iterator<Item = (u32, u32, u32)> {
        let lift = self.lift as usize;
        self.columns[column].iter().map(move |(other, own)| {
            let (low, high) = if *other < row { (*own, shift) } else { (shift, *own) };
            let difference = check_of(low as usize, high as usize, lift);
            (row.min(*other), row.max(*other), u32::try_from(difference).unwrap_or(u32::MAX))
        })
    }

    fn finish(self) -> Option<Code> {
        if self.weights.iter().any(|weight| *weight as usize > MOST_EDGES || *weight < 2) {
            return None;
        }
        let mut halves = vec![Vec::new(); 2 * self.weights.len()];
        let mut met = vec![0; self.weights.len()];
        for (column, edges) in (0..).zip(&self.columns) {
            for (row, shift) in edges {
                let row = *row as usize;
                halves[2 * row + met[row] % 2].push((column, *shift));
                met[row] += 1;
            }
        }
        let mut rows = vec![0];
        let mut edges = Vec::new();
        for mut half in halves {
            edges.append(&mut half);
            rows.push(u32::try_from(edges.len()).ok()?);
        }
        let (mut firsts, mut by_edge) = (vec![0; self.columns.len()], vec![0; edges.len()]);
        turns(&edges, &mut firsts, &mut by_edge);
        let (lift, columns) = (self.lift as usize, self.columns.len());
        let limits = limits(columns, &edges);
        Some(Code { lift, columns, rows, edges, firsts, turns: by_edge, limits })
    }
}

/// Steele, Lea and Flood's generator (OOPSLA 2014): the graph is public, only its replay matters.
struct SplitMix(u64);

impl SplitMix {
    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        f64::from(self.below(1 << 30)) / f64::from(1u32 << 30)
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((((z ^ z >> 31) >> 32) * u64::from(bound)) >> 32).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_size_and_degrees_asked_for() {
        for (columns, checks, lift) in [(64, 17, 64), (256, 66, 1024), (256, 14, 1024), (256, 128, 1024)] {
            let code = Code::build(columns, checks, lift, 1).expect("a code");
            assert_eq!((code.bits(), code.checks()), (columns * lift, checks * lift), "size");
            let mut degrees = vec![0; columns];
            code.edges.iter().for_each(|(column, _)| degrees[*column as usize] += 1);
            assert!(
                degrees.iter().all(|degree| (2..=26).contains(degree)),
                "{columns} × {checks}: column degrees"
            );
            let light = degrees.iter().filter(|degree| **degree == 2).count();
            assert!(light < checks, "{light} columns of degree 2 over {checks} rows");
            let sizes: Vec<u32> = code.rows.windows(3).step_by(2).map(|row| row[2] - row[0]).collect();
            let spread = sizes.iter().max().zip(sizes.iter().min()).map(|(most, least)| most - least);
            assert!(spread.is_some_and(|spread| spread <= 4), "{columns} × {checks}: rows {sizes:?}");
        }
    }

    #[test]
    fn a_seed_is_a_code() {
        let code = Code::build(256, 66, 1024, 7).expect("a code");
        assert_eq!(Some(&code), Code::build(256, 66, 1024, 7).as_ref(), "the same numbers, the same code");
        assert_ne!(Some(&code), Code::build(256, 66, 1024, 8).as_ref(), "another seed, another code");
    }

    #[test]
    fn codes_of_the_table_have_no_cycle_of_four() {
        for (row, lift) in TABLE.iter().flat_map(|row| [(row, 256), (row, 1024)]) {
            let code = Code::build(256, row.checks as usize, lift, 1).expect("a code");
            let mut seen = HashSet::new();
            let edges =
                |row: usize| &code.edges[code.rows[2 * row] as usize..code.rows[2 * row + 2] as usize];
            for (first, second) in
                (0..row.checks as usize).flat_map(|first| (0..first).map(move |row| (first, row)))
            {
                let pairs = edges(first).iter().flat_map(|a| edges(second).iter().map(move |b| (a, b)));
                for (a, b) in pairs.filter(|(a, b)| a.0 == b.0) {
                    let difference = check_of(a.1 as usize, b.1 as usize, lift);
                    let is_new = seen.insert((first, second, difference));
                    assert!(is_new, "{} rows, lift {lift}: rows {first} and {second}", row.checks);
                }
            }
        }
    }

    /// Row and shift of each column's edges.
    fn columns(code: &Code) -> Vec<Vec<(usize, usize)>> {
        let mut columns = vec![Vec::new(); code.columns];
        for (row, halves) in code.rows.windows(3).step_by(2).enumerate() {
            for (column, shift) in &code.edges[halves[0] as usize..halves[2] as usize] {
                columns[*column as usize].push((row, *shift as usize));
            }
        }
        columns
    }

    #[test]
    fn light_columns_make_no_word_with_the_chain() {
        for (row, lift) in TABLE.iter().flat_map(|row| [(row, 256), (row, 1024)]) {
            let code = Code::build(256, row.checks as usize, lift, 1).expect("a code");
            let columns = columns(&code);
            // The first check of the chain that each check is in, bit by bit.
            let mut chain: Vec<usize> = (0..code.checks()).collect();
            for edges in &columns {
                let [(row, shift), (next, by)] = edges[..] else { continue };
                for bit in 0..lift {
                    chain[next * lift + check_of(bit, by, lift)] =
                        chain[row * lift + check_of(bit, shift, lift)];
                }
            }
            let mut met = HashSet::new();
            let light = columns.iter().filter(|edges| (3..=4).contains(&edges.len()));
            for (edges, bit) in light.flat_map(|edges| (0..lift).map(move |bit| (edges, bit))) {
                let first = |(row, shift): &(usize, usize)| chain[row * lift + check_of(bit, *shift, lift)];
                let mut places: Vec<usize> = edges.iter().map(first).collect();
                places.sort_unstable();
                let degree = places.len();
                places.dedup();
                assert_eq!(places.len(), degree, "{} rows, lift {lift}: a cycle with the chain", row.checks);
                assert!(degree > 3 || met.insert(places), "{} rows, lift {lift}: two alike", row.checks);
            }
            // Of the shortest codes with few rows not all columns can stand apart.
            let mut pairs: HashMap<[usize; 2], Vec<(usize, [usize; 2])>> = HashMap::new();
            let threes = columns.iter().enumerate().filter(|(_, edges)| lift > 256 && edges.len() == 3);
            for ((column, edges), bit) in threes.flat_map(|edges| (0..lift).map(move |bit| (edges, bit))) {
                let first = |(row, shift): &(usize, usize)| chain[row * lift + check_of(bit, *shift, lift)];
                for (one, other) in [(0, 1), (0, 2), (1, 2)] {
                    let mut ends = [one, other].map(|end: usize| (first(&edges[end]), edges[end].0));
                    ends.sort_unstable();
                    pairs.entry(ends.map(|end| end.0)).or_default().push((column, ends.map(|end| end.1)));
                }
            }
            for met in pairs.values() {
                for ((one, rows), (other, others)) in
                    met.iter().flat_map(|one| met.iter().map(move |other| (one, other)))
                {
                    let between = rows[0].abs_diff(others[0]) + rows[1].abs_diff(others[1]);
                    assert!(
                        one == other || between > 4,
                        "{} rows: {one} and {other}, {between} bits",
                        row.checks
                    );
                }
            }
        }
    }

    #[test]
    fn impossible_sizes_are_refused() {
        for (columns, checks, lift) in [(64, 17, 65), (8, 4, 64), (256, 200, 1024), (1024, 4, 64)] {
            assert!(Code::build(columns, checks, lift, 1).is_none(), "{columns} × {checks}, lift {lift}");
        }
    }
}
