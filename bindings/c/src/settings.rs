//! What a session is made of: both ends say the same, or refuse each other.

use std::sync::Arc;

use keystill_engine::bb84::Bb84;
use keystill_engine::cv::Cv;
use keystill_engine::cv::frame::CalibrationRecord;
use keystill_engine::protocol::Validity;
use keystill_engine::reconcile::gaussian::Method;

use crate::border::{Status, out_of_range};

/// Which end of the link.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeystillRole {
    /// She prepares.
    Alice = 0,
    /// He measures.
    Bob = 1,
}

/// Decoy-state BB84; arrays by intensity, brightest first. Begin with keystill_bb84_defaults().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeystillBb84Settings {
    /// Gates in a raw frame.
    pub gates_per_frame: u32,
    /// Raw frames in a block.
    pub frames_per_block: u64,
    /// Mean photon numbers.
    pub mean_photons: [f64; 3],
    /// Probabilities of the intensities.
    pub probabilities: [f64; 3],
    /// By how much each mean photon number may be off, either way.
    pub mean_photon_spread: [f64; 3],
    /// By how much each probability may be off, either way.
    pub probability_spread: [f64; 3],
    /// The least probabilities with which Alice and Bob choose the test basis, each by itself. Both 0
    /// where they are not known: the bound is then looser.
    pub test_basis: [f64; 2],
    /// The probability that a calibrated number lies outside of its interval.
    pub calibration_epsilon: f64,
    /// Blocks for which the calibration holds, from the session's first; with 0 there is no key.
    pub calibration_blocks: u64,
    /// Gates after a click in which further clicks are dropped.
    pub dead_gates: u32,
    /// Clicks in a frame above which the detectors are taken to be out of order.
    pub most_clicks_per_frame: usize,
    /// Failure probability of a block's key, at most.
    pub epsilon: f64,
}

/// Gaussian-modulated CV-QKD with heterodyne detection and a trusted receiver. Begin with
/// keystill_cv_defaults().
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeystillCvSettings {
    /// Symbols in a raw frame.
    pub symbols_per_frame: u32,
    /// Raw frames in a block.
    pub frames_per_block: u64,
    /// The block's first symbols, disclosed for the choice of rate.
    pub sample_symbols: usize,
    /// The receiver's efficiency: between these.
    pub efficiency: [f64; 2],
    /// Its electronic noise a quadrature, in shot-noise units: between these.
    pub electronic_noise: [f64; 2],
    /// The probability that a calibrated number lies outside of its interval.
    pub calibration_epsilon: f64,
    /// Blocks for which the calibration holds, from the session's first; with 0 there is no key.
    pub calibration_blocks: u64,
    /// Failure probability of a block's key, at most.
    pub epsilon: f64,
    /// Bob's dark samples with the local oscillator on; 0 at Alice, who hears the calibration from him.
    pub vacuum_samples: u64,
    /// Their mean square, in the square of the receiver's own units.
    pub vacuum_mean_square: f64,
    /// Samples with the local oscillator off.
    pub electronic_samples: u64,
    /// Their mean square.
    pub electronic_mean_square: f64,
}

/// Ten seconds of a 1 GHz system a block, failing with at most 1e-10; not calibrated, so without key.
///
/// # Safety
/// `settings` is null or points to room for settings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_bb84_defaults(settings: *mut KeystillBb84Settings) {
    // SAFETY: the caller vouches for the room.
    let Some(settings) = (unsafe { settings.as_mut() }) else { return };
    let own = Bb84::default();
    *settings = KeystillBb84Settings {
        gates_per_frame: own.gates_per_frame,
        frames_per_block: own.frames_per_block,
        mean_photons: own.intensities,
        probabilities: own.probabilities,
        mean_photon_spread: own.intensity_spread,
        probability_spread: own.probability_spread,
        test_basis: own.test_probability.unwrap_or_default(),
        calibration_epsilon: 0.0,
        calibration_blocks: 0,
        dead_gates: own.dead_gates,
        most_clicks_per_frame: own.most_clicks_per_frame,
        epsilon: own.epsilon,
    };
}

/// Ten seconds of a 10 MBd system a block, a receiver of efficiency 0.6 and electronic noise 0.1, failing
/// with at most 1e-10; not calibrated, so without key.
///
/// # Safety
/// `settings` is null or points to room for settings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_cv_defaults(settings: *mut KeystillCvSettings) {
    // SAFETY: the caller vouches for the room.
    let Some(settings) = (unsafe { settings.as_mut() }) else { return };
    *settings = KeystillCvSettings {
        symbols_per_frame: 100_000,
        frames_per_block: 1_000,
        sample_symbols: 200_000,
        efficiency: [0.6; 2],
        electronic_noise: [0.1; 2],
        calibration_epsilon: 0.0,
        calibration_blocks: 0,
        epsilon: 1e-10,
        vacuum_samples: 0,
        vacuum_mean_square: 0.0,
        electronic_samples: 0,
        electronic_mean_square: 0.0,
    };
}

fn validity(epsilon: f64, blocks: u64) -> Option<Validity> {
    (blocks > 0).then_some(Validity { epsilon, blocks })
}

fn require(good: bool, words: &str) -> Result<(), (Status, String)> {
    if good { Ok(()) } else { Err(out_of_range(words)) }
}

fn is_probability(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

impl KeystillBb84Settings {
    pub(crate) fn protocol(&self) -> Result<Arc<Bb84>, (Status, String)> {
        require(
            self.gates_per_frame > 0 && self.frames_per_block > 0 && self.most_clicks_per_frame > 0,
            "`gates_per_frame`, `frames_per_block` and `most_clicks_per_frame` are 1 at least",
        )?;
        require(
            self.mean_photons.iter().chain(&self.mean_photon_spread).all(|mean| (0.0..=100.0).contains(mean)),
            "`mean_photons` and `mean_photon_spread` lie between 0 and 100",
        )?;
        let shares = self.probabilities.iter().chain(&self.probability_spread).chain(&self.test_basis);
        require(
            shares.copied().all(is_probability) && is_probability(self.calibration_epsilon),
            "a probability of the settings is below 0 or above 1",
        )?;
        require(self.epsilon > 0.0 && self.epsilon < 1.0, "`epsilon` lies between 0 and 1")?;
        Ok(Arc::new(Bb84 {
            gates_per_frame: self.gates_per_frame,
            frames_per_block: self.frames_per_block,
            intensities: self.mean_photons,
            probabilities: self.probabilities,
            intensity_spread: self.mean_photon_spread,
            probability_spread: self.probability_spread,
            test_probability: (self.test_basis != [0.0; 2]).then_some(self.test_basis),
            calibration: validity(self.calibration_epsilon, self.calibration_blocks),
            dead_gates: self.dead_gates,
            most_clicks_per_frame: self.most_clicks_per_frame,
            epsilon: self.epsilon,
            ..Bb84::default()
        }))
    }
}

impl KeystillCvSettings {
    pub(crate) fn protocol(&self) -> Result<Arc<Cv>, (Status, String)> {
        require(
            self.symbols_per_frame > 0 && self.frames_per_block > 0,
            "`symbols_per_frame` and `frames_per_block` are 1 at least",
        )?;
        let ordered = |[low, high]: [f64; 2]| low >= 0.0 && low <= high && high.is_finite();
        require(
            ordered(self.efficiency) && self.efficiency[1] <= 1.0 && ordered(self.electronic_noise),
            "`efficiency` and `electronic_noise` are intervals: the lower end first",
        )?;
        require(
            is_probability(self.calibration_epsilon) && self.epsilon > 0.0 && self.epsilon < 1.0,
            "`epsilon` and `calibration_epsilon` lie between 0 and 1",
        )?;
        let squares = [self.vacuum_mean_square, self.electronic_mean_square];
        require(
            squares.iter().all(|square| *square >= 0.0 && square.is_finite()),
            "a mean square of the calibration is negative or not a number",
        )?;
        let calibration = (self.vacuum_samples > 0).then_some(CalibrationRecord {
            vacuum_samples: self.vacuum_samples,
            vacuum_mean_square: self.vacuum_mean_square,
            electronic_samples: self.electronic_samples,
            electronic_mean_square: self.electronic_mean_square,
        });
        Ok(Arc::new(Cv {
            symbols_per_frame: self.symbols_per_frame,
            frames_per_block: self.frames_per_block,
            sample_symbols: self.sample_symbols,
            efficiency: self.efficiency,
            electronic_noise: self.electronic_noise,
            epsilon: self.epsilon,
            validity: validity(self.calibration_epsilon, self.calibration_blocks),
            calibration,
            method: Method::default(),
        }))
    }
}
