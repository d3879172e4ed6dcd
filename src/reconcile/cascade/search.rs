//! The correcting side at work: every odd node of known parity holds an error, and is bisected.

use std::collections::BTreeMap;

use keystill_kernels::Isa;
use keystill_kernels::parity::subset_mask;

use super::frontier::Frontier;
use super::message;
use super::phase::{FIRST_SUBSET, Node, Phase};
use super::plan::Plan;
use super::strings::Strings;
use crate::bits::BitBlock;

/// What the correcting side says.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// New searches: those of the phase that has begun.
    Search,
    /// The searches go on, in the right half where a bit is set.
    Descend(BitBlock),
    /// The next pass is to be opened, or the subsets.
    Open,
    /// Every parity known agrees.
    Done,
    /// The frame is given up.
    GiveUp,
}

/// The correcting side of one frame.
#[derive(Debug)]
pub(super) struct Search {
    plan: Plan,
    strings: Strings,
    frontiers: Vec<Frontier>,
    /// The nodes of the subsets by layer and start, once those are opened: size and parity.
    subsets: BTreeMap<(u8, u32), (u32, bool)>,
    /// Whether the errors left are odd in number.
    odd: bool,
    phase: Option<Phase>,
    /// Nodes that became odd, by layer: the smallest layer is searched first, because its nodes are
    /// the smallest.
    waiting: BTreeMap<u8, Vec<Node>>,
    parities: u64,
    corrected: u64,
}

impl Search {
    pub(super) fn new(plan: Plan, frame: BitBlock) -> Self {
        Self {
            strings: Strings::new(&plan, frame),
            plan,
            frontiers: Vec::new(),
            subsets: BTreeMap::new(),
            odd: false,
            phase: None,
            waiting: BTreeMap::new(),
            parities: 0,
            corrected: 0,
        }
    }

    pub(super) fn corrected(&self) -> u64 {
        self.corrected
    }

    pub(super) fn passes(&self) -> usize {
        self.frontiers.len() + usize::from(!self.subsets.is_empty())
    }

    pub(super) fn into_frame(self) -> BitBlock {
        self.strings.into_frame()
    }

    /// How many parities the other side answers to this.
    pub(super) fn expected(&self, next: &Next) -> usize {
        match next {
            Next::Search | Next::Descend(_) => self.phase.as_ref().map_or(0, |phase| phase.starts().len()),
            Next::Open => self.opening(),
            Next::Done | Next::GiveUp => 0,
        }
    }

    /// The message that says it.
    pub(super) fn message(&self, next: &Next) -> Vec<u8> {
        match (next, &self.phase) {
            (Next::Search, Some(phase)) => message::write_search(phase),
            (Next::Descend(right), _) => message::write_descend(right),
            (Next::Open, _) => message::write_bare(message::OPEN),
            (Next::Done, _) => message::write_bare(message::DONE),
            (Next::GiveUp | Next::Search, _) => message::write_bare(message::GIVE_UP),
        }
    }

    /// How many parities open the next pass, or the subsets.
    fn opening(&self) -> usize {
        let opened = self.frontiers.len();
        let blocks = |log2: &u32| self.strings.len().div_ceil(1 << log2) - usize::from(opened > 0);
        self.plan.passes().get(opened).map_or(self.plan.subsets() as usize, blocks)
    }

    /// Takes the parities of the pass or the subsets asked to open; what to say next.
    pub(super) fn opened(&mut self, isa: Isa, theirs: &BitBlock) -> Next {
        self.parities += theirs.len() as u64;
        match self.plan.passes().get(self.frontiers.len()).copied() {
            Some(log2) => self.open_pass(isa, log2, theirs),
            None => self.open_subsets(isa, theirs),
        }
        self.begin()
    }

    fn open_pass(&mut self, isa: Isa, log2: u32, theirs: &BitBlock) {
        let mut odd = self.strings.open(isa, log2);
        odd.edit(|words| words.iter_mut().zip(theirs.words()).for_each(|(ours, theirs)| *ours ^= theirs));
        if self.frontiers.is_empty() {
            self.odd = odd.count_ones() & 1 == 1;
        } else {
            // The last block's parity was not sent: it follows from the whole frame's.
            odd.set(odd.len() - 1, false);
            odd.set(odd.len() - 1, (odd.count_ones() & 1 == 1) ^ self.odd);
        }
        let mut frontier = Frontier::new(self.strings.len(), log2);
        let mut nodes = Vec::new();
        for (start, mut word) in (0u32..).step_by(64 << log2).zip(odd.words().iter().copied()) {
            while word != 0 {
                nodes.push(Node { start: start + (word.trailing_zeros() << log2), log2 });
                word &= word - 1;
            }
        }
        if let Some(last) = nodes.last_mut() {
            let len = self.strings.len() - last.start as usize;
            last.log2 = last.log2.min(len.next_power_of_two().ilog2());
        }
        nodes.iter().for_each(|node| frontier.set_odd(node.start));
        self.waiting.insert(self.layer(), nodes);
        self.frontiers.push(frontier);
    }

    /// The layer of the next pass.
    fn layer(&self) -> u8 {
        u8::try_from(self.frontiers.len()).expect("there are fewer passes than layers")
    }

    fn open_subsets(&mut self, isa: Isa, theirs: &BitBlock) {
        let ours = self.strings.subsets(isa);
        let log2 = self.strings.len().next_power_of_two().ilog2();
        for (index, layer) in (0..self.plan.subsets() as usize).zip(FIRST_SUBSET..) {
            let odd = (ours >> index & 1 == 1) ^ theirs.bit(index);
            for (start, odd) in [(0, odd), (1 << log2, odd ^ self.odd)] {
                self.subsets.insert((layer, start), (log2, odd));
                if odd && log2 > 0 {
                    self.waiting.entry(layer).or_default().push(Node { start, log2 });
                }
            }
        }
    }

    /// Takes the answers to the questions under way; what to say next.
    pub(super) fn answered(&mut self, isa: Isa, theirs: &BitBlock) -> Next {
        self.parities += theirs.len() as u64;
        let Some(mut phase) = self.phase.take() else { return Next::GiveUp };
        let mut right = self.strings.parities(isa, &phase);
        right.edit(|words| {
            words.iter_mut().zip(theirs.words()).for_each(|(ours, theirs)| *ours = !(*ours ^ theirs))
        });
        if !phase.descend(right.words(), self.strings.space(phase.layer)) {
            return Next::GiveUp;
        }
        if phase.level() > 0 {
            self.phase = Some(phase);
            return Next::Descend(right);
        }
        if self.correct(&phase) { self.begin() } else { Next::GiveUp }
    }

    /// Begins the searches in the odd nodes of the lowest layer, or opens what comes next.
    fn begin(&mut self) -> Next {
        while let Some((layer, nodes)) = self.waiting.pop_first() {
            let Some(phase) = Phase::new(layer, self.still_odd(layer, nodes)) else { continue };
            if phase.level() == 0 {
                // A block of one place, at the end of the frame: odd is wrong.
                self.correct(&phase);
                continue;
            }
            if self.parities + phase.questions() > self.plan.parity_limit() {
                return Next::GiveUp;
            }
            self.phase = Some(phase);
            return Next::Search;
        }
        if !self.subsets.is_empty() {
            return Next::Done;
        }
        let affordable = self.parities + self.opening() as u64 <= self.plan.parity_limit();
        if affordable { Next::Open } else { Next::GiveUp }
    }

    /// The odd ones of nodes that once became odd, each once, in the order of a phase.
    fn still_odd(&self, layer: u8, mut nodes: Vec<Node>) -> Vec<Node> {
        match self.frontiers.get(usize::from(layer)) {
            Some(frontier) => nodes.retain(|node| frontier.is_odd(node.start)),
            None => nodes.retain(|node| self.subsets.get(&(layer, node.start)).is_some_and(|known| known.1)),
        }
        nodes.sort_unstable_by_key(|node| (std::cmp::Reverse(node.log2), node.start));
        nodes.dedup();
        nodes
    }

    /// Corrects the errors that a phase found. Whether all are places of the frame.
    fn correct(&mut self, phase: &Phase) -> bool {
        let layer = usize::from(phase.layer);
        for (node, found) in phase.nodes().iter().zip(phase.starts()) {
            let Some(bit) = self.strings.origin(phase.layer, *found) else { return false };
            match self.frontiers.get_mut(layer) {
                Some(frontier) => frontier.settle(*node, *found),
                None => self.settle_subset(phase.layer, *node, *found),
            }
            let (frontiers, waiting) = (&mut self.frontiers, &mut self.waiting);
            self.strings.flip(bit, |pass, place| {
                if pass != layer
                    && let Some(node) = frontiers[pass].toggle(place)
                {
                    waiting.entry(u8::try_from(pass).unwrap_or(u8::MAX)).or_default().push(node);
                }
            });
            if !self.subsets.is_empty() {
                self.toggle_subsets(bit, phase.layer);
            }
        }
        self.corrected += phase.nodes().len() as u64;
        self.odd ^= phase.nodes().len() % 2 == 1;
        true
    }

    fn settle_subset(&mut self, layer: u8, node: Node, found: u32) {
        let mut part = node;
        while part.log2 > 0 {
            part.log2 -= 1;
            let right = part.start + (1 << part.log2);
            let aside = if found < right { right } else { std::mem::replace(&mut part.start, right) };
            self.subsets.insert((layer, aside), (part.log2, false));
        }
        self.subsets.insert((layer, part.start), (0, false));
    }

    fn toggle_subsets(&mut self, bit: usize, but: u8) {
        let place = u32::try_from(bit).expect("frames are shorter than 2^32 bits");
        let fold = 1 << self.strings.len().next_power_of_two().ilog2();
        for (subset, layer) in (0..self.plan.subsets()).zip(FIRST_SUBSET..).filter(|(_, layer)| *layer != but)
        {
            let inside = subset_mask(bit / 64, subset) >> (bit % 64) & 1 == 1;
            let key = (layer, if inside { place } else { place + fold });
            if let Some(((_, start), (log2, odd))) = self.subsets.range_mut((layer, 0)..=key).next_back() {
                *odd = !*odd;
                if *odd && *log2 > 0 {
                    self.waiting.entry(layer).or_default().push(Node { start: *start, log2: *log2 });
                }
            }
        }
    }
}
