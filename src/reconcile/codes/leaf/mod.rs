//! The codes of CV reconciliation: a core, its parity checks, and as many leaves as the rate asks.
//!
//! The graph is made of blocks of 64 bits joined by rotations. With k = 64·K information bits:
//!
//! * the **core** has K *dense* blocks that many checks read, a quarter of them, the *heavy* ones,
//!   more often than the others, the *light* ones, and C = K/2 *chain* blocks;
//! * C **parity checks**, each of six dense blocks and of two neighbours of the chain, which
//!   closes after all 64·C of its bits: one long cycle, no short one (two bits of degree two in
//!   two checks would be a word of weight two, and a floor in the failure rate); a dense bit stands
//!   in three of them;
//! * **leaf checks**, each of a few core blocks and one leaf of its own. A code of rate R has
//!   L = K/R − K − C of them, and a code of lower rate begins with the same checks: the rate
//!   follows the channel by the number of leaves alone.
//!
//! Which blocks a leaf check reads is dealt from shuffled decks, so that all blocks of a kind have
//! nearly the same degree at any length; how many of which kind comes from [`Stage`]s along the
//! list, because the best pattern depends on the rate. Above rate 0.27 the list is another one. Everything follows from a seed. With one kind
//! of dense block the thresholds lie 0.02 to 0.08 dB higher and decoding takes twice the iterations.

pub mod design;

use keystill_kernels::ldpc::leaf::{Edge, Order, Run};

/// Bits in a block.
pub const BLOCK_BITS: usize = 64;
/// Blocks of the core a check may have, and more than any pattern has.
const MOST_IN_CHECK: usize = 8;
/// Dense blocks in a parity check.
const DENSE_IN_PARITY_CHECK: usize = 6;
/// Parity checks of a dense block.
const PARITY_CHECKS_OF_DENSE: usize = 3;
/// Heavy blocks are one in so many dense ones.
const DENSE_TO_HEAVY: usize = 4;
/// Chain blocks in a parity check.
const CHAIN_IN_PARITY_CHECK: usize = 2;

/// Core blocks that a leaf check reads, and how often this pattern comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pattern {
    /// Heavy blocks.
    pub heavy: usize,
    /// Light blocks.
    pub light: usize,
    /// Chain blocks.
    pub chain: usize,
    /// Relative frequency within its stage.
    pub weight: f64,
}

impl Pattern {
    /// Blocks of each kind: heavy, light, chain.
    const fn blocks(&self) -> [usize; 3] {
        [self.heavy, self.light, self.chain]
    }
}

/// Blocks of the chain in a core of `information_blocks`, a multiple of 8: as many as parity checks.
#[must_use]
pub const fn chain_blocks(information_blocks: usize) -> usize {
    information_blocks * PARITY_CHECKS_OF_DENSE / DENSE_IN_PARITY_CHECK
}

/// A stretch of the list of leaf checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage<'a> {
    /// Ends where the rate has come down to this.
    pub rate: f64,
    /// The mixture of patterns.
    pub patterns: &'a [Pattern],
}

/// A family of codes of every rate below one half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family<'a> {
    /// Of the generator that deals blocks and rotations.
    pub seed: u64,
    /// By falling rate; the last one goes on for ever.
    pub stages: &'a [Stage<'a>],
}

const fn pattern([heavy, light, chain]: [usize; 3], weight: f64) -> Pattern {
    Pattern { heavy, light, chain, weight }
}

/// The family in use up to rate [`HIGH_RATE`].
pub const FAMILY: Family<'static> = Family {
    seed: 0x6b65_7973_7469_6c6c,
    stages: &[
        Stage {
            rate: 0.25,
            patterns: &[
                pattern([0, 4, 0], 0.140),
                pattern([0, 4, 1], 0.025),
                pattern([1, 3, 0], 0.028),
                pattern([1, 4, 0], 0.103),
                pattern([2, 2, 0], 0.046),
                pattern([2, 3, 0], 0.116),
                pattern([3, 0, 1], 0.141),
                pattern([3, 1, 0], 0.260),
                pattern([3, 2, 0], 0.048),
                pattern([4, 0, 0], 0.060),
                pattern([4, 0, 1], 0.033),
            ],
        },
        Stage {
            rate: 0.2,
            patterns: &[
                pattern([0, 4, 1], 0.051),
                pattern([1, 2, 0], 0.037),
                pattern([1, 3, 0], 0.087),
                pattern([1, 4, 0], 0.236),
                pattern([2, 2, 0], 0.091),
                pattern([2, 2, 1], 0.045),
                pattern([2, 3, 0], 0.130),
                pattern([3, 0, 0], 0.224),
                pattern([3, 0, 1], 0.078),
                pattern([3, 1, 0], 0.021),
            ],
        },
        Stage {
            rate: 0.15,
            patterns: &[
                pattern([0, 2, 1], 0.105),
                pattern([0, 3, 0], 0.043),
                pattern([0, 4, 0], 0.056),
                pattern([0, 4, 1], 0.016),
                pattern([1, 1, 1], 0.041),
                pattern([1, 2, 0], 0.233),
                pattern([1, 2, 1], 0.034),
                pattern([1, 4, 0], 0.016),
                pattern([2, 0, 0], 0.056),
                pattern([2, 0, 1], 0.151),
                pattern([2, 1, 0], 0.152),
                pattern([2, 1, 1], 0.026),
                pattern([2, 2, 1], 0.014),
                pattern([3, 0, 0], 0.056),
            ],
        },
        Stage {
            rate: 0.1,
            patterns: &[
                pattern([0, 1, 1], 0.017),
                pattern([0, 2, 1], 0.067),
                pattern([0, 3, 0], 0.020),
                pattern([0, 3, 1], 0.078),
                pattern([0, 4, 0], 0.149),
                pattern([1, 0, 1], 0.012),
                pattern([1, 2, 0], 0.342),
                pattern([1, 4, 0], 0.017),
                pattern([2, 0, 0], 0.061),
                pattern([2, 0, 1], 0.072),
                pattern([2, 1, 0], 0.043),
                pattern([3, 0, 0], 0.109),
                pattern([3, 0, 1], 0.014),
            ],
        },
        Stage {
            rate: 0.05,
            patterns: &[
                pattern([0, 1, 1], 0.061),
                pattern([0, 2, 1], 0.023),
                pattern([0, 3, 0], 0.058),
                pattern([0, 3, 1], 0.033),
                pattern([0, 4, 0], 0.120),
                pattern([0, 4, 1], 0.026),
                pattern([1, 0, 1], 0.091),
                pattern([1, 1, 0], 0.278),
                pattern([1, 1, 1], 0.047),
                pattern([1, 2, 0], 0.106),
                pattern([1, 4, 0], 0.016),
                pattern([2, 0, 0], 0.012),
                pattern([2, 0, 1], 0.064),
                pattern([2, 1, 0], 0.065),
            ],
        },
        Stage {
            rate: 0.03,
            patterns: &[
                pattern([0, 1, 1], 0.375),
                pattern([0, 2, 0], 0.309),
                pattern([0, 3, 0], 0.192),
                pattern([1, 1, 0], 0.060),
                pattern([1, 1, 1], 0.039),
                pattern([1, 2, 0], 0.025),
            ],
        },
        Stage {
            rate: 0.02,
            patterns: &[
                pattern([0, 1, 1], 0.232),
                pattern([0, 2, 0], 0.149),
                pattern([0, 3, 0], 0.183),
                pattern([1, 0, 1], 0.234),
                pattern([1, 1, 1], 0.051),
                pattern([1, 2, 0], 0.138),
                pattern([3, 1, 0], 0.013),
            ],
        },
        Stage {
            rate: 0.0,
            patterns: &[
                pattern([0, 1, 1], 0.328),
                pattern([0, 2, 0], 0.090),
                pattern([0, 3, 0], 0.035),
                pattern([0, 4, 0], 0.052),
                pattern([1, 0, 1], 0.167),
                pattern([1, 2, 0], 0.282),
                pattern([2, 1, 0], 0.024),
                pattern([3, 1, 0], 0.022),
            ],
        },
    ],
};

/// The family of rates that leave little room for leaf checks: above [`HIGH_RATE`].
pub const HIGH_FAMILY: Family<'static> = Family {
    seed: 0x6b65_7973_7469_6c6c,
    stages: &[Stage {
        rate: 0.0,
        patterns: &[
            pattern([0, 4, 0], 0.023),
            pattern([0, 4, 1], 0.012),
            pattern([1, 4, 0], 0.211),
            pattern([2, 3, 0], 0.166),
            pattern([3, 1, 0], 0.049),
            pattern([3, 2, 0], 0.166),
            pattern([4, 0, 0], 0.082),
            pattern([4, 0, 1], 0.189),
            pattern([4, 1, 0], 0.103),
        ],
    }],
};

/// Above this rate [`HIGH_FAMILY`] is the better one: its patterns were made for a list that ends at
/// rate 0.3, and not at 0.25.
pub const HIGH_RATE: f64 = 0.27;

/// A code of the family: its graph.
#[derive(Debug)]
pub struct Code {
    information_blocks: usize,
    leaf_runs: Vec<Run>,
    parity_runs: [Run; 1],
    edges: Vec<Edge>,
    walks: Vec<Walk>,
}

/// A share of the leaf checks, and then all parity checks, as the decoder visits them.
#[derive(Debug)]
pub struct Walk {
    /// The leaf checks of the share by degree; the parity checks last.
    pub visits: Vec<Visit>,
    /// The rotation that each core block is left in.
    pub homes: Vec<u32>,
}

/// Checks of one kind and degree, one after the other.
#[derive(Debug)]
pub struct Visit {
    /// What they are.
    pub kind: Check,
    /// How many, and of which degree.
    pub run: Run,
    /// In which order they come.
    pub order: Order,
    /// The place of the first among all checks, as in a syndrome.
    pub first_check: usize,
    /// The place of its first edge among all edges.
    pub first_edge: usize,
    /// Their edges, first check first, the rotations relative to the block's edge before on the way.
    pub edges: Vec<Edge>,
}

/// The two kinds of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Of core blocks and one leaf.
    Leaf,
    /// Of core blocks alone.
    Parity,
}

/// Sweeps over the parity checks in an iteration, by the rate up to which it is so many. Parity checks bring a
/// frame on faster than leaf checks do, and at low rates they are few: at rate 0.02 four sweeps instead of one
/// cost a fifth more and save a third of the iterations, at 0.05 two save a fifth for an eighth more. Above,
/// what they save is less than what they cost.
const SWEEPS: [(f64, usize); 2] = [(0.03, 4), (0.07, 2)];

fn sweeps(rate: f64) -> usize {
    SWEEPS.iter().find(|(most, _)| rate <= *most).map_or(1, |(_, sweeps)| *sweeps)
}

impl Visit {
    /// Each check in the order of the visit: its place among all checks, that of its first edge among all
    /// edges, and its edges.
    pub fn checks(&self) -> impl Iterator<Item = (usize, usize, &[Edge])> {
        let Run { degree, checks } = self.run;
        (0..checks).map(move |place| {
            let place = match self.order {
                Order::Ascending => place,
                Order::Descending => checks - 1 - place,
            };
            let edges = &self.edges[place * degree..(place + 1) * degree];
            (self.first_check + place, self.first_edge + place * degree, edges)
        })
    }
}

impl Code {
    /// Builds the code with `information_blocks` K (a multiple of 8 from 16, below 2¹⁵) and `leaf_blocks` L.
    ///
    /// O(edges · degree).
    ///
    /// # Panics
    /// Outside of this range: a plan checks it first.
    #[must_use]
    pub fn build(family: &Family<'_>, information_blocks: usize, leaf_blocks: usize) -> Self {
        let supported = (16..1 << 15).contains(&information_blocks) && information_blocks.is_multiple_of(8);
        assert!(supported, "{information_blocks} information blocks");
        let mut wiring = Wiring::new(family.seed, information_blocks);
        for check in 0..chain_blocks(information_blocks) {
            wiring.parity_check(check);
        }
        for pattern in Sequence::new(family, information_blocks).take(leaf_blocks) {
            wiring.leaf_check(pattern);
        }
        wiring.finish()
    }

    /// Blocks of the core: the first of a frame.
    #[must_use]
    pub fn core_blocks(&self) -> usize {
        self.information_blocks + chain_blocks(self.information_blocks)
    }

    /// Leaves: the blocks after the core.
    #[must_use]
    pub fn leaf_blocks(&self) -> usize {
        self.leaf_runs.iter().map(|run| run.checks).sum()
    }

    /// Blocks of a frame.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.core_blocks() + self.leaf_blocks()
    }

    /// Information bits a bit of a frame.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.information_blocks as f64 / self.blocks() as f64
    }

    /// Leaf checks by degree.
    #[must_use]
    pub fn leaf_runs(&self) -> &[Run] {
        &self.leaf_runs
    }

    /// Parity checks by degree.
    #[must_use]
    pub fn parity_runs(&self) -> &[Run] {
        &self.parity_runs
    }

    /// The decoder's ways, one after the other and again from the first: the parity checks along the chain and back
    /// by turns. A frame begins as the last one leaves it.
    #[must_use]
    pub fn walks(&self) -> &[Walk] {
        &self.walks
    }

    /// How many walks visit every leaf check once: an iteration.
    #[must_use]
    pub fn walks_an_iteration(&self) -> usize {
        sweeps(self.rate())
    }

    /// Edges between checks and core blocks.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Computes the syndrome of a frame: one word a leaf check, then one a parity check.
    ///
    /// Time independent of the bits.
    ///
    /// # Panics
    /// If `frame` has not [`blocks`](Self::blocks) words.
    #[must_use]
    pub fn syndrome(&self, frame: &[u64]) -> Vec<u64> {
        assert_eq!(frame.len(), self.blocks(), "the words of a frame");
        let (core, leaves) = frame.split_at(self.core_blocks());
        let leaf_words = self.leaves(core).zip(leaves).map(|(word, leaf)| word ^ leaf);
        leaf_words.chain(self.parity(core)).collect()
    }

    /// The core's part of each leaf check: the leaves of a frame whose leaf syndrome is zero.
    pub fn leaves(&self, core: &[u64]) -> impl Iterator<Item = u64> {
        check_words(&self.leaf_runs, &self.edges, core)
    }

    /// The parity checks of a core.
    pub fn parity(&self, core: &[u64]) -> impl Iterator<Item = u64> {
        let leaf_edges: usize = self.leaf_runs.iter().map(|run| run.degree * run.checks).sum();
        check_words(&self.parity_runs, &self.edges[leaf_edges..], core)
    }
}

/// The sums of the core bits of each check of the runs, whose edges come in order.
fn check_words(runs: &[Run], mut edges: &[Edge], core: &[u64]) -> impl Iterator<Item = u64> {
    runs.iter().flat_map(move |run| {
        let (mine, rest) = edges.split_at(run.degree * run.checks);
        edges = rest;
        mine.chunks_exact(run.degree).map(move |check| check_word(check, core))
    })
}

fn check_word(edges: &[Edge], core: &[u64]) -> u64 {
    let word = |edge: &Edge| core[usize::from(edge.block)].rotate_right(u32::from(edge.rotation));
    edges.iter().map(word).fold(0, |sum, word| sum ^ word)
}

/// The patterns of the leaf checks in order: at each place the one that lags its share most.
struct Sequence<'a> {
    stages: &'a [Stage<'a>],
    information_blocks: usize,
    given: Vec<f64>,
    place: usize,
}

impl<'a> Sequence<'a> {
    fn new(family: &Family<'a>, information_blocks: usize) -> Self {
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
struct Wiring {
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
    fn new(seed: u64, information_blocks: usize) -> Self {
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

    fn parity_check(&mut self, check: usize) {
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

    fn leaf_check(&mut self, pattern: Pattern) {
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
    fn finish(self) -> Code {
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

/// All walks, each beginning where the one before ends, the first where the last ends.
fn walks(code: &Code) -> Vec<Walk> {
    let shares = sweeps(code.rate());
    // Along the chain and back by turns: an odd number of shares takes two rounds until both come again.
    let walks = shares * (1 + shares % 2);
    let mut homes = vec![0; code.core_blocks()];
    let mut round = || (0..walks).map(|number| walk(code, number, shares, &mut homes)).collect();
    let _: Vec<Walk> = round();
    round()
}

/// The walk of this number; `homes` is where each block was left and is left.
fn walk(code: &Code, number: usize, shares: usize, homes: &mut [u32]) -> Walk {
    let share = number % shares;
    let (mut first_check, mut first_edge) = (0, 0);
    let mut visits = Vec::new();
    for run in &code.leaf_runs {
        let checks = run.checks * share / shares..run.checks * (share + 1) / shares;
        visits.push(Visit {
            kind: Check::Leaf,
            run: Run { degree: run.degree, checks: checks.len() },
            order: Order::Ascending,
            first_check: first_check + checks.start,
            first_edge: first_edge + checks.start * run.degree,
            edges: Vec::new(),
        });
        first_check += run.checks;
        first_edge += run.checks * run.degree;
    }
    let [run] = code.parity_runs;
    let order = if number.is_multiple_of(2) { Order::Ascending } else { Order::Descending };
    visits.push(Visit { kind: Check::Parity, run, order, first_check, first_edge, edges: Vec::new() });
    for visit in &mut visits {
        let edges = visit.run.checks * visit.run.degree;
        visit.edges = code.edges[visit.first_edge..visit.first_edge + edges].to_vec();
        let places: Vec<usize> =
            visit.checks().map(|(_, first_edge, _)| first_edge - visit.first_edge).collect();
        for place in places {
            visit.edges[place..place + visit.run.degree].iter_mut().for_each(|edge| turn(edge, homes));
        }
    }
    Walk { visits, homes: homes.to_vec() }
}

/// Makes a rotation relative to the block's edge before, and notes where the block is now.
fn turn(edge: &mut Edge, homes: &mut [u32]) {
    let before = std::mem::replace(&mut homes[usize::from(edge.block)], u32::from(edge.rotation));
    let before = u16::try_from(before).expect("a rotation is below 64");
    edge.rotation = (edge.rotation + 64 - before) % 64;
}

/// A generator for wiring only (splitmix64): the same graph on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, end: u16) -> u16 {
        let scaled = (u128::from(self.next()) * u128::from(end)) >> 64;
        u16::try_from(scaled).expect("below a u16")
    }

    fn shuffle(&mut self, cards: &mut [u16]) {
        for i in (1..cards.len()).rev() {
            let j = self.below(u16::try_from(i + 1).expect("a deck has fewer than 2¹⁶ cards"));
            cards.swap(i, usize::from(j));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_size_asked_for_and_even_degrees() {
        let code = Code::build(&FAMILY, 64, 300);
        assert_eq!((code.core_blocks(), code.leaf_blocks()), (96, 300), "blocks");
        let mut degrees = vec![0; 96];
        for edge in &code.edges {
            degrees[usize::from(edge.block)] += 1;
        }
        for kind in [&degrees[..16], &degrees[16..64], &degrees[64..]] {
            let (least, most) = (kind.iter().min(), kind.iter().max());
            let spread = most.zip(least).map_or(0, |(most, least)| most - least);
            assert!(spread <= 3, "degrees of one kind of block differ by {spread}");
        }
    }

    #[test]
    fn an_iteration_visits_leaf_checks_once_and_parity_checks_as_often_as_the_rate_asks() {
        for (leaf_blocks, sweeps) in [(1600 - 48, 4), (640 - 48, 2), (320 - 48, 1)] {
            let code = Code::build(&FAMILY, 32, leaf_blocks);
            assert_eq!(code.walks_an_iteration(), sweeps, "at rate {}", code.rate());
            // Where each block is, followed edge by edge, begins and ends as the walks say.
            let mut homes = code.walks().last().expect("there are walks").homes.clone();
            for iteration in code.walks().chunks(sweeps) {
                let mut visits = vec![0; code.leaf_blocks() + chain_blocks(32)];
                for walk in iteration {
                    for (check, first_edge, edges) in walk.visits.iter().flat_map(Visit::checks) {
                        visits[check] += 1;
                        for (edge, absolute) in edges.iter().zip(&code.edges[first_edge..]) {
                            let home = &mut homes[usize::from(edge.block)];
                            *home = (*home + u32::from(edge.rotation)) % 64;
                            assert_eq!(
                                (*home, edge.block),
                                (absolute.rotation.into(), absolute.block),
                                "{check}"
                            );
                        }
                    }
                    assert_eq!(homes, walk.homes, "where the blocks are left");
                }
                let (leaf, parity) = visits.split_at(code.leaf_blocks());
                assert!(leaf.iter().all(|visits| *visits == 1), "leaf checks once");
                assert!(parity.iter().all(|visits| *visits == sweeps), "parity checks {sweeps} times");
            }
        }
    }

    #[test]
    fn no_check_reads_a_block_twice() {
        let code = Code::build(&FAMILY, 16, 200);
        let mut edges = code.edges.as_slice();
        for run in code.leaf_runs().iter().chain(code.parity_runs()) {
            for _ in 0..run.checks {
                let (check, rest) = edges.split_at(run.degree);
                let mut blocks: Vec<u16> = check.iter().map(|edge| edge.block).collect();
                blocks.sort_unstable();
                blocks.dedup();
                assert_eq!(blocks.len(), run.degree, "distinct blocks");
                edges = rest;
            }
        }
    }

    #[test]
    fn the_syndrome_is_linear_and_a_leaf_stands_in_one_check() {
        let code = Code::build(&FAMILY, 16, 50);
        let mut random = Random(1);
        let a: Vec<u64> = (0..code.blocks()).map(|_| random.next()).collect();
        let b: Vec<u64> = (0..code.blocks()).map(|_| random.next()).collect();
        let sum: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a ^ b).collect();
        let both = code.syndrome(&a).into_iter().zip(code.syndrome(&b)).map(|(a, b)| a ^ b);
        assert_eq!(code.syndrome(&sum), both.collect::<Vec<u64>>(), "linear");
        let mut leaf = vec![0; code.blocks()];
        leaf[code.core_blocks() + 7] = 0b100;
        let syndrome = code.syndrome(&leaf);
        let ones: Vec<usize> = (0..syndrome.len()).filter(|i| syndrome[*i] != 0).collect();
        assert_eq!((ones, syndrome[7]), (vec![7], 0b100), "one leaf, one check");
    }
}
