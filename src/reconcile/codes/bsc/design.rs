//! The designer: predicts how degrees decode by density evolution, and evolves degrees.
//!
//! **Prediction** is discretised density evolution (Richardson and Urbanke, IEEE Trans. Inf. Theory 47
//! (2001), 599) of the sum-product rule, all messages of an iteration at once, on graphs without cycles. A
//! message from a bit is a density over L = ln(p₀/p₁), one from a check a density over the sum of
//! φ = −ln tanh(|L|/2) and a sign; sums of independent messages are products of Fourier transforms. Values
//! between two points of a grid are shared among them so that their mean stays. As in the decoder a message
//! from a check is at most 31/4, and φ at most 4.2. The layered decoder needs about half the iterations.
//!
//! **Evolution** (differential, Storn and Price 1997) looks for the degrees of 256 block columns that end in
//! the least work, iterations times edges, at a given leak and efficiency. Among degrees that do not end,
//! those are better that come further. One seed gives one result.

use super::{COLUMNS, SplitMix};

/// Degrees tried. Above 20 the decoder's 8-bit posteriors saturate.
pub const CHOICE: [u32; 9] = [2, 3, 4, 5, 7, 9, 12, 16, 20];
/// Degree distributions that evolve together.
const POPULATION: u32 = 20;
/// Iterations that evolution allows.
const MOST_ITERATIONS: u32 = 110;
/// A decoder has ended when this share of messages is wrong.
const END: f64 = 1e-4;
/// Points of the grid of L, and a unit's: the sum of twenty messages stays inside.
const BIT_POINTS: usize = 4096;
const BIT_STEPS: f64 = 12.0;
/// Points of the grid of φ, and a unit's.
const CHECK_POINTS: usize = 4096;
const CHECK_STEPS: f64 = 128.0;
/// The decoder's limits.
const MOST_PHI: f64 = 4.2;
const MOST_TOLD: f64 = 31.0 / 4.0;

/// Block columns of each degree, of 256 in all.
pub type Degrees = Vec<(u32, u32)>;

/// What degrees are evolved for.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// Block rows for 256 block columns.
    pub checks: u32,
    /// Leak in units of h₂ of the error rate.
    pub efficiency: f64,
    /// Generations of evolution.
    pub generations: u32,
    /// Seed of the evolution.
    pub seed: u64,
}

/// How degrees are predicted to decode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Iterations until the end, if it is reached.
    pub iterations: Option<u32>,
    /// Share of wrong messages when it stopped.
    pub wrong: f64,
}

/// Predicts by transforms whose tables are made once.
pub struct Designer {
    bits: Fourier,
    checks: Fourier,
    /// Where each point of L goes on the grid of φ: place and share of the next place.
    to_checks: Vec<(usize, f64)>,
    /// Where each point of φ goes on the grid of L, likewise.
    to_bits: Vec<(usize, f64)>,
}

impl std::fmt::Debug for Designer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Designer({BIT_POINTS} × {CHECK_POINTS} points)")
    }
}

impl Default for Designer {
    fn default() -> Self {
        Self::new()
    }
}

impl Designer {
    /// Makes the tables.
    #[must_use]
    pub fn new() -> Self {
        let to_checks =
            (0..BIT_POINTS / 2).map(|k| between(phi(k as f64 / BIT_STEPS).min(MOST_PHI) * CHECK_STEPS));
        let to_bits =
            (0..CHECK_POINTS).map(|k| between(phi(k as f64 / CHECK_STEPS).min(MOST_TOLD) * BIT_STEPS));
        Self {
            bits: Fourier::new(BIT_POINTS),
            checks: Fourier::new(CHECK_POINTS),
            to_checks: to_checks.collect(),
            to_bits: to_bits.collect(),
        }
    }

    /// Follows degrees over `checks` block rows at an error rate for at most `most` iterations.
    #[must_use]
    pub fn predict(&self, degrees: &[(u32, u32)], checks: u32, qber: f64, most: u32) -> Prediction {
        let edges: f64 = degrees.iter().map(|(degree, columns)| f64::from(degree * columns)).sum();
        let shares: Vec<(u32, f64)> =
            degrees.iter().map(|(degree, columns)| (*degree, f64::from(degree * columns) / edges)).collect();
        let mut channel = vec![0.0; BIT_POINTS];
        let (place, share) = between(libm::log((1.0 - qber) / qber) * BIT_STEPS);
        for (at, weight) in [(place, 1.0 - share), (place + 1, share)] {
            channel[at] += weight * (1.0 - qber);
            channel[BIT_POINTS - at] += weight * qber;
        }
        let heard = self.bits.forward(&channel);
        let (mut messages, mut before) = (channel, qber);
        for iteration in 1..=most {
            let told = self.checks(&messages, edges / f64::from(checks));
            messages = self.bits(&heard, &told, &shares);
            let wrong = messages[BIT_POINTS / 2..].iter().sum::<f64>() + 0.5 * messages[0];
            if wrong < END {
                return Prediction { iterations: Some(iteration), wrong };
            }
            if iteration > 8 && before - wrong < 1e-3 * wrong {
                return Prediction { iterations: None, wrong };
            }
            before = wrong;
        }
        Prediction { iterations: None, wrong: before }
    }

    /// The highest error rate at which degrees end within `most` iterations, to four digits.
    #[must_use]
    pub fn threshold(&self, degrees: &[(u32, u32)], checks: u32, most: u32) -> f64 {
        let (mut low, mut high) = (1e-4, 0.2);
        while high / low > 1.0003 {
            let middle = 0.5 * (low + high);
            match self.predict(degrees, checks, middle, most).iterations {
                Some(_) => low = middle,
                None => high = middle,
            }
        }
        low
    }

    /// Messages from bits: the channel and all checks but one.
    fn bits(&self, heard: &[Complex], told: &[f64], shares: &[(u32, f64)]) -> Vec<f64> {
        let told = self.bits.forward(told);
        let mix = |(heard, told): (&Complex, &Complex)| {
            let (mut power, mut degree, mut sum) = (*heard, 1, (0.0, 0.0));
            for (own, share) in shares {
                (degree..*own).for_each(|_| power = product(power, *told));
                degree = *own;
                sum = (sum.0 + share * power.0, sum.1 + share * power.1);
            }
            sum
        };
        let mixed = heard.iter().zip(&told).take(BIT_POINTS / 2 + 1).map(mix).collect();
        normal(self.bits.backward(mixed))
    }

    /// Messages from checks of a mean degree: those of the two nearest degrees, mixed.
    fn checks(&self, messages: &[f64], degree: f64) -> Vec<f64> {
        let [mut all, mut signed] = [0; 2].map(|_| vec![0.0; CHECK_POINTS]);
        for (k, (place, share)) in self.to_checks.iter().enumerate() {
            let (right, wrong) = (messages[k], messages[(BIT_POINTS - k) % BIT_POINTS]);
            // At 0 there is no sign.
            let (sum, difference) = if k == 0 { (right, 0.0) } else { (right + wrong, right - wrong) };
            for (at, weight) in [(*place, 1.0 - share), (place + 1, *share)] {
                all[at] += weight * sum;
                signed[at] += weight * difference;
            }
        }
        let few = libm::floor(degree);
        // Of the edges, those that lie on heavier checks.
        let heavier = (degree - few) * (few + 1.0) / degree;
        let others = |values: &[f64]| -> Vec<f64> {
            let mix = |x: &Complex| {
                let power = power(*x, few - 1.0);
                let next = product(power, *x);
                (power.0 + heavier * (next.0 - power.0), power.1 + heavier * (next.1 - power.1))
            };
            self.checks.backward(self.checks.forward(values)[..=CHECK_POINTS / 2].iter().map(mix).collect())
        };
        let (all, signed) = (others(&all), others(&signed));
        let mut told = vec![0.0; BIT_POINTS];
        for ((all, signed), (place, share)) in all.iter().zip(&signed).zip(&self.to_bits) {
            for (at, weight) in [(*place, 1.0 - share), (place + 1, *share)] {
                told[at] += weight * 0.5 * (all + signed).max(0.0);
                told[(BIT_POINTS - at) % BIT_POINTS] += weight * 0.5 * (all - signed).max(0.0);
            }
        }
        normal(told)
    }

    /// Evolves degrees for a goal.
    #[must_use]
    pub fn evolve(&self, goal: &Goal) -> Degrees {
        let mut random = SplitMix(goal.seed);
        let qber = error_rate(f64::from(goal.checks) / f64::from(COLUMNS), goal.efficiency);
        let work = |weights: &[f64]| self.work(&columns_of(weights, goal.checks), goal.checks, qber);
        let mut all: Vec<(f64, Vec<f64>)> = (0..POPULATION)
            .map(|_| START.iter().map(|weight| weight * libm::exp(2.0 * random.unit() - 1.0)).collect())
            .map(|weights: Vec<f64>| (work(&weights), weights))
            .collect();
        for _ in 0..goal.generations {
            for own in 0..all.len() {
                let [a, b, c] = [0; 3].map(|_| random.below(POPULATION) as usize);
                let best = (0..all.len()).min_by(|a, b| all[*a].0.total_cmp(&all[*b].0)).unwrap_or(a);
                let lead = if random.unit() < 0.5 { best } else { a };
                let child: Vec<f64> = (0..CHOICE.len())
                    .map(|k| {
                        let step = all[lead].1[k] + 0.6 * (all[b].1[k] - all[c].1[k]);
                        if random.unit() < 0.8 { step.max(0.0) } else { all[own].1[k] }
                    })
                    .collect();
                let reached = work(&child);
                if reached < all[own].0 {
                    all[own] = (reached, child);
                }
            }
        }
        let best = all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        best.map_or_else(Vec::new, |(_, weights)| columns_of(&weights, goal.checks))
    }

    /// Iterations times edges a bit; above 10⁶ if the end is not reached.
    fn work(&self, degrees: &[(u32, u32)], checks: u32, qber: f64) -> f64 {
        let edges: f64 = degrees.iter().map(|(degree, columns)| f64::from(degree * columns)).sum();
        match self.predict(degrees, checks, qber, MOST_ITERATIONS) {
            Prediction { iterations: Some(iterations), .. } => {
                f64::from(iterations) * edges / f64::from(COLUMNS)
            }
            Prediction { wrong, .. } => 1e6 * (1.0 + wrong),
        }
    }
}

/// Shares of columns that evolution starts around, by [`CHOICE`].
const START: [f64; CHOICE.len()] = [0.10, 0.40, 0.10, 0.02, 0.05, 0.10, 0.08, 0.10, 0.05];

/// Whole block columns nearest to shares: fewer of degree 2 than rows, or they would close cycles of degree 2
/// alone.
fn columns_of(weights: &[f64], checks: u32) -> Degrees {
    let total: f64 = weights.iter().sum::<f64>().max(1e-9);
    let (mut degrees, mut owed, mut given) = (Vec::new(), 0.0, 0);
    for (degree, weight) in CHOICE.iter().zip(weights) {
        owed += weight / total * f64::from(COLUMNS);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 256")]
        let columns = (libm::round(owed) as u32).saturating_sub(given);
        let columns = if *degree == 2 { columns.min(checks - 1) } else { columns };
        given += columns;
        degrees.push((*degree, columns));
    }
    if let Some(three) = degrees.iter_mut().find(|(degree, _)| *degree == 3) {
        three.1 += COLUMNS.saturating_sub(given);
    }
    degrees.retain(|(_, columns)| *columns > 0);
    degrees
}

/// The error rate of which a leak is `efficiency` times h₂.
#[must_use]
pub fn error_rate(leak: f64, efficiency: f64) -> f64 {
    let entropy = |p: f64| -(p * libm::log2(p) + (1.0 - p) * libm::log2(1.0 - p));
    let (mut low, mut high) = (1e-6, 0.5);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if entropy(middle) * efficiency < leak { low = middle } else { high = middle }
    }
    low
}

/// −ln tanh(x/2).
fn phi(x: f64) -> f64 {
    if x > 0.0 { -libm::log(libm::tanh(x / 2.0)) } else { f64::INFINITY }
}

/// The point of a grid below a value, and the value's share of the next one.
fn between(value: f64) -> (usize, f64) {
    let below = libm::floor(value);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "inside the grid")]
    (below as usize, value - below)
}

/// A density again, after rounding errors: powers would make them grow.
fn normal(mut density: Vec<f64>) -> Vec<f64> {
    density.iter_mut().for_each(|weight| *weight = weight.max(0.0));
    let total: f64 = density.iter().sum();
    density.iter_mut().for_each(|weight| *weight /= total);
    density
}

type Complex = (f64, f64);

fn product(a: Complex, b: Complex) -> Complex {
    (a.0 * b.0 - a.1 * b.1, a.0 * b.1 + a.1 * b.0)
}

/// x to a whole power.
fn power(x: Complex, exponent: f64) -> Complex {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a check's degree")]
    let mut left = exponent as u32;
    let (mut square, mut result) = (x, (1.0, 0.0));
    while left > 0 {
        if left & 1 == 1 {
            result = product(result, square);
        }
        square = product(square, square);
        left >>= 1;
    }
    result
}

/// Fourier transforms of one length, a power of two.
struct Fourier {
    roots: Vec<Complex>,
}

impl Fourier {
    fn new(points: usize) -> Self {
        let angle = |k: usize| -2.0 * std::f64::consts::PI * k as f64 / points as f64;
        Self { roots: (0..points / 2).map(|k| (libm::cos(angle(k)), libm::sin(angle(k)))).collect() }
    }

    fn forward(&self, values: &[f64]) -> Vec<Complex> {
        let mut spectrum: Vec<Complex> = values.iter().map(|value| (*value, 0.0)).collect();
        self.transform(&mut spectrum);
        spectrum
    }

    /// The inverse of the first half of a real density's spectrum.
    fn backward(&self, mut spectrum: Vec<Complex>) -> Vec<f64> {
        let points = 2 * self.roots.len();
        let mirrored = |k: usize| (spectrum[points - k].0, -spectrum[points - k].1);
        let other: Vec<Complex> = (points / 2 + 1..points).map(mirrored).collect();
        spectrum.extend(other);
        self.transform(&mut spectrum);
        (0..points).map(|k| spectrum[(points - k) % points].0 / points as f64).collect()
    }

    fn transform(&self, values: &mut [Complex]) {
        let points = values.len();
        let shift = usize::BITS - points.trailing_zeros();
        for k in 0..points {
            let other = k.reverse_bits() >> shift;
            if k < other {
                values.swap(k, other);
            }
        }
        let mut half = 1;
        while half < points {
            let stride = points / (2 * half);
            for block in values.chunks_exact_mut(2 * half) {
                let (low, high) = block.split_at_mut(half);
                for ((a, b), root) in low.iter_mut().zip(high).zip(self.roots.iter().step_by(stride)) {
                    let turned = product(*b, *root);
                    (*a, *b) = ((a.0 + turned.0, a.1 + turned.1), (a.0 - turned.0, a.1 - turned.1));
                }
            }
            half *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_the_published_ones() {
        let designer = Designer::new();
        // Richardson and Urbanke (2001), Table I: (3, 6) 0.084, (4, 8) 0.076.
        for (degree, threshold) in [(3, 0.084), (4, 0.0765)] {
            let ends = |qber: f64| designer.predict(&[(degree, 256)], 128, qber, 300).iterations.is_some();
            assert!(ends(threshold - 1e-3), "({degree}, {}): below {threshold}", 2 * degree);
            assert!(!ends(threshold + 1e-3), "({degree}, {}): above {threshold}", 2 * degree);
        }
    }

    #[test]
    fn the_table_holds_what_the_designer_says() {
        let designer = Designer::new();
        for row in super::super::table::TABLE {
            let columns: u32 = row.columns.iter().map(|(_, columns)| columns).sum();
            assert_eq!(columns, COLUMNS, "{} rows: all columns", row.checks);
            assert!(row.columns.is_sorted(), "{} rows: lightest first", row.checks);
            let light =
                row.columns.iter().find(|(degree, _)| *degree == 2).map_or(0, |(_, columns)| *columns);
            assert!(light < row.checks, "{} rows: an open chain of degree 2", row.checks);
        }
        let row = &super::super::table::TABLE[9];
        let ends = |qber: f64| designer.predict(row.columns, row.checks, qber, 100).iterations.is_some();
        assert!(ends(row.threshold * 0.999), "{} rows: at the threshold", row.checks);
        assert!(!ends(row.threshold * 1.005), "{} rows: above it", row.checks);
    }

    #[test]
    fn evolution_replays_and_meets_its_goal() {
        let designer = Designer::new();
        let goal = Goal { checks: 80, efficiency: 1.5, generations: 1, seed: 3 };
        let degrees = designer.evolve(&goal);
        assert_eq!(degrees.iter().map(|(_, columns)| columns).sum::<u32>(), COLUMNS, "all columns");
        let end = designer.predict(&degrees, 80, error_rate(80.0 / 256.0, 1.5), 110);
        assert!(end.iterations.is_some(), "{degrees:?}: {end:?}");
        assert_eq!(degrees, designer.evolve(&goal), "one seed, one result");
    }
}
