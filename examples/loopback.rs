//! A whole block of BB84 and one of CV-QKD, both ends in this thread, over the library alone: raw frames of the
//! simulated link go in, equal keys come out.
//!
//! [`distil`] knows neither protocol: what it drives is any [`Session`]. A node does the same with one session, a wire
//! and a disk; `own_transport.rs` and `own_source.rs` show those.
//!
//! `cargo run --release --example loopback`
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::{self, Bb84};
use keystill::channel::Scenario;
use keystill::cv::{self, Cv};
use keystill::protocol::{Protocol, Validity};
use keystill::random::OperatingSystem;
use keystill::reconcile::gaussian::Method;
use keystill::session::{
    Config, Event, Input, LinkState, Outcome, Output, Refused, SecretKey, Session, Time,
};
use keystill::sim::{Bb84Source, CvSource};
use keystill::stage::{Role, Workbench};

const ROLES: [Role; 2] = [Role::Alice, Role::Bob];

fn main() {
    let text = Scenario::shipped("iown-47t2").expect("it ships");
    // Shorter than the ten seconds of the default, for a quick look; much shorter blocks leave no key at this ε.
    let overrides = ["bb84.block_s=2", "cv.block_s=4"].map(str::to_owned);
    let scenario = Scenario::from_text("iown-47t2", text, &overrides).expect("good values");
    bb84(&scenario);
    cv(&scenario);
}

fn bb84(scenario: &Scenario) {
    let (link, source) = (&scenario.bb84, Bb84Source::new(scenario, 1));
    let protocol = Arc::new(Bb84 {
        gates_per_frame: source.gates_per_frame(),
        frames_per_block: frames_in(link.block_s, link.frame_ms),
        intensities: link.mean_photons,
        probabilities: link.probabilities,
        intensity_spread: link.mean_photon_spread,
        probability_spread: link.probability_spread,
        test_probability: Some([link.test_probability; 2]),
        calibration: Some(Validity { epsilon: link.calibration_epsilon, blocks: 1 }),
        dead_gates: link.dead_gates,
        ..Bb84::default()
    });
    distil([protocol.clone(), protocol], |role, index| match role {
        Role::Alice => bb84::Frame::Alice(source.alice_frame(index)),
        Role::Bob => bb84::Frame::Bob(source.bob_frame(Isa::best(), index)),
    });
}

fn cv(scenario: &Scenario) {
    let (link, source) = (&scenario.cv, CvSource::new(scenario, 1));
    let around = |value: f64, spread: f64| [value - spread, value + spread];
    // Bob calibrates his shot noise and tells Alice.
    let protocol = |calibration| {
        Arc::new(Cv {
            symbols_per_frame: source.symbols_per_frame(),
            frames_per_block: frames_in(link.block_s, link.frame_ms),
            sample_symbols: usize::try_from(link.sample_symbols).expect("a number of symbols"),
            efficiency: around(link.receiver_efficiency, link.receiver_efficiency_spread),
            electronic_noise: around(link.electronic_noise_snu, link.electronic_noise_spread_snu),
            validity: Some(Validity { epsilon: link.calibration_epsilon, blocks: 1 }),
            epsilon: link.epsilon,
            calibration,
            method: Method::default(),
        })
    };
    distil([protocol(None), protocol(Some(source.calibration()))], |role, index| match role {
        Role::Alice => cv::Frame::Alice(source.alice_frame(Isa::best(), index)),
        Role::Bob => cv::Frame::Bob(source.bob_frame(Isa::best(), index)),
    });
}

fn frames_in(block_s: f64, frame_ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand")]
    let frames = (block_s * 1e3 / frame_ms).round() as u64;
    frames
}

/// One block, from raw frames to the same key on both sides.
fn distil<P: Protocol>(protocols: [Arc<P>; 2], raw_frame: impl Fn(Role, u64) -> P::Frame) {
    let (began, frames) = (Instant::now(), protocols[0].frames_per_block());
    let mut number = 0;
    let mut ends = protocols.map(|protocol| {
        number += 1;
        End::new(ROLES[number - 1], protocol)
    });
    while ends.iter().any(|end| !end.over) {
        for side in 0..2 {
            let sent = ends[side].step(frames, &raw_frame);
            ends[1 - side].inbox.extend(sent);
        }
    }
    let [alice, bob] = ends.map(|end| end.key.expect("the link is good enough for key"));
    assert!(alice.bits() == bob.bits(), "both ends hold the same key");
    let (certificate, seconds) = (alice.certificate(), began.elapsed().as_secs_f64());
    println!(
        "{}: {} secret bits on both ends, {} bits disclosed, ε = {:.2e}, in {seconds:.1} s",
        P::NAME,
        certificate.secret_bits(),
        certificate.ledger.disclosed_bits(),
        certificate.ledger.epsilon(),
    );
}

/// One end of the link.
struct End<P: Protocol> {
    role: Role,
    session: Session<P>,
    bench: Workbench,
    inbox: VecDeque<Vec<u8>>,
    offered: u64,
    key: Option<SecretKey>,
    over: bool,
}

impl<P: Protocol> End<P> {
    fn new(role: Role, protocol: Arc<P>) -> Self {
        // In real life: the secret that both ends of the link were given.
        let pool = Pool::from_pre_shared(&[7; 1024]).expect("long enough");
        let mut session = Session::new(Config::new(role, 1, protocol, Arc::new(OperatingSystem)), pool);
        session.handle(Time(0), Input::Link(LinkState::Up)).expect("a new session");
        let bench = Workbench::new(Isa::best());
        Self { role, session, bench, inbox: VecDeque::new(), offered: 0, key: None, over: false }
    }

    /// Offers raw data, hears what came, and carries out what the session asks for; what it sends.
    fn step(&mut self, frames: u64, raw_frame: &impl Fn(Role, u64) -> P::Frame) -> Vec<Vec<u8>> {
        while self.offered < frames {
            match self.session.offer(raw_frame(self.role, self.offered)) {
                Ok(()) => self.offered += 1,
                Err(Refused::Full(_)) => break,
                Err(Refused::Closed(error)) => panic!("{:?}: {error}", self.role),
            }
        }
        if let Some(message) = self.inbox.pop_front() {
            self.session.handle(Time(0), Input::Received(&message)).expect("an honest peer");
        }
        let mut sent = Vec::new();
        loop {
            let input = match self.session.poll() {
                Output::Transmit(message) => {
                    sent.push(message);
                    continue;
                }
                Output::Compute(work) => Input::Finished(work.run(&mut self.bench)),
                // In real life: write the record down, sync, and only then say so.
                Output::Persist(record) => Input::Persisted(record.ticket),
                Output::Key(key) => {
                    self.key = Some(key);
                    continue;
                }
                Output::Event(event) => {
                    self.note(&event);
                    continue;
                }
                Output::Hangup | Output::Wait(_) => return sent,
            };
            self.session.handle(Time(0), input).expect("our own work");
        }
    }

    fn note(&mut self, event: &Event) {
        if let Event::Block(report) = event {
            self.over = true;
            if let Outcome::Aborted(abort) = &report.outcome {
                println!("{:?}: no key: {abort}", self.role);
            }
        }
    }
}
