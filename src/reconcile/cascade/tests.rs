use keystill_kernels::Isa;
use keystill_kernels::parity::mix;

use super::*;
use crate::ledger::Ledger;

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

/// Lets the two sides talk until both leave.
fn converse(plan: &Plan, frame: BitBlock, noisy: BitBlock) -> Outcome {
    let mut bench = Workbench::new(Isa::best());
    let (mut at_reference, mut at_corrector) = (Outbox::new(), Outbox::new());
    let reference = Reference::new(plan, frame).expect("the length fits");
    let corrector = Corrector::new(plan, noisy).expect("the length fits");
    let mut reference = reference.start(&mut at_reference);
    let mut corrector = corrector.start(&mut at_corrector);
    let (mut reference_left, mut corrector_left) = (None, None);
    for _ in 0..100_000 {
        reference = match reference.expect("an honest peer") {
            Step::Compute(stage, job) => stage.done(job.run(&mut bench), &mut at_reference),
            Step::Listen(stage) => match at_corrector.take().as_slice() {
                [message] => stage.hear(Reader::new(message), &mut at_reference),
                _ => Ok(Step::Listen(stage)),
            },
            Step::Leave(product) => {
                reference_left = Some(product);
                break;
            }
        };
        corrector = match corrector.expect("an honest peer") {
            Step::Compute(stage, job) => stage.done(job.run(&mut bench), &mut at_corrector),
            Step::Listen(stage) => match at_reference.take().as_slice() {
                [message] => stage.hear(Reader::new(message), &mut at_corrector),
                _ => Ok(Step::Listen(stage)),
            },
            Step::Leave(product) => Ok(Step::Leave(product)),
        };
    }
    if let Ok(Step::Leave(product)) = corrector {
        corrector_left = Some(product);
    }
    Outcome {
        reference: reference_left.expect("the conversation ends"),
        corrector: corrector_left.expect("the conversation ends"),
        reference_ledger: at_reference.ledger,
        corrector_ledger: at_corrector.ledger,
    }
}

#[test]
fn frames_of_any_length_become_equal_and_both_books_too() {
    for (n, frames) in
        [(1, 20), (63, 20), (64, 20), (65, 20), (1000, 20), (10_000, 10), (65_537, 2), (999_983, 1)]
    {
        for qber in [0.0, 0.01, 0.05, 0.11] {
            for seed in 0..frames {
                let plan = Plan::choose(qber, n).expect("in range");
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
