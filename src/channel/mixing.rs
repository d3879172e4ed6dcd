//! Four-wave mixing of the carriers into a dark slot.
//!
//! Density at the fibre's end (Gaussian-noise model): with G the carriers' density at the input,
//!
//! ```text
//! S(f) = 16/27·γ²·e^(−αL)·∬ G(f₁)·G(f₂)·G(f₁+f₂−f)·|(1 − e^(−αL + jΔβL))/(α − jΔβ)|² df₁ df₂,
//! Δβ = 4π²·β₂·(f₁ − f)·(f₂ − f)
//! ```
//!
//! Poggiolini, J. Lightwave Technol. 30, 3857 (2012). Carriers near the slot are cut finer than those far from it;
//! the oscillation of the last factor is averaged over a cell.

use super::fibre::Fibre;
use super::scenario::Carrier;
use super::span::nm_of;

/// Cells of a carrier near the slot.
const FINE: u32 = 8;
/// Carriers this many widths away are near.
const NEAR: f64 = 6.0;

/// A piece of a carrier.
struct Cell {
    carrier: usize,
    /// Offset from the slot in THz.
    offset_thz: f64,
    width_thz: f64,
}

/// Density of the products at a frequency, in W/Hz, both polarisations, by the first of the three carriers.
///
/// O(carriers²).
#[must_use]
pub fn mixed_w_per_hz(fibre: &Fibre, carriers: &[Carrier], length_km: f64, slot_thz: f64) -> Vec<f64> {
    let mut mixed = vec![0.0; carriers.len()];
    if !is_reached(carriers, slot_thz) {
        return mixed;
    }
    let mut order: Vec<usize> = (0..carriers.len()).collect();
    order.sort_by(|a, b| carriers[*a].thz.total_cmp(&carriers[*b].thz));
    let density = |carrier: &Carrier| carrier.power_w / (carrier.width_ghz * 1e9);
    let third = |thz: f64| {
        let above = order.partition_point(|place| carriers[*place].thz < thz);
        let near = [above.checked_sub(1), Some(above)].into_iter().flatten().filter_map(|i| order.get(i));
        near.map(|place| &carriers[*place]).find(|carrier| carrier.covers(thz)).map_or(0.0, density)
    };
    let kernel = Kernel::new(fibre, length_km, slot_thz);
    let cells = cells(carriers, slot_thz);
    for one in &cells {
        for other in &cells {
            let product = third(slot_thz + one.offset_thz + other.offset_thz);
            if product > 0.0 {
                mixed[one.carrier] += kernel.at(one, other)
                    * product
                    * density(&carriers[one.carrier])
                    * density(&carriers[other.carrier]);
            }
        }
    }
    mixed
}

/// Whether any f₁ + f₂ − f₃ can fall on a frequency.
fn is_reached(carriers: &[Carrier], slot_thz: f64) -> bool {
    let low = carriers.iter().map(|c| c.thz - 0.5e-3 * c.width_ghz).fold(f64::INFINITY, f64::min);
    let high = carriers.iter().map(|c| c.thz + 0.5e-3 * c.width_ghz).fold(f64::NEG_INFINITY, f64::max);
    (2.0 * low - high..=2.0 * high - low).contains(&slot_thz)
}

fn cells(carriers: &[Carrier], slot_thz: f64) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (place, carrier) in carriers.iter().enumerate() {
        let width = carrier.width_ghz * 1e-3;
        let near = (carrier.thz - slot_thz).abs() < NEAR * width;
        let pieces = if near { FINE } else { 1 };
        let piece = width / f64::from(pieces);
        let first = carrier.thz - slot_thz - 0.5 * width + 0.5 * piece;
        cells.extend((0..pieces).map(|i| Cell {
            carrier: place,
            offset_thz: first + f64::from(i) * piece,
            width_thz: piece,
        }));
    }
    cells
}

/// All of the integrand but the densities, times a cell's area.
struct Kernel {
    /// 16/27·γ²·e^(−αL) in 1/(W·km)².
    strength: f64,
    attenuation: f64,
    length_km: f64,
    /// 4π²β₂ in 1/(THz²·km).
    mismatch: f64,
}

impl Kernel {
    fn new(fibre: &Fibre, length_km: f64, slot_thz: f64) -> Self {
        let gamma = fibre.nonlinearity_per_w_km(slot_thz);
        let attenuation = fibre.attenuation_per_km(nm_of(slot_thz));
        let square = 4.0 * std::f64::consts::PI * std::f64::consts::PI;
        Self {
            strength: 16.0 / 27.0 * gamma * gamma * libm::exp(-attenuation * length_km),
            attenuation,
            length_km,
            mismatch: square * fibre.dispersion_s2_per_km(nm_of(slot_thz)) * 1e24,
        }
    }

    fn at(&self, one: &Cell, other: &Cell) -> f64 {
        let delta = self.mismatch * one.offset_thz * other.offset_thz;
        let lost = libm::exp(-self.attenuation * self.length_km);
        let turns = |width: f64, offset: f64| 0.5 * self.mismatch * self.length_km * width * offset;
        let ripple =
            sinc(turns(one.width_thz, other.offset_thz)) * sinc(turns(other.width_thz, one.offset_thz));
        let numerator = 1.0 + lost * lost - 2.0 * lost * libm::cos(delta * self.length_km) * ripple;
        let area_hz2 = one.width_thz * other.width_thz * 1e24;
        self.strength * numerator / (self.attenuation * self.attenuation + delta * delta) * area_hz2
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-6 { 1.0 } else { libm::sin(x) / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comb(notch_ghz: f64, power_dbm: f64) -> Vec<Carrier> {
        let power_w = libm::pow(10.0, power_dbm / 10.0) * 1e-3;
        let all = (0..118).map(|slot| Carrier {
            thz: 186.2 + 0.075 * f64::from(slot),
            width_ghz: 75.0,
            power_w,
            gbit_per_s: 400.0,
        });
        all.filter(|carrier| (carrier.thz - 190.625).abs() > (notch_ghz + 37.0) * 1e-3).collect()
    }

    fn density(notch_ghz: f64, power_dbm: f64) -> f64 {
        mixed_w_per_hz(&Fibre::g652d(), &comb(notch_ghz, power_dbm), 25.0, 190.625).iter().sum()
    }

    #[test]
    fn a_wider_notch_and_less_power_mix_less() {
        let widths = [37.5, 75.0, 150.0, 300.0].map(|notch| density(notch, -3.7));
        assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
        assert!(widths[0] / widths[3] > 20.0, "a guard band helps: {widths:?}");
        let cubed = density(75.0, -2.7) / density(75.0, -3.7);
        assert!((10.0 * libm::log10(cubed) - 3.0).abs() < 1e-6, "3 dB a dB");
    }

    #[test]
    fn finer_cells_change_little() {
        let (fibre, carriers) = (Fibre::g652d(), comb(37.5, -3.7));
        let coarse: f64 = mixed_w_per_hz(&fibre, &carriers, 25.0, 190.625).iter().sum();
        let halves: Vec<Carrier> = carriers
            .iter()
            .flat_map(|c| {
                [-1.0, 1.0].map(|side| Carrier {
                    thz: c.thz + side * 0.25e-3 * c.width_ghz,
                    width_ghz: 0.5 * c.width_ghz,
                    power_w: 0.5 * c.power_w,
                    ..*c
                })
            })
            .collect();
        let fine: f64 = mixed_w_per_hz(&fibre, &halves, 25.0, 190.625).iter().sum();
        assert!((fine / coarse - 1.0).abs() < 0.1, "{fine:e} against {coarse:e}");
    }

    #[test]
    fn far_from_the_carriers_nothing_mixes() {
        let carriers = comb(75.0, 0.0);
        let far: f64 = mixed_w_per_hz(&Fibre::g652d(), &carriers, 25.0, 228.8).iter().sum();
        assert!(far.abs() < 1e-300, "the O band is out of reach");
    }
}
