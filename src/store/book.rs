//! What a store knows of one protocol and of one block's keys, and how the journal spells it.

use std::collections::BTreeSet;

use crate::bits::BitBlock;
use crate::session::{Entry, Memory, Prepared};
use crate::wire::{Malformed, Reader, Writer};

use super::vault::Slots;

/// Pads of a fresh pre-shared key are numbered from a multiple of this.
const INSTALLED: u64 = 1 << 40;

/// Ranges in one list of slots, at most.
const MOST_RANGES: usize = 1 << 20;

/// One protocol of one session.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) protocol: String,
    pub(super) session: u128,
    pub(super) memory: Memory,
    pub(super) hash_keys: Slots,
    /// Pads that are not spent in both directions: the number of the first pair, and slots, a pair each.
    pub(super) pads: Vec<(u64, Slots)>,
    /// The number of the pair that a refill begins with.
    pub(super) next_pair: u64,
    /// What a prepared block refills and what it leaves as keys.
    pub(super) prepared: Option<(Slots, Slots)>,
    /// Blocks below it are over, as far as is known since the store was opened: not in the journal.
    pub(super) over_below: u64,
}

impl Book {
    pub(super) fn new(protocol: String, session: u128) -> Self {
        Self {
            protocol,
            session,
            memory: Memory::default(),
            hash_keys: Slots::default(),
            pads: Vec::new(),
            next_pair: 0,
            prepared: None,
            over_below: 0,
        }
    }

    /// What the IDs of its keys begin with.
    pub(super) fn link(&self) -> [u8; 6] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"keystill key id").update(&self.session.to_le_bytes());
        hasher.update(self.protocol.as_bytes());
        let mut link = [0; 6];
        link.copy_from_slice(&hasher.finalize().as_bytes()[..6]);
        link
    }

    /// Takes a pre-shared key: its first secret are the hash keys. Returns what it replaces.
    pub(super) fn install(&mut self, session: u128, mut slots: Slots) -> Vec<Slots> {
        let mut old: Vec<Slots> = self.pads.drain(..).map(|(_, slots)| slots).collect();
        old.push(std::mem::replace(&mut self.hash_keys, slots.split_front(1)));
        self.session = session;
        // Number 0 is the first of the first key; later ones go to the next multiple.
        let first = if self.next_pair == 0 { 0 } else { (self.next_pair / INSTALLED + 1) * INSTALLED };
        self.memory.apply(&Entry::Pads { spent: [first; 2] });
        self.next_pair = first + slots.len();
        self.pads.push((first, slots));
        old
    }

    /// Adds an entry. Returns the slots that it spends, and the keys of a block that it commits.
    pub(super) fn apply(
        &mut self,
        entry: &Entry,
        [refill, keys]: [Slots; 2],
    ) -> (Vec<Slots>, Option<(u64, Slots)>) {
        let (mut spent, mut committed) = (Vec::new(), None);
        let is_prepared = |block: u64| self.memory.prepared.is_some_and(|prepared| prepared.block == block);
        match entry {
            Entry::Prepare { .. } => {
                let before = self.prepared.replace((refill, keys));
                spent.extend(before.into_iter().flat_map(|(refill, keys)| [refill, keys]));
            }
            Entry::Commit { block, .. } if is_prepared(*block) => {
                if let Some((refill, keys)) = self.prepared.take() {
                    let first = self.next_pair;
                    self.next_pair += refill.len();
                    self.pads.push((first, refill));
                    committed = Some((*block, keys));
                }
            }
            Entry::Cut { block } if is_prepared(*block) => {
                spent.extend(self.prepared.take().into_iter().flat_map(|(refill, keys)| [refill, keys]));
            }
            _ => {}
        }
        self.memory.apply(entry);
        spent.extend(self.spend_pads());
        (spent, committed)
    }

    /// Gives up pairs whose both pads are spent.
    fn spend_pads(&mut self) -> Vec<Slots> {
        let below = self.memory.spent[0].min(self.memory.spent[1]);
        let mut spent = Vec::new();
        for (first, slots) in &mut self.pads {
            if *first < below {
                let gone = slots.split_front(below - *first);
                *first += gone.len();
                spent.push(gone);
            }
        }
        self.pads.retain(|(_, slots)| slots.len() > 0);
        spent
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u64> + '_ {
        let prepared = self.prepared.iter().flat_map(|(refill, keys)| refill.iter().chain(keys.iter()));
        let pads = self.pads.iter().flat_map(|(_, slots)| slots.iter());
        self.hash_keys.iter().chain(pads).chain(prepared)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        let memory = &self.memory;
        writer.u128(self.session).count(self.protocol.len()).bytes(self.protocol.as_bytes());
        writer.varint(memory.epoch).varint(memory.peer_epoch).varint(memory.next_block);
        writer.varint(memory.spent[0]).varint(memory.spent[1]);
        writer.varint(memory.commits).f64(memory.epsilon);
        writer.u8(memory.accepted.is_some().into());
        if let Some((block, tags)) = &memory.accepted {
            writer.varint(*block).bytes(tags);
        }
        write_slots(writer, &self.hash_keys);
        writer.varint(self.next_pair).count(self.pads.len());
        for (first, slots) in &self.pads {
            writer.varint(*first);
            write_slots(writer, slots);
        }
        let prepared = memory.prepared.as_ref().zip(self.prepared.as_ref());
        writer.u8(prepared.is_some().into());
        if let Some((prepared, (refill, keys))) = prepared {
            writer.varint(prepared.block).varint(prepared.refill_bits).u8(prepared.ready.into());
            write_slots(writer, refill);
            write_slots(writer, keys);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let session = reader.u128()?;
        let mut book = Self::new(read_name(reader)?, session);
        let (epoch, peer_epoch, next_block) = (reader.varint()?, reader.varint()?, reader.varint()?);
        let spent = [reader.varint()?, reader.varint()?];
        let (commits, epsilon) = (reader.varint()?, reader.f64("epsilon")?);
        let accepted = match flag(reader)? {
            true => Some((reader.varint()?, read_array(reader)?)),
            false => None,
        };
        book.memory =
            Memory { epoch, peer_epoch, next_block, spent, accepted, prepared: None, commits, epsilon };
        book.hash_keys = read_slots(reader)?;
        book.next_pair = reader.varint()?;
        for _ in 0..reader.count(MOST_RANGES, "pads")? {
            book.pads.push((reader.varint()?, read_slots(reader)?));
        }
        if flag(reader)? {
            let (block, refill_bits) = (reader.varint()?, reader.varint()?);
            book.memory.prepared = Some(Prepared { block, refill_bits, ready: flag(reader)? });
            book.prepared = Some((read_slots(reader)?, read_slots(reader)?));
        }
        Ok(book)
    }
}

/// The keys of one block that are not delivered yet.
#[derive(Debug)]
pub(super) struct Held {
    slots: Slots,
    /// Keys before this place are spent.
    next: u32,
    /// Places beyond it that are spent too.
    gone: BTreeSet<u32>,
}

impl Held {
    pub(super) fn new(slots: Slots) -> Self {
        Self { slots, next: 0, gone: BTreeSet::new() }
    }

    fn keys(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn left(&self) -> u64 {
        u64::from(self.keys() - self.next) - self.gone.len() as u64
    }

    /// Places whose keys can be delivered.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> + '_ {
        (self.next..self.keys()).filter(|place| !self.gone.contains(place))
    }

    /// The slot of a key that can be delivered.
    pub(super) fn slot(&self, place: u32) -> Option<u64> {
        let there = place >= self.next && !self.gone.contains(&place);
        if there { self.slots.at(place.into()) } else { None }
    }

    /// Marks a key spent and returns its slot.
    pub(super) fn spend(&mut self, place: u32) -> Option<u64> {
        let slot = self.slot(place)?;
        self.gone.insert(place);
        while self.gone.remove(&self.next) {
            self.next += 1;
        }
        Some(slot)
    }

    /// Whether a place was delivered or given up.
    pub(super) fn is_spent(&self, place: u32) -> bool {
        place < self.keys() && self.slot(place).is_none()
    }

    /// Gives up the keys from a place on and returns their slots.
    pub(super) fn give_up_from(&mut self, place: u32) -> Slots {
        let left = self.places().filter(|left| *left >= place).filter_map(|left| self.slot(left));
        let given_up = Slots(left.map(|slot| (slot, 1)).collect());
        self.slots = self.slots.split_front(place.into());
        self.next = self.next.min(place);
        self.gone.split_off(&place);
        given_up
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = u64> + '_ {
        self.places().filter_map(|place| self.slot(place))
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        write_slots(writer, &self.slots);
        writer.varint(self.next.into()).count(self.gone.len());
        for place in &self.gone {
            writer.varint(u64::from(*place));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let place = |reader: &mut Reader<'_>| {
            u32::try_from(reader.varint()?).map_err(|_| Malformed::Field { field: "place" })
        };
        let slots = read_slots(reader)?;
        let mut held = Self { next: place(reader)?, ..Self::new(slots) };
        if held.next > held.keys() {
            return Err(Malformed::Field { field: "place" });
        }
        for _ in 0..reader.count(usize::try_from(held.keys()).unwrap_or(usize::MAX), "spent")? {
            let place = place(reader)?;
            held.slot(place).ok_or(Malformed::Field { field: "place" })?;
            held.gone.insert(place);
        }
        Ok(held)
    }
}

pub(super) fn write_slots(writer: &mut Writer, slots: &Slots) {
    writer.count(slots.0.len());
    for (first, count) in &slots.0 {
        writer.varint(*first).varint(*count);
    }
}

pub(super) fn read_slots(reader: &mut Reader<'_>) -> Result<Slots, Malformed> {
    let mut ranges = Vec::new();
    for _ in 0..reader.count(MOST_RANGES, "slots")? {
        let (first, count) = (reader.varint()?, reader.varint()?);
        if count == 0 || first.saturating_add(count) > 1 << 40 {
            return Err(Malformed::Field { field: "slots" });
        }
        ranges.push((first, count));
    }
    Ok(Slots(ranges))
}

pub(super) fn read_name(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let length = reader.count(64, "protocol")?;
    let name = std::str::from_utf8(reader.bytes(length)?);
    name.map(str::to_owned).map_err(|_| Malformed::Field { field: "protocol" })
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Field { field: "flag" }),
    }
}

fn read_array<const N: usize>(reader: &mut Reader<'_>) -> Result<[u8; N], Malformed> {
    let mut array = [0; N];
    array.copy_from_slice(reader.bytes(N)?);
    Ok(array)
}

/// Spells an entry; of a key, only where it stands.
pub(super) fn write_entry(writer: &mut Writer, entry: &Entry, slots: &[Slots; 2]) {
    let spent = |writer: &mut Writer, spent: &[u64; 2]| {
        writer.varint(spent[0]).varint(spent[1]);
    };
    match entry {
        Entry::Epoch { own, peer } => {
            writer.u8(0).varint(*own).varint(*peer);
        }
        Entry::Opened { block } => {
            writer.u8(1).varint(*block);
        }
        Entry::Pads { spent: own } => {
            writer.u8(2);
            spent(writer, own);
        }
        Entry::Prepare { block, spent: own, tag, bits: _, refill_bits } => {
            writer.u8(3).varint(*block);
            spent(writer, own);
            writer.bytes(tag).varint(*refill_bits);
            slots.iter().for_each(|slots| write_slots(writer, slots));
        }
        Entry::Ready { block, spent: own, tag, accepted } => {
            writer.u8(4).varint(*block);
            spent(writer, own);
            writer.bytes(tag).bytes(accepted);
        }
        Entry::Commit { block, spent: own, epsilon } => {
            writer.u8(5).varint(*block).f64(*epsilon);
            spent(writer, own);
        }
        Entry::Cut { block } => {
            writer.u8(6).varint(*block);
        }
    }
}

/// Reads an entry; a key's bits are left out, where they stand is told.
pub(super) fn read_entry(reader: &mut Reader<'_>) -> Result<(Entry, [Slots; 2]), Malformed> {
    let spent = |reader: &mut Reader<'_>| Ok([reader.varint()?, reader.varint()?]);
    let entry = match reader.u8()? {
        0 => Entry::Epoch { own: reader.varint()?, peer: reader.varint()? },
        1 => Entry::Opened { block: reader.varint()? },
        2 => Entry::Pads { spent: spent(reader)? },
        3 => {
            let (block, spent) = (reader.varint()?, spent(reader)?);
            let (tag, refill_bits) = (read_array(reader)?, reader.varint()?);
            let slots = [read_slots(reader)?, read_slots(reader)?];
            let bits = BitBlock::default();
            return Ok((Entry::Prepare { block, spent, tag, bits, refill_bits }, slots));
        }
        4 => {
            let (block, spent) = (reader.varint()?, spent(reader)?);
            Entry::Ready { block, spent, tag: read_array(reader)?, accepted: read_array(reader)? }
        }
        5 => {
            let (block, epsilon) = (reader.varint()?, reader.f64("epsilon")?);
            Entry::Commit { block, spent: spent(reader)?, epsilon }
        }
        6 => Entry::Cut { block: reader.varint()? },
        _ => return Err(Malformed::Field { field: "entry" }),
    };
    Ok((entry, [Slots::default(), Slots::default()]))
}
