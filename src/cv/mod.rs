//! Gaussian-modulated CV-QKD, from quadratures to soft bits, estimates and key length.

pub mod estimate;
pub mod frame;
pub mod rotation;
pub mod security;
