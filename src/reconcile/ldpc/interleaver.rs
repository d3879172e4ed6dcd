//! Where the bits of a frame stand in the code word: errors in bursts, at a period or at a drifting rate are spread as if
//! they were independent.
//!
//! The frame is [woven](keystill_kernels::parity) twice, as Cascade's passes are: the first weave takes neighbouring
//! bits to one lane of 64 neighbouring words, the second takes each of these elsewhere and turns it by a
//! hash of its place. All of it is public and the same on both sides.

use keystill_kernels::Isa;
use keystill_kernels::parity::{self, Weave};

use crate::bits::BitBlock;

/// Seeds of the weaves, of three thousand two whose steps spread runs of words evenly at every length of the codes.
const SEEDS: [u64; 2] = [1177, 740];

/// The interleaver of one length of code words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interleaver([Weave; 2]);

impl Interleaver {
    /// For code words of `bits`, a multiple of 4096.
    pub(super) fn new(bits: usize) -> Self {
        Self(SEEDS.map(|seed| Weave::new(bits / 64, seed)))
    }

    /// Where a bit of the frame stands in the code word: word and mask.
    pub(super) fn place(self, bit: usize) -> (usize, u64) {
        let place = self.0.iter().fold(bit as u64, |place, weave| weave.forward(place));
        (usize::try_from(place / 64).unwrap_or_default(), 1 << (place % 64))
    }

    /// `woven` = the code word of a frame; bits beyond the frame are 0. `between` is scratch memory.
    pub(super) fn weave(self, isa: Isa, bits: &BitBlock, between: &mut Vec<u64>, woven: &mut Vec<u64>) {
        let [first, second] = &self.0;
        between.resize(first.words(), 0);
        woven.clear();
        woven.extend_from_slice(bits.words());
        woven.resize(first.words(), 0);
        parity::weave(isa, between, woven, first);
        parity::weave(isa, woven, between, second);
    }

    /// The frame of `length` bits in a code word. `between` is scratch memory.
    pub(super) fn unweave(self, isa: Isa, woven: &[u64], between: &mut Vec<u64>, length: usize) -> BitBlock {
        let [first, second] = &self.0;
        let mut frame = vec![0; first.words()];
        between.resize(first.words(), 0);
        parity::unweave(isa, between, woven, second);
        parity::unweave(isa, &mut frame, between, first);
        BitBlock::from_words(frame, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_go_where_they_are_said_to_and_come_back() {
        for (bits, length) in [(4096, 4096), (4096, 63), (16_384, 16_321), (65_536, 65_536)] {
            let interleaver = Interleaver::new(bits);
            let mut frame = BitBlock::zeros(length);
            let mut want = vec![0; bits / 64];
            for bit in (0..length).filter(|bit| bit * bit % 7 < 3) {
                frame.set(bit, true);
                let (word, mask) = interleaver.place(bit);
                assert_eq!(want[word] & mask, 0, "{bits}: a place taken twice");
                want[word] |= mask;
            }
            for isa in Isa::available() {
                let (mut between, mut woven) = (vec![7; 3], vec![7; 3]);
                interleaver.weave(isa, &frame, &mut between, &mut woven);
                assert_eq!(woven, want, "{isa}, {bits} bits");
                let back = interleaver.unweave(isa, &woven, &mut between, length);
                assert_eq!(back, frame, "{isa}, {bits} bits: back");
            }
        }
    }

    #[test]
    fn a_burst_falls_on_all_block_columns_and_lanes_alike() {
        for (bits, burst) in [(4096, 1000), (65_536, 1966), (262_144, 2600), (1 << 20, 10_000)] {
            let interleaver = Interleaver::new(bits);
            for start in [0, bits / 3, bits - burst] {
                let (mut columns, mut lanes) = ([0; 8], [0; 8]);
                for bit in start..start + burst {
                    let (word, mask) = interleaver.place(bit);
                    columns[word * 8 / (bits / 64)] += 1;
                    lanes[mask.trailing_zeros() as usize / 8] += 1;
                }
                let fair = burst / 8;
                let is_even =
                    |parts: [usize; 8]| parts.iter().all(|part| (fair / 2..=fair * 3 / 2).contains(part));
                assert!(
                    is_even(columns) && is_even(lanes),
                    "{bits}, {burst} from {start}: {columns:?}, {lanes:?}"
                );
            }
        }
    }
}
