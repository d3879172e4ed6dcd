//! The code tables that ship, and the designers that made them.
pub mod leaf;
