//! A BB84 link with blocks so small that thousands of worlds fit in a minute.
//!
//! Its ε is relaxed until so few clicks leave a key: it serves to test what happens to keys, never to make
//! one that is used. The frames are made once and given again in every block.

use std::sync::{Arc, OnceLock};

use crate::bb84::frame::{AliceFrame, BobFrame, Settings, click};
use crate::bb84::{Bb84, Frame};
use crate::protocol::Validity;
use crate::reconcile::Method;
use crate::stage::Role;

use super::dice::Dice;

/// Frames that differ from each other; after them they repeat.
const FRAMES: u64 = 8;

/// Gates of a frame.
const GATES: u32 = 50_000;

/// The parameters: two frames a block, one gate in three a click, one error in a hundred.
#[must_use]
pub fn small_bb84() -> Arc<Bb84> {
    Arc::new(Bb84 {
        gates_per_frame: GATES,
        frames_per_block: 2,
        intensities: [0.5, 0.2, 0.001],
        probabilities: [0.75, 0.125, 0.125],
        intensity_spread: [0.0; 3],
        probability_spread: [0.0; 3],
        test_probability: None,
        calibration: Some(Validity { epsilon: 1e-3, blocks: u64::MAX }),
        dead_gates: 0,
        most_clicks_per_frame: GATES as usize / 2,
        epsilon: 0.1,
        method: Method::Cascade,
        code_margin: 0.0,
        ..Bb84::default()
    })
}

/// The raw frame of one party.
#[must_use]
pub fn small_frame(role: Role, index: u64) -> Frame {
    static MADE: OnceLock<Vec<(AliceFrame, BobFrame)>> = OnceLock::new();
    frame(MADE.get_or_init(|| (0..FRAMES).map(|index| make(index, 100)).collect()), role, index)
}

/// The same during a burst of noise: every other bit is an error.
#[must_use]
pub(super) fn noisy_frame(role: Role, index: u64) -> Frame {
    static MADE: OnceLock<Vec<(AliceFrame, BobFrame)>> = OnceLock::new();
    frame(MADE.get_or_init(|| (0..FRAMES).map(|index| make(index, 2)).collect()), role, index)
}

fn frame(made: &[(AliceFrame, BobFrame)], role: Role, index: u64) -> Frame {
    let place = usize::try_from(index % FRAMES).unwrap_or(0);
    let first_gate = index * u64::from(GATES);
    let (alice, bob) = &made[place];
    match role {
        Role::Alice => Frame::Alice(AliceFrame { first_gate, ..alice.clone() }),
        Role::Bob => Frame::Bob(BobFrame { first_gate, ..bob.clone() }),
    }
}

/// A frame of which one bit in so many is an error.
fn make(index: u64, bits_per_error: u64) -> (AliceFrame, BobFrame) {
    let mut dice = Dice::new(index + 1);
    let click_per_million = [362_000, 165_000, 900];
    let mut packed = vec![0; GATES as usize / 2];
    let mut bob = BobFrame { first_gate: 0, gates: GATES, ..BobFrame::default() };
    for gate in 0..GATES {
        let intensity = [0u8, 0, 0, 0, 0, 0, 1, 2][dice.place(8)];
        let (bit, basis) = (u8::from(dice.once_in(2)), u8::from(dice.once_in(3)));
        let setting = bit | basis << 1 | intensity << 2;
        packed[gate as usize / 2] |= setting << (4 * (gate % 2));
        if dice.below(1_000_000) < click_per_million[usize::from(intensity)] {
            let wrong = dice.once_in(bits_per_error);
            let detector = if (bit != 0) == wrong { click::DETECTOR_0 } else { click::DETECTOR_1 };
            bob.offsets.push(gate);
            bob.clicks.push(detector | u8::from(dice.once_in(3)));
        }
    }
    (AliceFrame { first_gate: 0, gates: GATES, settings: Settings::Packed(packed) }, bob)
}
