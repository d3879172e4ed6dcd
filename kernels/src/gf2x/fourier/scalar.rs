//! The reference: the definition of the transform, layer by layer, element by element.
//!
//! Elements of w bits lie one after the other; up to four bits they are coordinates in the basis of
//! products of v_1, v_2, v_4, from eight on elements of the tower. Two elements of 32 bits make a word.

use super::tables::Map;
use super::{ROW_WORDS, Rows, Tables, Taken};

pub(super) fn forward(tables: &Tables, input: Rows<'_>, values: &mut [u64], scratch: &mut [u64]) {
    assert!(values.len() == tables.words() && scratch.len() >= values.len(), "{} words", values.len());
    values.fill(0);
    let rows = values.chunks_exact_mut(ROW_WORDS).take(input.count).enumerate();
    rows.for_each(|(number, row)| (input.fill)(number, row));
    convert::<false>(values, tables.log(), 0);
    let mut width = 1;
    for i in (0..tables.log()).rev() {
        let depth = tables.log() - i;
        if depth == width {
            merge(tables, values, scratch, width, i);
            width = (2 * width).min(32);
        } else {
            butterflies::<false>(tables, values, width, i);
        }
    }
}

pub(super) fn inverse(tables: &Tables, values: &mut [u64], output: Taken<'_>, scratch: &mut [u64]) {
    assert!(values.len() == tables.words() && scratch.len() >= values.len(), "{} words", values.len());
    for i in 0..tables.log() {
        let depth = tables.log() - i;
        let width = depth.next_power_of_two().min(32);
        if depth.is_power_of_two() && depth <= 16 {
            part(tables, values, scratch, width, i);
        } else {
            butterflies::<true>(tables, values, width, i);
        }
    }
    convert::<true>(values, tables.log(), 0);
    let Taken { first, take } = output;
    values.chunks_exact(ROW_WORDS).enumerate().skip(first).for_each(|(number, row)| take(number, row));
}

pub(super) fn convolve(
    tables: &Tables,
    t: &[&[u64]],
    x: &mut [&mut [u64]],
    terms: usize,
    scratch: &mut [u64],
) {
    let here = &mut scratch[..terms];
    for place in 0..x[0].len() {
        for (here, x) in here.iter_mut().zip(&*x) {
            *here = x[place];
        }
        for (r, x) in x.iter_mut().take(t.len() + 1 - terms).enumerate() {
            let factors = here.iter().zip(t[r..r + terms].iter().rev());
            x[place] = factors.fold(0, |sum, (x, t)| sum ^ product(tables, *x, t[place]));
        }
    }
}

/// Both elements of a word.
fn product(tables: &Tables, a: u64, b: u64) -> u64 {
    let low = tables.multiply32(a as u32, b as u32);
    let high = tables.multiply32((a >> 32) as u32, (b >> 32) as u32);
    u64::from(low) | u64::from(high) << 32
}

/// Taylor's rule at y^(2^K) + y for 2^k units of 2^u coefficients, then the parts, each for itself.
fn convert<const BACK: bool>(bits: &mut [u64], k: usize, u: usize) {
    if k < 2 {
        return;
    }
    let big = 1 << (k - 1).ilog2();
    if BACK {
        convert::<true>(bits, big, u);
        convert::<true>(bits, k - big, u + big);
    }
    for level in 0..k - big {
        let i = if BACK { level } else { k - big - 1 - level };
        let (half, shift) = (1 << (big + i + u), 1 << (i + u));
        for low in (0..64 * bits.len()).step_by(2 * half) {
            let high = low + half;
            if BACK {
                add(bits, high, low + shift, half - shift);
            }
            add(bits, high + half - shift, high, shift);
            if !BACK {
                add(bits, high, low + shift, half - shift);
            }
        }
    }
    if !BACK {
        convert::<false>(bits, k - big, u + big);
        convert::<false>(bits, big, u);
    }
}

/// Adds `count` coefficients from one place to another; the two do not overlap.
fn add(bits: &mut [u64], from: usize, to: usize, count: usize) {
    let mut done = 0;
    while done < count {
        let (from, to) = (from + done, to + done);
        let step = (64 - from % 64).min(64 - to % 64).min(count - done);
        let word = bits[from / 64] >> (from % 64) & (u64::MAX >> (64 - step));
        bits[to / 64] ^= word << (to % 64);
        done += step;
    }
}

fn get(words: &[u64], width: usize, place: usize) -> u32 {
    let bit = width * place;
    (words[bit / 64] >> (bit % 64) & (u64::MAX >> (64 - width))) as u32
}

fn set(words: &mut [u64], width: usize, place: usize, element: u32) {
    let bit = width * place;
    let word = &mut words[bit / 64];
    *word = *word & !((u64::MAX >> (64 - width)) << (bit % 64)) | u64::from(element) << (bit % 64);
}

/// The index bits of a block before layer i: its number's bits are those of the layers above that kept
/// both children, the uppermost first.
fn chosen_bits(log: usize, i: usize, block: usize) -> u32 {
    let kept = (i + 1..log).filter(|i| !((log - i).is_power_of_two() && log - i <= 16));
    kept.enumerate().filter(|(bit, _)| block >> bit & 1 == 1).fold(0, |mask, (_, i)| mask | 1 << i)
}

/// Blocks of 2^(i+1) elements of a width.
fn blocks(tables: &Tables, width: usize, i: usize) -> usize {
    ((1 << tables.log()) / width) >> (i + 1)
}

/// x · t in the field of a width.
fn times(tables: &Tables, width: usize, x: u32, t: u32) -> u32 {
    match width {
        32 => tables.multiply32(x, t),
        // The smaller fields lie in the larger ones, but below eight bits in another basis.
        8 | 16 => tables.multiply32(x, t),
        _ => apply(&tables.maps.unpacked, tables.multiply32(apply(&tables.maps.packed, x), t)),
    }
}

fn apply(map: &Map, x: u32) -> u32 {
    map.columns.iter().enumerate().fold(0, |sum, (bit, image)| sum ^ (u32::from(*image) * (x >> bit & 1)))
}

/// A layer that keeps both children.
fn butterflies<const BACK: bool>(tables: &Tables, values: &mut [u64], width: usize, i: usize) {
    for block in 0..blocks(tables, width, i) {
        let t = tables.twiddle(i, chosen_bits(tables.log(), i, block));
        for low in block << (i + 1)..(2 * block + 1) << i {
            let high = low + (1 << i);
            let (mut a, mut b) = (get(values, width, low), get(values, width, high));
            if BACK {
                b ^= a;
            }
            a ^= times(tables, width, b, t);
            if !BACK {
                b ^= a;
            }
            set(values, width, low, a);
            set(values, width, high, b);
        }
    }
}

/// A layer whose children are conjugates: of one, twice as wide, the upper half is the new coordinate.
fn merge(tables: &Tables, values: &mut [u64], scratch: &mut [u64], width: usize, i: usize) {
    scratch[..values.len()].copy_from_slice(values);
    for block in 0..blocks(tables, width, i) {
        let t = tables.chosen(i, chosen_bits(tables.log(), i, block));
        for place in 0..1 << i {
            let (low, high) = ((block << (i + 1)) + place, ((2 * block + 1) << i) + place);
            let (a, b) = (get(scratch, width, low), get(scratch, width, high));
            let wide = a ^ times(tables, width, b, t) | b << width;
            let wide = if width == 4 { apply(&tables.maps.packed, wide) } else { wide };
            set(values, 2 * width, (block << i) + place, wide);
        }
    }
}

/// The inverse of [`merge`].
fn part(tables: &Tables, values: &mut [u64], scratch: &mut [u64], width: usize, i: usize) {
    scratch[..values.len()].copy_from_slice(values);
    for block in 0..blocks(tables, width, i) {
        let t = tables.chosen(i, chosen_bits(tables.log(), i, block));
        for place in 0..1 << i {
            let wide = get(scratch, 2 * width, (block << i) + place);
            let wide = if width == 4 { apply(&tables.maps.unpacked, wide) } else { wide };
            let (a, b) = (wide & (u32::MAX >> (32 - width)), wide >> width);
            let (low, high) = ((block << (i + 1)) + place, ((2 * block + 1) << i) + place);
            set(values, width, low, a ^ times(tables, width, b, t));
            set(values, width, high, b);
        }
    }
}
