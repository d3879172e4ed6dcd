//! Decoy-state BB84, from detections to sifted bits, estimates and key length.

pub mod frame;
pub mod recorded;
pub mod security;
pub mod settings;
mod sift;
mod wing;

use std::sync::Arc;

use crate::ledger::Epsilon;
use crate::protocol::{Evidence, Kept, KeyLength, Party, Protocol, Validity};
use crate::random::Purpose;
use crate::reconcile::Method;
use crate::stage::{Abort, Role};
use crate::wire::Writer;

use security::{Claim, Observation, Source, Vacuum};

pub use sift::Tally;
pub use wing::{Bb84Wing, Frame};

/// Efficient decoy-state BB84: two biased bases, three intensities.
#[derive(Clone, Debug, PartialEq)]
pub struct Bb84 {
    /// Gates in a raw frame.
    pub gates_per_frame: u32,
    /// Raw frames in a block: together the gates over which parameters are estimated.
    pub frames_per_block: u64,
    /// Mean photon numbers, signal first.
    pub intensities: [f64; 3],
    /// Their probabilities.
    pub probabilities: [f64; 3],
    /// By how much each mean photon number may be off, either way.
    pub intensity_spread: [f64; 3],
    /// By how much each probability may be off, either way.
    pub probability_spread: [f64; 3],
    /// The least probabilities with which Alice and Bob choose the test basis, each by itself and for no
    /// reason but chance. `None` where they are not known: the proof then does without, and yields less.
    pub test_probability: Option<[f64; 2]>,
    /// How long these intervals hold, and with which ε; without it there is no key.
    pub calibration: Option<Validity>,
    /// Gates after a click in which further clicks are dropped.
    pub dead_gates: u32,
    /// Clicks in a frame above which the detectors are taken to be out of order.
    pub most_clicks_per_frame: usize,
    /// The failure probability of a block's key, at most.
    pub epsilon: f64,
    /// Whether bits of empty pulses count as secret.
    pub vacuum: Vacuum,
    /// How bits are reconciled.
    pub method: Method,
    /// By what share the error rate that a code is chosen for lies above the estimate. 0 tells least; at an
    /// error rate of 1 %, 0.1 tells 8 % more and takes half of the computing. Only the leak depends on it.
    pub code_margin: f64,
    /// Seconds in which the gates of a block pass, which reconciliation must keep up with; 0 where nothing waits.
    pub block_s: f64,
    /// Round-trip time to the peer in seconds: a conversation of many rounds may not keep up over it.
    pub round_trip_s: f64,
}

impl Default for Bb84 {
    /// Ten seconds of a 1 GHz system a block, three intensities, one gate in eight of either side in
    /// the test basis, ε = 1e-10. It makes no key before its source is calibrated.
    fn default() -> Self {
        Self {
            gates_per_frame: 10_000_000,
            frames_per_block: 1_000,
            intensities: [0.5, 0.2, 0.001],
            probabilities: [0.81, 0.14, 0.05],
            intensity_spread: [0.0; 3],
            probability_spread: [0.0; 3],
            test_probability: Some([0.125; 2]),
            calibration: None,
            dead_gates: 1,
            most_clicks_per_frame: 200_000,
            epsilon: 1e-10,
            vacuum: Vacuum::default(),
            method: Method::default(),
            code_margin: 0.0,
            block_s: 0.0,
            round_trip_s: 0.0,
        }
    }
}

impl Protocol for Bb84 {
    type Frame = Frame;
    type Wing = Bb84Wing;

    const NAME: &'static str = "bb84";
    const REFERENCE: Role = Role::Alice;
    const DRAWS: &'static [Purpose] = &[Purpose::DoubleClick];

    fn wing(self: &Arc<Self>, party: Party) -> Bb84Wing {
        Bb84Wing::new(self.clone(), party)
    }

    fn frames_per_block(&self) -> u64 {
        self.frames_per_block
    }

    fn frame_index(&self, frame: &Frame) -> Option<u64> {
        let (first_gate, gates) = match frame {
            Frame::Alice(frame) => (frame.first_gate, frame.gates),
            Frame::Bob(frame) => (frame.first_gate, frame.gates),
        };
        let size = u64::from(self.gates_per_frame);
        (gates == self.gates_per_frame && first_gate.is_multiple_of(size)).then(|| first_gate / size)
    }

    fn parameter_set(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(b"bb84 2").u32(self.gates_per_frame).u64(self.frames_per_block);
        let tests = self.test_probability.unwrap_or_default();
        let spreads = self.intensity_spread.iter().chain(&self.probability_spread).chain(&tests);
        for value in self.intensities.iter().chain(&self.probabilities).chain(spreads) {
            writer.f64(*value);
        }
        let validity = self.calibration.unwrap_or(Validity { epsilon: 1.0, blocks: 0 });
        writer.f64(validity.epsilon).u64(validity.blocks);
        writer.u32(self.dead_gates).count(self.most_clicks_per_frame).f64(self.epsilon);
        writer.u8(self.method as u8).u8((self.vacuum == Vacuum::Credited).into());
        writer.finish()
    }

    fn longest_message(&self) -> usize {
        // Positions: a gap takes at most five bytes. Announcements: at most four bits a click.
        16 + 5 * self.most_clicks_per_frame
    }

    fn block_memory(&self) -> usize {
        let frames = usize::try_from(self.frames_per_block).unwrap_or(usize::MAX);
        let clicks = frames.saturating_mul(self.most_clicks_per_frame);
        // A byte a click for the record, another for announcements and sifted bits; raw frames,
        // positions and their reordering under way.
        let under_way = 4 * 64 * (16 * self.most_clicks_per_frame + 1024);
        clicks.saturating_mul(2).saturating_add(under_way)
    }

    fn most_key_bits(&self) -> usize {
        let frames = usize::try_from(self.frames_per_block).unwrap_or(usize::MAX);
        frames.saturating_mul(self.most_clicks_per_frame)
    }

    fn epsilon(&self) -> f64 {
        self.epsilon
    }
}

impl Bb84 {
    /// The source as calibrated.
    fn source(&self) -> Source {
        let source = Source::new(self.intensities, self.probabilities)
            .with_mean_spread(self.intensity_spread)
            .with_probability_spread(self.probability_spread);
        match self.test_probability {
            Some([alice, bob]) => source.with_test_basis(alice, bob),
            None => source,
        }
    }

    /// The key length by the default proof, from the counts of the whole block and its books.
    ///
    /// Frames that failed are paid for with their whole length, H_min(kept) ≥ H_min(all) − n_failed;
    /// what was disclosed of them then costs nothing more.
    fn key_length(&self, block: u64, tally: &Tally, kept: &Kept<'_>) -> Result<KeyLength, Abort> {
        let calibration = Validity::epsilon(self.calibration.as_ref(), block, self.epsilon)?;
        let seen = Observation { key: tally.key, test: tally.test, test_errors: tally.test_errors };
        let source = self.source();
        let claim = Claim { vacuum: self.vacuum, ..Claim::of_block(self.epsilon) };
        let sifted: u64 = tally.key.iter().sum();
        let failed_bits = sifted.saturating_sub(kept.bits);
        let spent = kept.ledger.disclosed_bits().saturating_add(failed_bits);
        let length = security::key_length(&seen, &source, &claim, spent)?;
        Ok(KeyLength {
            secret_bits: length.ell.min(kept.bits),
            epsilons: length
                .budget
                .epsilons()
                .into_iter()
                .chain([(Epsilon::Calibration, calibration)])
                .collect(),
            terms: vec![
                ("vacuum_key", length.vacuum_key),
                ("single_key", length.single_key),
                ("single_test", length.single_test),
                ("single_test_errors", length.single_test_errors),
                ("phase_error_rate", length.phase_error_rate),
                ("entropy_bits", length.entropy_bits),
                ("hashing_bits", length.hashing_bits),
                ("ell_real", length.ell_real),
            ],
            proof: security::PROOF,
            mode: match self.vacuum {
                Vacuum::Uncredited => "default",
                Vacuum::Credited => "with_vacuum",
            },
            inputs: [
                ("mu", Evidence::Numbers(source.mean_photons)),
                ("mu_spread", Evidence::Numbers(source.mean_spread)),
                ("p", Evidence::Numbers(source.key_probability)),
                ("p_spread", Evidence::Numbers(source.probability_spread)),
                ("n_key", Evidence::Counts(seen.key)),
                ("n_test", Evidence::Counts(seen.test)),
                ("m_test", Evidence::Counts(seen.test_errors)),
                ("leak_EC", Evidence::Count(spent)),
                ("eps_total", Evidence::Number(self.epsilon)),
            ]
            .into_iter()
            .chain(source.test_share.map(|share| ("test_share", Evidence::Number(share))))
            .collect(),
        })
    }
}
