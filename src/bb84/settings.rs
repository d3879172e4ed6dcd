//! Reading Alice's settings at the gates that clicked, whatever form they have.

use keystill_kernels::{Isa, noise};

use super::frame::{AliceFrame, Settings};

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

/// The settings of gates, one byte each: bit 0 the bit, bit 1 set for the test basis, bits 2 and 3 the
/// intensity. Appended to `out`.
///
/// # Errors
/// [`SettingsError`] if a gate lies beyond the frame, or its settings are missing.
pub fn settings_at(
    isa: Isa,
    frame: &AliceFrame,
    offsets: &[u32],
    out: &mut Vec<u8>,
) -> Result<(), SettingsError> {
    // The largest of all, not the first beyond: the compiler makes vectors of it.
    if let Some(offset) = offsets.iter().copied().max().filter(|offset| *offset >= frame.gates) {
        return Err(SettingsError::Beyond { offset, gates: frame.gates });
    }
    match &frame.settings {
        Settings::Packed(packed) => {
            if packed.len() < (frame.gates as usize).div_ceil(2) {
                return Err(SettingsError::Short { bytes: packed.len(), gates: frame.gates });
            }
            out.extend(offsets.iter().map(|offset| packed[*offset as usize / 2] >> (4 * (offset % 2)) & 15));
        }
        Settings::SimulatedCounter(rule) => {
            let known = out.len();
            out.resize(known + offsets.len(), 0);
            let (mut gates, mut words) = ([0; PIECE], [0; PIECE]);
            for (offsets, out) in offsets.chunks(PIECE).zip(out[known..].chunks_mut(PIECE)) {
                let (gates, words) = (&mut gates[..out.len()], &mut words[..out.len()]);
                for (gate, offset) in gates.iter_mut().zip(offsets) {
                    *gate = frame.first_gate + u64::from(*offset);
                }
                noise::gate_words(isa, &rule.key, gates, words);
                noise::settings(isa, &rule.thresholds, words, out);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frame::SimulatedCounter;
    use super::*;

    #[test]
    fn packed_settings_are_read_where_asked() {
        let settings = Settings::Packed(vec![0x21, 0x43, 0x05]);
        let frame = AliceFrame { first_gate: 100, gates: 5, settings };
        let mut out = Vec::new();
        settings_at(Isa::SCALAR, &frame, &[0, 3, 4], &mut out).expect("inside");
        assert_eq!(out, [1, 4, 5], "low nibble first");
        let beyond = settings_at(Isa::SCALAR, &frame, &[5], &mut out);
        assert_eq!(beyond, Err(SettingsError::Beyond { offset: 5, gates: 5 }), "typed");
        let short = AliceFrame { gates: 7, ..frame };
        assert!(settings_at(Isa::SCALAR, &short, &[0], &mut out).is_err(), "seven gates need four bytes");
    }

    #[test]
    fn simulated_settings_follow_the_thresholds() {
        let whole = f64::from(1u32 << 31);
        let thresholds = [0.7, 0.8, 0.875, 0.97, 0.99].map(|share| (share * whole) as u32);
        let rule = SimulatedCounter { key: [9; 8], thresholds };
        let frame =
            AliceFrame { first_gate: 1 << 40, gates: 100_000, settings: Settings::SimulatedCounter(rule) };
        let offsets: Vec<u32> = (0..100_000).collect();
        let mut out = Vec::new();
        settings_at(Isa::best(), &frame, &offsets, &mut out).expect("inside");
        let share = |of: &dyn Fn(u8) -> bool| out.iter().filter(|setting| of(**setting)).count() as f64 / 1e5;
        assert!((share(&|s| s & 1 == 1) - 0.5).abs() < 0.01, "bits are even");
        assert!((share(&|s| s & 2 == 2) - 0.125).abs() < 0.005, "an eighth is test basis");
        assert!((share(&|s| s >> 2 == 0) - 0.795).abs() < 0.01, "intensity 0 in both bases");
    }
}
