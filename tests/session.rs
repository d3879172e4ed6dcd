//! Two sessions talk to each other, step by step, in one thread.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "tests make their numbers from counters"
)]

use std::collections::VecDeque;
use std::sync::Arc;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::ledger::Disclosure;
use keystill::protocol::Protocol;
use keystill::random::OperatingSystem;
use keystill::reconcile::gaussian::Method as Gaussian;
use keystill::session::{
    Config, Error, Event, Input, LinkState, Outcome, Output, Refused, SecretKey, Session, Ticket, Time, Work,
};
use keystill::stage::{Abort, PeerReason, Role, Workbench};

mod synthetic;
use synthetic::{Lcg, cv_frames, cv_protocol, frames, modulated_cv_frames, protocol};

/// Of the synthetic BB84.
const FRAMES_PER_BLOCK: u64 = 4;

/// One end of a link: a session, its raw frames, its inbox and its work.
struct Party<P: Protocol> {
    session: Session<P>,
    frames: VecDeque<P::Frame>,
    /// Whether a block begins only when none is open.
    one_by_one: bool,
    inbox: VecDeque<Vec<u8>>,
    work: Vec<Work>,
    /// Records that are on their way to the disk.
    tickets: VecDeque<Ticket>,
    keys: Vec<SecretKey>,
    events: Vec<Event>,
}

impl<P: Protocol> Party<P> {
    fn new(role: Role, protocol: Arc<P>, pre_shared: &[u8]) -> Self {
        let pool = Pool::from_pre_shared(pre_shared).expect("long enough");
        let config = Config::new(role, 42, protocol, Arc::new(OperatingSystem));
        let mut session = Session::new(config, pool);
        session.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
        Self {
            session,
            tickets: VecDeque::new(),
            frames: VecDeque::new(),
            one_by_one: false,
            inbox: VecDeque::new(),
            work: Vec::new(),
            keys: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One step: a frame, a message, or a piece of work, as the dice say. Returns what it sends.
    fn step(&mut self, rng: &mut Lcg, bench: &mut Workbench) -> Result<Vec<Vec<u8>>, Error> {
        let waits = self.one_by_one
            && self.session.next_frame().is_multiple_of(FRAMES_PER_BLOCK)
            && self.session.next_frame() != self.session.blocks_over() * FRAMES_PER_BLOCK;
        if !waits && let Some(frame) = self.frames.pop_front() {
            match self.session.offer(frame) {
                Ok(()) => {}
                Err(Refused::Full(frame)) => self.frames.push_front(frame),
                Err(Refused::Closed(error)) => return Err(error),
            }
        }
        if rng.next(2) == 0
            && let Some(message) = self.inbox.pop_front()
        {
            self.session.handle(Time(0), Input::Received(&message))?;
        }
        if rng.next(2) == 0 && !self.work.is_empty() {
            let place = rng.next(self.work.len() as u64) as usize;
            let finished = self.work.swap_remove(place).run(bench);
            self.session.handle(Time(0), Input::Finished(finished))?;
        }
        if rng.next(2) == 0
            && let Some(ticket) = self.tickets.pop_front()
        {
            self.session.handle(Time(0), Input::Persisted(ticket))?;
        }
        let mut sent = Vec::new();
        loop {
            match self.session.poll() {
                Output::Transmit(message) => sent.push(message),
                Output::Compute(work) => self.work.push(work),
                Output::Key(key) => self.keys.push(key),
                Output::Event(event) => self.events.push(event),
                Output::Persist(record) => self.tickets.push_back(record.ticket),
                Output::Hangup => panic!("no time passes"),
                Output::Wait(_) => return Ok(sent),
            }
        }
    }
}

/// How a run ended.
#[derive(Debug)]
enum End {
    /// All blocks are over.
    Over,
    /// A session ended with an error.
    Failed(Error),
    /// Nothing moves any more.
    Stalled,
}

/// Changes what a role sends as its nth message.
type Tamper<'a> = &'a mut dyn FnMut(Role, u64, &mut Vec<u8>);

/// Runs both ends until `blocks` blocks are over or nothing moves any more.
fn talk<P: Protocol>(ends: &mut [Party<P>; 2], blocks: u64, seed: u64, tamper: Tamper<'_>) -> End {
    talk_and(ends, blocks, seed, &mut |role, number, mut message| {
        tamper(role, number, &mut message);
        vec![message]
    })
}

/// What the wire makes of a role's nth message: what arrives.
type Wire<'a> = &'a mut dyn FnMut(Role, u64, Vec<u8>) -> Vec<Vec<u8>>;

/// As [`talk`], over any wire.
fn talk_and<P: Protocol>(ends: &mut [Party<P>; 2], blocks: u64, seed: u64, wire: Wire<'_>) -> End {
    let mut dice = Lcg(seed);
    let mut bench = Workbench::new(Isa::best());
    let (mut sent, mut idle) = ([0u64; 2], 0);
    loop {
        for from in 0..2 {
            let messages = match ends[from].step(&mut dice, &mut bench) {
                Ok(messages) => messages,
                Err(error) => return End::Failed(error),
            };
            for message in messages {
                idle = 0;
                ends[1 - from].inbox.extend(wire([Role::Alice, Role::Bob][from], sent[from], message));
                sent[from] += 1;
            }
        }
        let over = |end: &Party<P>| {
            end.session.blocks_over() == blocks && end.session.is_drained() && !end.session.is_in_doubt()
        };
        if ends.iter().all(over) {
            return End::Over;
        }
        idle += 1;
        if idle > 1_000 {
            return End::Stalled;
        }
    }
}

/// Runs BB84 over `blocks` blocks; `tamper` may change what goes over the wire.
fn run(blocks: u64, seed: u64, tamper: Tamper<'_>) -> (End, Party<Bb84>, Party<Bb84>) {
    let mut ends = with_frames(8, blocks);
    let end = talk(&mut ends, blocks, seed, tamper);
    let [alice, bob] = ends;
    (end, alice, bob)
}

/// Both ends with the frames of `blocks` blocks, and pads for `covered`.
fn with_frames(covered: u64, blocks: u64) -> [Party<Bb84>; 2] {
    // No two pads alike: a pad's number stands in the message, and one that was altered must lead to another pad.
    let mut dice = Lcg(3);
    let pre_shared: Vec<u8> = (0..32 + 64 * covered).map(|_| dice.next(256) as u8).collect();
    let protocol = protocol();
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, protocol.clone(), &pre_shared));
    for index in 0..blocks * protocol.frames_per_block() {
        let (alice, bob) = frames(index);
        ends[0].frames.push_back(alice);
        ends[1].frames.push_back(bob);
    }
    ends
}

/// Both ends, live, before the first frame.
fn live(protocol: &Arc<Bb84>) -> [Party<Bb84>; 2] {
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, protocol.clone(), &[0x5a; 544]));
    assert!(matches!(talk(&mut ends, 1, 1, &mut untouched), End::Stalled), "there are no frames");
    assert!(ends.iter().all(|end| end.session.is_live()), "both know where to go on");
    ends
}

fn untouched(_: Role, _: u64, _: &mut Vec<u8>) {}

fn secret_bits<P: Protocol>(end: &Party<P>) -> Vec<u64> {
    let blocks = end.events.iter().filter_map(|event| match event {
        Event::Block(report) => Some(report),
        _ => None,
    });
    blocks
        .map(|report| match report.outcome {
            Outcome::Key { secret_bits, .. } => secret_bits,
            Outcome::Aborted(_) => 0,
        })
        .collect()
}

#[test]
fn both_ends_distil_the_same_keys_whatever_the_order_of_work_and_messages() {
    for seed in [1, 2, 3] {
        let (end, alice, bob) = run(3, seed, &mut untouched);
        assert!(matches!(end, End::Over), "no fault: {end:?}");
        assert_eq!(alice.keys.len(), 3, "a key a block: {:?}", alice.events);
        assert_eq!(secret_bits(&alice), secret_bits(&bob), "the same lengths");
        for (ours, theirs) in alice.keys.iter().zip(&bob.keys) {
            assert_eq!(ours.block(), theirs.block(), "the same block");
            assert_eq!(ours.bits(), theirs.bits(), "the same key");
        }
    }
}

#[test]
fn how_much_of_a_key_refills_the_pads_does_not_hang_on_the_order_of_work() {
    let refilled = |end: &Party<Bb84>| -> Vec<u64> {
        let outcomes = end.events.iter().filter_map(|event| match event {
            Event::Block(report) => Some(&report.outcome),
            _ => None,
        });
        outcomes
            .map(|outcome| match outcome {
                Outcome::Key { refilled_bits, .. } => *refilled_bits,
                Outcome::Aborted(abort) => panic!("no fault: {abort}"),
            })
            .collect()
    };
    // At first a block less than the reserve, so what a block asks for changes as blocks before it are over.
    let of = |one_by_one| {
        let mut ends = with_frames(99, 6);
        for end in &mut ends {
            end.one_by_one = one_by_one;
        }
        let end = talk(&mut ends, 6, 1, &mut untouched);
        assert!(matches!(end, End::Over), "no fault: {end:?}");
        assert_eq!(refilled(&ends[0]), refilled(&ends[1]), "both ends cut alike");
        refilled(&ends[0])
    };
    let together = of(false);
    assert!(
        together.windows(2).any(|pair| pair[0] != pair[1]),
        "blocks ask for different amounts: {together:?}"
    );
    assert_eq!(of(true), together, "one block after the other");
}

#[test]
fn both_records_of_a_block_say_how_it_was_reconciled_and_why() {
    let (_, alice, bob) = run(1, 1, &mut untouched);
    let choice = |events: &[Event]| {
        let report = events.iter().find_map(|event| match event {
            Event::Block(report) => report.choice.clone(),
            _ => None,
        });
        report.expect("a choice in the record")
    };
    let (ours, theirs) = (choice(&alice.events), choice(&bob.events));
    assert_eq!(ours, theirs, "the corrector makes the choice again");
    assert!(ours.starts_with("cascade in frames of") && ours.ends_with("asked for"), "{ours}");
    for party in [&alice, &bob] {
        let told = party.keys[0].certificate().ledger.disclosed_by(Disclosure::ErrorRate);
        assert_eq!(told, 16, "that the error rate is told, is booked");
    }
}

/// Keys that one side holds and the other does not hold equally, but for a last one whose final
/// message was lost.
fn assert_no_key_differs<P: Protocol>(alice: &Party<P>, bob: &Party<P>) {
    for (ours, theirs) in alice.keys.iter().zip(&bob.keys) {
        assert_eq!(ours.block(), theirs.block(), "the same block");
        assert_eq!(ours.bits(), theirs.bits(), "the same key");
    }
    let difference = alice.keys.len().abs_diff(bob.keys.len());
    assert!(difference <= 1, "at most the last accept can be lost");
}

#[test]
fn one_flipped_bit_in_any_message_releases_no_key_of_its_block() {
    let mut counts = [0u64; 2];
    run(1, 1, &mut |role, number, _| counts[usize::from(role == Role::Bob)] = number + 1);
    let mut dice = Lcg(99);
    for (role, count) in [(Role::Alice, counts[0]), (Role::Bob, counts[1])] {
        for number in 0..count {
            let place = dice.next(1 << 20) as usize;
            let (end, alice, bob) = run(1, 1, &mut |sender, index, message| {
                if sender == role && index == number {
                    let bit = place % (8 * message.len());
                    message[bit / 8] ^= 1 << (bit % 8);
                }
            });
            assert!(!matches!(end, End::Over) || alice.keys.is_empty(), "{role:?} {number}: {end:?}");
            let receiver = if role == Role::Alice { &bob } else { &alice };
            assert!(receiver.keys.is_empty(), "{role:?} {number}, bit {place}: the receiver released a key");
            assert_no_key_differs(&alice, &bob);
        }
    }
}

#[test]
fn nothing_is_heard_after_the_tag_that_closes_a_transcript() {
    const TRANSCRIPT_TAG: u8 = 7;
    // A message of a frame that is not there yet would wait for it: block 0, frame 99.
    let stray = vec![2, 0, 99, 1, 2, 3];
    for sender in [Role::Alice, Role::Bob] {
        let mut ends = live(&protocol());
        for index in 0..4 {
            let (alice, bob) = frames(index);
            ends[0].frames.push_back(alice);
            ends[1].frames.push_back(bob);
        }
        let end = talk_and(&mut ends, 1, 7, &mut |role, _, message| {
            let closes = role == sender && message[0] == TRANSCRIPT_TAG;
            std::iter::once(message).chain(closes.then(|| stray.clone())).collect()
        });
        assert!(
            matches!(end, End::Failed(Error::Malformed { block: 0, .. })),
            "after {sender:?}'s tag: {end:?}"
        );
    }
}

#[test]
fn truncated_repeated_and_garbage_messages_end_in_a_typed_error() {
    let changes: [fn(&mut Vec<u8>); 4] = [
        |message| message.truncate(message.len() / 2),
        |message| message.extend_from_within(..),
        |message| message.fill(0xa5),
        |message| message.clear(),
    ];
    for (kind, change) in changes.iter().enumerate() {
        for number in [0, 1, 3, 8, 12] {
            let (end, alice, bob) = run(1, 1, &mut |sender, index, message| {
                if sender == Role::Bob && index == number {
                    change(message);
                }
            });
            assert!(!matches!(end, End::Over), "change {kind} of message {number} was not noticed");
            assert!(alice.keys.is_empty() && bob.keys.is_empty(), "no key of an altered block");
        }
    }
}

#[test]
fn a_session_that_is_over_says_the_same_ever_after() {
    let mut party = Party::new(Role::Alice, protocol(), &[0; 96]);
    let first = party.session.handle(Time(0), Input::Received(&[255, 255])).expect_err("no such kind");
    let second = party.session.handle(Time(1), Input::Received(&[0])).expect_err("over");
    assert_eq!(first, second, "the first error stays");
    assert!(matches!(party.session.poll(), Output::Persist(_)), "it asks for nothing more");
    let (alice, _) = frames(0);
    assert!(
        matches!(party.session.offer(alice), Err(Refused::Closed(error)) if error == first),
        "nor takes data"
    );
}

/// The first message of a session, once its record lasts.
fn first_message<P: Protocol>(session: &mut Session<P>) -> Vec<u8> {
    loop {
        match session.poll() {
            Output::Persist(record) => {
                session.handle(Time(0), Input::Persisted(record.ticket)).expect("remembered");
            }
            Output::Transmit(message) => return message,
            output => panic!("a message comes first, not {output:?}"),
        }
    }
}

#[test]
fn nothing_is_said_before_its_record_lasts() {
    let mut party = Party::new(Role::Alice, protocol(), &[0; 160]);
    let Output::Persist(record) = party.session.poll() else { panic!("the connection's number comes first") };
    assert!(matches!(party.session.poll(), Output::Wait(Some(_))), "hello waits for it");
    party.session.handle(Time(0), Input::Persisted(record.ticket)).expect("remembered");
    assert!(matches!(party.session.poll(), Output::Transmit(_)), "now it leaves");
}

#[test]
fn other_parameters_are_refused_at_hello() {
    let pool = || Pool::from_pre_shared(&[0; 96]).expect("long enough");
    let other = Bb84 { epsilon: 1e-4, ..(*protocol()).clone() };
    let config = |role, protocol| Config::new(role, 42, protocol, Arc::new(OperatingSystem));
    let mut alice = Session::new(config(Role::Alice, protocol()), pool());
    let mut bob = Session::new(config(Role::Bob, Arc::new(other)), pool());
    for session in [&mut alice, &mut bob] {
        session.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
    }
    let hello = first_message(&mut alice);
    let error = bob.handle(Time(0), Input::Received(&hello)).expect_err("another ε");
    assert_eq!(error, Error::Disagreement { what: "parameter set" }, "named");
    let joined = Config { agreed: b"xor".to_vec(), ..config(Role::Bob, protocol()) };
    let mut bob = Session::new(joined, pool());
    bob.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
    let error = bob.handle(Time(0), Input::Received(&hello)).expect_err("keys joined otherwise");
    assert_eq!(error, Error::Disagreement { what: "parameter set" }, "named");
    let mut same = Session::new(config(Role::Alice, protocol()), pool());
    same.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
    let error = same.handle(Time(0), Input::Received(&hello)).expect_err("two Alices");
    assert_eq!(error, Error::Disagreement { what: "role" }, "named");
}

#[test]
fn the_window_hands_frames_back_and_bounds_what_the_peer_may_open() {
    let protocol = protocol();
    let [_, mut party] = live(&protocol);
    let mut taken = 0;
    for index in 0..16 {
        let (_, bob) = frames(index);
        match party.session.offer(bob) {
            Ok(()) => taken += 1,
            Err(Refused::Full(frame)) => {
                assert_eq!(protocol.frame_index(&frame), Some(index), "the same frame comes back");
                break;
            }
            Err(Refused::Closed(error)) => panic!("{error}"),
        }
    }
    assert_eq!(taken, 12, "three blocks of four frames, then back-pressure");
}

/// Ends the connection at both ends and begins another.
fn reconnect(ends: &mut [Party<Bb84>; 2]) {
    for end in ends {
        end.inbox.clear();
        for state in [LinkState::Down, LinkState::Up] {
            end.session.handle(Time(0), Input::Link(state)).expect("open");
        }
        let (first, frames) = (end.session.next_frame(), end.frames.len());
        let given = 8 - frames as u64;
        end.frames.drain(..frames.min(first.saturating_sub(given) as usize));
    }
}

/// The blocks of an end's keys with digests, and those that it told.
fn held(end: &Party<Bb84>) -> (Vec<(u64, String)>, Vec<u64>) {
    let digest = |key: &SecretKey| blake3::hash(&key.bits().to_bytes()).to_hex()[..8].to_owned();
    let told = end.events.iter().filter_map(|event| match event {
        Event::Block(report) if matches!(report.outcome, Outcome::Key { .. }) => Some(report.block),
        _ => None,
    });
    (end.keys.iter().map(|key| (key.block(), digest(key))).collect(), told.collect())
}

#[test]
fn a_connection_lost_at_any_step_of_a_closing_leaves_both_sides_with_the_same_keys() {
    const LENGTH: u8 = 5;
    // From the nth message of a closing on, nothing arrives.
    for lost in 0.. {
        let (mut ends, mut count) = (live(&protocol()), 0);
        for index in 0..8 {
            let (alice, bob) = frames(index);
            ends[0].frames.push_back(alice);
            ends[1].frames.push_back(bob);
        }
        let first = talk_and(&mut ends, 2, 1, &mut |_, _, message| {
            count += u64::from(message[0] >= LENGTH);
            Vec::from_iter((count <= lost).then_some(message))
        });
        if matches!(first, End::Over) {
            assert!(lost > 10, "two closings have more messages than {lost}");
            return;
        }
        reconnect(&mut ends);
        let second = talk(&mut ends, 2, 2, &mut untouched);
        assert!(matches!(second, End::Over), "lost at {lost}: {second:?}");
        assert_eq!(held(&ends[0]), held(&ends[1]), "lost at {lost}");
    }
}

#[test]
fn a_silent_peer_is_given_up_and_a_quiet_one_is_not() {
    let [mut alice, _] = live(&protocol());
    let Output::Wait(Some(due)) = alice.session.poll() else { panic!("it wants to be woken") };
    alice.session.handle(due, Input::Tick).expect("open");
    assert!(matches!(alice.session.poll(), Output::Transmit(_)), "it says that it is there");
    alice.session.handle(Time(due.0 + 1), Input::Received(&[11, 0])).expect("the peer is, too");
    let mut now = due;
    while alice.session.is_live() {
        now.0 += 1_000_000_000;
        alice.session.handle(now, Input::Tick).expect("open");
    }
    let patience = 60_000_000_000;
    assert!(now.0 > due.0 + patience, "patience from the peer's last word on");
    let hangup = std::iter::from_fn(|| match alice.session.poll() {
        Output::Wait(_) => None,
        output => Some(matches!(output, Output::Hangup)),
    });
    assert_eq!(hangup.filter(|hangup| *hangup).count(), 1, "it asks for another connection");
}

fn run_cv(noise: f32) -> (End, [Party<Cv>; 2]) {
    run_cv_on(noise, &mut |_, _, message| vec![message])
}

fn run_cv_on(noise: f32, wire: Wire<'_>) -> (End, [Party<Cv>; 2]) {
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, cv_protocol(role), &[3; 544]));
    for index in 0..30 {
        let (alice, bob) = cv_frames(index, noise);
        ends[0].frames.push_back(alice);
        ends[1].frames.push_back(bob);
    }
    let end = talk_and(&mut ends, 1, 5, wire);
    (end, ends)
}

/// `KEYSTILL_FLIPS=100 cargo test --release --test session altered_cv` flips as many bits of each message as one likes.
#[test]
fn an_altered_cv_message_releases_no_key_of_its_block() {
    let flips = std::env::var("KEYSTILL_FLIPS").ok().and_then(|count| count.parse().ok()).unwrap_or(1u64);
    let mut messages: Vec<(Role, u64, Vec<u8>)> = Vec::new();
    run_cv_on(0.0, &mut |role, number, message| {
        messages.push((role, number, message.clone()));
        vec![message]
    });
    let mut dice = Lcg(17);
    let mut tried = 0;
    // `change` makes of a message, and of the one that the same side sent before it, what arrives.
    let mut attempt = |from: Role, place: u64, what: &str, change: &mut dyn FnMut(Vec<u8>) -> Vec<u8>| {
        let reorder = what == "reordered";
        let mut held = None;
        let (end, [alice, bob]) = run_cv_on(0.0, &mut |role, number, message| {
            if (role, number) != (from, place) {
                return std::iter::once(message).chain(held.take_if(|_| role == from)).collect();
            }
            held = reorder.then(|| message.clone());
            if reorder { Vec::new() } else { vec![change(message)] }
        });
        let receiver = if from == Role::Alice { &bob } else { &alice };
        assert!(receiver.keys.is_empty(), "{from:?} {place}, {what}: the receiver released a key");
        assert!(!matches!(end, End::Over) || alice.keys.is_empty(), "{from:?} {place}, {what}: {end:?}");
        assert_no_key_differs(&alice, &bob);
        tried += 1;
    };
    for (index, (role, number, message)) in messages.iter().enumerate() {
        for _ in 0..flips {
            let bit = dice.next(8 * message.len() as u64) as usize;
            attempt(*role, *number, &format!("bit {bit}"), &mut |mut message| {
                message[bit / 8] ^= 1 << (bit % 8);
                message
            });
        }
        // What both sides say alike, such as "fixed", is no replay.
        let before = &messages[index.saturating_sub(1)].2;
        match index % 4 {
            3 if before != message => {
                attempt(*role, *number, "replayed", &mut |_| before.clone());
                // Its head, and the tail of what the other side said before.
                let spliced = [&message[..message.len() / 2], &before[before.len() / 2..]].concat();
                attempt(*role, *number, "spliced", &mut |_| spliced.clone());
            }
            2 => attempt(*role, *number, "reordered", &mut |message| message),
            1 => attempt(*role, *number, "doubled", &mut |message| message.repeat(2)),
            _ => attempt(*role, *number, "cut", &mut |mut message| {
                message.truncate(message.len() / 2);
                message
            }),
        }
    }
    println!(
        "{{\"protocol\":\"cv\",\"messages\":{},\"alterations\":{tried},\"accepted\":0}}",
        messages.len()
    );
}

#[test]
fn cv_sessions_distil_the_same_key_by_the_same_hall() {
    let (end, [alice, bob]) = run_cv(0.0);
    assert!(matches!(end, End::Over), "{end:?}");
    assert_eq!(alice.keys.len(), 1, "{:?}", alice.events);
    assert_eq!(alice.keys[0].bits(), bob.keys[0].bits(), "the same key");
}

/// The channel of [`cv_frames`] with V_A = 9, 1 dB, and quadratures in slices; after the sample the noise may grow.
fn run_slices(more_noise: f32) -> (End, [Party<Cv>; 2]) {
    let sliced = |role| {
        Arc::new(Cv { method: Gaussian::Slices, frames_per_block: 60, ..(*cv_protocol(role)).clone() })
    };
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, sliced(role), &[3; 544]));
    for index in 0..60 {
        let (alice, bob) = modulated_cv_frames(index, if index < 3 { 0.0 } else { more_noise }, 3.0);
        ends[0].frames.push_back(alice);
        ends[1].frames.push_back(bob);
    }
    let end = talk(&mut ends, 1, 5, &mut untouched);
    (end, ends)
}

#[test]
fn slices_distil_the_same_key_and_say_why_they_were_chosen() {
    let (end, [alice, bob]) = run_slices(0.0);
    assert!(matches!(end, End::Over), "{end:?}");
    assert_eq!(alice.keys.len(), 1, "{:?}", alice.events);
    assert_eq!(alice.keys[0].bits(), bob.keys[0].bits(), "the same key");
    for (party, reason) in [(&alice, "asked for"), (&bob, "the peer's choice")] {
        let choices: Vec<_> = party
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Block(report) => report.choice.clone(),
                _ => None,
            })
            .collect();
        let [choice] = &choices[..] else { panic!("one block: {choices:?}") };
        assert!(choice.starts_with("slices in frames of") && choice.ends_with(reason), "{choice}");
    }
}

#[test]
fn a_signal_that_falls_by_a_decibel_after_the_sample_costs_slices_their_frames_and_makes_no_wrong_key() {
    // √1.1 + 0.14: the noise is 1.29 times as strong.
    let (end, [alice, bob]) = run_slices(0.14);
    assert!(matches!(end, End::Over), "the block ends, the session goes on: {end:?}");
    assert!(alice.keys.is_empty() && bob.keys.is_empty(), "nothing is released");
    let lost = alice.events.iter().any(|event| match event {
        Event::Block(report) => report.frames_failed > 0 && matches!(report.outcome, Outcome::Aborted(_)),
        _ => false,
    });
    assert!(lost, "frames failed and are booked: {:?}", alice.events);
}

#[test]
fn a_cv_channel_too_noisy_leaves_no_key_and_says_why() {
    let (end, [alice, bob]) = run_cv(0.3);
    assert!(matches!(end, End::Over), "the block ends, the session goes on: {end:?}");
    assert!(alice.keys.is_empty() && bob.keys.is_empty(), "nothing is released");
    let abort = |party: &Party<Cv>| {
        let mut aborts = party.events.iter().filter_map(|event| match event {
            Event::Block(report) => match &report.outcome {
                Outcome::Aborted(abort) => Some(abort.clone()),
                Outcome::Key { .. } => None,
            },
            _ => None,
        });
        aborts.next_back().expect("the block is reported")
    };
    let (own, heard) = match (abort(&alice), abort(&bob)) {
        (own, Abort::Peer { why }) | (Abort::Peer { why }, own) => (own, why),
        both => panic!("one side gives up and the other hears of it: {both:?}"),
    };
    assert_eq!(PeerReason::of(&own), heard, "the peer is told why: {own}");
}
