//! The reference: shift and add, masked instead of branching.

use super::BASE;

pub(super) fn product(a: &[u64], b: &[u64], out: &mut [u64], scratch: &mut [u64]) {
    super::karatsuba(&base, a, b, out, scratch);
}

fn base(a: &[u64; BASE], b: &[u64; BASE]) -> [u64; 2 * BASE] {
    let mut out = [0; 2 * BASE];
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let product = multiply(*a, *b);
            out[i + j] ^= product as u64;
            out[i + j + 1] ^= (product >> 64) as u64;
        }
    }
    out
}

fn multiply(a: u64, b: u64) -> u128 {
    (0..64).fold(0, |sum, bit| sum ^ (u128::from(b) << bit) & 0u128.wrapping_sub(u128::from(a >> bit & 1)))
}
