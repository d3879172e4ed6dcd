//! The noise budget of both quantum channels under one comb.
//!
//! The carriers' powers evolve as [`Evolution`] says; scattering and stimulated gain follow from them.

use super::bb84::Bb84Budget;
use super::cv::CvBudget;
use super::fibre::{PLANCK, frequency_hz};
use super::raman::hertz_per_nm;
use super::scenario::Scenario;
use super::span::{Evolution, Stimulated, nm_of};

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
    let (fibre, data) = (scenario.link.properties(), &scenario.data);
    let evolution = Evolution::solve(&fibre, &data.carriers(), scenario.link.length_km, Stimulated::On);
    let at = |wavelength_nm| scattering(scenario, &evolution, wavelength_nm);
    let bb84 = Bb84Budget::new(&scenario.bb84, at(scenario.bb84.wavelength_nm));
    let cv = CvBudget::new(&scenario.cv, at(scenario.cv.wavelength_nm));
    Budget { bb84, cv }
}

/// What one quantum channel gets from the carriers.
fn scattering(scenario: &Scenario, evolution: &Evolution, quantum_nm: f64) -> Scattering {
    let link = &scenario.link;
    let quantum_thz = nm_of(quantum_nm);
    let per_hz = evolution.scattered_w_per_hz(quantum_thz, scenario.data.direction, link.temperature_k);
    let sum: f64 = per_hz.iter().sum();
    let raman_w_per_nm = sum * hertz_per_nm(quantum_thz);
    let carriers = evolution.carriers_thz().iter().zip(&per_hz);
    let mut contributions: Vec<Contribution> = carriers
        .map(|(thz, power)| Contribution {
            mechanism: "raman",
            carrier_thz: *thz,
            share: if sum > 0.0 { power / sum } else { 0.0 },
        })
        .collect();
    contributions.sort_by(|a, b| b.share.total_cmp(&a.share));
    Scattering {
        raman_w_per_nm,
        raman_photons_per_s_per_nm: raman_w_per_nm / (PLANCK * frequency_hz(quantum_nm)),
        srs_gain_db: evolution.gain_db(quantum_thz),
        loss_db: link.properties().attenuation_db_per_km(quantum_nm) * link.length_km,
        contributions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    fn at(scenario: &Scenario, quantum_nm: f64) -> Scattering {
        let mut scenario = scenario.clone();
        scenario.bb84.wavelength_nm = quantum_nm;
        budget(&scenario).bb84.scattering
    }

    #[test]
    fn the_demonstration_scatters_as_computed_elsewhere() {
        let co = at(&scenario(&[]), 1310.0);
        assert!(
            (co.raman_photons_per_s_per_nm / 3.04e6 - 1.0).abs() < 0.1,
            "{}",
            co.raman_photons_per_s_per_nm
        );
        let counter = at(&scenario(&["data.direction=counter"]), 1310.0);
        assert!(
            (counter.raman_photons_per_s_per_nm / 4.31e6 - 1.0).abs() < 0.1,
            "{}",
            counter.raman_photons_per_s_per_nm
        );
        assert!((co.loss_db - 8.19).abs() < 0.03, "loss {}", co.loss_db);
    }

    #[test]
    fn shares_sum_to_one_and_no_light_makes_no_noise() {
        let lit = at(&scenario(&[]), 1420.0);
        let sum: f64 = lit.contributions.iter().map(|contribution| contribution.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!(lit.contributions.is_sorted_by(|a, b| a.share >= b.share), "ranked");
        let dark = at(&scenario(&["data.launch_power_dbm=-200"]), 1420.0);
        assert!(dark.raman_w_per_nm < 1e-20 * lit.raman_w_per_nm, "no power, no noise");
    }

    #[test]
    fn more_power_makes_more_noise() {
        let with =
            |dbm: &str| at(&scenario(&[&format!("data.launch_power_dbm={dbm}")]), 1310.0).raman_w_per_nm;
        assert!((with("20") / with("17") - libm::pow(10.0, 0.3)).abs() < 0.1, "about 3 dB more");
    }

    #[test]
    fn the_carriers_drain_the_s_band() {
        let gain = at(&scenario(&[]), 1480.0).srs_gain_db;
        assert!((-1.1..-0.5).contains(&gain), "drained by {gain} dB");
        assert!(at(&scenario(&[]), 1310.0).srs_gain_db.abs() < 0.05, "the O band is far away");
    }
}
