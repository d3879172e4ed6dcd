//! The code tables that ship, and the designers that made them.

pub mod bsc;
pub mod leaf;
