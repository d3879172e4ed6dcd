//! Raw data of CV-QKD as the receiver's signal processing hands it over.

/// Alice's modulation of a run of symbols.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AliceFrame {
    /// The index of the first symbol since the session began.
    pub first_symbol: u64,
    /// The quadratures x, p, x, p, … of the coherent states prepared, in square roots of shot-noise
    /// units (vacuum variance 1): two a symbol, variance V_A each.
    pub quadratures: Vec<f32>,
}

/// Bob's heterodyne outcomes of a run of symbols.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BobFrame {
    /// The index of the first symbol since the session began.
    pub first_symbol: u64,
    /// The quadratures x, p, x, p, … in the receiver's own units: the calibration turns them into
    /// shot-noise units.
    pub quadratures: Vec<f32>,
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
