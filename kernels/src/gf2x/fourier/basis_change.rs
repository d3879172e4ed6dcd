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

/// Lines of eight words of a row of 2^16 bits.
pub(super) const ROW: usize = 128;

/// Lines from one row of the working copy to the next.
pub(super) const PITCH: usize = ROW + 1;

/// All of sixteen rows or parts, or the half of them that the others do not change: lower ones stay apart from
/// upper ones that are zeros, and upper ones do not need lower ones on the way back.
pub(super) const WHOLE: usize = 0;
pub(super) const LOWER: usize = 1;
pub(super) const UPPER: usize = 2;

/// Whether a part has that row.
pub(super) const fn has(part: usize, row: usize) -> bool {
    part == WHOLE || (part == UPPER) == (row >= 8)
}

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! basis_change {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::Rows;
        use crate::gf2x::fourier::basis_change::{LOWER, PITCH, ROW, UPPER, WHOLE, has};

        /// From powers of x to the rows of `work`, of which `fill` writes the first `rows`; the others are zeros.
        /// Within rows nothing is converted yet.
        $(#[$level])*
        fn change_rows(
            log: usize,
            input: Rows<'_>,
            work: &mut [Line],
            column: &mut [Line],
        ) {
            let all = 1 << (log - 16);
            let used = if 2 * input.count <= all { all / 2 } else { all };
            for (number, row) in work.chunks_exact_mut(PITCH).take(used).enumerate() {
                let row = row[..ROW].as_flattened_mut();
                if number < input.count {
                    (input.fill)(number, row);
                } else {
                    row.fill(0);
                }
            }
            match (all, used == all) {
                (16, true) => expand::<true, WHOLE>(work),
                (16, false) => expand::<true, LOWER>(work),
                (_, true) => {
                    expand_top::<WHOLE>(work);
                    work.chunks_exact_mut(16 * PITCH).for_each(|sixteen| expand::<false, WHOLE>(sixteen));
                    convert_rows::<WHOLE>(work, column);
                }
                (_, false) => {
                    expand_top::<LOWER>(work);
                    let sixteens = work.chunks_exact_mut(16 * PITCH).take(8);
                    sixteens.for_each(|sixteen| expand::<false, WHOLE>(sixteen));
                    convert_rows::<LOWER>(work, column);
                }
            }
        }

        /// The inverse, of all rows or only of the upper half, which no other needs.
        $(#[$level])*
        fn change_rows_back(log: usize, first: usize, work: &mut [Line], column: &mut [Line]) {
            let (all, whole) = (1 << (log - 16), 2 * first < 1 << (log - 16));
            match (all, whole) {
                (16, true) => contract::<true, WHOLE>(work),
                (16, false) => contract::<true, UPPER>(work),
                (_, true) => {
                    convert_rows_back::<WHOLE>(work, column);
                    work.chunks_exact_mut(16 * PITCH).for_each(|sixteen| contract::<false, WHOLE>(sixteen));
                    contract_top::<WHOLE>(work);
                }
                (_, false) => {
                    convert_rows_back::<UPPER>(work, column);
                    let sixteens = work.chunks_exact_mut(16 * PITCH).skip(8);
                    sixteens.for_each(|sixteen| contract::<false, WHOLE>(sixteen));
                    contract_top::<UPPER>(work);
                }
            }
        }

        /// One level of Taylor's rule between the halves of blocks of 2^(K + 1) rows: the upper half,
        /// moved up by S bits, is added to the lower; what leaves it at the top comes back at its bottom.
        ///
        /// `before`: the upper rows of the vectors on the left. FIRST: there are none on the left, and it
        /// has those of the rightmost vectors.
        $(#[$level])*
        #[inline]
        fn taylor<const BACK: bool, const FIRST: bool, const K: usize, const S: i32>(
            x: &mut [V; 16],
            before: &mut [V; 8],
        ) {
            let last = *before;
            for j in 0..8 {
                let (half, place) = (1 << K, j & ((1 << K) - 1));
                let low = ((j >> K) << (K + 1)) + place;
                let high = low + half;
                let left = match (FIRST, place) {
                    (false, _) => before[j],
                    (true, 0) => zero(),
                    _ => last[j - 1],
                };
                let wraps = FIRST && place == 0;
                if wraps && !BACK {
                    x[high] = xor(x[high], up::<S>(zero(), last[j + half - 1]));
                }
                before[j] = x[high];
                x[low] = xor(x[low], up::<S>(x[high], left));
                if wraps && BACK {
                    x[high] = xor(x[high], up::<S>(zero(), last[j + half - 1]));
                }
            }
        }

        /// Four levels of Taylor's rule at one place of sixteen rows, by shifts of 8 UNIT bits and less.
        $(#[$level])*
        #[inline]
        fn taylor16<const BACK: bool, const FIRST: bool, const UNIT: i32>(
            x: &mut [V; 16],
            before: &mut [[V; 8]; 4],
        ) {
            match (UNIT, BACK) {
                (1, false) => {
                    taylor::<false, FIRST, 3, 8>(x, &mut before[3]);
                    taylor::<false, FIRST, 2, 4>(x, &mut before[2]);
                    taylor::<false, FIRST, 1, 2>(x, &mut before[1]);
                    taylor::<false, FIRST, 0, 1>(x, &mut before[0]);
                }
                (1, true) => {
                    taylor::<true, FIRST, 0, 1>(x, &mut before[0]);
                    taylor::<true, FIRST, 1, 2>(x, &mut before[1]);
                    taylor::<true, FIRST, 2, 4>(x, &mut before[2]);
                    taylor::<true, FIRST, 3, 8>(x, &mut before[3]);
                }
                (_, false) => {
                    taylor::<false, FIRST, 3, 128>(x, &mut before[3]);
                    taylor::<false, FIRST, 2, 64>(x, &mut before[2]);
                    taylor::<false, FIRST, 1, 32>(x, &mut before[1]);
                    taylor::<false, FIRST, 0, 16>(x, &mut before[0]);
                }
                (_, true) => {
                    taylor::<true, FIRST, 0, 16>(x, &mut before[0]);
                    taylor::<true, FIRST, 1, 32>(x, &mut before[1]);
                    taylor::<true, FIRST, 2, 64>(x, &mut before[2]);
                    taylor::<true, FIRST, 3, 128>(x, &mut before[3]);
                }
            }
        }

        /// The vectors at line `at` of sixteen rows PITCH lines apart; those that PART lacks are zeros.
        $(#[$level])*
        #[inline]
        fn sixteen<const PITCH: usize, const PART: usize>(rows: &[Line], at: usize) -> [V; 16] {
            let (rows, mut x) = (&rows[at..at + 15 * PITCH + 1], [zero(); 16]);
            for (row, x) in x.iter_mut().enumerate() {
                if has(PART, row) {
                    *x = load(rows, row * PITCH);
                }
            }
            x
        }

        $(#[$level])*
        #[inline]
        fn store_sixteen<const PITCH: usize, const PART: usize>(rows: &mut [Line], at: usize, x: &[V; 16]) {
            let rows = &mut rows[at..at + 15 * PITCH + 1];
            for (row, x) in x.iter().enumerate() {
                if has(PART, row) {
                    store(rows, row * PITCH, *x);
                }
            }
        }

        /// Expands sixteen rows against each other; ALL: there are no more rows, so convert between them, too.
        $(#[$level])*
        fn expand<const ALL: bool, const PART: usize>(rows: &mut [Line]) {
            let mut before = [[zero(); 8]; 4];
            // What leaves a row at its top is known from its last vector alone.
            taylor16::<false, false, 1>(&mut sixteen::<PITCH, PART>(rows, ROW - 1), &mut before);
            let mut x = sixteen::<PITCH, PART>(rows, 0);
            taylor16::<false, true, 1>(&mut x, &mut before);
            for at in 0..ROW {
                if ALL {
                    convert16::<false>(&mut x);
                }
                store_sixteen::<PITCH, PART>(rows, at, &x);
                if at + 1 < ROW {
                    x = sixteen::<PITCH, PART>(rows, at + 1);
                    taylor16::<false, false, 1>(&mut x, &mut before);
                }
            }
        }

        /// The inverse of [`expand`].
        $(#[$level])*
        fn contract<const ALL: bool, const PART: usize>(rows: &mut [Line]) {
            let mut before = [[zero(); 8]; 4];
            let mut x = sixteen::<PITCH, PART>(rows, ROW - 1);
            if ALL {
                convert16::<true>(&mut x);
            }
            taylor16::<true, false, 1>(&mut x, &mut before);
            x = sixteen::<PITCH, PART>(rows, 0);
            if ALL {
                convert16::<true>(&mut x);
            }
            taylor16::<true, true, 1>(&mut x, &mut before);
            for at in 0..ROW {
                store_sixteen::<PITCH, PART>(rows, at, &x);
                if at + 1 < ROW {
                    x = sixteen::<PITCH, PART>(rows, at + 1);
                    if ALL {
                        convert16::<true>(&mut x);
                    }
                    taylor16::<true, false, 1>(&mut x, &mut before);
                }
            }
        }

        /// Expands sixteen parts of sixteen rows against each other, by shifts of 128 bits and less.
        $(#[$level])*
        fn expand_top<const PART: usize>(work: &mut [Line]) {
            let mut before = [[zero(); 8]; 4];
            let last = 15 * PITCH + ROW - 1;
            taylor16::<false, false, 16>(&mut sixteen::<{ 16 * PITCH }, PART>(work, last), &mut before);
            for row in 0..16 {
                for at in row * PITCH..row * PITCH + ROW {
                    let mut x = sixteen::<{ 16 * PITCH }, PART>(work, at);
                    if at == 0 {
                        taylor16::<false, true, 16>(&mut x, &mut before);
                    } else {
                        taylor16::<false, false, 16>(&mut x, &mut before);
                    }
                    store_sixteen::<{ 16 * PITCH }, PART>(work, at, &x);
                }
            }
        }

        /// The inverse of [`expand_top`].
        $(#[$level])*
        fn contract_top<const PART: usize>(work: &mut [Line]) {
            let mut before = [[zero(); 8]; 4];
            let last = 15 * PITCH + ROW - 1;
            taylor16::<true, false, 16>(&mut sixteen::<{ 16 * PITCH }, PART>(work, last), &mut before);
            for row in 0..16 {
                for at in row * PITCH..row * PITCH + ROW {
                    let mut x = sixteen::<{ 16 * PITCH }, PART>(work, at);
                    if at == 0 {
                        taylor16::<true, true, 16>(&mut x, &mut before);
                    } else {
                        taylor16::<true, false, 16>(&mut x, &mut before);
                    }
                    store_sixteen::<{ 16 * PITCH }, PART>(work, at, &x);
                }
            }
        }

        /// Expands sixteen parts of LENGTH lines against each other, or back, where they lie, by shifts of 128
        /// bits and less.
        $(#[$level])*
        fn expand_in_place<const BACK: bool, const LENGTH: usize>(bits: &mut [Line]) {
            let mut before = [[zero(); 8]; 4];
            taylor16::<BACK, false, 16>(&mut sixteen::<LENGTH, WHOLE>(bits, LENGTH - 1), &mut before);
            let mut x = sixteen::<LENGTH, WHOLE>(bits, 0);
            taylor16::<BACK, true, 16>(&mut x, &mut before);
            store_sixteen::<LENGTH, WHOLE>(bits, 0, &x);
            for at in 1..LENGTH {
                let mut x = sixteen::<LENGTH, WHOLE>(bits, at);
                taylor16::<BACK, false, 16>(&mut x, &mut before);
                store_sixteen::<LENGTH, WHOLE>(bits, at, &x);
            }
        }

        /// Adds COUNT items to others.
        $(#[$level])*
        #[inline]
        fn add<const FROM: usize, const TO: usize, const COUNT: usize>(x: &mut [V]) {
            for e in 0..COUNT {
                x[TO + e] = xor(x[TO + e], x[FROM + e]);
            }
        }

        /// Converts sixteen coefficients: Taylor's rule at y⁴ + y, then at y² + y among fours and within.
        $(#[$level])*
        #[inline]
        fn convert16<const BACK: bool>(x: &mut [V; 16]) {
            if BACK {
                convert_fours::<true>(x);
                add::<8, 4, 4>(x);
                add::<12, 8, 4>(x);
                convert_eight::<true>(&mut x[..8]);
                convert_eight::<true>(&mut x[8..]);
                add::<8, 2, 6>(x);
                add::<14, 8, 2>(x);
            } else {
                add::<14, 8, 2>(x);
                add::<8, 2, 6>(x);
                convert_eight::<false>(&mut x[..8]);
                convert_eight::<false>(&mut x[8..]);
                add::<12, 8, 4>(x);
                add::<8, 4, 4>(x);
                convert_fours::<false>(x);
            }
        }

        $(#[$level])*
        #[inline]
        fn convert_eight<const BACK: bool>(x: &mut [V]) {
            if BACK {
                add::<4, 1, 3>(x);
                add::<7, 4, 1>(x);
            } else {
                add::<7, 4, 1>(x);
                add::<4, 1, 3>(x);
            }
        }

        $(#[$level])*
        #[inline]
        fn convert_fours<const BACK: bool>(x: &mut [V]) {
            for four in x.chunks_exact_mut(4) {
                if BACK {
                    add::<2, 1, 1>(four);
                    add::<3, 2, 1>(four);
                } else {
                    add::<3, 2, 1>(four);
                    add::<2, 1, 1>(four);
                }
            }
        }

        /// Taylor's rule at y^16 + y for 256 items of ITEM lines, depth first.
        $(#[$level])*
        fn taylor256<const BACK: bool, const ITEM: usize>(x: &mut [Line]) {
            if !BACK {
                taylor256_level::<false, ITEM>(x, 3);
            }
            for x in x.chunks_exact_mut(128 * ITEM) {
                if !BACK {
                    taylor256_level::<false, ITEM>(x, 2);
                }
                for x in x.chunks_exact_mut(64 * ITEM) {
                    for level in 0..2 {
                        taylor256_level::<BACK, ITEM>(x, if BACK { level } else { 1 - level });
                    }
                }
                if BACK {
                    taylor256_level::<true, ITEM>(x, 2);
                }
            }
            if BACK {
                taylor256_level::<true, ITEM>(x, 3);
            }
        }

        $(#[$level])*
        #[inline]
        fn taylor256_level<const BACK: bool, const ITEM: usize>(x: &mut [Line], i: usize) {
            let (half, shift) = (ITEM << (4 + i), ITEM << i);
            for block in x.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                if BACK {
                    add_lines(&mut low[shift..], high);
                }
                let (first, last) = high.split_at_mut(half - shift);
                add_lines(first, last);
                if !BACK {
                    add_lines(&mut low[shift..], high);
                }
            }
        }

        /// Converts sixteen items of ITEM lines, PITCH lines apart.
        $(#[$level])*
        #[inline]
        fn convert_items<const BACK: bool, const ITEM: usize, const PITCH: usize>(x: &mut [Line]) {
            for at in 0..ITEM {
                let mut rows = sixteen::<PITCH, WHOLE>(x, at);
                convert16::<BACK>(&mut rows);
                store_sixteen::<PITCH, WHOLE>(x, at, &rows);
            }
        }

        /// Converts between 256 rows, place by place: Taylor's rule, then the upper and the lower four index bits, the
        /// first and the last steps on the way from and to the rows.
        $(#[$level])*
        fn convert_rows<const PART: usize>(work: &mut [Line], column: &mut [Line]) {
            for at in 0..ROW {
                let (low, high) = column[..256].split_at_mut(128);
                let row = |number: usize| {
                    // Of so many rows the processor does not see that the next line follows.
                    prefetch(&work[number * PITCH + at + 1]);
                    load(work, number * PITCH + at)
                };
                if PART == WHOLE {
                    for (number, line) in high.iter_mut().enumerate() {
                        put(line, row(128 + number));
                    }
                    let (first, last) = high.split_at_mut(120);
                    add_lines(first, last);
                    for number in 8..128 {
                        put(&mut low[number], xor(row(number), get(&high[number - 8])));
                    }
                    (0..8).for_each(|number| put(&mut low[number], row(number)));
                } else {
                    low.iter_mut().enumerate().for_each(|(number, line)| put(line, row(number)));
                }
                let used = if PART == WHOLE { 256 } else { 128 };
                (0..3).rev().for_each(|i| taylor256_level::<false, 1>(&mut column[..used], i));
                for low in 0..16 {
                    let mut x = sixteen::<16, PART>(column, low);
                    convert16::<false>(&mut x);
                    store_sixteen::<16, PART>(column, low, &x);
                }
                for (sixteen_rows, x) in work.chunks_exact_mut(16 * PITCH).zip(column[..used].chunks_exact(16)) {
                    let mut x = sixteen::<1, WHOLE>(x, 0);
                    convert16::<false>(&mut x);
                    store_sixteen::<PITCH, WHOLE>(sixteen_rows, at, &x);
                }
            }
        }

        /// The inverse of [`convert_rows`].
        $(#[$level])*
        fn convert_rows_back<const PART: usize>(work: &mut [Line], column: &mut [Line]) {
            let first = if PART == WHOLE { 0 } else { 8 };
            for at in 0..ROW {
                for (sixteen_rows, column) in work.chunks_exact(16 * PITCH).zip(column.chunks_exact_mut(16)).skip(first) {
                    let mut x = sixteen::<PITCH, WHOLE>(sixteen_rows, at);
                    convert16::<true>(&mut x);
                    store_sixteen::<1, WHOLE>(column, 0, &x);
                }
                for low in 0..16 {
                    let mut x = sixteen::<16, PART>(column, low);
                    convert16::<true>(&mut x);
                    store_sixteen::<16, PART>(column, low, &x);
                }
                (0..3).for_each(|i| taylor256_level::<true, 1>(&mut column[16 * first..256], i));
                let (low, high) = column[..256].split_at_mut(128);
                let mut put_row = |number: usize, value: V| store(work, number * PITCH + at, value);
                if PART == WHOLE {
                    (0..8).for_each(|number| put_row(number, get(&low[number])));
                    (8..128).for_each(|number| put_row(number, xor(get(&low[number]), get(&high[number - 8]))));
                }
                (0..8).for_each(|number| put_row(128 + number, xor(get(&high[number]), get(&high[120 + number]))));
                (8..128).for_each(|number| put_row(128 + number, get(&high[number])));
            }
        }

        /// Converts the index bits 8 to 15 of a row.
        ///
        /// In between, its halves lie side by side in the vectors, so that a unit of 2^8 bits never shares
        /// a vector with the next: see [`unit`].
        $(#[$level])*
        fn convert_row<const BACK: bool>(row: &mut [Line; ROW]) {
            if BACK {
                (0..8).for_each(|s| convert_low::<true>(row, s));
                (0..16).for_each(|low| convert_high::<true>(row, low));
                taylor_units::<true>(row);
                (0..8).for_each(|s| expand_pair::<true>(row, s));
                expand_in_place::<true, { ROW / 16 }>(row);
            } else {
                expand_in_place::<false, { ROW / 16 }>(row);
                (0..8).for_each(|s| expand_pair::<false>(row, s));
                taylor_units::<false>(row);
                (0..16).for_each(|low| convert_high::<false>(row, low));
                (0..8).for_each(|s| convert_low::<false>(row, s));
            }
        }

        /// The line of units u of both halves, u counting the index bits 8 to 14: bits 9 to 14, then 8.
        #[inline]
        fn unit(u: usize) -> usize {
            (u & 1) << 6 | u >> 1 & 63
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
        fn expand_pair<const BACK: bool>(row: &mut [Line; ROW], s: usize) {
            let mut x = [zero(); 16];
            for j in 0..8 {
                let (a, b) = (load(row, 8 * (s & 7) | j), load(row, 64 | 8 * (s & 7) | j));
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
                store(row, 8 * (s & 7) | j, a);
                store(row, 64 | 8 * (s & 7) | j, b);
            }
        }

        /// Taylor's rule at y^16 + y among the 256 units of a row; of the units by [`unit`], the even ones
        /// come first and move as far as the odd ones.
        $(#[$level])*
        fn taylor_units<const BACK: bool>(row: &mut [Line; ROW]) {
            if BACK {
                taylor_neighbours::<true>(row);
                for units in row.as_chunks_mut::<{ ROW / 2 }>().0 {
                    taylor_apart::<true, 16, 1>(units);
                    taylor_apart::<true, 32, 2>(units);
                    taylor_halves::<true>(units);
                }
            } else {
                for units in row.as_chunks_mut::<{ ROW / 2 }>().0 {
                    taylor_halves::<false>(units);
                    taylor_apart::<false, 32, 2>(units);
                    taylor_apart::<false, 16, 1>(units);
                }
                taylor_neighbours::<false>(row);
            }
        }

        /// The first level: the upper half of the vectors against the lower, eight units apart.
        $(#[$level])*
        #[inline]
        fn taylor_halves<const BACK: bool>(units: &mut [Line; ROW / 2]) {
            for _ in 0..usize::from(!BACK) {
                taylor_halves_wrap(units);
            }
            for u in 0..60 {
                let sum = xor(load(units, u + 4), upper_to_lower(load(units, u)));
                store(units, u + 4, sum);
            }
            for _ in 0..usize::from(BACK) {
                taylor_halves_wrap(units);
            }
        }

        $(#[$level])*
        #[inline]
        fn taylor_halves_wrap(units: &mut [Line; ROW / 2]) {
            for u in 0..4 {
                let sum = xor(load(units, u), keep_upper(load(units, u + 60)));
                store(units, u, sum);
            }
        }

        /// A level between blocks of HALF lines, SHIFT apart.
        $(#[$level])*
        #[inline]
        fn taylor_apart<const BACK: bool, const HALF: usize, const SHIFT: usize>(units: &mut [Line; ROW / 2]) {
            for block in units.chunks_exact_mut(2 * HALF) {
                let (low, high) = block.split_at_mut(HALF);
                if BACK {
                    add_lines(&mut low[SHIFT..], &high[..HALF - SHIFT]);
                }
                let (first, last) = high.split_at_mut(HALF - SHIFT);
                add_lines(first, &last[..SHIFT]);
                if !BACK {
                    add_lines(&mut low[SHIFT..], &high[..HALF - SHIFT]);
                }
            }
        }

        /// The last level, one unit apart: even ones are added to odd ones and odd ones to even ones.
        $(#[$level])*
        #[inline]
        fn taylor_neighbours<const BACK: bool>(row: &mut [Line; ROW]) {
            let (even, odd) = row.split_at_mut(ROW / 2);
            for (even, odd) in even.chunks_exact_mut(16).zip(odd.chunks_exact_mut(16)) {
                let ((even_low, even_high), (odd_low, odd_high)) = (even.split_at_mut(8), odd.split_at_mut(8));
                if BACK {
                    add_lines(odd_low, even_high);
                    add_lines(&mut even_low[1..], &odd_high[..7]);
                    add_lines(&mut even_high[..1], &odd_high[7..]);
                } else {
                    add_lines(&mut even_high[..1], &odd_high[7..]);
                    add_lines(odd_low, even_high);
                    add_lines(&mut even_low[1..], &odd_high[..7]);
                }
            }
        }

        /// Adds lines to as many others.
        $(#[$level])*
        #[inline]
        fn add_lines(to: &mut [Line], from: &[Line]) {
            for (to, from) in to.iter_mut().zip(from) {
                put(to, xor(get(to), get(from)));
            }
        }

        /// Converts the index bits 12 to 15, the highest choosing the half of the vectors.
        $(#[$level])*
        fn convert_high<const BACK: bool>(row: &mut [Line; ROW], low: usize) {
            let mut x = [zero(); 8];
            for (e, x) in x.iter_mut().enumerate() {
                *x = load(row, unit(e << 4 | low));
            }
            if BACK {
                convert_fours::<true>(&mut x);
                for e in (0..4).rev() {
                    x[4 + e] = xor(x[4 + e], upper_to_lower(x[e]));
                    x[e] = xor(x[e], keep_upper(x[4 + e]));
                }
                convert_eight::<true>(&mut x);
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
                convert_eight::<false>(&mut x);
                for e in 0..4 {
                    x[e] = xor(x[e], keep_upper(x[4 + e]));
                    x[4 + e] = xor(x[4 + e], upper_to_lower(x[e]));
                }
                convert_fours::<false>(&mut x);
            }
            for (e, x) in x.iter().enumerate() {
                store(row, unit(e << 4 | low), *x);
            }
        }

        /// Converts the index bits 8 to 11 in both halves, from the places of [`unit`] to where rows have
        /// them; or back.
        $(#[$level])*
        fn convert_low<const BACK: bool>(row: &mut [Line; ROW], s: usize) {
            let mut x = [zero(); 16];
            for j in 0..8 {
                let (a, b) = (load(row, 8 * (s & 7) | j), load(row, 64 | 8 * (s & 7) | j));
                [x[2 * j], x[2 * j + 1]] = if BACK { [lower(a, b), upper(a, b)] } else { [a, b] };
            }
            convert16::<BACK>(&mut x);
            for j in 0..8 {
                let (a, b) = (x[2 * j], x[2 * j + 1]);
                let [a, b] = if BACK { [a, b] } else { [lower(a, b), upper(a, b)] };
                store(row, 8 * (s & 7) | j, a);
                store(row, 64 | 8 * (s & 7) | j, b);
            }
        }
    };
}

pub(super) use basis_change;
