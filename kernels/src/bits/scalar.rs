//! The reference.

#[inline]
pub(super) fn xor(dst: &mut [u64], src: &[u64]) {
    assert_eq!(dst.len(), src.len(), "xor of strings of different length");
    for (d, s) in dst.iter_mut().zip(src) {
        *d ^= s;
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
