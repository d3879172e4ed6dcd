//! Physics of the coexistence link: comb, fibre, Raman scattering, receivers. Pure functions in SI
//! units, wavelengths in nm, lengths in km, powers in W unless a name says otherwise.
//!
//! The engine never sees this room: it estimates from data. Only the simulator, which turns the link
//! into raw frames, and the command line name it.

mod bb84;
mod budget;
mod curve;
mod cv;
mod fibre;
mod raman;
mod scenario;
mod span;

pub use bb84::{Bb84Budget, ClickModel};
pub use budget::{Budget, Contribution, Scattering, budget};
pub use curve::Curve;
pub use cv::CvBudget;
pub use fibre::{Attenuation, Fibre, PLANCK, SPEED_OF_LIGHT, frequency_hz};
pub use raman::{hertz_per_nm, phonons};
pub use scenario::{Bb84, Cv, Data, Link, NAMES, Scenario, ScenarioError};
pub use span::{Direction, Evolution, Stimulated, nm_of};
