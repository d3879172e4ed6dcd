//! Belief propagation on quasi-cyclic LDPC codes, layered, in fixed point.
//!
//! [`bsc`] decodes hard bits of one reliability (BB84), [`leaf`] soft bits on codes of very low
//! rate whose checks mostly carry a degree-1 leaf (CV-QKD).

pub mod bsc;
pub mod leaf;
