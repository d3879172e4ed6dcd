//! Modulation and heterodyne outcomes of the CV link.
//!
//! Alice's quadratures are Gaussian of variance V_A; Bob's are √(ηT/2) times hers plus Gaussian noise
//! of variance 1 + v_el + ηTξ/2, in a unit of his own that only the calibration tells, turned by what the
//! pilot leaves of the phase and rounded by his converter. Where the link drifts, a frame has the values of its first
//! symbol's time.

use keystill_kernels::{Isa, noise};

use crate::channel::{Course, Scenario, converter_step};
use crate::cv::frame::{AliceFrame, BobFrame, CalibrationRecord};

use super::world_key;

/// Square root of the shot-noise unit in the receiver's own units: some ADC counts.
const RECEIVER_UNIT: f32 = 37.5;

/// Samples that the Gaussian kernel makes at a time.
const GROUP: usize = 256;

/// The raw frames of both ends of a CV link.
#[derive(Clone, Debug)]
pub struct CvSource {
    symbols_per_frame: u32,
    frame_s: f64,
    course: Course,
    /// Step and half range of the converter in the receiver's own units, unless it is ideal.
    converter: Option<[f32; 2]>,
    modulation_deviation: f32,
    electronic_noise: f64,
    calibration_samples: u64,
    modulation_key: [u32; 8],
    noise_key: [u32; 8],
    calibration_key: [u32; 8],
}

impl CvSource {
    /// The sources of a scenario under a seed.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let cv = &scenario.cv;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a scenario's frames are below 2^26 symbols"
        )]
        let symbols = libm::round(cv.frame_ms * cv.symbol_rate_mbd * 1e3) as u32;
        Self {
            symbols_per_frame: symbols.max(1),
            frame_s: f64::from(symbols.max(1)) / (cv.symbol_rate_mbd * 1e6),
            course: Course::new(scenario, seed),
            converter: converter_step(cv)
                .map(|step| [step, cv.receiver.adc_range].map(|given| single(given) * RECEIVER_UNIT)),
            modulation_deviation: single(libm::sqrt(cv.modulation_variance_snu)),
            electronic_noise: cv.electronic_noise_snu,
            calibration_samples: cv.calibration_samples,
            modulation_key: world_key(seed, "cv modulation"),
            noise_key: world_key(seed, "cv noise"),
            calibration_key: world_key(seed, "cv calibration"),
        }
    }

    /// Symbols in a frame.
    #[must_use]
    pub fn symbols_per_frame(&self) -> u32 {
        self.symbols_per_frame
    }

    /// Alice's modulation of a frame.
    #[must_use]
    pub fn alice_frame(&self, isa: Isa, index: u64) -> AliceFrame {
        let mut quadratures = self.gaussians(isa, &self.modulation_key, index);
        for x in &mut quadratures {
            *x *= self.modulation_deviation;
        }
        AliceFrame { first_symbol: index * u64::from(self.symbols_per_frame), quadratures }
    }

    /// Bob's outcomes of a frame.
    #[must_use]
    pub fn bob_frame(&self, isa: Isa, index: u64) -> BobFrame {
        let mut quadratures = self.gaussians(isa, &self.modulation_key, index);
        let noise = self.gaussians(isa, &self.noise_key, index);
        let budget = self.course.cv(index as f64 * self.frame_s);
        if budget.phase_rad != 0.0 {
            turn(&mut quadratures, budget.phase_rad);
        }
        let signal = single(budget.gain) * self.modulation_deviation * RECEIVER_UNIT;
        let deviation = single(libm::sqrt(budget.analogue_variance_snu)) * RECEIVER_UNIT;
        for (y, noise) in quadratures.iter_mut().zip(&noise) {
            *y = *y * signal + *noise * deviation;
        }
        if let Some([step, range]) = self.converter {
            convert(&mut quadratures, step, range);
        }
        BobFrame { first_symbol: index * u64::from(self.symbols_per_frame), quadratures }
    }

    /// What Bob's receiver measured in the dark: mean squares with the fluctuation of their samples.
    #[must_use]
    pub fn calibration(&self) -> CalibrationRecord {
        let mut draws = vec![0.0; GROUP];
        noise::gaussians(Isa::SCALAR, &self.calibration_key, 0, &mut draws);
        let samples = self.calibration_samples;
        let unit = f64::from(RECEIVER_UNIT) * f64::from(RECEIVER_UNIT);
        // A mean of so many squares is Gaussian, of relative variance 2/samples.
        let measured = |variance: f64, draw: f32| {
            unit * variance * (1.0 + libm::sqrt(2.0 / samples as f64) * f64::from(draw))
        };
        CalibrationRecord {
            vacuum_samples: samples,
            vacuum_mean_square: measured(1.0 + self.electronic_noise, draws[0]),
            electronic_samples: samples,
            electronic_mean_square: measured(self.electronic_noise, draws[1]),
        }
    }

    fn gaussians(&self, isa: Isa, key: &[u32; 8], index: u64) -> Vec<f32> {
        let wanted = 2 * self.symbols_per_frame as usize;
        let drawn = wanted.next_multiple_of(GROUP);
        let mut samples = vec![0.0; drawn];
        noise::gaussians(isa, key, index * (drawn as u64 / 16), &mut samples);
        samples.truncate(wanted);
        samples
    }
}

/// Turns each symbol by an angle.
fn turn(quadratures: &mut [f32], radians: f64) {
    let (sine, cosine) = (single(libm::sin(radians)), single(libm::cos(radians)));
    for symbol in quadratures.chunks_exact_mut(2) {
        let [x, p] = [symbol[0], symbol[1]];
        symbol[0] = x * cosine - p * sine;
        symbol[1] = x * sine + p * cosine;
    }
}

/// Rounds to whole steps inside the range.
fn convert(quadratures: &mut [f32], step: f32, range: f32) {
    // Adding and taking away 1.5·2^23 rounds to whole numbers, ties to even, without a call.
    const ROUND: f32 = 12_582_912.0;
    let (inverse, most) = (1.0 / step, (range / step).floor());
    for y in quadratures {
        let steps = (*y * inverse).clamp(-most, most);
        *y = ((steps + ROUND) - ROUND) * step;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "quadratures are single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::budget;
    use crate::cv::estimate::{Receiver, ShotUnit, Tally};

    #[test]
    fn estimates_from_frames_are_those_of_the_budget() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario = Scenario::from_text("iown-47t2", text, &[]).expect("good values");
        let truth = budget(&scenario).cv;
        let (mut deviations, mut squares) = ([0.0; 2], [0.0; 2]);
        let seeds = 20;
        for seed in 0..seeds {
            let source = CvSource::new(&scenario, seed);
            let shot = ShotUnit::new(&source.calibration()).expect("calibrated");
            let (alice, mut bob) =
                (source.alice_frame(Isa::best(), seed), source.bob_frame(Isa::best(), seed));
            shot.normalise(&mut bob.quadratures);
            let tally = Tally::of_sample(Isa::best(), &alice.quadratures, &bob.quadratures).expect("aligned");
            let receiver = Receiver { efficiency: scenario.cv.receiver_efficiency, shot };
            let estimate = tally.estimate(&receiver).expect("correlated");
            let t = (estimate.transmittance() - truth.transmittance) / estimate.transmittance_error();
            let xi = (estimate.excess_noise() - truth.excess_noise_input_snu) / estimate.excess_noise_error();
            assert!(t.abs() < 4.0 && xi.abs() < 4.0, "seed {seed}: T off by {t} σ, ξ by {xi} σ");
            deviations[0] += t;
            deviations[1] += xi;
            squares[0] += t * t;
            squares[1] += xi * xi;
        }
        for sum in deviations {
            assert!(sum.abs() < 4.0 * libm::sqrt(seeds as f64), "biased by {sum} σ over {seeds} seeds");
        }
        for square in squares {
            // χ² of 20 degrees of freedom, a thousandth to either side.
            assert!((5.9..45.4).contains(&square), "χ² = {square} over {seeds} seeds");
        }
    }

    #[test]
    fn frames_are_the_same_on_every_level() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario =
            Scenario::from_text("iown-47t2", text, &["cv.frame_ms=0.1".into()]).expect("good values");
        let source = CvSource::new(&scenario, 3);
        for isa in Isa::available() {
            assert_eq!(source.bob_frame(isa, 7), source.bob_frame(Isa::SCALAR, 7), "{isa}");
            assert_eq!(source.alice_frame(isa, 7), source.alice_frame(Isa::SCALAR, 7), "{isa}");
        }
    }
}
