//! A frame's way through both stages, over a Gaussian channel.

use keystill_kernels::Isa;
use keystill_kernels::parity::mix;

use super::*;
use crate::stage::{Fault, Job, Stage, Step};

/// x of unit power and y = x + noise, from counters.
fn channel(symbols: usize, snr: f64, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let uniform = |counter: u64| ((mix(seed << 40 | counter) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let pair = |i: u64| {
        let radius = libm::sqrt(-2.0 * libm::log(uniform(2 * i)));
        let angle = std::f64::consts::TAU * uniform(2 * i + 1);
        let (x, noise) = (radius * libm::cos(angle), radius * libm::sin(angle));
        (x as f32, (x + noise / libm::sqrt(snr)) as f32)
    };
    (0..symbols as u64).map(pair).unzip()
}

struct Outcome {
    reference: Reconciled,
    corrector: Reconciled,
    ledgers: [crate::ledger::Ledger; 2],
    message_bits: usize,
}

/// Both sides; the correcting one believes in `believed` as the signal-to-noise ratio.
fn converse(plan: Plan, (x, y): (&[f32], &[f32]), believed: f64, isa: Isa) -> Outcome {
    let mut bench = Workbench::new(isa);
    let (mut ours, mut theirs) = (Outbox::new(), Outbox::new());
    let bits = cut(&bench, &plan, y).expect("finite values");
    let Ok(Step::Compute(reference, job)) = Reference::new(plan, bits).start(&mut ours) else {
        panic!("the reference computes first")
    };
    let Ok(Step::Listen(reference)) = reference.done(job.run(&mut bench), &mut ours) else {
        panic!("then it listens")
    };
    let evidence = Evidence::new(x.to_vec(), 1.0, 1.0 / believed);
    let Ok(Step::Listen(corrector)) = Corrector::new(plan, evidence).start(&mut theirs) else {
        panic!("the corrector listens first")
    };
    let message = ours.take().remove(0);
    let message_bits = Reader::new(&message).bits(usize::MAX, "message").expect("a bit string").len();
    let Ok(Step::Compute(corrector, job)) = corrector.hear(Reader::new(&message), &mut theirs) else {
        panic!("then it computes")
    };
    let Ok(Step::Leave(corrected)) = corrector.done(job.run(&mut bench), &mut theirs) else {
        panic!("and leaves")
    };
    let message = theirs.take().remove(0);
    let Ok(Step::Leave(kept)) = reference.hear(Reader::new(&message), &mut ours) else {
        panic!("the verdict ends it")
    };
    Outcome { reference: kept, corrector: corrected, ledgers: [ours.ledger, theirs.ledger], message_bits }
}

/// A small plan at 3 dB with some margin.
fn small() -> (Plan, f64) {
    let snr = libm::pow(10.0, 0.3);
    (Plan::with_rates([0.33, 0.17, 0.06, 0.0], 1 << 15, libm::sqrt(1.0 + 1.0 / snr)).expect("codes"), snr)
}

#[test]
fn a_frame_is_corrected_and_every_bit_told_is_booked() {
    let (plan, snr) = small();
    let (x, y) = channel(plan.symbols(), snr, 1);
    let outcome = converse(plan, (&x, &y), snr, Isa::best());
    let bits = outcome.corrector.bits.as_ref().expect("corrected");
    assert_eq!(outcome.reference.bits.as_ref(), Some(bits), "both sides hold the same");
    assert!(outcome.corrector.effort.corrected_errors > 1000, "there was something to correct");
    let information: u32 = plan.information_blocks.iter().sum();
    let told = 4 * plan.symbols() - 64 * information as usize;
    assert_eq!(plan.syndrome_bits(), told, "n − k of each level, n of the one that is told");
    for ledger in &outcome.ledgers {
        assert_eq!(ledger.disclosed_by(Disclosure::Syndrome), told as u64, "all of the levels");
        assert_eq!(ledger.disclosed_by(Disclosure::Moments), 128, "both sums");
        assert_eq!(ledger.disclosed_bits(), told as u64 + 128 + 1, "and the verdict");
    }
    let conditioned = 4 * plan.symbols();
    assert_eq!(outcome.message_bits, told + 128 + conditioned, "nothing else was sent");
}

#[test]
fn the_cores_come_first_and_the_values_come_back() {
    let (plan, snr) = small();
    let (x, y) = channel(plan.symbols(), snr, 2);
    let outcome = converse(plan, (&x, &y), snr, Isa::best());
    let bits = outcome.corrector.bits.expect("corrected");
    let bench = Workbench::new(Isa::best());
    let (again, [square, cross]) = rebuild(&bench, &plan, &bits).expect("a frame");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    assert!((square / dot(&y, &y) - 1.0).abs() < 1e-9, "Σy²");
    assert!((cross / dot(&y, &again) - 1.0).abs() < 1e-9, "Σyỹ");
    assert!((0.99..1.01).contains(&(cross / square)), "{} of the signal is left", cross / square);
    let cut = cut(&bench, &plan, &y).expect("finite");
    let first = plan.code(0).expect("a code").core_bits();
    assert_eq!(bits.slice(0..first), cut.slice(0..first), "the core of the highest level");
    let second = plan.code(1).expect("a code").core_bits();
    let place = plan.symbols();
    assert_eq!(bits.slice(first..first + second), cut.slice(place..place + second), "then that of the next");
}

#[test]
fn every_level_of_instructions_takes_the_same_iterations() {
    let (plan, snr) = small();
    let (x, y) = channel(plan.symbols(), snr, 3);
    let outcomes = Isa::available().map(|isa| {
        let corrected = converse(plan, (&x, &y), snr, isa).corrector;
        (corrected.effort, corrected.bits.map(|bits| bits.words().to_vec()))
    });
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes[0].1.is_some(), "decoded");
    assert!(outcomes.windows(2).all(|pair| pair[0] == pair[1]), "the level decides nothing");
}

#[test]
fn a_channel_one_decibel_off_gives_the_right_bits_or_none() {
    let (plan, snr) = small();
    for (seed, channel_db, believed_db) in
        [(4, 0.0, 1.0), (5, 0.0, -1.0), (6, -1.0, 0.0), (7, 1.0, 0.0), (8, -2.0, -2.0), (9, -2.0, -1.0)]
    {
        let off = |db: f64| snr * libm::pow(10.0, 0.1 * db);
        let (x, y) = channel(plan.symbols(), off(channel_db), seed);
        let outcome = converse(plan, (&x, &y), off(believed_db), Isa::best());
        assert_eq!(
            outcome.reference.bits, outcome.corrector.bits,
            "{channel_db} dB, believed {believed_db} dB"
        );
        if channel_db <= -2.0 {
            assert!(outcome.corrector.bits.is_none(), "{channel_db} dB: a booked loss");
        }
        let verdicts = outcome.ledgers.map(|ledger| ledger.disclosed_by(Disclosure::Verdict));
        assert_eq!(verdicts, [1, 1], "the verdict is booked either way");
    }
}

#[test]
fn wrong_lengths_and_foreign_messages_are_refused() {
    let (plan, snr) = small();
    let (bench, mut out) = (Workbench::new(Isa::best()), Outbox::new());
    let (x, mut y) = channel(plan.symbols(), snr, 9);
    assert!(cut(&bench, &plan, &y[1..]).is_err(), "too few values");
    y[7] = f32::NAN;
    assert!(cut(&bench, &plan, &y).is_err(), "not a number");
    let short = Reference::new(plan, BitBlock::zeros(64)).start(&mut out);
    assert!(matches!(short, Err(Fault::Abort(_))), "too few bits");
    let short = Corrector::new(plan, Evidence::new(x[1..].to_vec(), 1.0, 1.0)).start(&mut out);
    assert!(matches!(short, Err(Fault::Abort(_))), "too few quadratures");
    let noiseless = Corrector::new(plan, Evidence::new(x.clone(), 1.0, 0.0)).start(&mut out);
    assert!(matches!(noiseless, Err(Fault::Abort(_))), "no noise");
    let mut writer = Writer::new();
    writer.bits(&BitBlock::zeros(plan.message_bits() - 64));
    let cut = Corrector::new(plan, Evidence::new(x, 1.0, 1.0)).hear(Reader::new(&writer.finish()), &mut out);
    assert!(matches!(cut, Err(Fault::Peer(_))), "a message of another length");
    let verdict = Reference::new(plan, BitBlock::zeros(plan.frame_bits())).hear(Reader::new(&[2]), &mut out);
    assert!(matches!(verdict, Err(Fault::Peer(_))), "a verdict is 0 or 1");
    assert_eq!(out.ledger.disclosed_bits(), 0, "what was refused is not booked");
    let odd = BitBlock::from_words(vec![u64::MAX; plan.frame_bits() / 64], plan.frame_bits());
    assert!(rebuild(&bench, &plan, &odd).is_err(), "sums that are no numbers");
}

#[test]
fn plans_follow_the_signal_and_survive_the_wire() {
    let mut last = 0.0;
    for snr_db in [-6.0, -2.3, 0.0, 3.0, 6.0] {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let plan = Plan::choose(snr, 1.7, 3_000_000).expect("a plan");
        assert!(plan.rate() > last, "a better signal, a higher rate");
        assert!((0.8..0.95).contains(&plan.efficiency(snr)), "{snr_db} dB: {}", plan.efficiency(snr));
        last = plan.rate();
        let mut writer = Writer::new();
        plan.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(Plan::read(&mut Reader::new(&bytes)), Ok(plan), "read as written");
        for cut in 0..bytes.len() {
            assert!(Plan::read(&mut Reader::new(&bytes[..cut])).is_err(), "cut after {cut} bytes");
        }
    }
    assert!(matches!(Plan::choose(0.1, 1.0, 1 << 20), Err(Abort::TooWeak { .. })), "too weak");
    assert!(Plan::choose(8.0, 1.0, 1 << 20).is_err(), "too strong");
    assert!(Plan::choose(f64::NAN, 1.0, 1 << 20).is_err(), "not a number");
    assert!(Plan::choose(1.0, 0.0, 1 << 20).is_err(), "no deviation");
    let read = |blocks: u32, information: [u32; 4], deviation: f64| {
        let mut writer = Writer::new();
        writer.u32(blocks);
        information.iter().for_each(|own| {
            writer.u32(*own);
        });
        writer.f64(deviation);
        Plan::read(&mut Reader::new(&writer.finish())).is_ok()
    };
    assert!(read(1024, [256, 0, 16, 0], 1.0), "levels may be told");
    for (blocks, information, deviation) in [
        (1024, [0; 4], 1.0),
        (1023, [256; 4], 1.0),
        (u32::MAX, [256; 4], 1.0),
        (1024, [u32::MAX; 4], 1.0),
        (1024, [257, 0, 0, 0], 1.0),
        (1024, [520, 0, 0, 0], 1.0),
        (1024, [256; 4], -1.0),
        (1024, [256; 4], f64::INFINITY),
    ] {
        assert!(!read(blocks, information, deviation), "{blocks} {information:?} {deviation}");
    }
}
