//! How the transmittance moved within a block.

use crate::protocol::{Course, Measured};

use super::{Moments, Receiver};

/// The transmittance of the earlier part of a block and of the rest, T̂ = 2t̂²/η in the middle of η's interval.
///
/// `earlier` is a part of `all`. `None` where either part shows no correlation. No key length depends on it.
#[must_use]
pub fn course(all: &Moments, earlier: &Moments, receiver: &Receiver) -> Option<Course> {
    let later = Moments {
        pairs: all.pairs.checked_sub(earlier.pairs)?,
        alice: all.alice - earlier.alice,
        cross: all.cross - earlier.cross,
        bob: all.bob - earlier.bob,
    };
    let efficiency = 0.5 * (receiver.efficiency.low + receiver.efficiency.high);
    Some(Course { earlier: measured(earlier, efficiency)?, later: measured(&later, efficiency)? })
}

fn measured(moments: &Moments, efficiency: f64) -> Option<Measured> {
    let amplitude = moments.cross / moments.alice;
    let noise = (moments.bob - amplitude * moments.cross) / moments.pairs as f64;
    let value = 2.0 * amplitude * amplitude / efficiency;
    let error = 4.0 * amplitude * libm::sqrt(noise / moments.alice) / efficiency;
    let sound = moments.pairs >= 2 && moments.alice > 0.0 && value.is_finite() && error > 0.0;
    sound.then_some(Measured { value, error })
}

#[cfg(test)]
mod tests {
    use super::super::Interval;
    use super::super::gaussian::Trust;
    use super::*;

    #[test]
    fn a_transmittance_that_moved_is_seen_in_standard_errors() {
        let receiver = Receiver {
            efficiency: Interval { low: 0.59, high: 0.61 },
            electronic_noise: Interval::exact(0.1),
            electronic_measured: None,
            calibration_samples: 1 << 40,
            trust: Trust::Trusted,
        };
        let of = |pairs, transmittance| Moments::expected(pairs, [4.0, transmittance, 0.01, 0.6, 0.1]);
        let both = |earlier: Moments, later: Moments| Moments {
            pairs: earlier.pairs + later.pairs,
            alice: earlier.alice + later.alice,
            cross: earlier.cross + later.cross,
            bob: earlier.bob + later.bob,
        };
        let (earlier, later) = (of(1_000_000, 0.22), of(4_000_000, 0.21));
        let moved = course(&both(earlier, later), &earlier, &receiver).expect("two halves");
        assert!((moved.earlier.value - 0.22).abs() < 1e-9, "{moved:?}");
        assert!((moved.later.value - 0.21).abs() < 1e-9, "{moved:?}");
        // 4 t √(σ²/Σx²)/η with t² = 0.066, σ² = 1.10066 and Σx² = 4e6.
        assert!((moved.earlier.error - 8.984e-4).abs() < 1e-6, "{moved:?}");
        let deviations = moved.earlier.deviations_to(moved.later);
        assert!(
            (-10.05..-9.9).contains(&deviations),
            "0.01 of standard errors 9.0e-4 and 4.4e-4: {deviations}"
        );
        let nothing = Moments { cross: 0.0, ..earlier };
        assert_eq!(course(&both(nothing, later), &nothing, &receiver), None, "no correlation");
        assert_eq!(course(&earlier, &later, &receiver), None, "no part of it");
        assert_eq!(course(&earlier, &earlier, &receiver), None, "nothing left");
    }
}
