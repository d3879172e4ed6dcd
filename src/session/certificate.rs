//! The certificate of a key: why its bits are secret, from which counts, and what that rests on.
//!
//! Whoever holds one can compute the length again: `inputs` are what the key-length function was
//! given, under the names that `keystill keylen` reads. Beside them stands every number that goes with
//! them, so that none can be changed alone: the disclosed bits by kind add up to what was subtracted,
//! the counts to the bits that were sifted, the ε to their sum.

use crate::ledger::Ledger;
use crate::protocol::{Evidence, KeyLength};
use crate::random::{Foundation, Purpose};
use crate::stage::Role;

use super::event::{BlockReport, Outcome};

/// What the hall draws for every protocol.
const HALL_DRAWS: [Purpose; 2] = [Purpose::VerificationKey, Purpose::AmplificationSeed];

/// The certificate of one block's key, as one side issues it.
///
/// The two sides' differ in [`Certificate::role`] only, and in what they draw.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// The protocol.
    pub protocol: &'static str,
    /// The session's number.
    pub session: u128,
    /// The block.
    pub block: u64,
    /// Who issues it.
    pub role: Role,
    /// BLAKE3 of the parameters that both sides agreed on.
    pub parameter_set: [u8; 32],
    /// The length with its proof, inputs and terms.
    pub key_length: KeyLength,
    /// Disclosed bits by kind of message, ε by purpose, pads and seeds consumed.
    pub ledger: Ledger,
    /// Frames reconciled or tried.
    pub frames: u32,
    /// Frames given up, or found different by verification.
    pub frames_failed: u32,
    /// Bits that went to amplification.
    pub kept_bits: u64,
    /// Of the key, bits that went to the authentication pads.
    pub refilled_bits: u64,
    /// ε of the session's blocks up to and with this one, aborted ones too.
    pub session_epsilon: f64,
    /// How often each direction's hash key was used by the end of the block, Alice → Bob first: its error
    /// adds up, and the ledgers of the blocks hold it.
    pub hash_key_uses: [u64; 2],
    /// What the issuer's randomness rests on.
    pub foundation: Foundation,
    /// What the issuer's side may draw from it.
    pub draws: Vec<Purpose>,
}

/// What a session puts into every certificate.
pub(super) struct Issuer {
    pub(super) protocol: &'static str,
    pub(super) session: u128,
    pub(super) role: Role,
    pub(super) parameter_set: [u8; 32],
    pub(super) session_epsilon: f64,
    pub(super) foundation: Foundation,
    pub(super) draws: &'static [Purpose],
}

impl Certificate {
    pub(super) fn issue(issuer: &Issuer, report: &BlockReport, hash_key_uses: [u64; 2]) -> Self {
        let refilled_bits = match report.outcome {
            Outcome::Key { refilled_bits, .. } => refilled_bits,
            Outcome::Aborted(_) => 0,
        };
        let nothing = || KeyLength {
            secret_bits: 0,
            epsilons: vec![],
            terms: vec![],
            proof: "none",
            mode: "none",
            inputs: vec![],
        };
        Self {
            protocol: issuer.protocol,
            session: issuer.session,
            block: report.block,
            role: issuer.role,
            parameter_set: issuer.parameter_set,
            key_length: report.key_length.clone().unwrap_or_else(nothing),
            ledger: report.ledger.clone(),
            frames: report.frames,
            frames_failed: report.frames_failed,
            kept_bits: report.kept_bits,
            refilled_bits,
            session_epsilon: issuer.session_epsilon,
            hash_key_uses,
            foundation: issuer.foundation,
            draws: issuer.draws.iter().copied().chain(HALL_DRAWS).collect(),
        }
    }

    /// ℓ, the bits that the proof leaves.
    #[must_use]
    pub fn secret_bits(&self) -> u64 {
        self.key_length.secret_bits
    }

    /// ℓ less what went to the pads: the bits that are delivered.
    #[must_use]
    pub fn net_bits(&self) -> u64 {
        self.secret_bits().saturating_sub(self.refilled_bits)
    }

    /// An input of the key length by name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<Evidence> {
        self.key_length.inputs.iter().find(|(known, _)| *known == name).map(|(_, evidence)| *evidence)
    }

    /// Draws whose uniformity is a computational assumption; empty for a physical source.
    #[must_use]
    pub fn computational(&self) -> &[Purpose] {
        match self.foundation {
            Foundation::Computational => &self.draws,
            Foundation::Physical | Foundation::Simulated => &[],
        }
    }
}
