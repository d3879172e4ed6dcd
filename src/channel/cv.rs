//! What the CV receiver sees: transmittance, excess noise, signal-to-noise ratio.
//!
//! Scattering enters as thermal noise in one polarisation and one mode: n̄ = S/(2hν) photons, S being
//! its power spectral density in both polarisations; ξ at the receiver is 2n̄ shot-noise units, whatever
//! the symbol rate.

use super::budget::Scattering;
use super::fibre::{PLANCK, SPEED_OF_LIGHT, frequency_hz};
use super::scenario::Cv;

/// The CV channel's budget.
#[derive(Clone, Debug, PartialEq)]
pub struct CvBudget {
    /// What the carriers do.
    pub scattering: Scattering,
    /// T of the channel, stimulated scattering included.
    pub transmittance: f64,
    /// n̄ of scattered light in the receiver's mode.
    pub photons_per_mode: f64,
    /// ξ at the fibre's end, of scattered light, in shot-noise units.
    pub excess_noise_bob_snu: f64,
    /// ξ at the channel's input, in all, in shot-noise units.
    pub excess_noise_input_snu: f64,
    /// Variance of a quadrature's noise at the detector: 1 + v_el + ηTξ/2.
    pub noise_variance_snu: f64,
    /// Gain from a modulated to a measured quadrature: √(ηT/2).
    pub gain: f64,
    /// Signal-to-noise ratio of a quadrature.
    pub snr: f64,
}

impl CvBudget {
    pub(super) fn new(cv: &Cv, scattering: Scattering) -> Self {
        let transmittance = libm::pow(10.0, (scattering.srs_gain_db - scattering.loss_db) / 10.0);
        let wavelength_m = cv.wavelength_nm * 1e-9;
        let per_hz = scattering.raman_w_per_nm * 1e9 * wavelength_m * wavelength_m / SPEED_OF_LIGHT;
        let photons_per_mode = per_hz / (2.0 * PLANCK * frequency_hz(cv.wavelength_nm));
        let excess_noise_bob_snu = 2.0 * photons_per_mode;
        let excess_noise_input_snu = excess_noise_bob_snu / transmittance + cv.technical_excess_noise_snu;
        let power_gain = 0.5 * cv.receiver_efficiency * transmittance;
        let noise_variance_snu = 1.0 + cv.electronic_noise_snu + power_gain * excess_noise_input_snu;
        Self {
            scattering,
            transmittance,
            photons_per_mode,
            excess_noise_bob_snu,
            excess_noise_input_snu,
            noise_variance_snu,
            gain: libm::sqrt(power_gain),
            snr: power_gain * cv.modulation_variance_snu / noise_variance_snu,
        }
    }
}
