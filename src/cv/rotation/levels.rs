//! The levels that norms are rounded to.

/// Values of the 5-bit codes, in norm units, rising.
pub(super) type Levels = [u16; 32];

/// Bins of the histogram.
const BINS: usize = 1024;

fn bin(norm: u16) -> usize {
    (usize::from(norm) * BINS) >> 16
}

/// Rounds norms to 32 levels of their own distribution.
pub(super) fn round(norms: &[u16]) -> (Vec<u16>, Levels) {
    let (mut counts, mut sums) = ([0u64; BINS], [0u64; BINS]);
    for norm in norms {
        counts[bin(*norm)] += 1;
        sums[bin(*norm)] += u64::from(*norm);
    }
    let weights = counts.map(|count| libm::cbrt(count as f64));
    let total: f64 = weights.iter().sum();
    let mut cells = [0; BINS];
    let (mut cell_counts, mut cell_sums, mut before) = ([0u64; 32], [0u64; 32], 0.0);
    for i in 0..BINS {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 32")]
        let cell = (32.0 * (before + weights[i] / 2.0) / total.max(1.0)) as usize;
        cells[i] = cell.min(31);
        cell_counts[cells[i]] += counts[i];
        cell_sums[cells[i]] += sums[i];
        before += weights[i];
    }
    let mut levels: Levels = [0; 32];
    let mut last = 0;
    for (level, (sum, count)) in levels.iter_mut().zip(cell_sums.iter().zip(cell_counts)) {
        // A cell without norms repeats the level before: no code names it.
        last = sum.checked_div(count).map_or(last, |mean| u16::try_from(mean).unwrap_or(u16::MAX));
        *level = last;
    }
    (norms.iter().map(|norm| levels[cells[bin(*norm)]]).collect(), levels)
}

/// The code of one of the levels.
pub(super) fn place(levels: &Levels, level: u16) -> u8 {
    u8::try_from(levels.partition_point(|other| *other < level)).map_or(31, |place| place.min(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_norms_are_kept_and_many_are_near_a_level() {
        assert!(round(&[]).0.is_empty(), "none");
        assert_eq!(round(&[0, 0, 0]).0, vec![0, 0, 0], "all zero");
        assert_eq!(round(&[100, 65_535, 30_000]).0, vec![100, 65_535, 30_000], "three");
        let norms: Vec<u16> = (0..60_000).collect();
        let (rounded, levels) = round(&norms);
        assert!(levels.is_sorted(), "levels rise");
        for (norm, rounded) in norms.iter().zip(&rounded) {
            assert!(norm.abs_diff(*rounded) < 1100, "{norm} became {rounded}");
            assert_eq!(levels[usize::from(place(&levels, *rounded))], *rounded, "its code names it");
        }
    }
}
