//! The middle product of long blocks, by transforms of N = 2^20 or 2^24 bits.
//!
//! With chunks of a bits of x and b of y, chunk r of y is ⊕_c x_c · t_(r−c) at coefficients a … a + b − 1,
//! t_d being the a + b bits of t from d·a + (bits of x) − a − 1 on (bits before and after t are zero, and
//! one bit more than needed puts the output on whole words). Several chunks leave 2^16 coefficients free,
//! so that what wraps around the modulus stays below a; a single one may fill N, and then what reaches the
//! output is subtracted: see [`Spoilt`].

use keystill_kernels::{
    Isa, bits,
    gf2x::{self, fourier},
};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::bits::BitBlock;

use super::copy::read_bits;
use super::speed::Speed;
use super::tiles;

/// The furthest that a coefficient beyond N lands above where it would by itself.
const REACH: usize = 1 << 16;

/// How a middle product is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    log: usize,
    x_bits: usize,
    m: usize,
    /// Bits of a chunk of x and of y.
    a: usize,
    b: usize,
    /// Chunks of x and of y; if both are several, a = b.
    p: usize,
    q: usize,
}

impl Shape {
    /// The cheapest cut, or none where tiles are cheaper.
    pub(super) fn of(isa: Isa, x_bits: usize, m: usize) -> Option<Self> {
        let cuts = [20, 24].into_iter().flat_map(|log| Self::cuts(log, x_bits, m));
        let speed = Speed::of(isa);
        let best = cuts.min_by_key(|cut| cut.cost(&speed))?;
        (tiles::cost(&speed, x_bits, m) > best.cost(&speed)).then_some(best)
    }

    /// The cuts for a size of transform.
    fn cuts(log: usize, x_bits: usize, m: usize) -> impl Iterator<Item = Self> {
        let (n, room) = (1 << log, (1 << log) - REACH);
        let whole = |bits: usize| bits.next_multiple_of(64);
        let (x, y) = (whole(x_bits).max(64), whole(m));
        let cut = move |a: usize, b: usize| Self {
            log,
            x_bits,
            m,
            a,
            b,
            p: x_bits.div_ceil(a).max(1),
            q: m.div_ceil(b),
        };
        let single = (x + y <= n).then(|| cut(x, y));
        // A side that takes at most three quarters of the room may stay whole.
        let one_x = (4 * x <= 3 * room).then(|| cut(x, room - x));
        let one_y = (4 * y <= 3 * room).then(|| cut(room - y, y));
        [single, one_x, one_y, Some(cut(room / 2, room / 2))].into_iter().flatten()
    }

    /// Chunks of t.
    fn diagonals(&self) -> usize {
        self.p + self.q - 1
    }

    /// Picoseconds of one thread, about.
    fn cost(&self, speed: &Speed) -> usize {
        let transforms = self.p + self.q + self.diagonals();
        let transform = if self.log == 20 { speed.short_transform } else { speed.long_transform };
        (transforms * transform + self.p * self.q * speed.product) << self.log
    }

    /// The words held while it is computed on so many threads.
    pub(super) fn memory_words(&self, threads: usize) -> usize {
        let n = 1 << (self.log - 6);
        let chunks = self.diagonals() + self.p.max(self.q);
        let output = self.q * self.b / 64;
        output + chunks * n + threads.min(chunks) * self.scratch_words()
    }

    fn scratch_words(&self) -> usize {
        fourier::scratch_words(self.log) + 32 * (self.p + self.diagonals())
    }

    fn scratch(&self) -> Zeroizing<Vec<u64>> {
        Zeroizing::new(vec![0; self.scratch_words()])
    }

    /// Transforms of chunks, each filled first, on the current pool.
    fn transforms(
        &self,
        isa: Isa,
        tables: &fourier::Tables,
        count: usize,
        fill: impl Fn(usize, &mut [u64]) + Sync,
    ) -> Vec<Vec<u64>> {
        let transform = |scratch: &mut Zeroizing<Vec<u64>>, chunk: usize| {
            let mut values = vec![0; tables.words()];
            fill(chunk, &mut values);
            fourier::forward(isa, tables, &mut values, scratch);
            values
        };
        (0..count).into_par_iter().with_max_len(1).map_init(|| self.scratch(), transform).collect()
    }
}

/// The transforms of the seed's diagonals, which are as public as the seed.
pub(super) struct Diagonals {
    shape: Shape,
    tables: fourier::Tables,
    values: Vec<Vec<u64>>,
    spoilt: Option<Spoilt>,
}

impl std::fmt::Debug for Diagonals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Diagonals({} transforms of 2^{} bits)", self.values.len(), self.shape.log)
    }
}

impl Diagonals {
    pub(super) fn new(isa: Isa, shape: Shape, seed: &BitBlock) -> Self {
        let tables = fourier::Tables::new(shape.log);
        let Shape { x_bits, a, b, p, .. } = shape;
        let step = if p > 1 { a } else { b };
        let t = Rotated { seed, m: shape.m };
        let values = shape.transforms(isa, &tables, shape.diagonals(), |chunk, values| {
            let start = (chunk * step + x_bits) as i64 - (p * a + 1) as i64;
            t.read(start, &mut values[..(a + b) / 64]);
        });
        let spoilt = Spoilt::of(&shape, &t);
        Self { shape, tables, values, spoilt }
    }

    /// The m bits of the middle product with the first bits of `input`.
    pub(super) fn middle_product(&self, isa: Isa, input: &BitBlock) -> BitBlock {
        let Shape { x_bits, m, a, b, p, q, .. } = self.shape;
        let mut x = Zeroized(self.shape.transforms(isa, &self.tables, p, |chunk, values| {
            let words = values.len().min(a / 64);
            read_bits(input.words(), 0..x_bits, (chunk * a) as i64, &mut values[..words]);
        }));
        x.0.resize_with(p.max(q), || vec![0; self.tables.words()]);
        self.convolve(isa, &mut x.0);
        let mut output = vec![0; q * b / 64];
        x.0.par_iter_mut().with_max_len(1).zip(output.par_chunks_mut(b / 64)).for_each_init(
            || self.shape.scratch(),
            |scratch, (sum, output)| {
                fourier::inverse(isa, &self.tables, sum, scratch);
                output.copy_from_slice(&sum[a / 64..(a + b) / 64]);
            },
        );
        if let Some(spoilt) = &self.spoilt {
            spoilt.mend(isa, &self.shape, self.tables.wraps(), input, &mut output);
        }
        BitBlock::from_words(output, m)
    }

    /// The sums of products of the chunks, written over x, part by part of their values.
    fn convolve(&self, isa: Isa, x: &mut [Vec<u64>]) {
        let part = fourier::part_words(self.shape.log);
        let mut parts: Vec<Vec<&mut [u64]>> = (0..self.tables.words() / part).map(|_| Vec::new()).collect();
        for x in x {
            parts.iter_mut().zip(x.chunks_exact_mut(part)).for_each(|(parts, part)| parts.push(part));
        }
        let sum = |scratch: &mut Zeroizing<Vec<u64>>, (number, x): (usize, &mut Vec<&mut [u64]>)| {
            let words = number * part..(number + 1) * part;
            let t: Vec<&[u64]> = self.values.iter().map(|t| &t[words.clone()]).collect();
            fourier::convolve(isa, &self.tables, &t, x, self.shape.p, scratch);
        };
        parts.par_iter_mut().enumerate().for_each_init(|| self.shape.scratch(), sum);
    }
}

/// Chunks that are wiped in the end.
struct Zeroized(Vec<Vec<u64>>);

impl Drop for Zeroized {
    fn drop(&mut self) {
        self.0.par_iter_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

/// t: the seed rotated left by m.
struct Rotated<'a> {
    seed: &'a BitBlock,
    m: usize,
}

impl Rotated<'_> {
    /// Bits of t from `start` on, zeros where there are none.
    fn read(&self, start: i64, out: &mut [u64]) {
        let (bits, m) = (self.seed.len(), self.m.min(self.seed.len()));
        read_bits(self.seed.words(), m..bits, start + m as i64, out);
        let turn = (bits - m) as i64;
        if start + 64 * out.len() as i64 > turn {
            read_bits(self.seed.words(), 0..m, start - turn, out);
        }
    }
}

/// What wraps around into the output of a single product: its top coefficients, which are the product of
/// the top bits of x and of t.
struct Spoilt {
    t: Vec<u64>,
}

impl Spoilt {
    /// The top bits of t, if the product wraps that far.
    fn of(shape: &Shape, t: &Rotated<'_>) -> Option<Self> {
        let Shape { log, x_bits, a, b, .. } = *shape;
        let free = (1usize << log) - a - b;
        if shape.diagonals() > 1 || free >= REACH {
            return None;
        }
        let bits = (REACH - free).next_power_of_two().max(512);
        let mut top = vec![0; bits / 64];
        t.read(x_bits as i64 - (a + 1) as i64 + (a + b) as i64 - bits as i64, &mut top);
        Some(Self { t: top })
    }

    /// Adds the coefficients N + e of the product once more where they landed.
    fn mend(&self, isa: Isa, shape: &Shape, wraps: [usize; 4], input: &BitBlock, output: &mut [u64]) {
        let words = self.t.len();
        let (bits, Shape { log, x_bits, a, b, .. }) = (64 * words, *shape);
        let [mut x, mut product, mut scratch] = [1, 2, 4].map(|times| Zeroizing::new(vec![0; times * words]));
        read_bits(input.words(), 0..x_bits, a as i64 - bits as i64, &mut x);
        gf2x::product(isa, &x, &self.t, &mut product, &mut scratch);
        let mut moved = Zeroizing::new(vec![0; output.len()]);
        for wrap in wraps {
            let start = (a + b + wrap) as i64 - (1i64 << log) - bits as i64;
            moved.fill(0);
            read_bits(&product[words..], 0..bits, -start, &mut moved);
            bits::xor(isa, output, &moved);
        }
    }
}
