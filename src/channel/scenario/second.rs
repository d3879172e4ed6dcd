//! The second fibre of the pair: what of it differs from the first.

use serde::{Deserialize, Serialize};

use super::{Amplifier, Data, Direction, FibreTable, Filters, Link, Modem, Ride, Scenario, Signal};

/// A section whose values may all be left out: those are the first fibre's.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident of $whole:ident: $($field:ident: $kind:ty),*; $($inner:ident: $section:ident),*) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $(
                #[doc = concat!("[`", stringify!($whole), "::", stringify!($field), "`], if it differs.")]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$kind>,
            )*
            $(
                #[doc = concat!("[`", stringify!($whole), "::", stringify!($inner), "`], where it differs.")]
                pub $inner: $section,
            )*
        }

        impl $name {
            fn over(&self, first: &$whole) -> $whole {
                let mut whole = first.clone();
                $(if let Some(own) = &self.$field { whole.$field.clone_from(own); })*
                $(whole.$inner = self.$inner.over(&first.$inner);)*
                whole
            }
        }
    };
}

section! {
    /// [`Link`] of the second fibre.
    SecondLink of Link: length_km: f64, fibre: String, temperature_k: f64;
}

section! {
    /// [`Data`] of the second fibre.
    SecondData of Data: direction: Direction, launch_power_dbm: f64, slot_ghz: f64, first_slot_thz: Vec<f64>,
        slots: Vec<u32>, carriers_800g: Vec<u32>, dark_thz: Vec<[f64; 2]>, carrier_power_dbm: Vec<[f64; 2]>;
        modem: SecondModem
}

section! {
    /// [`Modem`] of the second fibre.
    SecondModem of Modem: occupancy: f64, transceiver_snr_db: f64, required_gsnr_400g_db: f64,
        required_gsnr_800g_db: f64, preamplifier_noise_figure_db: f64;
}

section! {
    /// [`Amplifier`] of the second fibre.
    SecondAmplifier of Amplifier: noise_figure_db: f64, gain_db: f64, roll_off_db: f64;
}

section! {
    /// [`Filters`] at the ends of the second fibre; those of the receivers stay with the receivers.
    SecondFilters of Filters: mux_isolation_db: f64, add_loss_db: f64, drop_loss_db: f64;
}

/// The second fibre of the pair. What is left out is the first one's, its light running the other way.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Second {
    /// The fibre.
    pub link: SecondLink,
    /// Properties of a fibre that is not known by its name: the whole section, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fibre: Option<FibreTable>,
    /// Its data carriers; without a direction of their own they run against the first fibre's.
    pub data: SecondData,
    /// Other light in it: the whole list, where there is one; directions are seen from the quantum channels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<Vec<Signal>>,
    /// Its data's booster.
    pub amplifier: SecondAmplifier,
    /// The filters at its ends.
    pub filters: SecondFilters,
}

impl Scenario {
    /// One fibre of the pair, as the first one of a scenario: the channels that ride it ride the first there.
    #[must_use]
    pub fn on(&self, fibre: Ride) -> Self {
        if fibre == Ride::First {
            return self.clone();
        }
        let second = &self.second;
        let mut alone = Self { second: Second::default(), ..self.clone() };
        alone.link = second.link.over(&self.link);
        alone.data = second.data.over(&self.data);
        alone.data.direction = second.data.direction.unwrap_or(self.data.direction.opposite());
        alone.amplifier = second.amplifier.over(&self.amplifier);
        alone.filters = second.filters.over(&self.filters);
        if let Some(own) = &second.fibre {
            alone.fibre.clone_from(own);
        }
        match &second.signal {
            Some(own) => alone.signal.clone_from(own),
            None => alone.signal.iter_mut().for_each(|signal| signal.direction = signal.direction.opposite()),
        }
        alone.bb84.rides = self.bb84.rides.other();
        alone.cv.rides = self.cv.rides.other();
        alone
    }

    /// The fibres worth telling of: those with a quantum channel, and both where the second one is not the first
    /// one's mirror image.
    #[must_use]
    pub fn fibres(&self) -> Vec<Ride> {
        let own = self.second != Second::default();
        let told = |ride: &Ride| own || self.bb84.rides == *ride || self.cv.rides == *ride;
        [Ride::First, Ride::Second].into_iter().filter(told).collect()
    }
}
