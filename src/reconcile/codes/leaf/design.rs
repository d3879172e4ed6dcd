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

use super::{DENSE_IN_PARITY_CHECK, Family, PARITY_CHECKS_OF_DENSE, Pattern, Random, Stage};

/// Moments kept.
const MOMENTS: usize = 24;
/// Steps of the table over means: logarithmic from 10⁻⁵.
const STEPS: usize = 500;
const LEAST_MEAN: f64 = 1e-5;
const STEPS_A_DOUBLING: f64 = 20.0;
/// Equal shares of the χ² distribution of norms.
const SHARES: usize = 6;

/// Chain bits, and parity checks, a dense bit.
const CHAIN_SHARE: f64 = PARITY_CHECKS_OF_DENSE as f64 / DENSE_IN_PARITY_CHECK as f64;

type Moments = [f64; MOMENTS];

/// How a family is predicted to decode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Iterations until all messages are certain; `None` if they stop before.
    pub iterations: Option<u32>,
    /// Information, 0 to 1, of a dense bit's message when it stopped.
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
        let kinds = kinds(family, rate);
        let dense: f64 = kinds.iter().map(|kind| kind.count * kind.dense as f64).sum();
        let chain: f64 = kinds.iter().map(|kind| kind.count * kind.chain as f64).sum();
        let parity = CHAIN_SHARE * (DENSE_IN_PARITY_CHECK + 2) as f64;
        let edges = (dense + chain + parity) * rate;
        let leaf = self.message(snr, 0.0);
        let mut told = Told { dense_leaf: 0.0, dense_parity: 0.0, chain_leaf: 0.0, chain_parity: 0.0 };
        let (mut reached, mut before) = (0.0, -1.0);
        for iteration in 1..=most {
            let bits = self.bits(snr, &told, dense, chain);
            reached = information(&bits.dense_leaf);
            if reached > 0.998 && information(&bits.chain_parity) > 0.99 {
                return Prediction { iterations: Some(iteration), information: reached, edges };
            }
            if reached - before < 1e-6 {
                break;
            }
            before = reached;
            told = self.checks(&kinds, &leaf, &bits, dense, chain);
        }
        Prediction { iterations: None, information: reached, edges }
    }

    fn bits(&self, snr: f64, told: &Told, dense: f64, chain: f64) -> Bits {
        let all = PARITY_CHECKS_OF_DENSE as f64 * told.dense_parity + dense * told.dense_leaf;
        let chain = chain / CHAIN_SHARE;
        let (few, many) = (chain.floor(), chain.floor() + 1.0);
        let chain_bit = |leaves: f64, parities: f64| {
            self.message(snr, parities * told.chain_parity + leaves.max(0.0) * told.chain_leaf)
        };
        let more = chain - few;
        let leaf_share = if chain > 0.0 { more * many / chain } else { 0.0 };
        Bits {
            dense_leaf: self.message(snr, (all - told.dense_leaf).max(0.0)),
            dense_parity: self.message(snr, (all - told.dense_parity).max(0.0)),
            chain_parity: mix(&chain_bit(few, 1.0), &chain_bit(many, 1.0), more),
            chain_leaf: mix(&chain_bit(few - 1.0, 2.0), &chain_bit(many - 1.0, 2.0), leaf_share),
        }
    }

    fn checks(&self, kinds: &[Kind], leaf: &Moments, bits: &Bits, dense: f64, chain: f64) -> Told {
        let to = |other_dense: usize, other_chain: usize| -> Moments {
            std::array::from_fn(|j| {
                leaf[j] * power(bits.dense_leaf[j], other_dense) * power(bits.chain_leaf[j], other_chain)
            })
        };
        let (mut dense_leaf, mut chain_leaf) = (0.0, 0.0);
        for kind in kinds {
            if kind.dense > 0 {
                let share = kind.count * kind.dense as f64 / dense;
                dense_leaf += share * self.mean(&to(kind.dense - 1, kind.chain));
            }
            if kind.chain > 0 {
                let share = kind.count * kind.chain as f64 / chain;
                chain_leaf += share * self.mean(&to(kind.dense, kind.chain - 1));
            }
        }
        let parity = |dense: usize, chain: usize| -> Moments {
            std::array::from_fn(|j| power(bits.dense_parity[j], dense) * power(bits.chain_parity[j], chain))
        };
        Told {
            dense_leaf,
            chain_leaf,
            dense_parity: self.mean(&parity(DENSE_IN_PARITY_CHECK - 1, 2)),
            chain_parity: self.mean(&parity(DENSE_IN_PARITY_CHECK, 1)),
        }
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

    /// Evolves the weights of `patterns` as the stage that follows `before` and reaches `goal`.
    #[must_use]
    pub fn evolve(&self, before: &[Stage<'_>], patterns: &[(usize, usize)], goal: &Goal) -> Vec<Pattern> {
        let mut random = Random(goal.seed);
        let mut draw = move || f64::from(random.below(u16::MAX)) / f64::from(u16::MAX);
        let members = 8 * patterns.len();
        let judge = |weights: &[f64]| self.judge(before, &weighted(patterns, weights), goal);
        let mut crowd: Vec<Vec<f64>> =
            (0..members).map(|_| patterns.iter().map(|_| draw() * draw()).collect()).collect();
        let mut costs: Vec<f64> = crowd.iter().map(|weights| judge(weights)).collect();
        for _ in 0..goal.generations {
            for i in 0..members {
                let mut pick = || {
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
                    let place = (draw() * members as f64) as usize;
                    place.min(members - 1)
                };
                let (a, b, c) = (pick(), pick(), pick());
                let trial: Vec<f64> = (0..patterns.len())
                    .map(|k| {
                        let mutant = crowd[a][k] + 0.6 * (crowd[b][k] - crowd[c][k]);
                        if draw() < 0.8 { mutant.clamp(0.0, 1.0) } else { crowd[i][k] }
                    })
                    .collect();
                let cost = judge(&trial);
                if cost < costs[i] {
                    (crowd[i], costs[i]) = (trial, cost);
                }
            }
        }
        let best = (0..members).min_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap_or_default();
        weighted(patterns, &crowd[best])
    }

    /// Work until the end, or beyond any work, by how far it came.
    fn judge(&self, before: &[Stage<'_>], patterns: &[Pattern], goal: &Goal) -> f64 {
        if patterns.is_empty() {
            return f64::INFINITY;
        }
        let mut stages = before.to_vec();
        stages.push(Stage { rate: 0.0, patterns });
        let family = Family { seed: 0, stages: &stages };
        let snr = libm::pow(10.0, goal.snr_db / 10.0);
        let prediction = self.predict(&family, goal.rate, snr, 1000);
        match prediction.iterations {
            Some(iterations) => f64::from(iterations) * (prediction.edges + 2.0),
            None => 1e6 * (2.0 - prediction.information),
        }
    }
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

/// Patterns with weights above a hundredth, summing to one.
fn weighted(patterns: &[(usize, usize)], weights: &[f64]) -> Vec<Pattern> {
    let total: f64 = weights.iter().sum();
    let kept = patterns.iter().zip(weights).filter(|(_, weight)| **weight > 0.01 * total);
    let kept: Vec<Pattern> = kept
        .map(|((dense, chain), weight)| Pattern { dense: *dense, chain: *chain, weight: *weight })
        .collect();
    let total: f64 = kept.iter().map(|pattern| pattern.weight).sum();
    let round = |weight: f64| libm::round(1000.0 * weight / total) / 1000.0;
    kept.into_iter().map(|pattern| Pattern { weight: round(pattern.weight), ..pattern }).collect()
}

/// Leaf checks of one pattern, a core information bit.
struct Kind {
    dense: usize,
    chain: usize,
    count: f64,
}

fn kinds(family: &Family<'_>, rate: f64) -> Vec<Kind> {
    let leaves_at = |rate: f64| 1.0 / rate - 1.0 - CHAIN_SHARE;
    let leaves = leaves_at(rate);
    let mut kinds = Vec::new();
    let mut begin = 0.0;
    for (i, stage) in family.stages.iter().enumerate() {
        let end = if i + 1 == family.stages.len() { leaves } else { leaves_at(stage.rate).min(leaves) };
        let length = (end - begin).max(0.0);
        let total: f64 = stage.patterns.iter().map(|pattern| pattern.weight).sum();
        kinds.extend(stage.patterns.iter().map(|pattern| Kind {
            dense: pattern.dense,
            chain: pattern.chain,
            count: length * pattern.weight / total,
        }));
        begin = end.max(begin);
    }
    kinds.retain(|kind| kind.count > 0.0);
    kinds
}

/// Mean messages of checks to bits, by kind of bit and of check.
struct Told {
    dense_leaf: f64,
    dense_parity: f64,
    chain_leaf: f64,
    chain_parity: f64,
}

/// Messages of bits to checks.
struct Bits {
    dense_leaf: Moments,
    dense_parity: Moments,
    chain_leaf: Moments,
    chain_parity: Moments,
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
    fn evolution_is_reproducible() {
        let designer = Designer::new();
        let goal = Goal { rate: 0.2, snr_db: -4.2, generations: 2, seed: 7 };
        let patterns = [(2, 0), (3, 0), (4, 0)];
        let first = designer.evolve(&[], &patterns, &goal);
        assert_eq!(first, designer.evolve(&[], &patterns, &goal), "one seed, one result");
        assert!(!first.is_empty(), "some pattern is used");
    }
}
