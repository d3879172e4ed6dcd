//! The one body: rows of 16 columns, in a fixed order.

#![expect(clippy::cast_possible_truncation, reason = "codes are clamped to their range before")]
#![expect(clippy::inline_always, reason = "the other rungs are this body under their own features")]

use super::{COMPONENT_SCALE, Dimension, GROUP, Told};

/// Columns of a row.
const COLUMNS: usize = 16;

type Row = [f32; COLUMNS];

/// Whether e_i·e_j is −e_(i xor j).
const NEGATIVE: [[bool; 8]; 8] = {
    let mut table = [[false; 8]; 8];
    let mut i = 0;
    while i < 8 {
        let mut j = 0;
        while j < 8 {
            table[i][j] = negative(i, j, 4, false);
            j += 1;
        }
        i += 1;
    }
    table
};

/// Follows (a, b)(c, d) = (ac − d̄b, da + bc̄) down to the reals.
const fn negative(i: usize, j: usize, half: usize, so_far: bool) -> bool {
    if half == 0 {
        return so_far;
    }
    let (low_i, low_j, next) = (i % half, j % half, half / 2);
    match (i >= half, j >= half) {
        (false, false) => negative(low_i, low_j, next, so_far),
        (false, true) => negative(low_j, low_i, next, so_far),
        (true, false) => negative(low_i, low_j, next, so_far ^ (low_j != 0)),
        (true, true) => negative(low_j, low_i, next, !so_far ^ (low_j != 0)),
    }
}

/// The product of two sets of 16 numbers of an algebra of dimension D.
#[inline(always)]
fn product<const D: usize>(a: &[Row; D], b: &[Row; D]) -> [Row; D] {
    let mut out = [[0.0; COLUMNS]; D];
    for k in 0..D {
        for i in 0..D {
            let j = i ^ k;
            for column in 0..COLUMNS {
                let term = a[i][column] * b[j][column];
                out[k][column] += if NEGATIVE[i][j] { -term } else { term };
            }
        }
    }
    out
}

/// 1 or −1 by the bits of a row.
#[inline(always)]
fn signs(bits: &[u64; 2], row: usize) -> Row {
    let word = (bits[row / 4] >> (16 * (row % 4))) as u16;
    std::array::from_fn(|column| if word >> column & 1 == 1 { -1.0 } else { 1.0 })
}

#[inline(always)]
fn norms_of<const D: usize>(rows: &[Row; D]) -> Row {
    let mut sum = [0.0; COLUMNS];
    for row in rows {
        for column in 0..COLUMNS {
            sum[column] += row[column] * row[column];
        }
    }
    sum.map(f32::sqrt)
}

/// 1/x, and 0 for what is not above 0.
#[inline(always)]
fn inverse(x: f32) -> f32 {
    if x > 0.0 { 1.0 / x } else { 0.0 }
}

#[inline(always)]
fn rows<const D: usize>(symbols: &[f32]) -> [Row; D] {
    let mut rows = [[0.0; COLUMNS]; D];
    for (row, symbols) in rows.iter_mut().zip(symbols.as_chunks::<COLUMNS>().0) {
        *row = *symbols;
    }
    rows
}

#[inline(always)]
fn shape(dimension: Dimension, symbols: usize) -> usize {
    assert!(symbols.is_multiple_of(GROUP), "{symbols} symbols are no whole groups");
    symbols / dimension.symbols()
}

#[inline(always)]
pub(super) fn harden(
    dimension: Dimension,
    symbols: &[f32],
    bits: &[u64],
    components: &mut [i8],
    norms: &mut [f32],
) {
    let blocks = shape(dimension, symbols.len());
    assert_eq!((components.len(), norms.len()), (symbols.len(), blocks), "room for what is told");
    assert_eq!(bits.len(), symbols.len() / 64, "one bit a symbol");
    match dimension {
        Dimension::One => harden_all::<1>(symbols, bits, components, norms),
        Dimension::Two => harden_all::<2>(symbols, bits, components, norms),
        Dimension::Four => harden_all::<4>(symbols, bits, components, norms),
        Dimension::Eight => harden_all::<8>(symbols, bits, components, norms),
    }
}

#[inline(always)]
fn harden_all<const D: usize>(symbols: &[f32], bits: &[u64], components: &mut [i8], norms: &mut [f32]) {
    let groups = symbols.chunks_exact(GROUP).zip(components.chunks_exact_mut(GROUP));
    let groups = groups.zip(norms.chunks_exact_mut(GROUP / D)).zip(bits.as_chunks::<2>().0);
    for (((symbols, components), norms), bits) in groups {
        for part in 0..8 / D {
            let span = part * D * COLUMNS..(part + 1) * D * COLUMNS;
            let y = rows::<D>(&symbols[span.clone()]);
            let norm = norms_of(&y);
            let scale = norm.map(|norm| COMPONENT_SCALE / (D as f32).sqrt() * inverse(norm));
            let u: [Row; D] = std::array::from_fn(|i| signs(bits, part * D + i));
            let m = product(&u, &y);
            for (out, row) in components[span].as_chunks_mut::<COLUMNS>().0.iter_mut().zip(&m) {
                for column in 0..COLUMNS {
                    out[column] = code(row[column] * scale[column], 127.0) as i8;
                }
            }
            norms[part * COLUMNS..(part + 1) * COLUMNS].copy_from_slice(&norm);
        }
    }
}

/// Rounds to even and saturates; what is not a number becomes −limit here and 0 nowhere: callers
/// that can meet one test for it.
#[inline(always)]
fn code(value: f32, limit: f32) -> i32 {
    // Adding 1.5·2²³ leaves the integer in the low bits of the sum, rounded to even.
    const SHIFTER: f32 = 12_582_912.0;
    let value = if value > -limit { value } else { -limit };
    let value = if value < limit { value } else { limit };
    (value + SHIFTER).to_bits().cast_signed() - SHIFTER.to_bits().cast_signed()
}

#[inline(always)]
fn check(told: &Told<'_>, symbols: usize, others: usize) {
    let blocks = shape(told.dimension, symbols);
    assert_eq!((told.components.len(), told.norms.len()), (symbols, blocks), "what was told of the symbols");
    assert_eq!(others, symbols, "one a symbol");
}

#[inline(always)]
pub(super) fn soften(told: Told<'_>, symbols: &[f32], scale: f32, ratios: &mut [i16]) {
    check(&told, symbols.len(), ratios.len());
    match told.dimension {
        Dimension::One => soften_all::<1>(told, symbols, scale, ratios),
        Dimension::Two => soften_all::<2>(told, symbols, scale, ratios),
        Dimension::Four => soften_all::<4>(told, symbols, scale, ratios),
        Dimension::Eight => soften_all::<8>(told, symbols, scale, ratios),
    }
}

#[inline(always)]
fn soften_all<const D: usize>(told: Told<'_>, symbols: &[f32], scale: f32, ratios: &mut [i16]) {
    let scale = scale * told.norm_unit / COMPONENT_SCALE;
    let groups = symbols.chunks_exact(GROUP).zip(ratios.chunks_exact_mut(GROUP));
    let groups = groups.zip(told.components.chunks_exact(GROUP)).zip(told.norms.chunks_exact(GROUP / D));
    for (((symbols, ratios), components), norms) in groups {
        for part in 0..8 / D {
            let span = part * D * COLUMNS..(part + 1) * D * COLUMNS;
            let mut x = rows::<D>(&symbols[span.clone()]);
            for row in &mut x[1..] {
                *row = row.map(|value| -value);
            }
            let v = product(&integers::<D>(&components[span.clone()]), &x);
            let norms = &norms[part * COLUMNS..(part + 1) * COLUMNS];
            let factor: Row = std::array::from_fn(|column| scale * f32::from(norms[column]));
            for (out, row) in ratios[span].as_chunks_mut::<COLUMNS>().0.iter_mut().zip(&v) {
                for column in 0..COLUMNS {
                    let ratio = row[column] * factor[column];
                    let ratio = if ratio.is_nan() { 0.0 } else { ratio };
                    out[column] = code(ratio, 32_767.0) as i16;
                }
            }
        }
    }
}

#[inline(always)]
fn integers<const D: usize>(codes: &[i8]) -> [Row; D] {
    let mut rows = [[0.0; COLUMNS]; D];
    for (row, codes) in rows.iter_mut().zip(codes.as_chunks::<COLUMNS>().0) {
        for column in 0..COLUMNS {
            row[column] = f32::from(codes[column]);
        }
    }
    rows
}

#[inline(always)]
pub(super) fn rebuild(told: Told<'_>, bits: &[u64], symbols: &mut [f32]) {
    check(&told, symbols.len(), 64 * bits.len());
    match told.dimension {
        Dimension::One => rebuild_all::<1>(told, bits, symbols),
        Dimension::Two => rebuild_all::<2>(told, bits, symbols),
        Dimension::Four => rebuild_all::<4>(told, bits, symbols),
        Dimension::Eight => rebuild_all::<8>(told, bits, symbols),
    }
}

#[inline(always)]
fn rebuild_all<const D: usize>(told: Told<'_>, bits: &[u64], symbols: &mut [f32]) {
    let groups = symbols.chunks_exact_mut(GROUP).zip(told.components.chunks_exact(GROUP));
    let groups = groups.zip(told.norms.chunks_exact(GROUP / D)).zip(bits.as_chunks::<2>().0);
    for (((symbols, components), norms), bits) in groups {
        for part in 0..8 / D {
            let span = part * D * COLUMNS..(part + 1) * D * COLUMNS;
            let m = integers::<D>(&components[span.clone()]);
            let length = norms_of(&m);
            let norms = &norms[part * COLUMNS..(part + 1) * COLUMNS];
            let factor: Row = std::array::from_fn(|column| {
                let norm = f32::from(norms[column]) * told.norm_unit;
                norm / (D as f32).sqrt() * inverse(length[column])
            });
            let mut u: [Row; D] = std::array::from_fn(|i| signs(bits, part * D + i));
            for row in &mut u[1..] {
                *row = row.map(|value| -value);
            }
            let y = product(&u, &m);
            for (out, row) in symbols[span].as_chunks_mut::<COLUMNS>().0.iter_mut().zip(&y) {
                for column in 0..COLUMNS {
                    out[column] = row[column] * factor[column];
                }
            }
        }
    }
}

#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "as many factors on both sides");
    let mut sums = [0.0f64; COLUMNS];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<COLUMNS>(), b.as_chunks::<COLUMNS>());
    for (a, b) in a.iter().zip(b) {
        for column in 0..COLUMNS {
            sums[column] += f64::from(a[column]) * f64::from(b[column]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b));
    sums.into_iter().chain(rest).sum()
}
