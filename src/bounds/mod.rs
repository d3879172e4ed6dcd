//! Tail bounds: what a count says about an expectation, and how surely.
//!
//! Each bound is one function with one claim: "the truth lies beyond the returned value with
//! probability at most ε". All fail safe: rounding goes outward, an ε at or below zero gives the
//! trivial bound, an undefined input gives no key. [`Real`] carries counts beyond 2⁵³.
//!
//! | bound | says | assumes |
//! |---|---|---|
//! | [`hoeffding`] | observed → expected | independent, bounded summands |
//! | [`chernoff`] | observed → expected and back | independent 0/1 summands, any means |
//! | [`serfling`], [`hypergeometric`] | sample → rest of the population | sampling without replacement |
//! | [`binomial`] | observed → rate (Clopper–Pearson) | independent trials |
//! | [`kato`] | observed → sum of conditional expectations | 0 ≤ ξ ≤ 1 in any dependence |
//! | [`gauss`] | mean square → variance (χ²), quantiles of the normal law | Gaussian noise |
#![expect(
    clippy::cast_precision_loss,
    reason = "counts become doubles only where a margin covers the rounding"
)]

pub mod binomial;
pub mod chernoff;
pub mod gauss;
pub mod hoeffding;
pub mod hypergeometric;
pub mod kato;
mod real;
pub mod serfling;
mod stirling;

pub use real::{Real, binary_entropy};
