//! 256 cells of equal probability, and what each level of their numbers says.

use keystill_kernels::slices::{CELLS, LEVELS, TOLD};

use crate::bounds::gauss::quantile;

/// Cells of a normal value of mean 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cells {
    /// Where cells begin, but for the first.
    pub(super) ends: [f32; CELLS - 1],
    /// The mean of each cell.
    pub(super) values: [f32; CELLS],
}

impl Cells {
    /// For values of this standard deviation.
    #[expect(clippy::cast_possible_truncation, reason = "values are single precision")]
    pub(super) fn new(deviation: f64) -> Self {
        let ends = standard_ends();
        let density = |end: usize| match end {
            0 | CELLS => 0.0,
            end => normal_density(ends[end - 1]),
        };
        Self {
            ends: ends.map(|end| (deviation * end) as f32),
            values: std::array::from_fn(|cell| {
                (deviation * CELLS as f64 * (density(cell) - density(cell + 1))) as f32
            }),
        }
    }
}

/// The ends of the cells of a standard normal value; symmetric to the bit.
fn standard_ends() -> [f64; CELLS - 1] {
    std::array::from_fn(|i| {
        let (above, below) = (CELLS - 1 - i, i + 1);
        let end = quantile(above.min(below) as f64 / CELLS as f64);
        if below < above { -end } else { end }
    })
}

fn normal_density(x: f64) -> f64 {
    libm::exp(-0.5 * x * x) * 0.398_942_280_401_432_7
}

/// What each level says of itself, in bits a value, to who knows the levels above it, all that is told and the other
/// side's value at this signal-to-noise ratio: 1 − H(level | levels above, told, x).
///
/// Σ over the levels is I(levels; x | told); what it lacks to ½·log₂(1 + SNR) is what the told part says by itself.
#[must_use]
pub fn information(snr: f64) -> [f64; LEVELS] {
    /// Points of the other side's value, and how far out they lie, in standard deviations.
    const POINTS: u32 = 96;
    const FURTHEST: f64 = 5.0;
    let ends = standard_ends();
    let (gain, noise) = (libm::sqrt(snr / (1.0 + snr)), libm::sqrt(1.0 / (1.0 + snr)));
    let (mut lost, mut weight) = ([0.0; LEVELS], 0.0);
    for point in 0..POINTS {
        let x = FURTHEST * (2.0 * (f64::from(point) + 0.5) / f64::from(POINTS) - 1.0);
        let share = normal_density(x);
        weight += share;
        let below = |end: usize| match end {
            0 => 0.0,
            CELLS => 1.0,
            end => 0.5 * libm::erfc((gain * x - ends[end - 1]) / noise * std::f64::consts::FRAC_1_SQRT_2),
        };
        let below: Vec<f64> = (0..=CELLS).map(below).collect();
        let chance = |interval: usize, told: usize| {
            let mirror = if interval & 1 == 1 { (1 << TOLD) - 1 } else { 0 };
            let cell = interval << TOLD | told ^ mirror;
            (below[cell + 1] - below[cell]).max(0.0)
        };
        for told in 0..1 << TOLD {
            let mut sums: Vec<f64> = (0..1 << LEVELS).map(|interval| chance(interval, told)).collect();
            for level in (0..LEVELS).rev() {
                let halves: Vec<[f64; 2]> = sums.as_chunks::<2>().0.to_vec();
                lost[level] += share * halves.iter().map(uncertain).sum::<f64>();
                sums = halves.iter().map(|[zero, one]| zero + one).collect();
            }
        }
    }
    lost.map(|lost| (1.0 - lost / weight).max(0.0))
}

/// −Σ p log₂ (p/Σp).
fn uncertain(chances: &[f64; 2]) -> f64 {
    let sum = chances[0] + chances[1];
    let part = |chance: f64| if chance > 0.0 { -chance * libm::log2(chance / sum) } else { 0.0 };
    part(chances[0]) + part(chances[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::leaf::capacity;

    #[test]
    fn cells_are_symmetric_and_equally_probable() {
        let cells = Cells::new(2.0);
        assert!(cells.ends.is_sorted(), "rising");
        for i in 0..CELLS {
            assert!(
                (cells.values[i] + cells.values[CELLS - 1 - i]).abs() < 1e-6,
                "cell {i} has its counterpart"
            );
            let inside = (i == 0 || cells.ends[i - 1] <= cells.values[i])
                && (i == CELLS - 1 || cells.values[i] < cells.ends[i]);
            assert!(inside, "the mean of cell {i} lies in it");
        }
        let below = |end: f32| 0.5 * libm::erfc(-f64::from(end) / 2.0 * std::f64::consts::FRAC_1_SQRT_2);
        for (i, end) in cells.ends.iter().enumerate() {
            let share = below(*end) * CELLS as f64;
            assert!((share - (i + 1) as f64).abs() < 1e-4, "{share} cells below end {i}");
        }
        let square: f64 = cells.values.iter().map(|value| f64::from(value * value)).sum();
        let kept = square / CELLS as f64 / 4.0;
        assert!((0.995..1.0).contains(&kept), "rounding keeps {kept} of the variance");
    }

    #[test]
    fn levels_say_what_a_simulation_says() {
        // 4·10⁵ values, exact likelihoods, by an independent program.
        for (snr_db, levels) in [
            (0.0, [0.279, 0.131, 0.055, 0.030]),
            (3.0, [0.407, 0.220, 0.098, 0.054]),
            (6.0, [0.539, 0.339, 0.165, 0.092]),
        ] {
            let snr = libm::pow(10.0, snr_db / 10.0);
            let found = information(snr);
            for (found, known) in found.iter().zip(levels) {
                assert!((found - known).abs() < 1.5e-3, "{snr_db} dB: {found} for {known}");
            }
            let share = found.iter().sum::<f64>() / capacity(snr);
            assert!((0.97..0.995).contains(&share), "{snr_db} dB: {share} of the capacity");
        }
    }
}
