//! Certificates as JSON, and what `keystill keylen --certificate` checks of them.
//!
//! The length is computed again from `inputs`, every term that led to it compared bit for bit, and every
//! number beside them with the inputs that it belongs to; `digest` is BLAKE3 of the rest in its compact
//! spelling with sorted names, so that no digit can be changed by accident.

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use keystill::amplify::{Matrix, Toeplitz};
use keystill::auth::{TAG_BITS, TAGS_PER_BLOCK};
use keystill::protocol::Evidence;
use keystill::session::Certificate;
use keystill::verify;

use super::input::Fields;
use super::{Formula, Protocol, Terms};

/// The version of the format.
const VERSION: u64 = 1;

/// A certificate as one JSON object.
pub(crate) fn certificate_json(certificate: &Certificate) -> Value {
    let length = &certificate.key_length;
    let ledger = &certificate.ledger;
    let inputs: Map<String, Value> =
        length.inputs.iter().map(|(name, evidence)| ((*name).to_owned(), evidence_json(*evidence))).collect();
    let names =
        |draws: &[keystill::random::Purpose]| draws.iter().map(|purpose| purpose.name()).collect::<Vec<_>>();
    let mut value = json!({
        "certificate": VERSION,
        "protocol": certificate.protocol,
        "formula": "keystill",
        "mode": length.mode,
        "proof": length.proof,
        "session": format!("{:032x}", certificate.session),
        "block": certificate.block,
        "role": format!("{:?}", certificate.role).to_lowercase(),
        "parameter_set": hex(&certificate.parameter_set),
        "inputs": inputs,
        "terms": length.terms.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        "frames": certificate.frames,
        "frames_failed": certificate.frames_failed,
        "kept_bits": certificate.kept_bits,
        "disclosed": ledger.disclosures().collect::<std::collections::BTreeMap<_, _>>(),
        "disclosed_bits": ledger.disclosed_bits(),
        "epsilons": ledger.epsilons().collect::<std::collections::BTreeMap<_, _>>(),
        "epsilon": ledger.epsilon(),
        "session_epsilon": certificate.session_epsilon,
        "seed_bits": ledger.public_seed_bits(),
        "tag_pad_bits": ledger.tag_pad_bits(),
        "hash_key_uses": {
            "alice_to_bob": certificate.hash_key_uses[0],
            "bob_to_alice": certificate.hash_key_uses[1],
        },
        "secret_bits": certificate.secret_bits(),
        "refilled_bits": certificate.refilled_bits,
        "net_secret_bits": certificate.net_bits(),
        "randomness": {
            "foundation": certificate.foundation.name(),
            "draws": names(&certificate.draws),
            "computational": names(certificate.computational()),
        },
    });
    value["digest"] = digest(&value).into();
    value
}

fn evidence_json(evidence: Evidence) -> Value {
    match evidence {
        Evidence::Count(count) => json!(count),
        Evidence::Counts(counts) => json!(counts),
        Evidence::Number(number) => json!(number),
        Evidence::Numbers(numbers) => json!(numbers),
        Evidence::Interval(ends) => json!(ends),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of all but itself.
fn digest(value: &Value) -> String {
    let mut rest = value.as_object().cloned().unwrap_or_default();
    rest.remove("digest");
    blake3::hash(Value::Object(rest).to_string().as_bytes()).to_hex().to_string()
}

/// The length that a certificate's inputs give, if every number in it fits.
pub(super) fn recompute(value: &Value) -> anyhow::Result<(&'static Formula, Terms)> {
    let object = value.as_object().context("a certificate is a JSON object")?;
    let fields = Fields::new(object);
    ensure!(fields.count("certificate")? == VERSION, "only certificates of version {VERSION} are known");
    ensure!(fields.text("digest")? == Some(&digest(value)), "the digest is not that of its contents");
    let protocol = match fields.text("protocol")? {
        Some("bb84") => Protocol::Bb84,
        Some("cv") => Protocol::Cv,
        other => bail!("no protocol {other:?}"),
    };
    ensure!(fields.text("formula")? == Some("keystill"), "keys are made with the formula `keystill` only");
    let formula = &protocol.formulas()[0];
    let inputs = object.get("inputs").and_then(Value::as_object).context("the field `inputs` is missing")?;
    let inputs = Fields::new(inputs);
    let mode = fields.text("mode")?.context("the field `mode` is missing")?;
    ensure!(formula.modes.contains(&mode), "no mode {mode:?}");
    let terms = (formula.evaluate)(&inputs, mode)?.context("the mode does not apply")?;
    check_length(&fields, &terms)?;
    check_terms(protocol, object, &terms)?;
    check_books(&fields, object)?;
    check_counts(protocol, &fields, &inputs)?;
    check_epsilons(&fields, object, &terms)?;
    Ok((formula, terms))
}

fn check_length(fields: &Fields<'_>, terms: &Terms) -> anyhow::Result<()> {
    let computed = terms.get("ell").and_then(Value::as_u64).unwrap_or_default();
    let (stated, kept) = (fields.count("secret_bits")?, fields.count("kept_bits")?);
    let computed = computed.min(kept);
    ensure!(stated == computed, "the inputs give {computed} secret bits, the certificate says {stated}");
    ensure!(stated > 0, "the inputs give no key");
    Ok(())
}

/// Every term that the certificate states is the one computed, bit for bit.
fn check_terms(protocol: Protocol, object: &Map<String, Value>, terms: &Terms) -> anyhow::Result<()> {
    let stated = object.get("terms").and_then(Value::as_object).context("the field `terms` is missing")?;
    let known: Vec<_> =
        protocol.certified_terms().iter().filter(|(_, other)| terms.contains_key(*other)).collect();
    for (name, other) in &known {
        let (stated, computed) = (Fields::new(stated).number(name)?, Fields::new(terms).number(other)?);
        ensure!(
            stated.to_bits() == computed.to_bits(),
            "the inputs give {name} = {computed}, the certificate says {stated}"
        );
    }
    ensure!(stated.len() == known.len(), "a term is missing, or one too many");
    Ok(())
}

/// Disclosed bits, tags, seeds and what is left after the pads.
fn check_books(fields: &Fields<'_>, object: &Map<String, Value>) -> anyhow::Result<()> {
    let disclosed = object.get("disclosed").and_then(Value::as_object).context("`disclosed` is missing")?;
    let by_kind = Fields::new(disclosed);
    let mut sum = 0_u64;
    for kind in disclosed.keys() {
        sum = sum.saturating_add(by_kind.count(kind)?);
    }
    let stated = fields.count("disclosed_bits")?;
    ensure!(sum == stated, "the disclosed bits by kind add up to {sum}, not {stated}");
    let pads = (TAGS_PER_BLOCK * TAG_BITS) as u64;
    ensure!(fields.count("tag_pad_bits")? == pads, "a block's tags consume {pads} pad bits");
    let (kept, secret) = (fields.count("kept_bits")?, fields.count("secret_bits")?);
    let hash = Toeplitz::new(Matrix::Modified, usize::try_from(kept)?, usize::try_from(secret)?)?;
    let frames_passed_alone = by_kind.count("verification_tag")? > verify::TAG_BITS;
    let keys = verify::TAG_BITS * (1 + u64::from(frames_passed_alone));
    let seeds = hash.seed_bits() as u64 + keys;
    ensure!(fields.count("seed_bits")? == seeds, "amplification and verification consume {seeds} seed bits");
    let (refilled, net) = (fields.count("refilled_bits")?, fields.count("net_secret_bits")?);
    ensure!(refilled.checked_add(net) == Some(secret), "secret bits are refilled or delivered");
    ensure!(refilled.is_multiple_of(256), "{refilled} bits are no number of pairs of pads");
    let (failed, frames) = (fields.count("frames_failed")?, fields.count("frames")?);
    ensure!(failed < frames, "{failed} of {frames} frames cannot have failed");
    Ok(())
}

/// The counts that the length follows from, against those of the books.
fn check_counts(protocol: Protocol, fields: &Fields<'_>, inputs: &Fields<'_>) -> anyhow::Result<()> {
    let (leak, disclosed) = (inputs.count("leak_EC")?, fields.count("disclosed_bits")?);
    let kept = fields.count("kept_bits")?;
    let lost = match protocol {
        Protocol::Bb84 => {
            let sifted = inputs.counts::<3>("n_key")?.into_iter().fold(0, u64::saturating_add);
            sifted.checked_sub(kept).context("more bits were amplified than sifted")?
        }
        Protocol::Cv => {
            let bits = if inputs.has("slice_deviation") { 8 } else { 2 };
            let most = inputs.count("n_kept")?.saturating_mul(bits);
            ensure!(kept <= most, "more bits were amplified than symbols kept");
            0
        }
    };
    ensure!(
        disclosed.checked_add(lost) == Some(leak),
        "{disclosed} bits were disclosed and {lost} failed, but {leak} subtracted"
    );
    Ok(())
}

fn check_epsilons(fields: &Fields<'_>, object: &Map<String, Value>, terms: &Terms) -> anyhow::Result<()> {
    let stated = object.get("epsilons").and_then(Value::as_object).context("`epsilons` is missing")?;
    let by_purpose = Fields::new(stated);
    let mut sum = 0.0;
    for purpose in stated.keys() {
        sum += by_purpose.number(purpose)?;
    }
    let (total, session) = (fields.number("epsilon")?, fields.number("session_epsilon")?);
    ensure!((sum / total - 1.0).abs() < 1e-12, "the ε by purpose add up to {sum:e}, not {total:e}");
    ensure!(session >= total * (1.0 - 1e-12), "the session's ε is that of its blocks, at least {total:e}");
    let pairs = [("estimation", "eps_estimation"), ("smoothing", "eps_smooth"), ("amplification", "eps_PA")];
    for (purpose, term) in pairs.into_iter().filter(|(_, term)| terms.contains_key(*term)) {
        let (stated, computed) = (by_purpose.number(purpose)?, Fields::new(terms).number(term)?);
        ensure!(stated.to_bits() == computed.to_bits(), "ε of {purpose} is {computed:e}, not {stated:e}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystill::ledger::{Disclosure, Epsilon, Ledger};
    use keystill::protocol::KeyLength;
    use keystill::random::{Foundation, Purpose};
    use keystill::stage::Role;

    const KEPT: u64 = 53_000_000;

    /// A certificate with these inputs, as a session would issue it.
    fn certificate(
        protocol: Protocol,
        mode: &'static str,
        inputs: Vec<(&'static str, Evidence)>,
    ) -> Certificate {
        let json: Map<String, Value> =
            inputs.iter().map(|(name, evidence)| ((*name).to_owned(), evidence_json(*evidence))).collect();
        let formula = &protocol.formulas()[0];
        let terms = (formula.evaluate)(&Fields::new(&json), mode).unwrap().unwrap();
        let number = |name: &str| Fields::new(&terms).number(name).unwrap();
        let secret_bits = Fields::new(&terms).count("ell").unwrap();
        let mut ledger = Ledger::new();
        let lost = if protocol == Protocol::Bb84 { 199_999 } else { 0 };
        let leak = Fields::new(&json).count("leak_EC").unwrap();
        ledger.disclose(Disclosure::Syndrome, leak - lost - 331);
        ledger.disclose(Disclosure::Verdict, 203);
        ledger.disclose(Disclosure::VerificationTag, 128);
        let mut spend = |purpose, name: &str| {
            if terms.contains_key(name) {
                ledger.spend(purpose, number(name));
            }
        };
        spend(Epsilon::Estimation, "eps_estimation");
        spend(Epsilon::Smoothing, "eps_smooth");
        spend(Epsilon::Amplification, "eps_PA");
        ledger.spend(Epsilon::Correctness, 1e-33);
        ledger.consume_pad(512);
        let size = |bits: u64| usize::try_from(bits).unwrap();
        let hash = Toeplitz::new(Matrix::Modified, size(KEPT), size(secret_bits)).unwrap();
        ledger.consume_seed(hash.seed_bits() as u64 + 128);
        let known = protocol.certified_terms().iter().filter(|(_, other)| terms.contains_key(*other));
        let terms = known.map(|(name, other)| (*name, number(other))).collect();
        Certificate {
            protocol: if protocol == Protocol::Bb84 { "bb84" } else { "cv" },
            session: 7,
            block: 3,
            role: Role::Bob,
            parameter_set: [9; 32],
            key_length: KeyLength { secret_bits, epsilons: vec![], terms, proof: "a proof", mode, inputs },
            session_epsilon: 2.0 * ledger.epsilon(),
            ledger,
            frames: 203,
            frames_failed: 1,
            kept_bits: KEPT,
            refilled_bits: 512,
            hash_key_uses: [6, 6],
            foundation: Foundation::Computational,
            draws: vec![Purpose::DoubleClick, Purpose::AmplificationSeed],
        }
    }

    fn examples() -> [Value; 4] {
        let bb84 = vec![
            ("mu", Evidence::Numbers([0.5, 0.2, 0.001])),
            ("mu_spread", Evidence::Numbers([1e-4, 1e-4, 1e-5])),
            ("p", Evidence::Numbers([0.81, 0.14, 0.05])),
            ("n_key", Evidence::Counts([49_378_660, 3_668_401, 152_938])),
            ("n_test", Evidence::Counts([1_007_727, 74_865, 3_121])),
            ("m_test", Evidence::Counts([33_909, 4_867, 1_502])),
            ("leak_EC", Evidence::Count(13_392_000)),
            ("eps_total", Evidence::Number(1e-10)),
            ("test_share", Evidence::Number(0.02)),
        ];
        let cv = vec![
            ("m", Evidence::Count(60_000_000)),
            ("sum_xx", Evidence::Number(240_000_000.0)),
            ("sum_xy", Evidence::Number(72_000_000.0)),
            ("sum_yy", Evidence::Number(88_000_000.0)),
            ("n_kept", Evidence::Count(26_500_000)),
            ("eta", Evidence::Interval([0.6, 0.601])),
            ("v_el", Evidence::Interval([0.1, 0.101])),
            ("calibration_samples", Evidence::Count(1_000_000_000)),
            ("leak_EC", Evidence::Count(40_000_000)),
            ("eps_total", Evidence::Number(1e-10)),
            ("m_earlier", Evidence::Count(20_000_000)),
            ("sum_xx_earlier", Evidence::Number(80_000_000.0)),
            ("sum_xy_earlier", Evidence::Number(24_100_000.0)),
            ("sum_yy_earlier", Evidence::Number(29_400_000.0)),
        ];
        let mut slices = cv.clone();
        slices.retain(|(name, _)| *name != "leak_EC");
        slices.extend([
            ("leak_EC", Evidence::Count(199_000_000)),
            ("slice_deviation", Evidence::Number(1.2111)),
        ]);
        [
            (Protocol::Bb84, "default", bb84.clone()),
            (Protocol::Bb84, "with_vacuum", bb84),
            (Protocol::Cv, "default", cv),
            (Protocol::Cv, "slices", slices),
        ]
        .map(|(protocol, mode, inputs)| certificate_json(&certificate(protocol, mode, inputs)))
    }

    /// Every way to a number or text inside.
    fn leaves(value: &Value, way: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(name, inner)| leaves(inner, &format!("{way}/{name}"), found));
            }
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(i, inner)| leaves(inner, &format!("{way}/{i}"), found));
            }
            _ => found.push(way.to_owned()),
        }
    }

    /// The least change: a count by one, a real by its last digit, a text by a letter.
    fn flipped(value: &Value, relative: f64) -> Value {
        match value {
            Value::Number(number) => match number.as_u64() {
                Some(count) => json!(count + 1),
                None => {
                    let number = number.as_f64().unwrap();
                    json!((number * (1.0 + relative)).max(number.next_up()))
                }
            },
            Value::String(text) => json!(format!("{text}x")),
            other => panic!("no leaf: {other}"),
        }
    }

    #[test]
    fn a_certificate_gives_its_length_again() {
        for value in examples() {
            let text = serde_json::to_string_pretty(&value).unwrap();
            let (_, terms) = recompute(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(terms["ell"], value["secret_bits"], "{}", value["protocol"]);
        }
    }

    #[test]
    fn no_digit_of_a_certificate_can_be_changed() {
        for value in examples() {
            let mut ways = Vec::new();
            leaves(&value, "", &mut ways);
            assert!(ways.len() > 40, "the whole certificate is walked");
            for way in ways {
                let mut changed = value.clone();
                let leaf = changed.pointer_mut(&way).unwrap();
                *leaf = flipped(leaf, 0.0);
                assert!(
                    recompute(&changed).is_err(),
                    "{way} was changed to {}",
                    changed.pointer(&way).unwrap()
                );
            }
        }
    }

    /// Names, and numbers from which nothing follows: only the digest holds them.
    const HELD_BY_DIGEST: [&str; 11] = [
        "/hash_key_uses",
        "/block",
        "/frames",
        "/session",
        "/role",
        "/proof",
        "/parameter_set",
        "/randomness",
        "/session_epsilon",
        "/inputs/mu_spread",
        "/epsilons/correctness",
    ];

    #[test]
    fn a_count_changed_under_a_fresh_digest_is_still_refused() {
        for value in examples() {
            let mut ways = Vec::new();
            leaves(&value, "", &mut ways);
            let held = |way: &String| HELD_BY_DIGEST.iter().any(|held| way.starts_with(held));
            for way in ways.into_iter().filter(|way| !held(way) && way != "/digest") {
                let mut changed = value.clone();
                let leaf = changed.pointer_mut(&way).unwrap();
                *leaf = flipped(leaf, 1e-9);
                changed["digest"] = digest(&changed).into();
                assert!(recompute(&changed).is_err(), "{way} was changed and sealed again");
            }
        }
    }
}
