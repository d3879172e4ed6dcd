use super::super::frame::{Settings, click};
use super::*;
use crate::random::OperatingSystem;
use crate::stage::Workbench;
use keystill_kernels::Isa;

const GATES: u32 = 400;
const FRAMES: u64 = 3;
const BASES: u8 = 2;

fn wing(role: Role) -> Bb84Wing {
    let protocol = Bb84 {
        gates_per_frame: GATES,
        frames_per_block: FRAMES,
        calibration: Some(Validity { epsilon: 0.0, blocks: 2 }),
        ..Bb84::default()
    };
    Bb84Wing::new(
        Arc::new(protocol),
        Party { role, block: 1, random: Arc::new(OperatingSystem), lesson: None },
    )
}

fn detections(index: u64) -> Frame {
    let offsets: Vec<u32> = (0..GATES).step_by(3).collect();
    let clicks = offsets.iter().map(|offset| if offset % 2 == 0 { click::DETECTOR_0 } else { 4 }).collect();
    Frame::Bob(BobFrame { first_gate: index * u64::from(GATES), gates: GATES, offsets, clicks })
}

fn settings(index: u64) -> Frame {
    let packed =
        (0..GATES / 2).map(|byte| (byte.wrapping_mul(0x9e37_79b9) >> 24) as u8 & 0b0111_0111).collect();
    let settings = Settings::Packed(packed);
    Frame::Alice(AliceFrame { first_gate: index * u64::from(GATES), gates: GATES, settings })
}

/// Computes until nothing is left to compute, and returns the messages.
fn settled(wing: &mut Bb84Wing, mut desk: Desk) -> Vec<Vec<u8>> {
    let mut bench = Workbench::new(Isa::best());
    let mut messages = std::mem::take(&mut desk.messages);
    while let Some(computation) = desk.computations.pop() {
        wing.done(computation.run(&mut bench), &mut desk).expect("honest data");
        messages.append(&mut desk.messages);
    }
    messages
}

fn offered(wing: &mut Bb84Wing, frame: Frame) -> Vec<Vec<u8>> {
    let mut desk = Desk::new();
    wing.offer(frame, &mut desk).expect("in order");
    settled(wing, desk)
}

fn heard(wing: &mut Bb84Wing, message: &[u8]) -> Vec<Vec<u8>> {
    let mut desk = Desk::new();
    wing.hear(Reader::new(message), &mut desk).expect("an honest message");
    settled(wing, desk)
}

#[test]
fn bases_and_intensities_are_told_after_the_last_gate_only() {
    let (mut alice, mut bob) = (wing(Role::Alice), wing(Role::Bob));
    for index in 0..FRAMES {
        let last = index + 1 == FRAMES;
        assert!(offered(&mut alice, settings(index)).is_empty(), "Alice waits for positions");
        let told = offered(&mut bob, detections(index));
        let (positions, bases): (Vec<_>, Vec<_>) = told.into_iter().partition(|message| message[0] != BASES);
        assert_eq!(positions.len(), 1, "Bob tells where he detected in frame {index}");
        assert_eq!(bases.len() as u64, if last { FRAMES } else { 0 }, "Bob's bases after frame {index}");
        let answers = heard(&mut alice, &positions[0]);
        let bases = answers.iter().filter(|message| message[0] == BASES).count() as u64;
        assert_eq!(bases, if last { FRAMES } else { 0 }, "Alice's bases and intensities after frame {index}");
    }
}

#[test]
fn positions_come_once_and_a_block_is_its_gates() {
    let (mut alice, mut bob) = (wing(Role::Alice), wing(Role::Bob));
    let positions = offered(&mut bob, detections(0)).remove(0);
    offered(&mut alice, settings(0));
    heard(&mut alice, &positions);
    let again = alice.hear(Reader::new(&positions), &mut Desk::new());
    assert!(matches!(again, Err(Fault::Peer(_))), "a second word on the same gates: {again:?}");
    let protocol = &alice.protocol;
    let Frame::Bob(frame) = detections(2) else { panic!("Bob's") };
    let index = |frame: BobFrame| crate::protocol::Protocol::frame_index(&**protocol, &Frame::Bob(frame));
    assert_eq!(index(frame.clone()), Some(2), "the third run of gates");
    assert_eq!(index(BobFrame { gates: GATES + 1, ..frame.clone() }), None, "more gates than agreed on");
    assert_eq!(index(BobFrame { first_gate: 7, ..frame }), None, "gates that no run begins with");
}

#[test]
fn the_dead_time_of_a_frame_reaches_into_the_next_and_a_block_begins_dead() {
    let bob = wing(Role::Bob);
    assert_eq!((bob.protocol.dead_gates, bob.live_from), (1, 1), "a click before the block may be unknown");
    let mut bob = wing(Role::Bob);
    offered(&mut bob, detections(0));
    assert_eq!(bob.live_from, 1, "the last gate of the frame clicked");
    let last = offered(&mut bob, detections(1)).remove(0);
    let mut offsets = Vec::new();
    let told = Reader::new(&last[2..]);
    let offsets = sift::read_positions(Isa::best(), told, GATES, 1000, &mut offsets).expect("positions");
    assert_eq!(offsets[0], 3, "gate 0 of the second frame is dead");
}

#[test]
fn a_calibration_out_of_date_stops_the_block() {
    let mut bob = wing(Role::Bob);
    bob.party.block = 2;
    let stale = bob.offer(detections(0), &mut Desk::new());
    assert!(
        matches!(&stale, Err(Fault::Abort(Abort::Unusable { reason })) if reason.contains("stale")),
        "it held for two blocks: {stale:?}"
    );
}

#[test]
fn debug_tells_no_setting_and_no_click() {
    let (mut alice, mut bob) = (wing(Role::Alice), wing(Role::Bob));
    let mut desk = Desk::new();
    alice.offer(settings(0), &mut desk).expect("in order");
    offered(&mut bob, detections(0));
    let text = format!("{alice:?} {bob:?} {:?} {:?}", settings(0), detections(0));
    assert!(text.contains("Packed(200 bytes)") && text.contains("clicks)"), "lengths are told: {text}");
    assert!(!text.contains("settings: [") && !text.contains("clicks: ["), "nothing else: {text}");
}

#[test]
fn what_older_blocks_taught_moves_the_expected_error_rate() {
    let now = sample(0.03, 100_000);
    let expected = |lesson| expected_error_rate(now, lesson);
    assert!((expected(None) - (0.03 + 1.5 * now.error)).abs() < 1e-12, "the sample alone, guarded");
    let lesson = |error_rate, value| Some(Lesson { error_rate, sample: sample(value, 100_000) });
    let still = expected(lesson(0.036, 0.0302));
    assert!((still - 0.036).abs() < now.error, "the test basis stands still, so does the key basis: {still}");
    let moved = expected(lesson(0.024, 0.02));
    assert!(
        (moved - 1.2 * (0.03 + 1.5 * now.error)).abs() < 1e-12,
        "the key basis keeps its distance: {moved}"
    );
    assert_eq!(expected(lesson(0.0, 0.02)), expected(None), "nothing was corrected: nothing learnt");
    assert!(expected(lesson(0.5, 0.001)) < 0.2, "a lesson that cannot be is not followed far");
}
