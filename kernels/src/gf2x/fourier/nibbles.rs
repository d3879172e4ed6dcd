//! GF(2^8) over GF(2^4): a byte is its low nibble and z times its high one, z² = z + δ; nibbles have
//! w⁴ = w + 1 and are multiplied by adding logarithms, sixteen of which fit a table that `pshufb` reads.

/// w^k, k below 15.
const POWERS: [u8; 15] = [1, 2, 4, 8, 3, 6, 12, 11, 5, 10, 7, 14, 15, 13, 9];

/// δ = w^11: the trace of w^11 is one, so z² + z + δ has no root.
const DELTA: usize = 11;

/// The logarithm of zero: with any other it stays above 127, where a table reads as zero.
const NONE: u8 = 0xc0;

/// Logarithms.
pub(super) const LOGARITHMS: [u8; 16] = {
    let (mut table, mut k) = ([NONE; 16], 0);
    while k < 15 {
        table[POWERS[k] as usize] = k as u8;
        k += 1;
    }
    table
};

/// Of the product of the low nibbles, of the high ones, and of the sums: what they add to the product.
pub(super) const PRODUCTS: [[u8; 16]; 3] = {
    let (mut tables, mut k) = ([[0; 16]; 3], 0);
    while k < 15 {
        tables[0][k] = POWERS[k] | POWERS[k] << 4;
        tables[1][k] = POWERS[(k + DELTA) % 15];
        tables[2][k] = POWERS[k] << 4;
        k += 1;
    }
    tables
};

/// a · b.
pub(super) fn multiply(a: u8, b: u8) -> u8 {
    let nibbles = |x: u8| [x & 15, x >> 4, (x ^ x >> 4) & 15].map(|nibble| LOGARITHMS[usize::from(nibble)]);
    let sums = nibbles(a).into_iter().zip(nibbles(b)).map(|(a, b)| usize::from(a) + usize::from(b));
    sums.zip(PRODUCTS).fold(
        0,
        |product, (sum, table)| {
            if sum >= usize::from(NONE) { product } else { product ^ table[sum % 15] }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_field() {
        for a in 1..=255 {
            let mut images: Vec<u8> = (0..=255).map(|b| multiply(a, b)).collect();
            images.sort_unstable();
            images.dedup();
            assert_eq!(images.len(), 256, "multiplication by {a} is one to one");
            assert_eq!(multiply(a, 1), a, "one is one");
            assert_eq!(multiply(a, 3 ^ a), multiply(a, 3) ^ multiply(a, a), "and linear");
        }
    }
}
