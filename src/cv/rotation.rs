//! Multidimensional reconciliation: from quadratures to bits and soft bits, and back.
//!
//! Reverse reconciliation over blocks of d real symbols (d = 8, 4, 2, 1). The reference side
//! (Bob) draws uniform bits b, sends m = u'·ŷ and r = |y| of each block ([`harden`]); the
//! correcting side (Alice) knows x with y = t·x + noise of variance σ², forms v = m·x̄ and believes
//! L_i = 2·r·t·v_i/(√d·σ²) ([`soften`]); once it knows the bits it knows the reference side's
//! symbols too ([`rebuild`]). The products are those of [`keystill_kernels::rotation`].
//!
//! # Why m and r are free, in any precision
//!
//! (b, m, r) and (b, y) determine each other, and b is uniform and independent of y, hence of all
//! that Eve holds before the message, E. Then
//! I(b; E | m, r) = I(b, m, r; E) − I(m, r; E) ≤ I(b, m, r; E) = I(b, y; E) = I(y; E):
//! the Holevo bound on y bounds what Eve learns of the bits whatever is told of m and r. The bits
//! must be uniform given (m, r): true if the distribution of y is invariant under the rotations
//! y ↦ M(u)ᵀ·… of every u, which a Gaussian y is for d ≤ 8, and QPSK for d = 1 (signs). What else is
//! a function of (m, r), such as the two sums below, is free by the same argument.
//!
//! A user may keep the norms to himself all the same ([`Norms::Hidden`]): r is then replaced by
//! √(t²|x|² + (d − ½)σ²), its mean given x to within 1 %, and 3 to 5 % of the information are lost. The rounded
//! symbols cannot be rebuilt then, and the channel has to be estimated from a disclosed sample.
//!
//! # In how many bits
//!
//! m goes in 6 bits a component and r in 5 bits a block, 6.6 bits a symbol for d = 8: the soft bits
//! lose less than 0.1 % of their information. The 32 levels of r follow the frame's own
//! distribution, denser where norms are (cells of equal shares of the density's cube root, the
//! least mean square for many cells: Panter and Dite 1951), each the mean of its cell.
//!
//! # Estimation after correction
//!
//! The correcting side estimates the channel from the rebuilt ỹ. It differs from y by a rounding
//! that only the reference side knows, and that must not count as excess noise. The
//! reference side states Σy² and Σy·ỹ of the frame, exactly. With c = Σyỹ/Σy², ỹ = c·y + e, and e is
//! uncorrelated with y by construction, hence with the x that the channel correlates with y; so
//! Σxy = Σxỹ/c up to Σxe/c, whose variance, 0.1 % of that of Σxy, is known, and with Σy² exact the rounding
//! is out of the estimate: it is the reference side's own noise, after the detection, out of Eve's
//! reach.

pub mod capacity;
mod levels;
mod packing;

use keystill_kernels::Isa;
use keystill_kernels::rotation::{self as kernel, GROUP, Told};

use zeroize::Zeroizing;

pub use keystill_kernels::rotation::Dimension;

use levels::Levels;

use crate::bits::{BitBlock, LLR_UNIT, Llrs};
use crate::stage::Abort;
use crate::wire::{Malformed, Reader, Writer};

/// Whether norms are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norms {
    /// In 5 bits each: free, as the module says.
    #[default]
    Told,
    /// Not at all.
    Hidden,
}

/// What the reference side tells of a frame so that the correcting side can read its bits.
#[derive(Clone, Debug, PartialEq)]
pub struct SideInfo {
    dimension: Dimension,
    components: Vec<i8>,
    /// One a block, each one of the levels; none if hidden.
    norms: Vec<u16>,
    levels: Levels,
    norm_unit: f32,
    square: f64,
    cross: f64,
}

impl SideInfo {
    /// Real symbols in the frame.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.components.len()
    }

    /// Σy² over the frame, y being the reference side's symbols.
    #[must_use]
    pub fn square(&self) -> f64 {
        self.square
    }

    /// Σy·ỹ over the frame, ỹ being what [`rebuild`] gives; 0 if norms are hidden.
    #[must_use]
    pub fn cross(&self) -> f64 {
        self.cross
    }

    /// Whether norms are told.
    #[must_use]
    pub fn norms(&self) -> Norms {
        if self.norms.is_empty() { Norms::Hidden } else { Norms::Told }
    }

    fn told(&self) -> Told<'_> {
        Told {
            dimension: self.dimension,
            components: &self.components,
            norms: &self.norms,
            norm_unit: self.norm_unit,
        }
    }

    /// Appends it to a message: dimension (1 byte), symbols, whether norms follow (1 byte), norm unit,
    /// Σy², Σyỹ, components (6 bits each); then the 32 levels (2 bytes each) and norms (5 bits each).
    pub fn write(&self, writer: &mut Writer) {
        let told = self.norms() == Norms::Told;
        writer.u8(u8::try_from(self.dimension.symbols()).unwrap_or(u8::MAX)).count(self.components.len());
        writer.u8(u8::from(told));
        writer.f64(f64::from(self.norm_unit)).f64(self.square).f64(self.cross);
        writer.bytes(&packing::pack::<6, i8>(&self.components, |code| code.wrapping_add(32).cast_unsigned()));
        if told {
            let levels: Vec<u8> = self.levels.iter().flat_map(|level| level.to_le_bytes()).collect();
            writer.bytes(&levels);
            writer.bytes(&packing::pack::<5, u16>(&self.norms, |norm| levels::place(&self.levels, norm)));
        }
    }

    /// Reads it, at most `most` symbols.
    ///
    /// # Errors
    /// [`Malformed`] where the message ends, is longer than `most` or a field cannot be.
    pub fn read(reader: &mut Reader<'_>, most: usize) -> Result<Self, Malformed> {
        let malformed = |field| Malformed::Field { field };
        let dimension = match reader.u8()? {
            1 => Dimension::One,
            2 => Dimension::Two,
            4 => Dimension::Four,
            8 => Dimension::Eight,
            _ => return Err(malformed("dimension")),
        };
        let symbols = reader.count(most, "symbols")?;
        if !symbols.is_multiple_of(GROUP) {
            return Err(malformed("symbols"));
        }
        let norms_follow = match reader.u8()? {
            0 => false,
            1 => true,
            _ => return Err(malformed("norms")),
        };
        let unit = reader.f64("norm_unit")?;
        #[expect(clippy::cast_possible_truncation, reason = "compared with what was read")]
        let norm_unit = unit as f32;
        if f64::from(norm_unit) != unit || norm_unit < 0.0 {
            return Err(malformed("norm_unit"));
        }
        let (square, cross) = (reader.f64("square")?, reader.f64("cross")?);
        if square < 0.0 {
            return Err(malformed("square"));
        }
        let codes = reader.bytes(symbols / 8 * 6)?;
        let components = packing::unpack::<6, i8>(codes, |code| code.cast_signed().wrapping_sub(32));
        if components.contains(&-32) {
            return Err(malformed("components"));
        }
        let mut side =
            Self { dimension, components, norms: Vec::new(), levels: [0; 32], norm_unit, square, cross };
        if norms_follow {
            side.read_norms(reader)?;
        }
        Ok(side)
    }

    fn read_norms(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let levels = reader.bytes(64)?.as_chunks::<2>().0;
        for (level, bytes) in self.levels.iter_mut().zip(levels) {
            *level = u16::from_le_bytes(*bytes);
        }
        if !self.levels.is_sorted() {
            return Err(Malformed::Field { field: "levels" });
        }
        let codes = reader.bytes(self.symbols() / self.dimension.symbols() / 8 * 5)?;
        self.norms = packing::unpack::<5, u16>(codes, |code| self.levels[usize::from(code % 32)]);
        Ok(())
    }
}

/// What the correcting side assumes of the channel: y = gain·x + noise, in shot-noise units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// t: √(ηT/2) for a quadrature of heterodyne detection.
    pub gain: f64,
    /// σ², the variance of the noise.
    pub variance: f64,
}

/// The reference side: what to tell of `symbols`, a whole number of groups of 128, so that they
/// carry `bits`, uniform and fresh, one a symbol.
///
/// # Errors
/// [`Abort::Unusable`] if the lengths do not fit or a symbol is not finite.
pub fn harden(isa: Isa, dimension: Dimension, symbols: &[f32], bits: &BitBlock) -> Result<SideInfo, Abort> {
    check_lengths(symbols.len(), bits.len())?;
    let mut components = vec![0; symbols.len()];
    let mut exact = vec![0.0; symbols.len() / dimension.symbols()];
    kernel::harden(isa, dimension, symbols, bits.words(), &mut components, &mut exact);
    let square = kernel::dot(isa, symbols, symbols);
    let largest = exact.iter().copied().fold(0.0, f32::max);
    if !square.is_finite() || !largest.is_finite() {
        return Err(unusable("a symbol is not a finite number"));
    }
    let norm_unit = largest / f32::from(u16::MAX);
    let inverse = if norm_unit > 0.0 { 1.0 / norm_unit } else { 0.0 };
    let (norms, levels) = levels::round(&codes(&exact, inverse));
    let mut side = SideInfo { dimension, components, norms, levels, norm_unit, square, cross: 0.0 };
    side.cross = cross(isa, &side, symbols, bits);
    Ok(side)
}

/// The side information without its norms, for who does not want to tell them.
#[must_use]
pub fn hide_norms(side: SideInfo) -> SideInfo {
    SideInfo { norms: Vec::new(), levels: [0; 32], norm_unit: 0.0, cross: 0.0, ..side }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535, saturating")]
fn codes(norms: &[f32], inverse_unit: f32) -> Vec<u16> {
    norms.iter().map(|norm| (norm * inverse_unit + 0.5) as u16).collect()
}

/// Symbols that are rebuilt at a time: they never leave the cache.
const PIECE: usize = 32 * GROUP;

/// Rebuilds the symbols of `side`, a piece at a time, and hands each over with what of `symbols` belongs to it.
fn by_pieces(
    isa: Isa,
    side: &SideInfo,
    symbols: &[f32],
    bits: &BitBlock,
    mut hear: impl FnMut(&[f32], &[f32]),
) {
    let mut rebuilt = Zeroizing::new([0.0; PIECE]);
    let d = side.dimension.symbols();
    let pieces = symbols.chunks(PIECE).zip(side.components.chunks(PIECE));
    let pieces = pieces.zip(side.norms.chunks(PIECE / d)).zip(bits.words().chunks(PIECE / 64));
    for (((symbols, components), norms), bits) in pieces {
        let told = Told { components, norms, ..side.told() };
        let rebuilt = &mut rebuilt[..symbols.len()];
        kernel::rebuild(isa, told, bits, rebuilt);
        hear(symbols, rebuilt);
    }
}

/// Σy·ỹ.
fn cross(isa: Isa, side: &SideInfo, symbols: &[f32], bits: &BitBlock) -> f64 {
    let mut sum = 0.0;
    by_pieces(isa, side, symbols, bits, |symbols, rebuilt| sum += kernel::dot(isa, symbols, rebuilt));
    sum
}

/// Σx², Σx·ỹ and Σỹ²: the correcting side's `symbols` x and what its bits rebuild of the other's.
///
/// # Errors
/// Those of [`rebuild`].
pub(super) fn products(
    isa: Isa,
    side: &SideInfo,
    symbols: &[f32],
    bits: &BitBlock,
) -> Result<[f64; 3], Abort> {
    check_lengths(side.symbols(), bits.len())?;
    check_lengths(symbols.len(), bits.len())?;
    check_told(side)?;
    let mut sums = [0.0; 3];
    by_pieces(isa, side, symbols, bits, |x, rebuilt| {
        let pairs = [(x, x), (x, rebuilt), (rebuilt, rebuilt)];
        sums.iter_mut().zip(pairs).for_each(|(sum, (a, b))| *sum += kernel::dot(isa, a, b));
    });
    Ok(sums)
}

/// The correcting side: what its own `symbols` say of the reference side's bits.
///
/// # Errors
/// [`Abort::Unusable`] if the lengths do not fit or the channel is not one.
pub fn soften(isa: Isa, side: &SideInfo, symbols: &[f32], channel: Channel) -> Result<Llrs, Abort> {
    check_lengths(side.symbols(), symbols.len())?;
    let root = libm::sqrt(side.dimension.symbols() as f64);
    let scale = 2.0 * channel.gain / (root * channel.variance) * f64::from(LLR_UNIT);
    if !scale.is_finite() || channel.variance <= 0.0 {
        return Err(unusable("gain and variance of the channel give no likelihood"));
    }
    let mut ratios = vec![0; symbols.len()];
    #[expect(clippy::cast_possible_truncation, reason = "a likelihood's scale needs no more digits")]
    let scale = scale as f32;
    match side.norms() {
        Norms::Told => kernel::soften(isa, side.told(), symbols, scale, &mut ratios),
        Norms::Hidden => {
            let (norms, norm_unit) = expected_norms(isa, side.dimension, symbols, channel);
            let told = Told { norms: &norms, norm_unit, ..side.told() };
            kernel::soften(isa, told, symbols, scale, &mut ratios);
        }
    }
    Ok(Llrs::Soft(ratios))
}

/// √(t²|x|² + (d − ½)σ²) of each block, in codes and their unit.
fn expected_norms(isa: Isa, dimension: Dimension, symbols: &[f32], channel: Channel) -> (Vec<u16>, f32) {
    let mut norms = vec![0.0; symbols.len() / dimension.symbols()];
    let mut unused = vec![0; symbols.len()];
    kernel::harden(isa, dimension, symbols, &vec![0; symbols.len() / 64], &mut unused, &mut norms);
    let noise = (dimension.symbols() as f64 - 0.5) * channel.variance;
    for norm in &mut norms {
        let signal = channel.gain * f64::from(*norm);
        #[expect(clippy::cast_possible_truncation, reason = "a likelihood's scale needs no more digits")]
        let expected = libm::sqrt(signal * signal + noise) as f32;
        *norm = expected;
    }
    let unit = norms.iter().copied().fold(0.0, f32::max) / f32::from(u16::MAX);
    (codes(&norms, 1.0 / unit), unit)
}

/// Who knows the bits: the reference side's symbols, up to the rounding of what it told.
///
/// Secret like the bits: wipe them after use.
///
/// # Errors
/// [`Abort::Unusable`] if the lengths do not fit or norms are hidden.
pub fn rebuild(isa: Isa, side: &SideInfo, bits: &BitBlock) -> Result<Vec<f32>, Abort> {
    check_lengths(side.symbols(), bits.len())?;
    check_told(side)?;
    let mut symbols = vec![0.0; side.symbols()];
    kernel::rebuild(isa, side.told(), bits.words(), &mut symbols);
    Ok(symbols)
}

fn check_lengths(symbols: usize, others: usize) -> Result<(), Abort> {
    if symbols == others && symbols.is_multiple_of(GROUP) {
        return Ok(());
    }
    Err(unusable("symbols and bits must be equally many, a multiple of 128"))
}

fn check_told(side: &SideInfo) -> Result<(), Abort> {
    match side.norms() {
        Norms::Told => Ok(()),
        Norms::Hidden => Err(unusable("symbols cannot be rebuilt without their norms")),
    }
}

fn unusable(reason: &str) -> Abort {
    Abort::Unusable { reason: reason.to_owned() }
}

#[cfg(test)]
mod information;

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols(seed: u32, len: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) - 0.5
        };
        (0..len).map(|_| (next() + next() + next() + next()) as f32).collect()
    }

    fn bits(len: usize) -> BitBlock {
        BitBlock::from_words(
            (1..=len as u64 / 64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect(),
            len,
        )
    }

    #[test]
    fn soft_bits_of_a_noiseless_channel_have_the_signs_of_the_bits() {
        for dimension in [Dimension::One, Dimension::Two, Dimension::Four, Dimension::Eight] {
            let (x, bits) = (symbols(1, 1280), bits(1280));
            let y: Vec<f32> = x.iter().map(|x| 0.3 * x).collect();
            let side = harden(Isa::best(), dimension, &y, &bits).unwrap();
            let channel = Channel { gain: 0.3, variance: 0.001 };
            let Ok(Llrs::Soft(ref ratios)) = soften(Isa::best(), &side, &x, channel) else {
                panic!("soft bits")
            };
            let wrong = ratios.iter().enumerate().filter(|(i, ratio)| (**ratio < 0) != bits.bit(*i));
            assert_eq!(wrong.count(), 0, "{dimension:?}");
        }
    }

    #[test]
    fn the_corrector_rebuilds_the_symbols_and_the_stated_sums_are_exact() {
        let (y, bits) = (symbols(2, 12_800), bits(12_800));
        let side = harden(Isa::best(), Dimension::Eight, &y, &bits).unwrap();
        let again = rebuild(Isa::best(), &side, &bits).unwrap();
        let sum =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        assert!((side.square() - sum(&y, &y)).abs() < 1e-9 * side.square(), "Σy²");
        assert!((side.cross() - sum(&y, &again)).abs() < 1e-9 * side.square(), "Σyỹ");
        assert!((side.cross() / side.square() - 1.0).abs() < 2e-3, "the rounding is small");
        let x = symbols(9, 12_800);
        let found = products(Isa::best(), &side, &x, &bits).unwrap();
        for (found, (a, b)) in found.iter().zip([(&x, &x), (&x, &again), (&again, &again)]) {
            assert!((found - sum(a, b)).abs() < 1e-9 * side.square(), "{found} by pieces");
        }
        assert!(products(Isa::best(), &side, &x[..1280], &bits).is_err(), "too few symbols");
        assert!(products(Isa::best(), &hide_norms(side), &x, &bits).is_err(), "no norms");
    }

    #[test]
    fn side_information_survives_the_wire_and_is_bounded() {
        let (y, bits) = (symbols(3, 256), bits(256));
        let side = harden(Isa::best(), Dimension::Eight, &y, &bits).unwrap();
        let mut writer = Writer::new();
        side.write(&mut writer);
        let bytes = writer.finish();
        assert_eq!(SideInfo::read(&mut Reader::new(&bytes), 256), Ok(side), "read as written");
        assert!(SideInfo::read(&mut Reader::new(&bytes), 255).is_err(), "more than asked for");
        for len in 0..bytes.len() {
            assert!(SideInfo::read(&mut Reader::new(&bytes[..len]), 256).is_err(), "cut after {len}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused() {
        let isa = Isa::best();
        let mut y = symbols(4, 128);
        let side = harden(isa, Dimension::Eight, &y, &bits(128)).unwrap();
        assert!(harden(isa, Dimension::Eight, &y[..100], &bits(100)).is_err(), "no whole group");
        assert!(soften(isa, &side, &y, Channel { gain: 0.3, variance: 0.0 }).is_err(), "no variance");
        assert!(rebuild(isa, &side, &bits(256)).is_err(), "too many bits");
        y[77] = f32::NAN;
        assert!(harden(isa, Dimension::Eight, &y, &bits(128)).is_err(), "not a number");
    }
}
