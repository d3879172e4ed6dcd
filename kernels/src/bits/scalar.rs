//! The reference.

#[inline]
pub(super) fn xor(dst: &mut [u64], src: &[u64]) {
    assert_eq!(dst.len(), src.len(), "xor of strings of different length");
    for (d, s) in dst.iter_mut().zip(src) {
        *d ^= s;
    }
}

#[inline]
pub(super) fn add_shifted(dst: &mut [u64], src: &[u64], shift: usize) {
    assert!(shift < 64 && src.len() >= dst.len(), "{} words by {shift} bits to {}", src.len(), dst.len());
    if shift == 0 {
        return xor(dst, &src[..dst.len()]);
    }
    let inner = dst.len().min(src.len().saturating_sub(1));
    let (dst, last) = dst.split_at_mut(inner);
    for ((d, low), high) in dst.iter_mut().zip(src).zip(src.iter().skip(1)) {
        *d ^= low >> shift | high << (64 - shift);
    }
    if let (Some(d), Some(low)) = (last.first_mut(), src.get(inner)) {
        *d ^= low >> shift;
    }
}

#[inline]
pub(super) fn count_ones(words: &[u64]) -> u64 {
    words.iter().map(|w| u64::from(w.count_ones())).sum()
}

#[inline]
pub(super) fn distance(a: &[u64], b: &[u64]) -> u64 {
    assert_eq!(a.len(), b.len(), "distance of strings of different length");
    a.iter().zip(b).map(|(a, b)| u64::from((a ^ b).count_ones())).sum()
}

#[inline]
pub(super) fn common(a: &[u64], b: &[u64]) -> u64 {
    assert_eq!(a.len(), b.len(), "common ones of strings of different length");
    a.iter().zip(b).map(|(a, b)| u64::from((a & b).count_ones())).sum()
}

pub(super) fn compress(words: &[u64], mask: &[u64], out: &mut [u64]) -> usize {
    compress_by(words, mask, out, extract)
}

pub(super) fn expand(packed: &[u64], mask: &[u64], out: &mut [u64]) {
    expand_by(packed, mask, out, deposit);
}

/// The bits of a word under a mask, at the low end.
fn extract(word: u64, mut mask: u64) -> u64 {
    let mut out = 0;
    for place in 0..mask.count_ones() {
        out |= (word >> mask.trailing_zeros() & 1) << place;
        mask &= mask - 1;
    }
    out
}

/// The low bits of a word, laid under a mask.
fn deposit(word: u64, mut mask: u64) -> u64 {
    let mut out = 0;
    for place in 0..mask.count_ones() {
        out |= (word >> place & 1) << mask.trailing_zeros();
        mask &= mask - 1;
    }
    out
}

/// Compression, given what it is of a word.
#[inline(always)]
pub(super) fn compress_by(
    words: &[u64],
    mask: &[u64],
    out: &mut [u64],
    extract: impl Fn(u64, u64) -> u64,
) -> usize {
    assert_eq!(words.len(), mask.len(), "bits and mask of different length");
    let (mut place, mut word, mut filled) = (0, 0, 0);
    for (bits, mask) in words.iter().zip(mask) {
        let bits = extract(*bits, *mask);
        word |= bits << filled;
        filled += mask.count_ones();
        if filled >= 64 {
            out[place] = word;
            place += 1;
            filled -= 64;
            // What did not fit; where all did, the shift is by 64.
            word = bits.checked_shr(mask.count_ones() - filled).unwrap_or(0);
        }
    }
    if filled > 0 {
        out[place] = word;
    }
    64 * place + filled as usize
}

/// Expansion, given what it is of a word.
#[inline(always)]
pub(super) fn expand_by(packed: &[u64], mask: &[u64], out: &mut [u64], deposit: impl Fn(u64, u64) -> u64) {
    assert_eq!(out.len(), mask.len(), "places and mask of different length");
    let word = |place: usize| packed.get(place).copied().unwrap_or(0);
    let mut taken = 0;
    for (out, mask) in out.iter_mut().zip(mask) {
        let (place, shift) = (taken / 64, taken % 64);
        let bits = word(place) >> shift | (word(place + 1) << (63 - shift)) << 1;
        *out = deposit(bits, *mask);
        taken += mask.count_ones() as usize;
    }
}
