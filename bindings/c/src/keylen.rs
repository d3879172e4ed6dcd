//! Finite-size key length.

use keystill_engine::bb84::security as bb84;
use keystill_engine::cv::security as cv;
use keystill_engine::cv::security::gaussian::Trust;

use crate::border::{KeystillStatus, Outcome, Status, guarded, null};

/// One block of decoy-state BB84 after sifting; arrays by intensity, brightest first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeystillBb84Block {
    /// Bits in the key basis.
    pub key: [u64; 3],
    /// Bits in the test basis.
    pub test: [u64; 3],
    /// Errors among those.
    pub test_errors: [u64; 3],
    /// Mean photon numbers.
    pub mean_photons: [f64; 3],
    /// Probabilities of the intensities.
    pub probabilities: [f64; 3],
    /// The least probabilities with which Alice and Bob choose the test basis, each by itself. Both 0
    /// where they are not known: the bound is then looser.
    pub test_basis: [f64; 2],
    /// All bits disclosed, verification included.
    pub disclosed_bits: u64,
    /// Failure probability of the block.
    pub epsilon: f64,
}

/// One block of Gaussian-modulated heterodyne CV-QKD, its receiver trusted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KeystillCvBlock {
    /// Pairs of real quadratures that the sums run over, two a symbol.
    pub pairs: u64,
    /// Sum of the squares of Alice's modulation, in shot-noise units.
    pub alice: f64,
    /// Sum of the products.
    pub cross: f64,
    /// Sum of the squares of Bob's outcomes, in shot-noise units.
    pub bob: f64,
    /// The receiver's efficiency: between these.
    pub efficiency: [f64; 2],
    /// Its electronic noise a quadrature, in shot-noise units: between these.
    pub electronic_noise: [f64; 2],
    /// Samples from which the shot-noise unit was measured.
    pub calibration_samples: u64,
    /// Symbols whose frames were corrected and verified.
    pub kept_symbols: u64,
    /// All bits disclosed, verification included.
    pub disclosed_bits: u64,
    /// Failure probability of the block.
    pub epsilon: f64,
}

/// A key length.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KeystillKeyLength {
    /// Bits of secret key; 0 if there is none.
    pub bits: u64,
    /// The length before it was rounded down; negative where there is no key.
    pub real_bits: f64,
    /// BB84: upper bound of the phase error rate. CV: upper bound of the excess noise at the
    /// channel's input, in shot-noise units.
    pub worst_noise: f64,
}

/// The key length of a block of BB84, by the entropic-uncertainty bound for variable length.
/// KEYSTILL_STATUS_NO_KEY if nothing is left; `*length` is then set too.
///
/// # Safety
/// `block` and `length` are null or point to their types.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_bb84_key_length(
    block: *const KeystillBb84Block,
    length: *mut KeystillKeyLength,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the block.
        let block = unsafe { block.as_ref() }.ok_or_else(|| null("block"))?;
        // SAFETY: the caller vouches for the room.
        let length = unsafe { length.as_mut() }.ok_or_else(|| null("length"))?;
        *length = KeystillKeyLength::default();
        let seen = bb84::Observation { key: block.key, test: block.test, test_errors: block.test_errors };
        let source = source(block);
        let claim = bb84::Claim::of_block(block.epsilon);
        match bb84::key_length(&seen, &source, &claim, block.disclosed_bits) {
            Ok(found) => {
                *length = of_bb84(&found);
                Ok(())
            }
            Err(bb84::NoKey::PhaseErrors(found) | bb84::NoKey::Spent(found)) => {
                *length = of_bb84(&found);
                Err((Status::NoKey, "nothing is left after what was disclosed".into()))
            }
            Err(bb84::NoKey::Untested { test_bits }) => {
                Err((Status::NoKey, format!("{test_bits} test bits prove nothing: enlarge the block")))
            }
            Err(other) => Err((Status::OutOfRange, other.to_string())),
        }
    })
}

fn source(block: &KeystillBb84Block) -> bb84::Source {
    let source = bb84::Source::new(block.mean_photons, block.probabilities);
    match block.test_basis {
        [0.0, 0.0] => source,
        [alice, bob] => source.with_test_basis(alice, bob),
    }
}

fn of_bb84(found: &bb84::KeyLength) -> KeystillKeyLength {
    KeystillKeyLength { bits: found.ell, real_bits: found.ell_real, worst_noise: found.phase_error_rate }
}

/// The key length of a block of CV-QKD against collective attacks, with worst-case parameters.
/// KEYSTILL_STATUS_NO_KEY if nothing is left; `*length` is then set too.
///
/// # Safety
/// `block` and `length` are null or point to their types.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_cv_key_length(
    block: *const KeystillCvBlock,
    length: *mut KeystillKeyLength,
) -> KeystillStatus {
    guarded(|| {
        // SAFETY: the caller vouches for the block.
        let block = unsafe { block.as_ref() }.ok_or_else(|| null("block"))?;
        // SAFETY: the caller vouches for the room.
        let length = unsafe { length.as_mut() }.ok_or_else(|| null("length"))?;
        *length = KeystillKeyLength::default();
        cv_length(block, length)
    })
}

fn cv_length(block: &KeystillCvBlock, length: &mut KeystillKeyLength) -> Outcome {
    let interval = |[low, high]: [f64; 2]| cv::Interval { low, high };
    let moments = cv::Moments { pairs: block.pairs, alice: block.alice, cross: block.cross, bob: block.bob };
    let receiver = cv::Receiver {
        efficiency: interval(block.efficiency),
        electronic_noise: interval(block.electronic_noise),
        electronic_measured: None,
        calibration_samples: block.calibration_samples,
        trust: Trust::Trusted,
    };
    let kept = cv::Kept {
        symbols: block.kept_symbols,
        failed: cv::FailedFrames::Left,
        disclosed_bits: block.disclosed_bits,
    };
    let of = |found: &cv::KeyLength| KeystillKeyLength {
        bits: found.ell,
        real_bits: found.ell_real,
        worst_noise: found.worst.excess_noise_max,
    };
    match cv::key_length(&moments, &receiver, &kept, &cv::Budget::of_block(block.epsilon)) {
        Ok(found) => {
            *length = of(&found);
            Ok(())
        }
        Err(cv::NoKey::Spent(found)) => {
            *length = of(&found);
            Err((Status::NoKey, "nothing is left after what was disclosed".into()))
        }
        Err(other @ cv::NoKey::Untested { .. }) => Err((Status::NoKey, other.to_string())),
        Err(other) => Err((Status::OutOfRange, other.to_string())),
    }
}
