//! From two noisy strings to one key without sessions: the stages one by one, both sides in one process.
//!
//! `cargo run --release --example offline_distill`
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of an example are small"
)]

use std::sync::Arc;

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::{BitBlock, Llrs};
use keystill::ledger::Ledger;
use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
use keystill::reconcile::{Method, Plan, Task};
use keystill::stage::loopback::Loopback;
use keystill::stage::{Workbench, converse};
use keystill::verify::{self, Candidate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (alice, bob) = noisy_strings(1 << 19, 30);
    let (bits, qber) = (alice.len(), 0.03);
    let mut bench = Workbench::new(Isa::best());
    let mut ledger = Ledger::new();

    // Reconcile, frame by frame: both halves talk until Bob's bits are Alice's, and book every message.
    let plan = Plan::choose_hard(Method::Ldpc, qber, bits)?;
    let (mut kept, mut corrected) = (Vec::new(), Vec::new());
    for (number, first) in (0..).zip((0..bits).step_by(plan.frame_bits())) {
        let cut = first..bits.min(first + plan.frame_bits());
        let llrs = Llrs::Hard { bits: bob.slice(cut.clone()), error_probability: qber };
        let mut reference = Task::reference(&plan, alice.slice(cut))?.converse();
        let mut corrector = Task::corrector(&plan, llrs)?.converse();
        let mut talk = Loopback::new();
        let (own, other) = talk.hold(&mut bench, &mut *reference, &mut *corrector)?;
        ledger.absorb(&talk.first.ledger);
        // A frame that was given up leaves on both sides.
        if let (Some(own), Some(other)) = (own.bits, other.bits) {
            kept.push((number, own));
            corrected.push((number, other));
        }
    }

    // Verify: only what passes can be amplified.
    let candidate = |frames| Candidate { block: 0, frames };
    let mut reference = converse(verify::Reference::new(candidate(kept), Arc::new(OperatingSystem)));
    let mut corrector = converse(verify::Corrector::new(candidate(corrected)));
    let mut talk = Loopback::new();
    let (alice, bob) = talk.hold(&mut bench, &mut *reference, &mut *corrector)?;
    ledger.absorb(&talk.first.ledger);
    println!("{} bits verified, {} disclosed", alice.bits().len(), ledger.disclosed_bits());

    // How long the key may be is for a proof to say, from a block's counts: see `keystill::bb84::security`.
    // Here: phase errors as frequent as bit errors, no finite-size terms.
    let entropy = -qber * qber.log2() - (1.0 - qber) * (1.0 - qber).log2();
    let left = alice.bits().len() as f64 * (1.0 - entropy) - ledger.disclosed_bits() as f64;
    let length = left.max(0.0) as usize;

    // Amplify with a fresh public seed.
    let hash = Toeplitz::new(Matrix::Modified, alice.bits().len(), length)?;
    let mut seed = vec![0; hash.seed_bits().div_ceil(8)];
    OperatingSystem.draw(Draw { block: 0, purpose: Purpose::AmplificationSeed, index: 0 }, &mut seed)?;
    let seed = BitBlock::from_bytes(&seed, hash.seed_bits());
    let (ours, theirs) =
        (hash.hash(Isa::best(), alice.bits(), &seed)?, hash.hash(Isa::best(), bob.bits(), &seed)?);
    assert!(ours == theirs, "both sides hold the same key");
    println!("both sides hold the same {} bits of key", ours.len());
    Ok(())
}

/// Two strings of which `per_thousand` bits in a thousand differ.
fn noisy_strings(bits: usize, per_thousand: u64) -> (BitBlock, BitBlock) {
    let mut state = 1u64;
    let mut dice = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let alice: Vec<bool> = (0..bits).map(|_| dice(2) == 1).collect();
    let bob: Vec<bool> = alice.iter().map(|bit| *bit != (dice(1000) < per_thousand)).collect();
    (BitBlock::from_bools(&alice), BitBlock::from_bools(&bob))
}
