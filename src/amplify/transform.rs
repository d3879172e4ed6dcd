//! The middle product of long blocks, by transforms of N = 2^20 or 2^24 bits.
//!
//! With chunks of a bits of x and b of y, chunk r of y is ⊕_c x_c · t_(r−c) at coefficients a … a + b − 1,
//! t_d being the a + b bits of t from d·a + (bits of x) − a − 1 on (bits before and after t are zero, and
//! one bit more than needed puts the output on whole words). Several chunks leave 2^16 coefficients free,
//! so that what wraps around the modulus stays below a; a single one may fill N, and then what reaches the
//! output is subtracted: see [`Spoilt`].

use std::ops::Range;

use keystill_kernels::{
    Isa, bits,
    gf2x::{
        self,
        fourier::{self, Rows, Taken},
    },
    wipe,
};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bits::BitBlock;

use super::buffers::{Buffer, Buffers};
use super::copy::{Rotated, read_bits};
use super::speed::Speed;

/// The furthest that a coefficient beyond N lands above where it would by itself.
const REACH: usize = 1 << 16;

/// How a middle product is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    log: usize,
    /// The bits of the input that it meets: so many from `first` on.
    first: usize,
    x_bits: usize,
    m: usize,
    /// Bits of a chunk of x and of y.
    a: usize,
    b: usize,
    /// Chunks of x and of y; if both are several, a = b.
    p: usize,
    q: usize,
    /// Chunks transformed at a time, at most.
    lanes: usize,
}

impl Shape {
    /// The cheapest cut that holds no more than `most_words`.
    pub(super) fn of(speed: &Speed, x_bits: usize, m: usize, most_words: usize) -> Option<Self> {
        let cuts = [20, 24].into_iter().flat_map(|log| Self::cuts(log, x_bits, m));
        cuts.filter_map(|cut| cut.within(most_words)).min_by_key(|cut| cut.cost(speed))
    }

    /// The rows that it computes.
    pub(super) fn rows(&self) -> usize {
        self.m
    }

    /// The columns that it meets.
    pub(super) fn columns(&self) -> usize {
        self.x_bits
    }

    /// The same for columns from `first` on.
    pub(super) fn starting_at(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// With as many chunks at a time as memory allows, or none.
    fn within(mut self, most_words: usize) -> Option<Self> {
        self.lanes = most_words.checked_sub(self.lasting_words())? / self.scratch_words();
        (self.lanes > 0).then_some(self)
    }

    /// The cut of a block whose chunks were transformed before its length was known, into as long ones as
    /// `expected_bits` are best cut into.
    pub(super) fn arriving(isa: Isa, expected_bits: usize) -> Self {
        let m = expected_bits / 2;
        let shape = Self::of(&Speed::of(isa), expected_bits - m, m, usize::MAX);
        let log = shape.map_or(20, |shape| shape.log);
        Self::several(log, expected_bits, m.max(1))
    }

    /// The same cut for the lengths in the end.
    pub(super) fn with_lengths(&self, x_bits: usize, m: usize) -> Self {
        Self::several(self.log, x_bits, m)
    }

    fn several(log: usize, x_bits: usize, m: usize) -> Self {
        let a = ((1 << log) - REACH) / 2;
        Self {
            log,
            first: 0,
            x_bits,
            m,
            a,
            b: a,
            p: x_bits.div_ceil(a).max(1),
            q: m.div_ceil(a),
            lanes: usize::MAX,
        }
    }

    /// Bits of a chunk of the input.
    pub(super) fn chunk_bits(&self) -> usize {
        self.a
    }

    /// The cuts for a size of transform.
    fn cuts(log: usize, x_bits: usize, m: usize) -> impl Iterator<Item = Self> {
        let (n, room) = (1 << log, (1 << log) - REACH);
        let whole = |bits: usize| bits.next_multiple_of(64);
        let (x, y) = (whole(x_bits).max(64), whole(m));
        let cut = move |a: usize, b: usize| Self {
            log,
            first: 0,
            x_bits,
            m,
            a,
            b,
            p: x_bits.div_ceil(a).max(1),
            q: m.div_ceil(b),
            lanes: usize::MAX,
        };
        let single = (x + y <= n).then(|| cut(x, y));
        // A side that takes at most three quarters of the room may stay whole.
        let one_x = (4 * x <= 3 * room).then(|| cut(x, room - x));
        let one_y = (4 * y <= 3 * room).then(|| cut(room - y, y));
        [single, one_x, one_y, Some(Self::several(log, x_bits, m))].into_iter().flatten()
    }

    /// Chunks of t.
    fn diagonals(&self) -> usize {
        self.p + self.q - 1
    }

    /// Picoseconds of one thread, about.
    pub(super) fn cost(&self, speed: &Speed) -> usize {
        let transforms = self.p + self.q + self.diagonals();
        let transform = if self.log == 20 { speed.short_transform } else { speed.long_transform };
        (transforms * transform + self.p * self.q * speed.product) << self.log
    }

    /// The words held while it is computed on so many threads.
    pub(super) fn memory_words(&self, threads: usize) -> usize {
        self.lasting_words() + threads.min(self.lanes).min(self.diagonals()) * self.scratch_words()
    }

    /// The words held throughout: transforms, their parts' places, and what mends the output.
    fn lasting_words(&self) -> usize {
        let n = 1 << (self.log - 6);
        let sums = self.p.max(self.q);
        let places = n / fourier::part_words(self.log) * (3 + 2 * (self.diagonals() + sums));
        // A buffer of a huge page ends where its values do; smaller ones share pages, all of one size.
        let buffer = if self.log == 20 { self.scratch_words() } else { n };
        (self.diagonals() + sums) * buffer + places + 9 * self.spoilt_bits().unwrap_or(0) / 64
    }

    /// How many top coefficients of a single product wrap into the output, rounded up to a power of two.
    fn spoilt_bits(&self) -> Option<usize> {
        let free = (1usize << self.log).checked_sub(self.a + self.b)?;
        let reached = self.diagonals() == 1 && free < REACH;
        reached.then(|| (REACH - free).next_power_of_two().max(512))
    }

    /// The least number of chunks that a thread takes at once.
    fn grain(&self, chunks: usize) -> usize {
        chunks.div_ceil(self.lanes).max(1)
    }

    /// A buffer for values.
    fn values(&self, buffers: &Buffers) -> Buffer {
        buffers.take(1 << (self.log - 6), self.scratch_words())
    }

    /// A buffer to work in, the largest of all.
    fn scratch(&self, buffers: &Buffers) -> Buffer {
        buffers.take(self.scratch_words(), self.scratch_words())
    }

    fn scratch_words(&self) -> usize {
        fourier::scratch_words(self.log).max(fourier::sums_words(self.p, self.diagonals()))
    }

    /// How far up a chunk of x stands in its transform, so that the sums' b bits begin with a row, at best with
    /// the upper half: fewer rows are less work. Where products reach all of N nothing can move.
    fn lead(&self) -> usize {
        let (n, row) = (1 << self.log, 64 * fourier::ROW_WORDS);
        match (self.a, self.b) {
            (a, b) if a + b > n - REACH => 0,
            (a, b) if a.max(b) <= n / 2 => n / 2 - a,
            (a, _) => a.next_multiple_of(row) - a,
        }
    }

    /// Transforms of chunks, whose first bits are written row by row, on the current pool.
    fn transforms(
        &self,
        isa: Isa,
        buffers: &Buffers,
        chunks: Range<usize>,
        bits: usize,
        fill: impl Fn(usize, usize, &mut [u64]) + Sync,
    ) -> Vec<Buffer> {
        let tables = fourier::Tables::of(self.log);
        let transform = |chunk: usize| {
            let (mut scratch, mut values) = (self.scratch(buffers), self.values(buffers));
            let fill = |row: usize, out: &mut [u64]| {
                out.fill(0);
                let words = (bits / 64).saturating_sub(row * out.len()).min(out.len());
                fill(chunk, row * 64 * fourier::ROW_WORDS, &mut out[..words]);
            };
            let input = Rows { count: bits.div_ceil(64 * fourier::ROW_WORDS), fill: &fill };
            fourier::forward(isa, tables, input, &mut values, &mut scratch);
            buffers.give(scratch);
            values
        };
        let grain = self.grain(chunks.len());
        chunks.into_par_iter().with_min_len(grain).with_max_len(grain).map(transform).collect()
    }

    /// The transforms of some chunks of an input.
    pub(super) fn input_transforms(
        &self,
        isa: Isa,
        buffers: &Buffers,
        input: &BitBlock,
        chunks: Range<usize>,
    ) -> Vec<Buffer> {
        let (Self { first, x_bits, a, .. }, lead) = (*self, self.lead());
        self.transforms(isa, buffers, chunks, lead + a, |chunk, place, out| {
            let begin = first + chunk * a;
            let columns = begin..(begin + a).min(first + x_bits);
            read_bits(isa, input.words(), columns, (begin + place) as i64 - lead as i64, out);
        })
    }
}

/// The transforms of the seed's diagonals, which are as public as the seed.
pub(super) struct Diagonals {
    shape: Shape,
    values: Vec<Buffer>,
    spoilt: Option<Spoilt>,
}

impl std::fmt::Debug for Diagonals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Diagonals({} transforms of 2^{} bits)", self.values.len(), self.shape.log)
    }
}

impl Diagonals {
    pub(super) fn new(isa: Isa, buffers: &Buffers, shape: Shape, t: &Rotated<'_>) -> Self {
        buffers.fit(shape.scratch_words());
        let Shape { x_bits, a, b, p, .. } = shape;
        let step = if p > 1 { a } else { b };
        let values = shape.transforms(isa, buffers, 0..shape.diagonals(), a + b, |chunk, place, out| {
            let start = (chunk * step + x_bits + place) as i64 - (p * a + 1) as i64;
            t.read(isa, start, out);
        });
        let spoilt = Spoilt::of(isa, &shape, t);
        Self { shape, values, spoilt }
    }

    /// Adds the m bits of the middle product with the columns' bits of `input`, of which the first chunks may
    /// have been transformed already, to the words of `output`; beyond m the last word is spoilt.
    pub(super) fn middle_product(
        &self,
        isa: Isa,
        buffers: &Buffers,
        input: &BitBlock,
        mut x: Vec<Buffer>,
        output: &mut [u64],
    ) {
        let Shape { log, a, b, p, q, .. } = self.shape;
        let tables = fourier::Tables::of(log);
        x.extend(self.shape.input_transforms(isa, buffers, input, x.len()..p));
        x.resize_with(p.max(q), || self.shape.values(buffers));
        self.convolve(isa, buffers, &mut x);
        let begin = (a + self.shape.lead()) / 64;
        let back = |(sum, output): (&mut Buffer, &mut [u64])| {
            let mut scratch = self.shape.scratch(buffers);
            let mut take = |row: usize, from: &[u64]| add_row(isa, output, begin, row, from);
            let wanted = Taken { first: begin / fourier::ROW_WORDS, take: &mut take };
            fourier::inverse(isa, tables, sum, wanted, &mut scratch);
            wipe(sum);
            buffers.give(scratch);
        };
        let grain = self.shape.grain(q);
        let sums = x.par_iter_mut().zip(output.par_chunks_mut(b / 64));
        sums.with_min_len(grain).with_max_len(grain).for_each(back);
        let rest = x.split_off(q);
        x.into_iter().for_each(|x| buffers.give_public(x));
        rest.into_iter().for_each(|x| buffers.give(x));
        if let Some(spoilt) = &self.spoilt {
            spoilt.mend(isa, &self.shape, tables.wraps(), input, output);
        }
    }

    /// The sums of products of the chunks, written over x, part by part of their values.
    fn convolve(&self, isa: Isa, buffers: &Buffers, x: &mut [Buffer]) {
        let (tables, part) = (fourier::Tables::of(self.shape.log), fourier::part_words(self.shape.log));
        let mut parts: Vec<Vec<&mut [u64]>> = (0..tables.words() / part).map(|_| Vec::new()).collect();
        for x in x {
            parts.iter_mut().zip(x.chunks_exact_mut(part)).for_each(|(parts, part)| parts.push(part));
        }
        let grain = self.shape.grain(parts.len());
        parts.par_iter_mut().enumerate().with_min_len(grain).for_each(|(number, x)| {
            let words = number * part..(number + 1) * part;
            let t: Vec<&[u64]> = self.values.iter().map(|t| &t[words.clone()]).collect();
            let mut scratch = self.shape.scratch(buffers);
            fourier::convolve(isa, tables, &t, x, self.shape.p, &mut scratch);
            buffers.give(scratch);
        });
    }

    /// Gives the memory back.
    pub(super) fn recycle(self, buffers: &Buffers) {
        self.values.into_iter().for_each(|values| buffers.give_public(values));
    }
}

/// Adds those words of a row that lie within the output, which begins with word `begin` of all rows.
fn add_row(isa: Isa, output: &mut [u64], begin: usize, row: usize, from: &[u64]) {
    let at = row * from.len();
    let from = &from[begin.saturating_sub(at).min(from.len())..];
    let first = at.saturating_sub(begin).min(output.len());
    let to = &mut output[first..];
    let words = from.len().min(to.len());
    bits::xor(isa, &mut to[..words], &from[..words]);
}

/// What wraps around into the output of a single product: its top coefficients, which are the product of
/// the top bits of x and of t.
struct Spoilt {
    t: Vec<u64>,
}

impl Spoilt {
    /// The top bits of t, if the product wraps that far.
    fn of(isa: Isa, shape: &Shape, t: &Rotated<'_>) -> Option<Self> {
        let bits = shape.spoilt_bits()?;
        let mut top = vec![0; bits / 64];
        t.read(isa, (shape.x_bits + shape.b) as i64 - (bits + 1) as i64, &mut top);
        Some(Self { t: top })
    }

    /// Adds the coefficients N + e of the product once more where they landed.
    fn mend(&self, isa: Isa, shape: &Shape, wraps: [usize; 4], input: &BitBlock, output: &mut [u64]) {
        let words = self.t.len();
        let (bits, Shape { log, first, x_bits, a, b, .. }) = (64 * words, *shape);
        let [mut x, mut product, mut scratch] = [1, 2, 4].map(|times| Zeroizing::new(vec![0; times * words]));
        read_bits(isa, input.words(), first..first + x_bits, (first + a) as i64 - bits as i64, &mut x);
        gf2x::product(isa, &x, &self.t, &mut product, &mut scratch);
        let reached = output.len().min(words + 1);
        let mut moved = Zeroizing::new(vec![0; reached]);
        for wrap in wraps {
            let start = (a + b + wrap) as i64 - (1i64 << log) - bits as i64;
            moved.fill(0);
            read_bits(isa, &product[words..], 0..bits, -start, &mut moved);
            bits::xor(isa, &mut output[..reached], &moved);
        }
    }
}
