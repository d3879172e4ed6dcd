//! The reference: the values are the coefficients, the product is Karatsuba's, and the rest of the
//! division by x^N + x^(2^16) + x^(N / 2^16) + x + 1 wraps twice.

use super::Tables;

pub(super) fn forward(tables: &Tables, values: &mut [u64], _scratch: &mut [u64]) {
    assert_eq!(values.len(), tables.words(), "words of a transform");
}

pub(super) fn inverse(tables: &Tables, values: &mut [u64], scratch: &mut [u64]) {
    forward(tables, values, scratch);
}

pub(super) fn multiply_add(tables: &Tables, sum: &mut [u64], a: &[u64], b: &[u64], scratch: &mut [u64]) {
    with_product(tables, sum, scratch, |out, rest| {
        crate::gf2x::scalar::product(a, b, out, rest);
    });
}

/// Adds what `multiply` leaves in the first 2N bits of scratch, reduced.
pub(super) fn with_product(
    tables: &Tables,
    sum: &mut [u64],
    scratch: &mut [u64],
    multiply: impl FnOnce(&mut [u64], &mut [u64]),
) {
    let n = tables.words();
    let (product, rest) = scratch.split_at_mut(2 * n);
    multiply(product, rest);
    let (low, high) = product.split_at_mut(n);
    // What the top 2^16 coefficients push beyond N once more comes back at the bottom.
    let far = 1024;
    let mut again = [0u64; 1024 + 1];
    for shift in tables.wraps() {
        add_shifted(low, high, shift);
        let (skip, bits) = (n - shift.div_ceil(64), shift % 64);
        for (place, word) in high[skip..].iter().enumerate() {
            if bits == 0 {
                again[place] ^= word;
            } else {
                again[place] ^= word >> (64 - bits);
            }
        }
    }
    for shift in tables.wraps() {
        add_shifted(low, &again[..far], shift);
    }
    for (sum, low) in sum.iter_mut().zip(low) {
        *sum ^= *low;
    }
}

/// `to += from · x^shift`, cut at the length of `to`.
fn add_shifted(to: &mut [u64], from: &[u64], shift: usize) {
    let (skip, bits) = (shift / 64, shift % 64);
    let mut carry = 0;
    let count = from.len().min(to.len() - skip);
    for (to, from) in to[skip..].iter_mut().zip(&from[..count]) {
        *to ^= from << bits | carry;
        carry = if bits == 0 { 0 } else { from >> (64 - bits) };
    }
    if let Some(next) = to.get_mut(skip + count) {
        *next ^= carry;
    }
}
