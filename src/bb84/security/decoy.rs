//! The decoy method as a linear program over photon numbers, solved by enumeration and certified
//! by its dual.
//!
//! Of the events of one kind in one basis (detections, or errors), xₙ came from n-photon pulses.
//! Given the photon number, the intensity was chosen by Alice alone, so that the expected counts
//! are
//!
//! ```text
//! n*ₖ = Σₙ p(k|n) xₙ,   p(k|n) = pₖ e^{−μₖ} μₖⁿ / Σⱼ pⱼ e^{−μⱼ} μⱼⁿ,   Σₙ xₙ = N.
//! ```
//!
//! A tail bound says n*ₖ ∈ \[n⁻ₖ, n⁺ₖ\]. **Any** multipliers yₖ give a bound on Σₙ cₙ xₙ from below:
//!
//! ```text
//! Σₙ cₙ xₙ ≥ Σₖ (yₖ ≥ 0 ? yₖ n⁻ₖ : yₖ n⁺ₖ) + N · minₙ (cₙ − Σₖ yₖ p(k|n))          (*)
//! ```
//!
//! because xₙ ≥ 0. The search for good multipliers runs in doubles and need not be trusted; (*) is
//! evaluated in [`Real`], rounded down, over all n. The best multipliers are a vertex: as many of the
//! conditions "photon number n is tight" and "yₖ = 0" hold with equality as there are unknowns, and
//! they are few enough to try them all. Lim's closed formula is one of those vertices.
//!
//! Where intensities and probabilities are known as intervals, p(k|n) is one too, and (*) takes its worst end term by
//! term, after p(1|n) = 1 − p(2|n) − p(3|n). It then also holds for intensities that wander inside.
//!
//! What else is known of x₀ enters as a fourth count, to which empty pulses contribute with
//! certainty and others never.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bounds::Real;

/// Sources whose mixtures are kept, most recent last: two bases of the links of one process.
const KEPT: usize = 8;

/// Photon numbers that may be tight in the search; larger ones act as the limit n → ∞.
const SEARCHED: usize = 9;
/// Photon numbers at which (*) is evaluated one by one.
const EVALUATED: usize = 200;

/// Counts that bound the photon numbers: one an intensity, and that of empty pulses.
pub(super) const COUNTS: usize = 4;
/// The index of the count of empty pulses.
pub(super) const EMPTY: usize = 3;
/// Multipliers, and the slack that they leave.
const UNKNOWNS: usize = COUNTS + 1;

/// Conditions of which [`UNKNOWNS`] make a vertex: tight photon numbers, the limit, yₖ = 0.
const CONDITIONS: usize = SEARCHED + 1 + COUNTS;

/// A kind of bound: its number of photons, and the order of its sign with zero.
type Kind = (usize, Ordering);

/// How often each count has an event of n photons: p(k|n).
#[derive(Debug)]
pub(super) struct Mixture {
    chances: Vec<Chances>,
    coarse: Vec<[f64; COUNTS]>,
    /// The vertices of each kind of bound, found when one is first asked for: they do not depend on counts.
    vertices: Mutex<BTreeMap<Kind, Arc<[Vertex]>>>,
}

/// Multipliers of a vertex, and minₙ (cₙ − Σₖ yₖ p(k|n)) in doubles.
#[derive(Clone, Copy, Debug)]
struct Vertex {
    y: [f64; COUNTS],
    slack: f64,
}

/// A number an intensity, each known within an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    /// The middles of the intervals.
    pub(super) middle: [f64; 3],
    /// Half of their widths.
    pub(super) half_width: [f64; 3],
}

impl Spread {
    /// Numbers known exactly.
    #[cfg(test)]
    fn exact(middle: [f64; 3]) -> Self {
        Self { middle, half_width: [0.0; 3] }
    }

    /// Both ends, none below zero.
    fn ends(&self, k: usize) -> [Real; 2] {
        let (middle, half) = (Real::from(self.middle[k]), Real::from(self.half_width[k]));
        if self.half_width[k] == 0.0 {
            return [middle; 2];
        }
        [(middle - half).max(Real::ZERO), middle + half]
    }
}

/// p(k|n) for one n: at least, at most.
#[derive(Clone, Copy, Debug)]
struct Chances {
    low: [Real; COUNTS],
    high: [Real; COUNTS],
}

/// Bounds on the expected counts of one kind of event, and the exact total.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counts {
    /// Lower bounds.
    pub(super) below: [Real; COUNTS],
    /// Upper bounds.
    pub(super) above: [Real; COUNTS],
    /// The number of events, of all intensities.
    pub(super) total: Real,
}

impl Mixture {
    /// From mean photon numbers, decreasing, and the probabilities of choosing them, each with how far it
    /// may be off either way.
    pub(super) fn new(mean: Spread, probability: Spread) -> Self {
        let scale = Real::from(mean.middle[0]);
        let mut weights = [0, 1, 2].map(|k| Weight::new(mean.ends(k), scale, probability.ends(k)));
        let mut chances = Vec::with_capacity(EVALUATED);
        for photons in 0..EVALUATED {
            let ranges = weights.map(|weight| weight.range(photons));
            let chance = |k: usize, end: usize| {
                let others = |j: usize| if j == k { Real::ZERO } else { ranges[j][1 - end] };
                let sum = ranges[k][end] + others(0) + others(1) + others(2);
                if sum > Real::ZERO { ranges[k][end] / sum } else { Real::ZERO }
            };
            let empty = if photons == 0 { Real::ONE } else { Real::ZERO };
            let all = |end: usize| [chance(0, end), chance(1, end), chance(2, end), empty];
            chances.push(Chances { low: all(0), high: all(1) });
            weights = weights.map(Weight::next);
        }
        let middle = |row: &Chances| [0, 1, 2, 3].map(|k: usize| 0.5 * (row.low[k] + row.high[k]).to_f64());
        let coarse = chances.iter().map(middle).collect();
        Self { chances, coarse, vertices: Mutex::default() }
    }

    /// The same, kept from the last time it was asked for: every block of a link asks for the same.
    pub(super) fn of(mean: Spread, probability: Spread) -> Arc<Self> {
        static RECENT: Mutex<Vec<([Spread; 2], Arc<Mixture>)>> = Mutex::new(Vec::new());
        let wanted = [mean, probability];
        let recent = || RECENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, mixture)) = recent().iter().find(|(known, _)| *known == wanted) {
            return mixture.clone();
        }
        let mixture = Arc::new(Self::new(mean, probability));
        let mut recent = recent();
        if recent.len() == KEPT {
            recent.remove(0);
        }
        recent.push((wanted, mixture.clone()));
        mixture
    }

    /// A lower bound on the number of events from pulses of exactly `photons` photons.
    pub(super) fn fewest(&self, photons: usize, counts: &Counts) -> Real {
        self.bound(photons, 1.0, counts, CONDITIONS).max(Real::ZERO)
    }

    /// An upper bound on the same.
    pub(super) fn most(&self, photons: usize, counts: &Counts) -> Real {
        (-self.bound(photons, -1.0, counts, CONDITIONS)).min(counts.total)
    }

    /// Whether no photon numbers whatever have these counts: (*) with c = 0 is positive for some y.
    pub(super) fn contradicts(&self, counts: &Counts) -> bool {
        // With c = 0 only the direction of y matters: four conditions fix it, a fifth its length.
        self.bound(0, 0.0, counts, CONDITIONS + 4) > Real::ZERO
    }

    /// The best certified lower bound on `sign` · x of the photon number.
    fn bound(&self, photons: usize, sign: f64, counts: &Counts, conditions: usize) -> Real {
        let coarse = CoarseCounts {
            below: counts.below.map(Real::to_f64),
            above: counts.above.map(Real::to_f64),
            total: counts.total.to_f64(),
        };
        let mut best = (f64::NEG_INFINITY, [0.0; COUNTS]);
        for Vertex { y, slack } in self.vertices(photons, sign, conditions).iter() {
            let value = estimate(y, *slack, &coarse);
            if value > best.0 {
                best = (value, *y);
            }
        }
        self.certify(best.1.map(Real::from), photons, Real::from(sign), counts)
    }

    /// All vertices of one kind of bound.
    fn vertices(&self, photons: usize, sign: f64, conditions: usize) -> Arc<[Vertex]> {
        let mut known = self.vertices.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = (photons, sign.total_cmp(&0.0));
        let find = || {
            let mut found = Vec::new();
            each_choice(conditions, |active| {
                if let Some(y) = self.vertex(active, photons, sign) {
                    found.push(Vertex { y, slack: self.slack(y, photons, sign) });
                }
            });
            found.into()
        };
        known.entry(kind).or_insert_with(find).clone()
    }

    /// The multipliers at which these conditions are tight: photon numbers first, then the limit, then yₖ = 0.
    fn vertex(&self, active: [usize; UNKNOWNS], photons: usize, sign: f64) -> Option<[f64; COUNTS]> {
        let mut rows = [[0.0; UNKNOWNS + 1]; UNKNOWNS];
        for (row, condition) in rows.iter_mut().zip(active) {
            if condition < SEARCHED {
                row[..COUNTS].copy_from_slice(&self.coarse[condition]);
                row[COUNTS] = 1.0;
                row[UNKNOWNS] = if condition == photons { sign } else { 0.0 };
            } else if condition == SEARCHED {
                row[0] = 1.0;
                row[COUNTS] = 1.0;
            } else if condition < CONDITIONS {
                row[condition - SEARCHED - 1] = 1.0;
            } else {
                // y₁ or the slack is 1 or −1.
                row[if condition < CONDITIONS + 2 { 0 } else { COUNTS }] = 1.0;
                row[UNKNOWNS] = if condition % 2 == 0 { 1.0 } else { -1.0 };
            }
        }
        solve(rows).map(|y| [y[0], y[1], y[2], y[3]])
    }

    /// minₙ (cₙ − Σₖ yₖ p(k|n)) in doubles.
    fn slack(&self, y: [f64; COUNTS], photons: usize, sign: f64) -> f64 {
        let mut slack = -y[0];
        for (n, p) in self.coarse.iter().enumerate().take(40) {
            let cost = if n == photons { sign } else { 0.0 };
            slack = slack.min(cost - y.iter().zip(p).map(|(y, p)| y * p).sum::<f64>());
        }
        slack
    }

    /// (*) rounded down: a bound whatever the multipliers are.
    fn certify(&self, y: [Real; COUNTS], photons: usize, sign: Real, counts: &Counts) -> Real {
        let mut slack = self.beyond(y);
        for (n, p) in self.chances.iter().enumerate() {
            let cost = if n == photons { sign } else { Real::ZERO };
            let most =
                |factor: Real, k: usize| factor * if factor > Real::ZERO { p.high[k] } else { p.low[k] };
            let (second, third) = (most(y[1] - y[0], 1), most(y[2] - y[0], 2));
            slack = slack.min(Real::sum_down(&[cost, -y[0], -second, -third, -(y[EMPTY] * p.low[EMPTY])]));
        }
        let term = |k: usize| y[k] * if y[k] >= Real::ZERO { counts.below[k] } else { counts.above[k] };
        let terms = [term(0), term(1), term(2), term(3), counts.total * slack];
        if terms.iter().all(|term| term.is_finite()) { Real::sum_down(&terms) } else { -counts.total }
    }

    /// A lower bound on −Σₖ yₖ p(k|n) for every n that is not evaluated: p(1|n) only grows with n.
    fn beyond(&self, y: [Real; COUNTS]) -> Real {
        let last = self.chances.last().map_or(Real::ZERO, |p| p.low[0]);
        let rest = Real::ONE - last;
        let worse = (y[1] - y[0]).max(y[2] - y[0]).max(Real::ZERO);
        Real::sum_down(&[-y[0], -(rest * worse)])
    }
}

/// pₖ e^{−μ} (μ/μ₁)ⁿ at the ends of the intervals of p and μ: scaled, so that nothing underflows but what does
/// not matter.
#[derive(Clone, Copy)]
struct Weight {
    ends: [Real; 2],
    /// At the least probability, at both ends of the interval.
    least: [Real; 2],
    /// At the greatest.
    most: [Real; 2],
    scale: Real,
    probability: Real,
}

impl Weight {
    fn new(ends: [Real; 2], scale: Real, probability: [Real; 2]) -> Self {
        let [least, most] = probability.map(|probability| ends.map(|mean| probability * (-mean).exp()));
        Self { ends, least, most, scale, probability: probability[1] }
    }

    /// For one photon more.
    fn next(self) -> Self {
        let step = |values: [Real; 2]| [0, 1].map(|end: usize| values[end] * self.ends[end] / self.scale);
        Self { least: step(self.least), most: step(self.most), ..self }
    }

    /// The least and the greatest value in the intervals: it rises until μ = n, and falls then.
    fn range(&self, photons: usize) -> [Real; 2] {
        let (least, most) = (self.least, self.most);
        let peak = Real::from(photons as u64);
        if peak <= self.ends[0] {
            return [least[1], most[0]];
        }
        if peak >= self.ends[1] {
            return [least[0], most[1]];
        }
        let power = (0..photons).fold(Real::ONE, |power, _| power * peak / self.scale);
        [least[0].min(least[1]), self.probability * (-peak).exp() * power]
    }
}

struct CoarseCounts {
    below: [f64; COUNTS],
    above: [f64; COUNTS],
    total: f64,
}

/// (*) in doubles: good enough to choose by.
fn estimate(y: &[f64; COUNTS], slack: f64, counts: &CoarseCounts) -> f64 {
    let term = |k: usize| y[k] * if y[k] >= 0.0 { counts.below[k] } else { counts.above[k] };
    counts.total * slack + (0..COUNTS).map(term).sum::<f64>()
}

/// Calls with every choice of [`UNKNOWNS`] different numbers below n, in lexical order.
fn each_choice(n: usize, mut call: impl FnMut([usize; UNKNOWNS])) {
    let mut choice: [usize; UNKNOWNS] = std::array::from_fn(|place| place);
    loop {
        call(choice);
        // The last place that may still grow: what follows it has reached the end.
        let Some(place) = (0..UNKNOWNS).rev().find(|place| choice[*place] < n - UNKNOWNS + place) else {
            return;
        };
        choice[place] += 1;
        for later in place + 1..UNKNOWNS {
            choice[later] = choice[later - 1] + 1;
        }
    }
}

/// Solves linear equations by elimination with pivots; none if they are (nearly) dependent.
fn solve(mut rows: [[f64; UNKNOWNS + 1]; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    for column in 0..UNKNOWNS {
        let size = |row: &usize| rows[*row][column].abs();
        let pivot = (column..UNKNOWNS).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        rows.swap(column, pivot);
        let divisor = rows[column][column];
        if divisor.abs() < 1e-14 {
            return None;
        }
        rows[column] = rows[column].map(|entry| entry / divisor);
        let pivot_row = rows[column];
        for (other, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            if other != column && factor != 0.0 {
                for (entry, pivot_entry) in row.iter_mut().zip(pivot_row) {
                    *entry -= factor * pivot_entry;
                }
            }
        }
    }
    Some(rows.map(|row| row[UNKNOWNS]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN: [f64; 3] = [0.5, 0.2, 0.001];
    const PROBABILITY: [f64; 3] = [0.81, 0.14, 0.05];

    /// Expected counts for given numbers of n-photon events, with bounds that are exact.
    fn exact(mixture: &Mixture, events: &[f64]) -> Counts {
        let expected = [0, 1, 2, 3].map(|k: usize| {
            let terms = events.iter().zip(&mixture.chances).map(|(x, p)| Real::from(*x) * p.low[k]);
            terms.fold(Real::ZERO, |sum, term| sum + term)
        });
        let total = events.iter().fold(Real::ZERO, |sum, x| sum + Real::from(*x));
        let (mut below, mut above) = (expected, expected);
        (below[EMPTY], above[EMPTY]) = (Real::ZERO, total);
        Counts { below, above, total }
    }

    #[test]
    fn bounds_enclose_the_truth_whatever_the_photon_numbers() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        for events in [
            vec![1e5, 3e6, 6e5, 9e4, 8e3],
            vec![0.0, 1e6, 0.0, 0.0, 0.0],
            vec![1e3, 0.0, 5e5, 0.0, 0.0, 0.0, 0.0, 4e5],
            vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1e9],
        ] {
            let counts = exact(&mixture, &events);
            for photons in 0..2 {
                let (fewest, most) = (mixture.fewest(photons, &counts), mixture.most(photons, &counts));
                let truth = Real::from(events[photons]);
                assert!(fewest <= truth + Real::from(1e-9), "{photons} photons of {events:?}: {fewest:?}");
                assert!(most >= truth - Real::from(1e-9), "{photons} photons of {events:?}: {most:?}");
            }
        }
    }

    #[test]
    fn the_certificate_holds_for_any_multipliers() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let events = [1e5, 3e6, 6e5, 9e4, 8e3];
        let counts = exact(&mixture, &events);
        for y in [
            [0.0; 4],
            [-1.0, 5.0, -4.0, 1.0],
            [1e3, -2.0, 0.5, 0.0],
            [-1e6, 1e6, 1e6, 3.0],
            [0.1, 40.0, -99.0, -1.0],
        ] {
            let bound = mixture.certify(y.map(Real::from), 1, Real::ONE, &counts);
            assert!(bound <= Real::from(events[1]), "multipliers {y:?} claim {bound:?}");
        }
    }

    #[test]
    fn the_certificate_is_the_inequality_term_by_term() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let mut counts = exact(&mixture, &[1e5, 3e6, 6e5, 9e4, 8e3]);
        for k in 0..3 {
            counts.below[k] = counts.below[k] * Real::from(0.98);
            counts.above[k] = counts.above[k] * Real::from(1.03);
        }
        (counts.below[EMPTY], counts.above[EMPTY]) = (Real::from(8e4), Real::from(2e5));
        let signs = |place: u32| [0, 1, 2, 3].map(|k: u32| f64::from(place / 3_u32.pow(k) % 3) - 1.0);
        for place in 0..81 {
            let [a, b, c, d] = signs(place);
            let y = [0.7 * a, 1.9 * b, 3.1 * c, 0.4 * d];
            let (mut slack, mut sum) = (f64::INFINITY, 0.0);
            for (n, p) in mixture.coarse.iter().enumerate() {
                let spent: f64 = (0..COUNTS).map(|k| y[k] * p[k]).sum();
                slack = slack.min(if n == 1 { 1.0 } else { 0.0 } - spent);
            }
            for (k, factor) in y.into_iter().enumerate() {
                sum += factor * if factor >= 0.0 { counts.below[k] } else { counts.above[k] }.to_f64();
            }
            let plain = sum + counts.total.to_f64() * slack;
            let ours = mixture.certify(y.map(Real::from), 1, Real::ONE, &counts).to_f64();
            assert!((ours - plain).abs() < 1e-8, "multipliers {y:?}: {ours} for {plain}");
        }
    }

    #[test]
    fn counts_without_a_bound_say_nothing() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let mut counts = exact(&mixture, &[1e5, 3e6, 6e5]);
        counts.above[1] = Real::from(f64::INFINITY);
        let bound = mixture.certify([0.0, -1.0, 0.0, 0.0].map(Real::from), 1, Real::ONE, &counts);
        assert_eq!(bound, -counts.total, "an infinite term leaves what is always true");
    }

    #[test]
    fn a_chance_is_greatest_where_the_intensity_is_the_photon_number() {
        let wide = Spread { middle: [2.5, 0.2, 0.0], half_width: [1.0, 0.0, 0.0] };
        let uncertain = Mixture::new(wide, Spread::exact(PROBABILITY));
        for photons in [2, 3] {
            let most = uncertain.chances[photons].high[0];
            let mean = [Real::from(photons as u64).to_f64(), 0.2, 0.0];
            let there =
                Mixture::new(Spread::exact(mean), Spread::exact(PROBABILITY)).chances[photons].high[0];
            assert!((most - there).to_f64().abs() < 1e-14, "{photons} photons: {most:?} for {there:?}");
        }
    }

    #[test]
    fn at_least_as_good_as_the_closed_formula() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let mut counts = exact(&mixture, &[1e5, 3e6, 6e5, 9e4, 8e3]);
        for k in 0..3 {
            let spread = counts.below[k].sqrt() * Real::from(10.0);
            counts.below[k] = (counts.below[k] - spread).max(Real::ZERO);
            counts.above[k] = counts.above[k] + spread;
        }
        let [u, v, w] = MEAN;
        let up = [0, 1, 2].map(|k| libm::exp(MEAN[k]) / PROBABILITY[k] * counts.above[k].to_f64());
        let down = [0, 1, 2].map(|k| libm::exp(MEAN[k]) / PROBABILITY[k] * counts.below[k].to_f64());
        let tau =
            |n: i32| -> f64 { (0..3).map(|k| PROBABILITY[k] * libm::exp(-MEAN[k]) * MEAN[k].powi(n)).sum() };
        let vacuum = (tau(0) * (v * down[2] - w * up[1]) / (v - w)).max(0.0);
        let rest = (v * v - w * w) / (u * u) * (up[0] - vacuum / tau(0));
        let single = tau(1) * u / (u * (v - w) - v * v + w * w) * (down[1] - up[2] - rest);
        let ours = (mixture.fewest(0, &counts).to_f64(), mixture.fewest(1, &counts).to_f64());
        assert!(ours.0 >= vacuum * (1.0 - 1e-9), "vacuum {} against {vacuum}", ours.0);
        assert!(ours.1 >= single * (1.0 - 1e-9), "single {} against {single}", ours.1);
    }

    #[test]
    fn what_is_known_of_empty_pulses_tightens_the_others() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let mut counts = exact(&mixture, &[1e5, 3e6, 6e5, 9e4, 8e3]);
        for k in 0..3 {
            counts.below[k] = counts.below[k] * Real::from(0.99);
            counts.above[k] = counts.above[k] * Real::from(1.01);
        }
        let before = mixture.most(1, &counts);
        counts.below[EMPTY] = Real::from(9.9e4);
        let after = mixture.most(1, &counts);
        assert!(after < before, "fewer single photons: {after:?} against {before:?}");
        assert!(after >= Real::from(3e6), "and not fewer than there are: {after:?}");
    }

    #[test]
    fn uncertain_intensities_enclose_every_certain_one() {
        let spread = [0.02, 0.01, 0.0005];
        let uncertain = Mixture::new(Spread { middle: MEAN, half_width: spread }, Spread::exact(PROBABILITY));
        let events = [1e5, 3e6, 6e5, 9e4, 8e3];
        for corner in 0..27_u32 {
            let off = [corner % 3, corner / 3 % 3, corner / 9].map(|end| f64::from(end) - 1.0);
            let mean = [0, 1, 2].map(|k| MEAN[k] + off[k] * spread[k]);
            let counts = exact(&Mixture::new(Spread::exact(mean), Spread::exact(PROBABILITY)), &events);
            assert!(!uncertain.contradicts(&counts), "corner {corner} is possible");
            let (fewest, most) = (uncertain.fewest(1, &counts), uncertain.most(1, &counts));
            assert!(fewest <= Real::from(events[1]) && most >= Real::from(events[1]), "corner {corner}");
        }
        let off = [0.02, 0.02, 0.01];
        let loose = Mixture::new(Spread::exact(MEAN), Spread { middle: PROBABILITY, half_width: off });
        for corner in 0..8_u32 {
            let end = |k: u32| if corner >> k & 1 == 0 { -1.0 } else { 1.0 };
            let chosen = [0, 1, 2].map(|k: u32| PROBABILITY[k as usize] + end(k) * off[k as usize]);
            let counts = exact(&Mixture::new(Spread::exact(MEAN), Spread::exact(chosen)), &events);
            let (fewest, most) = (loose.fewest(1, &counts), loose.most(1, &counts));
            assert!(fewest <= Real::from(events[1]) && most >= Real::from(events[1]), "choice {corner}");
        }
        let bright = Mixture::new(
            Spread { middle: [2.5, 0.2, 0.0], half_width: [1.0, 0.1, 0.0] },
            Spread::exact(PROBABILITY),
        );
        for (photons, chances) in bright.chances.iter().enumerate().take(12) {
            for mean in [1.5, 1.9, 2.0, 2.5, 3.0, 3.5] {
                let certain = Mixture::new(Spread::exact([mean, 0.25, 0.0]), Spread::exact(PROBABILITY));
                let chance = certain.chances[photons].low[0];
                let inside = chances.low[0] <= chance && chance <= chances.high[0];
                assert!(inside, "{photons} photons at {mean}: {chance:?} in {chances:?}");
            }
        }
    }

    #[test]
    fn contradictions_are_proved_and_nothing_else_is() {
        let mixture = Mixture::new(Spread::exact(MEAN), Spread::exact(PROBABILITY));
        let mut counts = exact(&mixture, &[1e5, 3e6, 6e5, 9e4, 8e3]);
        assert!(!mixture.contradicts(&counts), "counts of a world that there is");
        counts.below[2] = counts.total;
        counts.above[2] = counts.total;
        assert!(
            mixture.contradicts(&counts),
            "all detections from the dimmest intensity, and others besides"
        );
        let none =
            Counts { below: [Real::ZERO; COUNTS], above: [Real::from(50.0); COUNTS], total: Real::ZERO };
        assert!(!mixture.contradicts(&none), "nothing detected");
    }

    #[test]
    fn every_choice_comes_once() {
        let mut seen = std::collections::BTreeSet::new();
        each_choice(8, |choice| assert!(seen.insert(choice), "{choice:?} came twice"));
        assert_eq!(seen.len(), 56, "8 over 5");
        assert!(seen.iter().all(|choice| choice.windows(2).all(|pair| pair[0] < pair[1])), "in order");
    }

    #[test]
    fn no_events_are_no_photons() {
        let mixture = Mixture::new(Spread::exact([0.5, 0.15, 0.0]), Spread::exact(PROBABILITY));
        let none =
            Counts { below: [Real::ZERO; COUNTS], above: [Real::from(50.0); COUNTS], total: Real::ZERO };
        assert_eq!(mixture.fewest(1, &none).to_f64(), 0.0, "none at least");
        assert!(mixture.most(1, &none).to_f64().abs() < 1e-9, "none at most");
    }

    #[test]
    fn photon_numbers_that_are_not_evaluated_are_bounded_too() {
        // Intensities so close that even 200 photons do not tell which it was.
        let (mean, probability) = ([0.5, 0.499, 0.4985], [0.5, 0.3, 0.2]);
        let mixture = Mixture::new(Spread::exact(mean), Spread::exact(probability));
        for y in [
            [1.0, 0.5, -2.0],
            [-1.0, 3.0, 0.0],
            [0.0, -1.0, 4.0],
            [2.0, 2.0, 2.0],
            [-3.0, -4.0, -5.0],
            [-1.0, -5.0, 2.0],
            [-1.0, 2.0, -5.0],
        ] {
            let bound = mixture.beyond([y[0], y[1], y[2], 0.0].map(Real::from)).to_f64();
            for photons in [200, 201, 250, 400, 1_000, 10_000] {
                let weight = |k: usize| {
                    probability[k] * libm::exp(-mean[k]) * libm::pow(mean[k] / mean[0], f64::from(photons))
                };
                let all: f64 = (0..3).map(weight).sum();
                let slack: f64 = -(0..3).map(|k| y[k] * weight(k) / all).sum::<f64>();
                assert!(bound <= slack + 1e-9, "{y:?} at {photons} photons: {bound} > {slack}");
            }
        }
    }
}
