//! Every tail bound against the truth, exhaustively over small populations.
//!
//! Independent trials are summed over all outcomes; dependent ones are played by the best adversary there
//! is, found by dynamic programming: at every step he chooses, knowing all that went before, the
//! probability that makes the bound fail most often.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "tests make their numbers from counters"
)]

use keystill::bounds::kato::Kato;
use keystill::bounds::{Real, binomial, chernoff, hoeffding, hypergeometric, serfling};

/// The chances of 0 … n successes, trial by trial.
fn binomial_law(rates: &[f64]) -> Vec<f64> {
    let mut law = vec![1.0];
    for rate in rates {
        let mut next = vec![0.0; law.len() + 1];
        for (x, chance) in law.iter().enumerate() {
            next[x] += chance * (1.0 - rate);
            next[x + 1] += chance * rate;
        }
        law = next;
    }
    law
}

/// The chance that a claim about the outcome is wrong.
fn failure(law: &[f64], wrong: impl Fn(u64) -> bool) -> f64 {
    law.iter().enumerate().filter(|(x, _)| wrong(*x as u64)).map(|(_, chance)| chance).sum()
}

const EPSILONS: [f64; 4] = [0.3, 1e-2, 1e-4, 1e-8];

/// Populations of equal rates and of two different ones.
fn populations() -> impl Iterator<Item = Vec<f64>> {
    let rates = [0.0, 0.003, 0.02, 0.1, 0.25, 0.5, 0.77, 0.9, 0.99, 1.0];
    [1, 2, 3, 7, 16, 40].into_iter().flat_map(move |n: usize| {
        rates.into_iter().flat_map(move |first| {
            rates
                .into_iter()
                .map(move |second| (0..n).map(|i| if i % 2 == 0 { first } else { second }).collect())
        })
    })
}

#[test]
fn chernoff_and_hoeffding_fail_at_most_as_often_as_they_claim() {
    for rates in populations() {
        let law = binomial_law(&rates);
        let mean: f64 = rates.iter().sum();
        let n = rates.len() as u64;
        for epsilon in EPSILONS {
            // What sums in another order is the same but for the last digits.
            let slack = epsilon * (1.0 + 1e-9) + 1e-15;
            let say = |what: &str, failed: f64| {
                assert!(failed <= slack, "{what}: {failed:e} > {epsilon:e} for {rates:?}");
            };
            let truth = Real::from(mean * (1.0 - 1e-12));
            say("expected above", failure(&law, |x| chernoff::expected_above(x, epsilon) < truth));
            let truth = Real::from(mean * (1.0 + 1e-12));
            say("expected below", failure(&law, |x| chernoff::expected_below(x, epsilon) > truth));
            let most = chernoff::observed_above(Real::from(mean), epsilon);
            say("observed above", failure(&law, |x| Real::from(x) > most * Real::from(1.0 + 1e-12)));
            let least = chernoff::observed_below(Real::from(mean), epsilon);
            say("observed below", failure(&law, |x| Real::from(x) < least * Real::from(1.0 - 1e-12)));
            let reach = hoeffding::one_sided(n, epsilon).to_f64() * (1.0 + 1e-12);
            say("Hoeffding above", failure(&law, |x| x as f64 - mean > reach));
            say("Hoeffding below", failure(&law, |x| mean - x as f64 > reach));
        }
    }
}

#[test]
fn clopper_pearson_fails_at_most_as_often_as_it_claims() {
    for n in [1_usize, 2, 5, 13, 60] {
        for thousandth in (0..=1000).step_by(7) {
            let rate = f64::from(thousandth) / 1000.0;
            let law = binomial_law(&vec![rate; n]);
            for epsilon in EPSILONS {
                let slack = epsilon * (1.0 + 1e-9) + 1e-15;
                let above = failure(&law, |x| binomial::rate_above(x, n as u64, epsilon) < rate);
                let below = failure(&law, |x| binomial::rate_below(x, n as u64, epsilon) > rate);
                assert!(above <= slack, "above, n = {n}, p = {rate}: {above:e} > {epsilon:e}");
                assert!(below <= slack, "below, n = {n}, p = {rate}: {below:e} > {epsilon:e}");
            }
        }
    }
}

/// Pr of k marked among the tested, from counting.
fn hypergeometric_law(tested: u64, others: u64, marked: u64) -> Vec<f64> {
    let choose = |n: u64, k: u64| (0..k).fold(1.0, |product, i| product * (n - i) as f64 / (i + 1) as f64);
    let all = choose(tested + others, marked);
    let inside = |k: u64| k <= marked && marked - k <= others;
    let chance = |k: u64| if inside(k) { choose(tested, k) * choose(others, marked - k) / all } else { 0.0 };
    (0..=tested).map(chance).collect()
}

#[test]
fn samples_of_every_small_population_fail_at_most_as_often_as_they_claim() {
    for (tested, others) in (1..=18_u64).flat_map(|t| (1..=18_u64).map(move |o| (t, o))) {
        for marked in 0..=tested + others {
            let law = hypergeometric_law(tested, others, marked);
            for epsilon in EPSILONS {
                let slack = epsilon * (1.0 + 1e-9) + 1e-15;
                let rest = |k: u64| (marked - k) as f64 / others as f64;
                let exact = failure(&law, |k| {
                    k <= marked && rest(k) > hypergeometric::rate_above(k, tested, others, epsilon)
                });
                assert!(
                    exact <= slack,
                    "exact, {tested} of {tested}+{others}, {marked}: {exact:e} > {epsilon:e}"
                );
                let serfling = failure(&law, |k| {
                    k <= marked && Real::from(marked - k) > serfling::errors_above(k, tested, others, epsilon)
                });
                assert!(
                    serfling <= slack,
                    "Serfling, {tested}+{others}, {marked}: {serfling:e} > {epsilon:e}"
                );
            }
        }
    }
}

/// The greatest chance that an adversary has of ending in a state that is a failure.
///
/// He plays n rounds. In each he chooses a probability out of 0, 1/G, … 1 and the coin falls; S is the sum of
/// what he chose, Λ the number of heads. `fails(S·G, Λ)` says which ends are failures.
fn best_adversary(n: usize, fails: impl Fn(usize, u64) -> bool) -> f64 {
    let width = n * G + 1;
    let mut value: Vec<Vec<f64>> = (0..=n)
        .map(|heads| (0..width).map(|sum| f64::from(u8::from(fails(sum, heads as u64)))).collect())
        .collect();
    for left in 1..=n {
        let before = n - left;
        let mut next = vec![vec![0.0; width]; n + 1];
        for heads in 0..=before {
            for sum in 0..=before * G {
                let play = |p: usize| {
                    let rate = p as f64 / G as f64;
                    rate * value[heads + 1][sum + p] + (1.0 - rate) * value[heads][sum + p]
                };
                next[heads][sum] = (0..=G).map(play).fold(0.0, f64::max);
            }
        }
        value = next;
    }
    value[0][0]
}

/// Steps of the adversary's probability.
const G: usize = 20;

#[test]
fn no_adversary_beats_kato_or_azuma() {
    for (n, epsilon) in [(4_usize, 0.3), (10, 0.1), (16, 1e-2), (24, 1e-3)] {
        for share in [0.0, 0.1, 0.5, 0.9] {
            let predicted = share * n as f64;
            let above = Kato::above(n as u64, predicted, epsilon);
            let below = Kato::below(n as u64, predicted, epsilon);
            let over = |sum: usize, heads: u64| sum as f64 / G as f64 - heads as f64;
            let reach = |kato: &Kato, heads| kato.deviation(heads).to_f64() * (1.0 + 1e-12) + 1e-12;
            let high = best_adversary(n, |sum, heads| over(sum, heads) > reach(&above, heads));
            assert!(high <= epsilon, "S above, n = {n}, predicted {predicted}: {high:e} > {epsilon:e}");
            let low = best_adversary(n, |sum, heads| -over(sum, heads) > reach(&below, heads));
            assert!(low <= epsilon, "S below, n = {n}, predicted {predicted}: {low:e} > {epsilon:e}");
            let straw_man = share == 0.5 && (high == 0.0 || low == 0.0);
            assert!(!straw_man, "the adversary does what he can: {high:e}, {low:e}");
        }
        let azuma = hoeffding::azuma(n as u64, epsilon).to_f64();
        let failed = best_adversary(n, |sum, heads| (sum as f64 / G as f64 - heads as f64).abs() > azuma);
        assert!(failed <= 2.0 * epsilon, "Azuma, both sides, n = {n}: {failed:e}");
    }
}
