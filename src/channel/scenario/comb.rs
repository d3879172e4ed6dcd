//! The carriers that a scenario's bands make.

use super::{Data, Ride, Scenario};
use crate::channel::span::nm_of;

/// One data carrier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Carrier {
    /// Its centre in THz.
    pub thz: f64,
    /// Width of its slots in GHz.
    pub width_ghz: f64,
    /// Launch power in W.
    pub power_w: f64,
    /// What it carries, in Gb/s.
    pub gbit_per_s: f64,
}

impl Carrier {
    /// Whether a frequency lies in the carrier's slots.
    #[must_use]
    pub fn covers(&self, thz: f64) -> bool {
        (self.thz - thz).abs() < 0.5e-3 * self.width_ghz
    }
}

impl Scenario {
    /// All carriers that are lit on the first fibre. One whose slots would cover a quantum channel there gives way.
    #[must_use]
    pub fn carriers(&self) -> Vec<Carrier> {
        let channels = [(self.bb84.rides, self.bb84.wavelength_nm), (self.cv.rides, self.cv.wavelength_nm)];
        let here = channels.into_iter().filter(|(rides, _)| *rides == Ride::First);
        self.data.lit(&here.map(|(_, nm)| nm_of(nm)).collect::<Vec<_>>())
    }

    /// The same with so many more slots behind a band of the first fibre, each slot's power as before.
    #[must_use]
    pub fn with_slots(&self, band: usize, more: u32) -> Self {
        let mut wider = self.clone();
        if let Some(slots) = wider.data.slots.get_mut(band) {
            *slots += more;
        }
        let shared = |scenario: &Self| scenario.data.shared_ghz(&scenario.carriers());
        let (before, after) = (shared(self), shared(&wider));
        if before > 0.0 {
            wider.data.launch_power_dbm += 10.0 * libm::log10(after / before);
        }
        wider
    }
}

impl Data {
    /// The carriers that are lit and leave some frequencies free, band by band, in order inside a band.
    ///
    /// The total launch power is spread evenly over the slots of the carriers that have no power of their own.
    pub(in crate::channel) fn lit(&self, free_thz: &[f64]) -> Vec<Carrier> {
        let dark =
            |carrier: &Carrier| self.is_dark(carrier.thz) || free_thz.iter().any(|thz| carrier.covers(*thz));
        let mut lit: Vec<Carrier> = self.grid().into_iter().filter(|carrier| !dark(carrier)).collect();
        let shared = self.shared_ghz(&lit);
        for carrier in &mut lit {
            let share = watts(self.launch_power_dbm) * carrier.width_ghz / shared.max(f64::MIN_POSITIVE);
            carrier.power_w = self.own_power_w(carrier.thz).unwrap_or(share);
        }
        lit
    }

    /// The power of a carrier that has one of its own.
    fn own_power_w(&self, thz: f64) -> Option<f64> {
        let near = |given: &&[f64; 2]| (given[0] - thz).abs() < 0.5e-3 * self.slot_ghz;
        self.carrier_power_dbm.iter().find(near).map(|[_, dbm]| watts(*dbm))
    }

    /// Width in GHz over which the total launch power is spread.
    fn shared_ghz(&self, lit: &[Carrier]) -> f64 {
        lit.iter().filter(|carrier| self.own_power_w(carrier.thz).is_none()).map(|c| c.width_ghz).sum()
    }

    /// The centres of all slots in THz, band by band, dark ones too.
    #[must_use]
    pub fn slot_centres_thz(&self) -> Vec<f64> {
        let bands = self.first_slot_thz.iter().zip(&self.slots);
        bands
            .flat_map(|(first, slots)| (0..*slots).map(move |i| first + f64::from(i) * self.slot_ghz * 1e-3))
            .collect()
    }

    /// All carriers that the slots could hold, without power.
    fn grid(&self) -> Vec<Carrier> {
        let mut carriers = Vec::new();
        for (band, (first, slots)) in self.first_slot_thz.iter().zip(&self.slots).enumerate() {
            let wide = self.carriers_800g.get(band).copied().unwrap_or(0).min(slots / 2);
            let narrow = slots - 2 * wide;
            let at = |slot: f64| first + slot * self.slot_ghz * 1e-3;
            carriers.extend((0..narrow).map(|slot| self.carrier(at(f64::from(slot)), 1.0)));
            carriers.extend(
                (0..wide).map(|pair| self.carrier(at(f64::from(narrow) + 2.0 * f64::from(pair) + 0.5), 2.0)),
            );
        }
        carriers
    }

    fn carrier(&self, thz: f64, slots: f64) -> Carrier {
        Carrier { thz, width_ghz: slots * self.slot_ghz, power_w: 0.0, gbit_per_s: 400.0 * slots }
    }

    fn is_dark(&self, thz: f64) -> bool {
        self.dark_thz.iter().any(|[from, to]| (*from..=*to).contains(&thz))
    }
}

/// The power in W of a level in dBm; nothing below −150 dBm.
pub(in crate::channel) fn watts(dbm: f64) -> f64 {
    if dbm > -150.0 { libm::pow(10.0, dbm / 10.0) * 1e-3 } else { 0.0 }
}
