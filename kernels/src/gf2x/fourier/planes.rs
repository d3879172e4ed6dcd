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

        /// Converts, within each, the rows that meet in one place: the r-th of every group of `rows`.
        $(#[$level])*
        fn convert_each<const BACK: bool, const PART: usize>(work: &mut [Line], rows: usize, r: usize) {
            for (_, group) in work.chunks_mut(rows * PITCH).enumerate().filter(|(number, _)| has(PART, *number)) {
                group[r * PITCH..].first_chunk_mut().into_iter().for_each(|row| convert_row::<BACK>(row));
            }
        }

        /// The index bits 8 to 15 of the basis, then layers 1 to 4, from the rows of `work` to bytes in `packed`.
        $(#[$level])*
        fn pack<const PART: usize>(field: &Field<'_>, log: usize, work: &mut [Line], packed: &mut [Line]) {
            let (rows, half) = (1usize << (log - 20), packed.len() / 2);
            for r in 0..rows {
                convert_each::<false, PART>(work, rows, r);
                for at in 0..ROW {
                    let bits = |c: usize| {
                        let mut x = [zero(); 8];
                        for (p, x) in x.iter_mut().enumerate() {
                            if has(PART, segment(c, p)) {
                                *x = load(work, (segment(c, p) * rows + r) * PITCH + at);
                            }
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
        fn unpack<const PART: usize>(field: &Field<'_>, log: usize, packed: &[Line], work: &mut [Line]) {
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
                            if has(PART, segment(c, p)) {
                                store(work, (segment(c, p) * rows + r) * PITCH + at, x);
                            }
                        }
                    }
                }
                convert_each::<true, PART>(work, rows, r);
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
            let group: &mut [Line; GROUP] = group.first_chunk_mut().expect("scratch holds a group");
            for number in 0..packed.len() / REGION {
                let (packed, later_packed) = packed[number * REGION..].split_at_mut(REGION);
                let (cells, later_cells) = cells[number * REGION..].split_at_mut(REGION);
                let (Some(packed), Some(cells)) = (packed.first_chunk_mut(), cells.first_chunk_mut()) else { return };
                let next = if BACK { later_cells } else { later_packed };
                let twiddles = &tables.spread[number >> (tables.log() - 20)];
                let pairs = twiddles.pairs.each_ref().map(|[t0, t1]| Pair::new(field, [bytes(t0), bytes(t1)]));
                let wide = (bytes(&twiddles.eighth), pairs);
                for b in 0..8 {
                    // A region is read in large steps, so ask for the next one, an eighth at a time.
                    next.iter().skip(b * GROUP).take(GROUP).for_each(|line| prefetch(line));
                    if BACK {
                        gather_back(field, &wide, cells, b, group);
                        scatter_back(field, twiddles, packed, b, group);
                    } else {
                        gather(field, twiddles, packed, b, group);
                        scatter(field, &wide, cells, b, group);
                    }
                }
            }
        }

        /// The line of plane `plane` of vector m of group b.
        fn cell(b: usize, m: usize, plane: usize) -> usize {
            (m >> 3 & 7) << 7 | (b & 7) << 4 | (m & 7) << 1 | plane
        }

        /// Layer 5 + K, which joins vectors 2^K apart.
        $(#[$level])*
        #[inline]
        fn layer_of_bytes<const BACK: bool, const K: usize>(field: &Field<'_>, twiddles: &Spread, x: &mut [V; 8]) {
            for pair in 0..4 {
                let low = pair & ((1 << K) - 1);
                let (n, t) = ((pair >> K) << (K + 1) | low, &twiddles.bytes[1 << K | low]);
                let high = n | 1 << K;
                if BACK {
                    x[high] = xor(x[high], x[n]);
                }
                x[n] = xor(x[n], field.times(x[high], t));
                if !BACK {
                    x[high] = xor(x[high], x[n]);
                }
            }
        }

        /// Layer 9 + K, which joins pairs of vectors 2^K apart.
        $(#[$level])*
        #[inline]
        fn layer_of_pairs<const BACK: bool, const K: usize>(
            field: &Field<'_>,
            pairs: &[Pair; 8],
            x: &mut [[V; 2]; 8],
        ) {
            for pair in 0..4 {
                let low = pair & ((1 << K) - 1);
                let n = (pair >> K) << (K + 1) | low;
                let (mut a, mut b) = (x[n], x[n | 1 << K]);
                butterfly16::<BACK>(field, &mut a, &mut b, &pairs[1 << K | low]);
                (x[n], x[n | 1 << K]) = (a, b);
            }
        }

        /// The layers 5 to 7 and the exchange of three bits.
        $(#[$level])*
        #[inline]
        fn gather(
            field: &Field<'_>,
            twiddles: &Spread,
            packed: &[Line; REGION],
            b: usize,
            group: &mut [Line; GROUP],
        ) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(packed, place(high << 3 | n, plane) | b & 7);
                    }
                    layer_of_bytes::<false, 0>(field, twiddles, &mut x);
                    layer_of_bytes::<false, 1>(field, twiddles, &mut x);
                    layer_of_bytes::<false, 2>(field, twiddles, &mut x);
                    exchange_low(&mut x);
                    for (n, x) in x.iter().enumerate() {
                        store(group, plane << 6 | high << 3 | n, *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn scatter_back(
            field: &Field<'_>,
            twiddles: &Spread,
            packed: &mut [Line; REGION],
            b: usize,
            group: &[Line; GROUP],
        ) {
            for plane in 0..2 {
                for high in 0..8 {
                    let mut x = [zero(); 8];
                    for (n, x) in x.iter_mut().enumerate() {
                        *x = load(group, plane << 6 | high << 3 | n);
                    }
                    exchange_low(&mut x);
                    layer_of_bytes::<true, 2>(field, twiddles, &mut x);
                    layer_of_bytes::<true, 1>(field, twiddles, &mut x);
                    layer_of_bytes::<true, 0>(field, twiddles, &mut x);
                    for (n, x) in x.iter().enumerate() {
                        store(packed, place(high << 3 | n, plane) | b & 7, *x);
                    }
                }
            }
        }

        /// The layers 8 to 11 and the exchange of the other three bits.
        $(#[$level])*
        #[inline]
        fn scatter(
            field: &Field<'_>,
            (eighth, pairs): &(V, [Pair; 8]),
            cells: &mut [Line; REGION],
            b: usize,
            group: &[Line; GROUP],
        ) {
            for low in 0..8 {
                let mut x = [[zero(); 2]; 8];
                for (n, x) in x.iter_mut().enumerate() {
                    let (a, b) = (load(group, n << 3 | low), load(group, 64 | n << 3 | low));
                    *x = [xor(a, mul(b, *eighth)), b];
                }
                layer_of_pairs::<false, 0>(field, pairs, &mut x);
                layer_of_pairs::<false, 1>(field, pairs, &mut x);
                layer_of_pairs::<false, 2>(field, pairs, &mut x);
                for plane in 0..2 {
                    let mut x = one_plane(&x, plane);
                    exchange_high(&mut x);
                    for (n, x) in x.iter().enumerate() {
                        store(cells, cell(b, n << 3 | low, plane), *x);
                    }
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn gather_back(
            field: &Field<'_>,
            (eighth, pairs): &(V, [Pair; 8]),
            cells: &[Line; REGION],
            b: usize,
            group: &mut [Line; GROUP],
        ) {
            for low in 0..8 {
                let mut x = [[zero(); 2]; 8];
                for plane in 0..2 {
                    let mut vectors = [zero(); 8];
                    for (n, vector) in vectors.iter_mut().enumerate() {
                        *vector = load(cells, cell(b, n << 3 | low, plane));
                    }
                    exchange_high(&mut vectors);
                    for (x, vector) in x.iter_mut().zip(vectors) {
                        x[plane] = vector;
                    }
                }
                layer_of_pairs::<true, 2>(field, pairs, &mut x);
                layer_of_pairs::<true, 1>(field, pairs, &mut x);
                layer_of_pairs::<true, 0>(field, pairs, &mut x);
                for (n, x) in x.iter().enumerate() {
                    store(group, n << 3 | low, xor(x[0], mul(x[1], *eighth)));
                    store(group, 64 | n << 3 | low, x[1]);
                }
            }
        }

        $(#[$level])*
        #[inline]
        fn one_plane(x: &[[V; 2]; 8], plane: usize) -> [V; 8] {
            let mut vectors = [zero(); 8];
            for (vector, x) in vectors.iter_mut().zip(x) {
                *vector = x[plane];
            }
            vectors
        }

        /// Swaps bit K of the vector's number with bit LANE of the lane's.
        $(#[$level])*
        #[inline]
        fn exchange<const K: usize, const LANE: usize>(x: &mut [V; 8]) {
            for pair in 0..4 {
                let n = (pair >> K) << (K + 1) | pair & ((1 << K) - 1);
                (x[n], x[n | 1 << K]) = swap_lanes::<LANE>(x[n], x[n | 1 << K]);
            }
        }

        /// Swaps the vector number's three bits with the lane number's lower three.
        $(#[$level])*
        #[inline]
        fn exchange_low(x: &mut [V; 8]) {
            exchange::<0, 0>(x);
            exchange::<1, 1>(x);
            exchange::<2, 2>(x);
        }

        /// The same with the upper three.
        $(#[$level])*
        #[inline]
        fn exchange_high(x: &mut [V; 8]) {
            exchange::<0, 3>(x);
            exchange::<1, 4>(x);
            exchange::<2, 5>(x);
        }
    };
}

pub(super) use planes;
