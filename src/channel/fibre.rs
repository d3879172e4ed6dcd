//! The fibre: attenuation, effective area, dispersion, backscatter.
//!
//! Effective area of a step-index core of radius a: 1/A(ν) = 1/A(ν₀) + ln(ν/ν₀)/(π·a²), ν₀ at 1550 nm (Gaussian
//! mode of radius a/√ln V; D'Amico et al., J. Lightwave Technol. 40, 3499 (2022), III.D).

use super::curve::Curve;
use super::raman::standard_kappa;

/// Speed of light in vacuum in m/s.
pub const SPEED_OF_LIGHT: f64 = 299_792_458.0;
/// Planck's constant in J·s.
pub const PLANCK: f64 = 6.626_070_15e-34;
/// Radius of the core in µm.
const CORE_RADIUS_UM: f64 = 4.2;
/// Where areas, dispersion and backscatter are stated, in nm.
const REFERENCE_NM: f64 = 1550.0;

/// The frequency in Hz of a wavelength in nm.
#[must_use]
pub fn frequency_hz(wavelength_nm: f64) -> f64 {
    SPEED_OF_LIGHT / (wavelength_nm * 1e-9)
}

/// A type of fibre.
#[derive(Clone, Debug, PartialEq)]
pub struct Fibre {
    /// The name in records.
    pub name: String,
    /// Attenuation by wavelength.
    pub attenuation: Attenuation,
    /// Effective area at 1550 nm in µm².
    pub effective_area_um2: f64,
    /// Raman gain of the glass over that of standard fibre of the same area.
    pub raman_strength: f64,
    /// κ(Δ) of spontaneous scattering in dB by offset in THz.
    pub kappa_db: Curve,
    /// Chromatic dispersion at 1550 nm in ps/(nm·km).
    pub dispersion_ps_per_nm_km: f64,
    /// Its slope in ps/(nm²·km).
    pub dispersion_slope_ps_per_nm2_km: f64,
    /// Nonlinear index n₂ in 10⁻²⁰ m²/W.
    pub nonlinear_index_e20_m2_per_w: f64,
    /// Rayleigh backscatter η at 1550 nm in 1/s.
    pub backscatter_per_s: f64,
    /// Group index.
    pub group_index: f64,
}

/// Attenuation by wavelength.
#[derive(Clone, Debug, PartialEq)]
pub enum Attenuation {
    /// Rayleigh scattering, infrared absorption and the water peak, fitted to catalogue values from 1260 to 1625 nm.
    Formula {
        /// Rayleigh scattering in dB·µm⁴/km.
        rayleigh: f64,
        /// What does not depend on the wavelength, in dB/km.
        floor: f64,
        /// The water peak in dB/km.
        water: f64,
    },
    /// Measured: dB/km by nm.
    Measured(Curve),
}

impl Attenuation {
    /// Whether it is known at a wavelength: that of a measured fibre only between its points.
    #[must_use]
    pub fn reaches(&self, wavelength_nm: f64) -> bool {
        match self {
            Self::Formula { .. } => true,
            Self::Measured(curve) => {
                let [low, high] = curve.ends();
                (low..=high).contains(&wavelength_nm)
            }
        }
    }
}

impl Fibre {
    /// Names of the fibres that are known without a file.
    pub const NAMES: [&'static str; 2] = ["G.652.D", "G.654.E"];

    /// A fibre that is known by its name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "G.652.D" => Some(Self::g652d()),
            "G.654.E" => Some(Self::g654e()),
            _ => None,
        }
    }

    /// Standard single-mode fibre.
    #[must_use]
    pub fn g652d() -> Self {
        Self {
            name: "G.652.D".into(),
            attenuation: Attenuation::Formula { rayleigh: 0.90, floor: 0.022, water: 0.030 },
            effective_area_um2: 83.0,
            raman_strength: 1.0,
            kappa_db: standard_kappa().clone(),
            dispersion_ps_per_nm_km: 16.7,
            dispersion_slope_ps_per_nm2_km: 0.06,
            nonlinear_index_e20_m2_per_w: 2.6,
            backscatter_per_s: 8.0,
            group_index: 1.468,
        }
    }

    /// Cut-off shifted fibre of low loss and large area, its core of pure silica.
    #[must_use]
    pub fn g654e() -> Self {
        Self {
            name: "G.654.E".into(),
            attenuation: Attenuation::Formula { rayleigh: 0.785, floor: 0.013, water: 0.06 },
            effective_area_um2: 125.0,
            raman_strength: 0.8,
            dispersion_ps_per_nm_km: 21.0,
            nonlinear_index_e20_m2_per_w: 2.2,
            backscatter_per_s: 6.54,
            group_index: 1.462,
            ..Self::g652d()
        }
    }

    /// Attenuation in dB/km.
    #[must_use]
    pub fn attenuation_db_per_km(&self, wavelength_nm: f64) -> f64 {
        match &self.attenuation {
            Attenuation::Measured(curve) => curve.at(wavelength_nm),
            Attenuation::Formula { rayleigh, floor, water } => {
                let um = wavelength_nm * 1e-3;
                let peak = |centre: f64, width: f64| {
                    libm::exp(-((wavelength_nm - centre) / width) * ((wavelength_nm - centre) / width))
                };
                let absorption = 7.81e11 * libm::exp(-48.48 / um);
                rayleigh / (um * um * um * um)
                    + floor
                    + absorption
                    + water * (0.75 * peak(1383.0, 9.0) + 0.25 * peak(1392.0, 20.0))
            }
        }
    }

    /// Attenuation in nepers of power a km.
    #[must_use]
    pub fn attenuation_per_km(&self, wavelength_nm: f64) -> f64 {
        self.attenuation_db_per_km(wavelength_nm) * std::f64::consts::LN_10 / 10.0
    }

    /// Effective area in µm².
    #[must_use]
    pub fn area_um2(&self, thz: f64) -> f64 {
        let reference_thz = frequency_hz(REFERENCE_NM) * 1e-12;
        let core = std::f64::consts::PI * CORE_RADIUS_UM * CORE_RADIUS_UM;
        1.0 / (1.0 / self.effective_area_um2 + libm::log(thz / reference_thz) / core)
    }

    /// Nonlinear coefficient γ = 2π·n₂/(λ·A) in 1/(W·km).
    #[must_use]
    pub fn nonlinearity_per_w_km(&self, thz: f64) -> f64 {
        let wavelength_m = SPEED_OF_LIGHT / (thz * 1e12);
        let area_m2 = self.area_um2(thz) * 1e-12;
        2.0 * std::f64::consts::PI * self.nonlinear_index_e20_m2_per_w * 1e-20 / (wavelength_m * area_m2)
            * 1e3
    }

    /// Group-velocity dispersion β₂ in s²/km.
    #[must_use]
    pub fn dispersion_s2_per_km(&self, wavelength_nm: f64) -> f64 {
        let d = self.dispersion_ps_per_nm_km
            + self.dispersion_slope_ps_per_nm2_km * (wavelength_nm - REFERENCE_NM);
        let wavelength_m = wavelength_nm * 1e-9;
        // ps/(nm·km) are 1e-3 s/m² a km.
        -d * 1e-3 * wavelength_m * wavelength_m / (2.0 * std::f64::consts::PI * SPEED_OF_LIGHT)
    }

    /// Share of the light that a km scatters back into the fibre's mode: 2η/v, as λ⁻⁴.
    #[must_use]
    pub fn backscatter_per_km(&self, wavelength_nm: f64) -> f64 {
        let ratio = REFERENCE_NM / wavelength_nm;
        let velocity_km_per_s = SPEED_OF_LIGHT * 1e-3 / self.group_index;
        2.0 * self.backscatter_per_s / velocity_km_per_s * ratio * ratio * ratio * ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attenuation_meets_catalogue_values() {
        for (nm, db) in [(1310.0, 0.328), (1383.0, 0.295), (1460.0, 0.223), (1550.0, 0.198), (1625.0, 0.237)]
        {
            let model = Fibre::g652d().attenuation_db_per_km(nm);
            assert!((model - db).abs() < 0.003, "{nm} nm: {model} against {db} dB/km");
        }
        assert!((Fibre::g654e().attenuation_db_per_km(1550.0) - 0.169).abs() < 0.002, "G.654.E at 1550 nm");
    }

    #[test]
    fn textbook_values_of_standard_fibre() {
        let fibre = Fibre::g652d();
        let gamma = fibre.nonlinearity_per_w_km(193.414);
        assert!((gamma - 1.27).abs() < 0.01, "γ = {gamma} /(W km)");
        let beta = fibre.dispersion_s2_per_km(1550.0) * 1e24;
        assert!((beta + 21.3).abs() < 0.1, "β₂ = {beta} ps²/km");
        let db_per_m = 10.0 * libm::log10(fibre.backscatter_per_km(1550.0) * 1e-3);
        assert!((-72.0..-70.0).contains(&db_per_m), "backscatter {db_per_m} dB/m");
    }
}
