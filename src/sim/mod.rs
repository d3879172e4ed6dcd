//! The seeded world: the channel turned into raw frames of both parties.

mod random;

pub use random::{SimulatedRandom, simulated_pre_shared_key};
