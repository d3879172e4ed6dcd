//! The key to expect: the proofs' own functions over a block of average counts.

use keystill::bb84::security::{self, Claim, Observation, Source, Vacuum};
use keystill::channel::{Bb84Budget, CvBudget, Scenario};
use keystill::cv::security as cv_security;
use keystill::reconcile::{ldpc, leaf};

/// Bits that the first shots tell for so many sifted bits, of which so many were seen in the test basis: what the
/// engine aims at, one and a half standard errors above the test basis' rate.
pub(crate) fn bb84_leak_bits(qber: f64, key_events: f64, test_events: f64) -> f64 {
    let sigma = (qber * (1.0 - qber) / test_events.max(1.0)).sqrt();
    let bits = usize::try_from(count(key_events)).unwrap_or(usize::MAX);
    if bits == 0 { 0.0 } else { ldpc::expected_leak_bits(qber + 1.5 * sigma, bits) }
}

/// The efficiency f that the expected BB84 key reckons with.
pub(crate) fn expected_efficiency(scenario: &Scenario, budget: &Bb84Budget) -> f64 {
    let [key, test] = bb84_events(scenario, budget).map(|events| events.iter().sum::<f64>());
    let q = budget.qber;
    let entropy = -q * q.log2() - (1.0 - q) * (1.0 - q).log2();
    bb84_leak_bits(q, key, test) / (entropy * key)
}

/// The efficiency β that the expected CV key reckons with: of the code that the engine chooses, one and a half standard
/// errors of the sample below the signal-to-noise ratio. 0 where it would choose none.
pub(crate) fn expected_beta(scenario: &Scenario, snr: f64) -> f64 {
    let sample = 2.0 * scenario.cv.sample_symbols as f64;
    let error = ((4.0 / snr + 2.0) / sample).sqrt();
    leaf::Plan::choose((snr * (1.0 - 1.5 * error)).max(0.0), usize::MAX)
        .map_or(0.0, |plan| plan.efficiency(snr))
}

/// Events of a block in the key basis and in the test basis, by intensity.
fn bb84_events(scenario: &Scenario, budget: &Bb84Budget) -> [[f64; 3]; 2] {
    let bb84 = &scenario.bb84;
    let gates = bb84.clock_ghz * 1e9 * bb84.block_s;
    let both = |probability: f64| probability * probability;
    [both(1.0 - bb84.test_probability), both(bb84.test_probability)]
        .map(|share| [0, 1, 2].map(|k| gates * bb84.probabilities[k] * budget.click_by_intensity[k] * share))
}

/// Secret bits a second from a block of average counts, by the default proof.
pub(crate) fn bb84_secret_bit_per_s(scenario: &Scenario, budget: &Bb84Budget) -> f64 {
    whole_bit_per_s(bb84_balance_bits(scenario, budget), scenario.bb84.block_s)
}

/// Secret bits a second of CV from a block of average moments, by the default proof.
pub(crate) fn cv_secret_bit_per_s(scenario: &Scenario, budget: &CvBudget) -> f64 {
    whole_bit_per_s(cv_balance_bits(scenario, budget), scenario.cv.block_s)
}

fn whole_bit_per_s(balance_bits: f64, block_s: f64) -> f64 {
    balance_bits.floor().max(0.0) / block_s
}

/// The key's length of a BB84 block before the floor: negative where there is none, by how much there is none.
pub(crate) fn bb84_balance_bits(scenario: &Scenario, budget: &Bb84Budget) -> f64 {
    let bb84 = &scenario.bb84;
    let [key, test] = bb84_events(scenario, budget);
    let errors = [0, 1, 2].map(|k| test[k] * budget.qber_by_intensity[k]);
    let seen = Observation { key: key.map(count), test: test.map(count), test_errors: errors.map(count) };
    let leak = count(bb84_leak_bits(budget.qber, key.iter().sum(), test.iter().sum()));
    let vacuum = if bb84.credit_vacuum { Vacuum::Credited } else { Vacuum::Uncredited };
    let terms = security::terms(
        &seen,
        &Source::new(bb84.mean_photons, bb84.probabilities)
            .with_test_basis(bb84.test_probability, bb84.test_probability),
        &Claim { vacuum, ..Claim::of_block(bb84.epsilon) },
        leak,
    );
    terms.map_or(f64::NEG_INFINITY, |terms| terms.ell_real)
}

/// The same of a CV block.
pub(crate) fn cv_balance_bits(scenario: &Scenario, budget: &CvBudget) -> f64 {
    let cv = &scenario.cv;
    let symbols = count(cv.symbol_rate_mbd * 1e6 * cv.block_s);
    let link = [
        cv.modulation_variance_snu,
        budget.transmittance,
        budget.excess_noise_input_snu,
        cv.receiver_efficiency,
        cv.electronic_noise_snu,
    ];
    let receiver = cv_security::Receiver {
        efficiency: cv_security::Interval::exact(cv.receiver_efficiency),
        electronic_noise: cv_security::Interval::exact(cv.electronic_noise_snu),
        electronic_measured: None,
        calibration_samples: cv.calibration_samples,
        trust: cv_security::gaussian::Trust::Trusted,
    };
    let beta = expected_beta(scenario, budget.snr);
    let leak = 2.0 * symbols as f64 * (1.0 - beta * 0.5 * (1.0 + budget.snr).log2());
    let kept =
        cv_security::Kept { symbols, failed: cv_security::FailedFrames::Left, disclosed_bits: count(leak) };
    let moments = cv_security::Moments::expected(2 * symbols, link);
    let terms = cv_security::terms(&moments, &receiver, &kept, &cv_security::Budget::of_block(cv.epsilon));
    terms.map_or(f64::NEG_INFINITY, |terms| terms.ell_real)
}

fn count(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count: rounded, never negative"
    )]
    let count = value.round().max(0.0) as u64;
    count
}
