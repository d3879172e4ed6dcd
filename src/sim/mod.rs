//! The seeded world: the channel turned into raw frames of both parties.
//!
//! Every frame is a pure function of scenario, seed and index, so that a pool may make frames in any
//! order. What the world knows (photon numbers, which click was noise, the channel itself) stays here;
//! a frame holds what hardware would hand over and nothing else.

mod bb84;
mod cv;
pub mod faults;
#[cfg(test)]
mod hours;
mod random;

pub use bb84::Bb84Source;
pub use cv::CvSource;
pub use random::{SimulatedRandom, simulated_pre_shared_key};

/// A ChaCha key of the world, by what it is for.
fn world_key(seed: u64, what: &str) -> [u32; 8] {
    let hash = blake3::hash(format!("keystill world {seed} {what}").as_bytes());
    let mut key = [0; 8];
    for (word, bytes) in key.iter_mut().zip(hash.as_bytes().chunks_exact(4)) {
        *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
    key
}
