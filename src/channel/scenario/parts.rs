//! The parts of a scenario that a file may leave out: what each then is stands at its default.

use serde::{Deserialize, Serialize};

use super::{Attenuation, Curve, Direction, Fibre};

/// Whether something is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    #[default]
    On,
    /// It is not.
    Off,
}

impl Switch {
    /// Whether it is there.
    #[must_use]
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Which fibre of the pair a quantum channel rides: Alice's end is the same for both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ride {
    /// The one whose data runs as `data.direction` says.
    #[default]
    First,
    /// The other one: the same light, all of it the other way, but for what the section `second` says.
    Second,
}

impl Ride {
    /// The name in records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
        }
    }

    /// The other fibre of the pair.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// Which noises there are; all of them unless switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Noise {
    /// Spontaneous Raman scattering.
    pub raman: Switch,
    /// Stimulated Raman scattering among the carriers and of the quantum channels.
    pub stimulated: Switch,
    /// Rayleigh backscatter of light that runs against a quantum channel, through its receiver's filter.
    pub rayleigh: Switch,
    /// Light that runs with a quantum channel, through its receiver's filter.
    pub leakage: Switch,
    /// Spontaneous emission of the data's booster.
    pub amplifier: Switch,
    /// Products of the carriers' four-wave mixing.
    pub four_wave_mixing: Switch,
}

/// The data's booster.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Amplifier {
    /// Noise figure in dB.
    pub noise_figure_db: f64,
    /// Gain in dB.
    pub gain_db: f64,
    /// How far its emission falls outside its band (1525 to 1628 nm), in dB.
    pub roll_off_db: f64,
}

impl Default for Amplifier {
    fn default() -> Self {
        Self { noise_figure_db: 5.5, gain_db: 20.0, roll_off_db: 25.0 }
    }
}

/// What keeps the data out of the quantum receivers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filters {
    /// What the multiplexer takes from the booster's emission at a quantum wavelength, in dB.
    pub mux_isolation_db: f64,
    /// What the BB84 receiver's filters take from light far outside their passband, in dB.
    pub bb84_isolation_db: f64,
    /// The same of the CV receiver, the selectivity of its local oscillator included.
    pub cv_isolation_db: f64,
    /// Passband of the CV receiver in nm.
    pub cv_passband_nm: f64,
    /// What the add filter takes from a quantum channel in front of the fibre, in dB.
    pub add_loss_db: f64,
    /// What the drop filter behind the fibre takes from a quantum channel and from the noise in it, in dB.
    pub drop_loss_db: f64,
}

impl Default for Filters {
    fn default() -> Self {
        Self {
            mux_isolation_db: 70.0,
            bb84_isolation_db: 140.0,
            cv_isolation_db: 150.0,
            cv_passband_nm: 0.1,
            add_loss_db: 0.0,
            drop_loss_db: 0.0,
        }
    }
}

/// Other light in the fibre beside the data: synchronisation, a pilot, a service channel.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// The name in records.
    pub name: String,
    /// Wavelength in nm.
    pub wavelength_nm: f64,
    /// Power at the fibre's input in dBm.
    pub power_dbm: f64,
    /// Which way it runs, seen from the quantum channels.
    pub direction: Direction,
}

/// The transceivers of the data carriers.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Modem {
    /// Symbol rate over the width of the carrier's slots.
    pub occupancy: f64,
    /// The signal-to-noise ratio that the transceivers themselves allow, in dB.
    pub transceiver_snr_db: f64,
    /// GSNR that a carrier of 400 Gb/s needs, in dB in its symbol rate.
    pub required_gsnr_400g_db: f64,
    /// The same of 800 Gb/s.
    pub required_gsnr_800g_db: f64,
    /// Noise figure of the preamplifier behind the fibre, in dB.
    pub preamplifier_noise_figure_db: f64,
}

impl Default for Modem {
    fn default() -> Self {
        Self {
            occupancy: 0.85,
            transceiver_snr_db: 22.0,
            required_gsnr_400g_db: 16.0,
            required_gsnr_800g_db: 16.5,
            preamplifier_noise_figure_db: 5.5,
        }
    }
}

/// What BB84 detectors do besides counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detector {
    /// Width at half maximum of the arrival times, source and detector together, in ps.
    pub jitter_ps: f64,
    /// How far the gate's centre is off, in ps.
    pub timing_offset_ps: f64,
    /// How far the detectors' efficiencies differ: detector 0 has 1 + this, detector 1 has 1 − this.
    pub mismatch: f64,
}

/// What a coherent receiver does besides mixing.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Coherent {
    /// Linewidth of both lasers together, in kHz.
    pub linewidth_khz: f64,
    /// Time between the pilot and the signal that it corrects, in ns.
    pub pilot_delay_ns: f64,
    /// Signal-to-noise ratio of the pilot in dB.
    pub pilot_snr_db: f64,
    /// Relative difference of the gains of x and p.
    pub imbalance: f64,
    /// Angle by which x and p miss 90°, in degrees.
    pub imbalance_deg: f64,
    /// Bits of the converter; 0 for an ideal one.
    pub adc_bits: u32,
    /// Half its range, in square roots of shot-noise units.
    pub adc_range: f64,
}

impl Default for Coherent {
    fn default() -> Self {
        Self {
            linewidth_khz: 0.0,
            pilot_delay_ns: 0.0,
            pilot_snr_db: 200.0,
            imbalance: 0.0,
            imbalance_deg: 0.0,
            adc_bits: 0,
            adc_range: 12.0,
        }
    }
}

/// A fibre from a file; what is left out, or zero, is that of G.652.D.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FibreTable {
    /// The name.
    pub name: String,
    /// Measured attenuation: nm and dB/km.
    pub attenuation: Vec<[f64; 2]>,
    /// Effective area at 1550 nm in µm².
    pub effective_area_um2: f64,
    /// Raman gain of the glass over that of standard fibre of the same area.
    pub raman_strength: f64,
    /// Measured κ(Δ): THz and dB. Beyond the last, that of G.652.D.
    pub kappa: Vec<[f64; 2]>,
    /// Chromatic dispersion at 1550 nm in ps/(nm·km).
    pub dispersion_ps_per_nm_km: f64,
    /// Nonlinear index n₂ in 10⁻²⁰ m²/W.
    pub nonlinear_index_e20_m2_per_w: f64,
    /// Rayleigh backscatter η at 1550 nm in 1/s.
    pub backscatter_per_s: f64,
}

impl FibreTable {
    pub(super) fn build(&self) -> Fibre {
        let standard = Fibre::g652d();
        let curve = |points: &[[f64; 2]]| Curve::new(points.iter().map(|[x, y]| (*x, *y)));
        let or = |value: f64, otherwise: f64| if value > 0.0 { value } else { otherwise };
        Fibre {
            name: self.name.clone(),
            attenuation: curve(&self.attenuation).map_or(standard.attenuation, Attenuation::Measured),
            effective_area_um2: or(self.effective_area_um2, standard.effective_area_um2),
            raman_strength: or(self.raman_strength, standard.raman_strength),
            kappa_db: self.kappa(standard.kappa_db),
            dispersion_ps_per_nm_km: or(self.dispersion_ps_per_nm_km, standard.dispersion_ps_per_nm_km),
            dispersion_slope_ps_per_nm2_km: standard.dispersion_slope_ps_per_nm2_km,
            nonlinear_index_e20_m2_per_w: or(
                self.nonlinear_index_e20_m2_per_w,
                standard.nonlinear_index_e20_m2_per_w,
            ),
            backscatter_per_s: or(self.backscatter_per_s, standard.backscatter_per_s),
            group_index: standard.group_index,
        }
    }

    /// κ as far as it was measured, and then the standard one: constant, a spectrum beside the pump would tell of the O band.
    fn kappa(&self, standard: Curve) -> Curve {
        let measured = self.kappa.iter().map(|[thz, db]| (*thz, *db));
        let last = self.kappa.iter().map(|[thz, _]| *thz).fold(f64::NEG_INFINITY, f64::max);
        let beyond = standard.points().filter(|(thz, _)| *thz > last);
        Curve::new(measured.chain(beyond)).unwrap_or(standard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_kappa_holds_where_it_was_measured() {
        let table = FibreTable { kappa: vec![[1.0, -5.0], [9.0, -6.0]], ..FibreTable::default() };
        let (own, standard) = (table.build().kappa_db, Fibre::g652d().kappa_db);
        assert!((own.at(5.0) + 5.5).abs() < 1e-12 && (own.at(0.5) + 5.0).abs() < 1e-12, "as measured");
        for thz in [32.0, 34.0, 40.0] {
            assert!((own.at(thz) - standard.at(thz)).abs() < 1e-12, "standard at {thz} THz");
        }
        assert_eq!(FibreTable::default().build().kappa_db, standard, "nothing measured");
    }
}
