//! The correcting side at work: every odd node of known parity holds an error, and is bisected.

use std::collections::BTreeMap;

use keystill_kernels::Isa;
use keystill_kernels::parity::subset_mask;

use super::frontier::Frontier;
use super::message::{Ask, Request};
use super::plan::{Plan, SUBSETS};
use super::strings::{FIRST_SUBSET, Node, Strings, subset_of};
use crate::bits::BitBlock;

/// The correcting side of one frame.
#[derive(Debug)]
pub(super) struct Search {
    plan: Plan,
    strings: Strings,
    frontiers: Vec<Frontier>,
    /// The nodes of the subsets, by layer and start, once those are opened.
    subsets: BTreeMap<(u8, u32), SubsetNode>,
    /// Whether the errors left are odd in number.
    odd: bool,
    /// The questions under way, with our own parity of what was asked.
    asked: Vec<(Node, bool)>,
    /// Nodes that a correction made odd, by layer.
    waiting: Vec<Node>,
    /// The next block of the last pass opened whose search has not been released.
    released: usize,
    parities: u64,
    corrected: u64,
    pace: usize,
}

#[derive(Clone, Copy, Debug)]
struct SubsetNode {
    len: u32,
    odd: bool,
}

impl Search {
    pub(super) fn new(plan: Plan, frame: BitBlock) -> Self {
        Self {
            plan,
            strings: Strings::new(frame),
            frontiers: Vec::new(),
            subsets: BTreeMap::new(),
            odd: false,
            asked: Vec::new(),
            waiting: Vec::new(),
            released: 0,
            parities: 0,
            corrected: 0,
            pace: 0,
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

    /// How many parities the next message of the reference side holds, after this request.
    pub(super) fn expected(&self, request: &Request) -> usize {
        match request {
            Request::Ask(_) => self.asked.len(),
            Request::Open => self.next_blocks(),
            Request::Done | Request::GiveUp => 0,
        }
    }

    /// How many parities open the next pass, or the subsets.
    fn next_blocks(&self) -> usize {
        let opened = self.frontiers.len();
        let blocks = self.plan.passes().get(opened);
        blocks.map_or(SUBSETS as usize, |blocks| blocks.count(self.strings.len()) - usize::from(opened > 0))
    }

    /// Takes the parities of the pass or the subsets asked to open; what to say next.
    pub(super) fn opened(&mut self, isa: Isa, theirs: &BitBlock) -> Request {
        self.parities += theirs.len() as u64;
        match self.plan.passes().get(self.frontiers.len()).copied() {
            Some(blocks) => {
                let mut odd = self.strings.open(isa, blocks);
                let first = self.frontiers.is_empty();
                (0..theirs.len()).for_each(|i| odd[i] ^= theirs.bit(i));
                let known = odd.len() - usize::from(!first);
                let sum = odd[..known].iter().fold(false, |sum, odd| sum ^ odd);
                if first {
                    self.odd = sum;
                } else {
                    odd[known] = sum ^ self.odd;
                }
                let mut frontier = Frontier::new(self.strings.len());
                (0..odd.len()).for_each(|i| frontier.begin(blocks.start(i), odd[i]));
                self.frontiers.push(frontier);
                self.released = 0;
                self.pace = if first { odd.len() } else { odd.len().div_ceil(self.plan.waves()) };
            }
            None => self.open_subsets(isa, theirs),
        }
        self.next(isa, Ask::default())
    }

    fn open_subsets(&mut self, isa: Isa, theirs: &BitBlock) {
        let whole = Node::new(0, 0, self.strings.len());
        for (index, ours) in (0u8..).zip(self.strings.subsets(isa)) {
            let odd = ours ^ theirs.bit(usize::from(index));
            let layer = FIRST_SUBSET + 2 * index;
            self.subsets.insert((layer, 0), SubsetNode { len: whole.len, odd });
            self.subsets.insert((layer + 1, 0), SubsetNode { len: whole.len, odd: odd ^ self.odd });
        }
    }

    /// Takes the answers to the questions under way; what to say next.
    pub(super) fn answered(&mut self, isa: Isa, theirs: &BitBlock) -> Request {
        self.parities += theirs.len() as u64;
        let asked = std::mem::take(&mut self.asked);
        let mut right = BitBlock::zeros(asked.len());
        let mut stopped = BitBlock::zeros(asked.len());
        for (i, (node, ours)) in asked.iter().enumerate() {
            let left_odd = *ours ^ theirs.bit(i);
            self.split(*node, left_odd);
            right.set(i, !left_odd);
        }
        let child = |i: usize| if right.bit(i) { asked[i].0.right() } else { asked[i].0.left() };
        for leaf in (0..asked.len()).map(child).filter(|child| child.len == 1) {
            if self.is_odd(leaf) {
                self.flip(self.strings.origin(leaf.layer, leaf.start()));
            }
        }
        for i in 0..asked.len() {
            let child = child(i);
            if child.len > 1 && !self.claim(child) {
                stopped.set(i, true);
            } else if child.len > 1 {
                self.ask(isa, child);
            }
        }
        if stopped.count_ones() == 0 {
            stopped = BitBlock::default();
        }
        self.next(isa, Ask { right, stopped, new: Vec::new() })
    }

    /// Completes the questions with new searches, or opens what comes next.
    fn next(&mut self, isa: Isa, mut ask: Ask) -> Request {
        loop {
            self.release(&mut ask.new);
            self.wake(&mut ask.new);
            if !ask.new.is_empty() || !self.asked.is_empty() || self.released >= self.blocks() {
                break;
            }
        }
        if ask.new.is_empty() && self.asked.is_empty() {
            ask.new.extend(self.odd_subset());
        }
        if self.parities + (self.asked.len() + ask.new.len()) as u64 > self.plan.parity_limit() {
            return Request::GiveUp;
        }
        ask.new.iter().for_each(|node| self.ask(isa, *node));
        match (self.asked.is_empty(), self.subsets.is_empty()) {
            (false, _) => Request::Ask(ask),
            (true, true) if self.parities + self.next_blocks() as u64 <= self.plan.parity_limit() => {
                Request::Open
            }
            (true, true) => Request::GiveUp,
            (true, false) => Request::Done,
        }
    }

    /// The blocks of the last pass opened.
    fn blocks(&self) -> usize {
        let last = self.plan.passes().get(self.frontiers.len().wrapping_sub(1));
        last.map_or(0, |blocks| blocks.count(self.strings.len()))
    }

    /// Releases the searches of the next blocks of the last pass opened.
    fn release(&mut self, new: &mut Vec<Node>) {
        let (blocks, last) = (self.blocks(), self.frontiers.len().wrapping_sub(1));
        let until = (self.released + self.pace).min(blocks);
        let Some(cut) = self.plan.passes().get(last).copied() else { return };
        for index in self.released..until {
            let (start, end) = (cut.start(index), cut.start(index + 1).min(self.strings.len()));
            if end - start == 1 {
                if self.frontiers[last].is_odd(start) {
                    let layer = u8::try_from(last).expect("few passes");
                    self.flip(self.strings.origin(layer, start));
                }
            } else if self.frontiers[last].claim(start, end - start) {
                new.push(Node::new(u8::try_from(last).expect("few passes"), start, end - start));
            }
        }
        self.released = until;
    }

    /// Begins the searches in nodes that corrections made odd.
    fn wake(&mut self, new: &mut Vec<Node>) {
        for node in std::mem::take(&mut self.waiting) {
            if self.claim(node) {
                new.push(node);
            }
        }
    }

    /// An odd subset and its complement, as far as that is odd; only one at a time, because the
    /// others most likely hold the same errors.
    fn odd_subset(&mut self) -> Vec<Node> {
        let odd = self.subsets.iter().filter(|(_, node)| node.odd && node.len > 1);
        let nodes: Vec<Node> =
            odd.map(|((layer, start), node)| Node { layer: *layer, start: *start, len: node.len }).collect();
        let Some(first) = nodes.first() else { return nodes };
        let pair = |node: &&Node| node.layer / 2 == first.layer / 2;
        nodes.iter().filter(pair).copied().collect()
    }

    fn ask(&mut self, isa: Isa, node: Node) {
        let ours = self.strings.parity(isa, node.left());
        self.asked.push((node, ours));
    }

    fn split(&mut self, node: Node, left_odd: bool) {
        if let Some(frontier) = self.frontiers.get_mut(usize::from(node.layer)) {
            frontier.begin(node.start(), left_odd);
            frontier.begin(node.right().start(), !left_odd);
            return;
        }
        let (left, right) = (node.left(), node.right());
        self.subsets.insert((node.layer, left.start), SubsetNode { len: left.len, odd: left_odd });
        self.subsets.insert((node.layer, right.start), SubsetNode { len: right.len, odd: !left_odd });
    }

    fn is_odd(&self, node: Node) -> bool {
        match self.frontiers.get(usize::from(node.layer)) {
            Some(frontier) => frontier.is_odd(node.start()),
            None => self.subsets.get(&(node.layer, node.start)).is_some_and(|known| known.odd),
        }
    }

    fn claim(&mut self, node: Node) -> bool {
        match self.frontiers.get_mut(usize::from(node.layer)) {
            Some(frontier) => frontier.claim(node.start(), node.len as usize),
            None => self.is_odd(node),
        }
    }

    /// Corrects a bit: toggles the nodes that hold it, and notes those that became odd.
    fn flip(&mut self, bit: usize) {
        self.corrected += 1;
        self.odd = !self.odd;
        let last = self.frontiers.len() - 1;
        let released = self.plan.passes()[last].start(self.released);
        let (frontiers, waiting) = (&mut self.frontiers, &mut self.waiting);
        self.strings.flip(bit, |pass, place| {
            let (start, len, odd) = frontiers[pass].toggle(place);
            if odd && len > 1 && (pass < last || start < released) {
                waiting.push(Node::new(u8::try_from(pass).expect("few passes"), start, len));
            }
        });
        if !self.subsets.is_empty() {
            self.toggle_subsets(bit);
        }
    }

    fn toggle_subsets(&mut self, bit: usize) {
        let place = u32::try_from(bit).expect("frames are shorter than 2^32 bits");
        for index in 0..SUBSETS {
            let inside = subset_mask(bit / 64, index) >> (bit % 64) & 1 == 1;
            let layer = FIRST_SUBSET + 2 * u8::try_from(index).expect("few subsets") + u8::from(!inside);
            debug_assert_eq!(subset_of(layer).0, index, "two layers a subset");
            if let Some((_, node)) = self.subsets.range_mut((layer, 0)..=(layer, place)).next_back() {
                node.odd = !node.odd;
            }
        }
    }
}
