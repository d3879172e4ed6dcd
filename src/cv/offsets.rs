//! Offsets of the disclosed sample: what the receiver's owner adjusts it by. No key depends on them.
//!
//! With Alice's symbols α = x + ip and Bob's β, the phase that the receiver did not undo is arg Σ ᾱ·β; over n
//! symbols of signal-to-noise ratio SNR a quadrature its standard error is about 1/√(2n·SNR). The means of Bob's
//! quadratures are what his detectors' balance and converters add, in square roots of shot-noise units; their
//! standard error is √((1 + SNR)·σ²/n).

/// By how much Bob's quadratures are turned against Alice's, in rad.
///
/// Both hold the quadratures x, p, x, p, …; what one has more than the other is not looked at.
pub(super) fn phase_rad(alice: &[f32], bob: &[f32]) -> f64 {
    let (mut along, mut across) = (0.0, 0.0);
    for (a, b) in alice.chunks_exact(2).zip(bob.chunks_exact(2)) {
        let ([x, p], [y, q]) = ([a[0], a[1]].map(f64::from), [b[0], b[1]].map(f64::from));
        along += x * y + p * q;
        across += x * q - p * y;
    }
    libm::atan2(across, along)
}

/// The means of Bob's two quadratures, by the names of records.
pub(super) fn means(bob: &[f32]) -> [(&'static str, f64); 2] {
    let symbols = (bob.len() / 2).max(1) as f64;
    let sum = |first: usize| bob.iter().skip(first).step_by(2).map(|y| f64::from(*y)).sum::<f64>();
    [("offset_x", sum(0) / symbols), ("offset_p", sum(1) / symbols)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_and_an_offset_are_found() {
        let alice: Vec<f32> = (0..2000u16).map(|i| f32::from(i % 499 * 37 % 101) - 50.0).collect();
        let (sine, cosine) = 0.3f32.sin_cos();
        let turned = |symbol: &[f32]| {
            [cosine * symbol[0] - sine * symbol[1] + 0.5, sine * symbol[0] + cosine * symbol[1] - 0.25]
        };
        let bob: Vec<f32> = alice.chunks_exact(2).flat_map(turned).collect();
        let phase = phase_rad(&alice, &bob);
        assert!((phase - 0.3).abs() < 1e-2, "turned by 0.3 rad, found {phase}");
        let centred: Vec<f32> =
            (0..1000i16).map(|i| f32::from(i % 2 * 2 - 1)).flat_map(|v| [v + 0.5, v - 0.25]).collect();
        let [(_, x), (_, p)] = means(&centred);
        assert!((x - 0.5).abs() < 1e-6 && (p + 0.25).abs() < 1e-6, "offsets: {x}, {p}");
        assert_eq!(means(&[])[0].1, 0.0, "nothing is no offset");
    }
}
