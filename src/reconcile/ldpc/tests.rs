use std::sync::Arc;
use std::sync::atomic::Ordering;

use keystill_kernels::Isa;
use proptest::prelude::*;

use super::*;
use crate::bits::{BitBlock, Llrs};
use crate::ledger::Disclosure;
use crate::reconcile::Reconciled;
use crate::reconcile::codes::bsc::Code;
use crate::stage::{Asked, Next, Outbox, Workbench, converse};
use crate::wire::{Reader, Writer};

struct Lcg(u64);

impl Lcg {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The reference side's bits and the correcting side's, a share of which is wrong.
fn pair(length: usize, qber: f64, seed: u64) -> (BitBlock, BitBlock) {
    let mut rng = Lcg(seed);
    let ours: Vec<bool> = (0..length).map(|_| rng.next(2) == 1).collect();
    let theirs: Vec<bool> =
        ours.iter().map(|bit| bit ^ (rng.next(1_000_000) < (qber * 1e6) as u64)).collect();
    (BitBlock::from_bools(&ours), BitBlock::from_bools(&theirs))
}

struct Outcome {
    reference: Reconciled,
    corrector: Reconciled,
    out: Outbox,
    peer: Outbox,
}

fn reconcile(plan: &Plan, bits: BitBlock, noisy: BitBlock) -> Result<Outcome, Fault> {
    reconcile_on(&mut Workbench::new(Isa::best()), plan, bits, noisy)
}

fn reconcile_on(
    bench: &mut Workbench,
    plan: &Plan,
    bits: BitBlock,
    noisy: BitBlock,
) -> Result<Outcome, Fault> {
    let llrs = Llrs::Hard { bits: noisy, error_probability: plan.qber() };
    let mut reference = converse(Reference::new(plan.clone(), bits));
    let mut corrector = converse(Corrector::new(plan.clone(), llrs));
    let (mut out, mut peer) = (Outbox::new(), Outbox::new());
    let mut left = (reference.start(&mut out)?, corrector.start(&mut peer)?);
    loop {
        if let Next::Compute(job) = left.0 {
            left.0 = reference.done(job.run(bench), &mut out)?;
        }
        for message in out.take() {
            left.1 = corrector.hear(Reader::new(&message), &mut peer)?;
        }
        if let Next::Compute(job) = left.1 {
            left.1 = corrector.done(job.run(bench), &mut peer)?;
        }
        for message in peer.take() {
            left.0 = reference.hear(Reader::new(&message), &mut out)?;
        }
        if let (Next::Leave(reference), Next::Leave(corrector)) = left {
            return Ok(Outcome { reference, corrector, out, peer });
        }
    }
}

#[test]
fn others_may_come_in_before_every_iteration() {
    let plan = Plan::choose(0.03, 16_384).expect("a plan");
    let (bits, noisy) = pair(plan.frame_bits(), 0.03, 5);
    let (mut bench, asked) = (Workbench::new(Isa::best()), Arc::new(Asked::default()));
    bench.set_others(Some(asked.clone()));
    let end = reconcile_on(&mut bench, &plan, bits, noisy).expect("no fault");
    let asked = asked.0.load(Ordering::Relaxed);
    assert!(asked > 0 && asked == end.corrector.effort.iterations, "{asked} times");
}

#[test]
fn frames_are_corrected_at_their_working_points_and_the_books_agree() {
    for (qber, length) in [(0.01, 4096), (0.04, 4000), (0.08, 4096), (0.035, 70_000)] {
        let plan = Plan::choose(qber, length).expect("a plan");
        let (bits, noisy) = pair(length, qber, 5);
        let want = BitBlock::from_words(bits.words().to_vec(), length);
        let end = reconcile(&plan, bits.slice(0..plan.frame_bits()), noisy.slice(0..plan.frame_bits()))
            .expect("no fault");
        assert_eq!(end.corrector.bits, Some(want.slice(0..plan.frame_bits())), "{qber}, {length}");
        assert_eq!(end.reference.bits, end.corrector.bits, "both leave with the same");
        assert_eq!(end.out.ledger, end.peer.ledger, "both books agree");
        let told = end.out.ledger.disclosed_by(Disclosure::Syndrome);
        assert_eq!(told, plan.syndrome_bits() as u64, "what was on the wire");
        assert!(end.corrector.effort.corrected_errors > 0, "there were errors");
    }
}

#[test]
fn a_wrong_estimate_costs_increments_not_correctness() {
    for factor in [0.5, 0.7, 1.5, 2.0] {
        let plan = Plan::choose(0.03 * factor, 4096).expect("a plan");
        let (bits, noisy) = pair(4096, 0.03, 11);
        let want = BitBlock::from_words(bits.words().to_vec(), 4096);
        let end = reconcile(&plan, bits, noisy).expect("no fault");
        assert_eq!(end.out.ledger, end.peer.ledger, "both books agree");
        if let Some(found) = &end.corrector.bits {
            assert_eq!(found, &want, "factor {factor}");
        }
        assert!(end.corrector.bits.is_some() || factor < 0.8, "factor {factor} is corrected");
    }
}

#[test]
fn far_more_errors_than_planned_for_are_not_decoded_in_vain() {
    let plan = Plan::choose(0.03, 65_536).expect("a plan");
    let (bits, noisy) = pair(65_536, 0.045, 3);
    let want = BitBlock::from_words(bits.words().to_vec(), bits.len());
    let end = reconcile(&plan, bits, noisy).expect("no fault");
    let effort = end.corrector.effort;
    assert_eq!(end.corrector.bits, Some(want), "corrected");
    assert!(effort.increments >= 5 && effort.iterations < 2 * 80, "{effort:?}");
}

#[test]
fn shots_that_stand_still_end_soon() {
    let plan = Plan::choose(0.03, 65_536).expect("a plan");
    let effort = |seed| {
        // Too many errors for the first shot, too few for the syndrome to foretell it.
        let (bits, noisy) = pair(65_536, 0.0345, seed);
        let effort = reconcile(&plan, bits, noisy).expect("no fault").corrector.effort;
        (effort.increments, effort.iterations)
    };
    let efforts: Vec<(u32, u32)> = (0..8).map(effort).collect();
    let [increments, iterations] = efforts.iter().fold([0; 2], |[a, b], (c, d)| [a + c, b + d]);
    assert!(increments >= 8, "the first shots fail: {efforts:?}");
    assert!(iterations < 60 * increments, "what fails does not take all 80: {efforts:?}");
}

#[test]
fn strings_that_have_nothing_in_common_are_given_up() {
    let plan = Plan::choose(0.03, 4096).expect("a plan");
    let (bits, _) = pair(4096, 0.0, 1);
    let (noise, _) = pair(4096, 0.0, 2);
    let end = reconcile(&plan, bits, noise).expect("no fault");
    assert_eq!((end.reference.bits, end.corrector.bits), (None, None), "both know");
    assert_eq!(end.out.ledger, end.peer.ledger, "both books agree");
    assert!(
        end.out.ledger.disclosed_by(Disclosure::Increment)
            <= 4096 / 4 + plan.syndrome_bits() as u64 / 2 + 64 * 8,
        "the leak is bounded"
    );
}

/// Increments of 24 frames with errors at the places that `places` gives for each.
fn increments(plan: &Plan, places: &dyn Fn(usize) -> Vec<usize>) -> u32 {
    let of_frame = |frame: usize| {
        let (bits, mut noisy) = pair(plan.frame_bits(), 0.0, frame as u64);
        let want = BitBlock::from_words(bits.words().to_vec(), bits.len());
        places(frame).into_iter().for_each(|place| noisy.set(place, !noisy.bit(place)));
        let end = reconcile(plan, bits, noisy).expect("no fault");
        assert_eq!(end.corrector.bits, Some(want), "frame {frame}");
        end.corrector.effort.increments
    };
    (0..24).map(of_frame).sum()
}

#[test]
fn long_strings_that_have_nothing_in_common_are_not_decoded_at_all() {
    for (planned, most_told) in [(0.03, 0.65), (0.11, 0.6)] {
        let plan = Plan::choose(planned, 65_536).expect("a plan");
        let [bits, noise] = [1, 2].map(|seed| pair(65_536, 0.0, seed).0);
        let end = reconcile(&plan, bits, noise).expect("no fault");
        assert_eq!((end.reference.bits, end.corrector.bits), (None, None), "given up");
        assert_eq!(end.corrector.effort.iterations, 0, "the syndrome tells");
        let told = end.out.ledger.disclosed_bits() as f64 / 65_536.0;
        assert!(told < most_told, "planned for {planned}: {told} of the bits told");
    }
}

#[test]
fn bursts_and_periods_cost_no_more_than_scattered_errors() {
    for (qber, available) in [(0.03, 130_000), (0.01, 131_072), (0.05, 16_384)] {
        let plan = Plan::choose(qber, available).expect("a plan");
        let n = plan.frame_bits();
        let mean = qber * n as f64;
        let errors = (mean + 0.8 * mean.sqrt()) as usize;
        let scattered = increments(&plan, &|frame| {
            let mut rng = Lcg(frame as u64);
            let mut places = std::collections::BTreeSet::new();
            while places.len() < errors {
                places.insert(rng.next(n as u64) as usize);
            }
            places.into_iter().collect()
        });
        // Where an error stands from the beginning of the first, and where that is.
        let structured = |at: &dyn Fn(usize, usize) -> usize| {
            increments(&plan, &|frame| (0..errors).map(|k| (at(frame, k) + frame * 9431) % n).collect())
        };
        let every = n / errors;
        for (name, found) in [
            ("one burst", structured(&|_, k| k)),
            ("every other bit", structured(&|_, k| 2 * k)),
            ("one period", structured(&|frame, k| (every - frame % 8) * k)),
            (
                "short bursts",
                structured(&|frame, k| k / (frame + 9) * (frame + 9) * (every - 1) + k % (frame + 9)),
            ),
        ] {
            assert!(
                found <= scattered + 3,
                "{qber}, {n} bits, {name}: {found} increments, scattered {scattered}"
            );
        }
    }
}

#[test]
fn plans_lead_back_from_the_wire_and_nonsense_does_not() {
    let plan = Plan::choose(0.037, 1_000_000).expect("a plan");
    let mut writer = Writer::new();
    plan.write(&mut writer);
    let bytes = writer.finish();
    let read = Plan::read(&mut Reader::new(&bytes)).expect("our own");
    assert_eq!(
        (read.frame_bits(), read.syndrome_bits()),
        (plan.frame_bits(), plan.syndrome_bits()),
        "the same"
    );
    assert_eq!(read.code(), plan.code(), "the same code");
    assert!(Plan::read(&mut Reader::new(&[1, 100, 0, 0, 0, 1])).is_err(), "too few checks");
    assert!(Plan::read(&mut Reader::new(&[4, 0, 0, 0, 0, 1])).is_err(), "no bits");
    assert!(matches!(Plan::choose(0.2, 1000), Err(Abort::TooNoisy { .. })), "too noisy");
}

#[test]
fn codes_are_as_long_as_frames_up_to_4096_bits() {
    for available in [1, 4096, 4097, 16_384, 65_537, 300_000, 999_983, 1 << 20, 3_000_001] {
        for qber in [0.003, 0.03, 0.11] {
            let plan = Plan::choose(qber, available).expect("a plan");
            let (code, frame) = (plan.code().bits(), plan.frame_bits());
            assert!((frame..frame + 4096).contains(&code), "{available} bits at {qber}: {code} for {frame}");
            let frames = available.div_ceil(frame);
            assert!(
                frames == available.div_ceil(1 << 20) && frames * frame < available + frames,
                "{available} bits in {frames}"
            );
        }
    }
}

#[test]
fn a_code_is_built_once() {
    let plan = |qber| Plan::choose(qber, 65_536).expect("a plan");
    let (first, again, other) = (plan(0.03), plan(0.0301), plan(0.05));
    assert!(std::ptr::eq(first.code(), again.code()), "the same code for nearly the same error rate");
    assert_ne!(first.code(), other.code(), "another one for another");
    assert_eq!(
        Some(other.code()),
        Code::build(256, other.code().checks() / 256, 256, 1).as_ref(),
        "the one asked for"
    );
}

#[test]
fn reveals_visit_every_place_once() {
    let plan = Plan::choose(0.03, 4096).expect("a plan");
    for length in [1, 63, 64, 1000, 4096] {
        let mut revealed: Vec<usize> = (0..64).flat_map(|k| plan.revealed(k, length)).collect();
        let all = revealed.len();
        revealed.sort_unstable();
        revealed.dedup();
        assert_eq!((revealed.len(), all), (length, length), "every bit of {length} once");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_length_ends_equal_or_given_up(length in 1usize..6000, qber in 0.002f64..0.11, seed: u64) {
        let plan = Plan::choose(qber, length).expect("a plan");
        let (bits, noisy) = pair(plan.frame_bits(), qber, seed);
        let want = BitBlock::from_words(bits.words().to_vec(), bits.len());
        let end = reconcile(&plan, bits, noisy).expect("no fault");
        prop_assert_eq!(&end.reference.bits.is_some(), &end.corrector.bits.is_some());
        if let Some(found) = &end.corrector.bits {
            prop_assert_eq!(found, &want);
        }
        prop_assert_eq!(end.out.ledger, end.peer.ledger);
    }

    #[test]
    fn no_message_makes_a_side_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let plan = Plan::choose(0.03, 1000).expect("a plan");
        let llrs = Llrs::Hard { bits: BitBlock::zeros(1000), error_probability: 0.03 };
        let mut corrector = converse(Corrector::new(plan, llrs));
        let mut out = Outbox::new();
        let _ = corrector.start(&mut out);
        let heard = corrector.hear(Reader::new(&bytes), &mut out);
        prop_assert!(heard.is_err(), "no syndrome is that short");
    }
}
