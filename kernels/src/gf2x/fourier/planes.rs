//! The first eleven layers: bits to bytes (1 to 4), then seven layers that turn their index bits into
//! lane numbers (5 to 11), so that no later layer mixes lanes.
//!
//! A byte's lane is at first its index bits 0 to 2 and 6 to 8. Groups of 64 vectors of either plane
//! exchange lane number with group number.

/// Lines of a region: the index bits above it and the half aside, all that layers 5 to 11 join.
pub(super) const REGION: usize = 1024;

/// Lines of a group, one in eight of a region.
pub(super) const GROUP: usize = 128;

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! planes {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::{
            planes::{GROUP, REGION},
            tables::Spread,
        };

        /// The row groups of sixteen that half c and plane p come from: the top index bits are p₀ p₁ c p₂.
        fn segment(c: usize, p: usize) -> usize {
            (p & 1) << 3 | (p >> 1 & 1) << 2 | c << 1 | p >> 2
        }

        /// The lines of bytes whose bits are those of line `at` of a row, r rows down in its group: the index bits
        /// J − 11 to J − 5 choose eight vectors each within a region of the lower ones.
        fn chunk(log: usize, r: usize, at: usize) -> usize {
            let number = r << 7 | at;
            let low = log - 20;
            8 * ((number & ((1 << low) - 1)) << 7 | number >> low)
        }

        /// Layers 1 to 4, from the rows of `work` to bytes in `packed`.
        $(#[$level])*
        fn pack(field: &Field<'_>, log: usize, work: &[Line], packed: &mut [Line]) {
            let (rows, half) = (1usize << (log - 20), packed.len() / 2);
            for r in 0..rows {
                for at in 0..ROW {
                    let bits = |c: usize| {
                        let mut x = [zero(); 8];
                        for (p, x) in x.iter_mut().enumerate() {
                            *x = load(work, (segment(c, p) * rows + r) * PITCH + at);
                        }
                        pack8(field, x)
                    };
                    let to = chunk(log, r, at);
                    let (low, high) = (bits(0), bits(1));
                    for b in 0..8 {
                        let low = xor(low[b], field.times_v3(high[b]));
                        store(packed, to + b, low);
                        store(packed, half + to + b, field.fourth(xor(low, high[b])));
                    }
                }
            }
        }

        /// The inverse of [`pack`].
        $(#[$level])*
        fn unpack(field: &Field<'_>, log: usize, packed: &[Line], work: &mut [Line]) {
            let (rows, half) = (1usize << (log - 20), packed.len() / 2);
            for r in 0..rows {
                for at in 0..ROW {
                    let (mut x, from) = ([[zero(); 8]; 2], chunk(log, r, at));
                    for b in 0..8 {
                        let low = load(packed, from + b);
                        x[1][b] = xor(low, field.fourth_back(load(packed, half + from + b)));
                        x[0][b] = xor(low, field.times_v3(x[1][b]));
                    }
                    for (c, x) in x.into_iter().enumerate() {
                        for (p, x) in unpack8(field, x).into_iter().enumerate() {
                            store(work, (segment(c, p) * rows + r) * PITCH + at, x);
                        }
                    }
                }
            }
        }

        /// Where vector `number` of plane `plane` of a group stands among its region's chunks: the number's
        /// bits are the index bits J − 5, − 6, − 7, − 9, − 10, − 11, the plane J − 8.
        fn place(number: usize, plane: usize) -> usize {
            let bit = |k: usize, to: usize| (number >> k & 1) << to;
            (bit(0, 6) | bit(1, 5) | bit(2, 4) | plane << 3 | bit(3, 2) | bit(4, 1) | bit(5, 0)) << 3
        }

        /// The layers 5 to 11, and the exchange of their index bits with the lane number: from `packed` to
        /// `cells`, or back. `group` holds 128 vectors.
        $(#[$level])*
        fn spread<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            packed: &mut [Line],
            cells: &mut [Line],
            group: &mut [Line],
        ) {
            let regions = packed.as_chunks_mut::<REGION>().0.iter_mut().zip(cells.as_chunks_mut::<REGION>().0);
            let group: &mut [Line; GROUP] = group.first_chunk_mut().expect("scratch holds a group");
            for (number, (packed, cells)) in regions.enumerate() {
                let twiddles = &tables.spread[number >> (tables.log() - 20)];
                for b in 0..8 {
                    if BACK {
                        gather_back(field, twiddles, cells, b, group);
                        scatter_back(field, twiddles, packed, b, group);
                    } else {
                        gather(field, twiddles, packed, b, group);
                        scatter(field, twiddles, cells, b, group);
                    }
                }
            }
        }

        /// The line of plane `plane` of vector m of group b.
        fn cell(b: usize, m: usize, plane: usize) -> usize {
            (m >> 3 & 7) << 7 | (b & 7) << 4 | (m & 7) << 1 | plane
        }

        /// The layers 5 to 7 and the exchange of three bits.
        $(#[$level])*
        #[inline]
        fn gather(field: &Field<'_>, twiddles: &Spread, packed: &[Line; REGION], b: usize, group: &mut [Line; GROUP]) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(packed, place(high << 3 | n, plane) | b & 7);
                    }
                    for k in 0..3 {
                        for n in (0..8).filter(|n| n >> k & 1 == 0) {
                            let t = twiddles.bytes[1 << k | n & ((1 << k) - 1)];
                            x[n] = xor(x[n], field.times(x[n | 1 << k], t));
                            x[n | 1 << k] = xor(x[n | 1 << k], x[n]);
                        }
                    }
                    exchange_low(&mut x);
                    for (n, x) in x.iter().enumerate() {
                        store(group, plane << 6 | high << 3 | n, *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn scatter_back(field: &Field<'_>, twiddles: &Spread, packed: &mut [Line; REGION], b: usize, group: &[Line; GROUP]) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(group, plane << 6 | high << 3 | n);
                    }
                    exchange_low(&mut x);
                    for k in (0..3).rev() {
                        for n in (0..8).filter(|n| n >> k & 1 == 0) {
                            let t = twiddles.bytes[1 << k | n & ((1 << k) - 1)];
                            x[n | 1 << k] = xor(x[n | 1 << k], x[n]);
                            x[n] = xor(x[n], field.times(x[n | 1 << k], t));
                        }
                    }
                    for (n, x) in x.iter().enumerate() {
                        store(packed, place(high << 3 | n, plane) | b & 7, *x);
                    }
                }
            }
        }

        /// The layers 8 to 11 and the exchange of the other three bits.
        $(#[$level])*
        #[inline]
        fn scatter(field: &Field<'_>, twiddles: &Spread, cells: &mut [Line; REGION], b: usize, group: &[Line; GROUP]) {
            let eighth = bytes(&twiddles.eighth);
            for low in 0..8 {
                let mut x = [[zero(); 8]; 2];
                for n in 0..8 {
                    let (a, b) = (load(group, n << 3 | low), load(group, 64 | n << 3 | low));
                    (x[0][n], x[1][n]) = (xor(a, mul(b, eighth)), b);
                }
                for k in 0..3 {
                    for n in (0..8).filter(|n| n >> k & 1 == 0) {
                        let (t, high) = (&twiddles.pairs[1 << k | n & ((1 << k) - 1)], n | 1 << k);
                        let product = field.mul16([x[0][high], x[1][high]], [bytes(&t[0]), bytes(&t[1])]);
                        for plane in 0..2 {
                            x[plane][n] = xor(x[plane][n], product[plane]);
                            x[plane][high] = xor(x[plane][high], x[plane][n]);
                        }
                    }
                }
                for (plane, x) in x.iter_mut().enumerate() {
                    exchange_high(x);
                    for (n, x) in x.iter().enumerate() {
                        store(cells, cell(b, n << 3 | low, plane), *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn gather_back(field: &Field<'_>, twiddles: &Spread, cells: &[Line; REGION], b: usize, group: &mut [Line; GROUP]) {
            let eighth = bytes(&twiddles.eighth);
            for low in 0..8 {
                let mut x = [[zero(); 8]; 2];
                for (plane, x) in x.iter_mut().enumerate() {
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(cells, cell(b, n << 3 | low, plane));
                    }
                    exchange_high(x);
                }
                for k in (0..3).rev() {
                    for n in (0..8).filter(|n| n >> k & 1 == 0) {
                        let (t, high) = (&twiddles.pairs[1 << k | n & ((1 << k) - 1)], n | 1 << k);
                        for x in &mut x {
                            x[high] = xor(x[high], x[n]);
                        }
                        let product = field.mul16([x[0][high], x[1][high]], [bytes(&t[0]), bytes(&t[1])]);
                        for plane in 0..2 {
                            x[plane][n] = xor(x[plane][n], product[plane]);
                        }
                    }
                }
                for n in 0..8 {
                    store(group, n << 3 | low, xor(x[0][n], mul(x[1][n], eighth)));
                    store(group, 64 | n << 3 | low, x[1][n]);
                }
            }
        }

        /// Swaps the vector number's three bits with the lane number's lower three.
        $(#[$level])*
        #[inline]
        fn exchange_low(x: &mut [V; 8]) {
            for (a, b) in [(0, 1), (2, 3), (4, 5), (6, 7)] {
                (x[a], x[b]) = swap_lanes::<0>(x[a], x[b]);
            }
            for (a, b) in [(0, 2), (1, 3), (4, 6), (5, 7)] {
                (x[a], x[b]) = swap_lanes::<1>(x[a], x[b]);
            }
            for (a, b) in [(0, 4), (1, 5), (2, 6), (3, 7)] {
                (x[a], x[b]) = swap_lanes::<2>(x[a], x[b]);
            }
        }

        /// The same with the upper three.
        $(#[$level])*
        #[inline]
        fn exchange_high(x: &mut [V; 8]) {
            for (a, b) in [(0, 1), (2, 3), (4, 5), (6, 7)] {
                (x[a], x[b]) = swap_lanes::<3>(x[a], x[b]);
            }
            for (a, b) in [(0, 2), (1, 3), (4, 6), (5, 7)] {
                (x[a], x[b]) = swap_lanes::<4>(x[a], x[b]);
            }
            for (a, b) in [(0, 4), (1, 5), (2, 6), (3, 7)] {
                (x[a], x[b]) = swap_lanes::<5>(x[a], x[b]);
            }
        }
    };
}

pub(super) use planes;
