//! Physics of the coexistence link: comb, fibre, Raman scattering, receivers. Pure functions in SI
//! units, wavelengths in nm, lengths in km, powers in W unless a name says otherwise.
//!
//! The engine never sees this room: it estimates from data. Only the simulator, which turns the link
//! into raw frames, and the command line name it.

mod bb84;
mod budget;
mod course;
mod curve;
mod cv;
mod drift;
mod fibre;
mod fit;
mod gsnr;
mod mixing;
mod raman;
mod scenario;
mod span;

pub use bb84::{Bb84Budget, ClickModel};
pub use budget::{Budget, Contribution, Filter, LoadedPair, LoadedSpan, Mechanism, Scattering, budget};
pub use course::Course;
pub use curve::Curve;
pub use cv::{CvBudget, Parts, converter_step, mean_power_gain, pilot_variance, second_gain, walk_variance};
pub use drift::{Drift, Event, Forecast, Weather, What};
pub use fibre::{Attenuation, Fibre, PLANCK, SPEED_OF_LIGHT, frequency_hz};
pub use fit::{KappaFit, fit_kappa};
pub use gsnr::{DataChannel, data_channels};
pub use mixing::mixed_w_per_hz;
pub use raman::{hertz_per_nm, phonons};
pub use scenario::{
    Amplifier, Bb84, Carrier, Coherent, Cv, Data, Detector, FibreTable, Filters, Link, Modem, NAMES, Noise,
    Ride, Scenario, ScenarioError, Second, SecondAmplifier, SecondData, SecondFilters, SecondLink,
    SecondModem, Signal, Switch,
};
pub use span::{Direction, Evolution, Stimulated, nm_of};
