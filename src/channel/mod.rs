//! Physics of the coexistence link: comb, fibre, Raman scattering, receivers. Pure functions in SI
//! units, wavelengths in nm, lengths in km, powers in W unless a name says otherwise.
//!
//! The engine never sees this room: it estimates from data. Only the simulator, which turns the link
//! into raw frames, and the command line name it.

mod bb84;
mod budget;
mod cv;
mod fibre;
mod scenario;

pub use bb84::{Bb84Budget, ClickModel};
pub use budget::{Budget, Contribution, Scattering, budget};
pub use cv::CvBudget;
pub use fibre::{PLANCK, SPEED_OF_LIGHT, frequency_hz};
pub use scenario::{Bb84, Cv, Data, Direction, Fibre, Link, NAMES, Scenario, ScenarioError};
