//! Formulas of BB84 by the names of their inputs.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use keystill::bb84::security::mismatch::Mismatch;
use keystill::bb84::security::published::{
    Block, Epsilons, GammaConstant, LimReading, Terms as Published, VacuumFrom, VariableEpsilons,
    VariableReading, lim2014, rusca2018, variable2024,
};
use keystill::bb84::security::{Budget, Claim, NoKey, Observation, Source, Vacuum, key_length};
use keystill::bounds::Real;

use super::input::Fields;
use super::{Formula, Terms};

pub(super) const FORMULAS: &[Formula] = &[
    Formula {
        name: "keystill",
        modes: &["default", "with_vacuum"],
        caution: None,
        text: "ell = floor({entropy_bits} - {leak_EC} - {hashing_bits}) = {ell}\n\
               entropy_bits = {s_key1} (1 - h({phi})) = {entropy_bits}, where {s_key0} is in it with_vacuum\n\
               phi = {phi}: at most {v_test1} errors in {s_test1} tested single photons, each bound wrong with \
               {eps_tail}\n\
               hashing_bits = -2 log2(2 {eps_PA}) = {hashing_bits}",
        evaluate: keystill,
    },
    Formula {
        name: "eur-variable",
        modes: &["clamped_capped", "unclamped", "clamped_capped_with_vacuum"],
        caution: None,
        text: "ell = floor({s_key1} (1 - h({phi})) - {leak_EC} - 2 log2(1/(2 {eps_PA})) - log2(2/{eps_EV})) = {ell}\n\
               and s_key0 = {s_key0} with_vacuum",
        evaluate: variable,
    },
    Formula {
        name: "lim2014-2decoy",
        modes: &[
            "hoeffding_clamped",
            "hoeffding_unclamped_v_uncapped",
            "hoeffding_clamped_v_capped_by_total_errors",
            "chernoff_yin2020_unclamped_v_capped",
            "asymptotic_decoy",
        ],
        caution: Some(FIXED_LENGTH),
        text: "ell = floor({s_key0} + {s_key1} (1 - h({phi})) - {leak_EC} - 6 log2(21/{eps_sec}) - log2(2/{eps_cor})) = {ell}",
        evaluate: lim,
    },
    Formula {
        name: "rusca2018-1decoy",
        modes: &[
            "clamped_s0u_min_gamma19",
            "clamped_s0u_min_gamma21",
            "clamped_s0u_mu1_gamma19",
            "clamped_s0u_mu1_gamma21",
            "clamped_s0u_mu2_gamma19",
            "clamped_s0u_mu2_gamma21",
        ],
        caution: Some(FIXED_LENGTH),
        text: "ell = floor({s_key0} + {s_key1} (1 - h({phi})) - {leak_EC} - 6 log2(19/{eps_sec}) - log2(2/{eps_cor})) = {ell}",
        evaluate: rusca,
    },
];

/// Terms of certificates, and what they are called here.
pub(super) const CERTIFIED: &[(&str, &str)] = &[
    ("vacuum_key", "s_key0"),
    ("single_key", "s_key1"),
    ("single_test", "s_test1"),
    ("single_test_errors", "v_test1"),
    ("phase_error_rate", "phi"),
    ("entropy_bits", "entropy_bits"),
    ("hashing_bits", "hashing_bits"),
    ("ell_real", "ell_real"),
];

const FIXED_LENGTH: &str = "not rigorous: proved only for lengths fixed before the data, and its gamma is not a \
                            bound (arXiv:2502.10340); keystill never makes keys with it";

/// The bound that keys are made with.
fn keystill(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let key_probability = fields.numbers(if fields.has("p_key") { "p_key" } else { "p" })?;
    let test_probability = fields.numbers(if fields.has("p_test") { "p_test" } else { "p" })?;
    let test_share = if fields.has("test_share") { Some(fields.number("test_share")?) } else { None };
    let mean_spread = if fields.has("mu_spread") { fields.numbers("mu_spread")? } else { [0.0; 3] };
    let source = Source {
        mean_photons: fields.numbers("mu")?,
        mean_spread,
        key_probability,
        test_probability,
        probability_spread: if fields.has("p_spread") { fields.numbers("p_spread")? } else { [0.0; 3] },
        test_share,
    };
    let seen = Observation {
        key: fields.counts("n_key")?,
        test: fields.counts("n_test")?,
        test_errors: fields.counts("m_test")?,
    };
    let vacuum = if mode == "with_vacuum" { Vacuum::Credited } else { Vacuum::Uncredited };
    let mismatch = if fields.has("efficiency_spread") { Some(mismatch(fields)?) } else { None };
    let claim = Claim { budget: Budget::of_block(fields.number_or("eps_total", 1e-10)?), vacuum, mismatch };
    let (key, reason) = match key_length(&seen, &source, &claim, fields.count("leak_EC")?) {
        Ok(key) => (key, None),
        Err(NoKey::Spent(key)) => (*key, Some(NoKey::Spent(key).to_string())),
        Err(NoKey::PhaseErrors(key)) => (*key, Some(NoKey::PhaseErrors(key).to_string())),
        Err(NoKey::Keyless(key)) => (*key, Some(NoKey::Keyless(key).to_string())),
        Err(NoKey::Untested { test_bits }) => {
            let reason = NoKey::Untested { test_bits }.to_string();
            return Ok(json!({ "ell": 0, "reason": reason }).as_object().cloned());
        }
        Err(why) => bail!(why),
    };
    // Of no key bits there is no rate; a certificate of a key that the vacuum alone gives states the trivial one.
    let bounded = key.has_single_key() || key.ell > 0;
    let terms = json!({
        "s_key0": key.vacuum_key,
        "s_key1": key.single_key,
        "s_test1": key.single_test,
        "v_test1": key.single_test_errors,
        "phi": bounded.then_some(key.phase_error_rate),
        "entropy_bits": key.entropy_bits,
        "leak_EC": key.disclosed_bits,
        "hashing_bits": key.hashing_bits,
        "eps_tail": key.tail_epsilon,
        "eps_estimation": key.budget.estimation,
        "eps_PA": key.budget.amplification,
        "ell_real": key.ell_real,
        "ell": key.ell,
        "reason": reason,
    });
    Ok(terms.as_object().cloned())
}

fn mismatch(fields: &Fields<'_>) -> anyhow::Result<Mismatch> {
    Ok(Mismatch {
        efficiency_spread: fields.number("efficiency_spread")?,
        dark_probability: fields.number_or("dark_probability", 0.0)?,
        dark_spread: fields.number_or("dark_spread", 0.0)?,
    })
}

fn variable(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let epsilons = VariableEpsilons {
        decoy: fields.epsilon("eps_decoy")?,
        sampling: fields.epsilon("eps_ATa")?,
        amplification: fields.epsilon("eps_PA")?,
        verification: fields.epsilon("eps_EV")?,
    };
    let reading = match mode {
        "unclamped" => VariableReading::Unclamped,
        "clamped_capped" => VariableReading::Clamped,
        _ => VariableReading::ClampedWithVacuum,
    };
    let block = block(fields)?;
    let mut terms = two_decoys(&variable2024(&block, epsilons, reading), block.disclosed_bits)?;
    terms.insert("eps_secure".to_owned(), epsilons.total().to_f64().into());
    Ok(Some(terms))
}

fn lim(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let reading = match mode {
        "hoeffding_unclamped_v_uncapped" => LimReading::Unclamped,
        "hoeffding_clamped" => LimReading::Clamped,
        "hoeffding_clamped_v_capped_by_total_errors" => LimReading::ClampedAndCapped,
        "chernoff_yin2020_unclamped_v_capped" => LimReading::ChernoffCapped,
        _ => LimReading::Asymptotic,
    };
    let block = block(fields)?;
    Ok(Some(two_decoys(&lim2014(&block, epsilons(fields)?, reading), block.disclosed_bits)?))
}

fn rusca(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let vacuum = match mode {
        _ if mode.contains("_mu1_") => VacuumFrom::Bright,
        _ if mode.contains("_mu2_") => VacuumFrom::Dim,
        _ => VacuumFrom::Least,
    };
    let constant = if mode.ends_with("21") { GammaConstant::Printed } else { GammaConstant::Consistent };
    let block = block(fields)?;
    let published = rusca2018(&block, epsilons(fields)?, vacuum, constant);
    let mut terms = shared(&published, block.disclosed_bits)?;
    terms.insert("s_key0_up".to_owned(), real(published.vacuum_key_above));
    terms.insert("s_test0_up".to_owned(), real(published.vacuum_test_above));
    Ok(Some(terms))
}

/// A block of a published formula, refused where the formula has no meaning.
fn block<const N: usize>(fields: &Fields<'_>) -> anyhow::Result<Block<N>> {
    let mean_photons: [f64; N] = fields.numbers("mu")?;
    let (brightest, weaker) = mean_photons.split_first().context("there are intensities")?;
    let falling = mean_photons.windows(2).all(|pair| pair[0] > pair[1]);
    let weakest = mean_photons.last().is_some_and(|weakest| *weakest >= 0.0);
    ensure!(falling && weakest, "`mu` must decrease and not be negative, not {mean_photons:?}");
    // One decoy must shine; two decoys together must be weaker than the signal.
    ensure!(
        if N == 2 { weaker[0] > 0.0 } else { *brightest > weaker.iter().sum() },
        "`mu`: the formula has no meaning for {mean_photons:?}"
    );
    let block = Block {
        mean_photons,
        probability: fields.distribution("p")?,
        key: fields.counts("n_key")?,
        // Only one decoy needs them: errors of the key basis bound the empty pulses there.
        key_errors: if N == 2 || fields.has("m_key") { fields.counts("m_key")? } else { [0; N] },
        test: fields.counts("n_test")?,
        test_errors: fields.counts("m_test")?,
        disclosed_bits: fields.count("leak_EC")?,
    };
    for (name, bits, errors) in
        [("key", &block.key, &block.key_errors), ("test", &block.test, &block.test_errors)]
    {
        let possible = bits.iter().zip(errors).all(|(bits, errors)| errors <= bits);
        ensure!(possible, "impossible counts: `m_{name}` {errors:?} of `n_{name}` {bits:?} bits are errors");
    }
    Ok(block)
}

fn epsilons(fields: &Fields<'_>) -> anyhow::Result<Epsilons> {
    Ok(Epsilons { secrecy: fields.epsilon("eps_sec")?, correctness: fields.epsilon("eps_cor")? })
}

fn two_decoys(published: &Published, disclosed_bits: u64) -> anyhow::Result<Terms> {
    let mut terms = shared(published, disclosed_bits)?;
    terms.insert("s_test0".to_owned(), real(published.vacuum_test));
    Ok(terms)
}

/// The terms that every formula has; a length only where it is defined.
fn shared(published: &Published, disclosed_bits: u64) -> anyhow::Result<Terms> {
    let mut terms = Terms::new();
    let mut put = |name: &str, value: Value| terms.insert(name.to_owned(), value);
    put("s_key0", real(published.vacuum_key));
    put("s_key1", real(published.single_key));
    put("s_test1", real(published.single_test));
    put("v_test1", real(published.single_test_errors));
    put("phi", published.phase_error_rate.map_or(Value::Null, real));
    put("leak_EC", disclosed_bits.into());
    put("ell_real", published.length.map_or(Value::Null, real));
    if let Some(length) = published.length {
        ensure!(
            length < Real::from(u64::MAX),
            "the counts give a length of 2⁶⁴ bits or more: no block has as many"
        );
        put("ell", length.floor_to_u64().into());
    }
    Ok(terms)
}

fn real(value: Real) -> Value {
    value.to_f64().into()
}
