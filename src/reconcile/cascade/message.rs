//! The messages of the correcting side, and the state of a search that both sides follow.
//!
//! | kind | meaning | fields |
//! |---|---|---|
//! | 0 | questions | `right`: one bit an answer just given, whether the error is in the right half; `stopped`: as many bits, or none if no search stopped; then the count of new searches and for each its layer (a byte), start and length |
//! | 1 | the blocks of the next pass, or after the last pass the subsets | |
//! | 2 | every parity known agrees | |
//! | 3 | given up | |
//!
//! A search goes on in the half that `right` names, so that a step of it costs one bit each way;
//! its length 1 ends it. The other side answers one bit a question, first those that go on.

use super::plan::{Plan, SUBSETS};
use super::strings::{FIRST_SUBSET, Node};
use crate::bits::BitBlock;
use crate::wire::{Malformed, Reader, Writer};

/// A message of the correcting side.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    Ask(Ask),
    Open,
    Done,
    GiveUp,
}

/// The next questions.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ask {
    pub(super) right: BitBlock,
    /// As long as `right`, or empty.
    pub(super) stopped: BitBlock,
    pub(super) new: Vec<Node>,
}

impl Ask {
    /// The nodes asked about, given those of the last round.
    pub(super) fn advance(&self, asked: &[Node]) -> Vec<Node> {
        let children = asked
            .iter()
            .enumerate()
            .map(|(i, node)| if self.right.bit(i) { (i, node.right()) } else { (i, node.left()) });
        let goes_on =
            |(i, child): &(usize, Node)| child.len > 1 && (self.stopped.is_empty() || !self.stopped.bit(*i));
        let mut next: Vec<Node> = children.filter(goes_on).map(|(_, child)| child).collect();
        next.extend(&self.new);
        next
    }
}

/// What a request may speak of at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Questions of the last round.
    pub(super) asked: usize,
    /// Passes opened.
    pub(super) passes: usize,
    /// Whether the subsets are opened.
    pub(super) subsets: bool,
    /// Questions still allowed.
    pub(super) questions: usize,
}

impl Request {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Ask(ask) => {
                writer.u8(0).bits(&ask.right).bits(&ask.stopped).count(ask.new.len());
                for node in &ask.new {
                    writer.u8(node.layer).count(node.start()).count(node.end() - node.start());
                }
            }
            Self::Open => _ = writer.u8(1),
            Self::Done => _ = writer.u8(2),
            Self::GiveUp => _ = writer.u8(3),
        }
        writer.finish()
    }

    pub(super) fn read(mut reader: Reader<'_>, plan: &Plan, bounds: Bounds) -> Result<Self, Malformed> {
        let request = match reader.u8()? {
            0 => Self::Ask(read_ask(&mut reader, plan, bounds)?),
            1 if !bounds.subsets => Self::Open,
            2 if bounds.subsets => Self::Done,
            3 => Self::GiveUp,
            _ => return Err(Malformed::Field { field: "request" }),
        };
        reader.end()?;
        Ok(request)
    }
}

fn read_ask(reader: &mut Reader<'_>, plan: &Plan, bounds: Bounds) -> Result<Ask, Malformed> {
    let right = reader.bits(bounds.asked, "right")?;
    let stopped = reader.bits(bounds.asked, "stopped")?;
    if right.len() != bounds.asked {
        return Err(Malformed::Field { field: "right" });
    }
    if !stopped.is_empty() && stopped.len() != bounds.asked {
        return Err(Malformed::Field { field: "stopped" });
    }
    // A search takes three bytes: the count cannot make us reserve more than the message holds.
    let most = bounds.questions.min(reader.remaining() / 3);
    let count = reader.count(most, "new_searches")?;
    let new = (0..count).map(|_| read_node(reader, plan, bounds)).collect::<Result<_, _>>()?;
    Ok(Ask { right, stopped, new })
}

fn read_node(reader: &mut Reader<'_>, plan: &Plan, bounds: Bounds) -> Result<Node, Malformed> {
    let layer = reader.u8()?;
    let subset = layer.checked_sub(FIRST_SUBSET);
    let known = match subset {
        None => usize::from(layer) < bounds.passes,
        Some(index) => bounds.subsets && u32::from(index) < 2 * SUBSETS,
    };
    if !known {
        return Err(Malformed::Field { field: "layer" });
    }
    let start = reader.count(plan.frame_bits() - 1, "start")?;
    let len = reader.count(plan.frame_bits() - start, "length")?;
    if len < 2 {
        return Err(Malformed::Field { field: "length" });
    }
    Ok(Node::new(layer, start, len))
}

/// The answers to the last questions or openings.
pub(super) fn write_answers(parities: &[bool]) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.bits(&BitBlock::from_bools(parities));
    writer.finish()
}

/// Reads exactly as many answers as were asked for.
pub(super) fn read_answers(mut reader: Reader<'_>, expected: usize) -> Result<BitBlock, Malformed> {
    let answers = reader.bits(expected, "answers")?;
    if answers.len() != expected {
        return Err(Malformed::Field { field: "answers" });
    }
    reader.end()?;
    Ok(answers)
}
