//! One-way reconciliation with quasi-cyclic LDPC codes on the binary symmetric channel.
//!
//! The reference side sends the syndrome of its bits; the correcting side finds the bits nearest to its
//! own that have it. A first shot that fails costs an increment, not the frame: the reference side tells the
//! parities of half checks, first 1/64 of the first shot, later more (eight in all, together 15/32 of it), then
//! key bits at places that both know beforehand, in up to sixteen steps of a sixty-fourth of the frame.
//! The decoder starts again with what it learned. After that the frame is given up.
//!
//! The rate fits the error rate, not the other way round: a code is built for every number of block rows
//! ([`codes::bsc`](super::codes::bsc)), and some of its half checks are told too, so that between 0.3 % and
//! 11 % the leak follows the estimate in steps of 64 bits. So does the length: a code has 256 to 511 block columns, fewer
//! below 65 536 bits, whose lift goes with the frame, and what is missing up to the next 4096 bits is filled up with known zeros.
//!
//! *Interleaving.* The bits of a frame are spread over the code word so that bursts, and bits that are known, fall on
//! all block columns alike.
//!
//! *Books.* The syndrome's bits are [`Disclosure::Syndrome`](crate::ledger::Disclosure::Syndrome); those of increments
//! [`Increment`](crate::ledger::Disclosure::Increment); each answer of the correcting side, that it is done, wants
//! more or gives up, one bit: [`Verdict`](crate::ledger::Disclosure::Verdict).
//! Each is booked by who sends and by who receives.
//!
//! ```text
//! reference → corrector   syndrome: bit string; then per increment further syndrome or key bits: bit string
//! corrector → reference   0 done · 1 more · 2 given up
//! ```

mod chain;
mod corrector;
mod elsewhere;
mod interleaver;
mod plan;
mod reference;
mod shot;
#[cfg(test)]
mod tests;

use crate::stage::{Abort, Fault};

pub use corrector::Corrector;
pub use elsewhere::answer;
pub use plan::{MOST_QBER, Plan, expected_leak_bits};
pub use reference::{Reference, Syndrome};
pub use shot::{Decoded, Shot};

fn wrong_length(plan: &Plan, bits: usize) -> Fault {
    Abort::Unusable { reason: format!("a frame of {bits} bits for a plan of {}", plan.frame_bits()) }.into()
}
