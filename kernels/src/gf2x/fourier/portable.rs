//! Vectors of 64 bytes as eight words, on whatever the compiler makes of them.

use super::tables::{Map, Maps};
use super::{Line, Tables};
use super::{
    basis_change::basis_change,
    layers::{karatsuba, layers},
    planes::planes,
};

type V = [u64; 8];

basis_change!();
planes!();
layers!();
karatsuba!();

/// The lowest bit of every byte.
const ONES: u64 = 0x0101_0101_0101_0101;

#[inline(always)]
fn get(line: &Line) -> V {
    *line
}

#[inline(always)]
fn put(line: &mut Line, value: V) {
    *line = value;
}

#[inline(always)]
fn load(lines: &[Line], at: usize) -> V {
    get(&lines[at])
}

#[inline(always)]
fn store(lines: &mut [Line], at: usize, value: V) {
    put(&mut lines[at], value);
}

#[inline(always)]
fn bytes(bytes: &[u8; 64]) -> V {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|word| u64::from_le_bytes(words[word]))
}

#[inline(always)]
fn zero() -> V {
    [0; 8]
}

#[inline(always)]
fn all(byte: u8) -> V {
    [ONES * u64::from(byte); 8]
}

/// A word eight times.
#[inline(always)]
fn words(word: u64) -> V {
    [word; 8]
}

#[inline(always)]
fn xor(a: V, b: V) -> V {
    std::array::from_fn(|word| a[word] ^ b[word])
}

/// The bytes of a vector: compilers vectorise these better than parts of words.
#[inline(always)]
fn to_bytes(x: V) -> [u8; 64] {
    let mut bytes = [0; 64];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(x) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// All ones if the highest bit is one, else zero.
#[inline(always)]
fn highest(byte: u8) -> u8 {
    (byte.cast_signed() >> 7).cast_unsigned()
}

/// All products of bytes, bit by bit of b from the highest.
#[inline(always)]
fn mul(a: V, b: V) -> V {
    let (a, mut b, mut product) = (to_bytes(a), to_bytes(b), [0u8; 64]);
    for _ in 0..8 {
        for i in 0..64 {
            let carry = highest(product[i]) & 0x1b;
            product[i] = product[i].wrapping_add(product[i]) ^ carry ^ highest(b[i]) & a[i];
            b[i] = b[i].wrapping_add(b[i]);
        }
    }
    bytes(&product)
}

/// Lines that a factor of many products takes, and the factor there.
const SHARES: usize = 1;

#[inline(always)]
fn put_factor(lines: &mut [Line; SHARES], value: V) {
    put(&mut lines[0], value);
}

#[inline(always)]
fn mul_factor(x: V, lines: &[Line; SHARES]) -> V {
    mul(x, get(&lines[0]))
}

#[inline(always)]
fn up<const S: i32>(x: V, left: V) -> V {
    let (words, bits) = (S as usize / 64, S as u32 % 64);
    let word = |place: usize| if place < 8 { left[place] } else { x[place - 8] };
    std::array::from_fn(|place| {
        let high = word(8 + place - words) << bits;
        if bits == 0 { high } else { high | word(7 + place - words) >> (64 - bits) }
    })
}

#[inline(always)]
fn up_half<const S: i32>(x: V, left: V) -> V {
    std::array::from_fn(|place| {
        let before = if place % 4 == 0 { left[place + 3] } else { x[place - 1] };
        x[place] << S | before >> (64 - S)
    })
}

#[inline(always)]
fn lower(a: V, b: V) -> V {
    std::array::from_fn(|place| if place < 4 { a[place] } else { b[place - 4] })
}

#[inline(always)]
fn upper(a: V, b: V) -> V {
    std::array::from_fn(|place| if place < 4 { a[place + 4] } else { b[place] })
}

#[inline(always)]
fn upper_to_lower(x: V) -> V {
    upper(x, zero())
}

#[inline(always)]
fn keep_upper(x: V) -> V {
    std::array::from_fn(|place| if place < 4 { 0 } else { x[place] })
}

#[inline(always)]
fn swap_lanes<const K: usize>(a: V, b: V) -> (V, V) {
    if K < 3 {
        let shift = 8 << K;
        let even = [0x00ff_00ff_00ff_00ff, 0x0000_ffff_0000_ffff, 0x0000_0000_ffff_ffff][K % 3];
        return (
            std::array::from_fn(|word| a[word] & even | (b[word] & even) << shift),
            std::array::from_fn(|word| a[word] >> shift & even | b[word] & !even),
        );
    }
    let bit = 1 << (K - 3);
    (
        std::array::from_fn(|word| if word & bit == 0 { a[word] } else { b[word ^ bit] }),
        std::array::from_fn(|word| if word & bit == 0 { a[word | bit] } else { b[word] }),
    )
}

/// No hint that every machine has.
#[inline(always)]
fn prefetch(_line: &Line) {}

/// Bytes are written by the AES polynomial.
#[inline(always)]
fn written(tables: &Tables) -> &Tables {
    tables
}

struct Field<'a> {
    maps: &'a Maps,
    gamma: u8,
    v3: u8,
}

impl<'a> Field<'a> {
    fn new(tables: &'a Tables) -> Self {
        Self { maps: &tables.maps, gamma: tables.v(7) as u8, v3: tables.v(3) as u8 }
    }

    #[inline(always)]
    fn times(&self, x: V, t: &Map) -> V {
        apply(t, x)
    }

    #[inline(always)]
    fn times_gamma(&self, x: V) -> V {
        mul(all(self.gamma), x)
    }

    #[inline(always)]
    fn times_v3(&self, x: V) -> V {
        mul(all(self.v3), x)
    }

    #[inline(always)]
    fn times_beta(&self, x: [V; 2]) -> [V; 2] {
        let [a, b, c, d] = &self.maps.beta;
        [xor(apply(a, x[0]), apply(b, x[1])), xor(apply(c, x[0]), apply(d, x[1]))]
    }

    #[inline(always)]
    fn fourth(&self, x: V) -> V {
        apply(&self.maps.fourth, x)
    }

    #[inline(always)]
    fn fourth_back(&self, x: V) -> V {
        apply(&self.maps.fourth_back, x)
    }
}

/// A linear map of every byte.
#[inline(always)]
fn apply(map: &Map, x: V) -> V {
    let (mut x, mut sum) = (to_bytes(x), [0u8; 64]);
    for image in map.columns.iter().rev() {
        for i in 0..64 {
            sum[i] ^= highest(x[i]) & image;
            x[i] = x[i].wrapping_add(x[i]);
        }
    }
    bytes(&sum)
}

#[inline(always)]
fn pack8(field: &Field<'_>, mut x: [V; 8]) -> [V; 8] {
    transpose_bytes(&mut x);
    for x in &mut x {
        *x = apply(&field.maps.packed, transpose_bits(*x));
    }
    x
}

#[inline(always)]
fn unpack8(field: &Field<'_>, mut x: [V; 8]) -> [V; 8] {
    for x in &mut x {
        *x = transpose_bits(apply(&field.maps.unpacked, *x));
    }
    transpose_bytes(&mut x);
    x
}

/// Swaps byte number and vector number within each word of eight vectors.
#[inline(always)]
fn transpose_bytes(x: &mut [V; 8]) {
    for (k, even) in
        [0x00ff_00ff_00ff_00ff, 0x0000_ffff_0000_ffff, 0x0000_0000_ffff_ffff].into_iter().enumerate()
    {
        let shift = 8 << k;
        for p in (0..8).filter(|p| p >> k & 1 == 0) {
            for word in 0..8 {
                let (a, b) = (x[p][word], x[p | 1 << k][word]);
                x[p][word] = a & even | (b & even) << shift;
                x[p | 1 << k][word] = a >> shift & even | b & !even;
            }
        }
    }
}

/// Swaps bit number and byte number of every word.
#[inline(always)]
fn transpose_bits(mut x: V) -> V {
    for (shift, mask) in
        [(7, 0x00aa_00aa_00aa_00aa), (14, 0x0000_cccc_0000_cccc), (28, 0x0000_0000_f0f0_f0f0)]
    {
        for word in &mut x {
            let swapped = (*word ^ *word >> shift) & mask;
            *word ^= swapped ^ swapped << shift;
        }
    }
    x
}
