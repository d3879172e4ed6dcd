//! What both sides agree on before a frame is reconciled: its length, its expected error rate,
//! and what follows from them.

use std::sync::{Arc, OnceLock};

use super::permutation::Permutation;
use crate::stage::Abort;
use crate::wire::{Malformed, Reader, Writer};

/// The longest frame: what a search may hold in memory has a bound.
pub const MAX_FRAME_BITS: usize = 1 << 24;
/// Error rates above this are refused: every bit would have to be disclosed.
pub const MAX_QBER: f64 = 0.15;
/// Error rates below this are planned as this one, in parts per million.
const LOWEST_QBER_PPM: u32 = 100;

/// Frames below this length end with one draw of subsets: a second one would cost percents.
const SHORT_FRAME: usize = 4096;

/// What a frame is reconciled for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Thrift {
    /// Few parities.
    #[default]
    Parities,
    /// Half the rounds, for up to 1 % more parities.
    Rounds,
}

/// How one frame is reconciled. Everything else (block sizes, permutations, limits) follows from
/// the length and the expected error rate, in integer arithmetic, the same on any machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    frame_bits: usize,
    qber_ppm: u32,
    thrift: Thrift,
    /// The block length of each pass, as a power of two.
    passes: Vec<u32>,
    permutations: Permutations,
}

/// The permutations of the passes, made when they are first asked for: plans are compared, resized and thrown
/// away more often than used. They follow from the frame length alone.
#[derive(Clone, Debug, Default)]
struct Permutations(Arc<OnceLock<Arc<[Permutation]>>>);

impl PartialEq for Permutations {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Plan {
    /// The plan for frames of `frame_bits` bits of which a share of about `qber` differs.
    ///
    /// An estimate wrong by a factor of two costs efficiency, never correctness.
    ///
    /// # Errors
    /// [`Abort::TooNoisy`] above [`MAX_QBER`]; [`Abort::Unusable`] for an estimate that is not a
    /// probability and for a frame of 0 or more than [`MAX_FRAME_BITS`] bits.
    pub fn choose(qber: f64, frame_bits: usize) -> Result<Self, Abort> {
        let unusable = |reason: String| Abort::Unusable { reason };
        if !(0.0..=1.0).contains(&qber) {
            return Err(unusable(format!("an error rate of {qber} is not a probability")));
        }
        if qber > MAX_QBER {
            return Err(Abort::TooNoisy { qber, limit: MAX_QBER });
        }
        if frame_bits == 0 || frame_bits > MAX_FRAME_BITS {
            return Err(unusable(format!(
                "a frame of {frame_bits} bits: 1 to {MAX_FRAME_BITS} can be reconciled"
            )));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked: 0 to 150 000")]
        let qber_ppm = libm::round(qber * 1e6) as u32;
        Ok(Self::from_parts(frame_bits, qber_ppm.max(LOWEST_QBER_PPM), Thrift::default()))
    }

    /// The same plan for a frame of another length: the last of a block.
    ///
    /// # Errors
    /// [`Abort::Unusable`] for a length of 0 or above [`MAX_FRAME_BITS`].
    pub fn resized(&self, frame_bits: usize) -> Result<Self, Abort> {
        if frame_bits == self.frame_bits {
            return Ok(self.clone());
        }
        Ok(Self::choose(self.qber(), frame_bits)?.sparing(self.thrift))
    }

    /// The same plan, sparing something else.
    #[must_use]
    pub fn sparing(&self, thrift: Thrift) -> Self {
        Self::from_parts(self.frame_bits, self.qber_ppm, thrift)
    }

    /// Block lengths found by measuring efficiency and rounds from 0.15 % to 15 % at 2^20 bits: as
    /// powers of two ⌊c + 0.45⌋ and ⌊c + 3.1⌋ with c = log₂(1/q), so from 0.73/q to 1.47/q and
    /// from 4.3/q to 8.6/q. A second block half as long halves the rounds: the searches of two
    /// passes follow chains of errors, each in the block of the next, and the chains are shorter.
    /// The third pass finds what few patterns are left, with blocks that hardly cost anything.
    fn from_parts(frame_bits: usize, qber_ppm: u32, thrift: Thrift) -> Self {
        let whole = frame_bits.next_power_of_two().ilog2().max(1);
        let c = libm::log2(1e6 / f64::from(qber_ppm));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "c is 2.7 to 13.3")]
        let power = |shift: f64| libm::floor(c + shift) as u32;
        let (first, thrifty) = (power(0.45), power(3.1));
        let second = match thrift {
            Thrift::Parities => thrifty,
            Thrift::Rounds => thrifty - 1,
        };
        let third = ((2 * whole + 6) / 3).max(second + 2);
        let mut passes = vec![first.min(whole)];
        passes.extend([second, third].iter().filter(|log2| **log2 < whole));
        Self { frame_bits, qber_ppm, thrift, passes, permutations: Permutations::default() }
    }

    /// Bits of a frame.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        self.frame_bits
    }

    /// The error rate planned for.
    #[must_use]
    pub fn qber(&self) -> f64 {
        f64::from(self.qber_ppm) * 1e-6
    }

    pub(super) fn passes(&self) -> &[u32] {
        &self.passes
    }

    pub(super) fn permutations(&self) -> &Arc<[Permutation]> {
        self.permutations.0.get_or_init(|| Permutation::of_passes(self.frame_bits, self.passes.len()))
    }

    /// How many pseudo-random subsets a draw at the end of the search has: fewer for short frames, which have fewer
    /// patterns of errors to miss, and of which each parity is a share that can be seen.
    pub(super) fn subsets(&self) -> u32 {
        (self.frame_bits.next_power_of_two().ilog2() + 2).clamp(12, 16)
    }

    /// How many draws of subsets there are at most: one follows another only where that one found
    /// errors, and they are many only where the estimate was far too low.
    pub(super) fn draws(&self) -> u32 {
        if self.frame_bits < SHORT_FRAME { 1 } else { 8 }
    }

    /// Bytes that one side holds at most while it works on a frame, beside the frame.
    #[must_use]
    pub fn memory_bound(&self) -> usize {
        let passes = self.passes.len() + 1;
        let bitmaps = 3 * passes * self.frame_bits.div_ceil(8) + 4096;
        // A node that waits or is searched takes 8 bytes, where its search stands 4; a correction
        // makes nodes of the other passes wait, and each parity known finds at most one error.
        bitmaps + usize::try_from(self.parity_limit()).unwrap_or(usize::MAX) * 8 * (passes + 2)
    }

    /// Parities after which the corrector gives the frame up: enough for a frame of twice the
    /// expected errors and six standard deviations more, but little more than one for each bit.
    pub(super) fn parity_limit(&self) -> u64 {
        let n = self.frame_bits as u64;
        let expected = n * u64::from(self.qber_ppm) / 1_000_000;
        let most = 2 * expected + expected / 4 + 6 * expected.isqrt() + 8;
        let per_error = u64::from((1_000_000 / self.qber_ppm).ilog2()) + 5;
        let blocks = self.passes.iter().map(|log2| n >> log2).sum::<u64>() + u64::from(3 * self.subsets());
        (most * per_error + blocks).min(n + n / 4 + 64)
    }

    /// Writes the plan: the length, the expected error rate in parts per million, and a byte, 1 if
    /// rounds are spared.
    pub fn write(&self, writer: &mut Writer) {
        writer.count(self.frame_bits).u32(self.qber_ppm).u8(u8::from(self.thrift == Thrift::Rounds));
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Malformed`] if it is cut or no plan of [`Plan::choose`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let frame_bits = reader.count(MAX_FRAME_BITS, "frame_bits")?;
        let qber_ppm = reader.u32()?;
        if frame_bits == 0 {
            return Err(Malformed::Field { field: "frame_bits" });
        }
        if qber_ppm < LOWEST_QBER_PPM || f64::from(qber_ppm) > MAX_QBER * 1e6 {
            return Err(Malformed::Field { field: "qber_ppm" });
        }
        let thrift = match reader.u8()? {
            0 => Thrift::Parities,
            1 => Thrift::Rounds,
            _ => return Err(Malformed::Field { field: "thrift" }),
        };
        Ok(Self::from_parts(frame_bits, qber_ppm, thrift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written() {
        let (few, quick) = (Thrift::Parities, Thrift::Rounds);
        for (qber, n, thrift) in [(0.0, 1, few), (0.003, 63, quick), (0.15, MAX_FRAME_BITS, quick)] {
            let plan = Plan::choose(qber, n).expect("in range").sparing(thrift);
            let mut writer = Writer::new();
            plan.write(&mut writer);
            let bytes = writer.finish();
            assert_eq!(Plan::read(&mut Reader::new(&bytes)), Ok(plan), "{n} bits at {qber}");
            assert!(Plan::read(&mut Reader::new(&bytes[..bytes.len() - 1])).is_err(), "cut");
        }
    }

    #[test]
    fn a_plan_is_resized_as_if_chosen_anew() {
        let plan = Plan::choose(0.0123, 50_000).expect("in range").sparing(Thrift::Rounds);
        let small = Plan::choose(0.0123, 777).expect("in range").sparing(Thrift::Rounds);
        assert_eq!(plan.resized(777), Ok(small), "another length");
        assert_eq!(plan.resized(50_000), Ok(plan.clone()), "the same length");
        assert!(plan.resized(0).is_err(), "no length");
    }

    #[test]
    fn what_cannot_be_planned_is_refused() {
        assert!(matches!(Plan::choose(0.2, 1000), Err(Abort::TooNoisy { .. })), "too noisy");
        for qber in [f64::NAN, -0.1, 1.1] {
            assert!(matches!(Plan::choose(qber, 1000), Err(Abort::Unusable { .. })), "{qber}");
        }
        for n in [0, MAX_FRAME_BITS + 1] {
            assert!(matches!(Plan::choose(0.01, n), Err(Abort::Unusable { .. })), "{n} bits");
        }
        for bytes in
            [[0, 16, 39, 0, 0, 0], [9, 1, 0, 0, 0, 0], [9, 255, 255, 255, 255, 0], [9, 16, 39, 0, 0, 2]]
        {
            assert!(Plan::read(&mut Reader::new(&bytes)).is_err(), "{bytes:?}");
        }
    }
}
