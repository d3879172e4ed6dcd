//! Reconciliation: the meeting place of the protocols. Bits on the reference side, soft bits on
//! the correcting side; equal bits leave, and the ledger knows what it cost.
//!
//! Each method is a pair of stages, `Reference` and `Corrector`, over one plan that both sides
//! hold. One stage works on one frame (LDPC) or on a group of frames (Cascade).

pub mod cascade;
pub mod codes;
pub mod ldpc;
pub mod leaf;

use crate::bits::BitBlock;

/// What leaves a reconciliation stage, on either side.
#[derive(Debug, PartialEq)]
pub struct Reconciled {
    /// The frame's bits, those of the reference side; `None` where the frame was given up, which
    /// both sides then know.
    pub bits: Option<BitBlock>,
    /// What it took.
    pub effort: Effort,
}

/// What the reconciliation of a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bits that the correcting side changed; zero on the reference side, which does not know.
    pub corrected_errors: u64,
    /// Decoder iterations, or passes of Cascade.
    pub iterations: u32,
    /// Increments after the first shot.
    pub increments: u32,
    /// Messages in both directions.
    pub messages: u32,
}
