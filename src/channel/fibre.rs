//! The fibre: attenuation, and Raman scattering from a table of measured strength.

use std::sync::LazyLock;

use ndarray::{Array1, Array2};

use super::scenario::Fibre;

/// Raman scattering of standard single-mode fibre.
const RAMAN_G652D: &str = include_str!("data/raman_g652d.csv");

/// Speed of light in vacuum in m/s.
pub const SPEED_OF_LIGHT: f64 = 299_792_458.0;
/// Planck's constant in J·s.
pub const PLANCK: f64 = 6.626_070_15e-34;
/// Boltzmann's constant in J/K.
const BOLTZMANN: f64 = 1.380_649e-23;
/// Temperature of the Raman table in K.
const TABLE_KELVIN: f64 = 300.0;

/// The frequency in Hz of a wavelength in nm.
#[must_use]
pub fn frequency_hz(wavelength_nm: f64) -> f64 {
    SPEED_OF_LIGHT / (wavelength_nm * 1e-9)
}

impl Fibre {
    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::G652D => "G.652.D",
            Self::G654E => "G.654.E",
        }
    }

    /// Attenuation in dB/km: Rayleigh scattering, infrared absorption and the water peak, fitted to
    /// catalogue values from 1260 to 1625 nm.
    #[must_use]
    pub fn attenuation_db_per_km(self, wavelength_nm: f64) -> f64 {
        let (rayleigh, floor, water) = match self {
            Self::G652D => (0.90, 0.022, 0.030),
            Self::G654E => (0.785, 0.013, 0.06),
        };
        let um = wavelength_nm * 1e-3;
        let peak = |centre: f64, width: f64| libm::exp(-libm::pow((wavelength_nm - centre) / width, 2.0));
        let absorption = 7.81e11 * libm::exp(-48.48 / um);
        rayleigh / libm::pow(um, 4.0)
            + floor
            + absorption
            + water * (0.75 * peak(1383.0, 9.0) + 0.25 * peak(1392.0, 20.0))
    }

    /// Attenuation in nepers a km.
    #[must_use]
    pub fn attenuation_per_km(self, wavelength_nm: f64) -> f64 {
        self.attenuation_db_per_km(wavelength_nm) * std::f64::consts::LN_10 / 10.0
    }

    /// Raman scattering relative to standard fibre: the core's area (83 µm² against 125 µm²), and the
    /// pure silica core's weaker gain.
    fn raman_strength(self) -> f64 {
        match self {
            Self::G652D => 1.0,
            Self::G654E => 83.0 / 125.0 * 0.8,
        }
    }

    /// Spontaneous Raman scattering from a pump into the quantum channel, both polarisations, in
    /// 1/(km·nm): scattered power a nanometre, per kilometre and watt of pump.
    ///
    /// The table is interpolated in its logarithm; another temperature T than 300 K changes the
    /// phonons' occupation n(Δ, T), or n + 1 on the Stokes side.
    #[must_use]
    pub fn raman_per_km_nm(self, pump_nm: f64, quantum_nm: f64, temperature_k: f64) -> f64 {
        let offset_hz = frequency_hz(pump_nm) - frequency_hz(quantum_nm);
        let stokes = if offset_hz > 0.0 { 1.0 } else { 0.0 };
        let phonons = |kelvin: f64| occupation(offset_hz.abs(), kelvin) + stokes;
        let scale = phonons(temperature_k) / phonons(TABLE_KELVIN);
        RamanTable::get().interpolate(pump_nm, quantum_nm) * self.raman_strength() * scale
    }

    /// Stimulated Raman gain of the quantum channel from a pump, in nepers per km and watt: positive
    /// where the quantum channel has the longer wavelength, negative where it is itself the pump.
    ///
    /// From the spontaneous strength by ρ = 2hν·g·(n + \[Stokes\])·c/λ².
    #[must_use]
    pub fn raman_gain_per_km_w(self, pump_nm: f64, quantum_nm: f64) -> f64 {
        let offset_hz = frequency_hz(pump_nm) - frequency_hz(quantum_nm);
        let stokes = if offset_hz > 0.0 { 1.0 } else { 0.0 };
        let quantum_hz = frequency_hz(quantum_nm);
        let wavelength_m = quantum_nm * 1e-9;
        let per_hz =
            self.raman_per_km_nm(pump_nm, quantum_nm, TABLE_KELVIN) * 1e9 * wavelength_m * wavelength_m
                / SPEED_OF_LIGHT;
        let gain =
            per_hz / (2.0 * PLANCK * quantum_hz * (occupation(offset_hz.abs(), TABLE_KELVIN) + stokes));
        if offset_hz > 0.0 { gain } else { -gain }
    }
}

/// Mean number of phonons: 1/(exp(hΔ/kT) − 1).
fn occupation(offset_hz: f64, kelvin: f64) -> f64 {
    1.0 / libm::expm1(PLANCK * offset_hz.max(1e9) / (BOLTZMANN * kelvin))
}

/// ρ(pump, quantum channel).
struct RamanTable {
    pump_nm: Array1<f64>,
    quantum_nm: Array1<f64>,
    /// ln ρ.
    logarithm: Array2<f64>,
}

impl RamanTable {
    fn get() -> &'static Self {
        static TABLE: LazyLock<RamanTable> = LazyLock::new(|| RamanTable::parse(RAMAN_G652D));
        &TABLE
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let numbers = |line: &str| -> Vec<f64> {
            line.split(',').skip(1).map(|cell| cell.parse().unwrap_or(f64::NAN)).collect()
        };
        let quantum_nm = Array1::from(lines.next().map(numbers).unwrap_or_default());
        let rows: Vec<(f64, Vec<f64>)> = lines
            .map(|line| {
                (line.split(',').next().and_then(|cell| cell.parse().ok()).unwrap_or(f64::NAN), numbers(line))
            })
            .collect();
        let pump_nm = rows.iter().map(|(pump, _)| *pump).collect();
        let shape = (rows.len(), quantum_nm.len());
        let cells =
            |(row, column): (usize, usize)| libm::log(rows[row].1.get(column).copied().unwrap_or(f64::NAN));
        Self { pump_nm, quantum_nm, logarithm: fill(Array2::from_shape_fn(shape, cells)) }
    }

    fn interpolate(&self, pump_nm: f64, quantum_nm: f64) -> f64 {
        let (row, down) = place(&self.pump_nm, pump_nm);
        let (column, right) = place(&self.quantum_nm, quantum_nm);
        let at = |r: usize, c: usize| self.logarithm[[r, c]];
        let upper = at(row, column) * (1.0 - right) + at(row, column + 1) * right;
        let lower = at(row + 1, column) * (1.0 - right) + at(row + 1, column + 1) * right;
        libm::exp(upper * (1.0 - down) + lower * down)
    }
}

/// Fills cells without a value from their row: pump and channel coincide there, and ρ is smooth.
fn fill(mut table: Array2<f64>) -> Array2<f64> {
    for mut row in table.rows_mut() {
        for column in 0..row.len() {
            if row[column].is_nan() {
                let known = |c: &usize| !row[*c].is_nan();
                let left = (0..column).rev().find(known).map(|c| row[c]);
                let right = (column + 1..row.len()).find(known).map(|c| row[c]);
                row[column] = match (left, right) {
                    (Some(left), Some(right)) => 0.5 * (left + right),
                    (left, right) => left.or(right).unwrap_or(f64::NEG_INFINITY),
                };
            }
        }
    }
    table
}

/// The cell that holds a value, and how far into it the value lies; clamped to the table.
fn place(axis: &Array1<f64>, value: f64) -> (usize, f64) {
    let last = axis.len() - 2;
    let cell = axis.iter().skip(1).take(last).filter(|edge| **edge <= value).count();
    let (low, high) = (axis[cell], axis[cell + 1]);
    (cell, ((value - low) / (high - low)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attenuation_meets_catalogue_values() {
        for (nm, db) in [(1310.0, 0.328), (1383.0, 0.295), (1460.0, 0.223), (1550.0, 0.198), (1625.0, 0.237)]
        {
            let model = Fibre::G652D.attenuation_db_per_km(nm);
            assert!((model - db).abs() < 0.003, "{nm} nm: {model} against {db} dB/km");
        }
        assert!((Fibre::G654E.attenuation_db_per_km(1550.0) - 0.169).abs() < 0.002, "G.654.E at 1550 nm");
    }

    #[test]
    fn raman_scattering_meets_the_table_and_its_gaps() {
        let at = |pump, quantum| Fibre::G652D.raman_per_km_nm(pump, quantum, 300.0);
        for (pump, quantum, rho) in [
            (1530.0, 1310.0, 6.7e-12),
            (1550.0, 1310.0, 3.1e-12),
            (1550.0, 1450.0, 1.3e-9),
            (1600.0, 1490.0, 9.9e-10),
        ] {
            assert!(
                (at(pump, quantum) / rho - 1.0).abs() < 0.04,
                "{pump} → {quantum}: {}",
                at(pump, quantum)
            );
        }
        assert!(at(1551.3, 1552.1).is_finite(), "also beside the pump");
        let between = at(1532.5, 1310.0);
        assert!(at(1535.0, 1310.0).min(at(1530.0, 1310.0)) <= between, "interpolated between rows");
    }

    #[test]
    fn the_anti_stokes_side_is_a_thermometer() {
        let db = |kelvin: f64, nm: f64| 10.0 * libm::log10(Fibre::G652D.raman_per_km_nm(1550.0, nm, kelvin));
        assert!((db(301.0, 1310.0) - db(300.0, 1310.0) - 0.078).abs() < 0.01, "0.078 dB/K at 1310 nm");
    }

    #[test]
    fn gain_is_positive_below_the_pump_and_negative_above() {
        assert!(Fibre::G652D.raman_gain_per_km_w(1530.0, 1620.0) > 0.0, "the pump feeds longer waves");
        assert!(Fibre::G652D.raman_gain_per_km_w(1550.0, 1460.0) < 0.0, "and drains shorter ones");
    }
}
