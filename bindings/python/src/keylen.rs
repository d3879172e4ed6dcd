//! Finite-size key length.

use keystill_engine::bb84::security as bb84;
use keystill_engine::cv::security as cv;
use keystill_engine::cv::security::gaussian::Trust;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::{NoKey, value_error};

/// The key length of a block of decoy-state BB84, with every term.
///
/// key, test, test_errors: counts by intensity, brightest first; disclosed_bits: all that was told,
/// verification included; epsilon: the block's failure probability. test_basis: the least probabilities
/// with which Alice and Bob choose the test basis, each by itself; without it the bound is looser.
/// Raises NoKey if nothing is left.
#[pyfunction]
#[pyo3(signature = (key, test, test_errors, *, mean_photons, probabilities, disclosed_bits, epsilon = 1e-10, test_basis = None))]
#[expect(clippy::too_many_arguments, reason = "the quantities of the theorem, by keyword")]
pub(crate) fn bb84_key_length<'py>(
    py: Python<'py>,
    key: [u64; 3],
    test: [u64; 3],
    test_errors: [u64; 3],
    mean_photons: [f64; 3],
    probabilities: [f64; 3],
    disclosed_bits: u64,
    epsilon: f64,
    test_basis: Option<(f64, f64)>,
) -> PyResult<Bound<'py, PyDict>> {
    let seen = bb84::Observation { key, test, test_errors };
    let source = bb84::Source::new(mean_photons, probabilities);
    let source = match test_basis {
        Some((alice, bob)) => source.with_test_basis(alice, bob),
        None => source,
    };
    let claim = bb84::Claim::of_block(epsilon);
    let found = py.detach(|| bb84::key_length(&seen, &source, &claim, disclosed_bits));
    let found = found.map_err(|error| match error {
        bb84::NoKey::Impossible(_) | bb84::NoKey::Uncovered(_) => value_error(error),
        other => NoKey::new_err(other.to_string()),
    })?;
    let terms = PyDict::new(py);
    terms.set_item("bits", found.ell)?;
    terms.set_item("real_bits", found.ell_real)?;
    terms.set_item("phase_error_rate", found.phase_error_rate)?;
    terms.set_item("single_key", found.single_key)?;
    terms.set_item("vacuum_key", found.vacuum_key)?;
    terms.set_item("entropy_bits", found.entropy_bits)?;
    terms.set_item("disclosed_bits", found.disclosed_bits)?;
    terms.set_item("hashing_bits", found.hashing_bits)?;
    Ok(terms)
}

/// The key length of a block of Gaussian-modulated heterodyne CV-QKD against collective attacks.
///
/// pairs, alice, cross, bob: how many pairs of quadratures there are, and the sums of x², xy and y² in
/// shot-noise units; efficiency and electronic_noise: intervals (low, high). Raises NoKey if nothing is
/// left.
#[pyfunction]
#[pyo3(signature = (pairs, alice, cross, bob, *, efficiency, electronic_noise, calibration_samples, kept_symbols, disclosed_bits, epsilon = 1e-10))]
#[expect(clippy::too_many_arguments, reason = "the quantities of the theorem, by keyword")]
pub(crate) fn cv_key_length<'py>(
    py: Python<'py>,
    pairs: u64,
    alice: f64,
    cross: f64,
    bob: f64,
    efficiency: (f64, f64),
    electronic_noise: (f64, f64),
    calibration_samples: u64,
    kept_symbols: u64,
    disclosed_bits: u64,
    epsilon: f64,
) -> PyResult<Bound<'py, PyDict>> {
    let interval = |(low, high)| cv::Interval { low, high };
    let receiver = cv::Receiver {
        efficiency: interval(efficiency),
        electronic_noise: interval(electronic_noise),
        electronic_measured: None,
        calibration_samples,
        trust: Trust::Trusted,
    };
    let moments = cv::Moments { pairs, alice, cross, bob };
    let kept = cv::Kept { symbols: kept_symbols, failed: cv::FailedFrames::Left, disclosed_bits };
    let found = cv::key_length(&moments, &receiver, &kept, &cv::Budget::of_block(epsilon));
    let found = found.map_err(|error| match error {
        cv::NoKey::Impossible(_) | cv::NoKey::Uncovered(_) => value_error(error),
        other => NoKey::new_err(other.to_string()),
    })?;
    let terms = PyDict::new(py);
    terms.set_item("bits", found.ell)?;
    terms.set_item("real_bits", found.ell_real)?;
    terms.set_item("transmittance", found.worst.transmittance)?;
    terms.set_item("excess_noise_max", found.worst.excess_noise_max)?;
    terms.set_item("holevo_max", found.worst.holevo_max)?;
    terms.set_item("raw_bits", found.raw_bits)?;
    terms.set_item("eavesdropped_bits", found.eavesdropped_bits)?;
    terms.set_item("equipartition_bits", found.equipartition_bits)?;
    terms.set_item("disclosed_bits", found.disclosed_bits)?;
    terms.set_item("hashing_bits", found.hashing_bits)?;
    Ok(terms)
}
