//! The layers from 12 on, depth first, products by value, and the three transforms as a whole.
//!
//! A cell is two vectors, the byte planes of GF(2^16); from layer 16 on values are pairs of cells, half a
//! block apart. The conversion of the index bits 0 to 7 waits until here, where those bits number cells.

/// Lines of a cell.
pub(super) const CELL: usize = 2;

/// Factors of Karatsuba's rule for an element of GF(2^32), twice.
pub(super) const FACTORS: usize = 9;

/// Cells that are asked for at a time.
pub(super) const AHEAD: usize = 8;

/// Layers done at once at the end.
pub(super) const LEAF: usize = 4;

/// The passes over a rung's vectors; `$level` are the attributes that enable its instructions.
macro_rules! layers {
    ($(#[$level:meta])*) => {
        use crate::gf2x::fourier::Taken;
        use crate::gf2x::fourier::layers::{AHEAD, CELL, FACTORS, LEAF};

        /// Coefficients to values.
        $(#[$level])*
        pub(super) fn forward(tables: &Tables, input: Rows<'_>, values: &mut [u64], scratch: &mut [u64]) {
            let tables = written(tables);
            let (field, log) = (Field::new(tables), tables.log());
            let (values, work, column) = crate::gf2x::fourier::lines(tables, values, scratch);
            change_basis(log, input, work, column);
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
                first_layer::<false>(&field, tables, cells, values, mask);
                let (low, high) = values.split_at_mut(half / 2);
                layers16::<false>(&field, tables, low, i - 1, mask);
                layers16::<false>(&field, tables, high, i - 1, mask | 1 << i);
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
                let (low, high) = values.split_at_mut(half / 2);
                layers16::<true>(&field, tables, low, i - 1, mask);
                layers16::<true>(&field, tables, high, i - 1, mask | 1 << i);
                first_layer::<true>(&field, tables, values, cells, mask);
            }
            spread::<true>(&field, tables, values, cells, column);
            if 2 * first < 1 << (log - 16) {
                unpack::<WHOLE>(&field, log, values, work);
            } else {
                unpack::<UPPER>(&field, log, values, work);
            }
            change_basis_back(log, first, work, column);
            for (number, row) in work.chunks_exact(PITCH).enumerate().skip(first) {
                take(number, row[..ROW].as_flattened());
            }
        }

        impl Field<'_> {
            /// x · t in GF(2^16).
            $(#[$level])*
            #[inline]
            fn mul16(&self, x: [V; 2], t: [V; 2]) -> [V; 2] {
                let (low, high) = (mul(x[0], t[0]), mul(x[1], t[1]));
                let middle = mul(xor(x[0], x[1]), xor(t[0], t[1]));
                [xor(low, self.times_gamma(high)), xor(middle, low)]
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
        fn butterfly16<const BACK: bool>(field: &Field<'_>, a: &mut [V; 2], b: &mut [V; 2], t: [V; 2]) {
            if BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1])];
            }
            let product = field.mul16(*b, t);
            *a = [xor(a[0], product[0]), xor(a[1], product[1])];
            if !BACK {
                *b = [xor(b[0], a[0]), xor(b[1], a[1])];
            }
        }

        /// Layer 12 of a half, from one buffer to another.
        $(#[$level])*
        fn first_layer<const BACK: bool>(field: &Field<'_>, tables: &Tables, from: &[Line], to: &mut [Line], mask: u32) {
            let (i, half) = (tables.log() - 12, from.len() / 2);
            let [t0, t1, ..] = vectors(tables, i, tables.twiddle(i, mask));
            for at in (0..half).step_by(CELL) {
                let mut a = [load(from, at), load(from, at + 1)];
                let mut b = [load(from, half + at), load(from, half + at + 1)];
                butterfly16::<BACK>(field, &mut a, &mut b, [t0, t1]);
                for plane in 0..2 {
                    store(to, at + plane, a[plane]);
                    store(to, half + at + plane, b[plane]);
                }
            }
        }

        /// The layers i and below over GF(2^16), depth first, then each block's layers over GF(2^32).
        $(#[$level])*
        fn layers16<const BACK: bool>(field: &Field<'_>, tables: &Tables, cells: &mut [Line], i: usize, mask: u32) {
            if i == tables.log() - 16 {
                let [t0, t1, ..] = vectors(tables, i, tables.chosen(i, mask));
                let (low, high) = cells.split_at_mut(cells.len() / 2);
                if BACK {
                    layers32::<true>(field, tables, (low, high), i - 1, mask);
                }
                for at in (0..low.len()).step_by(CELL) {
                    let product = field.mul16([load(high, at), load(high, at + 1)], [t0, t1]);
                    store(low, at, xor(load(low, at), product[0]));
                    store(low, at + 1, xor(load(low, at + 1), product[1]));
                }
                if !BACK {
                    layers32::<false>(field, tables, (low, high), i - 1, mask);
                }
                return;
            }
            if i == 7 && !BACK {
                convert256::<false, CELL, { 16 * CELL }>(cells);
            }
            let (low, high) = cells.split_at_mut(cells.len() / 2);
            if BACK {
                layers16::<true>(field, tables, low, i - 1, mask);
                layers16::<true>(field, tables, high, i - 1, mask | 1 << i);
            }
            let [t0, t1, ..] = vectors(tables, i, tables.twiddle(i, mask));
            for at in (0..low.len()).step_by(CELL) {
                let mut a = [load(low, at), load(low, at + 1)];
                let mut b = [load(high, at), load(high, at + 1)];
                butterfly16::<BACK>(field, &mut a, &mut b, [t0, t1]);
                for plane in 0..2 {
                    store(low, at + plane, a[plane]);
                    store(high, at + plane, b[plane]);
                }
            }
            if !BACK {
                layers16::<false>(field, tables, low, i - 1, mask);
                layers16::<false>(field, tables, high, i - 1, mask | 1 << i);
            }
            if i == 7 && BACK {
                convert256::<true, CELL, { 16 * CELL }>(cells);
            }
        }

        /// One butterfly over GF(2^32) at two places; the planes 0, 1 lie in one slice, 2, 3 in the other.
        $(#[$level])*
        #[inline]
        fn butterfly<const BACK: bool>(
            field: &Field<'_>,
            halves: (&mut [Line], &mut [Line]),
            at: usize,
            up: usize,
            t: &Factor,
        ) {
            let (low, high) = halves;
            let (mut a, mut b) = (four(low, high, at), four(low, high, at + up));
            if BACK {
                b = [xor(b[0], a[0]), xor(b[1], a[1]), xor(b[2], a[2]), xor(b[3], a[3])];
            }
            let product = t.times(field, b);
            a = [xor(a[0], product[0]), xor(a[1], product[1]), xor(a[2], product[2]), xor(a[3], product[3])];
            if !BACK {
                b = [xor(b[0], a[0]), xor(b[1], a[1]), xor(b[2], a[2]), xor(b[3], a[3])];
            }
            for (at, x) in [(at, a), (at + up, b)] {
                store(low, at, x[0]);
                store(low, at + 1, x[1]);
                store(high, at, x[2]);
                store(high, at + 1, x[3]);
            }
        }

        $(#[$level])*
        #[inline]
        fn four(low: &[Line], high: &[Line], at: usize) -> [V; 4] {
            [load(low, at), load(low, at + 1), load(high, at), load(high, at + 1)]
        }

        /// The layers i … 0 over GF(2^32), depth first down to the leaves.
        $(#[$level])*
        fn layers32<const BACK: bool>(
            field: &Field<'_>,
            tables: &Tables,
            halves: (&mut [Line], &mut [Line]),
            i: usize,
            mask: u32,
        ) {
            if i + 1 == LEAF {
                leaf::<BACK>(field, tables, halves, mask);
                return;
            }
            let (low, high) = halves;
            if i == 7 && !BACK {
                convert256::<false, CELL, { 16 * CELL }>(low);
                convert256::<false, CELL, { 16 * CELL }>(high);
            }
            let half = low.len() / 2;
            if BACK {
                layers32::<true>(field, tables, (&mut low[..half], &mut high[..half]), i - 1, mask);
                layers32::<true>(field, tables, (&mut low[half..], &mut high[half..]), i - 1, mask | 1 << i);
            }
            let t = Factor::new(field, vectors(tables, i, tables.twiddle(i, mask)));
            for at in (0..half).step_by(CELL) {
                butterfly::<BACK>(field, (low, high), at, half, &t);
            }
            if !BACK {
                layers32::<false>(field, tables, (&mut low[..half], &mut high[..half]), i - 1, mask);
                layers32::<false>(field, tables, (&mut low[half..], &mut high[half..]), i - 1, mask | 1 << i);
            }
            if i == 7 && BACK {
                convert256::<true, CELL, { 16 * CELL }>(low);
                convert256::<true, CELL, { 16 * CELL }>(high);
            }
        }

        /// The last layers on sixteen pairs of cells.
        $(#[$level])*
        fn leaf<const BACK: bool>(field: &Field<'_>, tables: &Tables, halves: (&mut [Line], &mut [Line]), mask: u32) {
            let (low, high) = halves;
            for layer in 0..LEAF {
                let i = if BACK { layer } else { LEAF - 1 - layer };
                let mut t = Factor::new(field, vectors(tables, i, tables.twiddle(i, mask)));
                let blocks = 1usize << (LEAF - 1 - i);
                for block in 0..blocks {
                    let start = block << (i + 1);
                    for cell in start..start + (1 << i) {
                        butterfly::<BACK>(field, (low, high), CELL * cell, CELL << i, &t);
                    }
                    if block + 1 < blocks {
                        // From block j to j + 1 the twiddle changes by v_1 + … + v_(1+k), k the trailing
                        // ones of j.
                        t = t.plus(tables, block.trailing_ones() as usize);
                    }
                }
            }
        }

        /// For every r, Σ_c x_c · t_(r+terms−1−c) value by value, written over x_r; see the kernel's contract.
        $(#[$level])*
        pub(super) fn convolve(tables: &Tables, t: &[&[u64]], x: &mut [&mut [u64]], terms: usize, scratch: &mut [u64]) {
            let tables = written(tables);
            let (field, half) = (Field::new(tables), CELL << (tables.log() - 16));
            let (scratch, sums) = (scratch.as_chunks_mut().0, t.len() + 1 - terms);
            let (x_here, t_here) = scratch.split_at_mut(4 * terms);
            let (t_here, lines) = (&mut t_here.as_chunks_mut().0[..t.len()], x[0].len() / 8);
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
                        for (line, factor) in here.iter_mut().zip(factors(&value).as_flattened()) {
                            put(line, *factor);
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
        fn sums_of_products<const R: usize>(field: &Field<'_>, x: &[Line], t: &[[Line; FACTORS]]) -> [[V; 4]; R] {
            let (mut sums, terms) = ([[[zero(); 3]; 3]; R], t.len() + 1 - R);
            for (c, x) in x.chunks_exact(4).enumerate() {
                let x = factors(x);
                for (k, sums) in sums.iter_mut().enumerate() {
                    let t = &t[terms - 1 - c + k];
                    for (place, (sum, x)) in sums.as_flattened_mut().iter_mut().zip(x.as_flattened()).enumerate() {
                        *sum = xor(*sum, mul(*x, get(&t[place])));
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

/// A factor of many elements, by Karatsuba's rule twice.
macro_rules! karatsuba {
    ($(#[$level:meta])*) => {
        /// A factor of many elements of GF(2^32).
        struct Factor([V; 4]);

        impl Factor {
            $(#[$level])*
            #[inline]
            fn new(_field: &Field<'_>, t: [V; 4]) -> Self {
                Self(t)
            }

            /// With v_1 + … + v_(1+k) more.
            $(#[$level])*
            #[inline]
            fn plus(self, tables: &Tables, k: usize) -> Self {
                let mut t = self.0;
                for (plane, t) in t.iter_mut().enumerate() {
                    *t = xor(*t, all(tables.plane(tables.first_basis_sum(k), plane)));
                }
                Self(t)
            }

            $(#[$level])*
            #[inline]
            fn times(&self, field: &Field<'_>, x: [V; 4]) -> [V; 4] {
                let t = self.0;
                let low = field.mul16([x[0], x[1]], [t[0], t[1]]);
                let high = field.mul16([x[2], x[3]], [t[2], t[3]]);
                let middle = field.mul16([xor(x[0], x[2]), xor(x[1], x[3])], [xor(t[0], t[2]), xor(t[1], t[3])]);
                let beta = field.times_beta(high);
                [xor(low[0], beta[0]), xor(low[1], beta[1]), xor(middle[0], low[0]), xor(middle[1], low[1])]
            }
        }
    };
}

pub(super) use {karatsuba, layers};
