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
use keystill::protocol::Protocol;
use keystill::random::OperatingSystem;
use keystill::session::{
    Config, Error, Event, Input, Outcome, Output, Refused, SecretKey, Session, Time, Work,
};
use keystill::stage::{Role, Workbench};

mod synthetic;
use synthetic::{Lcg, cv_frames, cv_protocol, frames, protocol};

/// One end of a link: a session, its raw frames, its inbox and its work.
struct Party<P: Protocol> {
    session: Session<P>,
    frames: VecDeque<P::Frame>,
    inbox: VecDeque<Vec<u8>>,
    work: Vec<Work>,
    keys: Vec<SecretKey>,
    events: Vec<Event>,
}

impl<P: Protocol> Party<P> {
    fn new(role: Role, protocol: Arc<P>, pre_shared: &[u8]) -> Self {
        let pool = Pool::from_pre_shared(pre_shared).expect("long enough");
        let config = Config::new(role, 42, protocol, Arc::new(OperatingSystem));
        Self {
            session: Session::new(config, pool),
            frames: VecDeque::new(),
            inbox: VecDeque::new(),
            work: Vec::new(),
            keys: Vec::new(),
            events: Vec::new(),
        }
    }

    /// One step: a frame, a message, or a piece of work, as the dice say. Returns what it sends.
    fn step(&mut self, rng: &mut Lcg, bench: &mut Workbench) -> Result<Vec<Vec<u8>>, Error> {
        if let Some(frame) = self.frames.pop_front() {
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
        let mut sent = Vec::new();
        loop {
            match self.session.poll() {
                Output::Transmit(message) => sent.push(message),
                Output::Compute(work) => self.work.push(work),
                Output::Key(key) => self.keys.push(key),
                Output::Event(event) => self.events.push(event),
                Output::Wait => return Ok(sent),
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
    #[expect(dead_code, reason = "shown where a test fails")]
    Failed(Error),
    /// Nothing moves any more.
    Stalled,
}

/// Changes what a role sends as its nth message.
type Tamper<'a> = &'a mut dyn FnMut(Role, u64, &mut Vec<u8>);

/// Runs both ends until `blocks` blocks are over or nothing moves any more.
fn talk<P: Protocol>(ends: &mut [Party<P>; 2], blocks: u64, seed: u64, tamper: Tamper<'_>) -> End {
    let mut dice = Lcg(seed);
    let mut bench = Workbench::new(Isa::best());
    let (mut sent, mut idle) = ([0u64; 2], 0);
    loop {
        for from in 0..2 {
            let messages = match ends[from].step(&mut dice, &mut bench) {
                Ok(messages) => messages,
                Err(error) => return End::Failed(error),
            };
            for mut message in messages {
                idle = 0;
                tamper([Role::Alice, Role::Bob][from], sent[from], &mut message);
                sent[from] += 1;
                ends[1 - from].inbox.push_back(message);
            }
        }
        if ends.iter().all(|end| end.session.blocks_over() == blocks) {
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
    let pre_shared = vec![0x5a; 32 + 64 * 8];
    let protocol = protocol();
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, protocol.clone(), &pre_shared));
    for index in 0..blocks * protocol.frames_per_block() {
        let (alice, bob) = frames(index);
        ends[0].frames.push_back(alice);
        ends[1].frames.push_back(bob);
    }
    let end = talk(&mut ends, blocks, seed, tamper);
    let [alice, bob] = ends;
    (end, alice, bob)
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
    assert!(matches!(party.session.poll(), Output::Wait), "it asks for nothing more");
    let (alice, _) = frames(0);
    assert!(
        matches!(party.session.offer(alice), Err(Refused::Closed(error)) if error == first),
        "nor takes data"
    );
}

#[test]
fn other_parameters_are_refused_at_hello() {
    let pool = || Pool::from_pre_shared(&[0; 96]).expect("long enough");
    let other = Bb84 { epsilon: 1e-4, ..(*protocol()).clone() };
    let config = |role, protocol| Config::new(role, 42, protocol, Arc::new(OperatingSystem));
    let mut alice = Session::new(config(Role::Alice, protocol()), pool());
    let mut bob = Session::new(config(Role::Bob, Arc::new(other)), pool());
    let Output::Transmit(hello) = alice.poll() else { panic!("hello comes first") };
    let error = bob.handle(Time(0), Input::Received(&hello)).expect_err("another ε");
    assert_eq!(error, Error::Disagreement { what: "parameter set" }, "named");
    let mut same = Session::new(config(Role::Alice, protocol()), pool());
    let error = same.handle(Time(0), Input::Received(&hello)).expect_err("two Alices");
    assert_eq!(error, Error::Disagreement { what: "role" }, "named");
}

#[test]
fn the_window_hands_frames_back_and_bounds_what_the_peer_may_open() {
    let mut party = Party::new(Role::Bob, protocol(), &[0; 96]);
    let protocol = protocol();
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

fn run_cv(noise: f32) -> (End, [Party<Cv>; 2]) {
    let mut ends = [Role::Alice, Role::Bob].map(|role| Party::new(role, cv_protocol(role), &[3; 160]));
    for index in 0..30 {
        let (alice, bob) = cv_frames(index, noise);
        ends[0].frames.push_back(alice);
        ends[1].frames.push_back(bob);
    }
    let end = talk(&mut ends, 1, 5, &mut untouched);
    (end, ends)
}

#[test]
fn cv_sessions_distil_the_same_key_by_the_same_hall() {
    let (end, [alice, bob]) = run_cv(0.0);
    assert!(matches!(end, End::Over), "{end:?}");
    assert_eq!(alice.keys.len(), 1, "{:?}", alice.events);
    assert_eq!(alice.keys[0].bits(), bob.keys[0].bits(), "the same key");
}

#[test]
fn a_cv_channel_too_noisy_leaves_no_key_and_says_why() {
    let (end, [alice, bob]) = run_cv(0.3);
    assert!(matches!(end, End::Over), "the block ends, the session goes on: {end:?}");
    assert!(alice.keys.is_empty() && bob.keys.is_empty(), "nothing is released");
    let reasons = alice.events.iter().filter_map(|event| match event {
        Event::Block(report) => match &report.outcome {
            Outcome::Aborted(abort) => Some(abort.to_string()),
            Outcome::Key { .. } => None,
        },
        _ => None,
    });
    assert!(reasons.count() > 0, "a reason is given: {:?}", alice.events);
}
