//! Raw data of CV-QKD as the receiver's signal processing hands it over.

use std::fmt;

use crate::wire::{Malformed, Reader, Writer};

/// Alice's modulation of a run of symbols. Its `Debug` shows lengths only.
#[derive(Clone, Default, PartialEq)]
pub struct AliceFrame {
    /// The index of the first symbol since the session began.
    pub first_symbol: u64,
    /// The quadratures x, p, x, p, … of the coherent states prepared, in square roots of shot-noise
    /// units (vacuum variance 1): two a symbol, variance V_A each.
    pub quadratures: Vec<f32>,
}

/// Bob's heterodyne outcomes of a run of symbols. Its `Debug` shows lengths only.
#[derive(Clone, Default, PartialEq)]
pub struct BobFrame {
    /// The index of the first symbol since the session began.
    pub first_symbol: u64,
    /// The quadratures x, p, x, p, … in the receiver's own units: the calibration turns them into
    /// shot-noise units.
    pub quadratures: Vec<f32>,
}

impl fmt::Debug for AliceFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AliceFrame({} quadratures from symbol {})", self.quadratures.len(), self.first_symbol)
    }
}

impl fmt::Debug for BobFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BobFrame({} quadratures from symbol {})", self.quadratures.len(), self.first_symbol)
    }
}

/// What a receiver accumulated while its signal port was dark: the measure of all quadratures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationRecord {
    /// Samples taken with the local oscillator on: shot noise and electronic noise.
    pub vacuum_samples: u64,
    /// Their mean square, in the square of the receiver's own units.
    pub vacuum_mean_square: f64,
    /// Samples taken with the local oscillator off: electronic noise alone.
    pub electronic_samples: u64,
    /// Their mean square.
    pub electronic_mean_square: f64,
}

impl CalibrationRecord {
    /// Writes the record.
    pub fn write(&self, writer: &mut Writer) {
        writer.u64(self.vacuum_samples).f64(self.vacuum_mean_square);
        writer.u64(self.electronic_samples).f64(self.electronic_mean_square);
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Malformed`] where the bytes are none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            vacuum_samples: reader.u64()?,
            vacuum_mean_square: reader.f64("vacuum mean square")?,
            electronic_samples: reader.u64()?,
            electronic_mean_square: reader.f64("electronic mean square")?,
        })
    }
}

/// Writes a run of symbols: first symbol:u64 · quadratures:varint · f32 each.
pub(super) fn write_frame(first_symbol: u64, quadratures: &[f32], writer: &mut Writer) {
    writer.u64(first_symbol).count(quadratures.len());
    for value in quadratures {
        writer.bytes(&value.to_le_bytes());
    }
}

/// Reads a run of symbols.
pub(super) fn read_frame(reader: &mut Reader<'_>) -> Result<(u64, Vec<f32>), Malformed> {
    let first_symbol = reader.u64()?;
    let count = reader.count(reader.remaining() / 4, "quadratures")?;
    let bytes = reader.bytes(4 * count)?.chunks_exact(4);
    let quadratures =
        bytes.map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect();
    Ok((first_symbol, quadratures))
}
