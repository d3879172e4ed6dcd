//! Two nodes of BB84 over a transport of your own: here two threads and a pair of channels.
//!
//! A session opens no socket. It says what to send, to compute and to remember ([`Output`]), and is told
//! what came, what was computed and what will survive a crash ([`Input`]). Anything that carries whole
//! messages in order will do: a serial line, a message queue, a satellite.
//!
//! `cargo run --release --example own_transport`
#![expect(clippy::cast_possible_truncation, reason = "the numbers of an example are small")]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::frame::{AliceFrame, BobFrame, Settings, click};
use keystill::bb84::{Bb84, Frame};
use keystill::protocol::Validity;
use keystill::random::OperatingSystem;
use keystill::reconcile::Method;
use keystill::session::{Config, Event, Input, LinkState, Outcome, Output, Refused, Session, Time};
use keystill::stage::{Role, Workbench};

const GATES: u32 = 150_000;
const FRAMES: u64 = 4;

fn protocol() -> Arc<Bb84> {
    Arc::new(Bb84 {
        gates_per_frame: GATES,
        frames_per_block: FRAMES,
        intensities: [0.5, 0.2, 0.001],
        probabilities: [0.75, 0.125, 0.125],
        intensity_spread: [0.0; 3],
        probability_spread: [0.0; 3],
        test_probability: None,
        calibration: Some(Validity { epsilon: 0.0, blocks: 1000 }),
        dead_gates: 0,
        most_clicks_per_frame: 60_000,
        // A toy: a block this short leaves no key at an ε that anybody would accept.
        epsilon: 1e-2,
        method: Method::Cascade,
        ..Bb84::default()
    })
}

fn main() {
    let (to_bob, from_alice) = channel();
    let (to_alice, from_bob) = channel();
    let alice = thread::spawn(move || node(Role::Alice, &to_bob, &from_bob));
    let bob = node(Role::Bob, &to_alice, &from_alice);
    let alice = alice.join().expect("Alice's thread does not panic");
    assert!(alice == bob && !alice.is_empty(), "both nodes hold the same key");
    println!("both nodes hold the same {} bytes of key", alice.len());
}

/// Drives one session until its block is over and returns the block's key.
fn node(role: Role, peer: &Sender<Vec<u8>>, inbox: &Receiver<Vec<u8>>) -> Vec<u8> {
    // In real life: the pre-shared key of this link, and a clock in nanoseconds.
    let pool = Pool::from_pre_shared(&[7; 1024]).expect("long enough");
    let mut session = Session::new(Config::new(role, 1, protocol(), Arc::new(OperatingSystem)), pool);
    let mut bench = Workbench::new(Isa::best());
    session.handle(Time(0), Input::Link(LinkState::Up)).expect("a new session");
    let mut next = 0;
    let (mut key, mut over) = (Vec::new(), false);
    loop {
        // Raw frames go in as they come; a session that is full hands them back.
        while next < FRAMES {
            match session.offer(raw_frame(role, next)) {
                Ok(()) => next += 1,
                Err(Refused::Full(_)) => break,
                Err(Refused::Closed(error)) => panic!("{role:?}: {error}"),
            }
        }
        match session.poll() {
            // Nobody listens any more once the peer is done.
            Output::Transmit(message) => drop(peer.send(message)),
            Output::Compute(work) => {
                session.handle(Time(0), Input::Finished(work.run(&mut bench))).expect("our own work");
            }
            // In real life: write the record down, sync, and only then say so.
            Output::Persist(record) => {
                session.handle(Time(0), Input::Persisted(record.ticket)).expect("our own record");
            }
            Output::Key(found) => key = found.bits().to_bytes(),
            Output::Event(Event::Block(report)) => {
                over = true;
                if let Outcome::Aborted(abort) = &report.outcome {
                    println!("{role:?}: no key: {abort}");
                }
            }
            Output::Event(_) => {}
            Output::Hangup => panic!("no time passes here"),
            Output::Wait(_) if over => return key,
            Output::Wait(_) => match inbox.recv() {
                Ok(message) => session.handle(Time(0), Input::Received(&message)).expect("an honest peer"),
                Err(_) => return key,
            },
        }
    }
}

/// What the hardware would hand over: Alice's settings, or Bob's clicks, of the same gates.
fn raw_frame(role: Role, index: u64) -> Frame {
    let mut state = index + 1;
    let mut dice = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let first_gate = index * u64::from(GATES);
    let mut packed = vec![0; GATES as usize / 2];
    let mut bob = BobFrame { first_gate, gates: GATES, ..BobFrame::default() };
    for gate in 0..GATES {
        let intensity = [0, 0, 0, 0, 0, 0, 1, 2][usize::from(dice(8) as u8)];
        let setting = u8::from(dice(2) == 1) | u8::from(dice(3) == 0) << 1 | intensity << 2;
        packed[gate as usize / 2] |= setting << (4 * (gate % 2));
        if dice(1_000_000) < [362_000, 165_000, 900][usize::from(intensity)] {
            let bit = (setting & 1 != 0) != (dice(100) == 0);
            let detector = if bit { click::DETECTOR_1 } else { click::DETECTOR_0 };
            bob.offsets.push(gate);
            bob.clicks.push(detector | u8::from(dice(3) == 0));
        }
    }
    match role {
        Role::Alice => {
            Frame::Alice(AliceFrame { first_gate, gates: GATES, settings: Settings::Packed(packed) })
        }
        Role::Bob => Frame::Bob(bob),
    }
}
