//! Modulation and heterodyne outcomes of the CV link.
//!
//! Alice's quadratures are Gaussian of variance V_A; Bob's are √(ηT/2) times hers plus Gaussian noise, turned symbol by
//! symbol by what the pilot leaves of the lasers' phase, mixed by a receiver out of balance and rounded and clipped by
//! its converter, in a unit of his own that only the calibration tells.
//!
//! The phase that is left is W(t) − W(t − τ) of the lasers' random walk W over the pilot's delay τ, and the pilot's own
//! noise, fresh for each symbol. Where the link drifts, a frame has the values of its first symbol's time.

use keystill_kernels::Isa;
use keystill_kernels::noise::{self, Receiver};

use crate::channel::{
    Course, Scenario, converter_step, mean_power_gain, pilot_variance, second_gain, walk_variance,
};
use crate::cv::frame::{AliceFrame, BobFrame, CalibrationRecord};

use super::world_key;

/// Square root of the shot-noise unit in the receiver's own units: some ADC counts.
const RECEIVER_UNIT: f32 = 37.5;

/// Samples that the Gaussian kernel makes at a time.
const GROUP: usize = 256;

/// Quadratures that the receiver hears at a time: with noise and angles they stay in the nearest cache.
const CHUNK: usize = 2048;

/// The raw frames of both ends of a CV link.
#[derive(Clone, Debug)]
pub struct CvSource {
    symbols_per_frame: u32,
    frame_s: f64,
    course: Course,
    /// The receiver but for gain and noise, which the course tells.
    receiver: Receiver,
    /// By how much imbalance makes the vacuum louder.
    vacuum_gain: f64,
    phase: Phase,
    modulation_deviation: f32,
    electronic_noise: f64,
    calibration_samples: u64,
    modulation_key: [u32; 8],
    noise_key: [u32; 8],
    calibration_key: [u32; 8],
}

/// The phase that the pilot leaves.
#[derive(Clone, Debug)]
struct Phase {
    /// Symbols between the pilot and the signal that it corrects.
    lag: usize,
    /// Deviation of the walk's step from symbol to symbol.
    step: f64,
    /// Deviation of what is fresh for each symbol: the pilot's noise; and, at a lag of one symbol, the walk's step.
    fresh: f32,
    fresh_key: [u32; 8],
    walk_key: [u32; 8],
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
            receiver: Receiver {
                signal: 0.0,
                noise: 0.0,
                second_gain: second_gain(&cv.receiver).map(single),
                converter: converter_step(cv).map(|step| {
                    [single(step) * RECEIVER_UNIT, single(libm::floor(cv.receiver.adc_range / step))]
                }),
            },
            vacuum_gain: mean_power_gain(&cv.receiver),
            phase: Phase::new(scenario, seed),
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
        let mut quadratures = vec![0.0; self.drawn()];
        let mut block = index * (self.drawn() as u64 / 16);
        for chunk in quadratures.chunks_mut(CHUNK) {
            noise::gaussians(isa, &self.modulation_key, block, chunk);
            chunk.iter_mut().for_each(|x| *x *= self.modulation_deviation);
            block += (CHUNK / 16) as u64;
        }
        quadratures.truncate(2 * self.symbols_per_frame as usize);
        AliceFrame { first_symbol: index * u64::from(self.symbols_per_frame), quadratures }
    }

    /// Bob's outcomes of a frame.
    #[must_use]
    pub fn bob_frame(&self, isa: Isa, index: u64) -> BobFrame {
        let budget = self.course.cv(index as f64 * self.frame_s);
        let receiver = Receiver {
            signal: single(budget.gain) * self.modulation_deviation * RECEIVER_UNIT,
            noise: single(libm::sqrt(budget.analogue_variance_snu)) * RECEIVER_UNIT,
            ..self.receiver
        };
        let turn = 2.0 * std::f64::consts::PI;
        let mut residue =
            self.phase.of_frame(isa, single(libm::remainder(budget.phase_rad, turn)), self.span(index));
        let mut quadratures = vec![0.0; self.drawn()];
        let (mut noise, mut angles) = ([0.0; CHUNK], [0.0; CHUNK / 2]);
        let mut block = index * (self.drawn() as u64 / 16);
        for chunk in quadratures.chunks_mut(CHUNK) {
            let noise = &mut noise[..chunk.len()];
            noise::gaussians(isa, &self.modulation_key, block, chunk);
            noise::gaussians(isa, &self.noise_key, block, noise);
            residue.next(&mut angles);
            noise::receive(isa, &receiver, &angles[..chunk.len() / 2], noise, chunk);
            block += (CHUNK / 16) as u64;
        }
        quadratures.truncate(2 * self.symbols_per_frame as usize);
        BobFrame { first_symbol: index * u64::from(self.symbols_per_frame), quadratures }
    }

    /// Samples that are drawn for a frame, in whole groups.
    fn drawn(&self) -> usize {
        (2 * self.symbols_per_frame as usize).next_multiple_of(GROUP)
    }

    /// A frame's place among the symbols' phases: the first, in whole groups, and how many.
    fn span(&self, index: u64) -> (u64, usize) {
        let symbols = (self.symbols_per_frame as usize).next_multiple_of(GROUP);
        (index * symbols as u64, symbols)
    }

    /// What Bob's receiver measured in the dark: mean squares with the fluctuation of their samples.
    #[must_use]
    pub fn calibration(&self) -> CalibrationRecord {
        let mut draws = vec![0.0; GROUP];
        noise::gaussians(Isa::SCALAR, &self.calibration_key, 0, &mut draws);
        let samples = self.calibration_samples;
        let unit = f64::from(RECEIVER_UNIT) * f64::from(RECEIVER_UNIT) * self.vacuum_gain;
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
}

impl Phase {
    fn new(scenario: &Scenario, seed: u64) -> Self {
        let (receiver, rate) = (&scenario.cv.receiver, scenario.cv.symbol_rate_mbd);
        let (walk, pilot) = (walk_variance(receiver), pilot_variance(receiver));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most a millisecond")]
        let lag = (libm::round(receiver.pilot_delay_ns * rate * 1e-3) as usize).max(1);
        let step = if lag > 1 { libm::sqrt(walk / lag as f64) } else { 0.0 };
        let fresh = if lag > 1 { pilot } else { walk + pilot };
        Self {
            lag,
            step,
            fresh: single(libm::sqrt(fresh)),
            fresh_key: world_key(seed, "cv pilot"),
            walk_key: world_key(seed, "cv laser phase"),
        }
    }

    /// The phases of a frame, around a mean.
    fn of_frame(&self, isa: Isa, mean: f32, (first, symbols): (u64, usize)) -> Residue<'_> {
        let mut steps = Vec::new();
        if self.step > 0.0 {
            steps = vec![0.0; (symbols + CHUNK + self.lag).next_multiple_of(GROUP)];
            noise::gaussians(isa, &self.walk_key, first / 16, &mut steps);
        }
        let walked = steps.iter().take(self.lag).map(|step| f64::from(*step)).sum();
        Residue { phase: self, isa, mean, block: first / 16, steps, place: 0, walked }
    }
}

/// The phases of a frame's symbols, in order.
struct Residue<'a> {
    phase: &'a Phase,
    isa: Isa,
    mean: f32,
    block: u64,
    /// The walk's steps in deviations: symbol k has walked those from k to k + lag.
    steps: Vec<f32>,
    place: usize,
    /// Their sum at the next symbol.
    walked: f64,
}

impl Residue<'_> {
    /// The next symbols' angles.
    fn next(&mut self, angles: &mut [f32; CHUNK / 2]) {
        if self.phase.fresh > 0.0 {
            noise::gaussians(self.isa, &self.phase.fresh_key, self.block, angles);
        }
        self.block += (CHUNK / 32) as u64;
        for angle in angles.iter_mut() {
            *angle = *angle * self.phase.fresh + self.mean;
        }
        let Some(oldest) = self.steps.get(self.place..) else { return };
        let newest = oldest.get(self.phase.lag..).unwrap_or_default();
        for ((angle, oldest), newest) in angles.iter_mut().zip(oldest).zip(newest) {
            *angle += single(self.walked * self.phase.step);
            self.walked += f64::from(*newest) - f64::from(*oldest);
        }
        self.place += angles.len();
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
        unbiased(&[]);
    }

    #[test]
    fn a_bad_receiver_is_estimated_as_the_budget_says() {
        // A tenth of a radian that remembers 100 symbols, x and p apart, eight steps to the edge and 2 % clipped.
        unbiased(&[
            "cv.receiver.linewidth_khz=0.16",
            "cv.receiver.pilot_delay_ns=10000",
            "cv.receiver.pilot_snr_db=25",
            "cv.receiver.imbalance=0.15",
            "cv.receiver.imbalance_deg=8",
            "cv.receiver.adc_bits=4",
            "cv.receiver.adc_range=3",
        ]);
    }

    #[test]
    fn the_phase_that_is_left_has_its_spread_and_its_memory() {
        let scenario = scenario(&["cv.receiver.linewidth_khz=10", "cv.receiver.pilot_delay_ns=1600"]);
        let source = CvSource::new(&scenario, 5);
        let (first, symbols) = source.span(3);
        let mut residue = source.phase.of_frame(Isa::best(), 0.0, (first, symbols));
        let (mut angles, mut seen) = ([0.0; CHUNK / 2], Vec::new());
        for _ in 0..symbols / angles.len() {
            angles.fill(0.0);
            residue.next(&mut angles);
            seen.extend(angles.map(f64::from));
        }
        let walk = walk_variance(&scenario.cv.receiver);
        let mean_product = |lag: usize| {
            seen.iter().zip(&seen[lag..]).map(|(a, b)| a * b).sum::<f64>() / (seen.len() - lag) as f64
        };
        for (lag, share) in [(4, 0.75), (8, 0.5), (16, 0.0), (40, 0.0)] {
            let found = mean_product(lag) / walk;
            assert!((found - share).abs() < 0.05, "after {lag} symbols {found} is left, not {share}");
        }
        let spread = mean_product(0) / (walk + pilot_variance(&scenario.cv.receiver));
        assert!((spread - 1.0).abs() < 0.05, "spread {spread}");
    }

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    /// Estimates of twenty seeds against the budget, by χ².
    fn unbiased(overrides: &[&str]) {
        let scenario = scenario(overrides);
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
        let source = CvSource::new(
            &scenario(&["cv.frame_ms=0.1", "cv.receiver.linewidth_khz=5", "cv.receiver.pilot_delay_ns=700"]),
            3,
        );
        for isa in Isa::available() {
            assert_eq!(source.bob_frame(isa, 7), source.bob_frame(Isa::SCALAR, 7), "{isa}");
            assert_eq!(source.alice_frame(isa, 7), source.alice_frame(Isa::SCALAR, 7), "{isa}");
        }
    }
}
