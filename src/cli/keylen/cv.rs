//! Formulas of CV-QKD by the names of their inputs.

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use keystill::bounds::Real;
use keystill::cv::security::discrete::{self, Constellation};
use keystill::cv::security::gaussian::{Detection, Link, Trust};
use keystill::cv::security::general::{self, EnergyTest};
use keystill::cv::security::published::{
    ComposableBlock, FiniteBlock, PairsPerSymbol, asymptotic, composable2021, leverrier2010,
};
use keystill::cv::security::slices;
use keystill::cv::security::{
    Budget, FailedFrames, Interval, Kept, KeyLength, Moments, NoKey, Receiver, course, key_length,
};

use super::input::Fields;
use super::{Formula, Terms};

pub(super) const FORMULAS: &[Formula] = &[
    Formula {
        name: "keystill",
        modes: &["default", "failed_frames_subtracted", "general_attacks", "slices"],
        caution: Some(
            "secure against collective attacks, in mode general_attacks against all; confidence intervals assume Gaussian noise",
        ),
        text: "ell = floor({raw_bits} - {eavesdropped_bits} - {equipartition_bits} - {failed_bits} - {leak_EC} \
               - {hashing_bits}) = {ell}, of slices less mismatch_bits too\n\
               eavesdropped_bits = n chi = {n_kept} * {chi_worst} for T >= {T_min}, xi <= {xi_max}\n\
               hashing_bits = -2 log2(2 {eps_PA}) = {hashing_bits}",
        evaluate: keystill,
    },
    Formula {
        name: "cv-asym",
        modes: &["default"],
        caution: Some(ASYMPTOTIC),
        text: "rate = {beta} * {I_AB} - {chi_BE} = {rate}",
        evaluate: asym,
    },
    Formula {
        name: "cv-lgg2010",
        modes: &["m_two_scalar_pairs_per_het_symbol", "m_one_pair_per_het_symbol_conservative"],
        caution: Some(
            "collective attacks, not composable; its finite-size term assumes one binary key symbol a use",
        ),
        text: "K = (1 - {pe_fraction}) ({beta} * {I_AB} - {chi_worst} - {delta_n}) = {K_real}",
        evaluate: lgg,
    },
    Formula {
        name: "cv-composable-mountogiannakis",
        modes: &["default"],
        caution: Some("collective attacks; every epsilon is 2^-32"),
        text: "r = {H_K} - {d_ent} + {R_code} * {q} - {p} - {chi_M} - {Delta_AEP}/sqrt({n}) + {Theta}/{n} = {r_tilde}\n\
               R = {n} * {p_EC}/{N} r = {R_final}",
        evaluate: composable,
    },
    Formula {
        name: "cv-general-leverrier2017",
        modes: &["default"],
        caution: Some("the finite-size rate under it is that of cv-lgg2010, which is not composable"),
        text: "length = n (1 - {pe_fraction}) ({beta} I - chi - Delta) - {toll_bits} = {length}, n = {n}, T >= {T_min}, xi <= \
               {xi_max}\n\
               at eps_coll = 50 * {eps_target}/{K_cutoff}^4 = {eps_coll}",
        evaluate: general,
    },
    Formula {
        name: "cv-dm-dbl2021",
        modes: &["default"],
        caution: Some(ASYMPTOTIC),
        text: "rate = {beta} * {I_AB_gaussian} - {chi_BE} = {rate_gaussianI}, Z* = {Z_star}, nu = {nu1}, {nu2}, {nu3}",
        evaluate: discrete_modulation,
    },
];

/// Terms of certificates, and what they are called here.
pub(super) const CERTIFIED: &[(&str, &str)] = &[
    ("transmittance", "T"),
    ("transmittance_min", "T_min"),
    ("excess_noise_max", "xi_max"),
    ("holevo", "chi_BE"),
    ("holevo_max", "chi_worst"),
    ("raw_bits", "raw_bits"),
    ("eavesdropped_bits", "eavesdropped_bits"),
    ("equipartition_bits", "equipartition_bits"),
    ("hashing_bits", "hashing_bits"),
    (MISMATCH, MISMATCH),
    ("ell_real", "ell_real"),
    ("transmittance_earlier", "T_earlier"),
    ("transmittance_later", "T_later"),
    ("transmittance_deviations", "T_deviations"),
];

/// What quadratures in slices lack to uniform bits.
const MISMATCH: &str = "mismatch_bits";

const ASYMPTOTIC: &str = "the limit of infinitely many symbols: no key is made with it";

/// The bound that keys are made with.
fn keystill(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let sliced = mode == "slices";
    if sliced && !fields.has("slice_deviation") {
        return Ok(None);
    }
    let moments = moments(fields)?;
    let kept = fields.count("n_kept")?;
    let failed = match mode {
        "default" | "slices" => FailedFrames::Left,
        _ => FailedFrames::Subtracted { symbols: fields.count("n_failed")? },
    };
    let receiver = Receiver {
        efficiency: interval(fields, "eta")?,
        electronic_noise: interval(fields, "v_el")?,
        electronic_measured: if fields.has("v_el_measured") {
            Some(fields.number("v_el_measured")?)
        } else {
            None
        },
        calibration_samples: fields.count("calibration_samples")?,
        trust: if fields.has("trusted") { trust(fields)? } else { Trust::Trusted },
    };
    let kept = Kept { symbols: kept, failed, disclosed_bits: fields.count("leak_EC")? };
    let epsilon = fields.number_or("eps_total", 1e-10)?;
    let answer = if mode == "general_attacks" {
        let test = energy_test(fields, fields.number("N")?, epsilon)?;
        general::key_length(&moments, &receiver, &kept, &test).map(|(key, _)| key)
    } else if sliced {
        let deviation = fields.number("slice_deviation")?;
        slices::key_length(&moments, &receiver, &kept, &Budget::of_block(epsilon), deviation)
    } else {
        key_length(&moments, &receiver, &kept, &Budget::of_block(epsilon))
    };
    let (key, reason) = match answer {
        Ok(key) => (key, None),
        Err(NoKey::Spent(key)) => (*key, Some(NoKey::Spent(key).to_string())),
        Err(NoKey::Untested { pairs }) => {
            let reason = NoKey::Untested { pairs }.to_string();
            return Ok(json!({ "ell": 0, "reason": reason }).as_object().cloned());
        }
        Err(why) => bail!(why),
    };
    let mut terms = default_terms(&key, reason.as_deref());
    if sliced {
        terms.insert(MISMATCH.to_owned(), key.mismatch_bits.into());
    }
    if fields.has("m_earlier") {
        terms.extend(course_terms(fields, &moments, &receiver)?);
    }
    Ok(Some(terms))
}

/// The transmittance of the earlier part of the block and of the rest.
fn course_terms(fields: &Fields<'_>, all: &Moments, receiver: &Receiver) -> anyhow::Result<Terms> {
    let earlier = Moments {
        pairs: fields.count("m_earlier")?,
        alice: fields.number("sum_xx_earlier")?,
        cross: fields.number("sum_xy_earlier")?,
        bob: fields.number("sum_yy_earlier")?,
    };
    let course = course(all, &earlier, receiver).context("the earlier pairs are no part of the block")?;
    let terms = [
        ("T_earlier", course.earlier.value),
        ("T_later", course.later.value),
        ("T_deviations", course.earlier.deviations_to(course.later)),
    ];
    Ok(terms.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}

fn default_terms(key: &KeyLength, reason: Option<&str>) -> Terms {
    let worst = &key.worst;
    let terms = json!({
        "V_A": worst.modulation_variance,
        "T": worst.transmittance,
        "T_min": worst.transmittance_min,
        "T_max": worst.transmittance_max,
        "xi": worst.excess_noise,
        "xi_max": worst.excess_noise_max,
        "chi_BE": worst.holevo,
        "chi_worst": worst.holevo_max,
        "raw_bits": key.raw_bits,
        "eavesdropped_bits": key.eavesdropped_bits,
        "equipartition_bits": key.equipartition_bits,
        "failed_bits": key.failed_bits,
        "leak_EC": key.disclosed_bits,
        "hashing_bits": key.hashing_bits,
        "eps_estimation": key.budget.estimation,
        "eps_smooth": key.budget.smoothing,
        "eps_PA": key.budget.amplification,
        "ell_real": key.ell_real,
        "ell": key.ell,
        "reason": reason,
    });
    terms.as_object().cloned().unwrap_or_default()
}

/// Sums over pairs, or those that a link has on average.
fn moments(fields: &Fields<'_>) -> anyhow::Result<Moments> {
    if fields.has("sum_xx") {
        return Ok(Moments {
            pairs: fields.count("m")?,
            alice: fields.number("sum_xx")?,
            cross: fields.number("sum_xy")?,
            bob: fields.number("sum_yy")?,
        });
    }
    let pairs = fields.count("N")?.saturating_mul(2);
    let middle = |name: &str| fields.not_negative_interval(name).map(|[low, high]| 0.5 * (low + high));
    let link = [
        fields.not_negative("V_A")?,
        fields.within("T", 0.0..=1.0)?,
        fields.not_negative("xi_in")?,
        middle("eta")?,
        middle("v_el")?,
    ];
    Ok(Moments::expected(pairs, link))
}

fn interval(fields: &Fields<'_>, name: &str) -> anyhow::Result<Interval> {
    let [low, high] = fields.interval(name)?;
    Ok(Interval { low, high })
}

fn asym(fields: &Fields<'_>, _mode: &str) -> anyhow::Result<Option<Terms>> {
    let rate =
        asymptotic(&link(fields)?, detection(fields)?, trust(fields)?, fields.within("beta", 0.0..=1.0)?);
    Ok(Some(reals(&[("I_AB", rate.mutual_information), ("chi_BE", rate.holevo), ("rate", rate.rate)])?))
}

fn lgg(fields: &Fields<'_>, mode: &str) -> anyhow::Result<Option<Terms>> {
    let detection = detection(fields)?;
    let pairs = match mode {
        "m_two_scalar_pairs_per_het_symbol" => PairsPerSymbol::Quadratures,
        _ if detection == Detection::Homodyne => return Ok(None),
        _ => PairsPerSymbol::One,
    };
    let block = FiniteBlock {
        symbols: fields.positive("N")?,
        estimation_share: fields.epsilon("pe_fraction")?,
        estimation: fields.epsilon("eps_PE")?,
        smoothing: fields.epsilon("eps_smooth")?,
        amplification: fields.epsilon("eps_PA")?,
        beta: fields.within("beta", 0.0..=1.0)?,
    };
    let finite = leverrier2010(&link(fields)?, detection, &block, pairs);
    Ok(Some(reals(&[
        ("z", finite.quantile),
        ("t", finite.amplitude),
        ("sigma2", finite.noise),
        ("t_min", finite.amplitude_min),
        ("sigma2_max", finite.noise_max),
        ("T_min", finite.transmittance_min),
        ("xi_max", finite.excess_noise_max),
        ("I_AB", finite.mutual_information),
        ("chi_worst", finite.holevo_max),
        ("delta_n", finite.finite_size),
        ("K_real", finite.rate),
    ])?))
}

fn composable(fields: &Fields<'_>, _mode: &str) -> anyhow::Result<Option<Terms>> {
    let rate = composable2021(&ComposableBlock {
        blocks: fields.positive("n_bks")?,
        symbols: fields.positive("N")?,
        kept: fields.positive("n")?,
        digits: fields.positive("p")?,
        coded_digits: fields.not_negative("q")?,
        success: fields.share("p_EC")?,
        code_rate: fields.within("R_code", 0.0..=1.0)?,
        symbol_entropy: fields.not_negative("H_K")?,
        entropy_spread: fields.not_negative("d_ent")?,
        holevo_max: fields.not_negative("chi_M")?,
    });
    Ok(Some(reals(&[
        ("Delta_AEP", rate.equipartition),
        ("Theta", rate.hashing),
        ("r_M", rate.rate),
        ("r_tilde", rate.finite_rate),
        ("R_final", rate.rate_per_symbol),
        ("r_total_bits", rate.length),
        ("epsilon", rate.epsilon),
    ])?))
}

fn general(fields: &Fields<'_>, _mode: &str) -> anyhow::Result<Option<Terms>> {
    let (symbols, share) = (fields.positive("n")?, fields.epsilon("pe_fraction")?);
    let test = energy_test(fields, symbols, fields.epsilon("eps_target")?)?;
    let general = general::reduction(&test).context("the energy test is too small for this epsilon")?;
    // Estimation, smoothing and amplification share it.
    let epsilon = general.collective_epsilon.to_f64() / 3.0;
    let block = FiniteBlock {
        symbols,
        estimation_share: share,
        estimation: epsilon,
        smoothing: epsilon,
        amplification: epsilon,
        beta: fields.within("beta", 0.0..=1.0)?,
    };
    let finite = leverrier2010(&link(fields)?, Detection::Heterodyne, &block, PairsPerSymbol::One);
    let length = finite.rate * Real::from(symbols) - Real::from(general.toll_bits);
    let mut terms = reals(&[
        ("raw", length),
        ("length", length.max(Real::ZERO)),
        ("K_cutoff", general.cutoff),
        ("eps_coll", general.collective_epsilon),
        ("T_min", finite.transmittance_min),
        ("xi_max", finite.excess_noise_max),
    ])?;
    terms.insert("toll_bits".to_owned(), general.toll_bits.into());
    terms.insert("ell".to_owned(), length.floor_to_u64().into());
    Ok(Some(terms))
}

fn energy_test(fields: &Fields<'_>, symbols: f64, epsilon: f64) -> anyhow::Result<EnergyTest> {
    Ok(EnergyTest {
        symbols,
        tested: fields.positive("k_test")?,
        alice: fields.not_negative("d_A")?,
        bob: fields.not_negative("d_B")?,
        epsilon,
    })
}

fn discrete_modulation(fields: &Fields<'_>, _mode: &str) -> anyhow::Result<Option<Terms>> {
    let size = usize::try_from(fields.count("M")?)?;
    let strength = fields.not_negative("alpha_or_Va")?;
    let constellation = match fields.choice("kind", &["psk", "qam"])? {
        "psk" => Constellation::phases(size, strength),
        _ => Constellation::square(size, strength),
    };
    let constellation = constellation.with_context(|| {
        format!(
            "no constellation of {size} points and strength {strength}: at most {}",
            discrete::MOST_POINTS
        )
    })?;
    let rate = discrete::rate(
        &constellation,
        fields.share("T")?,
        fields.not_negative("xi_in")?,
        fields.within("beta", 0.0..=1.0)?,
    );
    let [first, second, third] = rate.eigenvalues;
    Ok(Some(reals(&[
        ("n_mean", rate.mean_photons),
        ("Va", rate.modulation_variance),
        ("C", rate.correlation),
        ("w", rate.spread),
        ("Z_star", rate.covariance),
        ("nu1", first),
        ("nu2", second),
        ("nu3", third),
        ("chi_BE", rate.holevo),
        ("I_AB_gaussian", rate.gaussian_information),
        ("rate_gaussianI", rate.rate),
    ])?))
}

fn link(fields: &Fields<'_>) -> anyhow::Result<Link> {
    Ok(Link {
        modulation_variance: fields.not_negative("V_A")?.into(),
        transmittance: fields.share("T")?.into(),
        excess_noise: fields.not_negative("xi_in")?.into(),
        efficiency: fields.share("eta")?.into(),
        electronic_noise: fields.not_negative("v_el")?.into(),
    })
}

fn detection(fields: &Fields<'_>) -> anyhow::Result<Detection> {
    match fields.choice("detection", &["homodyne", "heterodyne"])? {
        "homodyne" => Ok(Detection::Homodyne),
        _ => Ok(Detection::Heterodyne),
    }
}

fn trust(fields: &Fields<'_>) -> anyhow::Result<Trust> {
    Ok(if fields.flag("trusted")? { Trust::Trusted } else { Trust::Untrusted })
}

/// Terms, each of them a number: what no double holds is no answer.
fn reals(terms: &[(&str, Real)]) -> anyhow::Result<Terms> {
    let term = |(name, value): &(&str, Real)| {
        ensure!(value.is_finite(), "{name} has no finite value for these inputs");
        Ok(((*name).to_owned(), Value::from(value.to_f64())))
    };
    terms.iter().map(term).collect()
}
