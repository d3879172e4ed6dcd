//! Reading Alice's settings at the gates that clicked, whatever form they have.

use keystill_kernels::{Isa, clicks, noise, wipe};

use crate::bits::Wiped;

use super::frame::{AliceFrame, Settings, SimulatedCounter};

/// Why settings cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A gate beyond the frame was asked for.
    #[error("gate {offset} was asked for in a frame of {gates}")]
    Beyond {
        /// The gate, from the frame's first.
        offset: u32,
        /// Gates in the frame.
        gates: u32,
    },
    /// The frame holds fewer settings than gates.
    #[error("the frame holds {bytes} bytes of settings for {gates} gates: Alice's source lost data")]
    Short {
        /// Bytes held.
        bytes: usize,
        /// Gates in the frame.
        gates: u32,
    },
}

/// Gates whose words are computed at a time: they stay near the processor.
const PIECE: usize = 1024;

/// The settings of gates, a plane a bit: the bit, set for the test basis, and the low and high bits of the intensity.
///
/// `offsets`: strictly increasing; `planes`: a word for each 64 of them, or part of them, zero behind the last.
///
/// # Errors
/// [`SettingsError`] if a gate lies beyond the frame, or its settings are missing.
pub(super) fn planes_at(
    isa: Isa,
    frame: &AliceFrame,
    offsets: &[u32],
    planes: [&mut [u64]; 4],
) -> Result<(), SettingsError> {
    if let Some(offset) = offsets.last().copied().filter(|offset| *offset >= frame.gates) {
        return Err(SettingsError::Beyond { offset, gates: frame.gates });
    }
    match &frame.settings {
        Settings::Packed(packed) => {
            if packed.len() < (frame.gates as usize).div_ceil(2) {
                return Err(SettingsError::Short { bytes: packed.len(), gates: frame.gates });
            }
            clicks::settings(isa, packed, offsets, planes);
        }
        Settings::SimulatedCounter(rule) => simulated(isa, rule, frame.first_gate, offsets, planes),
    }
    Ok(())
}

fn simulated(
    isa: Isa,
    rule: &SimulatedCounter,
    first_gate: u64,
    offsets: &[u32],
    mut planes: [&mut [u64]; 4],
) {
    let (mut gates, mut words, mut bytes) = ([0; PIECE], [0; PIECE], [0; PIECE]);
    for (piece, offsets) in offsets.chunks(PIECE).enumerate() {
        let (gates, words) = (&mut gates[..offsets.len()], &mut words[..offsets.len()]);
        let bytes = &mut bytes[..offsets.len()];
        for (gate, offset) in gates.iter_mut().zip(offsets) {
            *gate = first_gate + u64::from(*offset);
        }
        noise::gate_words(isa, &rule.key, gates, words);
        noise::settings(isa, &rule.thresholds, words, bytes);
        let first = piece * PIECE / 64;
        for (plane, shift) in planes.iter_mut().zip(0..) {
            clicks::plane(isa, bytes, shift, &mut plane[first..first + offsets.len().div_ceil(64)]);
        }
    }
    wipe(&mut words);
    wipe(&mut bytes);
}

/// The settings of gates, a byte each: bit 0 the bit, bit 1 set for the test basis, bits 2 and 3 the intensity.
/// `offsets`: the gates, in any order.
///
/// # Errors
/// [`SettingsError`] if a gate lies beyond the frame, or its settings are missing.
pub fn settings_at(isa: Isa, frame: &AliceFrame, offsets: &[u32]) -> Result<Vec<u8>, SettingsError> {
    if let Some(offset) = offsets.iter().copied().find(|offset| *offset >= frame.gates) {
        return Err(SettingsError::Beyond { offset, gates: frame.gates });
    }
    let mut planes = [(); 4].map(|()| Wiped(vec![0; offsets.len().div_ceil(64)]));
    planes_at(isa, frame, offsets, planes.each_mut().map(|plane| &mut plane.0[..]))?;
    let bit = |plane: &[u64], i: usize| u8::from(plane[i / 64] >> (i % 64) & 1 == 1);
    let setting = |i| (0..4).fold(0, |setting, k| setting | bit(&planes[k], i) << k);
    Ok((0..offsets.len()).map(setting).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_settings_are_read_where_asked() {
        let settings = Settings::Packed(vec![0x21, 0x43, 0x05]);
        let frame = AliceFrame { first_gate: 100, gates: 5, settings };
        assert_eq!(settings_at(Isa::SCALAR, &frame, &[0, 3, 4]), Ok(vec![1, 4, 5]), "low nibble first");
        let beyond = settings_at(Isa::SCALAR, &frame, &[5]);
        assert_eq!(beyond, Err(SettingsError::Beyond { offset: 5, gates: 5 }), "typed");
        let among = settings_at(Isa::best(), &frame, &[0, 9, 4]);
        assert_eq!(among, Err(SettingsError::Beyond { offset: 9, gates: 5 }), "wherever it stands");
        let short = AliceFrame { gates: 7, ..frame };
        assert!(settings_at(Isa::SCALAR, &short, &[0]).is_err(), "seven gates need four bytes");
    }

    #[test]
    fn simulated_settings_follow_the_thresholds() {
        let whole = f64::from(1u32 << 31);
        let thresholds = [0.7, 0.8, 0.875, 0.97, 0.99].map(|share| (share * whole) as u32);
        let rule = SimulatedCounter { key: [9; 8], thresholds };
        let frame =
            AliceFrame { first_gate: 1 << 40, gates: 100_000, settings: Settings::SimulatedCounter(rule) };
        let offsets: Vec<u32> = (0..100_000).collect();
        let out = settings_at(Isa::best(), &frame, &offsets).expect("inside");
        let share = |of: &dyn Fn(u8) -> bool| out.iter().filter(|setting| of(**setting)).count() as f64 / 1e5;
        assert!((share(&|s| s & 1 == 1) - 0.5).abs() < 0.01, "bits are even");
        assert!((share(&|s| s & 2 == 2) - 0.125).abs() < 0.005, "an eighth is test basis");
        assert!((share(&|s| s >> 2 == 0) - 0.795).abs() < 0.01, "intensity 0 in both bases");
    }
}
