//! Decoy-state BB84, from detections to sifted bits, estimates and key length.

pub mod frame;
pub mod security;
