//! Gaussian-modulated CV-QKD, from quadratures to soft bits, estimates and key length.

pub mod estimate;
pub mod frame;
mod offsets;
pub mod recorded;
pub mod rotation;
pub mod security;
mod wing;

use std::sync::Arc;

use crate::ledger::Epsilon;
use crate::protocol::{Course, Evidence, Kept, KeyLength, Party, Protocol, Validity};
use crate::random::Purpose;
use crate::reconcile::Plan;
use crate::reconcile::gaussian::Method;
use crate::stage::{Abort, Role};
use crate::wire::Writer;

use estimate::{ShotUnit, Tally};
use frame::CalibrationRecord;
use security::gaussian::Trust;
use security::{Budget, FailedFrames, Interval, Receiver};

pub use wing::{CvWing, Frame};

/// Gaussian modulation, heterodyne detection, a trusted receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Cv {
    /// Symbols in a raw frame.
    pub symbols_per_frame: u32,
    /// Raw frames in a block: together the symbols over which parameters are estimated.
    pub frames_per_block: u64,
    /// The block's first symbols, disclosed for the choice of rate.
    pub sample_symbols: usize,
    /// η, the receiver's efficiency: it lies in this interval.
    pub efficiency: [f64; 2],
    /// v_el per quadrature in shot-noise units: it lies in this interval.
    pub electronic_noise: [f64; 2],
    /// The failure probability of a block's key, at most.
    pub epsilon: f64,
    /// How long these intervals and the calibration of the shot noise hold, and with which ε; without it
    /// there is no key.
    pub validity: Option<Validity>,
    /// Bob's calibration of the shot noise; Alice hears it from him.
    pub calibration: Option<CalibrationRecord>,
    /// How Alice has quadratures become bits; Bob follows her.
    pub method: Method,
}

/// The least number of calibration samples: fewer leave the excess noise open by more than it is.
const FEWEST_CALIBRATION_SAMPLES: u64 = 1_000_000;

/// Standard errors by which a calibration may scatter before it contradicts the configuration.
const MOST_DEVIATIONS: f64 = 8.0;

impl Cv {
    /// Symbols in a block.
    #[must_use]
    pub fn block_symbols(&self) -> u64 {
        u64::from(self.symbols_per_frame) * self.frames_per_block
    }

    /// The longest frame of a block: all quadratures but the sample's, and no longer than the memory
    /// bound allows.
    fn most_frame_bits(&self) -> usize {
        let quadratures = 2 * self.block_symbols().saturating_sub(self.sample_symbols as u64);
        usize::try_from(quadratures).unwrap_or(usize::MAX).min(MOST_FRAME_BITS)
    }

    /// Quadratures that may wait to be cut into frames.
    fn most_buffered(&self) -> usize {
        2 * MOST_FRAME_BITS + 4 * self.symbols_per_frame as usize + 2 * self.sample_symbols
    }

    /// The receiver as calibrated; v_el as measured must be one that the configured interval explains.
    fn receiver(&self, calibration: &CalibrationRecord) -> Result<Receiver, Abort> {
        let interval = |[low, high]: [f64; 2]| Interval { low, high };
        let measured = ShotUnit::new(calibration)?.electronic_noise;
        let scatter = MOST_DEVIATIONS * libm::sqrt(2.0 / calibration.electronic_samples as f64);
        let [low, high] = self.electronic_noise;
        if !(measured * (1.0 + scatter) >= low && measured * (1.0 - scatter) <= high) {
            let reason = format!(
                "electronic noise of {measured:.5} shot-noise units was measured, {low} to {high} are configured: \
                 calibrate the receiver again"
            );
            return Err(Abort::Unusable { reason });
        }
        Ok(Receiver {
            efficiency: interval(self.efficiency),
            electronic_noise: interval(self.electronic_noise),
            electronic_measured: Some(measured),
            calibration_samples: calibration.vacuum_samples,
            trust: Trust::Trusted,
        })
    }

    /// The key length by the default proof, from the sums over all frames and the block's books.
    ///
    /// # Errors
    /// [`Abort::NoKey`] where the proof leaves none, [`Abort::Unusable`] for too few samples of the shot noise.
    pub fn key_length(
        &self,
        block: u64,
        tally: &Tally,
        calibration: &CalibrationRecord,
        plan: &Plan,
        kept: &Kept<'_>,
    ) -> Result<KeyLength, Abort> {
        let uncalibrated = Validity::epsilon(self.validity.as_ref(), block, self.epsilon)?;
        if calibration.vacuum_samples < FEWEST_CALIBRATION_SAMPLES {
            let reason = format!("{} samples calibrate the shot noise", calibration.vacuum_samples);
            return Err(Abort::Unusable { reason });
        }
        let symbols = kept.frames.len() as u64 * (plan.frame_symbols() as u64 / 2);
        let entering = security::Kept {
            symbols,
            failed: FailedFrames::Left,
            disclosed_bits: kept.ledger.disclosed_bits(),
        };
        let budget = Budget::of_block(self.epsilon);
        let moments = tally.moments();
        let receiver = self.receiver(calibration)?;
        let deviation = match plan {
            Plan::Slices(plan) => Some(plan.deviation()),
            _ => None,
        };
        let length = match deviation {
            Some(deviation) => {
                security::slices::key_length(&moments, &receiver, &entering, &budget, deviation)?
            }
            None => security::key_length(&moments, &receiver, &entering, &budget)?,
        };
        let by_rotations = KeyLength {
            secret_bits: length.ell.min(kept.bits),
            epsilons: budget.epsilons().into_iter().chain([(Epsilon::Calibration, uncalibrated)]).collect(),
            terms: vec![
                ("transmittance", length.worst.transmittance),
                ("transmittance_min", length.worst.transmittance_min),
                ("excess_noise_max", length.worst.excess_noise_max),
                ("holevo", length.worst.holevo),
                ("holevo_max", length.worst.holevo_max),
                ("raw_bits", length.raw_bits as f64),
                ("eavesdropped_bits", length.eavesdropped_bits),
                ("equipartition_bits", length.equipartition_bits),
                ("hashing_bits", length.hashing_bits),
                ("ell_real", length.ell_real),
            ],
            proof: security::PROOF,
            mode: "default",
            inputs: vec![
                ("m", Evidence::Count(moments.pairs)),
                ("sum_xx", Evidence::Number(moments.alice)),
                ("sum_xy", Evidence::Number(moments.cross)),
                ("sum_yy", Evidence::Number(moments.bob)),
                ("n_kept", Evidence::Count(symbols)),
                ("eta", Evidence::Interval(self.efficiency)),
                ("v_el", Evidence::Interval(self.electronic_noise)),
                ("v_el_measured", Evidence::Number(receiver.electronic_measured.unwrap_or_default())),
                ("calibration_samples", Evidence::Count(calibration.vacuum_samples)),
                ("leak_EC", Evidence::Count(entering.disclosed_bits)),
                ("eps_total", Evidence::Number(self.epsilon)),
            ],
        };
        Ok(match deviation {
            Some(deviation) => by_rotations.of_slices(deviation, length.mismatch_bits),
            None => by_rotations,
        })
    }
}

impl KeyLength {
    /// What a certificate says where slices were the key.
    fn of_slices(mut self, deviation: f64, mismatch_bits: f64) -> Self {
        self.terms.push(("mismatch_bits", mismatch_bits));
        self.inputs.push(("slice_deviation", Evidence::Number(deviation)));
        Self { proof: security::slices::PROOF, mode: "slices", ..self }
    }
}

impl Cv {
    /// The transmittance in the earlier part of a block, and in the rest.
    fn course(&self, tally: &Tally, earlier: &Tally) -> Option<Course> {
        let receiver = Receiver {
            efficiency: Interval { low: self.efficiency[0], high: self.efficiency[1] },
            electronic_noise: Interval { low: self.electronic_noise[0], high: self.electronic_noise[1] },
            electronic_measured: None,
            calibration_samples: 0,
            trust: Trust::Trusted,
        };
        security::course(&tally.moments(), &earlier.moments(), &receiver)
    }

    /// The length with what its certificate says of the course, beside what it follows from.
    fn with_course(&self, mut length: KeyLength, tally: &Tally, earlier: Option<&Tally>) -> KeyLength {
        let Some((earlier, course)) = earlier.and_then(|part| Some((part, self.course(tally, part)?))) else {
            return length;
        };
        let part = earlier.moments();
        length.inputs.extend([
            ("m_earlier", Evidence::Count(part.pairs)),
            ("sum_xx_earlier", Evidence::Number(part.alice)),
            ("sum_xy_earlier", Evidence::Number(part.cross)),
            ("sum_yy_earlier", Evidence::Number(part.bob)),
        ]);
        length.terms.extend([
            ("transmittance_earlier", course.earlier.value),
            ("transmittance_later", course.later.value),
            ("transmittance_deviations", course.earlier.deviations_to(course.later)),
        ]);
        length
    }
}

impl Protocol for Cv {
    type Frame = Frame;
    type Wing = CvWing;

    const NAME: &'static str = "cv";
    const REFERENCE: Role = Role::Bob;
    const DRAWS: &'static [Purpose] = &[Purpose::KeyBits];

    fn wing(self: &Arc<Self>, party: Party) -> CvWing {
        CvWing::new(self.clone(), party)
    }

    fn frames_per_block(&self) -> u64 {
        self.frames_per_block
    }

    fn frame_index(&self, frame: &Frame) -> Option<u64> {
        let (first_symbol, quadratures) = match frame {
            Frame::Alice(frame) => (frame.first_symbol, frame.quadratures.len()),
            Frame::Bob(frame) => (frame.first_symbol, frame.quadratures.len()),
        };
        let size = u64::from(self.symbols_per_frame);
        let whole = quadratures as u64 == 2 * size && first_symbol.is_multiple_of(size);
        whole.then(|| first_symbol / size)
    }

    fn parameter_set(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(b"cv 2").u32(self.symbols_per_frame).u64(self.frames_per_block);
        writer.count(self.sample_symbols);
        for value in self.efficiency.iter().chain(&self.electronic_noise) {
            writer.f64(*value);
        }
        let validity = self.validity.unwrap_or(Validity { epsilon: 1.0, blocks: 0 });
        writer.f64(self.epsilon).f64(validity.epsilon).u64(validity.blocks);
        writer.finish()
    }

    fn longest_message(&self) -> usize {
        // A sample or an opened frame: four bytes a quadrature. Side information is shorter.
        4 * MOST_FRAME_BITS.max(2 * self.sample_symbols) + 64
    }

    fn block_memory(&self) -> usize {
        // The buffer; per frame under way quadratures, side information, soft bits and bits.
        4 * self.most_buffered() + 8 * MOST_FRAME_BITS * 16 + 8 * self.sample_symbols
    }

    fn most_key_bits(&self) -> usize {
        // One a quadrature; the cores of slices, whose rates add up to 4/3 at most, have two.
        usize::try_from(4 * self.block_symbols()).unwrap_or(usize::MAX)
    }

    fn epsilon(&self) -> f64 {
        self.epsilon
    }
}

/// Quadratures in a reconciliation frame, at most.
pub(crate) const MOST_FRAME_BITS: usize = 1 << 20;
