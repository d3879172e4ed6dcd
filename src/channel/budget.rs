//! The noise budget of both quantum channels under one comb.
//!
//! Accumulated Raman scattering at the fibre's end, pump P, attenuations α, length L:
//! co-propagating P·ρ·e^(−α_q L)·(1 − e^(−(α_p − α_q)L))/(α_p − α_q), counter-propagating
//! P·ρ·(1 − e^(−(α_p + α_q)L))/(α_p + α_q). The carriers also drain the quantum channel by stimulated
//! scattering (or feed it): ln(gain) = Σ g·P·L_eff, to first order in the carriers' power.

use ndarray::Array1;

use super::bb84::Bb84Budget;
use super::cv::CvBudget;
use super::fibre::{PLANCK, SPEED_OF_LIGHT, frequency_hz};
use super::scenario::{Direction, Scenario};

/// What reaches the receiver of one quantum channel from the data carriers.
#[derive(Clone, Debug, PartialEq)]
pub struct Scattering {
    /// Raman power in W/nm, both polarisations, at the fibre's end.
    pub raman_w_per_nm: f64,
    /// The same in photons/(s·nm).
    pub raman_photons_per_s_per_nm: f64,
    /// Gain of the quantum channel by stimulated scattering in dB; negative: it is drained.
    pub srs_gain_db: f64,
    /// Loss of the fibre in dB, without the gain.
    pub loss_db: f64,
    /// Contributions of the carriers, largest first.
    pub contributions: Vec<Contribution>,
}

/// One carrier's share of the noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contribution {
    /// How it comes about.
    pub mechanism: &'static str,
    /// The carrier in THz.
    pub carrier_thz: f64,
    /// Its share of the scattered power.
    pub share: f64,
}

/// Both quantum channels under one comb.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The BB84 channel.
    pub bb84: Bb84Budget,
    /// The CV channel.
    pub cv: CvBudget,
}

/// The budget of a scenario.
#[must_use]
pub fn budget(scenario: &Scenario) -> Budget {
    let bb84 = Bb84Budget::new(&scenario.bb84, scattering(scenario, scenario.bb84.wavelength_nm));
    let cv = CvBudget::new(&scenario.cv, scattering(scenario, scenario.cv.wavelength_nm));
    Budget { bb84, cv }
}

/// What one quantum channel gets from the carriers.
fn scattering(scenario: &Scenario, quantum_nm: f64) -> Scattering {
    let (link, data) = (&scenario.link, &scenario.data);
    let carriers_thz = Array1::from(data.slot_centres_thz());
    let total_w = libm::pow(10.0, data.launch_power_dbm / 10.0) * 1e-3;
    let each_w = total_w / (carriers_thz.len().max(1) as f64);
    let pumps_nm = carriers_thz.mapv(|thz| SPEED_OF_LIGHT / thz * 1e-3);
    let per_carrier = pumps_nm.mapv(|pump_nm| each_w * scattered(scenario, pump_nm, quantum_nm));
    let gain: f64 = pumps_nm.iter().map(|pump_nm| each_w * stimulated(scenario, *pump_nm, quantum_nm)).sum();
    let raman_w_per_nm = per_carrier.sum();
    let mut contributions: Vec<Contribution> = carriers_thz
        .iter()
        .zip(&per_carrier)
        .map(|(thz, power)| Contribution {
            mechanism: "raman",
            carrier_thz: *thz,
            share: if raman_w_per_nm > 0.0 { power / raman_w_per_nm } else { 0.0 },
        })
        .collect();
    contributions.sort_by(|a, b| b.share.total_cmp(&a.share));
    Scattering {
        raman_w_per_nm,
        raman_photons_per_s_per_nm: raman_w_per_nm / (PLANCK * frequency_hz(quantum_nm)),
        srs_gain_db: gain * 10.0 / std::f64::consts::LN_10,
        loss_db: link.fibre.attenuation_db_per_km(quantum_nm) * link.length_km,
        contributions,
    }
}

/// Scattered power a watt of pump, in 1/nm.
fn scattered(scenario: &Scenario, pump_nm: f64, quantum_nm: f64) -> f64 {
    let (link, length) = (&scenario.link, scenario.link.length_km);
    let rho = link.fibre.raman_per_km_nm(pump_nm, quantum_nm, link.temperature_k);
    let (pump, quantum) = (link.fibre.attenuation_per_km(pump_nm), link.fibre.attenuation_per_km(quantum_nm));
    rho * match scenario.data.direction {
        Direction::Co => libm::exp(-quantum * length) * effective(pump - quantum, length),
        Direction::Counter => effective(pump + quantum, length),
    }
}

/// ln of the quantum channel's gain, a watt of pump. Stimulated scattering does not ask which way.
fn stimulated(scenario: &Scenario, pump_nm: f64, quantum_nm: f64) -> f64 {
    let fibre = scenario.link.fibre;
    let length = effective(fibre.attenuation_per_km(pump_nm), scenario.link.length_km);
    fibre.raman_gain_per_km_w(pump_nm, quantum_nm) * length
}

/// (1 − e^(−αL))/α, which is L where α vanishes.
fn effective(attenuation: f64, length: f64) -> f64 {
    if attenuation.abs() * length < 1e-9 {
        return length;
    }
    -libm::expm1(-attenuation * length) / attenuation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    #[test]
    fn the_demonstration_scatters_as_computed_elsewhere() {
        let co = scattering(&scenario(&[]), 1310.0);
        assert!(
            (co.raman_photons_per_s_per_nm / 3.04e6 - 1.0).abs() < 0.1,
            "{}",
            co.raman_photons_per_s_per_nm
        );
        let counter = scattering(&scenario(&["data.direction=counter"]), 1310.0);
        assert!(
            (counter.raman_photons_per_s_per_nm / 4.31e6 - 1.0).abs() < 0.1,
            "{}",
            counter.raman_photons_per_s_per_nm
        );
        assert!((co.loss_db - 8.19).abs() < 0.03, "loss {}", co.loss_db);
    }

    #[test]
    fn shares_sum_to_one_and_no_light_makes_no_noise() {
        let lit = scattering(&scenario(&[]), 1420.0);
        let sum: f64 = lit.contributions.iter().map(|contribution| contribution.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(lit.contributions.is_sorted_by(|a, b| a.share >= b.share), "ranked");
        let dark = scattering(&scenario(&["data.launch_power_dbm=-200"]), 1420.0);
        assert!(dark.raman_w_per_nm < 1e-20 * lit.raman_w_per_nm, "no power, no noise");
    }

    #[test]
    fn powers_add_and_more_power_makes_more_noise() {
        let at = |dbm: &str| {
            scattering(&scenario(&[&format!("data.launch_power_dbm={dbm}")]), 1310.0).raman_w_per_nm
        };
        assert!((at("20") / at("17") - libm::pow(10.0, 0.3)).abs() < 1e-9, "3 dB more");
    }

    #[test]
    fn the_carriers_drain_the_s_band() {
        let gain = scattering(&scenario(&[]), 1480.0).srs_gain_db;
        assert!((-1.1..-0.5).contains(&gain), "drained by {gain} dB");
        assert!(scattering(&scenario(&[]), 1310.0).srs_gain_db.abs() < 0.05, "the O band is far away");
    }
}
