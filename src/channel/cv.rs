//! What the CV receiver sees: transmittance, excess noise, signal-to-noise ratio.
//!
//! Scattering enters as thermal noise in one polarisation and one mode: n̄ = S/(2hν) photons, S being
//! its power spectral density in both polarisations; ξ at the receiver is 2n̄ shot-noise units, whatever
//! the symbol rate. What the receiver adds, at the channel's input, with V the modulation's variance:
//!
//! - phase: V·2(1 − e^(−σ²/2)), σ² = 2π·Δν·τ of the lasers over the pilot's delay plus 1/SNR of the pilot
//! - imbalance of gain d and angle φ between the quadratures: ½V·|(1 + d)·e^(iφ) − 1|²
//! - the converter: its step²/12 and what it clips, at the detector.

use super::budget::Scattering;
use super::drift::Weather;
use super::raman::hertz_per_nm;
use super::scenario::Cv;
use super::span::nm_of;

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
    /// Of it, what the receiver adds by phase, imbalance and converter.
    pub excess_noise_parts_snu: Parts,
    /// Variance of a quadrature's noise at the detector: 1 + v_el + ηTξ/2.
    pub noise_variance_snu: f64,
    /// The same before the converter.
    pub analogue_variance_snu: f64,
    /// Gain from a modulated to a measured quadrature: √(ηT/2).
    pub gain: f64,
    /// Signal-to-noise ratio of a quadrature.
    pub snr: f64,
    /// Angle between Alice's quadratures and Bob's.
    pub phase_rad: f64,
}

impl CvBudget {
    pub(super) fn new(cv: &Cv, scattering: Scattering, weather: &Weather) -> Self {
        let aligned = libm::cos(weather.polarisation_rad) * libm::cos(weather.polarisation_rad);
        let loss_db = scattering.loss_db - scattering.srs_gain_db;
        let transmittance = libm::pow(10.0, -loss_db / 10.0) * aligned;
        // Photons a second and hertz are photons a mode; of both polarisations the receiver sees one.
        let per_hz = scattering.noise_photons_per_s_per_nm / hertz_per_nm(nm_of(cv.wavelength_nm));
        let photons_per_mode = 0.5 * per_hz;
        let excess_noise_bob_snu = 2.0 * photons_per_mode;
        let power_gain = 0.5 * cv.receiver_efficiency * transmittance;
        let floor = 1.0 + cv.electronic_noise_snu;
        let mut parts = Parts::of_light(cv);
        let light = excess_noise_bob_snu / transmittance
            + cv.technical_excess_noise_snu
            + parts.phase
            + parts.imbalance;
        let analogue = floor + power_gain * light;
        let total = analogue + power_gain * cv.modulation_variance_snu;
        parts.converter = converter_snu(cv, total) / power_gain;
        let excess_noise_input_snu = light + parts.converter;
        Self {
            scattering,
            transmittance,
            photons_per_mode,
            excess_noise_bob_snu,
            excess_noise_input_snu,
            excess_noise_parts_snu: parts,
            analogue_variance_snu: analogue,
            noise_variance_snu: floor + power_gain * excess_noise_input_snu,
            gain: libm::sqrt(power_gain),
            snr: power_gain * cv.modulation_variance_snu / (floor + power_gain * excess_noise_input_snu),
            phase_rad: weather.phase_rad,
        }
    }
}

/// Excess noise of the receiver's own, at the channel's input, in shot-noise units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// Phase that the pilot does not correct.
    pub phase: f64,
    /// Quadratures of different gain, not at right angles.
    pub imbalance: f64,
    /// Steps and range of the converter.
    pub converter: f64,
}

impl Parts {
    fn of_light(cv: &Cv) -> Self {
        let (receiver, variance) = (&cv.receiver, cv.modulation_variance_snu);
        let drift =
            2.0 * std::f64::consts::PI * receiver.linewidth_khz * 1e3 * receiver.pilot_delay_ns * 1e-9;
        let spread = drift + libm::pow(10.0, -receiver.pilot_snr_db / 10.0);
        let angle = receiver.imbalance_deg.to_radians();
        let (gain, cosine) = (1.0 + receiver.imbalance, libm::cos(angle));
        Self {
            phase: variance * -2.0 * libm::expm1(-0.5 * spread),
            imbalance: 0.5 * variance * (gain * gain - 2.0 * gain * cosine + 1.0),
            converter: 0.0,
        }
    }
}

/// Width of a converter's step in square roots of shot-noise units; `None` if it is ideal.
#[must_use]
pub fn converter_step(cv: &Cv) -> Option<f64> {
    (cv.receiver.adc_bits > 0)
        .then(|| 2.0 * cv.receiver.adc_range / libm::pow(2.0, f64::from(cv.receiver.adc_bits)))
}

/// Noise of the converter at the detector, in shot-noise units, for quadratures of a total variance.
fn converter_snu(cv: &Cv, total: f64) -> f64 {
    let Some(step) = converter_step(cv) else { return 0.0 };
    let (range, deviation) = (cv.receiver.adc_range, libm::sqrt(total));
    let edge = range / deviation;
    let tail = 0.5 * libm::erfc(edge / std::f64::consts::SQRT_2);
    let density = libm::exp(-0.5 * edge * edge) / libm::sqrt(2.0 * std::f64::consts::PI);
    // E[(y − R)²] beyond the range, on both sides.
    let clipped = 2.0 * ((total + range * range) * tail - range * deviation * density);
    step * step / 12.0 + clipped.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Scenario, budget};
    use super::*;

    fn with(overrides: &[&str]) -> CvBudget {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        budget(&Scenario::from_text("iown-47t2", text, &overrides).expect("good values")).cv
    }

    #[test]
    fn each_part_of_the_receiver_adds_its_noise() {
        let parts = with(&[
            "cv.modulation_variance_snu=4",
            "cv.receiver.linewidth_khz=10",
            "cv.receiver.pilot_delay_ns=100",
            "cv.receiver.pilot_snr_db=30",
            "cv.receiver.imbalance=0.02",
            "cv.receiver.imbalance_deg=0",
            "cv.receiver.adc_bits=8",
            "cv.receiver.adc_range=8",
        ])
        .excess_noise_parts_snu;
        let phase = 4.0 * (2.0 * std::f64::consts::PI * 1e-3 + 1e-3);
        assert!((parts.phase / phase - 1.0).abs() < 0.01, "phase {}", parts.phase);
        assert!((parts.imbalance - 0.5 * 4.0 * 4e-4).abs() < 1e-9, "imbalance {}", parts.imbalance);
        let step = 16.0_f64 / 256.0;
        let detector = parts.converter * 0.5 * 0.6 * with(&[]).transmittance;
        assert!((detector / (step * step / 12.0) - 1.0).abs() < 1e-6, "converter {detector}");
        let narrow = with(&["cv.receiver.adc_bits=8", "cv.receiver.adc_range=1"]);
        assert!(narrow.excess_noise_parts_snu.converter > 1.0, "clipping costs dearly");
    }

    #[test]
    fn both_receivers_see_the_same_photons() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        for nm in ["1310", "1420", "1490", "1571"] {
            let overrides = [
                format!("bb84.wavelength_nm={nm}"),
                format!("cv.wavelength_nm={nm}"),
                "filters.cv_passband_nm=0.3".into(),
                "filters.cv_isolation_db=140".into(),
            ];
            let scenario = Scenario::from_text("iown-47t2", text, &overrides).expect("good values");
            let budget = budget(&scenario);
            let bb84 = &scenario.bb84;
            let counted = libm::pow(10.0, -bb84.receiver_loss_db / 10.0) * bb84.detector_efficiency;
            let per_gate = budget.bb84.scattered_per_gate / counted;
            // Modes of a gate: bandwidth times time, in two polarisations.
            let modes =
                2.0 * hertz_per_nm(nm_of(scenario.cv.wavelength_nm)) * bb84.filter_nm * bb84.gate_ps * 1e-12;
            let ratio = per_gate / (budget.cv.photons_per_mode * modes);
            assert!((ratio - 1.0).abs() < 1e-9, "{nm} nm: {ratio}");
        }
    }
}
