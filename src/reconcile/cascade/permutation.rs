//! The permutations of the passes: both sides derive them from the frame length and the number of
//! the pass alone.
//!
//! A long frame is woven twice: its first ⌊n/4096⌋·4096 bits, then its last as many, so that any
//! length is a bijection without padding and the bits at the end are mixed as well as the others.
//! A short frame is shuffled by a table. Either way the way back costs O(1), which is what the
//! search needs when a corrected bit toggles the parities of the other passes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use keystill_kernels::Isa;
use keystill_kernels::parity::{self, Weave, mix};

/// Bits of a 64 × 64 matrix, the grain of a weave.
const GRAIN: usize = 4096;
/// Frames shorter than this are shuffled by a table: a weave of a few matrices mixes too little.
const SHORTEST_WOVEN: usize = 4 * GRAIN;

/// Short frame lengths whose tables are kept.
const KEPT_LENGTHS: usize = 4;

/// The tables of the short frames met last, by length and passes: a table takes longer to make than such a frame
/// takes to correct, and the blocks of a session are of few lengths. They are public, and a megabyte and a half at most.
static KEPT: Mutex<VecDeque<Kept>> = Mutex::new(VecDeque::new());

type Kept = ((usize, usize), Arc<[Permutation]>);

/// The permutation of one pass.
#[derive(PartialEq)]
pub(super) enum Permutation {
    Table { forward: Vec<u32>, backward: Vec<u32> },
    Woven { first: Weave, second: Weave, shift: usize },
}

impl Permutation {
    /// The permutations of the first `passes` passes of frames of `n` bits.
    pub(super) fn of_passes(n: usize, passes: usize) -> Arc<[Self]> {
        let make = || (0..passes).map(|pass| Self::new(n, pass)).collect();
        if n >= SHORTEST_WOVEN {
            return make();
        }
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, made)) = kept.iter().find(|(which, _)| *which == (n, passes)) {
            return made.clone();
        }
        let made = make();
        kept.truncate(KEPT_LENGTHS - 1);
        kept.push_front(((n, passes), made.clone()));
        made
    }

    /// The permutation of pass `pass` of frames of `n` bits.
    fn new(n: usize, pass: usize) -> Self {
        let seed = mix(pass as u64);
        if n < SHORTEST_WOVEN {
            return Self::table(n, seed);
        }
        let core = n / GRAIN * GRAIN;
        let weave = |round| Weave::new(core / 64, mix(seed ^ round));
        Self::Woven { first: weave(1), second: weave(2), shift: n - core }
    }

    fn table(n: usize, seed: u64) -> Self {
        let n = u32::try_from(n).expect("only short frames have tables");
        let mut backward: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            let drawn = mix(seed ^ mix(u64::from(i))) >> 32;
            let other = (drawn * (u64::from(i) + 1)) >> 32;
            backward.swap(i as usize, usize::try_from(other).expect("below n"));
        }
        let mut forward = vec![0; backward.len()];
        for (to, from) in (0..).zip(&backward) {
            forward[*from as usize] = to;
        }
        Self::Table { forward, backward }
    }

    /// Where bit `place` of the frame stands in the pass.
    #[inline]
    pub(super) fn forward(&self, bit: u32) -> u32 {
        match self {
            Self::Table { forward, .. } => forward[bit as usize],
            Self::Woven { first, second, shift } => {
                let (bit, shift) = (u64::from(bit), *shift as u64);
                let middle = if bit < 64 * first.words() as u64 { first.forward(bit) } else { bit };
                narrow(if middle < shift { middle } else { second.forward(middle - shift) + shift })
            }
        }
    }

    /// Which bit of the frame stands at `place` in the pass.
    #[inline]
    pub(super) fn backward(&self, place: u32) -> u32 {
        match self {
            Self::Table { backward, .. } => backward[place as usize],
            Self::Woven { first, second, shift } => {
                let (place, shift) = (u64::from(place), *shift as u64);
                let middle = if place < shift { place } else { second.backward(place - shift) + shift };
                narrow(if middle < 64 * first.words() as u64 { first.backward(middle) } else { middle })
            }
        }
    }

    /// The frame's words in the order of the pass.
    pub(super) fn apply(&self, isa: Isa, words: &[u64]) -> Vec<u64> {
        let mut permuted = vec![0; words.len()];
        match self {
            Self::Table { backward, .. } => {
                for (to, from) in backward.iter().map(|from| *from as usize).enumerate() {
                    permuted[to / 64] |= (words[from / 64] >> (from % 64) & 1) << (to % 64);
                }
            }
            Self::Woven { first, second, shift } => {
                let core = first.words();
                parity::weave(isa, &mut permuted[..core], &words[..core], first);
                permuted[core..].copy_from_slice(&words[core..]);
                weave_tail(isa, &mut permuted, second, *shift);
            }
        }
        permuted
    }
}

impl fmt::Debug for Permutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { forward, .. } => write!(f, "Table({} places)", forward.len()),
            Self::Woven { first, second, shift } => write!(f, "Woven({first:?}, {second:?}, {shift})"),
        }
    }
}

#[inline]
fn narrow(place: u64) -> u32 {
    u32::try_from(place).expect("frames are shorter than 2^32 bits")
}

/// Weaves the bits of `words` from `shift` on, leaving those before it.
fn weave_tail(isa: Isa, words: &mut [u64], weave: &Weave, shift: usize) {
    let core = weave.words();
    let (skip, turn) = (shift / 64, shift % 64);
    let mut woven = vec![0; core];
    if turn == 0 {
        parity::weave(isa, &mut woven, &words[skip..skip + core], weave);
        words[skip..skip + core].copy_from_slice(&woven);
        return;
    }
    let window: Vec<u64> =
        words[skip..].windows(2).map(|pair| pair[0] >> turn | pair[1] << (64 - turn)).take(core).collect();
    parity::weave(isa, &mut woven, &window, weave);
    let mut carry = words[skip] & ((1 << turn) - 1);
    for (word, bits) in words[skip..].iter_mut().zip(woven.iter().chain(&[0])) {
        *word = carry | bits << turn;
        carry = bits >> (64 - turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_kept_for_the_lengths_met_last() {
        let first = Permutation::of_passes(1001, 3);
        for n in 1001..1001 + 2 * KEPT_LENGTHS {
            for passes in [2, 3] {
                let tables = Permutation::of_passes(n, passes);
                let made: Vec<Permutation> = (0..passes).map(|pass| Permutation::new(n, pass)).collect();
                assert_eq!(*tables, made[..], "{n} bits, {passes} passes");
            }
        }
        assert_eq!(first, Permutation::of_passes(1001, 3), "made anew, and alike");
    }

    #[test]
    fn every_length_is_permuted_and_every_bit_found_again() {
        for n in [1, 2, 63, 64, 65, 999, 32_767, 32_768, 32_769, 32_832, 36_863, 65_537] {
            for pass in 0..3 {
                let permutation = Permutation::new(n, pass);
                let words: Vec<u64> = (0..n.div_ceil(64) as u64).map(mix).collect();
                let mut words = words;
                if n % 64 > 0 {
                    *words.last_mut().expect("n > 0") &= (1 << (n % 64)) - 1;
                }
                let permuted = permutation.apply(Isa::best(), &words);
                let mut met = vec![false; n];
                for from in 0..n as u32 {
                    let to = permutation.forward(from);
                    assert!(!std::mem::replace(&mut met[to as usize], true), "{n} bits: two bits at {to}");
                    assert_eq!(permutation.backward(to), from, "{n} bits, pass {pass}");
                    let bit = |words: &[u64], place: u32| words[place as usize / 64] >> (place % 64) & 1;
                    assert_eq!(bit(&permuted, to), bit(&words, from), "{n} bits, pass {pass}, bit {from}");
                }
            }
        }
    }
}
