//! Every key carries a certificate, both sides issue the same, and ε has a cap.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests make their numbers from counters"
)]

use std::collections::VecDeque;
use std::sync::Arc;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::security::Vacuum;
use keystill::cv;
use keystill::ledger::Disclosure;
use keystill::protocol::{Evidence, Protocol, Validity};
use keystill::random::{Foundation, OperatingSystem, Purpose};
use keystill::reconcile::gaussian;
use keystill::session::{
    Certificate, Config, Error, Event, Input, LinkState, Outcome, Output, Refused, SecretKey, Session, Time,
};
use keystill::stage::{Role, Workbench};

mod synthetic;
use synthetic::{cv_frames, cv_protocol, frames, modulated_cv_frames, protocol};

/// What one side has in the end.
#[derive(Default)]
struct End {
    keys: Vec<SecretKey>,
    certificates: Vec<Arc<Certificate>>,
    aborted: usize,
    /// Block, transmittance before and after.
    moved: Vec<(u64, f64, f64)>,
    error: Option<Error>,
    epsilon_spent: f64,
}

/// Runs both sides over these frames, computing at once, until nothing moves.
fn run<P: Protocol>(
    protocols: &[Arc<P>; 2],
    frames: impl Iterator<Item = (P::Frame, P::Frame)>,
    cap: Option<f64>,
) -> [End; 2] {
    let pre_shared: Vec<u8> = (0..32 + 64 * 20).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut bench = Workbench::new(Isa::best());
    let mut sides = [Role::Alice, Role::Bob].map(|role| {
        let protocol = protocols[usize::from(role == Role::Bob)].clone();
        let mut config = Config::new(role, 42, protocol, Arc::new(OperatingSystem));
        config.epsilon_cap = cap.unwrap_or(config.epsilon_cap);
        let pool = Pool::from_pre_shared(&pre_shared).expect("long enough");
        let mut session = Session::new(config, pool);
        session.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
        (session, VecDeque::new(), VecDeque::<Vec<u8>>::new())
    });
    for (alice, bob) in frames {
        sides[0].1.push_back(alice);
        sides[1].1.push_back(bob);
    }
    let mut ends = [End::default(), End::default()];
    loop {
        let mut moved = false;
        for own in 0..2 {
            let (session, raw, inbox) = &mut sides[own];
            let mut failed = None;
            if let Some(frame) = raw.pop_front() {
                match session.offer(frame) {
                    Ok(()) => moved = true,
                    Err(Refused::Full(frame)) => raw.push_front(frame),
                    Err(Refused::Closed(error)) => failed = Some(error),
                }
            }
            if let Some(message) = inbox.pop_front() {
                moved = true;
                failed = session.handle(Time(0), Input::Received(&message)).err().or(failed);
            }
            let mut sent = Vec::new();
            loop {
                match session.poll() {
                    Output::Transmit(message) => sent.push(message),
                    Output::Compute(work) => {
                        let finished = work.run(&mut bench);
                        failed = session.handle(Time(0), Input::Finished(finished)).err().or(failed);
                    }
                    Output::Key(key) => ends[own].keys.push(key),
                    Output::Event(Event::Block(report)) => {
                        ends[own].certificates.extend(report.certificate.clone());
                        ends[own].aborted += usize::from(matches!(report.outcome, Outcome::Aborted(_)));
                    }
                    Output::Event(Event::TransmittanceMoved { block, before, after, deviations }) => {
                        assert_eq!(deviations > 0.0, after > before, "a rise is positive");
                        ends[own].moved.push((block, before, after));
                    }
                    Output::Persist(record) => {
                        moved = true;
                        let persisted = session.handle(Time(0), Input::Persisted(record.ticket));
                        failed = persisted.err().or(failed);
                    }
                    Output::Event(_) | Output::Hangup => {}
                    Output::Wait(_) => break,
                }
            }
            ends[own].epsilon_spent = session.epsilon_spent();
            moved |= !sent.is_empty();
            sides[1 - own].2.extend(sent);
            if failed.is_some() && ends[own].error.is_none() {
                ends[own].error = failed;
            }
        }
        if !moved {
            return ends;
        }
    }
}

fn bb84(blocks: u64, cap: Option<f64>) -> [End; 2] {
    run(&[protocol(), protocol()], (0..4 * blocks).map(frames), cap)
}

fn sum(certificate: &Certificate, name: &str) -> u64 {
    match certificate.input(name) {
        Some(Evidence::Counts(counts)) => counts.iter().sum(),
        Some(Evidence::Count(count)) => count,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn both_sides_certify_the_same_key() {
    let [alice, bob] = bb84(2, None);
    assert_eq!((alice.keys.len(), bob.keys.len()), (2, 2), "two blocks, two keys");
    for (ours, theirs) in alice.certificates.iter().zip(&bob.certificates) {
        let same = Certificate { role: Role::Bob, ..(**ours).clone() };
        assert_eq!(same, **theirs, "they differ in the role only");
    }
    for (place, key) in alice.keys.iter().enumerate() {
        let certificate = key.certificate();
        assert_eq!(*certificate, *alice.certificates[place], "the key bears what the report tells");
        assert_eq!(certificate.net_bits(), key.bits().len() as u64, "what is delivered, net of pads");
        assert_eq!(certificate.ledger.tag_pad_bits(), 512, "four tags");
        let failed = sum(certificate, "n_key") - certificate.kept_bits;
        let spent = certificate.ledger.disclosed_bits() + failed;
        assert_eq!(sum(certificate, "leak_EC"), spent, "all that was told or failed is subtracted");
        assert!(certificate.ledger.public_seed_bits() > certificate.kept_bits, "seed and verification key");
        let epsilon = certificate.ledger.epsilon() * (place + 1) as f64;
        assert!((certificate.session_epsilon / epsilon - 1.0).abs() < 1e-9, "ε adds up over blocks");
        assert_eq!(certificate.foundation, Foundation::Computational, "the operating system's generator");
        let draws = [Purpose::DoubleClick, Purpose::VerificationKey, Purpose::AmplificationSeed];
        assert_eq!(certificate.computational(), draws, "what rests on it");
        // Two resume tags were made before the first block, then two a block each way.
        let uses = 1 + 2 * (place as u64 + 1);
        assert_eq!(certificate.hash_key_uses, [uses; 2], "every tag is a use of its direction's hash key");
    }
}

#[test]
fn a_cv_key_is_certified_too() {
    let protocols = [cv_protocol(Role::Alice), cv_protocol(Role::Bob)];
    let [alice, bob] = run(&protocols, (0..30).map(|index| cv_frames(index, 0.0)), None);
    let [ours] = &alice.certificates[..] else { panic!("one block, not {}", alice.certificates.len()) };
    let same = Certificate { role: Role::Bob, ..(**ours).clone() };
    assert_eq!(same, *bob.certificates[0], "they differ in the role only");
    assert_eq!(sum(ours, "leak_EC"), ours.ledger.disclosed_bits(), "all that was told is subtracted");
    assert!(matches!(ours.input("eta"), Some(Evidence::Interval(_))), "η is an interval");
    assert_eq!((alice.moved.len(), bob.moved.len()), (0, 0), "nothing moved");
}

/// The same frames with T = 0.47 in place of 0.5.
fn dimmed((alice, bob): (cv::Frame, cv::Frame)) -> (cv::Frame, cv::Frame) {
    let (cv::Frame::Alice(x), cv::Frame::Bob(mut y)) = (&alice, bob) else { panic!("Alice's and Bob's") };
    let less = 3.0 * (0.141f32.sqrt() - 0.15f32.sqrt());
    y.quadratures.iter_mut().zip(&x.quadratures).for_each(|(y, x)| *y += less * x);
    (alice, cv::Frame::Bob(y))
}

#[test]
fn a_key_of_slices_is_certified_with_what_it_told() {
    let protocols = [Role::Alice, Role::Bob].map(|role| {
        Arc::new(cv::Cv {
            method: gaussian::Method::Slices,
            frames_per_block: 60,
            ..(*cv_protocol(role)).clone()
        })
    });
    let [alice, bob] = run(&protocols, (0..60).map(|index| modulated_cv_frames(index, 0.0, 3.0)), None);
    let [ours] = &alice.certificates[..] else { panic!("one block, not {}", alice.certificates.len()) };
    let same = Certificate { role: Role::Bob, ..(**ours).clone() };
    assert_eq!(same, *bob.certificates[0], "they differ in the role only");
    assert_eq!(ours.key_length.mode, "slices", "and it says what it is");
    assert_eq!(sum(ours, "leak_EC"), ours.ledger.disclosed_bits(), "all that was told is subtracted");
    let kept = u64::from(ours.frames - ours.frames_failed);
    assert_eq!(ours.ledger.disclosed_by(Disclosure::Moments), 128 * kept, "two sums a frame");
    let term =
        |wanted: &str| ours.key_length.terms.iter().find(|(name, _)| *name == wanted).map(|term| term.1);
    assert_eq!(term("raw_bits"), Some(8.0 * sum(ours, "n_kept") as f64), "eight bits a symbol");
    // s comes of 50 000 symbols: 100 000 quadratures know their variance to a two-hundredth.
    let mismatch = term("mismatch_bits").expect("a term") / sum(ours, "n_kept") as f64;
    assert!((2e-5..2e-3).contains(&mismatch), "{mismatch} bits a symbol for a variance that is nearly right");
}

#[test]
fn a_transmittance_that_moves_is_told_and_certified() {
    let protocols = [cv_protocol(Role::Alice), cv_protocol(Role::Bob)];
    // The second block sees the change within, the third another at its beginning.
    let frame = |index: u64| {
        let whole = cv_frames(index, 0.0);
        if (45..60).contains(&index) { dimmed(whole) } else { whole }
    };
    let [alice, bob] = run(&protocols, (0..90).map(frame), None);
    assert_eq!(alice.moved, bob.moved, "both sides are told the same");
    let blocks: Vec<_> = alice.moved.iter().map(|(block, before, after)| (*block, after > before)).collect();
    assert_eq!(blocks, [(1, false), (2, true)], "it fell within a block and rose after it");
    let number = |certificate: &Certificate, name: &str| {
        certificate.key_length.terms.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    };
    let [still, moved, _] = &alice.certificates[..] else { panic!("three keys") };
    let deviations =
        [still, moved].map(|certificate| number(certificate, "transmittance_deviations").expect("certified"));
    assert!(deviations[0].abs() < 5.0 && deviations[1] < -6.0, "{deviations:?}");
    let means = [still, moved].map(|certificate| number(certificate, "transmittance").expect("certified"));
    assert!(means[1] < means[0] - 0.01, "the key is reckoned with the mean of what it saw: {means:?}");
}

#[test]
fn the_cap_of_epsilon_stops_delivery_on_both_sides() {
    let each = protocol().epsilon;
    let ends = bb84(3, Some(2.5 * each));
    for end in &ends {
        assert!(end.keys.len() >= 2, "what the cap covers is delivered: {}", end.keys.len());
        assert!(end.epsilon_spent <= 2.5 * each, "the cap holds: {}", end.epsilon_spent);
    }
    let none = bb84(1, Some(0.1 * each));
    for (end, name) in none.iter().zip(["Alice", "Bob"]) {
        assert!(end.keys.is_empty(), "{name} delivers nothing");
        let Some(Error::EpsilonSpent { block: 0, cap, .. }) = end.error else {
            panic!("{name} says why: {:?}", end.error)
        };
        assert!((cap - 0.1 * each).abs() < 1e-15, "the cap is told");
    }
}

#[test]
fn a_block_leaves_only_if_the_cap_covers_all_that_may_be_booked_for_it() {
    let each = protocol().epsilon;
    for end in bb84(1, Some(each)) {
        assert_eq!(end.keys.len(), 1, "the block's whole ε is covered");
        assert!(end.epsilon_spent <= each, "{:e} of it is spent", end.epsilon_spent);
    }
    for end in bb84(1, Some(each.next_down())) {
        assert!(end.keys.is_empty(), "should its books be lost, all of it would be booked");
        assert!(matches!(end.error, Some(Error::EpsilonSpent { block: 0, .. })), "{:?}", end.error);
    }
}

#[test]
fn blocks_that_were_given_up_count() {
    let strict = Arc::new(keystill::bb84::Bb84 { epsilon: 1e-300, ..(*protocol()).clone() });
    let ends = run(&[strict.clone(), strict], (0..8).map(frames), None);
    for end in &ends {
        assert_eq!((end.keys.len(), end.aborted), (0, 2), "no key at this ε");
        assert!(end.epsilon_spent >= 2e-300, "both blocks count: {:e}", end.epsilon_spent);
    }
}

#[test]
fn intervals_of_the_devices_reach_the_key_and_stale_ones_make_none() {
    let exact = bb84(1, None);
    let loose = keystill::bb84::Bb84 {
        intensity_spread: [1e-3, 4e-4, 1e-5],
        probability_spread: [1e-3, 4e-4, 4e-4],
        calibration: Some(Validity { epsilon: 1e-3, blocks: 1 }),
        ..(*protocol()).clone()
    };
    let loose = Arc::new(loose);
    let ends = run(&[loose.clone(), loose], (0..8).map(frames), None);
    let [certificate] = &ends[0].certificates[..] else { panic!("the second block's calibration is stale") };
    assert_eq!(ends[0].aborted, 1, "and it is given up");
    assert!(certificate.secret_bits() < exact[0].certificates[0].secret_bits(), "intervals cost key");
    let booked = certificate.ledger.epsilons().find(|(purpose, _)| *purpose == "calibration");
    assert_eq!(booked, Some(("calibration", 1e-3)), "its ε is booked");
    let absent = Arc::new(keystill::bb84::Bb84 { calibration: None, ..(*protocol()).clone() });
    let ends = run(&[absent.clone(), absent], (0..4).map(frames), None);
    assert_eq!((ends[0].keys.len(), ends[1].keys.len()), (0, 0), "no calibration, no key");
}

#[test]
fn bits_of_empty_pulses_count_where_the_session_credits_them() {
    let credited = Arc::new(keystill::bb84::Bb84 { vacuum: Vacuum::Credited, ..(*protocol()).clone() });
    let ends = run(&[credited.clone(), credited], (0..4).map(frames), None);
    let without = bb84(1, None);
    let [with, without] = [&ends, &without].map(|ends| &ends[0].certificates[0]);
    let vacuum = with.key_length.terms.iter().find(|(name, _)| *name == "vacuum_key").map(|(_, bits)| *bits);
    let more = with.secret_bits() - without.secret_bits();
    assert!(
        (more as f64 - vacuum.expect("a term")).abs() <= 1.0,
        "{more} bits more for {vacuum:?} of vacuum"
    );
    assert_eq!((with.key_length.mode, without.key_length.mode), ("with_vacuum", "default"), "and it says so");
}

#[test]
fn a_receiver_that_drifted_from_its_configuration_makes_no_key() {
    let drifted = [Role::Alice, Role::Bob].map(|role| {
        // 0.1 is measured.
        Arc::new(cv::Cv { electronic_noise: [0.05, 0.09], ..(*cv_protocol(role)).clone() })
    });
    let ends = run(&drifted, (0..30).map(|index| cv_frames(index, 0.0)), None);
    assert_eq!((ends[0].keys.len(), ends[0].aborted), (0, 1), "given up");
    let stale = [Role::Alice, Role::Bob].map(|role| {
        Arc::new(cv::Cv {
            validity: Some(Validity { epsilon: 0.0, blocks: 0 }),
            ..(*cv_protocol(role)).clone()
        })
    });
    let ends = run(&stale, (0..30).map(|index| cv_frames(index, 0.0)), None);
    assert_eq!((ends[0].keys.len(), ends[0].aborted), (0, 1), "a calibration out of date makes no key");
}
