//! What goes into a session and what comes out.

use std::fmt;
use std::sync::Arc;

use crate::auth::AuthError;
use crate::bits::BitBlock;
use crate::ledger::Ledger;
use crate::protocol::KeyLength;
use crate::stage::{Abort, Computation, Computed, Role, Workbench};
use crate::wire::Malformed;

use super::certificate::Certificate;
use super::record::{Record, Ticket};

/// Nanoseconds since a moment that the caller chose; sessions read no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub u64);

/// What a session is told.
#[derive(Debug)]
pub enum Input<'a> {
    /// A whole message of the peer, in order.
    Received(&'a [u8]),
    /// Work is done.
    Finished(Finished),
    /// The record of this ticket, and all before it, will survive a crash.
    Persisted(Ticket),
    /// The connection is there, or gone.
    Link(LinkState),
    /// Time has passed.
    Tick,
}

/// Whether there is a connection to the peer. It is neither encrypted nor trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// A new connection: nothing of an older one comes through it.
    Up,
    /// None.
    Down,
}

/// What a session asks for.
#[derive(Debug)]
pub enum Output {
    /// Send this message to the peer.
    Transmit(Vec<u8>),
    /// Run this, on any thread, and return the result.
    Compute(Work),
    /// Remember this. What depends on it is held back until its ticket comes back.
    Persist(Record),
    /// Close the connection and make a new one: the peer is silent.
    Hangup,
    /// A key that both sides hold.
    Key(SecretKey),
    /// Something that an operator wants to know.
    Event(Event),
    /// Nothing until the next input, or until this time.
    Wait(Option<Time>),
}

/// A computation on its way.
pub struct Work {
    pub(super) ticket: u64,
    pub(super) block: u64,
    pub(super) stage: &'static str,
    pub(super) computation: Computation,
}

impl Work {
    /// The block that it is for.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The stage that asked for it: `sift`, `reconcile`, `verify`, `seed` or `amplify`.
    #[must_use]
    pub fn stage(&self) -> &'static str {
        self.stage
    }

    /// Computes. Never blocks; takes 0.1 ms or more.
    pub fn run(self, bench: &mut Workbench) -> Finished {
        Finished { ticket: self.ticket, result: self.computation.run(bench) }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Work({})", self.ticket)
    }
}

/// A computation's result on its way back.
pub struct Finished {
    pub(super) ticket: u64,
    pub(super) result: Computed,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finished({})", self.ticket)
    }
}

/// Secret key that both sides hold, verified and authenticated. Only the authenticated accept makes
/// one.
#[derive(Debug)]
pub struct SecretKey {
    pub(super) block: u64,
    pub(super) bits: BitBlock,
    pub(super) certificate: Arc<Certificate>,
}

impl SecretKey {
    /// Why these bits are secret, and what it rests on.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The block it came from.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &BitBlock {
        &self.bits
    }

    /// The bits, to be stored.
    #[must_use]
    pub fn into_bits(self) -> BitBlock {
        self.bits
    }
}

/// Something that an operator wants to know.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer is there, its parameters are ours, and both go on from the same block.
    PeerReady {
        /// The block.
        block: u64,
    },
    /// The peer was silent, or the connection is gone: blocks that were open are lost.
    PeerLost,
    /// Whether a block counts that a crash left in doubt: the peer accepted it, or did not.
    Settled {
        /// The block.
        block: u64,
        /// Whether its key is there.
        committed: bool,
    },
    /// The channel's transmittance moved by more than it scatters, within a block or since the one before: its
    /// loading changed, or somebody touched the fibre. A block that saw both states pays for it as noise.
    TransmittanceMoved {
        /// The block.
        block: u64,
        /// The transmittance before.
        before: f64,
        /// After.
        after: f64,
        /// By how many standard errors it rose.
        deviations: f64,
    },
    /// A block ended.
    Block(Box<BlockReport>),
}

/// How a block ended.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockReport {
    /// The block.
    pub block: u64,
    /// With key or without.
    pub outcome: Outcome,
    /// What this side estimated, by the names of records.
    pub figures: Vec<(&'static str, f64)>,
    /// What the hardware is adjusted by, besides the figures: see the page on [formats](crate::formats).
    pub feedback: Vec<(&'static str, f64)>,
    /// How the block was reconciled and why so, on the side that chose.
    pub choice: Option<String>,
    /// Frames reconciled or tried.
    pub frames: u32,
    /// Frames given up, or found different by verification.
    pub frames_failed: u32,
    /// Bits that went to amplification.
    pub kept_bits: u64,
    /// Errors that this side corrected in the frames kept.
    pub corrected_errors: u64,
    /// Decoder iterations over all frames.
    pub iterations: u64,
    /// The books.
    pub ledger: Ledger,
    /// The key length with its terms, where it was reckoned.
    pub key_length: Option<KeyLength>,
    /// The certificate of its key, where there is one.
    pub certificate: Option<Arc<Certificate>>,
}

/// The end of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Both sides hold key.
    Key {
        /// Bits that the proof leaves.
        secret_bits: u64,
        /// Of these, bits that went to the authentication pads.
        refilled_bits: u64,
    },
    /// No key.
    Aborted(Abort),
}

/// Why a session is over. It says the same ever after.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message is malformed or may not come now.
    #[error("the peer sent a message that cannot be: {source} (block {block})")]
    Malformed {
        /// The block it named.
        block: u64,
        /// What is wrong.
        source: Malformed,
    },
    /// A message is longer than any honest one.
    #[error("the peer sent a message of {bytes} bytes; {limit_bytes} are the limit")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
    /// A message names a block too far ahead, or one that is over.
    #[error("the peer speaks of block {block} while blocks {first} to {last} are open")]
    OutOfWindow {
        /// The block named.
        block: u64,
        /// The first open block.
        first: u64,
        /// The last that may be open.
        last: u64,
    },
    /// The peer's session, version or parameters are not ours.
    #[error(
        "the peer's {what} differs from ours; configure both sides alike (scenario, overrides, combination, session)"
    )]
    Disagreement {
        /// What differs.
        what: &'static str,
    },
    /// A tag does not match: messages were altered on the way.
    #[error("block {block} failed authentication; nothing of it was released")]
    Forged {
        /// The block.
        block: u64,
    },
    /// The failure probabilities of the session's blocks add up to its cap.
    #[error(
        "block {block} would bring the session's ε from {spent:.3e} above its cap of {cap:.3e}; no more key is \
         delivered: begin a new session with a fresh budget"
    )]
    EpsilonSpent {
        /// The block that was not delivered.
        block: u64,
        /// ε of all blocks before it.
        spent: f64,
        /// The cap.
        cap: f64,
    },
    /// One side's state is older than what the other has seen of it: a restored backup, or a hello of
    /// the past.
    #[error(
        "{who:?}'s state is older than what the peer has seen of it: a backup was restored, whose pads and keys \
         are spent; begin with an empty state and a fresh pre-shared key on both sides"
    )]
    RolledBack {
        /// Whose.
        who: Role,
    },
    /// What the session asked to be remembered was not.
    #[error("a key could not be stored and was given up: {reason}")]
    NotKept {
        /// Why.
        reason: String,
    },
    /// Authentication has no key left.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A raw frame does not follow the one before.
    #[error("raw frame {expected} was expected, another was offered: the source lost data")]
    FrameOutOfOrder {
        /// The index expected.
        expected: u64,
    },
}
