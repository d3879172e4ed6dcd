//! Key lengths against a world whose truth is known: how often do the bounds fail?

use keystill::bb84::security::{Budget, Claim, Observation, Source, Vacuum, terms};

/// SplitMix64: enough for counting.
struct Coins(u64);

impl Coins {
    /// Uniform in [0, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn flip(&mut self, chance: f64) -> bool {
        self.next() < chance
    }
}

/// What an adversary chose: detected pulses by photon number, and their error rates in the test basis.
struct World {
    detected: [u32; 4],
    error_rates: [f64; 4],
}

#[derive(Default)]
struct Truth {
    vacuum_key: u64,
    single_key: u64,
    single_test: u64,
    single_test_errors: u64,
    single_key_phase_errors: u64,
}

const MEAN: [f64; 3] = [0.5, 0.2, 0.001];
const PROBABILITY: [f64; 3] = [0.6, 0.25, 0.15];
const TEST: f64 = 0.4;

/// Chance assigns bases, intensities and errors.
fn play(world: &World, share: f64, coins: &mut Coins) -> (Observation, Truth) {
    play_with(PROBABILITY, world, share, coins)
}

/// The same with other probabilities of the intensities.
fn play_with(probability: [f64; 3], world: &World, share: f64, coins: &mut Coins) -> (Observation, Truth) {
    let (mut seen, mut truth) = (Observation::default(), Truth::default());
    for (photons, count) in world.detected.into_iter().enumerate() {
        let weight = |k: usize| probability[k] * libm::exp(-MEAN[k]) * libm::pow(MEAN[k], photons as f64);
        let all: f64 = (0..3).map(weight).sum();
        for _ in 0..count {
            let draw = coins.next() * all;
            let intensity = if draw < weight(0) {
                0
            } else if draw < weight(0) + weight(1) {
                1
            } else {
                2
            };
            let (tested, wrong) = (coins.flip(share), coins.flip(world.error_rates[photons]));
            if tested {
                seen.test[intensity] += 1;
                seen.test_errors[intensity] += u64::from(wrong);
            } else {
                seen.key[intensity] += 1;
            }
            match (photons, tested) {
                (0, false) => truth.vacuum_key += 1,
                (1, false) => {
                    truth.single_key += 1;
                    truth.single_key_phase_errors += u64::from(wrong);
                }
                (1, true) => {
                    truth.single_test += 1;
                    truth.single_test_errors += u64::from(wrong);
                }
                _ => {}
            }
        }
    }
    (seen, truth)
}

#[test]
fn the_bounds_of_bb84_fail_less_often_than_they_claim() {
    let plain = Source::new(MEAN, PROBABILITY);
    let known = plain.with_test_basis(TEST, TEST);
    let share = known.test_share.unwrap_or_default();
    // 2 √Σf = 0.7: a tenth of all blocks may fail.
    let claim = Claim {
        budget: Budget { estimation: 0.7, amplification: 0.1 },
        vacuum: Vacuum::Credited,
        mismatch: None,
    };
    let mut coins = Coins(7);
    let mut failures = 0;
    let worlds = [
        World { detected: [900, 9_000, 1_500, 200], error_rates: [0.5, 0.02, 0.0, 0.0] },
        World { detected: [4_000, 6_000, 100, 0], error_rates: [0.5, 0.1, 0.5, 0.0] },
        World { detected: [100, 9_000, 6_000, 3_000], error_rates: [0.5, 0.0, 0.2, 1.0] },
    ];
    let rounds = 30;
    for world in &worlds {
        for source in [&plain, &known] {
            for _ in 0..rounds {
                let (seen, truth) = play(world, share, &mut coins);
                let bound = terms(&seen, source, &claim, 0).expect("these counts are possible");
                let phase = truth.single_key_phase_errors as f64 / truth.single_key as f64;
                let wrong = bound.vacuum_key > truth.vacuum_key as f64
                    || bound.single_key > truth.single_key as f64
                    || bound.single_test > truth.single_test as f64
                    || bound.single_test_errors < truth.single_test_errors as f64
                    || bound.phase_error_rate < phase;
                failures += u32::from(wrong);
                assert!(bound.single_key > 0.2 * truth.single_key as f64, "not empty: {bound:?}");
            }
        }
    }
    let blocks = 6 * rounds;
    assert!(failures * 10 <= blocks, "{failures} of {blocks} blocks failed, of which a tenth may");
}

#[test]
fn two_intensities_fail_less_often_than_they_claim() {
    let probability = [0.6, 0.4, 1e-30];
    let source = Source::new(MEAN, probability).with_test_basis(0.5, 0.5);
    let share = source.test_share.unwrap_or_default();
    let claim = Claim {
        budget: Budget { estimation: 0.7, amplification: 0.1 },
        vacuum: Vacuum::Credited,
        mismatch: None,
    };
    let mut coins = Coins(8);
    // Hardly any empty pulse; as many as errors allow; an attack by multiphotons without any.
    let worlds = [
        World { detected: [20, 9_000, 2_000, 200], error_rates: [0.5, 0.01, 0.0, 0.0] },
        World { detected: [6_000, 12_000, 1_000, 0], error_rates: [0.5, 0.0, 0.0, 0.0] },
        World { detected: [0, 9_000, 4_000, 0], error_rates: [0.5, 0.02, 0.03, 0.0] },
    ];
    let (mut failures, rounds) = (0, 60);
    for world in &worlds {
        for _ in 0..rounds {
            let (seen, truth) = play_with(probability, world, share, &mut coins);
            let bound = terms(&seen, &source, &claim, 0).expect("these counts are possible");
            let phase = truth.single_key_phase_errors as f64 / truth.single_key as f64;
            let wrong = bound.vacuum_key > truth.vacuum_key as f64
                || bound.single_key > truth.single_key as f64
                || bound.single_test > truth.single_test as f64
                || bound.single_test_errors < truth.single_test_errors as f64
                || bound.phase_error_rate < phase;
            failures += u32::from(wrong);
            assert!(bound.single_key > 0.2 * truth.single_key as f64, "not empty: {bound:?}");
        }
    }
    let blocks = 3 * rounds;
    assert!(failures * 10 <= blocks, "{failures} of {blocks} blocks failed, of which a tenth may");
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn no_input_panics_and_no_key_is_longer_than_its_bits() {
    let mut coins = Coins(11);
    let sizes = [0.0, 1.0, 40.0, 1e3, 1e5, 1e9, 1e13, 9e15, 4e18];
    let mut judged = 0;
    for round in 0..600 {
        let mean = [coins.next() + 0.3, coins.next() * 0.3, 0.0];
        let mut counts = |orderly: bool| {
            let scale = sizes[(coins.next() * 9.0) as usize];
            let background = 0.3 * coins.next();
            [0, 1, 2].map(|k: usize| {
                let share =
                    if orderly { [0.7, 0.2, 0.1][k] * (background + mean[k]) / 2.0 } else { coins.next() };
                (scale * share) as u64
            })
        };
        let orderly = round % 5 != 0;
        let (key, test, errors) = (counts(orderly), counts(orderly), counts(false));
        let test_errors =
            [0, 1, 2].map(|k| if round % 7 == 0 { errors[k] } else { test[k] / 20 + errors[k] % 3 });
        let seen = Observation { key, test, test_errors };
        let third = if round % 3 == 0 { 0.1 } else { 1e-30 };
        let (key, test, test_errors) = (seen.key, seen.test, seen.test_errors);
        let seen = if third < 0.1 && round % 5 != 0 {
            let two = |counts: [u64; 3]| [counts[0], counts[1], 0];
            Observation { key: two(key), test: two(test), test_errors: two(test_errors) }
        } else {
            seen
        };
        let source = Source::new(mean, [0.7, 0.3 - third, third]);
        let source = if round % 2 == 0 { source } else { source.with_test_basis(coins.next(), coins.next()) };
        let Ok(full) = terms(&seen, &source, &Claim::of_block(1e-10), 0) else { continue };
        judged += 1;
        let total: u64 = seen.key.iter().sum();
        assert!(full.ell <= total, "{} bits of key from {total}: {seen:?}", full.ell);
        assert!((0.0..=1.0).contains(&full.phase_error_rate), "a rate: {full:?}");
        let Ok(less) = terms(&seen, &source, &Claim::of_block(1e-10), total / 3) else { continue };
        assert!(less.ell <= full.ell.saturating_sub(total / 3).max(1), "disclosed bits leave: {less:?}");
    }
    assert!(judged > 40, "only {judged} of 600 were possible counts");
}
