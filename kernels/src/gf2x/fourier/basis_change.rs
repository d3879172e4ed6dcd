//! Between powers of x and products of subspace polynomials: additions only.
//!
//! With K the greatest power of two below k, a polynomial in 2^k coefficients is expanded by Taylor's
//! rule at x^(2^K) + x; then the expansion's coefficients and its digits are converted each for itself
//! (Lin, Al-Naffouri, Han, Chung, IEEE Trans. Inf. Theory 62 (2016) 6284). Here K = 16, then 8 and 8:
//! rows of 2^16 bits are expanded against each other, then each row on its own within the L1 cache, but
//! for the conversion of its eight lowest index bits, which the layers do where these bits number whole
//! vectors (`low_bits`, see `layers`).
//!
//! Rows of the working copy lie a cache line more than 8 KiB apart, so that those in the same place of
//! all rows do not share the cache's sets.

/// Words of a row of 2^16 bits.
pub(super) const ROW: usize = 1024;

/// Words from one row of the working copy to the next.
pub(super) const PITCH: usize = ROW + 8;

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! basis_change {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::basis_change::{PITCH, ROW};

        /// From `bits`, which it overwrites, to the rows of `work`.
        $(#[$level])*
        fn change_basis(log: usize, bits: &mut [u64], work: &mut [u64], column: &mut [u64]) {
            let rows = 1 << (log - 16);
            if rows == 16 {
                expand::<8, 4, 2, 1>(bits, work, PITCH, true);
            } else {
                expand_in_place::<false, 128, 64, 32, 16>(bits);
                for (sixteen, work) in bits.chunks_exact(16 * ROW).zip(work.chunks_exact_mut(16 * PITCH)) {
                    expand::<8, 4, 2, 1>(sixteen, work, PITCH, false);
                }
                convert_rows::<false>(work, column);
            }
            for row in work.chunks_exact_mut(PITCH) {
                convert_row::<false>(&mut row[..ROW]);
            }
        }

        /// The inverse.
        $(#[$level])*
        fn change_basis_back(log: usize, bits: &mut [u64], work: &mut [u64], column: &mut [u64]) {
            let rows = 1 << (log - 16);
            for row in work.chunks_exact_mut(PITCH) {
                convert_row::<true>(&mut row[..ROW]);
            }
            if rows == 16 {
                contract::<8, 4, 2, 1>(work, bits, true);
            } else {
                convert_rows::<true>(work, column);
                for (sixteen, work) in bits.chunks_exact_mut(16 * ROW).zip(work.chunks_exact(16 * PITCH)) {
                    contract::<8, 4, 2, 1>(work, sixteen, false);
                }
                expand_in_place::<true, 128, 64, 32, 16>(bits);
            }
        }

        /// One level of Taylor's rule between the halves of blocks of 2^(K + 1) rows: the upper half,
        /// moved up by S bits, is added to the lower; what leaves it at the top comes back at its bottom.
        ///
        /// `before`: the upper rows of the vectors on the left; at the leftmost ones `last` has those of the
        /// rightmost.
        $(#[$level])*
        #[inline]
        fn taylor<const BACK: bool, const K: usize, const S: i32>(
            x: &mut [V; 16],
            before: &mut [V; 8],
            last: Option<&[V; 8]>,
        ) {
            for j in 0..8 {
                let (half, place) = (1 << K, j & ((1 << K) - 1));
                let low = ((j >> K) << (K + 1)) + place;
                let high = low + half;
                let left = match last {
                    None => before[j],
                    Some(_) if place == 0 => zero(),
                    Some(last) => last[j - 1],
                };
                let wrap = last.filter(|_| place == 0).map(|last| up::<S>(zero(), last[j + half - 1]));
                if let (false, Some(wrap)) = (BACK, wrap) {
                    x[high] = xor(x[high], wrap);
                }
                before[j] = x[high];
                x[low] = xor(x[low], up::<S>(x[high], left));
                if let (true, Some(wrap)) = (BACK, wrap) {
                    x[high] = xor(x[high], wrap);
                }
            }
        }

        /// Four levels of Taylor's rule at one place of sixteen rows.
        $(#[$level])*
        #[inline]
        fn taylor16<const BACK: bool, const S3: i32, const S2: i32, const S1: i32, const S0: i32>(
            x: &mut [V; 16],
            before: &mut [[V; 8]; 4],
            last: Option<&[[V; 8]; 4]>,
        ) {
            let last = |k: usize| last.map(|last| &last[k]);
            if BACK {
                taylor::<true, 0, S0>(x, &mut before[0], last(0));
                taylor::<true, 1, S1>(x, &mut before[1], last(1));
                taylor::<true, 2, S2>(x, &mut before[2], last(2));
                taylor::<true, 3, S3>(x, &mut before[3], last(3));
            } else {
                taylor::<false, 3, S3>(x, &mut before[3], last(3));
                taylor::<false, 2, S2>(x, &mut before[2], last(2));
                taylor::<false, 1, S1>(x, &mut before[1], last(1));
                taylor::<false, 0, S0>(x, &mut before[0], last(0));
            }
        }

        /// The vectors at word `at` of sixteen rows `pitch` words apart.
        $(#[$level])*
        #[inline]
        fn sixteen(rows: &[u64], pitch: usize, at: usize) -> [V; 16] {
            let mut x = [zero(); 16];
            for (row, x) in x.iter_mut().enumerate() {
                *x = load(rows, row * pitch + at);
            }
            x
        }

        $(#[$level])*
        #[inline]
        fn store_sixteen(rows: &mut [u64], pitch: usize, at: usize, x: &[V; 16]) {
            for (row, x) in x.iter().enumerate() {
                store(rows, row * pitch + at, *x);
            }
        }

        /// Sixteen rows expanded against each other, from `bits` to rows `pitch` apart; `all`: there are no
        /// more rows, so convert between them, too.
        $(#[$level])*
        fn expand<const S3: i32, const S2: i32, const S1: i32, const S0: i32>(
            bits: &[u64],
            out: &mut [u64],
            pitch: usize,
            all: bool,
        ) {
            let length = bits.len() / 16;
            let (mut before, mut last) = ([[zero(); 8]; 4], [[zero(); 8]; 4]);
            // What leaves a row at its top is known from its last vector alone.
            taylor16::<false, S3, S2, S1, S0>(&mut sixteen(bits, length, length - 8), &mut last, None);
            for at in (0..length).step_by(8) {
                let mut x = sixteen(bits, length, at);
                taylor16::<false, S3, S2, S1, S0>(&mut x, &mut before, (at == 0).then_some(&last));
                if all {
                    convert16::<false>(&mut x);
                }
                store_sixteen(out, pitch, at, &x);
            }
        }

        /// The inverse of [`expand`].
        $(#[$level])*
        fn contract<const S3: i32, const S2: i32, const S1: i32, const S0: i32>(
            rows: &[u64],
            bits: &mut [u64],
            all: bool,
        ) {
            let length = bits.len() / 16;
            let (mut before, mut last) = ([[zero(); 8]; 4], [[zero(); 8]; 4]);
            let mut x = sixteen(rows, PITCH, length - 8);
            if all {
                convert16::<true>(&mut x);
            }
            taylor16::<true, S3, S2, S1, S0>(&mut x, &mut last, None);
            for at in (0..length).step_by(8) {
                let mut x = sixteen(rows, PITCH, at);
                if all {
                    convert16::<true>(&mut x);
                }
                taylor16::<true, S3, S2, S1, S0>(&mut x, &mut before, (at == 0).then_some(&last));
                store_sixteen(bits, length, at, &x);
            }
        }

        /// Sixteen rows expanded against each other, or back, where they lie.
        $(#[$level])*
        fn expand_in_place<const BACK: bool, const S3: i32, const S2: i32, const S1: i32, const S0: i32>(
            bits: &mut [u64],
        ) {
            let length = bits.len() / 16;
            let (mut before, mut last) = ([[zero(); 8]; 4], [[zero(); 8]; 4]);
            taylor16::<BACK, S3, S2, S1, S0>(&mut sixteen(bits, length, length - 8), &mut last, None);
            for at in (0..length).step_by(8) {
                let mut x = sixteen(bits, length, at);
                taylor16::<BACK, S3, S2, S1, S0>(&mut x, &mut before, (at == 0).then_some(&last));
                store_sixteen(bits, length, at, &x);
            }
        }

        /// Converts sixteen coefficients.
        $(#[$level])*
        #[inline]
        fn convert16<const BACK: bool>(x: &mut [V; 16]) {
            // (from, to): the levels of Taylor's rule at y⁴ + y, then at y² + y among fours and within them.
            const STEPS: [(usize, usize); 32] = [
                (14, 8), (15, 9), (8, 2), (9, 3), (10, 4), (11, 5), (12, 6), (13, 7),
                (7, 4), (4, 1), (5, 2), (6, 3), (15, 12), (12, 9), (13, 10), (14, 11),
                (12, 8), (13, 9), (14, 10), (15, 11), (8, 4), (9, 5), (10, 6), (11, 7),
                (3, 2), (2, 1), (7, 6), (6, 5), (11, 10), (10, 9), (15, 14), (14, 13),
            ];
            for step in 0..32 {
                let (from, to) = STEPS[if BACK { 31 - step } else { step }];
                x[to] = xor(x[to], x[from]);
            }
        }

        /// Adds places of `x` to places `down` below, `count` of them from `from` on, a place being `stride` words.
        $(#[$level])*
        #[inline]
        fn fold(x: &mut [u64], from: usize, to: usize, words: usize) {
            for at in (0..words).step_by(8) {
                let sum = xor(load(x, to + at), load(x, from + at));
                store(x, to + at, sum);
            }
        }

        /// Taylor's rule at y^16 + y for 256 items of `item` words.
        $(#[$level])*
        fn taylor256<const BACK: bool>(x: &mut [u64], item: usize) {
            for level in 0..4 {
                let i = if BACK { level } else { 3 - level };
                let (half, shift) = (item << (4 + i), item << i);
                for block in x.chunks_exact_mut(2 * half) {
                    if BACK {
                        fold(block, half, shift, half - shift);
                    }
                    fold(block, 2 * half - shift, half, shift);
                    if !BACK {
                        fold(block, half, shift, half - shift);
                    }
                }
            }
        }

        /// Converts sixteen items of `item` words, `pitch` words apart.
        $(#[$level])*
        #[inline]
        fn convert_items<const BACK: bool>(x: &mut [u64], pitch: usize, item: usize) {
            for at in (0..item).step_by(8) {
                let mut rows = sixteen(x, pitch, at);
                convert16::<BACK>(&mut rows);
                store_sixteen(x, pitch, at, &rows);
            }
        }

        /// Converts 256 items of `item` words.
        $(#[$level])*
        fn convert256<const BACK: bool>(x: &mut [u64], item: usize) {
            if !BACK {
                taylor256::<false>(x, item);
            }
            for low in 0..16 {
                convert_items::<BACK>(&mut x[low * item..], 16 * item, item);
            }
            for sixteen in x.chunks_exact_mut(16 * item) {
                convert_items::<BACK>(sixteen, item, item);
            }
            if BACK {
                taylor256::<true>(x, item);
            }
        }

        /// Converts between 256 rows, place by place.
        $(#[$level])*
        fn convert_rows<const BACK: bool>(work: &mut [u64], column: &mut [u64]) {
            let column = &mut column[..256 * 8];
            for at in (0..ROW).step_by(8) {
                for row in 0..256 {
                    store(column, 8 * row, load(work, row * PITCH + at));
                }
                convert256::<BACK>(column, 8);
                for row in 0..256 {
                    store(work, row * PITCH + at, load(column, 8 * row));
                }
            }
        }

        /// Converts the index bits 8 to 15 of a row.
        ///
        /// In between, its halves lie side by side in the vectors, so that a unit of 2^8 bits never shares
        /// a vector with the next: see [`unit`].
        $(#[$level])*
        fn convert_row<const BACK: bool>(row: &mut [u64]) {
            if BACK {
                (0..8).for_each(|s| convert_low::<true>(row, s));
                (0..16).for_each(|low| convert_high::<true>(row, low));
                taylor_units::<true>(row);
                (0..8).for_each(|s| expand_pair::<true>(row, s));
                expand_in_place::<true, 128, 64, 32, 16>(row);
            } else {
                expand_in_place::<false, 128, 64, 32, 16>(row);
                (0..8).for_each(|s| expand_pair::<false>(row, s));
                taylor_units::<false>(row);
                (0..16).for_each(|low| convert_high::<false>(row, low));
                (0..8).for_each(|s| convert_low::<false>(row, s));
            }
        }

        /// The word of units u of both halves, u counting the index bits 8 to 14: bits 9 to 14, then 8.
        #[inline]
        fn unit(u: usize) -> usize {
            8 * ((u & 1) << 6 | u >> 1)
        }

        /// One level of Taylor's rule among sixteen rows of 2^8 bits, in both halves of the vectors.
        $(#[$level])*
        #[inline]
        fn taylor_pair<const BACK: bool, const K: usize, const S: i32>(x: &mut [V; 16]) {
            let half = 1 << K;
            for base in (0..16).step_by(2 * half) {
                let (first, last) = (base + half, base + 2 * half - 1);
                if !BACK {
                    x[first] = xor(x[first], up_half::<S>(zero(), x[last]));
                }
                for place in 0..half {
                    let left = if place == 0 { zero() } else { x[first + place - 1] };
                    x[base + place] = xor(x[base + place], up_half::<S>(x[first + place], left));
                }
                if BACK {
                    x[first] = xor(x[first], up_half::<S>(zero(), x[last]));
                }
            }
        }

        /// Sixteen rows of 2^8 bits of either half of a row, from their places to those of [`unit`], expanded
        /// against each other; or back.
        $(#[$level])*
        fn expand_pair<const BACK: bool>(row: &mut [u64], s: usize) {
            let mut x = [zero(); 16];
            for j in 0..8 {
                let (a, b) = (load(row, 64 * s + 8 * j), load(row, 512 + 64 * s + 8 * j));
                [x[2 * j], x[2 * j + 1]] = if BACK { [a, b] } else { [lower(a, b), upper(a, b)] };
            }
            if BACK {
                taylor_pair::<true, 0, 1>(&mut x);
                taylor_pair::<true, 1, 2>(&mut x);
                taylor_pair::<true, 2, 4>(&mut x);
                taylor_pair::<true, 3, 8>(&mut x);
            } else {
                taylor_pair::<false, 3, 8>(&mut x);
                taylor_pair::<false, 2, 4>(&mut x);
                taylor_pair::<false, 1, 2>(&mut x);
                taylor_pair::<false, 0, 1>(&mut x);
            }
            for j in 0..8 {
                let (a, b) = (x[2 * j], x[2 * j + 1]);
                let [a, b] = if BACK { [lower(a, b), upper(a, b)] } else { [a, b] };
                store(row, 64 * s + 8 * j, a);
                store(row, 512 + 64 * s + 8 * j, b);
            }
        }

        /// Taylor's rule at y^16 + y among the 256 units of a row.
        $(#[$level])*
        fn taylor_units<const BACK: bool>(row: &mut [u64]) {
            if BACK {
                taylor_units_low::<true>(row);
            }
            let upper_half = |row: &mut [u64]| {
                for u in 0..8 {
                    let sum = xor(load(row, unit(u)), keep_upper(load(row, unit(u + 120))));
                    store(row, unit(u), sum);
                }
            };
            if !BACK {
                upper_half(row);
            }
            for u in 0..120 {
                let sum = xor(load(row, unit(u + 8)), upper_to_lower(load(row, unit(u))));
                store(row, unit(u + 8), sum);
            }
            if BACK {
                upper_half(row);
            }
            if !BACK {
                taylor_units_low::<false>(row);
            }
        }

        /// The levels that leave the halves apart.
        $(#[$level])*
        fn taylor_units_low<const BACK: bool>(row: &mut [u64]) {
            for level in 0..3 {
                let i = if BACK { level } else { 2 - level };
                let (half, shift) = (16 << i, 1 << i);
                for base in (0..128).step_by(2 * half) {
                    let wrap = |row: &mut [u64]| {
                        (0..shift).for_each(|e| fold(row, unit(base + 2 * half - shift + e), unit(base + half + e), 8));
                    };
                    if !BACK {
                        wrap(row);
                    }
                    for e in 0..half - shift {
                        fold(row, unit(base + half + e), unit(base + e + shift), 8);
                    }
                    if BACK {
                        wrap(row);
                    }
                }
            }
        }

        /// Converts the index bits 12 to 15, the highest choosing the half of the vectors.
        $(#[$level])*
        fn convert_high<const BACK: bool>(row: &mut [u64], low: usize) {
            let mut x = [zero(); 8];
            for (e, x) in x.iter_mut().enumerate() {
                *x = load(row, unit(e << 4 | low));
            }
            if BACK {
                convert_high_low::<true>(&mut x);
                for e in (0..4).rev() {
                    x[4 + e] = xor(x[4 + e], upper_to_lower(x[e]));
                    x[e] = xor(x[e], keep_upper(x[4 + e]));
                }
                convert_high_middle::<true>(&mut x);
                for e in (0..6).rev() {
                    x[e + 2] = xor(x[e + 2], upper_to_lower(x[e]));
                }
                x[1] = xor(x[1], keep_upper(x[7]));
                x[0] = xor(x[0], keep_upper(x[6]));
            } else {
                x[0] = xor(x[0], keep_upper(x[6]));
                x[1] = xor(x[1], keep_upper(x[7]));
                for e in 0..6 {
                    x[e + 2] = xor(x[e + 2], upper_to_lower(x[e]));
                }
                convert_high_middle::<false>(&mut x);
                for e in 0..4 {
                    x[e] = xor(x[e], keep_upper(x[4 + e]));
                    x[4 + e] = xor(x[4 + e], upper_to_lower(x[e]));
                }
                convert_high_low::<false>(&mut x);
            }
            for (e, x) in x.iter().enumerate() {
                store(row, unit(e << 4 | low), *x);
            }
        }

        $(#[$level])*
        #[inline]
        fn convert_high_middle<const BACK: bool>(x: &mut [V; 8]) {
            const STEPS: [(usize, usize); 4] = [(7, 4), (4, 1), (5, 2), (6, 3)];
            for step in 0..4 {
                let (from, to) = STEPS[if BACK { 3 - step } else { step }];
                x[to] = xor(x[to], x[from]);
            }
        }

        $(#[$level])*
        #[inline]
        fn convert_high_low<const BACK: bool>(x: &mut [V; 8]) {
            const STEPS: [(usize, usize); 4] = [(3, 2), (2, 1), (7, 6), (6, 5)];
            for step in 0..4 {
                let (from, to) = STEPS[if BACK { 3 - step } else { step }];
                x[to] = xor(x[to], x[from]);
            }
        }

        /// Converts the index bits 8 to 11 in both halves, from the places of [`unit`] to where rows have
        /// them; or back.
        $(#[$level])*
        fn convert_low<const BACK: bool>(row: &mut [u64], s: usize) {
            let mut x = [zero(); 16];
            for j in 0..8 {
                let (a, b) = (load(row, 64 * s + 8 * j), load(row, 512 + 64 * s + 8 * j));
                [x[2 * j], x[2 * j + 1]] = if BACK { [lower(a, b), upper(a, b)] } else { [a, b] };
            }
            convert16::<BACK>(&mut x);
            for j in 0..8 {
                let (a, b) = (x[2 * j], x[2 * j + 1]);
                let [a, b] = if BACK { [a, b] } else { [lower(a, b), upper(a, b)] };
                store(row, 64 * s + 8 * j, a);
                store(row, 512 + 64 * s + 8 * j, b);
            }
        }
    };
}

pub(super) use basis_change;
