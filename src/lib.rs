//! keystill distils the raw data of quantum key distribution into secret key.
//!
//! # The rooms, by floor
//!
//! A room imports rooms of lower floors only; rooms on one floor do not import each other unless
//! a line says so.
//!
//! | floor | rooms |
//! |---|---|
//! | 11 | the command line |
//! | 10 | [`sim`] (feature `sim`) |
//! | 9 | [`pipeline`] |
//! | 8 | [`session`] · [`store`] |
//! | 7 | [`amplify`] |
//! | 6 | [`verify`] · [`bb84`] · [`cv`] |
//! | 5 | [`reconcile`] · [`protocol`] |
//! | 4 | [`stage`] · [`auth`] |
//! | 3 | [`wire`] |
//! | 2 | [`bits`] |
//! | 1 | `keystill-kernels` · [`ledger`] · [`bounds`] · [`channel`] (feature `sim`, apart) |
#![forbid(unsafe_code)]

pub mod amplify;
pub mod auth;
pub mod bb84;
pub mod bits;
pub mod bounds;
#[cfg(feature = "sim")]
pub mod channel;
pub mod cv;
pub mod ledger;
pub mod pipeline;
pub mod protocol;
pub mod reconcile;
pub mod session;
#[cfg(feature = "sim")]
pub mod sim;
pub mod stage;
pub mod store;
pub mod verify;
pub mod wire;

pub use keystill_kernels::{Isa, UnknownIsa};
