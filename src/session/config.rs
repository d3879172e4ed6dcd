//! What a session is built with, and what it may hold.

use std::sync::Arc;

use keystill_kernels::Isa;

use crate::protocol::Protocol;
use crate::random::RandomSource;
use crate::random::health::Tested;
use crate::stage::Role;

/// The configuration of one session: one party, one protocol.
#[derive(Debug)]
pub struct Config<P> {
    /// Which end of the link.
    pub role: Role,
    /// The session's number: the same on both sides, never used before with the same pre-shared key.
    pub session: u128,
    /// The protocol and its parameters.
    pub protocol: Arc<P>,
    /// What else both sides must have alike, such as how keys of several protocols are joined: it counts as part of the
    /// parameter set, whose hash is compared at hello and stands in every transcript. Empty for nothing.
    pub agreed: Vec<u8>,
    /// The source of secrets and public seeds, under continuous test.
    pub random: Arc<Tested>,
    /// Blocks that may be open at once, at least 1: one takes in raw data while others are distilled.
    pub window_blocks: u64,
    /// Blocks whose tags the pads should cover: below it, a block's key refills more than the block consumes.
    pub reserve_blocks: usize,
    /// What the failure probabilities of all blocks, aborted ones too, may add up to. A block that would
    /// exceed it ends the session undelivered.
    pub epsilon_cap: f64,
    /// How long the peer may say nothing before the connection is given up, in ns.
    pub patience_ns: u64,
    /// The instruction set.
    pub isa: Isa,
}

/// Blocks that the default cap of a session's ε allows: at ε = 1e-10 a block, 1e-5 a session.
const BLOCKS_UNDER_CAP: f64 = 1e5;

impl<P> Clone for Config<P> {
    fn clone(&self) -> Self {
        Self {
            protocol: self.protocol.clone(),
            agreed: self.agreed.clone(),
            random: self.random.clone(),
            ..*self
        }
    }
}

impl<P: Protocol> Config<P> {
    /// Three blocks open, pads for a hundred in reserve, ε for a hundred thousand, the best instruction
    /// set.
    #[must_use]
    pub fn new(role: Role, session: u128, protocol: Arc<P>, random: Arc<dyn RandomSource>) -> Self {
        let epsilon_cap = (BLOCKS_UNDER_CAP * protocol.epsilon()).min(1.0);
        Self {
            role,
            session,
            protocol,
            agreed: Vec::new(),
            random: Arc::new(Tested::new(random)),
            window_blocks: 3,
            reserve_blocks: 100,
            epsilon_cap,
            patience_ns: 60_000_000_000,
            isa: Isa::best(),
        }
    }

    /// The longest message that is read, in bytes: longer ones end the session.
    #[must_use]
    pub fn longest_message(&self) -> usize {
        let seed = self.protocol.most_key_bits() / 4 + 64;
        self.protocol.longest_message().max(seed) + 32
    }

    /// The memory that the session may hold, in bytes, at most: per open block the wing's and hall's
    /// data, the candidate, verified and amplified bits, the seed, and amplification's own buffers.
    #[must_use]
    pub fn memory_bound(&self) -> usize {
        let window = usize::try_from(self.window_blocks).unwrap_or(usize::MAX);
        let key_bytes = self.protocol.most_key_bits().div_ceil(8);
        // Two copies of the candidate, seed and its message, six times the bits while amplifying.
        let hall = key_bytes.saturating_mul(2 + 2 * 2 + 6);
        let block = self.protocol.block_memory().saturating_add(hall);
        window.saturating_mul(block).saturating_add(self.longest_message().saturating_mul(4))
    }
}
