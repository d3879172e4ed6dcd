//! Raman scattering between two waves of a fibre, stimulated and spontaneous.
//!
//! With Δ the waves' offset, ν_h the higher frequency and A the mean of both effective areas,
//!
//! - stimulated: C_R = c(Δ)·ν_h/A; the lower wave gains C_R·P, the higher one loses as much. The coupling c(Δ) is
//!   GNPy's, and so is the symmetry of gain and loss, which keeps energy. (Phonons carry the difference away: a wave
//!   that loses photons one by one loses Δ/ν more, 5 % across the C and L band.)
//! - spontaneous: s = 2h·ν_q·C_R·κ(Δ)·(n(Δ) + \[Stokes\]) in W/Hz per km and watt, both polarisations, with
//!   n = 1/(exp(hΔ/kT) − 1); on the anti-Stokes side times ν_q/ν_p, so that the photon-number coefficients
//!   of a pair are in detailed balance: β_AS = β_S·exp(−hΔ/kT). κ(Δ) is measured: it is what light of a comb scatters
//!   over what the profile gives.

use std::sync::LazyLock;

use super::curve::Curve;
use super::fibre::{Fibre, PLANCK, SPEED_OF_LIGHT};

/// Boltzmann's constant in J/K.
const BOLTZMANN: f64 = 1.380_649e-23;

/// Coupling by offset in THz, in m/(W·Hz).
struct Profile {
    stimulated: Curve,
    spontaneous: Curve,
}

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let text = include_str!("data/raman_profile.csv");
    let column = |y| Curve::from_csv(text, 0, y).expect("the table ships with the program");
    Profile { stimulated: column(1), spontaneous: column(2) }
});

/// κ(Δ) of standard fibre in dB by offset in THz.
static KAPPA: LazyLock<Curve> = LazyLock::new(|| {
    Curve::from_csv(include_str!("data/raman_kappa.csv"), 0, 1).expect("the table ships with the program")
});

/// κ(Δ) in dB that holds where no other was measured.
#[must_use]
pub(super) fn standard_kappa() -> &'static Curve {
    &KAPPA
}

/// Mean number of phonons: 1/(exp(hΔ/kT) − 1).
#[must_use]
pub fn phonons(offset_thz: f64, kelvin: f64) -> f64 {
    1.0 / libm::expm1(PLANCK * offset_thz.abs().max(1e-3) * 1e12 / (BOLTZMANN * kelvin))
}

impl Fibre {
    /// Stimulated gain of a wave from another, in nepers per km and watt: positive where the other has the higher
    /// frequency, negative where it has the lower one.
    #[must_use]
    pub fn raman_gain_per_km_w(&self, pump_thz: f64, wave_thz: f64) -> f64 {
        let offset = pump_thz - wave_thz;
        let gain = self.coupling(&PROFILE.stimulated, pump_thz, wave_thz);
        if offset >= 0.0 { gain } else { -gain }
    }

    /// Spontaneous scattering from a pump into a wave, both polarisations, in W/Hz per km and watt.
    #[must_use]
    pub fn raman_density_per_km_w(&self, pump_thz: f64, wave_thz: f64, kelvin: f64) -> f64 {
        let offset = pump_thz - wave_thz;
        let coupling = self.coupling(&PROFILE.spontaneous, pump_thz, wave_thz);
        let kappa = libm::pow(10.0, self.kappa_db.at(offset.abs()) / 10.0);
        let balance = if offset >= 0.0 { 1.0 } else { wave_thz / pump_thz };
        let occupied = phonons(offset, kelvin) + if offset > 0.0 { 1.0 } else { 0.0 };
        2.0 * PLANCK * wave_thz * 1e12 * coupling * kappa * balance * occupied
    }

    /// The same as a cross-section ρ in 1/(km·nm): scattered power a nanometre, a kilometre and a watt.
    #[must_use]
    pub fn raman_per_km_nm(&self, pump_nm: f64, wave_nm: f64, kelvin: f64) -> f64 {
        let thz = |nm: f64| SPEED_OF_LIGHT / nm * 1e-3;
        self.raman_density_per_km_w(thz(pump_nm), thz(wave_nm), kelvin) * hertz_per_nm(thz(wave_nm))
    }

    /// c(Δ)·ν_h/A in 1/(km·W).
    fn coupling(&self, profile: &Curve, one_thz: f64, other_thz: f64) -> f64 {
        let overlap_m2 = 0.5e-12 * (self.area_um2(one_thz) + self.area_um2(other_thz));
        let high_hz = one_thz.max(other_thz) * 1e12;
        profile.at((one_thz - other_thz).abs()) * high_hz / overlap_m2 * 1e3 * self.raman_strength
    }
}

/// Width of a nanometre at a frequency, in Hz.
#[must_use]
pub fn hertz_per_nm(thz: f64) -> f64 {
    let wavelength_m = SPEED_OF_LIGHT / (thz * 1e12);
    SPEED_OF_LIGHT / (wavelength_m * wavelength_m) * 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_sections_are_those_computed_elsewhere() {
        // Stokes rows of an independent computation with -2.15 dB of κ; anti-Stokes ones bear ν_q/ν_p besides.
        let kappa_db = Curve::new([(0.0, -2.15)]).expect("a point");
        let fibre = Fibre { kappa_db, ..Fibre::g652d() };
        for (pump, wave, rho) in [
            (1530.0, 1570.0, 4.237e-9),
            (1550.0, 1625.0, 5.178e-9),
            (1550.0, 1450.0, 1.325e-9 * 1550.0 / 1450.0),
        ] {
            let model = fibre.raman_per_km_nm(pump, wave, 300.0);
            assert!((model / rho - 1.0).abs() < 0.002, "{pump} to {wave}: {model:e} against {rho:e}");
        }
    }

    #[test]
    fn photon_numbers_are_in_detailed_balance() {
        let fibre = Fibre::g652d();
        for (high, low) in [(228.8, 193.4), (201.2, 186.2), (196.0, 191.6), (193.5, 193.0)] {
            for kelvin in [250.0, 300.0, 340.0] {
                let photons =
                    |pump: f64, wave: f64| fibre.raman_density_per_km_w(pump, wave, kelvin) * pump / wave;
                let ratio = photons(low, high) / photons(high, low);
                let boltzmann = libm::exp(-PLANCK * (high - low) * 1e12 / (BOLTZMANN * kelvin));
                assert!(
                    (ratio / boltzmann - 1.0).abs() < 1e-9,
                    "{high} and {low} THz at {kelvin} K: {ratio}"
                );
            }
        }
    }

    #[test]
    fn the_anti_stokes_side_is_a_thermometer() {
        let db =
            |kelvin: f64, nm: f64| 10.0 * libm::log10(Fibre::g652d().raman_per_km_nm(1550.0, nm, kelvin));
        assert!((db(301.0, 1310.0) - db(300.0, 1310.0) - 0.078).abs() < 0.01, "0.078 dB/K at 1310 nm");
        assert!((db(301.0, 1490.0) - db(300.0, 1490.0) - 0.027).abs() < 0.01, "0.027 dB/K at 1490 nm");
    }

    #[test]
    fn what_one_wave_gains_the_other_loses() {
        let fibre = Fibre::g652d();
        assert!(fibre.raman_gain_per_km_w(196.0, 186.0) > 0.0, "the higher frequency feeds the lower");
        let sum = fibre.raman_gain_per_km_w(196.0, 186.0) + fibre.raman_gain_per_km_w(186.0, 196.0);
        assert!(sum.abs() < 1e-15, "{sum}");
    }
}
