//! The reference: shift and add, masked instead of branching.

use super::BASE;

by_karatsuba!();

fn base(a: &[u64; BASE], b: &[u64; BASE], out: &mut [u64; 2 * BASE]) {
    out.fill(0);
    for (i, a) in a.iter().enumerate() {
        for (j, b) in b.iter().enumerate() {
            let product = multiply(*a, *b);
            out[i + j] ^= product as u64;
            out[i + j + 1] ^= (product >> 64) as u64;
        }
    }
}

fn multiply(a: u64, b: u64) -> u128 {
    (0..64).fold(0, |sum, bit| sum ^ (u128::from(b) << bit) & 0u128.wrapping_sub(u128::from(a >> bit & 1)))
}
