//! The omniscient judge: sees both sides' messages, keys and reports, and knows what may never happen.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::ledger::Ledger;
use crate::session::{BlockReport, Event, Outcome};
use crate::store::{Key, KeyId};
use crate::wire::Reader;

/// What may never happen, and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which of the seven invariants.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}

/// What holds whatever fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A key is the same on both sides.
    Equal,
    /// No key, pad or block is used twice.
    NeverReused,
    /// No committed key is lost.
    NeverLost,
    /// Nothing leaves of a block that was given up.
    NothingAborted,
    /// ε and leak are booked, on both sides alike.
    Booked,
    /// After the faults both sides make keys again.
    Converges,
    /// Memory, disk and messages stay within their bounds.
    Bounded,
}

/// Reasons that are remembered.
const BLOCKS_AFTER_FAULTS: usize = 6;

#[derive(Debug, Default)]
struct Side {
    /// Keys that left, by their IDs.
    released: HashMap<KeyId, [u8; 32]>,
    /// Keys that an application asked for and that a crash swallowed, at most.
    wasted: usize,
    /// Pads by number, with the tag that used them.
    pads: HashMap<u64, [u8; 16]>,
    /// Blocks, with the connection on which they were spoken of.
    blocks: HashMap<u64, u64>,
    /// Blocks that ended, with key or without.
    ended: BTreeMap<u64, bool>,
    ledgers: BTreeMap<u64, (Ledger, f64)>,
    /// Why the latest blocks without key were given up.
    aborts: VecDeque<(u64, String)>,
}

/// Remembers everything.
#[derive(Debug, Default)]
pub(super) struct Judge {
    sides: [Side; 2],
    /// A block of which half of the bits are errors.
    noisy_block: Option<u64>,
    pub(super) violations: Vec<Violation>,
}

impl Judge {
    pub(super) fn new(noisy_block: Option<u64>) -> Self {
        Self { noisy_block, ..Self::default() }
    }

    /// Whether a block of noise came to its end.
    pub(super) fn saw_noise(&self) -> bool {
        self.noisy_block.is_some_and(|block| self.sides.iter().any(|side| side.ended.contains_key(&block)))
    }

    pub(super) fn find(&mut self, invariant: Invariant, what: String) {
        self.violations.push(Violation { invariant, what });
    }

    /// A message leaves a side on a connection.
    pub(super) fn sent(&mut self, side: usize, connection: u64, message: &[u8], longest: usize) {
        if message.len() > longest {
            self.find(Invariant::Bounded, format!("a message of {} bytes", message.len()));
        }
        let Some((kind, block, tag)) = read(message) else {
            return self.find(Invariant::Bounded, "an unreadable message was sent".into());
        };
        if let Some((pad, tag)) = tag
            && self.sides[side].pads.insert(pad, tag).is_some_and(|before| before != tag)
        {
            self.find(Invariant::NeverReused, format!("side {side} used pad {pad} for two tags"));
        }
        if (1..=9).contains(&kind) {
            let first = *self.sides[side].blocks.entry(block).or_insert(connection);
            if first != connection {
                self.find(Invariant::NeverReused, format!("side {side} spoke of block {block} again"));
            }
        }
    }

    /// A key leaves a side for an application.
    pub(super) fn released(&mut self, side: usize, key: &Key) {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(key.bytes());
        self.released_bytes(side, key.id, bytes);
    }

    pub(super) fn released_bytes(&mut self, side: usize, id: KeyId, bytes: [u8; 32]) {
        if self.sides[side].released.insert(id, bytes).is_some() {
            self.find(Invariant::NeverReused, format!("side {side} delivered key {id} twice"));
        }
        if self.sides[1 - side].released.get(&id).is_some_and(|other| *other != bytes) {
            self.find(Invariant::Equal, format!("key {id} differs"));
        }
    }

    /// An application asked for keys and a crash came between.
    pub(super) fn wasted(&mut self, side: usize, keys: usize) {
        self.sides[side].wasted += keys;
    }

    pub(super) fn told(&mut self, side: usize, event: &Event) {
        match event {
            Event::Block(report) => self.reported(side, report),
            Event::Settled { block, committed } => self.ended(side, *block, *committed),
            _ => {}
        }
    }

    fn reported(&mut self, side: usize, report: &BlockReport) {
        let with_key = matches!(report.outcome, Outcome::Key { .. });
        self.ended(side, report.block, with_key);
        if let Outcome::Aborted(abort) = &report.outcome {
            let aborts = &mut self.sides[side].aborts;
            aborts.truncate(BLOCKS_AFTER_FAULTS - 1);
            aborts.push_front((report.block, abort.to_string()));
            return;
        }
        let epsilon = report.certificate.as_ref().map_or(0.0, |certificate| certificate.session_epsilon);
        let sum: f64 = self.sides[side].ledgers.values().map(|(ledger, _)| ledger.epsilon()).sum();
        if epsilon < (sum + report.ledger.epsilon()) * (1.0 - 1e-9) {
            self.find(Invariant::Booked, format!("the session's ε of {epsilon} is below its blocks'"));
        }
        let other = self.sides[1 - side].ledgers.get(&report.block);
        if let Some((other, _)) = other.filter(|(ledger, _)| *ledger != report.ledger) {
            let (block, own) = (report.block, &report.ledger);
            self.find(Invariant::Booked, format!("the books of block {block} differ: {own:?}, {other:?}"));
        }
        self.sides[side].ledgers.insert(report.block, (report.ledger.clone(), epsilon));
    }

    fn ended(&mut self, side: usize, block: u64, with_key: bool) {
        if self.sides[side].ended.insert(block, with_key).is_some() {
            self.find(Invariant::NeverReused, format!("block {block} ended twice on side {side}"));
        }
        if with_key && self.noisy_block == Some(block) {
            self.find(Invariant::NothingAborted, format!("block {block} is noise, and left key"));
        }
        if self.sides[1 - side].ended.get(&block).is_some_and(|other| *other != with_key) {
            self.find(Invariant::NothingAborted, format!("block {block} is key on one side only"));
        }
    }

    /// Why a side's latest blocks without key were given up.
    pub(super) fn last_aborts(&self, side: usize) -> String {
        let told = self.sides[side].aborts.iter().map(|(block, why)| format!("block {block}: {why}"));
        told.collect::<Vec<_>>().join("; ")
    }

    /// Blocks that a side told to have key.
    pub(super) fn keys(&self, side: usize) -> usize {
        self.sides[side].ended.values().filter(|with_key| **with_key).count()
    }

    /// Blocks that a side told to have ended.
    pub(super) fn blocks(&self, side: usize) -> usize {
        self.sides[side].ended.len()
    }

    /// All keys that are left were delivered: what one side had, the other had too.
    pub(super) fn conclude(&mut self) {
        let ids = |side: &Side| side.released.keys().copied().collect::<BTreeSet<_>>();
        let [alice, bob] = [ids(&self.sides[0]), ids(&self.sides[1])];
        for (side, missing) in [(0, bob.difference(&alice)), (1, alice.difference(&bob))] {
            let missing: Vec<_> = missing.copied().collect();
            if missing.len() > self.sides[side].wasted {
                let (lost, wasted) = (missing.len(), self.sides[side].wasted);
                let what =
                    format!("side {side} lost {lost} keys, {} first; {wasted} may be wasted", missing[0]);
                self.find(Invariant::NeverLost, what);
            }
        }
    }
}

/// Kind and block of a message, and the pad and tag that it bears.
type Parts = (u8, u64, Option<(u64, [u8; 16])>);

fn read(message: &[u8]) -> Option<Parts> {
    let mut reader = Reader::new(message);
    let kind = reader.u8().ok()?;
    let block = reader.varint().ok()?;
    if kind == 10 {
        reader.varint().ok()?;
        if reader.u8().ok()? == 1 {
            reader.varint().ok()?;
            reader.bytes(32).ok()?;
        }
    }
    if !matches!(kind, 7 | 8 | 10) {
        return Some((kind, block, None));
    }
    let pad = reader.varint().ok()?;
    let mut tag = [0; 16];
    tag.copy_from_slice(reader.bytes(16).ok()?);
    Some((kind, block, Some((pad, tag))))
}
