//! Key lengths and tail bounds against vectors of an oracle that computes with fifty digits.
#![cfg(feature = "cli")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Map, Value};

use keystill::bb84::security::published::gamma;
use keystill::bounds::{Real, binary_entropy, chernoff, hoeffding, hypergeometric, serfling};

type Anything = Result<(), Box<dyn std::error::Error>>;

const VECTORS: &str = "tests/data/security/vectors.ndjson";
/// What blocks rarely are: without errors, without counts, beyond 2⁵³ of them, at the ends of every range.
const EDGES: &str = "tests/data/security/edges.ndjson";
const PRIMITIVES: &str = "tests/data/security/primitives.ndjson";
/// Relative error allowed to a real. The contract is 1e-9.
const TOLERANCE: f64 = 1e-11;

#[test]
fn every_mode_of_every_vector_is_met() -> Anything {
    for (file, least) in [(VECTORS, 4_400), (EDGES, 1_500)] {
        let numbers = meet(file)?;
        assert!(numbers > least, "only {numbers} numbers of {file} were compared");
    }
    Ok(())
}

/// Computes every vector of a file, and counts the numbers that were compared.
fn meet(file: &str) -> Result<usize, Box<dyn std::error::Error>> {
    let vectors = fs::read(file)?;
    let output = assert_cmd::Command::cargo_bin("keystill")?
        .args(["keylen", "--vectors"])
        .write_stdin(vectors.clone())
        .output()?;
    assert!(output.status.success(), "keylen failed: {}", String::from_utf8_lossy(&output.stderr));
    let answers = String::from_utf8(output.stdout)?;
    let mut numbers = 0;
    for (vector, answer) in String::from_utf8(vectors)?.lines().zip(answers.lines()) {
        let (vector, answer): (Value, Value) = (serde_json::from_str(vector)?, serde_json::from_str(answer)?);
        assert_eq!(vector["id"], answer["id"], "answers come in order");
        numbers += compare(&vector["id"].to_string(), &modes(&vector["expected"]), &answer["results"]);
    }
    Ok(numbers)
}

/// The expected terms by mode; terms without a mode are those of `default`.
fn modes(expected: &Value) -> Map<String, Value> {
    let terms = expected.as_object().cloned().unwrap_or_default();
    if terms.values().all(Value::is_object) {
        return terms;
    }
    Map::from_iter([("default".to_owned(), Value::Object(terms))])
}

fn compare(id: &str, expected: &Map<String, Value>, results: &Value) -> usize {
    let names = |modes: &Map<String, Value>| modes.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(results.as_object().map(names), Some(names(expected)), "modes of {id}");
    let mut numbers = 0;
    for (mode, terms) in expected {
        for (name, value) in terms.as_object().into_iter().flatten() {
            let ours = &results[mode][name];
            numbers += 1;
            if name == "ell" || value.is_null() {
                assert_eq!(ours, value, "{name} of {id} in mode {mode} is exact");
                continue;
            }
            let (value, ours) = (value.as_f64().unwrap_or(f64::NAN), ours.as_f64().unwrap_or(f64::NAN));
            let close = (ours - value).abs() <= TOLERANCE * value.abs();
            assert!(close, "{name} of {id} in mode {mode} is {ours}, not {value}");
        }
    }
    numbers
}

#[test]
fn every_primitive_is_met() -> Anything {
    let mut kinds = BTreeSet::new();
    for line in fs::read_to_string(PRIMITIVES)?.lines() {
        let vector: Value = serde_json::from_str(line)?;
        let kind = vector["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "phase_error_from_test" => phase_error(&vector),
            "h2" => near(&vector, "value", binary_entropy(real(&vector, "x"))),
            "tails" => tails(&vector),
            other => panic!("no primitive {other}"),
        }
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 3, "every kind was there");
    Ok(())
}

fn phase_error(vector: &Value) {
    let [errors, tested, others] = ["k_test", "n_test", "n_key"].map(|name| vector[name].as_u64().unwrap());
    let epsilon = vector["fail_prob"].as_f64().unwrap();
    let (c, d) = (Real::from(tested), Real::from(others));
    let rate = Real::from(errors) / c;
    // One ε for the event: γ without the share of 21.
    near(vector, "gamma_lim", gamma(rate, [c, d], 1.0, epsilon).unwrap());
    near(vector, "serfling", serfling::excess(c, d, chernoff::exponent(epsilon) * Real::from(0.5)));
    let exact = hypergeometric::errors_above(errors, tested, others, epsilon);
    assert_eq!(Some(exact), vector["exact_hypergeom_key_error_upper"].as_u64(), "exact bound of {vector}");
    let safe = hypergeometric::rate_above(errors, tested, others, epsilon);
    let exact = vector["exact_rate_upper"].as_f64().unwrap();
    assert!(safe > exact && safe < exact * 1.05, "one rate for all larger blocks: {safe} of {vector}");
}

fn tails(vector: &Value) {
    let count = vector["x"].as_u64().unwrap();
    let epsilon = vector["eps"].as_f64().unwrap();
    let (x, beta) = (Real::from(count), chernoff::exponent(epsilon));
    near(vector, "hoeffding_if_n_total", hoeffding::one_sided(count, epsilon));
    near(vector, "yin_up", chernoff::closed_above(x, beta));
    near(vector, "yin_lo", chernoff::closed_below(x, beta));
    near(vector, "tight_lo", chernoff::quadratic_below(x, beta));
    assert!(
        chernoff::expected_above(count, epsilon) < chernoff::closed_above(x, beta),
        "exact is tighter: {vector}"
    );
    assert!(
        chernoff::expected_below(count, epsilon) > chernoff::quadratic_below(x, beta),
        "exact is tighter: {vector}"
    );
}

fn real(vector: &Value, name: &str) -> Real {
    Real::from(vector[name].as_f64().unwrap_or(f64::NAN))
}

fn near(vector: &Value, name: &str, ours: Real) {
    let expected = real(vector, name).to_f64();
    let error = (ours.to_f64() - expected).abs();
    assert!(error <= TOLERANCE * expected.abs(), "{name} is {} in {vector}", ours.to_f64());
}

const LINK: &str = r#"{"mu":[0.5,0.2,0.001],"p":[0.81,0.14,0.05],"n_key":[49378660,3668401,152938],
    "n_test":[1007727,74865,3121],"m_test":[33909,4867,1502],"leak_EC":13392000}"#;

/// Standard output and exit code of `keystill keylen`.
fn keylen(arguments: &[&str], input: &str) -> (String, Option<i32>) {
    let mut command = assert_cmd::Command::cargo_bin("keystill").unwrap();
    let output = command.arg("keylen").args(arguments).write_stdin(input).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn one_object_gives_one_object_with_every_term() -> Anything {
    let (text, code) = keylen(&["bb84"], LINK);
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!(code, Some(0), "a length");
    assert!(answer["ell"].as_u64().is_some_and(|ell| ell > 7_500_000), "0.75 Mb/s: {answer}");
    for term in
        ["formula", "mode", "s_key1", "s_test1", "v_test1", "phi", "leak_EC", "hashing_bits", "eps_PA"]
    {
        assert!(!answer[term].is_null(), "{term} is missing in {answer}");
    }
    let none = LINK.replace("13392000", "99392000");
    let (text, code) = keylen(&["bb84"], &none);
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!((code, answer["ell"].as_u64()), (Some(0), Some(0)), "no key is an answer");
    assert!(answer["reason"].is_string(), "with its reason: {answer}");
    Ok(())
}

#[test]
fn without_key_bits_there_is_no_rate_of_phase_errors() -> Anything {
    let none = LINK.replace("[49378660,3668401,152938]", "[0,0,0]");
    let (text, code) = keylen(&["bb84"], &none);
    let answer: Value = serde_json::from_str(&text)?;
    assert_eq!((code, answer["ell"].as_u64()), (Some(0), Some(0)), "no key is an answer");
    assert!(answer.get("phi").is_some_and(Value::is_null), "of nothing there is no rate: {answer}");
    let reason = answer["reason"].as_str().unwrap();
    assert!(reason.contains("key basis certifies no single photon"), "and it says why: {reason}");
    assert!(
        answer["s_test1"].as_f64().is_some_and(|tested| tested > 1e5),
        "the test is not to blame: {answer}"
    );
    Ok(())
}

#[test]
fn an_explanation_puts_the_numbers_in_place() {
    let (text, _) = keylen(&["bb84", "--explain"], LINK);
    assert!(text.contains("floor(") && text.contains("13392000"), "{text}");
    let published = LINK.replacen('{', r#"{"formula":"lim2014-2decoy","eps_sec":1e-10,"eps_cor":1e-15,"#, 1);
    let (text, _) = keylen(&["bb84", "--explain"], &published);
    assert!(text.contains("not rigorous"), "published formulas say so: {text}");
}

#[test]
fn inputs_that_cannot_be_used_are_refused_by_name() {
    for (input, what) in [
        ("", "nothing"),
        ("[]", "a list"),
        (r#"{"mu":[0.5,0.2,0.001]}"#, "a missing field"),
        (&LINK.replace("33909", "-1"), "a negative count"),
        (&LINK.replace("33909", "0.5"), "half a count"),
        (&LINK.replace("33909", "99999999"), "more errors than bits"),
        (&LINK.replacen('{', r#"{"formula":"none","#, 1), "an unknown formula"),
        (&LINK.replacen('{', r#"{"mode":"none","#, 1), "an unknown mode"),
    ] {
        let (text, code) = keylen(&["bb84"], input);
        assert_eq!((text.as_str(), code), ("", Some(3)), "{what}");
    }
    let lim = LINK.replacen('{', r#"{"formula":"lim2014-2decoy","eps_sec":1e-10,"eps_cor":1e-15,"#, 1);
    for (from, to, what) in [
        ("0.5,0.2", "0.1,0.2", "rising intensities"),
        ("0.81", "0.0", "a probability of zero"),
        ("0.81", "0.9", "probabilities of more than one"),
        ("33909", "9999999", "more errors than bits"),
        ("1e-10", "0", "no ε"),
        ("1e-10", "1", "all of ε"),
    ] {
        let (text, code) = keylen(&["bb84"], &lim.replacen(from, to, 1));
        assert_eq!((text.as_str(), code), ("", Some(3)), "{what}");
    }
    let (text, code) = keylen(&["--vectors"], "{\"id\":\"lim2014-2decoy/x\",\"inputs\":{}}\n");
    assert!(text.contains("error") && code == Some(3), "a vector without inputs: {text}");
}

/// Standard error of `keystill keylen`.
fn complaint(protocol: &str, input: &str) -> String {
    let mut command = assert_cmd::Command::cargo_bin("keystill").unwrap();
    let output = command.args(["keylen", protocol]).write_stdin(input).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{input} is refused");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_misspelt_field_is_named_with_what_was_meant() {
    let text = complaint("bb84", &LINK.replacen('{', r#"{"eps_totall":1e-6,"#, 1));
    assert!(text.contains("eps_totall") && text.contains("did you mean `eps_total`"), "{text}");
    let text = complaint("bb84", &LINK.replace("n_test", "n_tset"));
    assert!(text.contains("`n_test` is missing: is it `n_tset`"), "{text}");
    // Fields of other formulas are no mistakes.
    let more = LINK.replacen('{', r#"{"m_key":[1,1,1],"name":"x","f_ec_used":1.1,"eps_sec":1e-10,"#, 1);
    assert_eq!(keylen(&["bb84"], &more).1, Some(0), "fields that are not read");
}

#[test]
fn quantities_out_of_their_range_are_refused_by_name() {
    let link = r#"{"formula":"cv-asym","V_A":4.0,"T":0.5,"xi_in":0.01,"eta":0.6,"v_el":0.1,"beta":0.95,
        "detection":"homodyne","trusted":true}"#;
    assert_eq!(keylen(&["cv"], link).1, Some(0), "the link itself is fine");
    for (from, to, name) in [
        (r#""T":0.5"#, r#""T":0"#, "`T`"),
        (r#""T":0.5"#, r#""T":1.5"#, "`T`"),
        ("0.01", "-0.01", "`xi_in`"),
        (r#""eta":0.6"#, r#""eta":0"#, "`eta`"),
        (r#""v_el":0.1"#, r#""v_el":-0.1"#, "`v_el`"),
        ("0.95", "1.95", "`beta`"),
        ("homodyne", "homodin", "`detection`"),
        ("true", "1", "`trusted`"),
    ] {
        let text = complaint("cv", &link.replacen(from, to, 1));
        assert!(text.contains(name), "{to}: {text}");
    }
}

#[test]
fn a_line_that_cannot_be_read_does_not_take_the_others_with_it() -> Anything {
    let own = LINK.replace('\n', " ");
    let cv = r#"{"N":10000000000,"V_A":4.0,"T":0.216,"xi_in":0.005,"eta":0.6,"v_el":0.1,"n_kept":10000000000,
        "n_failed":0,"k_test":1e9,"d_A":3.0,"d_B":1.0,"calibration_samples":1000000000000,"leak_EC":17100000000}"#
        .replace('\n', " ");
    let lines = format!(
        "{{\"id\":\"keystill/0\",\"inputs\":{own}}}\n{{\"id\":\"keystill/1\",\"inputs\":NaN}}\n\
         {{\"id\":\"keystill/2\",\"inputs\":{cv}}}\n"
    );
    let (text, code) = keylen(&["--vectors"], &lines);
    let answers: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((answers.len(), code), (3, Some(3)), "an answer a line: {text}");
    let length = |answer: &Value, mode: &str| answer["results"][mode]["ell"].as_u64();
    assert!(length(&answers[0], "with_vacuum") > length(&answers[0], "default"), "BB84: {}", answers[0]);
    assert!(answers[1]["error"].as_str().is_some_and(|error| error.contains("line")), "{}", answers[1]);
    assert!(length(&answers[2], "default") > Some(500_000_000), "CV by the same name: {}", answers[2]);
    Ok(())
}

#[test]
fn what_a_formula_rests_on_is_never_taken_to_be_nothing() {
    let one_decoy = r#"{"formula":"rusca2018-1decoy","mu":[0.4,0.1],"p":[0.94,0.06],
        "n_key":[4032219860,69365565],"m_key":[189598319,4197180],"n_test":[17913943,307857],
        "m_test":[842429,18771],"eps_sec":1e-10,"eps_cor":1e-15,"leak_EC":1306472149}"#;
    assert_eq!(keylen(&["bb84"], one_decoy).1, Some(0), "all is there");
    // Without errors of the key basis there would be six times the key.
    let text = complaint("bb84", &one_decoy.replace(r#""m_key":[189598319,4197180],"#, ""));
    assert!(text.contains("`m_key` is missing"), "{text}");
    let huge =
        one_decoy.replace("4032219860", "9223372036854775807").replace("69365565", "9223372036854775807");
    let text = complaint("bb84", &huge);
    assert!(text.contains("2⁶⁴"), "no length beyond what a count holds: {text}");
}

#[test]
fn a_link_that_cannot_be_makes_no_cv_key() {
    let link = r#"{"N":10000000000,"V_A":4.0,"T":0.216,"xi_in":0.005,"eta":[0.59,0.6],"v_el":0.1,
        "n_kept":10000000000,"calibration_samples":1000000000000,"leak_EC":17100000000}"#;
    assert_eq!(keylen(&["cv"], link).1, Some(0), "the link itself is fine");
    for (from, to, name) in [
        ("0.216", "9e18", "`T`"),
        ("0.005", "-0.005", "`xi_in`"),
        ("4.0", "-4.0", "`V_A`"),
        ("0.59,0.6", "0.6,0.59", "`eta`"),
        (r#""v_el":0.1"#, r#""v_el":-0.1"#, "`v_el`"),
    ] {
        let text = complaint("cv", &link.replacen(from, to, 1));
        assert!(text.contains(name), "{to}: {text}");
    }
    let sums = r#"{"m":20000000000,"sum_xx":8e10,"sum_xy":2.036e10,"sum_yy":2.72e10,"eta":0.6,"v_el":0.1,
        "n_kept":10000000000,"calibration_samples":1000000000000,"leak_EC":17100000000}"#;
    assert_eq!(keylen(&["cv"], sums).1, Some(0), "the sums of that link");
    let amplified = sums.replace("2.036e10", "2.036e11").replace("2.72e10", "5.5e11");
    assert!(complaint("cv", &amplified).contains("amplify"), "ten times the amplitude");
    assert!(complaint("cv", &sums.replace("2.72e10", "2.5e10")).contains("vacuum"), "too little noise");
    let beyond = r#"{"formula":"cv-asym","V_A":1e308,"T":0.5,"xi_in":0.01,"eta":0.6,"v_el":0.1,"beta":0.95,
        "detection":"homodyne","trusted":true}"#;
    assert!(complaint("cv", beyond).contains("no finite value"), "what no double holds is no answer");
}
