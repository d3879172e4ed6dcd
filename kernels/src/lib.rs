//! The kernels of keystill: every SIMD instruction and every `unsafe` block of the project.
//!
//! A kernel takes slices and an [`Isa`], writes into slices that the caller owns, allocates
//! nothing, starts no thread, and knows no key, block or role. Each folder is one kernel:
//! `mod.rs` holds the contract and the measured table, `scalar.rs` the reference (short, slow,
//! obviously right), the other files one instruction set each, where it pays.
//!
//! | room | computes |
//! |---|---|
//! | [`bits`] | exclusive or, parity, population count, bit gathering |
//! | [`clicks`] | detections: which count, their bits, how their gates are told |
//! | [`gf2x`] | products of polynomials over GF(2) |
//! | [`gf128`] | polynomial hashing over GF(2^128) |
//! | [`ldpc`] | belief propagation on quasi-cyclic codes |
//! | [`rotation`] | multidimensional rotations of CV reconciliation |
//! | [`slices`] | Gaussian values in cells, and soft bits of their numbers |
//! | [`noise`] | counter-mode random words and Gaussian samples for the simulated world |
//! | [`parity`] | parities of ranges and subsets, woven permutations of bits |
//! | [`wipe`] | overwriting that is not optimised away |
//! | [`os`] | read-only file maps, huge pages, locked memory, the allocator's settings |

#![allow(
    clippy::cast_possible_truncation,
    clippy::modulo_one,
    clippy::cast_sign_loss,
    clippy::missing_panics_doc,
    clippy::needless_range_loop,
    reason = "kernels cut words into halves and index several slices at once; their contracts say when they panic"
)]

#[macro_use]
mod isa;

pub mod bits;
pub mod clicks;
pub mod gf128;
pub mod gf2x;
pub mod ldpc;
pub mod noise;
pub mod os;
pub mod parity;
pub mod rotation;
pub mod slices;
mod wipe;

pub use isa::{Isa, UnknownIsa};
pub use wipe::{Wipeable, wipe};
