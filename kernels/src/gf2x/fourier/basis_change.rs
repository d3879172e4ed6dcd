//! Between powers of x and products of subspace polynomials: additions only.
//!
//! With K the greatest power of two below k, a polynomial in 2^k coefficients is expanded by Taylor's
//! rule at x^(2^K) + x; then the expansion's coefficients and its digits are converted each for itself
//! (Lin, Al-Naffouri, Han, Chung, IEEE Trans. Inf. Theory 62 (2016) 6284). Blocks of 2^16 bits are
//! converted eight at a time, a block a lane of words.

use std::arch::x86_64::*;

use super::avx512::{V, load, store, xor};

/// Words of a block of 2^16 bits.
const BLOCK: usize = 1024;

fn split(k: usize) -> usize {
    1 << (k - 1).ilog2()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
pub(super) fn forward(log: usize, bits: &mut [u64], scratch: &mut [u64]) {
    expand::<false>(bits, log - 17);
    rows::<false>(log, bits);
    blocks::<false>(bits, scratch);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
pub(super) fn inverse(log: usize, bits: &mut [u64], scratch: &mut [u64]) {
    blocks::<true>(bits, scratch);
    rows::<true>(log, bits);
    expand::<true>(bits, log - 17);
}

/// The expansion at x^(2^16) + x of a whole polynomial: level i, then both halves.
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn expand<const BACK: bool>(bits: &mut [u64], i: usize) {
    let half = bits.len() / 2;
    let (low, high) = bits.split_at_mut(half);
    if BACK {
        if i > 0 {
            expand::<true>(low, i - 1);
            expand::<true>(high, i - 1);
        }
        add_up(low, high, 1 << i);
        add_top(high, 1 << i);
    } else {
        add_top(high, 1 << i);
        add_up(low, high, 1 << i);
        if i > 0 {
            expand::<false>(low, i - 1);
            expand::<false>(high, i - 1);
        }
    }
}

/// The last `shift` coefficients are added to the first.
#[target_feature(enable = "avx512f")]
fn add_top(high: &mut [u64], shift: usize) {
    let n = high.len();
    if shift < 64 {
        high[0] ^= high[n - 1] >> (64 - shift);
        return;
    }
    let (first, last) = high.split_at_mut(n - shift / 64);
    for (first, last) in first.iter_mut().zip(last) {
        *first ^= *last;
    }
}

/// `low += high · x^shift`, cut at the length.
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn add_up(low: &mut [u64], high: &[u64], shift: usize) {
    if shift >= 64 {
        for (low, high) in low[shift / 64..].iter_mut().zip(high) {
            *low ^= high;
        }
        return;
    }
    low[0] ^= high[0] << shift;
    for (low, pair) in low[1..].iter_mut().zip(high.windows(2)) {
        *low ^= pair[1] << shift | pair[0] >> (64 - shift);
    }
}

/// The conversion of the expansion's coefficients: words in the same place of all blocks.
#[target_feature(enable = "avx512f")]
fn rows<const BACK: bool>(log: usize, bits: &mut [u64]) {
    let count = bits.len() / BLOCK;
    let mut column = [_mm512_setzero_si512(); 256];
    let column = &mut column[..count];
    for at in (0..BLOCK).step_by(8) {
        for (row, value) in column.iter_mut().enumerate() {
            *value = load(bits, row * BLOCK + at);
        }
        convert::<BACK>(column, log - 16, 0);
        for (row, value) in column.iter().enumerate() {
            store(bits, row * BLOCK + at, *value);
        }
    }
}

/// Converts 2^k units of 2^u rows, over and over.
#[target_feature(enable = "avx512f")]
fn convert<const BACK: bool>(rows: &mut [V], k: usize, u: usize) {
    if k < 2 {
        return;
    }
    let big = split(k);
    if BACK {
        convert::<true>(rows, big, u);
        convert::<true>(rows, k - big, u + big);
    }
    for level in 0..k - big {
        let i = if BACK { level } else { k - big - 1 - level };
        let (half, shift) = (1 << (big + i + u), 1 << (i + u));
        for block in rows.chunks_exact_mut(2 * half) {
            let (low, high) = block.split_at_mut(half);
            if BACK {
                add_rows(&mut low[shift..], high);
            }
            let (first, last) = high.split_at_mut(half - shift);
            add_rows(first, last);
            if !BACK {
                add_rows(&mut low[shift..], high);
            }
        }
    }
    if !BACK {
        convert::<false>(rows, k - big, u + big);
        convert::<false>(rows, big, u);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn add_rows(to: &mut [V], from: &[V]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = xor(*to, *from);
    }
}

/// Converts every block of 2^16 bits, eight side by side.
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn blocks<const BACK: bool>(bits: &mut [u64], _scratch: &mut [u64]) {
    let mut lanes = [_mm512_setzero_si512(); BLOCK];
    for eight in bits.chunks_exact_mut(8 * BLOCK) {
        for at in (0..BLOCK).step_by(8) {
            let rows = transpose(std::array::from_fn(|lane| load(eight, lane * BLOCK + at)));
            lanes[at..at + 8].copy_from_slice(&rows);
        }
        words::<BACK>(&mut lanes, 16, 0);
        for at in (0..BLOCK).step_by(8) {
            let rows = transpose(std::array::from_fn(|row| lanes[at + row]));
            for (lane, value) in rows.into_iter().enumerate() {
                store(eight, lane * BLOCK + at, value);
            }
        }
    }
}

/// Transposes eight by eight words.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(x: [V; 8]) -> [V; 8] {
    let mut t = x;
    for i in (0..8).step_by(2) {
        t[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
    }
    let mut a = t;
    for h in 0..2 {
        a[h] = _mm512_shuffle_i64x2::<0x88>(t[h], t[2 + h]);
        a[2 + h] = _mm512_shuffle_i64x2::<0xdd>(t[h], t[2 + h]);
        a[4 + h] = _mm512_shuffle_i64x2::<0x88>(t[4 + h], t[6 + h]);
        a[6 + h] = _mm512_shuffle_i64x2::<0xdd>(t[4 + h], t[6 + h]);
    }
    let mut out = a;
    for h in 0..2 {
        out[h] = _mm512_shuffle_i64x2::<0x88>(a[h], a[4 + h]);
        out[4 + h] = _mm512_shuffle_i64x2::<0xdd>(a[h], a[4 + h]);
        out[2 + h] = _mm512_shuffle_i64x2::<0x88>(a[2 + h], a[6 + h]);
        out[6 + h] = _mm512_shuffle_i64x2::<0xdd>(a[2 + h], a[6 + h]);
    }
    out
}

/// Converts 2^k units of 2^u bits, over and over; bit b of word w is coefficient 64 w + b.
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn words<const BACK: bool>(rows: &mut [V], k: usize, u: usize) {
    if k < 2 {
        return;
    }
    let block = (1usize << (k + u)) / 64;
    if block >= 64 && rows.len() > block {
        for rows in rows.chunks_exact_mut(block) {
            words::<BACK>(rows, k, u);
        }
        return;
    }
    let big = split(k);
    if BACK {
        words::<true>(rows, big, u);
        words::<true>(rows, k - big, u + big);
    }
    for level in 0..k - big {
        let i = if BACK { level } else { k - big - 1 - level };
        expand_words::<BACK>(rows, 1 << (big + i + u), 1 << (i + u));
    }
    if !BACK {
        words::<false>(rows, k - big, u + big);
        words::<false>(rows, big, u);
    }
}

/// One level of Taylor's rule: blocks of two halves, `half` and `shift` in bits.
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn expand_words<const BACK: bool>(rows: &mut [V], half: usize, shift: usize) {
    if half < 64 {
        within_words::<BACK>(rows, half, shift);
        return;
    }
    for block in rows.chunks_exact_mut(half / 32) {
        let (low, high) = block.split_at_mut(half / 64);
        if BACK {
            up_words(low, high, shift);
        }
        let last = high.len() - 1;
        if shift < 64 {
            let down = _mm_cvtsi32_si128(64 - shift as i32);
            high[0] = xor(high[0], _mm512_srl_epi64(high[last], down));
        } else {
            let (first, last) = high.split_at_mut(high.len() - shift / 64);
            add_rows(first, last);
        }
        if !BACK {
            up_words(low, high, shift);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn up_words(low: &mut [V], high: &[V], shift: usize) {
    if shift >= 64 {
        add_rows(&mut low[shift / 64..], high);
        return;
    }
    let count = _mm512_set1_epi64(shift as i64);
    let mut before = _mm512_setzero_si512();
    for (low, high) in low.iter_mut().zip(high) {
        *low = xor(*low, _mm512_shldv_epi64(*high, before, count));
        before = *high;
    }
}

#[target_feature(enable = "avx512f")]
fn within_words<const BACK: bool>(rows: &mut [V], half: usize, shift: usize) {
    let place = |bit: usize| bit % (2 * half);
    let mask = |range: std::ops::Range<usize>| {
        (0..64).filter(|bit| range.contains(&place(*bit))).fold(0u64, |mask, bit| mask | 1 << bit)
    };
    let down = half - shift;
    // Moved already, so that the mask meets the shifted word.
    let top = _mm512_set1_epi64((mask(2 * half - shift..2 * half) >> down).cast_signed());
    let rest = _mm512_set1_epi64((mask(half..2 * half - shift) >> down).cast_signed());
    let (first, second) = if BACK { (rest, top) } else { (top, rest) };
    let count = _mm_cvtsi32_si128(down as i32);
    for row in rows {
        let word = _mm512_ternarylogic_epi64::<0x78>(*row, _mm512_srl_epi64(*row, count), first);
        *row = _mm512_ternarylogic_epi64::<0x78>(word, _mm512_srl_epi64(word, count), second);
    }
}
