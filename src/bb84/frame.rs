//! Raw data of BB84 as the hardware hands it over: settings by gate on Alice's side, detections
//! by gate on Bob's.

use std::fmt;

use keystill_kernels::wipe;
use zeroize::Zeroize;

use crate::wire::{Malformed, Reader, Writer};

/// One of the two measurement bases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// The key basis Z.
    Key,
    /// The test basis X.
    Test,
}

/// What Alice prepared in one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The basis.
    pub basis: Basis,
    /// The bit.
    pub bit: bool,
    /// The index of the intensity: 0 signal, 1 decoy, 2 vacuum.
    pub intensity: u8,
}

/// Alice's settings of a run of gates. Its `Debug` shows lengths only.
#[derive(Clone, PartialEq)]
pub struct AliceFrame {
    /// The index of the first gate since the session began.
    pub first_gate: u64,
    /// How many gates.
    pub gates: u32,
    /// The settings.
    pub settings: Settings,
}

/// Where the settings of a frame's gates stand. Only those of detected gates are read. Its `Debug` shows
/// lengths only.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum Settings {
    /// Four bits a gate, two gates a byte, low nibble first: bit 0 the bit, bit 1 the basis (1 for
    /// test), bits 2 and 3 the intensity.
    Packed(Vec<u8>),
    /// Computed from the gate index under a seed: **simulation only**.
    SimulatedCounter(SimulatedCounter),
}

/// The rule by which simulated settings follow from the gate index.
///
/// The word of gate g is that of [`keystill_kernels::noise::gate_words`]. Bit 0 is the bit; the 31 others, as a
/// number, choose basis and intensity by `thresholds`.
#[derive(Clone, PartialEq)]
pub struct SimulatedCounter {
    /// What the words follow from; no key of any cipher.
    pub key: [u32; 8],
    /// Cumulative counts of 2^31: (key basis, intensity 0), (key, 1), (key, 2), (test, 0), (test, 1);
    /// what is above the last is (test, 2).
    pub thresholds: [u32; 5],
}

/// Bob's detections in a run of gates, ordered by gate. Its `Debug` shows lengths only.
#[derive(Clone, Default, PartialEq)]
pub struct BobFrame {
    /// The index of the first gate since the session began.
    pub first_gate: u64,
    /// How many gates.
    pub gates: u32,
    /// The gates with a click, as offsets from the first, strictly increasing.
    pub offsets: Vec<u32>,
    /// What clicked, one byte an offset: see [`click`].
    pub clicks: Vec<u8>,
}

impl fmt::Debug for AliceFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AliceFrame({} gates from {}, {:?})", self.gates, self.first_gate, self.settings)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packed(packed) => write!(f, "Packed({} bytes)", packed.len()),
            Self::SimulatedCounter(rule) => write!(f, "{rule:?}"),
        }
    }
}

impl fmt::Debug for SimulatedCounter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimulatedCounter")
    }
}

impl fmt::Debug for BobFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clicks = self.clicks.len();
        write!(f, "BobFrame({} gates from {}, {clicks} clicks)", self.gates, self.first_gate)
    }
}

impl AliceFrame {
    /// Overwrites the settings.
    pub(super) fn wipe(&mut self) {
        match &mut self.settings {
            Settings::Packed(packed) => wipe(packed),
            Settings::SimulatedCounter(rule) => rule.key.zeroize(),
        }
    }
}

/// The bits of a click byte.
pub mod click {
    /// Set if Bob measured in the test basis.
    pub const TEST_BASIS: u8 = 1;
    /// Set if the detector of bit 0 clicked.
    pub const DETECTOR_0: u8 = 2;
    /// Set if the detector of bit 1 clicked.
    pub const DETECTOR_1: u8 = 4;
}

/// Bytes of a frame of either side: for recordings and for sources outside of the process.
///
/// ```text
/// frame    = first gate:u64 · gates:u32 · kind:u8 · content
/// content  = settings, four bits a gate                                  kind 0, Alice
///          | rule's key:8 × u32 · thresholds:5 × u32                      kind 3, Alice, simulation only
///          | clicks:varint · offset:u32 each · click byte each            kind 2, Bob
/// ```
impl AliceFrame {
    /// Writes the frame.
    pub fn write(&self, writer: &mut Writer) {
        writer.u64(self.first_gate).u32(self.gates);
        match &self.settings {
            Settings::Packed(packed) => {
                writer.u8(0).bytes(packed);
            }
            Settings::SimulatedCounter(rule) => {
                writer.u8(3);
                rule.key.iter().chain(&rule.thresholds).for_each(|word| {
                    writer.u32(*word);
                });
            }
        }
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (first_gate, gates) = (reader.u64()?, reader.u32()?);
        let settings = match reader.u8()? {
            0 => Settings::Packed(reader.bytes((gates as usize).div_ceil(2))?.to_vec()),
            3 => {
                let mut rule = SimulatedCounter { key: [0; 8], thresholds: [0; 5] };
                for word in rule.key.iter_mut().chain(&mut rule.thresholds) {
                    *word = reader.u32()?;
                }
                Settings::SimulatedCounter(rule)
            }
            _ => return Err(Malformed::Field { field: "frame kind" }),
        };
        Ok(Self { first_gate, gates, settings })
    }
}

impl BobFrame {
    /// Writes the frame.
    pub fn write(&self, writer: &mut Writer) {
        writer.u64(self.first_gate).u32(self.gates).u8(2).count(self.offsets.len());
        self.offsets.iter().for_each(|offset| {
            writer.u32(*offset);
        });
        writer.bytes(&self.clicks);
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (first_gate, gates) = (reader.u64()?, reader.u32()?);
        if reader.u8()? != 2 {
            return Err(Malformed::Field { field: "frame kind" });
        }
        let clicks = reader.count(reader.remaining() / 5, "clicks")?;
        let offsets = (0..clicks).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        let clicks = reader.bytes(clicks)?.to_vec();
        Ok(Self { first_gate, gates, offsets, clicks })
    }
}
