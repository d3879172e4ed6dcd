//! The designer: predicts how a family decodes, and evolves its patterns.
//!
//! **Prediction** is density evolution with one number a kind of message. A message from a bit is
//! taken as symmetric Gaussian (mean μ, variance 2μ), mixed over the norms of the rotation (dimension
//! 8: χ² with 8 degrees of freedom). On the checks it is exact: for a symmetric density
//! E[tanh^(2j−1)(L/2)] = E[tanh^(2j)(L/2)] = M_j, the M_j of a product are products, and the
//! mutual information is Σ_j M_j/(2j(2j − 1))/ln 2. A message from a check goes on as the Gaussian
//! of equal information.
//!
//! **Evolution** (differential, Storn and Price 1997) looks for the weights of one stage's patterns
//! that reach the end in the least work, iterations times edges, at a given rate and
//! signal-to-noise ratio, stages before it being fixed. One seed gives one result.

use super::wiring::Random;
use super::{
    CHAIN_IN_PARITY_CHECK, DENSE_IN_PARITY_CHECK, DENSE_TO_HEAVY, Family, PARITY_CHECKS_OF_DENSE, Pattern,
    Stage,
};

/// Moments kept.
const MOMENTS: usize = 24;
/// Steps of the table over means: logarithmic from 10⁻⁵.
const STEPS: usize = 500;
const LEAST_MEAN: f64 = 1e-5;
const STEPS_A_DOUBLING: f64 = 20.0;
/// Members of the crowd that evolves.
const MEMBERS: u16 = 70;
/// Equal shares of the χ² distribution of norms.
const SHARES: usize = 6;

/// Chain bits, and parity checks, a dense bit.
const CHAIN_SHARE: f64 = PARITY_CHECKS_OF_DENSE as f64 / DENSE_IN_PARITY_CHECK as f64;
/// Heavy bits, a dense bit.
const HEAVY_SHARE: f64 = 1.0 / DENSE_TO_HEAVY as f64;
/// Bits of each kind (heavy, light, chain), a dense bit.
const KIND_SHARES: [f64; 3] = [HEAVY_SHARE, 1.0 - HEAVY_SHARE, CHAIN_SHARE];
/// Parity checks of a bit, by kind.
const PARITY_CHECKS: [usize; 3] = [PARITY_CHECKS_OF_DENSE, PARITY_CHECKS_OF_DENSE, CHAIN_IN_PARITY_CHECK];

type Moments = [f64; MOMENTS];

/// How a family is predicted to decode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Iterations until all messages are certain; `None` if they stop before.
    pub iterations: Option<u32>,
    /// Information, 0 to 1, of a bit's message to parity checks when it stopped: of the kind that
    /// knew least.
    pub information: f64,
    /// Edges of leaf and parity checks, a bit of the frame.
    pub edges: f64,
}

/// Predicts by tables that are made once.
pub struct Designer {
    moments: Vec<Moments>,
    information: Vec<f64>,
    shares: [f64; SHARES],
}

impl std::fmt::Debug for Designer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Designer({STEPS} means, {MOMENTS} moments)")
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
        let moments: Vec<Moments> = (0..STEPS).map(|step| gaussian_moments(mean_of(step as f64))).collect();
        let information = moments.iter().map(information).collect();
        Self { moments, information, shares: norm_shares() }
    }

    /// The moments of a bit's message: `told` by checks, and by the channel.
    fn message(&self, snr: f64, told: f64) -> Moments {
        let mut mixed = [0.0; MOMENTS];
        for share in self.shares {
            let place = step_of(2.0 * snr * share + told);
            let (low, part) = (place.floor(), place - place.floor());
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to STEPS")]
            let low = (low as usize).min(STEPS - 2);
            for (j, mixed) in mixed.iter_mut().enumerate() {
                let (a, b) = (self.moments[low][j], self.moments[low + 1][j]);
                *mixed += (a + part * (b - a)) / SHARES as f64;
            }
        }
        mixed
    }

    /// The mean of the Gaussian that is as informative.
    fn mean(&self, moments: &Moments) -> f64 {
        let wanted = information(moments);
        let above = self.information.partition_point(|known| *known < wanted).clamp(1, STEPS - 1);
        let (a, b) = (self.information[above - 1], self.information[above]);
        let part = ((wanted - a) / (b - a)).clamp(0.0, 1.0);
        mean_of((above - 1) as f64 + part)
    }

    /// Follows a family of `rate` at `snr` (a power ratio) for at most `most` iterations.
    #[must_use]
    pub fn predict(&self, family: &Family<'_>, rate: f64, snr: f64, most: u32) -> Prediction {
        let checks = LeafChecks::new(family, rate);
        let edges = edges(&checks, rate);
        let leaf = self.message(snr, 0.0);
        let mut told = Told::default();
        let (mut reached, mut before) = (0.0, -1.0);
        for iteration in 1..=most {
            let bits = self.bits(snr, &told, &checks);
            let known = bits.parity.each_ref().map(information);
            reached = known.into_iter().fold(1.0, f64::min);
            if reached > 0.99 && information(&bits.leaf[0]) > 0.998 {
                return Prediction { iterations: Some(iteration), information: reached, edges };
            }
            let sum: f64 = known.into_iter().sum();
            if sum - before < 1e-6 {
                break;
            }
            before = sum;
            told = self.told(&checks, &leaf, &bits);
        }
        Prediction { iterations: None, information: reached, edges }
    }

    fn bits(&self, snr: f64, told: &Told, checks: &LeafChecks) -> Bits {
        let kind = |kind: usize| {
            let parities = PARITY_CHECKS[kind] as f64;
            let bit = |leaves: f64, parities: f64| {
                self.message(snr, parities * told.parity[kind] + leaves.max(0.0) * told.leaf[kind])
            };
            // A bit stands in `few` leaf checks or in one more.
            let mean = checks.edges[kind] / KIND_SHARES[kind];
            let (few, more) = (mean.floor(), mean - mean.floor());
            let of_edges = if mean > 0.0 { more * (few + 1.0) / mean } else { 0.0 };
            [
                mix(&bit(few - 1.0, parities), &bit(few, parities), of_edges),
                mix(&bit(few, parities - 1.0), &bit(few + 1.0, parities - 1.0), more),
            ]
        };
        let [heavy, light, chain] = [kind(0), kind(1), kind(2)];
        Bits { leaf: [heavy[0], light[0], chain[0]], parity: [heavy[1], light[1], chain[1]] }
    }

    fn told(&self, checks: &LeafChecks, leaf: &Moments, bits: &Bits) -> Told {
        let mut told = Told::default();
        for (blocks, count) in &checks.patterns {
            for kind in (0..3).filter(|kind| blocks[*kind] > 0) {
                let mut others = *blocks;
                others[kind] -= 1;
                let product = std::array::from_fn(|j| {
                    (0..3).fold(leaf[j], |product, other| product * power(bits.leaf[other][j], others[other]))
                });
                let share = count * blocks[kind] as f64 / checks.edges[kind];
                told.leaf[kind] += share * self.mean(&product);
            }
        }
        let dense = mix(&bits.parity[1], &bits.parity[0], HEAVY_SHARE);
        let parity = |of_dense: usize, of_chain: usize| -> Moments {
            std::array::from_fn(|j| power(dense[j], of_dense) * power(bits.parity[2][j], of_chain))
        };
        let to_dense = self.mean(&parity(DENSE_IN_PARITY_CHECK - 1, CHAIN_IN_PARITY_CHECK));
        let to_chain = self.mean(&parity(DENSE_IN_PARITY_CHECK, CHAIN_IN_PARITY_CHECK - 1));
        told.parity = [to_dense, to_dense, to_chain];
        told
    }

    /// The signal-to-noise ratio in dB above which a family of `rate` decodes.
    #[must_use]
    pub fn threshold_db(&self, family: &Family<'_>, rate: f64) -> f64 {
        let (mut low, mut high) = (-20.0, 3.0);
        while high - low > 0.005 {
            let middle = f64::midpoint(low, high);
            let snr = libm::pow(10.0, middle / 10.0);
            match self.predict(family, rate, snr, 2000).iterations {
                Some(_) => high = middle,
                None => low = middle,
            }
        }
        high
    }

    /// Evolves the weights of `patterns`, by their heavy, light and chain blocks, as the stage that
    /// follows `before` and reaches `goal`.
    #[must_use]
    pub fn evolve(&self, before: &[Stage<'_>], patterns: &[[usize; 3]], goal: &Goal) -> Vec<Pattern> {
        let mut draw = Draw(Random(goal.seed));
        let judge = |weights: &[f64], limit| self.judge(before, &weighted(patterns, weights), goal, limit);
        let mut first = || normalized(&patterns.iter().map(|_| draw.first_weight()).collect::<Vec<_>>());
        let mut crowd: Vec<Vec<f64>> = (0..MEMBERS).map(|_| first()).collect();
        let mut costs: Vec<f64> = crowd.iter().map(|weights| judge(weights, f64::INFINITY)).collect();
        for _ in 0..goal.generations {
            let trials: Vec<Vec<f64>> =
                (0..crowd.len()).map(|member| draw.trial(&crowd, member, best(&costs))).collect();
            for (member, trial) in trials.into_iter().enumerate() {
                let cost = judge(&trial, costs[member]);
                if cost < costs[member] {
                    (crowd[member], costs[member]) = (trial, cost);
                }
            }
        }
        weighted(patterns, &crowd[best(&costs)])
    }

    /// Work until the end, or beyond any work, by how far it came. Not followed beyond `limit`.
    fn judge(&self, before: &[Stage<'_>], patterns: &[Pattern], goal: &Goal, limit: f64) -> f64 {
        const HOPELESS: f64 = 1e6;
        let mut stages = before.to_vec();
        stages.push(Stage { rate: 0.0, patterns });
        let family = Family { seed: 0, stages: &stages };
        let snr = libm::pow(10.0, goal.snr_db / 10.0);
        let work = |edges: f64| edges + 1.5;
        let edges = edges(&LeafChecks::new(&family, goal.rate), goal.rate);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1001")]
        let most = (limit / work(edges)).min(1000.0) as u32 + 1;
        let prediction = self.predict(&family, goal.rate, snr, most);
        match prediction.iterations {
            Some(iterations) => f64::from(iterations) * work(edges),
            None if limit < HOPELESS => f64::INFINITY,
            None => HOPELESS * (2.0 - prediction.information),
        }
    }
}

/// Edges of leaf and parity checks, a bit of the frame.
fn edges(checks: &LeafChecks, rate: f64) -> f64 {
    let parity = CHAIN_SHARE * (DENSE_IN_PARITY_CHECK + CHAIN_IN_PARITY_CHECK) as f64;
    (checks.edges.iter().sum::<f64>() + parity) * rate
}

/// What a stage is evolved for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The code rate at which the stage ends.
    pub rate: f64,
    /// The signal-to-noise ratio in dB where it shall decode.
    pub snr_db: f64,
    /// Generations.
    pub generations: u32,
    /// Of the random numbers.
    pub seed: u64,
}

/// The least of the costs.
fn best(costs: &[f64]) -> usize {
    (0..costs.len()).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or_default()
}

/// The draws of evolution.
struct Draw(Random);

impl Draw {
    /// Uniform from 0 to 1.
    fn part(&mut self) -> f64 {
        (self.0.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Half of the patterns begin without weight: good mixtures have few.
    fn first_weight(&mut self) -> f64 {
        let weight = self.part() * self.part();
        if self.part() < 0.5 { 0.0 } else { weight }
    }

    fn member(&mut self) -> usize {
        usize::from(self.0.below(MEMBERS))
    }

    /// A member crossed with a mutant: some member, or the best, moved by the difference of two.
    fn trial(&mut self, crowd: &[Vec<f64>], member: usize, best: usize) -> Vec<f64> {
        let (a, b, c) = (self.member(), self.member(), self.member());
        let base = if self.part() < 0.3 { best } else { a };
        let step = 0.4 + 0.4 * self.part();
        let crossing = if self.part() < 0.5 { 0.9 } else { 0.3 };
        let mutant = |k: usize| (crowd[base][k] + step * (crowd[b][k] - crowd[c][k])).max(0.0);
        let crossed = (0..crowd[member].len())
            .map(|k| if self.part() < crossing { mutant(k) } else { crowd[member][k] });
        normalized(&crossed.collect::<Vec<_>>())
    }
}

/// Scales weights to the sum of one; all equal, if there are none.
fn normalized(weights: &[f64]) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    if total > 0.0 {
        return weights.iter().map(|weight| weight / total).collect();
    }
    vec![1.0 / weights.len() as f64; weights.len()]
}

/// Patterns with weights above a hundredth, summing to one.
fn weighted(patterns: &[[usize; 3]], weights: &[f64]) -> Vec<Pattern> {
    let total: f64 = weights.iter().sum();
    let kept = patterns.iter().zip(weights).filter(|(_, weight)| **weight > 0.01 * total);
    let kept: Vec<Pattern> = kept
        .map(|([heavy, light, chain], weight)| Pattern {
            heavy: *heavy,
            light: *light,
            chain: *chain,
            weight: *weight,
        })
        .collect();
    let total: f64 = kept.iter().map(|pattern| pattern.weight).sum();
    let round = |weight: f64| libm::round(1000.0 * weight / total) / 1000.0;
    kept.into_iter().map(|pattern| Pattern { weight: round(pattern.weight), ..pattern }).collect()
}

/// The leaf checks of a code, a core information bit.
struct LeafChecks {
    /// Blocks of each kind, and how many checks have them.
    patterns: Vec<([usize; 3], f64)>,
    /// Edges to bits of each kind.
    edges: [f64; 3],
}

impl LeafChecks {
    fn new(family: &Family<'_>, rate: f64) -> Self {
        let leaves_at = |rate: f64| 1.0 / rate - 1.0 - CHAIN_SHARE;
        let leaves = leaves_at(rate);
        let mut checks = Self { patterns: Vec::new(), edges: [0.0; 3] };
        let mut begin = 0.0;
        for (i, stage) in family.stages.iter().enumerate() {
            let end = if i + 1 == family.stages.len() { leaves } else { leaves_at(stage.rate).min(leaves) };
            let length = (end - begin).max(0.0);
            let total: f64 = stage.patterns.iter().map(|pattern| pattern.weight).sum();
            for pattern in stage.patterns.iter().filter(|_| length > 0.0) {
                checks.add(pattern.blocks(), length * pattern.weight / total);
            }
            begin = end.max(begin);
        }
        checks
    }

    fn add(&mut self, blocks: [usize; 3], count: f64) {
        for (edges, blocks) in self.edges.iter_mut().zip(blocks) {
            *edges += count * blocks as f64;
        }
        self.patterns.push((blocks, count));
    }
}

/// Mean messages of leaf and parity checks to bits, by kind of bit.
#[derive(Default)]
struct Told {
    leaf: [f64; 3],
    parity: [f64; 3],
}

/// Messages of bits to leaf and parity checks, by kind of bit.
struct Bits {
    leaf: [Moments; 3],
    parity: [Moments; 3],
}

fn mix(a: &Moments, b: &Moments, share: f64) -> Moments {
    std::array::from_fn(|j| a[j] + share * (b[j] - a[j]))
}

fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).map(|_| base).product()
}

fn mean_of(step: f64) -> f64 {
    LEAST_MEAN * libm::exp2(step / STEPS_A_DOUBLING)
}

fn step_of(mean: f64) -> f64 {
    (STEPS_A_DOUBLING * libm::log2(mean.max(LEAST_MEAN) / LEAST_MEAN)).clamp(0.0, STEPS as f64 - 1.0)
}

/// E[tanh^(2j)(L/2)] for L of mean μ and variance 2μ.
fn gaussian_moments(mean: f64) -> Moments {
    let (mut mass, mut sums) = (0.0, [0.0; MOMENTS]);
    for i in 0..=160 {
        let z = (f64::from(i) - 80.0) / 10.0;
        let weight = libm::exp(-z * z / 2.0);
        let tanh = libm::tanh((mean + libm::sqrt(2.0 * mean) * z) / 2.0);
        let (square, mut power) = (tanh * tanh, 1.0);
        mass += weight;
        for sum in &mut sums {
            power *= square;
            *sum += weight * power;
        }
    }
    sums.map(|sum| sum / mass)
}

/// Bits; what is cut off goes with the last moment.
fn information(moments: &Moments) -> f64 {
    let (mut sum, mut rest) = (0.0, std::f64::consts::LN_2);
    for (j, moment) in moments.iter().enumerate() {
        let weight = 1.0 / ((2 * j + 1) * (2 * j + 2)) as f64;
        rest -= weight;
        sum += weight * moment;
    }
    (sum + rest * moments[MOMENTS - 1]) / std::f64::consts::LN_2
}

/// Means of equal shares of χ²/8, 8 degrees of freedom.
fn norm_shares() -> [f64; SHARES] {
    let density = |x: f64| x * x * x * libm::exp(-x / 2.0);
    let grid = |i: u32| (f64::from(i) + 0.5) * 0.02;
    let total: f64 = (0..3000).map(|i| density(grid(i))).sum();
    let (mut shares, mut mass) = ([0.0; SHARES], 0.0);
    for i in 0..3000 {
        let part = density(grid(i)) / total;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let share = ((mass + part / 2.0) * SHARES as f64) as usize;
        shares[share.min(SHARES - 1)] += part * SHARES as f64 * grid(i) / 8.0;
        mass += part;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::super::FAMILY;
    use super::*;

    #[test]
    fn a_better_channel_takes_fewer_iterations_and_a_bad_one_never_ends() {
        let designer = Designer::new();
        let at = |snr_db: f64| designer.predict(&FAMILY, 0.15, libm::pow(10.0, snr_db / 10.0), 1000);
        assert!(at(-7.5).iterations.is_none(), "beyond capacity nothing decodes");
        let (near, far) = (at(-5.5).iterations.unwrap(), at(-4.5).iterations.unwrap());
        assert!(far < near, "{far} iterations at −4.5 dB, {near} at −5.5 dB");
    }

    #[test]
    fn a_seed_gives_the_same_stage_on_every_machine() {
        let designer = Designer::new();
        let goal = Goal { rate: 0.25, snr_db: -3.3, generations: 3, seed: 2 };
        let patterns = [[0, 4, 0], [1, 3, 0], [3, 1, 0], [3, 0, 1], [2, 3, 0]];
        let stage = designer.evolve(&[], &patterns, &goal);
        let found: Vec<_> = stage.iter().map(|pattern| (pattern.blocks(), pattern.weight)).collect();
        let known = [([3, 1, 0], 0.21), ([3, 0, 1], 0.376), ([2, 3, 0], 0.414)];
        assert_eq!(found, known, "what this seed gave before");
    }
}
