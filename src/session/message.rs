//! The messages of a session: a header, then the body of whoever speaks.
//!
//! ```text
//! message = kind:u8 · block:varint · [frame:varint, reconciliation only] · body
//! ```
//!
//! | kind | body | sent by |
//! |---|---|---|
//! | 0 hello | version, session:u128, role:u8, protocol name, parameter-set hash:32 bytes, epoch, highest epoch known of the peer, first pad of the peer not heard | both, first on a connection |
//! | 1 wing | the protocol's own | its wings |
//! | 2 reconciliation | the method's own | its stages |
//! | 3 fixed | frames:varint, one bit a frame: kept | both |
//! | 4 verification | see [`crate::verify`] | its stages |
//! | 5 length | secret bits:varint, of these for the pads:varint | the reference side |
//! | 6 seed | bit string | the reference side |
//! | 7 transcript tag | pad:varint, 16 bytes | both |
//! | 8 accept tag | pad:varint, 16 bytes | both |
//! | 9 abort | reason:u8 | either, once a block |
//! | 10 resume | first block never begun:varint; 1, the newest block accepted and its transcript tags:32 bytes, or 0; pad:varint, 16 bytes | both, after the peer's hello |
//! | 11 alive | nothing | either, when it said nothing else for a while |
//!
//! The transport delivers whole messages in order. Messages 1 to 6 and 9 are absorbed, with their number
//! in the direction on this connection and their length, into their direction's transcript of their block.
//! A resume's tag is over both hellos and what stands before it.

use crate::wire::{Malformed, Reader, Writer};

/// The version of the wire format.
pub const VERSION: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Hello,
    Wing,
    Reconciliation,
    Fixed,
    Verification,
    Length,
    Seed,
    TranscriptTag,
    AcceptTag,
    Abort,
    Resume,
    Alive,
}

const KINDS: [Kind; 12] = [
    Kind::Hello,
    Kind::Wing,
    Kind::Reconciliation,
    Kind::Fixed,
    Kind::Verification,
    Kind::Length,
    Kind::Seed,
    Kind::TranscriptTag,
    Kind::AcceptTag,
    Kind::Abort,
    Kind::Resume,
    Kind::Alive,
];

/// What stands before a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) block: u64,
    /// Zero for all kinds but reconciliation.
    pub(super) frame: u32,
}

impl Header {
    pub(super) fn new(kind: Kind, block: u64) -> Self {
        Self { kind, block, frame: 0 }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = *KINDS.get(usize::from(reader.u8()?)).ok_or(Malformed::Field { field: "kind" })?;
        let block = reader.varint()?;
        // These speak of no block.
        if matches!(kind, Kind::Hello | Kind::Resume | Kind::Alive) && block != 0 {
            return Err(Malformed::Field { field: "block" });
        }
        let frame = match kind {
            Kind::Reconciliation => reader.varint()?,
            _ => 0,
        };
        let frame = u32::try_from(frame).map_err(|_| Malformed::Field { field: "frame" })?;
        Ok(Self { kind, block, frame })
    }

    /// The whole message. Takes no memory of its own where the body has room for a header.
    pub(super) fn message(self, body: Vec<u8>) -> Vec<u8> {
        let body_bytes = body.len();
        let mut writer = Writer::after(body);
        writer.u8(self.kind as u8).varint(self.block);
        if self.kind == Kind::Reconciliation {
            writer.varint(self.frame.into());
        }
        let mut message = writer.finish();
        message.rotate_left(body_bytes);
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_lead_back_and_unknown_kinds_are_refused() {
        for (number, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(kind as usize, number, "the number on the wire");
            let frame = if kind == Kind::Reconciliation { 77 } else { 0 };
            let of_no_block = matches!(kind, Kind::Hello | Kind::Resume | Kind::Alive);
            let header = Header { kind, block: if of_no_block { 0 } else { 300 }, frame };
            let message = header.message(b"body".to_vec());
            let mut reader = Reader::new(&message);
            assert_eq!(Header::read(&mut reader), Ok(header), "header");
            assert_eq!(reader.bytes(4), Ok(&b"body"[..]), "body");
            let elsewhere = Header { block: 1, ..header }.message(Vec::new());
            let refused = Header::read(&mut Reader::new(&elsewhere)).is_err();
            assert_eq!(refused, of_no_block, "{kind:?} of block 1");
        }
        assert!(Header::read(&mut Reader::new(&[12, 0])).is_err(), "no kind 12");
    }
}
