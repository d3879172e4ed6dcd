//! Wires a code up: which blocks each check reads, and by which rotations.

use keystill_kernels::ldpc::leaf::{Edge, Run};

use super::walks::walks;
use super::{
    BLOCK_BITS, CHAIN_IN_PARITY_CHECK, Code, DENSE_IN_PARITY_CHECK, DENSE_TO_HEAVY, Family, MOST_IN_CHECK,
    Pattern, Stage, chain_blocks,
};

/// The patterns of the leaf checks in order: at each place the one that lags its share most.
pub(super) struct Sequence<'a> {
    stages: &'a [Stage<'a>],
    information_blocks: usize,
    given: Vec<f64>,
    place: usize,
}

impl<'a> Sequence<'a> {
    pub(super) fn new(family: &Family<'a>, information_blocks: usize) -> Self {
        Self { stages: family.stages, information_blocks, given: Vec::new(), place: 0 }
    }
}

impl Iterator for Sequence<'_> {
    type Item = Pattern;

    fn next(&mut self) -> Option<Pattern> {
        let core = self.information_blocks + chain_blocks(self.information_blocks);
        let length = (core + self.place) as f64;
        while self.stages.len() > 1 && length * self.stages[0].rate >= self.information_blocks as f64 {
            self.stages = &self.stages[1..];
            self.given.clear();
        }
        let patterns = self.stages.first()?.patterns;
        self.given.resize(patterns.len(), 0.0);
        let total: f64 = patterns.iter().map(|pattern| pattern.weight).sum();
        for (given, pattern) in self.given.iter_mut().zip(patterns) {
            *given += pattern.weight / total;
        }
        let lag = |&a: &usize, &b: &usize| self.given[a].total_cmp(&self.given[b]);
        let chosen = (0..patterns.len()).max_by(lag)?;
        self.given[chosen] -= 1.0;
        self.place += 1;
        Some(patterns[chosen])
    }
}

/// Blocks in shuffled order, again and again.
struct Deck {
    cards: Vec<u16>,
    dealt: usize,
}

impl Deck {
    fn new(blocks: std::ops::Range<usize>) -> Self {
        let cards: Vec<u16> = blocks.map(|block| u16::try_from(block).expect("checked by build")).collect();
        Self { dealt: cards.len(), cards }
    }

    /// The next card that is not in the hand; cards passed over keep their turn.
    fn deal(&mut self, hand: &[(u16, u16)], random: &mut Random) -> u16 {
        if self.dealt == self.cards.len() {
            random.shuffle(&mut self.cards);
            self.dealt = 0;
        }
        let held = |card: &u16| hand.iter().any(|(block, _)| block == card);
        let place = (self.dealt..self.cards.len()).find(|place| !held(&self.cards[*place]));
        // Only held cards are left in this round: take one of an earlier place instead.
        let place = place.or_else(|| (0..self.dealt).find(|place| !held(&self.cards[*place])));
        let place = place.expect("a deck has more cards than a check");
        if place < self.dealt {
            return self.cards[place];
        }
        self.cards.swap(place, self.dealt);
        self.dealt += 1;
        self.cards[self.dealt - 1]
    }
}

/// Kinds of core blocks.
#[derive(Clone, Copy)]
enum Kind {
    Heavy,
    Light,
    Chain,
}

/// How close two dense bits come on the chain no more than once. Within a window of W checks to both
/// sides a block meets 2W·6 others, by one of 64·K ways each; about one of them was met before at
/// one of two earlier checks when W is this.
fn window(information_blocks: usize) -> usize {
    (BLOCK_BITS * information_blocks).isqrt() / (3 * DENSE_IN_PARITY_CHECK)
}

/// Checks as they are wired up, with who is joined to whom, to avoid cycles of length four.
pub(super) struct Wiring {
    random: Random,
    information_blocks: usize,
    window: usize,
    dense: Deck,
    heavy: Deck,
    light: Deck,
    chain: Deck,
    checks: Vec<Vec<(u16, u16)>>,
    readers: Vec<Vec<(u32, u16)>>,
}

impl Wiring {
    pub(super) fn new(seed: u64, information_blocks: usize) -> Self {
        let core = information_blocks + chain_blocks(information_blocks);
        Self {
            random: Random(seed),
            information_blocks,
            window: window(information_blocks),
            dense: Deck::new(0..information_blocks),
            heavy: Deck::new(0..information_blocks / DENSE_TO_HEAVY),
            light: Deck::new(information_blocks / DENSE_TO_HEAVY..information_blocks),
            chain: Deck::new(information_blocks..core),
            checks: Vec::new(),
            readers: vec![Vec::new(); core],
        }
    }

    pub(super) fn parity_check(&mut self, check: usize) {
        let chain = |place: usize| u16::try_from(self.information_blocks + place).expect("checked by build");
        let last = chain_blocks(self.information_blocks) - 1;
        let before = if check == 0 { last } else { check - 1 };
        let mut hand = vec![(chain(check), 0), (chain(before), u16::from(check == 0))];
        for _ in 0..DENSE_IN_PARITY_CHECK {
            let block = self.dense.deal(&hand, &mut self.random);
            let met = self.meetings(block);
            let mut rotation = self.rotation(block, &hand);
            for _ in 0..64 {
                if !self.meets_again(&met, check, rotation) {
                    break;
                }
                rotation = self.rotation(block, &hand);
            }
            hand.push((block, rotation));
        }
        self.add(hand);
    }

    /// Whom a dense block meets within the window around its parity checks so far, and by which
    /// rotation of the one against the other.
    ///
    /// Two dense bits whose three checks lie close together on the chain, pair by pair, are a
    /// codeword with the few chain bits between: of so low a weight that it would be mistaken.
    fn meetings(&self, block: u16) -> Vec<(u16, u16)> {
        let checks = self.readers[usize::from(block)].iter();
        let mut met: Vec<(u16, u16)> =
            checks.flat_map(|(check, rotation)| self.around(*check as usize, *rotation)).collect();
        met.sort_unstable();
        met
    }

    fn meets_again(&self, met: &[(u16, u16)], check: usize, rotation: u16) -> bool {
        self.around(check, rotation).any(|meeting| met.binary_search(&meeting).is_ok())
    }

    /// Dense blocks of the parity checks wired so far within the window, with their rotations
    /// against `rotation`. Around the end of the chain its closing shifts them by one.
    fn around(&self, check: usize, rotation: u16) -> impl Iterator<Item = (u16, u16)> {
        let blocks = chain_blocks(self.information_blocks);
        let window = self.window;
        (blocks + check - window..=blocks + check + window).flat_map(move |place| {
            let hand = self.checks.get(place % blocks).map_or(&[][..], |hand| &hand[CHAIN_IN_PARITY_CHECK..]);
            // One turn back is one lane up, one turn on is one lane down.
            let lane = [1, 0, 63][place / blocks];
            hand.iter().map(move |(other, by)| (*other, (rotation + 128 - by - lane) % 64))
        })
    }

    pub(super) fn leaf_check(&mut self, pattern: Pattern) {
        let mut hand = Vec::with_capacity(MOST_IN_CHECK);
        for (blocks, kind) in pattern.blocks().into_iter().zip([Kind::Heavy, Kind::Light, Kind::Chain]) {
            for _ in 0..blocks {
                let block = self.deal(kind, &hand);
                hand.push((block, self.rotation(block, &hand)));
            }
        }
        self.add(hand);
    }

    fn deal(&mut self, kind: Kind, hand: &[(u16, u16)]) -> u16 {
        let deck = match kind {
            Kind::Heavy => &mut self.heavy,
            Kind::Light => &mut self.light,
            Kind::Chain => &mut self.chain,
        };
        deck.deal(hand, &mut self.random)
    }

    /// A rotation that closes no cycle of length four with the blocks already in the hand, if a few
    /// draws find one.
    fn rotation(&mut self, block: u16, hand: &[(u16, u16)]) -> u16 {
        let mut rotation = self.random.below(64);
        for _ in 0..16 {
            if !self.closes_cycle(block, rotation, hand) {
                break;
            }
            rotation = self.random.below(64);
        }
        rotation
    }

    fn closes_cycle(&self, block: u16, rotation: u16, hand: &[(u16, u16)]) -> bool {
        self.readers[usize::from(block)].iter().any(|(check, other)| {
            let shift = (rotation + 64 - other) % 64;
            self.checks[*check as usize].iter().any(|(theirs, theirs_by)| {
                let same = |(mine, by): &(u16, u16)| mine == theirs && (by + 64 - theirs_by) % 64 == shift;
                hand.iter().any(same)
            })
        })
    }

    fn add(&mut self, hand: Vec<(u16, u16)>) {
        let check = u32::try_from(self.checks.len()).expect("fewer checks than 2³²");
        for (block, rotation) in &hand {
            self.readers[usize::from(*block)].push((check, *rotation));
        }
        self.checks.push(hand);
    }

    /// Leaf checks by degree, then parity checks; rotations relative to the edge before.
    pub(super) fn finish(self) -> Code {
        let (parity, leaf) = self.checks.split_at(chain_blocks(self.information_blocks));
        let mut edges = Vec::new();
        let mut leaf_runs = Vec::new();
        for degree in 1..=MOST_IN_CHECK {
            let before = edges.len();
            edges.extend(leaf.iter().filter(|hand| hand.len() == degree).flatten().map(edge));
            let checks = (edges.len() - before) / degree;
            if checks > 0 {
                leaf_runs.push(Run { degree, checks });
            }
        }
        edges.extend(parity.iter().flatten().map(edge));
        let parity = Run { degree: 2 + DENSE_IN_PARITY_CHECK, checks: parity.len() };
        let mut code = Code {
            information_blocks: self.information_blocks,
            leaf_runs,
            parity_runs: [parity],
            edges,
            walks: Vec::new(),
        };
        code.walks = walks(&code);
        code
    }
}

fn edge(&(block, rotation): &(u16, u16)) -> Edge {
    Edge { block, rotation }
}

/// A generator for wiring only (splitmix64): the same graph on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, end: u16) -> u16 {
        let scaled = (u128::from(self.next()) * u128::from(end)) >> 64;
        u16::try_from(scaled).expect("below a u16")
    }

    pub(super) fn shuffle(&mut self, cards: &mut [u16]) {
        for i in (1..cards.len()).rev() {
            let j = self.below(u16::try_from(i + 1).expect("a deck has fewer than 2¹⁶ cards"));
            cards.swap(i, usize::from(j));
        }
    }
}
