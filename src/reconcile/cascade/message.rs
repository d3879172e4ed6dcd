//! The messages of the correcting side.
//!
//! | kind | meaning | fields |
//! |---|---|---|
//! | 0 | new searches | layer and size of the largest nodes (a byte each); for each size from there down to 1 the count of nodes, and for each the distance of its index (its start over its size) from the one after its predecessor |
//! | 1 | the searches go on | one bit a question just answered: whether the error is in the right half |
//! | 2 | the blocks of the next pass, or after the last pass the next draw of subsets | |
//! | 3 | every parity known agrees | |
//! | 4 | given up | |
//!
//! A step of a search thus costs one bit each way. The other side answers with a bit string, one
//! bit a question.

use keystill_kernels::parity::SUBSETS;

use super::phase::{FIRST_SUBSET, Node, Phase, Room};
use crate::bits::BitBlock;
use crate::wire::{Malformed, Reader, Writer};

const SEARCH: u8 = 0;
const DESCEND: u8 = 1;
pub(super) const OPEN: u8 = 2;
pub(super) const DONE: u8 = 3;
pub(super) const GIVE_UP: u8 = 4;

/// A message of the correcting side, as the other side hears it.
#[derive(Debug)]
pub(super) enum Request {
    Search(Phase),
    Descend(BitBlock),
    Open,
    Done,
    GiveUp,
}

/// What a request may speak of at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bits of the frame.
    pub(super) frame_bits: usize,
    /// Questions of the last round that have a next level.
    pub(super) asked: usize,
    /// Passes opened.
    pub(super) passes: usize,
    /// Subsets of a draw.
    pub(super) subsets: u32,
    /// Draws opened.
    pub(super) draws: u32,
    /// Draws that there may be.
    pub(super) max_draws: u32,
    /// Parities still allowed.
    pub(super) parities: u64,
}

impl Request {
    /// Reads one: the bits of [`Request::Descend`] in `memory`, a new phase in that of the last one.
    pub(super) fn read(
        mut reader: Reader<'_>,
        bounds: Bounds,
        memory: &mut BitBlock,
        phase: &mut Option<Phase>,
    ) -> Result<Self, Malformed> {
        let request = match reader.u8()? {
            SEARCH => {
                let room = phase.take().map(Phase::into_room).unwrap_or_default();
                Self::Search(read_phase(&mut reader, bounds, room)?)
            }
            DESCEND if bounds.asked > 0 => {
                Self::Descend(read_exactly(&mut reader, std::mem::take(memory), bounds.asked, "right")?)
            }
            OPEN if bounds.draws < bounds.max_draws => Self::Open,
            DONE if bounds.draws > 0 => Self::Done,
            GIVE_UP => Self::GiveUp,
            _ => return Err(Malformed::Field { field: "request" }),
        };
        reader.end()?;
        Ok(request)
    }
}

/// A message without fields.
pub(super) fn write_bare(kind: u8) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.u8(kind);
    writer.finish()
}

pub(super) fn write_descend(right: &BitBlock) -> Vec<u8> {
    let mut writer = Writer::with_capacity(12 + right.len() / 8);
    writer.u8(DESCEND).bits(right);
    writer.finish()
}

pub(super) fn write_search(phase: &Phase) -> Vec<u8> {
    let level = phase.level();
    // Most nodes are a byte or two from the one before.
    let mut writer = Writer::with_capacity(40 + 2 * phase.nodes().len());
    writer.u8(SEARCH).u8(phase.layer).u8(level.to_le_bytes()[0]);
    let mut nodes = phase.nodes();
    for log2 in (1..=level).rev() {
        let (group, rest) = nodes.split_at(nodes.partition_point(|node| node.log2 == log2));
        writer.count(group.len());
        let mut next = 0;
        for node in group {
            let index = node.start >> log2;
            writer.varint(u64::from(index - next));
            next = index + 1;
        }
        nodes = rest;
    }
    writer.finish()
}

fn read_phase(reader: &mut Reader<'_>, bounds: Bounds, mut room: Room) -> Result<Phase, Malformed> {
    let is_drawn =
        |subset: u32, bounds: Bounds| subset / SUBSETS < bounds.draws && subset % SUBSETS < bounds.subsets;
    let layer = reader.u8()?;
    let space = match layer.checked_sub(FIRST_SUBSET) {
        None if usize::from(layer) < bounds.passes => bounds.frame_bits,
        Some(subset) if is_drawn(u32::from(subset), bounds) => 2 * bounds.frame_bits.next_power_of_two(),
        _ => return Err(Malformed::Field { field: "layer" }),
    } as u64;
    let level = u32::from(reader.u8()?);
    if level > bounds.frame_bits.next_power_of_two().ilog2() {
        return Err(Malformed::Field { field: "level" });
    }
    for log2 in (1..=level).rev() {
        // A node takes a byte: the count cannot make us reserve more than the message holds.
        let count = reader.count(reader.remaining(), "nodes")?;
        room.nodes.reserve(count);
        let mut next = 0u64;
        for _ in 0..count {
            let index = next.saturating_add(reader.varint()?);
            let start = index.saturating_mul(1 << log2);
            let start = u32::try_from(start).ok().filter(|_| start < space);
            room.nodes.push(Node { start: start.ok_or(Malformed::Field { field: "node" })?, log2 });
            next = index + 1;
        }
    }
    let phase = Phase::new(layer, room).ok().filter(|phase| phase.level() == level);
    let phase = phase.ok_or(Malformed::Field { field: "nodes" })?;
    if phase.questions() > bounds.parities {
        return Err(Malformed::Field { field: "questions" });
    }
    Ok(phase)
}

/// The parities asked for.
pub(super) fn write_answers(parities: &BitBlock) -> Vec<u8> {
    let mut writer = Writer::with_capacity(11 + parities.len() / 8);
    writer.bits(parities);
    writer.finish()
}

/// Reads exactly as many parities as were asked for, into memory that was used before.
pub(super) fn read_answers(
    mut reader: Reader<'_>,
    memory: BitBlock,
    expected: usize,
) -> Result<BitBlock, Malformed> {
    let answers = read_exactly(&mut reader, memory, expected, "answers")?;
    reader.end()?;
    Ok(answers)
}

fn read_exactly(
    reader: &mut Reader<'_>,
    memory: BitBlock,
    count: usize,
    field: &'static str,
) -> Result<BitBlock, Malformed> {
    let bits = reader.bits_into(memory, count, field)?;
    if bits.len() == count { Ok(bits) } else { Err(Malformed::Field { field }) }
}
