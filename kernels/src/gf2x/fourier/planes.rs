//! The first eleven layers: bits to bytes (1 to 4), then seven layers that turn their index bits into
//! lane numbers (5 to 11), so that no later layer mixes lanes.
//!
//! A byte's lane is at first its index bits 0 to 2 and 6 to 8. Groups of 64 vectors of either plane
//! exchange lane number with group number.

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! planes {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::tables::Spread;

        /// The row groups of sixteen that half c and plane p come from: the top index bits are p₀ p₁ c p₂.
        fn segment(c: usize, p: usize) -> usize {
            (p & 1) << 3 | (p >> 1 & 1) << 2 | c << 1 | p >> 2
        }

        /// The word of 64 bytes whose bits are those at `at` of a row, r rows down in its group: the index bits
        /// J − 11 to J − 5 choose eight vectors each within a region of the lower ones.
        fn chunk(log: usize, r: usize, at: usize) -> usize {
            let number = r << 7 | at >> 3;
            let low = log - 20;
            64 * ((number & ((1 << low) - 1)) << 7 | number >> low)
        }

        /// Layers 1 to 4, from the rows of `work` to bytes in `packed`.
        $(#[$level])*
        fn pack(field: &Field<'_>, log: usize, work: &[u64], packed: &mut [u64]) {
            let (rows, half) = (1usize << (log - 20), packed.len() / 2);
            for r in 0..rows {
                for at in (0..ROW).step_by(8) {
                    let bits = |c: usize| {
                        let mut x = [zero(); 8];
                        for (p, x) in x.iter_mut().enumerate() {
                            *x = load(work, (segment(c, p) * rows + r) * PITCH + at);
                        }
                        pack8(field, x)
                    };
                    let (low, high, to) = (bits(0), bits(1), chunk(log, r, at));
                    for b in 0..8 {
                        let low = xor(low[b], field.times_v3(high[b]));
                        store(packed, to + 8 * b, low);
                        store(packed, half + to + 8 * b, field.fourth(xor(low, high[b])));
                    }
                }
            }
        }

        /// The inverse of [`pack`].
        $(#[$level])*
        fn unpack(field: &Field<'_>, log: usize, packed: &[u64], work: &mut [u64]) {
            let (rows, half) = (1usize << (log - 20), packed.len() / 2);
            for r in 0..rows {
                for at in (0..ROW).step_by(8) {
                    let (mut x, from) = ([[zero(); 8]; 2], chunk(log, r, at));
                    for b in 0..8 {
                        let low = load(packed, from + 8 * b);
                        x[1][b] = xor(low, field.fourth_back(load(packed, half + from + 8 * b)));
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
            64 * (bit(0, 6) | bit(1, 5) | bit(2, 4) | plane << 3 | bit(3, 2) | bit(4, 1) | bit(5, 0))
        }

        /// The layers 5 to 11, and the exchange of their index bits with the lane number: from `packed` to
        /// `cells`, or back. `group` holds 128 vectors.
        $(#[$level])*
        fn spread<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            packed: &mut [u64],
            cells: &mut [u64],
            group: &mut [u64],
        ) {
            let (regions, half) = (1usize << (tables.log() - 20), packed.len() / 2);
            for c in 0..2 {
                for region in 0..regions {
                    for b in 0..8 {
                        let at = c * half + (region << 13) + 8 * b;
                        let to = c * half + (region << 13) + CELL * (b << 3);
                        if BACK {
                            gather_back(field, &tables.spread[c], cells, to, group);
                            scatter_back(field, &tables.spread[c], packed, at, group);
                        } else {
                            gather(field, &tables.spread[c], packed, at, group);
                            scatter(field, &tables.spread[c], cells, to, group);
                        }
                    }
                }
            }
        }

        /// The cell of vector m of a group.
        fn cell(m: usize) -> usize {
            CELL * (m & 7 | m >> 3 << 6)
        }

        /// The layers 5 to 7 and the exchange of three bits.
        $(#[$level])*
        #[inline]
        fn gather(field: &Field<'_>, twiddles: &Spread, packed: &[u64], at: usize, group: &mut [u64]) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(packed, at + place(high << 3 | n, plane));
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
                        store(group, 8 * (plane << 6 | high << 3 | n), *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn scatter_back(field: &Field<'_>, twiddles: &Spread, packed: &mut [u64], at: usize, group: &[u64]) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(group, 8 * (plane << 6 | high << 3 | n));
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
                        store(packed, at + place(high << 3 | n, plane), *x);
                    }
                }
            }
        }

        /// The layers 8 to 11 and the exchange of the other three bits.
        $(#[$level])*
        #[inline]
        fn scatter(field: &Field<'_>, twiddles: &Spread, cells: &mut [u64], to: usize, group: &[u64]) {
            let eighth = bytes(&twiddles.eighth);
            for low in 0..8 {
                let mut x = [[zero(); 8]; 2];
                for n in 0..8 {
                    let (a, b) = (load(group, 8 * (n << 3 | low)), load(group, 8 * (64 | n << 3 | low)));
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
                        store(cells, to + cell(n << 3 | low) + 8 * plane, *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn gather_back(field: &Field<'_>, twiddles: &Spread, cells: &[u64], from: usize, group: &mut [u64]) {
            let eighth = bytes(&twiddles.eighth);
            for low in 0..8 {
                let mut x = [[zero(); 8]; 2];
                for (plane, x) in x.iter_mut().enumerate() {
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(cells, from + cell(n << 3 | low) + 8 * plane);
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
                    store(group, 8 * (n << 3 | low), xor(x[0][n], mul(x[1][n], eighth)));
                    store(group, 8 * (64 | n << 3 | low), x[1][n]);
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
