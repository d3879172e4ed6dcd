//! A raw source of your own: BB84 frames from two text files, one line a gate on Alice's side and one
//! line a click on Bob's.
//!
//! A source hands out frames by number ([`FrameSource`]); the pipeline asks for them ahead of time, on its
//! own threads, and paces them if they come from hardware. What must be right is the alignment: gate g of
//! Alice is gate g of Bob.
//!
//! ```text
//! alice.csv   gate,basis,bit,intensity      basis Z or X; intensity 0 signal, 1 decoy, 2 vacuum
//! bob.csv     gate,basis,bit                a click
//! ```
//!
//! `cargo run --release --example own_source [alice.csv bob.csv]`; without files it makes its own.
#![expect(clippy::cast_possible_truncation, reason = "the numbers of an example are small")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::frame::{AliceFrame, BobFrame, Settings, click};
use keystill::bb84::{Bb84, Frame};
use keystill::pipeline::{Actor, FrameJob, FrameSource, News, Pace, Party, SourceError, Workers, drive};
use keystill::protocol::Validity;
use keystill::random::OperatingSystem;
use keystill::reconcile::Method;
use keystill::session::{Config, Event, Outcome};
use keystill::stage::Role;

const GATES: u32 = 150_000;
const FRAMES: u64 = 4;

/// A recording in text, cut into frames when it is read.
#[derive(Debug)]
struct Text {
    frames: Vec<Result<Frame, String>>,
}

impl FrameSource<Frame> for Text {
    fn frame(&self, index: u64) -> FrameJob<Frame> {
        let none = || Err("there is no such frame".to_owned());
        let frame = usize::try_from(index).ok().and_then(|index| self.frames.get(index).cloned());
        let frame = frame.unwrap_or_else(none);
        Box::new(move |_isa| frame.map_err(|reason| SourceError { index, reason }))
    }

    fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_millis(1)
    }
}

impl Text {
    /// Alice's settings. Every gate must be there, in order.
    fn of_alice(text: &str) -> Self {
        let mut lines = text.lines().enumerate().skip(1);
        let frame = |index: u64| {
            let first_gate = index * u64::from(GATES);
            let mut packed = vec![0; GATES as usize / 2];
            for gate in 0..GATES {
                let (number, line) = lines.next().ok_or_else(|| format!("the file ends at gate {gate}"))?;
                let wrong = || format!("line {}: `{line}` is not gate,basis,bit,intensity", number + 1);
                let fields: Vec<&str> = line.split(',').collect();
                let [own, basis @ ("Z" | "X"), bit @ ("0" | "1"), intensity @ ("0" | "1" | "2")] = fields[..]
                else {
                    return Err(wrong());
                };
                if own.parse() != Ok(first_gate + u64::from(gate)) {
                    return Err(format!(
                        "line {}: gate {own} where {} is due",
                        number + 1,
                        first_gate + u64::from(gate)
                    ));
                }
                let intensity: u8 = intensity.parse().map_err(|_| wrong())?;
                let setting = u8::from(bit == "1") | u8::from(basis == "X") << 1 | intensity << 2;
                packed[gate as usize / 2] |= setting << (4 * (gate % 2));
            }
            Ok(Frame::Alice(AliceFrame { first_gate, gates: GATES, settings: Settings::Packed(packed) }))
        };
        Self { frames: (0..FRAMES).map(frame).collect() }
    }

    /// Bob's clicks, in order of gates.
    fn of_bob(text: &str) -> Self {
        let mut lines = text.lines().enumerate().skip(1).peekable();
        let frame = |index: u64| {
            let first_gate = index * u64::from(GATES);
            let mut frame = BobFrame { first_gate, gates: GATES, ..BobFrame::default() };
            while let Some((number, line)) = lines.peek() {
                let wrong = || format!("line {}: `{line}` is not gate,basis,bit", number + 1);
                let fields: Vec<&str> = line.split(',').collect();
                let [gate, basis @ ("Z" | "X"), bit @ ("0" | "1")] = fields[..] else { return Err(wrong()) };
                let gate: u64 = gate.parse().map_err(|_| wrong())?;
                let Some(offset) = gate.checked_sub(first_gate) else { return Err(wrong()) };
                let Some(offset) = u32::try_from(offset).ok().filter(|offset| *offset < GATES) else { break };
                frame.offsets.push(offset);
                let detector = if bit == "1" { click::DETECTOR_1 } else { click::DETECTOR_0 };
                frame.clicks.push(detector | if basis == "X" { click::TEST_BASIS } else { 0 });
                lines.next();
            }
            Ok(Frame::Bob(frame))
        };
        Self { frames: (0..FRAMES).map(frame).collect() }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (alice, bob) = match &arguments[..] {
        [alice, bob] => {
            (std::fs::read_to_string(Path::new(alice))?, std::fs::read_to_string(Path::new(bob))?)
        }
        _ => invented(),
    };
    let protocol = Arc::new(Bb84 {
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
    });
    let party = |role, source: Text| -> Result<Box<dyn Actor>, Box<dyn std::error::Error>> {
        let pool = Pool::from_pre_shared(&[7; 1024])?;
        let config = Config::new(role, 1, protocol.clone(), Arc::new(OperatingSystem));
        Ok(Box::new(Party::new(config, pool, Box::new(source), Pace::Max)))
    };
    let mut actors = vec![party(Role::Alice, Text::of_alice(&alice))?, party(Role::Bob, Text::of_bob(&bob))?];
    let mut keys = Vec::new();
    drive(&mut actors, &Workers::new(2, Isa::best())?, &mut |_, news| {
        match news {
            Some((_, News::Key(key))) => keys.push(key.bits().to_bytes()),
            Some((1, News::Event(Event::Block(report)))) => match &report.outcome {
                Outcome::Key { secret_bits, .. } => {
                    println!("block {}: {secret_bits} secret bits", report.block)
                }
                Outcome::Aborted(abort) => println!("block {}: {abort}", report.block),
            },
            _ => {}
        }
        true
    })?;
    assert!(keys.len() == 2 && keys[0] == keys[1], "both sides hold the same key");
    println!("both sides hold the same {} bytes", keys[0].len());
    Ok(())
}

/// Both files of a short link: nine photons in ten arrive, one bit in a hundred is wrong.
fn invented() -> (String, String) {
    use std::fmt::Write as _;
    let mut state = 1u64;
    let mut dice = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let (mut alice, mut bob) = (String::from("gate,basis,bit,intensity\n"), String::from("gate,basis,bit\n"));
    for gate in 0..u64::from(GATES) * FRAMES {
        let intensity = [0, 0, 0, 0, 0, 0, 1, 2][usize::from(dice(8) as u8)];
        let (bit, basis) = (dice(2), ["X", "Z", "Z"][usize::from(dice(3) as u8)]);
        let _ = writeln!(alice, "{gate},{basis},{bit},{intensity}");
        if dice(1_000_000) < [362_000, 165_000, 900][intensity] {
            let bit = if dice(100) == 0 { 1 - bit } else { bit };
            let _ = writeln!(bob, "{gate},{},{bit}", ["X", "Z", "Z"][usize::from(dice(3) as u8)]);
        }
    }
    (alice, bob)
}
