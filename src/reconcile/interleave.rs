//! Interleaving: errors that come in bursts are spread over all frames of a block.
//!
//! Words of 64 bits change places by a stride near the golden section of their number: neighbours end up
//! far apart, so every frame, a run of words, gets its share of a burst, a drift or a periodic disturbance.
//! Inside a frame the methods permute bit by bit. Bits behind the last whole word stay.

use crate::bits::BitBlock;

/// A stride near the golden section of a length that visits every place of it.
#[must_use]
pub fn stride(length: usize) -> usize {
    fn divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    // 2³²/φ; a length that fits in memory makes the product fit in 128 bits.
    let near = usize::try_from((length as u128 * 0x9e37_79b9) >> 32).unwrap_or(1);
    (near.max(1)..).find(|stride| divisor(*stride, length.max(1)) == 1).unwrap_or(1)
}

/// Spreads the words of a block.
#[must_use]
pub fn scatter(bits: &BitBlock) -> BitBlock {
    moved(bits, |to, from, (near, far)| to[near] = from[far])
}

/// Brings them back.
#[must_use]
pub fn gather(bits: &BitBlock) -> BitBlock {
    moved(bits, |to, from, (near, far)| to[far] = from[near])
}

fn moved(bits: &BitBlock, step: impl Fn(&mut [u64], &[u64], (usize, usize))) -> BitBlock {
    let whole = bits.len() / 64;
    let stride = stride(whole);
    let mut result = BitBlock::from_words(bits.words().to_vec(), bits.len());
    result.edit(|to| {
        let mut far = 0;
        for near in 0..whole {
            step(to, bits.words(), (near, far));
            far += stride;
            far -= if far >= whole { whole } else { 0 };
        }
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::tests::pair;

    #[test]
    fn what_was_spread_comes_back() {
        for n in [0, 1, 63, 64, 65, 128, 129, 4096, 65_537, 999_983] {
            let (bits, same) = pair(n, 0.0, 1);
            assert_eq!(gather(&scatter(&bits)), same, "{n} bits");
        }
    }

    #[test]
    fn a_burst_falls_on_all_frames_alike() {
        let (frames, frame) = (16, 1 << 16);
        let mut errors = BitBlock::zeros(frames * frame);
        (300_000..300_000 + frame).for_each(|place| errors.set(place, true));
        let spread = scatter(&errors);
        for first in (0..frames * frame).step_by(frame) {
            let share = spread.slice(first..first + frame).count_ones() as f64 / frame as f64;
            assert!((share * 16.0 - 1.0).abs() < 0.15, "{share} of a frame of a burst of one in sixteen");
        }
    }
}
