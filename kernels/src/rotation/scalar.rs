//! The one body: rows of 16 columns, in a fixed order.

#![expect(clippy::cast_possible_truncation, reason = "codes are clamped to their range before")]
#![expect(clippy::inline_always, reason = "the other rungs are this body under their own features")]

use super::{COMPONENT_SCALE, Dimension, GROUP, Told};

/// Columns of a row.
const COLUMNS: usize = 16;

/// A number of an algebra of real dimension 1, 2, 4 or 8.
trait Number: Sized {
    /// Cayley–Dickson's product.
    fn times(self, other: Self) -> Self;
}

impl Number for [f32; 1] {
    #[inline(always)]
    fn times(self, other: Self) -> Self {
        [self[0] * other[0]]
    }
}

/// (a, b)(c, d) = (ac − d̄b, da + bc̄) over an algebra of half the dimension.
macro_rules! doubled {
    ($half:literal, $full:literal) => {
        impl Number for [f32; $full] {
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                let (a, b): ([f32; $half], [f32; $half]) = halves(self);
                let (c, d): ([f32; $half], [f32; $half]) = halves(other);
                let (ac, db) = (a.times(c), conjugate(d).times(b));
                let (da, bc) = (d.times(a), b.times(conjugate(c)));
                let mut out = [0.0; $full];
                for (out, (ac, db)) in out.iter_mut().zip(ac.into_iter().zip(db)) {
                    *out = ac - db;
                }
                for (out, (da, bc)) in out[$half..].iter_mut().zip(da.into_iter().zip(bc)) {
                    *out = da + bc;
                }
                out
            }
        }
    };
}

doubled!(1, 2);
doubled!(2, 4);
doubled!(4, 8);

#[inline(always)]
fn halves<const FULL: usize, const HALF: usize>(x: [f32; FULL]) -> ([f32; HALF], [f32; HALF]) {
    (std::array::from_fn(|i| x[i]), std::array::from_fn(|i| x[HALF + i]))
}

#[inline(always)]
fn conjugate<const D: usize>(x: [f32; D]) -> [f32; D] {
    std::array::from_fn(|i| if i == 0 { x[0] } else { -x[i] })
}

/// u'·√d by the bits of a block: those of its column in the rows from `row` on.
#[inline(always)]
fn signs<const D: usize>(bits: [u32; 8], row: usize, column: usize) -> [f32; D] {
    std::array::from_fn(|i| {
        let bit = bits[row + i] >> column & 1;
        f32::from_bits(1f32.to_bits() | bit << 31)
    })
}

/// The 16 bits of each row.
#[inline(always)]
fn row_bits(bits: &[u64; 2]) -> [u32; 8] {
    std::array::from_fn(|row| (bits[row / 4] >> (16 * (row % 4))) as u32 & 0xffff)
}

#[inline(always)]
fn norm<const D: usize>(x: [f32; D]) -> f32 {
    let mut sum = 0.0;
    for x in x {
        sum += x * x;
    }
    sum.sqrt()
}

/// 1/x, and 0 for what is not above 0.
#[inline(always)]
fn inverse(x: f32) -> f32 {
    let inverse = 1.0 / x;
    if x > 0.0 { inverse } else { 0.0 }
}

/// A column of a part of a group.
#[inline(always)]
fn column<const D: usize, T: Copy>(rows: &[T], column: usize) -> [T; D] {
    std::array::from_fn(|i| rows[i * COLUMNS + column])
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
fn harden_all<const D: usize>(symbols: &[f32], bits: &[u64], components: &mut [i8], norms: &mut [f32])
where
    [f32; D]: Number,
{
    let groups = symbols.as_chunks::<GROUP>().0.iter().zip(components.as_chunks_mut::<GROUP>().0);
    let groups = groups.zip(norms.chunks_exact_mut(GROUP / D)).zip(bits.as_chunks::<2>().0);
    let root = (D as f32).sqrt();
    for (((symbols, components), norms), bits) in groups {
        let bits = row_bits(bits);
        for (part, norms) in norms.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
            let first = part * D * COLUMNS;
            let mut codes = [[0; COLUMNS]; D];
            for i in 0..COLUMNS {
                let y: [f32; D] = column(&symbols[first..first + D * COLUMNS], i);
                norms[i] = norm(y);
                let scale = COMPONENT_SCALE / root * inverse(norms[i]);
                let m = signs::<D>(bits, part * D, i).times(y);
                for k in 0..D {
                    codes[k][i] = code(m[k] * scale, COMPONENT_SCALE) as i8;
                }
            }
            components[first..first + D * COLUMNS].copy_from_slice(codes.as_flattened());
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
fn soften_all<const D: usize>(told: Told<'_>, symbols: &[f32], scale: f32, ratios: &mut [i16])
where
    [f32; D]: Number,
{
    let scale = scale * told.norm_unit / COMPONENT_SCALE;
    let groups = symbols.as_chunks::<GROUP>().0.iter().zip(ratios.as_chunks_mut::<GROUP>().0);
    let groups = groups.zip(told.components.as_chunks::<GROUP>().0).zip(told.norms.chunks_exact(GROUP / D));
    for (((symbols, ratios), components), norms) in groups {
        for (part, norms) in norms.as_chunks::<COLUMNS>().0.iter().enumerate() {
            let span = part * D * COLUMNS..(part + 1) * D * COLUMNS;
            let (symbols, components) = (&symbols[span.clone()], &components[span.clone()]);
            let mut codes = [[0; COLUMNS]; D];
            for i in 0..COLUMNS {
                let x: [f32; D] = column(symbols, i);
                let m: [i8; D] = column(components, i);
                let v = m.map(f32::from).times(conjugate(x));
                let factor = scale * f32::from(norms[i]);
                for k in 0..D {
                    let ratio = v[k] * factor;
                    let ratio = if ratio.is_nan() { 0.0 } else { ratio };
                    codes[k][i] = code(ratio, 32_767.0) as i16;
                }
            }
            ratios[span].copy_from_slice(codes.as_flattened());
        }
    }
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
fn rebuild_all<const D: usize>(told: Told<'_>, bits: &[u64], symbols: &mut [f32])
where
    [f32; D]: Number,
{
    let root = (D as f32).sqrt();
    let groups = symbols.as_chunks_mut::<GROUP>().0.iter_mut().zip(told.components.as_chunks::<GROUP>().0);
    let groups = groups.zip(told.norms.chunks_exact(GROUP / D)).zip(bits.as_chunks::<2>().0);
    for (((symbols, components), norms), bits) in groups {
        let bits = row_bits(bits);
        for (part, norms) in norms.as_chunks::<COLUMNS>().0.iter().enumerate() {
            let span = part * D * COLUMNS..(part + 1) * D * COLUMNS;
            let components = &components[span.clone()];
            let mut rows = [[0.0; COLUMNS]; D];
            for i in 0..COLUMNS {
                let m: [i8; D] = column(components, i);
                let m = m.map(f32::from);
                let factor = f32::from(norms[i]) * told.norm_unit / root * inverse(norm(m));
                let y = conjugate(signs::<D>(bits, part * D, i)).times(m);
                for k in 0..D {
                    rows[k][i] = y[k] * factor;
                }
            }
            symbols[span].copy_from_slice(rows.as_flattened());
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
