//! The one body: sixteen symbols at a time, in a fixed order.

#![expect(clippy::inline_always, reason = "the other rungs are this body under their own features")]

use super::{CELLS, LEVELS, Sight, TOLD};

/// Symbols side by side.
const LANES: usize = 16;

type Lanes = [f32; LANES];

/// The last bit of the cell's number within its interval, where the interval's number is even; all of its bits are
/// turned where it is odd.
const MIRROR: u32 = (1 << TOLD) - 1;

#[inline(always)]
pub(super) fn cut(symbols: &[f32], ends: &[f32; CELLS - 1], planes: &mut [u64]) {
    let words = symbols.len() / 64;
    assert!(
        symbols.len() == 64 * words && planes.len() == (LEVELS + TOLD) * words,
        "whole words, eight planes"
    );
    for (word, symbols) in symbols.as_chunks::<64>().0.iter().enumerate() {
        let mut cells = [0u32; 64];
        for (cell, y) in cells.iter_mut().zip(symbols) {
            *cell = place(*y, ends);
        }
        for plane in 0..LEVELS + TOLD {
            let shift = LEVELS + TOLD - 1 - plane;
            let bits = cells.iter().enumerate();
            planes[plane * words + word] =
                bits.fold(0, |bits, (i, cell)| bits | u64::from(cell >> shift & 1) << i);
        }
    }
}

/// The cell of a value, its lower half mirrored where the interval's number is odd.
#[inline(always)]
fn place(y: f32, ends: &[f32; CELLS - 1]) -> u32 {
    let mut cell = 0;
    for bit in (0..LEVELS + TOLD).rev() {
        let above = y >= ends[(cell | ((1 << bit) - 1)) & (CELLS - 1)];
        cell |= usize::from(above) << bit;
    }
    mirrored(cell as u32)
}

/// Turns a number as told into a cell's, and back.
#[inline(always)]
fn mirrored(cell: u32) -> u32 {
    cell ^ if cell >> TOLD & 1 == 1 { MIRROR } else { 0 }
}

#[inline(always)]
pub(super) fn soften(
    sight: Sight<'_>,
    planes: &[u64],
    level: usize,
    unit: f32,
    symbols: &[f32],
    ratios: &mut [i16],
) {
    assert!(
        symbols.len() == ratios.len()
            && symbols.len().is_multiple_of(64)
            && planes.len() == (LEVELS + TOLD) * (symbols.len() / 64),
        "one ratio a symbol, eight planes"
    );
    match level {
        0 => level_of::<16>(sight, planes, unit, symbols, ratios),
        1 => level_of::<8>(sight, planes, unit, symbols, ratios),
        2 => level_of::<4>(sight, planes, unit, symbols, ratios),
        3 => level_of::<2>(sight, planes, unit, symbols, ratios),
        _ => panic!("level {level} of {LEVELS}"),
    }
}

/// The level below which `OPEN` intervals are possible.
#[inline(always)]
fn level_of<const OPEN: usize>(
    sight: Sight<'_>,
    planes: &[u64],
    unit: f32,
    symbols: &[f32],
    ratios: &mut [i16],
) {
    let words = symbols.len() / 64;
    let known = LEVELS - OPEN.trailing_zeros() as usize;
    let pieces = symbols.as_chunks::<LANES>().0.iter().zip(ratios.as_chunks_mut::<LANES>().0);
    for (piece, (x, ratios)) in pieces.enumerate() {
        let (word, shift) = (piece / 4, piece % 4 * LANES);
        let (mut base, mut told) = ([0u32; LANES], [0u32; LANES]);
        for plane in 0..known {
            let bits = (planes[plane * words + word] >> shift) as u32;
            for lane in 0..LANES {
                base[lane] |= (bits >> lane & 1) << (LEVELS + TOLD - 1 - plane);
            }
        }
        for plane in 0..TOLD {
            let bits = (planes[(LEVELS + plane) * words + word] >> shift) as u32;
            for lane in 0..LANES {
                told[lane] |= (bits >> lane & 1) << (TOLD - 1 - plane);
            }
        }
        let mut scores = [[0.0f32; LANES]; OPEN];
        for (interval, scores) in (0u32..).zip(&mut scores) {
            let mirror = if interval & 1 == 1 { MIRROR } else { 0 };
            for lane in 0..LANES {
                let cell = base[lane] | interval << TOLD | (told[lane] ^ mirror);
                let y = sight.values[cell as usize & (CELLS - 1)];
                scores[lane] = y * (sight.curvature * y + sight.slope * x[lane]);
            }
        }
        let odds = log_odds(&scores);
        for lane in 0..LANES {
            ratios[lane] = (odds[lane] * (std::f32::consts::LN_2 * unit))
                .clamp(-32_767.0, 32_767.0)
                .round_ties_even() as i16;
        }
    }
}

/// log₂ of the sum of the first half's powers of two over that of the second's.
#[inline(always)]
fn log_odds<const OPEN: usize>(scores: &[Lanes; OPEN]) -> Lanes {
    let mut odds = [0.0; LANES];
    if OPEN == 2 {
        for lane in 0..LANES {
            odds[lane] = scores[0][lane] - scores[1][lane];
        }
        return odds;
    }
    let mut most = scores[0];
    for scores in &scores[1..] {
        for lane in 0..LANES {
            most[lane] = if scores[lane] > most[lane] { scores[lane] } else { most[lane] };
        }
    }
    let mut sums = [[0.0f32; LANES]; 2];
    for (interval, scores) in scores.iter().enumerate() {
        let sum = &mut sums[2 * interval / OPEN];
        for lane in 0..LANES {
            sum[lane] += power(scores[lane] - most[lane]);
        }
    }
    for lane in 0..LANES {
        odds[lane] = logarithm(sums[0][lane] / sums[1][lane]);
    }
    odds
}

/// 2^x for x from −60 to 0; what is below counts as −60. Relative error 3·10⁻⁶.
#[inline(always)]
fn power(x: f32) -> f32 {
    /// 1.5 · 2²³: adding it rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    let x = if x > -60.0 { x } else { -60.0 };
    let rounded = x + ROUND;
    let f = x - (rounded - ROUND);
    let series = 1.0
        + f * (std::f32::consts::LN_2
            + f * (0.240_226_5 + f * (0.055_504_11 + f * (0.009_618_13 + f * 0.001_333_356))));
    // The low bits of `rounded` are the exponent, in two's complement.
    f32::from_bits((rounded.to_bits() << 23).wrapping_add(127 << 23)) * series
}

/// log₂ x of a normal positive number. Error 10⁻⁶.
#[inline(always)]
fn logarithm(x: f32) -> f32 {
    /// √½, from which the mantissa is counted.
    const BASE: u32 = 0x3f35_04f3;
    let above = x.to_bits().wrapping_sub(BASE);
    let exponent = (above.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((above & 0x007f_ffff).wrapping_add(BASE));
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    // 2/ln 2 · artanh t.
    exponent + t * (2.885_39 + square * (0.961_796_7 + square * (0.577_078 + square * 0.412_198_6)))
}

#[inline(always)]
pub(super) fn rebuild(planes: &[u64], values: &[f32; CELLS], symbols: &mut [f32]) {
    let words = symbols.len() / 64;
    assert!(
        symbols.len() == 64 * words && planes.len() == (LEVELS + TOLD) * words,
        "whole words, eight planes"
    );
    for (word, symbols) in symbols.as_chunks_mut::<64>().0.iter_mut().enumerate() {
        let mut cells = [0u32; 64];
        for plane in 0..LEVELS + TOLD {
            let bits = planes[plane * words + word];
            for (i, cell) in cells.iter_mut().enumerate() {
                *cell |= ((bits >> i & 1) as u32) << (LEVELS + TOLD - 1 - plane);
            }
        }
        for (y, cell) in symbols.iter_mut().zip(cells) {
            *y = values[mirrored(cell) as usize & (CELLS - 1)];
        }
    }
}
