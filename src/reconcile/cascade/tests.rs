use keystill_kernels::Isa;
use keystill_kernels::parity::mix;
use proptest::prelude::*;

use super::*;
use crate::ledger::Ledger;
use crate::stage::Side;

/// A frame and a copy of it in which every bit is wrong with probability `qber`.
fn pair(n: usize, qber: f64, seed: u64) -> (BitBlock, BitBlock) {
    let words: Vec<u64> = (0..n.div_ceil(64) as u64).map(|i| mix(seed ^ mix(i))).collect();
    let reference = BitBlock::from_words(words, n);
    let mut noisy = reference.slice(0..n);
    for i in 0..n {
        let drawn = mix(mix(seed ^ 0x6e6f_6973) ^ i as u64) >> 11;
        if (drawn as f64) < qber * (1u64 << 53) as f64 {
            noisy.set(i, !noisy.bit(i));
        }
    }
    (reference, noisy)
}

struct Outcome {
    reference: Reconciled,
    corrector: Reconciled,
    reference_ledger: Ledger,
    corrector_ledger: Ledger,
}

/// Lets two honest sides talk until both leave.
fn converse(plan: &Plan, frame: BitBlock, noisy: BitBlock) -> Outcome {
    converse_tampered(plan, (frame, noisy), |_, _, _| ()).expect("both are honest")
}

/// Lets the two sides talk until both leave or one finds the other at fault; `tamper` may change
/// each message, of which it is told the sender and the number.
fn converse_tampered(
    plan: &Plan,
    frames: (BitBlock, BitBlock),
    tamper: impl Fn(Side, usize, &mut Vec<u8>),
) -> Result<Outcome, Fault> {
    let mut bench = Workbench::new(Isa::best());
    let (mut at_reference, mut at_corrector) = (Outbox::new(), Outbox::new());
    let mut reference = Reference::new(plan, frames.0)?.start(&mut at_reference)?;
    let mut corrector = Corrector::new(plan, frames.1)?.start(&mut at_corrector)?;
    for count in 0.. {
        reference = settle(&mut bench, reference, &mut at_reference)?;
        let mut message = match (reference, corrector) {
            (Step::Leave(reference), Step::Leave(corrector)) => {
                let (reference_ledger, corrector_ledger) = (at_reference.ledger, at_corrector.ledger);
                return Ok(Outcome { reference, corrector, reference_ledger, corrector_ledger });
            }
            (going, on) => {
                (reference, corrector) = (going, on);
                at_reference.take().pop().unwrap_or_default()
            }
        };
        if let Step::Listen(stage) = corrector {
            tamper(Side::Reference, count, &mut message);
            let heard = stage.hear(Reader::new(&message), &mut at_corrector)?;
            corrector = settle(&mut bench, heard, &mut at_corrector)?;
        }
        let mut message = at_corrector.take().pop().unwrap_or_default();
        if let Step::Listen(stage) = reference {
            tamper(Side::Corrector, count, &mut message);
            reference = stage.hear(Reader::new(&message), &mut at_reference)?;
        }
    }
    unreachable!("every round costs a parity, and parities have a limit")
}

/// Computes until the stage listens or leaves.
fn settle<S: Stage>(bench: &mut Workbench, mut step: Step<S>, out: &mut Outbox) -> Result<Step<S>, Fault> {
    while let Step::Compute(stage, job) = step {
        step = stage.done(job.run(bench), out)?;
    }
    Ok(step)
}

#[test]
fn frames_of_any_length_become_equal_and_both_books_too() {
    for (n, frames) in
        [(1, 20), (63, 20), (64, 20), (65, 20), (1000, 20), (10_000, 10), (65_537, 2), (999_983, 1)]
    {
        for qber in [0.0, 0.01, 0.05, 0.11] {
            for seed in 0..frames {
                let thrift = if seed % 4 == 3 { Thrift::Rounds } else { Thrift::Parities };
                let plan = Plan::choose(qber, n).expect("in range").sparing(thrift);
                let (frame, noisy) = pair(n, qber, seed);
                let outcome = converse(&plan, frame.slice(0..n), noisy);
                assert_eq!(
                    outcome.reference.bits.as_ref(),
                    Some(&frame),
                    "{n} bits at {qber}: the reference's stay"
                );
                assert_eq!(outcome.corrector.bits, Some(frame), "{n} bits at {qber}, seed {seed}");
                assert_eq!(
                    outcome.reference_ledger, outcome.corrector_ledger,
                    "{n} bits at {qber}: one account"
                );
                let ledger = outcome.reference_ledger;
                assert_eq!(
                    ledger.disclosed_by(Disclosure::ParityAnswer),
                    ledger.disclosed_by(Disclosure::ParityQuestion),
                    "each answer reveals one parity of either side"
                );
            }
        }
    }
}

#[test]
fn estimates_wrong_by_two_either_way_still_end_correctly() {
    for n in [1000, 20_000, 70_001] {
        for (estimated, actual) in [(0.01, 0.02), (0.02, 0.01), (0.05, 0.025), (0.04, 0.08)] {
            let plan = Plan::choose(estimated, n).expect("in range");
            let (frame, noisy) = pair(n, actual, 7);
            let outcome = converse(&plan, frame.slice(0..n), noisy);
            assert_eq!(outcome.corrector.bits, Some(frame), "{n} bits, {actual} planned as {estimated}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever the errors and however wrong the estimate: equal in the end, or given up by both.
    #[test]
    fn every_pair_ends_equal_or_given_up(
        n in prop_oneof![1usize..200, 900usize..1100, 32_700usize..33_000, 60_000usize..70_000],
        qber in 0.0f64..0.11, wrong in 0.5f64..2.0, seed: u64,
    ) {
        let plan = Plan::choose((qber * wrong).min(MAX_QBER), n).expect("in range");
        let (frame, noisy) = pair(n, qber, seed);
        let outcome = converse(&plan, frame.slice(0..n), noisy);
        prop_assert_eq!(&outcome.reference_ledger, &outcome.corrector_ledger);
        prop_assert_eq!(outcome.reference.bits.is_some(), outcome.corrector.bits.is_some());
        if let Some(bits) = outcome.corrector.bits {
            prop_assert_eq!(outcome.reference.bits.as_ref(), Some(&frame), "the reference side's stay");
            prop_assert_eq!(bits, frame, "corrected");
        }
    }

    /// A peer that sends anything: a fault or an end, in bounded time, and no panic.
    #[test]
    fn no_message_makes_a_side_panic(
        n in prop_oneof![1usize..200, 32_760usize..32_800], seed: u64, lie_at in 0usize..40, lie_with: u64,
    ) {
        let plan = Plan::choose(0.03, n).expect("in range");
        let (frame, noisy) = pair(n, 0.03, seed);
        for liar in [Side::Reference, Side::Corrector] {
            let tamper = |side, count, message: &mut Vec<u8>| {
                if side == liar && count >= lie_at {
                    let at = mix(lie_with ^ count as u64);
                    let byte = usize::try_from(at % message.len() as u64).expect("below the length");
                    message[byte] ^= 1 << (at >> 32 & 7);
                }
            };
            let _ = converse_tampered(&plan, (frame.slice(0..n), noisy.slice(0..n)), tamper);
        }
    }
}

#[test]
fn bursts_and_periods_cost_no_more_than_independent_errors() {
    let n = 1 << 17;
    let plan = Plan::choose(0.02, n).expect("in range");
    let answers = |wrong: &dyn Fn(usize) -> bool| {
        let (frame, mut noisy) = pair(n, 0.0, 5);
        (0..n).filter(|bit| wrong(*bit)).for_each(|bit| noisy.set(bit, !noisy.bit(bit)));
        let outcome = converse(&plan, frame.slice(0..n), noisy);
        assert_eq!(outcome.corrector.bits, Some(frame), "corrected");
        outcome.reference_ledger.disclosed_by(Disclosure::ParityAnswer) as f64
    };
    let independent = answers(&|bit| mix(bit as u64).is_multiple_of(50));
    for (what, cost) in [
        ("one burst", answers(&|bit| (40_000..42_621).contains(&bit))),
        ("bursts of 40", answers(&|bit| bit % 2000 < 40)),
        ("every 50th", answers(&|bit| bit % 50 == 0)),
        ("every 64th, then every 46th", answers(&|bit| bit % if bit < n / 2 { 64 } else { 46 } == 0)),
    ] {
        assert!(cost < 1.04 * independent, "{what}: {cost} parities, {independent} for independent errors");
    }
}

#[test]
fn strangers_give_up_on_both_sides_within_the_limit() {
    for n in [65, 1000, 70_001] {
        let plan = Plan::choose(0.02, n).expect("in range");
        let (frame, noisy) = pair(n, 0.5, 3);
        let outcome = converse(&plan, frame, noisy);
        if n > 65 {
            assert_eq!(outcome.reference.bits, None, "{n} bits: the reference side knows");
            assert_eq!(outcome.corrector.bits, None, "{n} bits: the corrector knows");
        }
        let answers = outcome.reference_ledger.disclosed_by(Disclosure::ParityAnswer);
        assert!(answers <= plan.parity_limit(), "{n} bits: {answers} parities");
        assert_eq!(outcome.reference_ledger, outcome.corrector_ledger, "{n} bits: one account");
    }
}

#[test]
fn a_message_out_of_place_is_the_peers_fault() {
    let plan = Plan::choose(0.02, 1000).expect("in range");
    let (frame, noisy) = pair(1000, 0.02, 1);
    let (mut bench, mut out) = (Workbench::new(Isa::SCALAR), Outbox::new());
    let opened = |out: &mut Outbox, bench: &mut Workbench| {
        let stage = Reference::new(&plan, frame.slice(0..1000)).expect("the length fits");
        let Ok(Step::Compute(stage, job)) = stage.start(out) else { panic!("it opens the first pass") };
        let Ok(Step::Listen(stage)) = stage.done(job.run(bench), out) else { panic!("it listens") };
        stage
    };
    let refused = |message: &[u8], out: &mut Outbox, bench: &mut Workbench| {
        matches!(opened(out, bench).hear(Reader::new(message), out), Err(Fault::Peer(_)))
    };
    for (what, message) in [
        ("nothing", &[][..]),
        ("an unknown kind", &[5]),
        ("done before the subsets", &[3]),
        ("a step of no search", &[1, 1, 1]),
        ("a pass not opened", &[0, 1, 1, 1, 0]),
        ("a subset not opened", &[0, 16, 1, 1, 0]),
        ("a node beyond the end", &[0, 0, 1, 1, 244, 3]),
        ("a size beyond the frame", &[0, 0, 11, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("no node", &[0, 0, 1, 0]),
        ("none of the size announced", &[0, 0, 2, 0, 1, 0]),
        ("more nodes than bytes", &[0, 0, 1, 255, 255, 3]),
        ("a byte too many", &[2, 0]),
    ] {
        assert!(refused(message, &mut out, &mut bench), "{what}");
    }
    let early = Reference::new(&plan, frame.slice(0..1000)).expect("the length fits").start(&mut out);
    let Ok(Step::Compute(early, _)) = early else { panic!("it opens the first pass") };
    assert!(matches!(early.hear(Reader::new(&[2]), &mut out), Err(Fault::Peer(_))), "before it asked");

    out.take();
    let _ = opened(&mut out, &mut bench);
    let first = out.take().pop().expect("the blocks of the first pass");
    let corrector = || Corrector::new(&plan, noisy.slice(0..1000)).expect("the length fits");
    let cut = corrector().hear(Reader::new(&first[..first.len() - 1]), &mut out);
    assert!(matches!(cut, Err(Fault::Peer(_))), "cut answers");
    let Ok(Step::Compute(busy, job)) = corrector().hear(Reader::new(&first), &mut out) else {
        panic!("the first pass is computed")
    };
    let corrected = job.run(&mut bench);
    assert!(matches!(busy.hear(Reader::new(&first), &mut out), Err(Fault::Peer(_))), "twice, at once");
    let Ok(Step::Compute(busy, _)) = corrector().hear(Reader::new(&first), &mut out) else {
        panic!("the first pass is computed")
    };
    let Ok(Step::Listen(listening)) = busy.done(corrected, &mut out) else { panic!("it asks") };
    assert!(matches!(listening.hear(Reader::new(&first), &mut out), Err(Fault::Peer(_))), "twice, later");
}
