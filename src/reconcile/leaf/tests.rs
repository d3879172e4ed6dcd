//! A frame's way through both stages, on a Gaussian channel of unit norms.

use std::sync::atomic::Ordering;

use super::*;
use crate::stage::{Asked, Fault, Job, Stage, Step, Workbench};

struct Noise(u64);

impl Noise {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn uniform(&mut self) -> f64 {
        ((self.word() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn gaussian(&mut self) -> f64 {
        libm::sqrt(-2.0 * libm::log(self.uniform())) * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

/// Random bits, and what a binary-input Gaussian channel of this SNR says of them.
pub(super) fn frame(plan: Plan, snr: f64, seed: u64) -> (BitBlock, Llrs) {
    let mut noise = Noise(seed);
    let words = (0..plan.frame_bits() / 64).map(|_| noise.word()).collect();
    let bits = BitBlock::from_words(words, plan.frame_bits());
    let soft = (0..bits.len()).map(|i| {
        let sent = if bits.bit(i) { -1.0 } else { 1.0 };
        let ratio = 2.0 * snr * (sent + noise.gaussian() / libm::sqrt(snr));
        (ratio * 1024.0).clamp(-32_767.0, 32_767.0) as i16
    });
    let soft = soft.collect();
    (bits, Llrs::Soft(soft))
}

struct Outcome {
    reference: Reconciled,
    corrector: Reconciled,
    ledgers: [u64; 2],
}

fn converse(plan: Plan, bits: BitBlock, llrs: Llrs, isa: Isa) -> Outcome {
    converse_on(&mut Workbench::new(isa), plan, bits, llrs)
}

fn converse_on(bench: &mut Workbench, plan: Plan, bits: BitBlock, llrs: Llrs) -> Outcome {
    let (mut ours, mut theirs) = (Outbox::new(), Outbox::new());
    let Ok(Step::Compute(reference, job)) = Reference::new(plan, bits).start(&mut ours) else {
        panic!("the reference computes first")
    };
    let Ok(Step::Listen(reference)) = reference.done(job.run(bench), &mut ours) else {
        panic!("then it listens")
    };
    let Ok(Step::Listen(corrector)) = Corrector::new(plan, llrs).start(&mut theirs) else {
        panic!("the corrector listens first")
    };
    let message = ours.take().remove(0);
    let Ok(Step::Compute(corrector, job)) = corrector.hear(Reader::new(&message), &mut theirs) else {
        panic!("then it computes")
    };
    let Ok(Step::Leave(corrected)) = corrector.done(job.run(bench), &mut theirs) else {
        panic!("and leaves")
    };
    let message = theirs.take().remove(0);
    let Ok(Step::Leave(kept)) = reference.hear(Reader::new(&message), &mut ours) else {
        panic!("the verdict ends it")
    };
    let ledgers = [ours.ledger.disclosed_bits(), theirs.ledger.disclosed_bits()];
    Outcome { reference: kept, corrector: corrected, ledgers }
}

#[test]
fn a_frame_is_corrected_and_its_whole_syndrome_booked() {
    let plan = Plan::with_rate(0.15, 32).unwrap();
    let (bits, llrs) = frame(plan, 0.33, 7);
    let copy = bits.slice(0..bits.len());
    let outcome = converse(plan, bits, llrs, Isa::best());
    assert_eq!(outcome.corrector.bits.as_ref(), Some(&copy), "corrected, leaves and all");
    assert_eq!(outcome.reference.bits, Some(copy), "the reference keeps its bits");
    assert!(outcome.corrector.effort.corrected_errors > 1000, "there was something to correct");
    let booked = plan.syndrome_bits() as u64 + 1;
    assert_eq!(outcome.ledgers, [booked, booked], "n − k bits and the verdict, on both sides");
}

#[test]
fn others_may_come_in_before_every_iteration() {
    let plan = Plan::with_rate(0.15, 32).unwrap();
    let (bits, llrs) = frame(plan, 0.33, 7);
    let (mut bench, asked) = (Workbench::new(Isa::best()), Arc::new(Asked::default()));
    bench.set_others(Some(asked.clone()));
    let iterations = converse_on(&mut bench, plan, bits, llrs).corrector.effort.iterations;
    let asked = asked.0.load(Ordering::Relaxed);
    assert!(iterations > 0 && asked >= iterations, "{asked} times in {iterations} iterations");
}

#[test]
fn every_level_takes_the_same_iterations() {
    let plan = Plan::with_rate(0.2, 16).unwrap();
    let outcomes = Isa::available().map(|isa| {
        let (bits, llrs) = frame(plan, 0.45, 3);
        let outcome = converse(plan, bits, llrs, isa);
        (outcome.corrector.effort, outcome.corrector.bits.map(|bits| bits.words().to_vec()))
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes[0].1.is_some(), "decoded");
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "the level decides nothing");
}

#[test]
fn a_hopeless_frame_is_given_up_early_by_both() {
    let plan = Plan::with_rate(0.2, 32).unwrap();
    let (bits, llrs) = frame(plan, 0.2, 3);
    let outcome = converse(plan, bits, llrs, Isa::best());
    assert_eq!((outcome.reference.bits, outcome.corrector.bits), (None, None), "both know");
    assert!(outcome.corrector.effort.iterations < MOST_ITERATIONS, "given up early");
}

#[test]
fn wrong_lengths_and_foreign_messages_are_refused() {
    let plan = Plan::with_rate(0.2, 16).unwrap();
    let mut out = Outbox::new();
    let short = Reference::new(plan, BitBlock::zeros(64)).start(&mut out);
    assert!(matches!(short, Err(Fault::Abort(_))), "too few bits");
    let short = Corrector::new(plan, Llrs::Soft(vec![0; 64])).start(&mut out);
    assert!(matches!(short, Err(Fault::Abort(_))), "too few soft bits");
    let corrector = Corrector::new(plan, Llrs::Soft(vec![0; plan.frame_bits()]));
    let mut writer = Writer::new();
    writer.bits(&BitBlock::zeros(plan.syndrome_bits() - 1));
    let cut = corrector.hear(Reader::new(&writer.finish()), &mut out);
    assert!(matches!(cut, Err(Fault::Peer(_))), "a syndrome of another length");
    let verdict = Reference::new(plan, BitBlock::zeros(plan.frame_bits())).hear(Reader::new(&[2]), &mut out);
    assert!(matches!(verdict, Err(Fault::Peer(_))), "a verdict is 0 or 1");
    assert_eq!(out.ledger.disclosed_bits(), 0, "what was refused is not booked");
}

#[test]
fn plans_follow_the_signal_and_survive_the_wire() {
    let mut last = 0.0;
    for snr_db in [-18.0, -15.0, -11.0, -8.0, -6.0, -4.0, -2.0] {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let plan = Plan::choose(snr, 1_000_000).unwrap();
        assert!(plan.rate() > last, "a better signal, a higher rate");
        assert!((0.8..0.97).contains(&plan.efficiency(snr)), "{snr_db} dB: {}", plan.efficiency(snr));
        last = plan.rate();
        let mut writer = Writer::new();
        plan.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(Plan::read(&mut Reader::new(&bytes)), Ok(plan), "read as written");
    }
    assert!(matches!(Plan::choose(1e-3, 1 << 20), Err(Abort::TooWeak { .. })), "too weak");
    assert!(matches!(Plan::choose(f64::NAN, 1 << 20), Err(Abort::Unusable { .. })), "not a number");
    assert!(Plan::read(&mut Reader::new(&[8, 0])).is_err(), "no leaf");
    assert!(Plan::read(&mut Reader::new(&[0xff, 0xff, 3, 1])).is_err(), "too large");
}
