//! The layers from 12 on, two at a time and depth first, products by value, and the three transforms as a whole.
//!
//! A cell is two vectors, the byte planes of GF(2^16); from layer 16 on values are pairs of cells, half a
//! block apart. The conversion of the index bits 0 to 7 waits until here, where those bits number cells.

/// Lines of a cell.
pub(super) const CELL: usize = 2;

/// Factors of Karatsuba's rule for an element of GF(2^32), twice.
pub(super) const FACTORS: usize = 9;

/// Lines that a factor takes at most.
pub(super) const MOST_SHARES: usize = 3;

/// Cells that are asked for at a time.
pub(super) const AHEAD: usize = 8;

/// Pairs of cells whose last, or last but four, layers are done at once.
pub(super) const PAIRS: usize = 16;

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! layers {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::Taken;
        use crate::gf2x::fourier::layers::{AHEAD, CELL, FACTORS, PAIRS};

        /// Coefficients to values.
        $(#[$level])*
        pub(super) fn forward(tables: &Tables, input: Rows<'_>, values: &mut [u64], scratch: &mut [u64]) {
            let tables = written(tables);
            let (field, log) = (Field::new(tables), tables.log());
            let (values, work, column) = crate::gf2x::fourier::lines(tables, values, scratch);
            change_rows(log, input, work, column);
            if 2 * input.count > 1 << (log - 16) {
                pack::<WHOLE>(&field, log, work, values);
            } else {
                pack::<LOWER>(&field, log, work, values);
            }
            let cells = &mut work[..values.len()];
            spread::<false>(&field, tables, values, cells, column);
            let half = values.len() / 2;
            for (c, (cells, values)) in cells.chunks_mut(half).zip(values.chunks_mut(half)).enumerate() {
                let (i, mask) = (log - 12, (c as u32) << (log - 3));
                if log == 20 {
                    cells.chunks_mut(256 * CELL).for_each(|cells| convert_upper::<false>(cells));
                }
                first_layers::<false>(&field, tables, cells, values, mask);
                for (quarter, values) in values.chunks_exact_mut(half / 4).enumerate() {
                    layers16::<false>(&field, tables, values, mask | quarter_mask(i, quarter), column);
                }
            }
        }

        /// Values to coefficients.
        $(#[$level])*
        pub(super) fn inverse(tables: &Tables, values: &mut [u64], output: Taken<'_>, scratch: &mut [u64]) {
            let (tables, Taken { first, take }) = (written(tables), output);
            let (field, log) = (Field::new(tables), tables.log());
            let (values, work, column) = crate::gf2x::fourier::lines(tables, values, scratch);
            let (cells, half) = (&mut work[..values.len()], values.len() / 2);
            for (c, (cells, values)) in cells.chunks_mut(half).zip(values.chunks_mut(half)).enumerate() {
                let (i, mask) = (log - 12, (c as u32) << (log - 3));
                for (quarter, values) in values.chunks_exact_mut(half / 4).enumerate() {
                    layers16::<true>(&field, tables, values, mask | quarter_mask(i, quarter), column);
                }
                first_layers::<true>(&field, tables, values, cells, mask);
                if log == 20 {
                    cells.chunks_mut(256 * CELL).for_each(|cells| convert_upper::<true>(cells));
                }
            }
            spread::<true>(&field, tables, values, cells, column);
            if 2 * first < 1 << (log - 16) {
                unpack::<WHOLE>(&field, log, values, work);
            } else {
                unpack::<UPPER>(&field, log, values, work);
            }
            change_rows_back(log, first, work, column);
            for (number, row) in work.chunks_exact(PITCH).enumerate().skip(first) {
                take(number, row[..ROW].as_flattened());
            }
        }

        /// The twiddle vectors of a layer: the part all lanes share, and each lane's own.
        $(#[$level])*
        #[inline]
        fn vectors(tables: &Tables, i: usize, shared: u32) -> [V; 4] {
            let lanes = &tables.lanes[i];
            let mut t = [zero(); 4];
            for (plane, t) in t.iter_mut().enumerate() {
                *t = xor(all(tables.plane(shared, plane)), bytes(&lanes[plane]));
            }
            t
        }

        /// One butterfly over GF(2^16).
        $(#[$level])*
        #[inline]
        fn butterfly16<const BACK: bool>(field: &Field<'_>, a: &mut [V; 2], b: &mut [V; 2], t: &Pair) {
            if BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1])];
            }
            let product = t.times(field, *b);
            *a = [xor(a[0], product[0]), xor(a[1], product[1])];
            if !BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1])];
            }
        }

        /// Two layers over GF(2^16) on four cells: the upper one's factor, and the lower one's by the upper bit.
        $(#[$level])*
        #[inline]
        fn two_layers16<const BACK: bool>(field: &Field<'_>, x: [[V; 2]; 4], t: &[Pair; 3]) -> [[V; 2]; 4] {
            let [mut a, mut b, mut c, mut d] = x;
            if BACK {
                butterfly16::<true>(field, &mut a, &mut b, &t[1]);
                butterfly16::<true>(field, &mut c, &mut d, &t[2]);
            }
            butterfly16::<BACK>(field, &mut a, &mut c, &t[0]);
            butterfly16::<BACK>(field, &mut b, &mut d, &t[0]);
            if !BACK {
                butterfly16::<false>(field, &mut a, &mut b, &t[1]);
                butterfly16::<false>(field, &mut c, &mut d, &t[2]);
            }
            [a, b, c, d]
        }

        /// The factors of the layers i and i − 1.
        $(#[$level])*
        fn pairs(field: &Field<'_>, tables: &Tables, i: usize, mask: u32) -> [Pair; 3] {
            let pair = |i: usize, mask: u32| {
                let [t0, t1, ..] = vectors(tables, i, tables.twiddle(i, mask));
                Pair::new(field, [t0, t1])
            };
            [pair(i, mask), pair(i - 1, mask), pair(i - 1, mask | 1 << i)]
        }

        /// The index bits i and i − 1 of a quarter.
        fn quarter_mask(i: usize, quarter: usize) -> u32 {
            ((quarter >> 1) << i | (quarter & 1) << (i - 1)) as u32
        }

        /// Layers 12 and 13 of a half, from one buffer to another.
        $(#[$level])*
        fn first_layers<const BACK: bool>(field: &Field<'_>, tables: &Tables, from: &[Line], to: &mut [Line], mask: u32) {
            let (quarter, t) = (from.len() / 4, pairs(field, tables, tables.log() - 12, mask));
            let mut parts = to.chunks_exact_mut(quarter);
            let mut to: [&mut [Line]; 4] = std::array::from_fn(|_| parts.next().unwrap_or_default());
            for at in (0..quarter).step_by(CELL) {
                let cell = |part: usize| [load(from, part * quarter + at), load(from, part * quarter + at + 1)];
                let x = two_layers16::<BACK>(field, [cell(0), cell(1), cell(2), cell(3)], &t);
                for (to, x) in to.iter_mut().zip(x) {
                    store(to, at, x[0]);
                    store(to, at + 1, x[1]);
                }
            }
        }

        /// Layers 14 and 15 of a quarter, then layer 16 and each block's layers over GF(2^32).
        $(#[$level])*
        fn layers16<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            cells: &mut [Line],
            mask: u32,
            group: &mut [Line],
        ) {
            let (i, quarter) = (tables.log() - 14, cells.len() / 4);
            if !BACK {
                in_place::<false>(field, tables, cells, i, mask);
            }
            let mut factors = group_factors(field, tables, 0, mask);
            for (number, cells) in cells.chunks_exact_mut(quarter).enumerate() {
                let mask = mask | quarter_mask(i, number);
                if i > 8 {
                    factors = group_factors(field, tables, 0, mask);
                }
                sixteenth_layer::<BACK>(field, tables, cells, mask, (&factors, group));
            }
            if BACK {
                in_place::<true>(field, tables, cells, i, mask);
            }
        }

        /// Layers i and i − 1 over GF(2^16).
        $(#[$level])*
        fn in_place<const BACK: bool>(field: &Field<'_>, tables: &Tables, cells: &mut [Line], i: usize, mask: u32) {
            let (quarter, t) = (cells.len() / 4, pairs(field, tables, i, mask));
            for at in (0..quarter).step_by(CELL) {
                let cell = |part: usize| [load(cells, part * quarter + at), load(cells, part * quarter + at + 1)];
                let x = two_layers16::<BACK>(field, [cell(0), cell(1), cell(2), cell(3)], &t);
                for (part, x) in x.into_iter().enumerate() {
                    store(cells, part * quarter + at, x[0]);
                    store(cells, part * quarter + at + 1, x[1]);
                }
            }
        }

        /// Layer 16, which keeps one of two conjugates, and the layers below it.
        $(#[$level])*
        fn sixteenth_layer<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            cells: &mut [Line],
            mask: u32,
            (factors, group): (&[Factor; 4], &mut [Line]),
        ) {
            let i = tables.log() - 16;
            let [t0, t1, ..] = vectors(tables, i, tables.chosen(i, mask));
            let t = Pair::new(field, [t0, t1]);
            let (low, high) = cells.split_at_mut(cells.len() / 2);
            if BACK {
                layers32::<true>(field, tables, (low, high), mask, (factors, group));
            }
            for at in (0..low.len()).step_by(CELL) {
                let product = t.times(field, [load(high, at), load(high, at + 1)]);
                store(low, at, xor(load(low, at), product[0]));
                store(low, at + 1, xor(load(low, at + 1), product[1]));
            }
            if !BACK {
                layers32::<false>(field, tables, (low, high), mask, (factors, group));
            }
        }

        /// Taylor's rule among 256 cells, and the conversion of their index bits 4 to 7; those below wait for
        /// [`sixteen_pairs`].
        $(#[$level])*
        fn convert_upper<const BACK: bool>(cells: &mut [Line]) {
            if !BACK {
                taylor256::<false, CELL>(cells);
            }
            for low in 0..16 {
                convert_items::<BACK, CELL, { 16 * CELL }>(&mut cells[low * CELL..]);
            }
            if BACK {
                taylor256::<true, CELL>(cells);
            }
        }

        /// The layers over GF(2^32); the planes 0, 1 lie in one slice, 2, 3 in the other.
        $(#[$level])*
        fn layers32<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            halves: (&mut [Line], &mut [Line]),
            mask: u32,
            (factors, group): (&[Factor; 4], &mut [Line]),
        ) {
            let (low, high) = halves;
            let upper = low.len() > PAIRS * CELL;
            if upper && !BACK {
                taylor256::<false, CELL>(low);
                taylor256::<false, CELL>(high);
                upper_layers::<false>(field, tables, (low, high), mask, group);
            }
            let sixteens = low.chunks_exact_mut(PAIRS * CELL).zip(high.chunks_exact_mut(PAIRS * CELL));
            for (number, (low, high)) in sixteens.enumerate() {
                let block = (mask as usize >> 4 & 15) + number;
                sixteen_pairs::<BACK, CELL>(field, (tables, factors), block, (low, high), group);
            }
            if upper && BACK {
                upper_layers::<true>(field, tables, (low, high), mask, group);
                taylor256::<true, CELL>(low);
                taylor256::<true, CELL>(high);
            }
        }

        /// The index bits 4 to 7 of 256 pairs of cells.
        $(#[$level])*
        fn upper_layers<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            halves: (&mut [Line], &mut [Line]),
            mask: u32,
            group: &mut [Line],
        ) {
            let (low, high) = halves;
            let factors = group_factors(field, tables, 4, mask);
            for at in (0..PAIRS * CELL).step_by(CELL) {
                let halves = (&mut low[at..], &mut high[at..]);
                sixteen_pairs::<BACK, { PAIRS * CELL }>(field, (tables, &factors), 0, halves, group);
            }
        }

        /// The factors of the layers `first` to `first` + 3, lowest first, where the index bits below 8 are zeros.
        $(#[$level])*
        #[inline]
        fn group_factors(field: &Field<'_>, tables: &Tables, first: usize, mask: u32) -> [Factor; 4] {
            let factor = |i: usize| Factor::new(field, vectors(tables, i, tables.twiddle(i, mask & !255)));
            [factor(first), factor(first + 1), factor(first + 2), factor(first + 3)]
        }

        /// Conversion of four index bits and their layers on the sixteen pairs of cells of a block, STEP lines apart,
        /// by way of `group`.
        ///
        /// Block j of a layer has the first one's twiddle and the sum of v_(1+k) over the bits k of j more, which
        /// lies in GF(2^8).
        $(#[$level])*
        #[inline]
        fn sixteen_pairs<const BACK: bool, const STEP: usize>(
            field: &Field<'_>,
            (tables, factors): (&Tables, &[Factor; 4]),
            block: usize,
            (low, high): (&mut [Line], &mut [Line]),
            group: &mut [Line],
        ) {
            let group: &mut [[Line; 4]; PAIRS] =
                group.as_chunks_mut().0.first_chunk_mut().expect("scratch holds sixteen pairs");
            let (ends, middles) = (4 * block, [block; 4]);
            let [low_two, high_two] = [[&factors[1], &factors[0]], [&factors[3], &factors[2]]];
            if BACK {
                for four in 0..4 {
                    let value = |k: usize| {
                        let at = STEP * (4 * four + k);
                        [load(low, at), load(low, at + 1), load(high, at), load(high, at + 1)]
                    };
                    let x = [value(0), value(1), value(2), value(3)];
                    let x = two_layers32::<true>(field, tables, x, low_two, ends + four);
                    put_four(group, 4 * four, 1, &x);
                }
                for (k, block) in middles.into_iter().enumerate() {
                    let x = two_layers32::<true>(field, tables, get_four(group, k, 4), high_two, block);
                    put_four(group, k, 4, &x);
                }
            }
            for plane in 0..4 {
                let half = if plane < 2 { &mut *low } else { &mut *high };
                if BACK {
                    let mut x = [zero(); 16];
                    for (x, group) in x.iter_mut().zip(&*group) {
                        *x = get(&group[plane & 3]);
                    }
                    convert16::<true>(&mut x);
                    store_sixteen::<STEP, WHOLE>(half, plane % 2, &x);
                } else {
                    let mut x = sixteen::<STEP, WHOLE>(half, plane % 2);
                    convert16::<false>(&mut x);
                    for (x, group) in x.iter().zip(&mut *group) {
                        put(&mut group[plane & 3], *x);
                    }
                }
            }
            if !BACK {
                for (k, block) in middles.into_iter().enumerate() {
                    let x = two_layers32::<false>(field, tables, get_four(group, k, 4), high_two, block);
                    put_four(group, k, 4, &x);
                }
                for four in 0..4 {
                    let x = get_four(group, 4 * four, 1);
                    let x = two_layers32::<false>(field, tables, x, low_two, ends + four);
                    for (k, x) in x.iter().enumerate() {
                        let at = STEP * (4 * four + k);
                        store(low, at, x[0]);
                        store(low, at + 1, x[1]);
                        store(high, at, x[2]);
                        store(high, at + 1, x[3]);
                    }
                }
            }
        }

        /// Four values of a group, from one on and so many apart.
        $(#[$level])*
        #[inline]
        fn get_four(group: &[[Line; 4]; PAIRS], from: usize, apart: usize) -> [[V; 4]; 4] {
            let mut x = [[zero(); 4]; 4];
            for (n, x) in x.iter_mut().enumerate() {
                for (x, line) in x.iter_mut().zip(&group[(from + n * apart) & 15]) {
                    *x = get(line);
                }
            }
            x
        }

        $(#[$level])*
        #[inline]
        fn put_four(group: &mut [[Line; 4]; PAIRS], from: usize, apart: usize, x: &[[V; 4]; 4]) {
            for (n, x) in x.iter().enumerate() {
                for (line, x) in group[(from + n * apart) & 15].iter_mut().zip(x) {
                    put(line, *x);
                }
            }
        }

        /// Two layers over GF(2^32) on four values of the block of that number of the upper layer.
        $(#[$level])*
        #[inline]
        fn two_layers32<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            [mut a, mut b, mut c, mut d]: [[V; 4]; 4],
            [upper, lower]: [&Factor; 2],
            block: usize,
        ) -> [[V; 4]; 4] {
            let (block, first, second) = (block & 127, 2 * block & 127, (2 * block + 1) & 127);
            if BACK {
                butterfly::<true>(field, tables, (&mut a, &mut b), lower, first);
                butterfly::<true>(field, tables, (&mut c, &mut d), lower, second);
            }
            butterfly::<BACK>(field, tables, (&mut a, &mut c), upper, block);
            butterfly::<BACK>(field, tables, (&mut b, &mut d), upper, block);
            if !BACK {
                butterfly::<false>(field, tables, (&mut a, &mut b), lower, first);
                butterfly::<false>(field, tables, (&mut c, &mut d), lower, second);
            }
            [a, b, c, d]
        }

        /// One butterfly over GF(2^32) in the block of that number.
        $(#[$level])*
        #[inline]
        fn butterfly<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            (a, b): (&mut [V; 4], &mut [V; 4]),
            t: &Factor,
            block: usize,
        ) {
            if BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1]), xor(b[2], a[2]), xor(b[3], a[3])];
            }
            let product = t.times(field, tables, *b, block);
            *a = [xor(a[0], product[0]), xor(a[1], product[1]), xor(a[2], product[2]), xor(a[3], product[3])];
            if !BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1]), xor(b[2], a[2]), xor(b[3], a[3])];
            }
        }

        /// For every r, Σ_c x_c · t_(r+terms−1−c) value by value, written over x_r; see the kernel's contract.
        $(#[$level])*
        pub(super) fn convolve(tables: &Tables, t: &[&[u64]], x: &mut [&mut [u64]], terms: usize, scratch: &mut [u64]) {
            let tables = written(tables);
            let (field, half) = (Field::new(tables), CELL << (tables.log() - 16));
            let (scratch, sums) = (scratch.as_chunks_mut().0, t.len() + 1 - terms);
            let (x_here, t_here) = scratch.split_at_mut(4 * terms);
            let t_here = t_here.as_chunks_mut().0.as_chunks_mut().0;
            let (t_here, lines) = (&mut t_here[..t.len()], x[0].len() / 8);
            for block in (0..lines).step_by(2 * half) {
                for at in (block..block + half).step_by(CELL) {
                    let step = at / CELL % AHEAD;
                    ahead(t, at, half, step);
                    for x in x.iter().skip(step).step_by(AHEAD) {
                        ahead_one(x, at, half, step);
                    }
                    for (x, here) in x.iter().zip(x_here.chunks_exact_mut(4)) {
                        collect(x.as_chunks().0, at, half, here);
                    }
                    for (t, here) in t.iter().zip(&mut *t_here) {
                        let mut value = [[0; 8]; 4];
                        collect(t.as_chunks().0, at, half, &mut value);
                        for (lines, factor) in here.iter_mut().zip(factors(&value).as_flattened()) {
                            put_factor(lines, *factor);
                        }
                    }
                    for r in (0..sums).step_by(2) {
                        if r + 1 < sums {
                            let [first, second] = sums_of_products(&field, x_here, &t_here[r..=r + terms]);
                            replace(&mut x[r], at, half, first);
                            replace(&mut x[r + 1], at, half, second);
                        } else {
                            let [last] = sums_of_products(&field, x_here, &t_here[r..r + terms]);
                            replace(&mut x[r], at, half, last);
                        }
                    }
                }
            }
        }

        /// Asks for the lines of the next cells of some values, of others at every step: the processor would not
        /// see so many streams by itself, and memory likes to be read in rows.
        $(#[$level])*
        #[inline]
        fn ahead(values: &[&[u64]], at: usize, half: usize, step: usize) {
            for values in values.iter().skip(step).step_by(AHEAD) {
                ahead_one(values, at, half, step);
            }
        }

        $(#[$level])*
        #[inline]
        fn ahead_one(values: &[u64], at: usize, half: usize, step: usize) {
            let (lines, next) = (values.as_chunks().0, at + CELL * (AHEAD - step));
            let next = if next % (2 * half) < half { next } else { next + half };
            for line in lines.iter().skip(next).take(CELL * AHEAD) {
                prefetch(line);
            }
            for line in lines.iter().skip(next + half).take(CELL * AHEAD) {
                prefetch(line);
            }
        }

        $(#[$level])*
        #[inline]
        fn replace(x: &mut [u64], at: usize, half: usize, sum: [V; 4]) {
            let x = x.as_chunks_mut().0;
            store(x, at, sum[0]);
            store(x, at + 1, sum[1]);
            store(x, at + half, sum[2]);
            store(x, at + half + 1, sum[3]);
        }

        /// Σ_c x_c · t_(k + last − c) for the R values of k, reduced once at the end.
        $(#[$level])*
        #[inline]
        fn sums_of_products<const R: usize>(
            field: &Field<'_>,
            x: &[Line],
            t: &[[[Line; SHARES]; FACTORS]],
        ) -> [[V; 4]; R] {
            let (mut sums, terms) = ([[[zero(); 3]; 3]; R], t.len() + 1 - R);
            for (c, x) in x.chunks_exact(4).enumerate() {
                let x = factors(x);
                for (k, sums) in sums.iter_mut().enumerate() {
                    let t = &t[terms - 1 - c + k];
                    for (place, (sum, x)) in sums.as_flattened_mut().iter_mut().zip(x.as_flattened()).enumerate() {
                        *sum = xor(*sum, mul_factor(*x, &t[place]));
                    }
                }
            }
            let mut values = [[zero(); 4]; R];
            for (value, sums) in values.iter_mut().zip(&sums) {
                *value = reduced(field, sums);
            }
            values
        }

        /// An element from the sums of its low, high and middle products, of which each is three again.
        $(#[$level])*
        #[inline]
        fn reduced(field: &Field<'_>, sums: &[[V; 3]; 3]) -> [V; 4] {
            let mut pairs = [[zero(); 2]; 3];
            for (pair, [low, high, middle]) in pairs.iter_mut().zip(sums) {
                *pair = [xor(*low, field.times_gamma(*high)), xor(*middle, *low)];
            }
            let ([low, _, middle], beta) = (pairs, field.times_beta(pairs[1]));
            [xor(low[0], beta[0]), xor(low[1], beta[1]), xor(middle[0], low[0]), xor(middle[1], low[1])]
        }
        /// The factors of Karatsuba's rule, twice: low, high and their sum of low, high and their sum.
        $(#[$level])*
        #[inline]
        fn factors(value: &[Line]) -> [[V; 3]; 3] {
            let [a, b, c, d] = [load(value, 0), load(value, 1), load(value, 2), load(value, 3)];
            let [ab, cd, ac, bd] = [xor(a, b), xor(c, d), xor(a, c), xor(b, d)];
            [[a, b, ab], [c, d, cd], [ac, bd, xor(ab, cd)]]
        }

        /// The four vectors of a value.
        $(#[$level])*
        #[inline]
        fn collect(values: &[Line], at: usize, half: usize, here: &mut [Line]) {
            store(here, 0, load(values, at));
            store(here, 1, load(values, at + 1));
            store(here, 2, load(values, at + half));
            store(here, 3, load(values, at + half + 1));
        }
    };
}

/// Factors of many elements, by Karatsuba's rule.
macro_rules! karatsuba {
    ($(#[$level:meta])*) => {
        /// x · t in GF(2^16).
        $(#[$level])*
        #[inline]
        fn mul16(field: &Field<'_>, x: [V; 2], t: [V; 2]) -> [V; 2] {
            let (low, high) = (mul(x[0], t[0]), mul(x[1], t[1]));
            let middle = mul(xor(x[0], x[1]), xor(t[0], t[1]));
            [xor(low, field.times_gamma(high)), xor(middle, low)]
        }

        /// A factor of many elements of GF(2^16).
        struct Pair([V; 2]);

        impl Pair {
            $(#[$level])*
            #[inline]
            fn new(_field: &Field<'_>, t: [V; 2]) -> Self {
                Self(t)
            }

            $(#[$level])*
            #[inline]
            fn times(&self, field: &Field<'_>, x: [V; 2]) -> [V; 2] {
                mul16(field, x, self.0)
            }
        }

        /// A factor of many elements of GF(2^32).
        struct Factor([V; 4]);

        impl Factor {
            $(#[$level])*
            #[inline]
            fn new(_field: &Field<'_>, t: [V; 4]) -> Self {
                Self(t)
            }

            /// x by the factor of a block; see [`sixteen_pairs`].
            $(#[$level])*
            #[inline]
            fn times(&self, field: &Field<'_>, tables: &Tables, x: [V; 4], block: usize) -> [V; 4] {
                let mut t = self.0;
                t[0] = xor(t[0], words(tables.sums[block]));
                let low = mul16(field, [x[0], x[1]], [t[0], t[1]]);
                let high = mul16(field, [x[2], x[3]], [t[2], t[3]]);
                let middle = mul16(field, [xor(x[0], x[2]), xor(x[1], x[3])], [xor(t[0], t[2]), xor(t[1], t[3])]);
                let beta = field.times_beta(high);
                [xor(low[0], beta[0]), xor(low[1], beta[1]), xor(middle[0], low[0]), xor(middle[1], low[1])]
            }
        }
    };
}

pub(super) use {karatsuba, layers};
