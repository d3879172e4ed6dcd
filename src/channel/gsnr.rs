//! The data carriers: generalised signal-to-noise ratio, and its margin.
//!
//! 1/GSNR = 1/SNR_transceiver + P_ASE/P + P_NLI/P. Booster and preamplifier emit F·hν·(G − 1)·B and F·hν·B; the
//! carriers' mutual distortion follows the incoherent Gaussian-noise model in closed form, with L_a = 1/α,
//!
//! ```text
//! G_NLI(f) = 16/27·γ²·L_eff²·Σ_n G_n²·G·(2 − δ)·ψ_n
//! ψ_n = [asinh(π²·L_a·|β₂|·(f_n − f + B_n/2)·B) − asinh(π²·L_a·|β₂|·(f_n − f − B_n/2)·B)]/(4π·|β₂|·L_a)
//! ```
//!
//! Poggiolini et al., J. Lightwave Technol. 32, 694 (2014), equations 120 to 123.

use super::budget::LoadedSpan;
use super::fibre::PLANCK;
use super::scenario::{Carrier, Scenario};
use super::span::nm_of;

/// A data carrier at its receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataChannel {
    /// The carrier.
    pub carrier: Carrier,
    /// Power at the fibre's end in W.
    pub output_w: f64,
    /// What it gains from the other carriers, in dB.
    pub tilt_db: f64,
    /// Generalised signal-to-noise ratio in its symbol rate, in dB.
    pub gsnr_db: f64,
    /// The same over what its transceiver needs.
    pub margin_db: f64,
}

/// All lit carriers at their receivers. O(carriers²).
#[must_use]
pub fn data_channels(span: &LoadedSpan) -> Vec<DataChannel> {
    let scenario = span.scenario();
    let lit: Vec<Carrier> = span.carriers().iter().copied().filter(|carrier| carrier.power_w > 0.0).collect();
    let ends = span.comb().output_w().into_iter().zip(span.comb().tilt_db());
    let channel = |(carrier, (output_w, tilt_db)): (&Carrier, (f64, f64))| {
        let noise = noise_to_signal(scenario, &lit, carrier, output_w);
        let gsnr_db = -10.0 * libm::log10(noise);
        let modem = &scenario.data.modem;
        let wide = carrier.gbit_per_s > 400.0;
        let required = if wide { modem.required_gsnr_800g_db } else { modem.required_gsnr_400g_db };
        DataChannel { carrier: *carrier, output_w, tilt_db, gsnr_db, margin_db: gsnr_db - required }
    };
    lit.iter().zip(ends).map(channel).collect()
}

fn noise_to_signal(scenario: &Scenario, lit: &[Carrier], carrier: &Carrier, output_w: f64) -> f64 {
    let linear = |db: f64| libm::pow(10.0, db / 10.0);
    let modem = &scenario.data.modem;
    let band = symbol_rate(scenario, carrier);
    let photon = PLANCK * carrier.thz * 1e12;
    let amplifier = &scenario.amplifier;
    let booster =
        linear(amplifier.noise_figure_db) * photon * (linear(amplifier.gain_db) - 1.0).max(0.0) * band;
    let preamplifier = linear(modem.preamplifier_noise_figure_db) * photon * band;
    linear(-modem.transceiver_snr_db)
        + booster / carrier.power_w
        + preamplifier / output_w
        + interference(scenario, lit, carrier)
}

fn symbol_rate(scenario: &Scenario, carrier: &Carrier) -> f64 {
    carrier.width_ghz * 1e9 * scenario.data.modem.occupancy
}

/// P_NLI/P of a carrier.
fn interference(scenario: &Scenario, lit: &[Carrier], own: &Carrier) -> f64 {
    let fibre = scenario.fibre();
    let nm = nm_of(own.thz);
    let attenuation = fibre.attenuation_per_km(nm);
    let effective = -libm::expm1(-attenuation * scenario.link.length_km) / attenuation;
    let gamma = fibre.nonlinearity_per_w_km(own.thz);
    let dispersion = fibre.dispersion_s2_per_km(nm).abs().max(1e-27);
    let band = symbol_rate(scenario, own);
    let pi = std::f64::consts::PI;
    let reach = pi * pi * dispersion / attenuation * band;
    let density = |carrier: &Carrier| carrier.power_w / symbol_rate(scenario, carrier);
    let sum: f64 = lit
        .iter()
        .map(|other| {
            let same = (other.thz - own.thz).abs() < 1e-9;
            let (away, half) = ((other.thz - own.thz) * 1e12, 0.5 * symbol_rate(scenario, other));
            let psi = (libm::asinh(reach * (away + half)) - libm::asinh(reach * (away - half)))
                / (4.0 * pi * dispersion / attenuation);
            density(other) * density(other) * if same { psi } else { 2.0 * psi }
        })
        .sum();
    16.0 / 27.0 * gamma * gamma * effective * effective * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(overrides: &[&str]) -> Vec<DataChannel> {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario = Scenario::from_text("iown-47t2", text, &overrides).expect("good values");
        data_channels(&LoadedSpan::new(&scenario, &scenario.carriers()))
    }

    fn least(overrides: &[&str]) -> f64 {
        channels(overrides).iter().map(|channel| channel.margin_db).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn the_demonstration_is_error_free_and_a_long_or_overdriven_link_is_not() {
        assert!(least(&[]) > 1.0, "margin {}", least(&[]));
        assert!(least(&["link.length_km=200"]) < 0.0, "200 km without an amplifier");
        assert!(least(&["data.launch_power_dbm=30"]) < least(&[]), "distortion grows with the power");
    }

    #[test]
    fn a_mix_of_carriers_carries_as_much() {
        let mixed = channels(&["data.carriers_800g=[10,10]"]);
        let total: f64 = mixed.iter().map(|channel| channel.carrier.gbit_per_s).sum();
        assert_eq!(mixed.len(), 98, "20 pairs of slots");
        assert!((total - 47_200.0).abs() < 1e-9, "{total} Gb/s");
        let power: f64 = mixed.iter().map(|channel| channel.carrier.power_w).sum();
        assert!((power - 0.050_118_7).abs() < 1e-6, "17 dBm in all: {power} W");
    }

    #[test]
    fn a_single_carriers_distortion_is_the_textbooks() {
        // asinh(π²/2·|β₂|·L_a·B²)/(2π·|β₂|·L_a), the self-channel term of the closed form.
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario =
            Scenario::from_text("iown-47t2", text, &["data.slots=[1,0]".into()]).expect("good values");
        let carriers = scenario.carriers();
        let fibre = scenario.fibre();
        let nm = nm_of(carriers[0].thz);
        let attenuation = fibre.attenuation_per_km(nm);
        let (band, pi) = (symbol_rate(&scenario, &carriers[0]), std::f64::consts::PI);
        let spread = fibre.dispersion_s2_per_km(nm).abs() / attenuation;
        let psi = libm::asinh(0.5 * pi * pi * spread * band * band) / (2.0 * pi * spread);
        let effective = -libm::expm1(-attenuation * 25.0) / attenuation;
        let gamma = fibre.nonlinearity_per_w_km(carriers[0].thz);
        let density = carriers[0].power_w / band;
        let textbook = 16.0 / 27.0 * gamma * gamma * effective * effective * density * density * psi;
        let found = interference(&scenario, &carriers, &carriers[0]);
        assert!((found / textbook - 1.0).abs() < 1e-9, "{found:e} against {textbook:e}");
    }
}
