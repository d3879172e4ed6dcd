//! What the CV receiver sees: transmittance, excess noise, signal-to-noise ratio.
//!
//! Scattering enters as thermal noise in one polarisation and one mode: n̄ = S/(2hν) photons, S being
//! its power spectral density in both polarisations; ξ at the receiver is 2n̄ shot-noise units, whatever
//! the symbol rate. The receiver's faults act on the samples: they cost correlation with what Alice sent, by a factor κ
//! of the gain, and change the variance. What its owner then estimates is T·κ² and a ξ that has grown. With V the
//! modulation's variance:
//!
//! - phase: κ = e^(−σ²/2), σ² = 2π·Δν·τ of the lasers over the pilot's delay plus 1/SNR of the pilot
//! - imbalance of gain d and angle φ: p becomes (1 + d)·(p·cos φ + x·sin φ), the vacuum of the calibration, too; with
//!   m = ½(1 + (1 + d)²), κ = ½(1 + (1 + d)·cos φ)/√m
//! - converter: κ is the share that it does not clip (Bussgang); the variance is that of the clipped normal law and step²/12.
//!   Clipping takes away more noise than correlation, so that ξ may seem small: Qin, Kumar, Alléaume, "Quantum
//!   hacking: saturation attack", Phys. Rev. A 94, 012325 (2016).

use super::budget::Scattering;
use super::drift::Weather;
use super::raman::hertz_per_nm;
use super::scenario::{Coherent, Cv};
use super::span::nm_of;

/// The CV channel's budget.
#[derive(Clone, Debug, PartialEq)]
pub struct CvBudget {
    /// What the carriers do.
    pub scattering: Scattering,
    /// T of the channel as the receiver's samples show it: stimulated scattering, polarisation and κ² included.
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
    /// Variance of a quadrature's noise before phase, imbalance and converter.
    pub analogue_variance_snu: f64,
    /// Gain from a modulated to a detected quadrature before these: √(ηT/2) of the light.
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
        let of_light = libm::pow(10.0, -loss_db / 10.0) * aligned;
        // Photons a second and hertz are photons a mode; of both polarisations the receiver sees one.
        let per_hz = scattering.noise_photons_per_s_per_nm / hertz_per_nm(nm_of(cv.wavelength_nm));
        let photons_per_mode = 0.5 * per_hz;
        let excess_noise_bob_snu = 2.0 * photons_per_mode;
        let (power_gain, variance) = (0.5 * cv.receiver_efficiency * of_light, cv.modulation_variance_snu);
        let floor = 1.0 + cv.electronic_noise_snu;
        let light = excess_noise_bob_snu / of_light + cv.technical_excess_noise_snu;
        let analogue = floor + power_gain * light;
        let total = analogue + power_gain * variance;
        // ξ at the input if a share κ of the gain is left, and the samples have some variance.
        let excess = |kept: f64, seen: f64| (seen - floor) / (power_gain * kept * kept) - variance;
        let coherence = libm::exp(-0.5 * phase_variance(&cv.receiver));
        let balanced = coherence * balance(&cv.receiver);
        let (share, seen) = readout(cv, total);
        let kept = coherence * share;
        let excess_noise_input_snu = excess(kept, seen);
        let signal = power_gain * kept * kept * variance;
        Self {
            scattering,
            transmittance: of_light * kept * kept,
            photons_per_mode,
            excess_noise_bob_snu,
            excess_noise_input_snu,
            excess_noise_parts_snu: Parts {
                phase: excess(coherence, total) - light,
                imbalance: excess(balanced, total) - excess(coherence, total),
                converter: excess_noise_input_snu - excess(balanced, total),
            },
            analogue_variance_snu: analogue,
            noise_variance_snu: seen - signal,
            gain: libm::sqrt(power_gain),
            snr: signal / (seen - signal),
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

/// Variance of the phase that the pilot leaves, by the lasers' walk.
#[must_use]
pub fn walk_variance(receiver: &Coherent) -> f64 {
    2.0 * std::f64::consts::PI * receiver.linewidth_khz * 1e3 * receiver.pilot_delay_ns * 1e-9
}

/// Variance of the phase that the pilot leaves, by its own noise.
#[must_use]
pub fn pilot_variance(receiver: &Coherent) -> f64 {
    libm::pow(10.0, -receiver.pilot_snr_db / 10.0)
}

fn phase_variance(receiver: &Coherent) -> f64 {
    walk_variance(receiver) + pilot_variance(receiver)
}

/// What the second quadrature takes of itself and of the first.
#[must_use]
pub fn second_gain(receiver: &Coherent) -> [f64; 2] {
    let (gain, angle) = (1.0 + receiver.imbalance, receiver.imbalance_deg.to_radians());
    [gain * libm::cos(angle), gain * libm::sin(angle)]
}

/// Mean of the quadratures' power gains: by how much the calibration's vacuum grows.
#[must_use]
pub fn mean_power_gain(receiver: &Coherent) -> f64 {
    let gain = 1.0 + receiver.imbalance;
    0.5 * (1.0 + gain * gain)
}

/// κ of the imbalance.
fn balance(receiver: &Coherent) -> f64 {
    0.5 * (1.0 + second_gain(receiver)[0]) / libm::sqrt(mean_power_gain(receiver))
}

/// κ of imbalance and converter, and the variance of the samples, in units of the calibration's vacuum.
fn readout(cv: &Cv, total: f64) -> (f64, f64) {
    let (receiver, gain) = (&cv.receiver, 1.0 + cv.receiver.imbalance);
    let [x, p] = [total, gain * gain * total].map(|variance| converted(cv, variance));
    let vacuum = mean_power_gain(receiver);
    let share = 0.5 * (x.0 + p.0 * second_gain(receiver)[0]) / libm::sqrt(vacuum);
    (share, 0.5 * (x.1 + p.1) / vacuum)
}

/// Width of a converter's step in square roots of shot-noise units; `None` if it is ideal.
#[must_use]
pub fn converter_step(cv: &Cv) -> Option<f64> {
    (cv.receiver.adc_bits > 0)
        .then(|| 2.0 * cv.receiver.adc_range / libm::pow(2.0, f64::from(cv.receiver.adc_bits)))
}

/// The share of a normal quadrature that the converter does not clip, and its variance behind it.
fn converted(cv: &Cv, variance: f64) -> (f64, f64) {
    let Some(step) = converter_step(cv) else { return (1.0, variance) };
    let range = cv.receiver.adc_range;
    let edge = range / libm::sqrt(variance);
    let inside = libm::erf(edge / std::f64::consts::SQRT_2);
    let density = libm::exp(-0.5 * edge * edge) / libm::sqrt(2.0 * std::f64::consts::PI);
    let clipped = variance * (inside - 2.0 * edge * density) + range * range * (1.0 - inside);
    (inside, clipped + step * step / 12.0)
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
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.05;
        let phase = 4.0 * (2.0 * std::f64::consts::PI * 1e-3 + 1e-3);
        assert!(near(parts.phase, phase), "phase {}", parts.phase);
        // Half of the imbalance is in the mean gain, which the estimate follows.
        assert!(near(parts.imbalance, 4.0 * 0.01 * 0.01), "imbalance {}", parts.imbalance);
        let step = 16.0_f64 / 256.0;
        let detector = parts.converter * 0.5 * 0.6 * with(&[]).transmittance;
        assert!(near(detector, step * step / 12.0), "converter {detector}");
        let narrow = with(&["cv.receiver.adc_bits=8", "cv.receiver.adc_range=1"]);
        assert!(narrow.excess_noise_parts_snu.converter < 0.0, "clipping hides noise");
        assert!(narrow.snr < 0.9 * with(&[]).snr, "and costs signal");
    }

    #[test]
    fn the_parts_sum_to_the_whole() {
        let budget = with(&["cv.receiver.imbalance=0.05", "cv.receiver.imbalance_deg=3"]);
        let parts = budget.excess_noise_parts_snu;
        let loss_db = budget.scattering.loss_db - budget.scattering.srs_gain_db;
        let light = budget.excess_noise_bob_snu * libm::pow(10.0, loss_db / 10.0) + 0.008;
        let sum = light + parts.phase + parts.imbalance + parts.converter;
        assert!((sum - budget.excess_noise_input_snu).abs() < 1e-12, "{sum}");
        let power_gain = 0.5 * 0.6 * budget.transmittance;
        let noise = 1.1 + power_gain * budget.excess_noise_input_snu;
        assert!((noise - budget.noise_variance_snu).abs() < 1e-12, "{noise}");
        assert!((power_gain * 4.0 / noise - budget.snr).abs() < 1e-12, "SNR {}", budget.snr);
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
