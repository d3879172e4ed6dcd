//! The correcting side at work: every odd node of known parity holds an error, and is bisected.

use keystill_kernels::Isa;

use super::frontier::Frontier;
use super::message;
use super::phase::{Node, Phase, Room};
use super::plan::Plan;
use super::strings::Strings;
use super::subsets::Subsets;
use crate::bits::BitBlock;

/// What the correcting side says.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// New searches: those of the phase that has begun.
    Search,
    /// The searches go on, in the right half where a bit is set.
    Descend(BitBlock),
    /// The next pass is to be opened, or the next draw of subsets.
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
    subsets: Subsets,
    /// Whether the errors left are odd in number.
    odd: bool,
    phase: Option<Phase>,
    /// Nodes that became odd, by pass. The first pass that has any is searched first: its nodes are
    /// the smallest, and what is found there may make those of the others even again.
    waiting: Vec<Vec<Node>>,
    parities: u64,
    corrected: u64,
    /// The memory of the last [`Next::Descend`], of the last phase, and of the bits that it corrected.
    memory: BitBlock,
    room: Room,
    bits: Vec<u32>,
}

impl Search {
    pub(super) fn new(plan: Plan, frame: BitBlock) -> Self {
        Self {
            subsets: Subsets::new(frame.len(), plan.subsets()),
            strings: Strings::new(&plan, frame),
            plan,
            frontiers: Vec::new(),
            odd: false,
            phase: None,
            waiting: Vec::new(),
            parities: 0,
            corrected: 0,
            memory: BitBlock::default(),
            room: Room::default(),
            bits: Vec::new(),
        }
    }

    pub(super) fn corrected(&self) -> u64 {
        self.corrected
    }

    pub(super) fn passes(&self) -> usize {
        self.frontiers.len() + usize::from(self.subsets.draws() > 0)
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

    /// Takes back what was said, for its memory.
    pub(super) fn take_back(&mut self, said: Next) {
        if let Next::Descend(right) = said {
            self.memory = right;
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

    /// How many parities open the next pass, or the next draw of subsets.
    fn opening(&self) -> usize {
        let opened = self.frontiers.len();
        let blocks = |log2: &u32| self.strings.len().div_ceil(1 << log2) - usize::from(opened > 0);
        self.plan.passes().get(opened).map_or(self.plan.subsets() as usize, blocks)
    }

    /// Takes the parities of the pass or the draw asked to open; what to say next.
    pub(super) fn opened(&mut self, isa: Isa, theirs: &BitBlock) -> Next {
        self.parities += theirs.len() as u64;
        match self.plan.passes().get(self.frontiers.len()).copied() {
            Some(log2) => self.open_pass(isa, log2, theirs),
            None => {
                let ours = self.strings.subsets(isa, self.subsets.draws());
                self.subsets.draw(ours ^ theirs.words()[0], self.odd);
            }
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
        let mut nodes = Vec::with_capacity(odd.words().iter().map(|word| word.count_ones() as usize).sum());
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
        self.waiting.push(nodes);
        self.frontiers.push(frontier);
        if odd.len() > self.memory.len() {
            self.memory = odd;
        }
    }

    /// Takes the answers to the questions under way; what to say next.
    pub(super) fn answered(&mut self, isa: Isa, theirs: &BitBlock) -> Next {
        self.parities += theirs.len() as u64;
        let Some(mut phase) = self.phase.take() else { return Next::GiveUp };
        let mut right = self.strings.parities(isa, &phase, std::mem::take(&mut self.memory));
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
        if self.correct(phase) { self.begin() } else { Next::GiveUp }
    }

    /// Begins the searches in the odd nodes of the lowest layer that has any, or opens what comes
    /// next.
    fn begin(&mut self) -> Next {
        while let Some(phase) = self.next_phase() {
            if phase.level() == 0 {
                // A block of one place, at the end of the frame: odd is wrong.
                self.correct(phase);
                continue;
            }
            if self.parities + phase.questions() > self.plan.parity_limit() {
                return Next::GiveUp;
            }
            self.phase = Some(phase);
            return Next::Search;
        }
        if self.subsets.last_was_clean() || self.subsets.draws() == self.plan.draws() {
            return Next::Done;
        }
        let affordable = self.parities + self.opening() as u64 <= self.plan.parity_limit();
        if affordable { Next::Open } else { Next::GiveUp }
    }

    fn next_phase(&mut self) -> Option<Phase> {
        for (pass, (waiting, frontier)) in self.waiting.iter_mut().zip(&self.frontiers).enumerate() {
            let mut room = std::mem::take(&mut self.room);
            std::mem::swap(&mut room.nodes, waiting);
            room.nodes.retain(|node| frontier.is_odd(node.start));
            room.nodes.sort_unstable_by_key(|node| (std::cmp::Reverse(node.log2), node.start));
            room.nodes.dedup();
            let layer = u8::try_from(pass).expect("there are three passes");
            match Phase::new(layer, room) {
                Ok(phase) => return Some(phase),
                Err(room) => self.room = room,
            }
        }
        let mut room = std::mem::take(&mut self.room);
        let layer = self.subsets.odd(&mut room.nodes)?;
        Phase::new(layer, room).ok()
    }

    /// Corrects the errors that a phase found. Whether all are places of the frame.
    fn correct(&mut self, phase: Phase) -> bool {
        let bits = &mut self.bits;
        bits.clear();
        if !self.strings.origins(phase.layer, phase.starts(), bits) {
            return false;
        }
        let layer = usize::from(phase.layer);
        let found = phase.nodes().iter().zip(phase.starts());
        match self.frontiers.get_mut(layer) {
            Some(frontier) => found.for_each(|(node, found)| frontier.settle(*node, *found)),
            None => found.for_each(|(node, found)| self.subsets.settle(phase.layer, *node, *found)),
        }
        let (frontiers, waiting) = (&mut self.frontiers, &mut self.waiting);
        self.strings.flip(bits, |pass, places| {
            if pass != layer {
                waiting[pass].extend(places.iter().filter_map(|place| frontiers[pass].toggle(*place)));
            }
        });
        bits.iter().for_each(|bit| self.subsets.toggle(*bit, layer));
        self.corrected += bits.len() as u64;
        self.odd ^= bits.len() % 2 == 1;
        self.room = phase.into_room();
        true
    }
}
