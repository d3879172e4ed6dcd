//! `keystill keylen`: the length of a secret key, with every term, from one JSON object.

mod bb84;
mod certificate;
mod cv;
mod input;

use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

use super::{Exit, Failure, OrExit};
use input::Fields;

pub(crate) use certificate::certificate_json;

/// Secret key length of a block, with every term.
///
/// Reads one JSON object on standard input: the inputs of a formula by name, `formula`, and `mode`
/// where the formula has several readings. Without `formula`, the bound that keystill makes keys
/// with. Prints one JSON object. A length of zero is an answer, with the reason beside it.
///
/// bb84: keystill (default), eur-variable, lim2014-2decoy, rusca2018-1decoy
/// cv: keystill (default), cv-asym, cv-lgg2010, cv-composable-mountogiannakis,
///     cv-general-leverrier2017, cv-dm-dbl2021
///
/// Examples:
///   echo '{"mu":[0.5,0.2,0.001],"p":[0.81,0.14,0.05],"n_key":[49378660,3668401,152938],
///          "n_test":[1007727,74865,3121],"m_test":[33909,4867,1502],"leak_EC":13392000}' |
///     keystill keylen bb84 --explain
///   keystill keylen --vectors < vectors.ndjson
///   keystill keylen --certificate run/certificates/bb84-0.json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The protocol.
    #[arg(required_unless_present_any = ["vectors", "certificate"])]
    protocol: Option<Protocol>,
    /// Print the formula with numbers in place, not JSON.
    #[arg(long, conflicts_with = "vectors")]
    explain: bool,
    /// Read one object a line with `id` and `inputs`; print `id` and the results of every mode.
    ///
    /// The formula is the `id` before its first slash.
    #[arg(long, conflicts_with = "protocol")]
    vectors: bool,
    /// Compute the length of a key again from its certificate; refuse one whose numbers do not fit.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["protocol", "vectors"])]
    certificate: Option<PathBuf>,
}

/// Whose key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    /// Decoy-state BB84.
    Bb84,
    /// Continuous variables.
    Cv,
}

impl Protocol {
    /// Terms of certificates, and what they are called here.
    fn certified_terms(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Bb84 => bb84::CERTIFIED,
            Self::Cv => cv::CERTIFIED,
        }
    }

    fn formulas(self) -> &'static [Formula] {
        match self {
            Self::Bb84 => bb84::FORMULAS,
            Self::Cv => cv::FORMULAS,
        }
    }
}

/// A way to compute a key length.
struct Formula {
    /// Its name: the part of a vector's `id` before the first slash.
    name: &'static str,
    /// Its readings; the first is taken where none is named.
    modes: &'static [&'static str],
    /// What must be known before a number is used.
    caution: Option<&'static str>,
    /// The formula, its terms in braces.
    text: &'static str,
    /// The terms by name; `None` where a mode does not apply to these inputs.
    evaluate: fn(&Fields<'_>, &str) -> anyhow::Result<Option<Terms>>,
}

/// Terms by name.
type Terms = Map<String, Value>;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    match (args.protocol, args.certificate) {
        (Some(protocol), _) => single(protocol, args.explain),
        (None, Some(file)) => certified(&file, args.explain),
        (None, None) => vectors(),
    }
}

/// Computes a certificate's length again.
fn certified(file: &Path, explain: bool) -> Result<(), Failure> {
    let text =
        std::fs::read_to_string(file).with_context(|| file.display().to_string()).or_exit(Exit::Storage)?;
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not one JSON object", file.display()))
        .or_exit(Exit::Configuration)?;
    let (formula, terms) = certificate::recompute(&value)
        .with_context(|| format!("{} is refused", file.display()))
        .or_exit(Exit::NoKey)?;
    let mode = value.get("mode").and_then(Value::as_str).unwrap_or(formula.modes[0]);
    if explain {
        return print(&explanation(formula, mode, inputs_of(&value), &terms));
    }
    let mut object = json!({ "formula": formula.name, "mode": mode, "certificate": "valid" });
    object["secret_bits"] = value["secret_bits"].clone();
    if let Some(object) = object.as_object_mut() {
        object.extend(terms);
    }
    print(&object.to_string())
}

fn single(protocol: Protocol, explain: bool) -> Result<(), Failure> {
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text).or_exit(Exit::Storage)?;
    let value: Value = serde_json::from_str(&text)
        .context("standard input is not one JSON object: send one in, as the example of --help does")
        .or_exit(Exit::Configuration)?;
    let (formula, mode, terms) = answer(protocol, &value).or_exit(Exit::Configuration)?;
    if explain {
        return print(&explanation(formula, mode, inputs_of(&value), &terms));
    }
    let mut object = json!({ "formula": formula.name, "mode": mode, "caution": formula.caution });
    if let Some(object) = object.as_object_mut() {
        object.extend(terms);
    }
    print(&object.to_string())
}

/// Evaluates one formula in one mode.
fn answer(protocol: Protocol, value: &Value) -> anyhow::Result<(&'static Formula, &'static str, Terms)> {
    let object = value.as_object().context("standard input is not a JSON object")?;
    let fields = Fields::new(inputs_of(value).unwrap_or(object));
    let outer = Fields::new(object);
    let name = outer.text("formula")?.unwrap_or("keystill");
    let name = name.split('/').next().unwrap_or(name);
    let formula = protocol.formulas().iter().find(|formula| formula.name == name).with_context(|| {
        let known: Vec<_> = protocol.formulas().iter().map(|formula| formula.name).collect();
        format!("no formula {name:?}: choose one of {}", known.join(", "))
    })?;
    let mode = outer.text("mode")?.unwrap_or(formula.modes[0]);
    let mode = formula.modes.iter().find(|known| **known == mode).with_context(|| {
        format!("{} has no mode {mode:?}: choose one of {}", formula.name, formula.modes.join(", "))
    })?;
    let terms = (formula.evaluate)(&fields, mode)?;
    fields.no_misspelling()?;
    let terms = terms.with_context(|| format!("mode {mode} does not apply to these inputs"))?;
    Ok((formula, mode, terms))
}

/// The inputs of a formula: those under `inputs`, or all.
fn inputs_of(value: &Value) -> Option<&Terms> {
    value.get("inputs").and_then(Value::as_object).or_else(|| value.as_object())
}

/// The formula in symbols, with the numbers of terms and inputs in place, and every term.
fn explanation(formula: &Formula, mode: &str, inputs: Option<&Terms>, terms: &Terms) -> String {
    let mut numbers = formula.text.to_owned();
    for (name, value) in terms.iter().chain(inputs.into_iter().flatten()) {
        numbers = numbers.replace(&format!("{{{name}}}"), &value.to_string());
    }
    let plain = |text: &str| text.replace(['{', '}'], "");
    let mut lines = vec![format!("{}, {mode}", formula.name), String::new()];
    lines.extend([plain(formula.text), String::new(), plain(&numbers), String::new()]);
    lines.extend(terms.iter().map(|(name, value)| format!("  {name:<26} {value}")));
    if let Some(caution) = formula.caution {
        lines.extend([String::new(), format!("Caution: {caution}.")]);
    }
    lines.join("\n")
}

fn vectors() -> Result<(), Failure> {
    let mut failed = 0_u32;
    for line in std::io::stdin().lock().lines() {
        let line = line.or_exit(Exit::Storage)?;
        if line.trim().is_empty() {
            continue;
        }
        // A line that cannot be read is answered too: those after it are none the worse.
        let (id, results) = match serde_json::from_str::<Value>(&line) {
            Ok(value) => (value.get("id").cloned().unwrap_or(Value::Null), every_mode(&value)),
            Err(error) => (Value::Null, Err(anyhow!("the line is not a JSON object: {error}"))),
        };
        let answer = match results {
            Ok(results) => json!({ "id": id, "results": results }),
            Err(error) => {
                failed += 1;
                json!({ "id": id, "error": format!("{error:#}") })
            }
        };
        print(&answer.to_string())?;
    }
    if failed == 0 {
        Ok(())
    } else {
        Err(anyhow!("{failed} vectors could not be evaluated")).or_exit(Exit::Configuration)
    }
}

/// The results of a vector by mode.
fn every_mode(value: &Value) -> anyhow::Result<Terms> {
    let id = value.get("id").and_then(Value::as_str).context("a vector has no `id`")?;
    let name = id.split('/').next().unwrap_or(id);
    let inputs = value.get("inputs").and_then(Value::as_object).context("a vector has no `inputs`")?;
    // `keystill` is a formula of either protocol: only BB84 has intensities.
    let protocols = if inputs.contains_key("mu") {
        [bb84::FORMULAS, cv::FORMULAS]
    } else {
        [cv::FORMULAS, bb84::FORMULAS]
    };
    let formula = protocols.into_iter().flatten().find(|formula| formula.name == name);
    let formula = formula.with_context(|| format!("no formula {name:?}"))?;
    let mut results = Terms::new();
    for mode in formula.modes {
        if let Some(terms) = (formula.evaluate)(&Fields::new(inputs), mode)? {
            results.insert((*mode).to_owned(), Value::Object(terms));
        }
    }
    Ok(results)
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout().lock(), "{text}").or_exit(Exit::Storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs for the formulas that no vector has.
    const OWN: [&str; 3] = [
        r#"{"id":"bb84","inputs":{"mu":[0.5,0.2,0.001],"p":[0.81,0.14,0.05],
            "n_key":[49378660,3668401,152938],"n_test":[1007727,74865,3121],
            "m_test":[33909,4867,1502],"leak_EC":13392000,"eps_total":1e-10}}"#,
        r#"{"id":"cv","inputs":{"N":10000000000,"V_A":4.0,"T":0.216,"xi_in":0.005,"eta":0.6,
            "v_el":0.1,"n_kept":10000000000,"n_failed":0,"calibration_samples":1000000000000,
            "leak_EC":17100000000,"slice_deviation":1.166,"k_test":1e9,"d_A":3.0,"d_B":1.0,"eps_total":1e-10}}"#,
        r#"{"id":"cv-general-leverrier2017","inputs":{"n":1e12,"pe_fraction":0.1,"eps_target":1e-10,
            "k_test":1e10,"d_A":3.5,"d_B":2.5,"beta":0.95,"V_A":4.0,"T":0.5,"xi_in":0.01,"eta":0.6,
            "v_el":0.1}}"#,
    ];

    #[test]
    fn every_mode_is_explained_with_every_number_in_place() {
        let vectors = include_str!("../../tests/data/security/vectors.ndjson");
        let mut explained = std::collections::BTreeSet::new();
        for text in OWN.into_iter().chain(vectors.lines()) {
            let value: Value = serde_json::from_str(text).unwrap();
            let id = value["id"].as_str().unwrap().split('/').next().unwrap();
            let mut all = bb84::FORMULAS.iter().chain(cv::FORMULAS);
            let formula = match id {
                "bb84" => bb84::FORMULAS.first(),
                "cv" => cv::FORMULAS.first(),
                id => all.find(|formula| formula.name == id),
            };
            let formula = formula.unwrap_or_else(|| panic!("no formula {id}"));
            let inputs = inputs_of(&value).unwrap();
            for mode in formula.modes {
                let Some(terms) = (formula.evaluate)(&Fields::new(inputs), mode).unwrap() else { continue };
                // Where there is no length there may be no terms either; the reason is told instead.
                if terms.get("ell_real").is_some_and(Value::is_null) {
                    continue;
                }
                let text = explanation(formula, mode, Some(inputs), &terms);
                let known = |name: &str| terms.contains_key(name) || inputs.contains_key(name);
                let names = formula.text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
                names.for_each(|name| assert!(known(name), "{name} of {id}, {mode} has no number: {text}"));
                terms.keys().for_each(|name| assert!(text.contains(name.as_str()), "{name} of {id}, {mode}"));
                explained.insert((id.to_owned(), *mode));
            }
        }
        let all = |formulas: &[Formula]| formulas.iter().map(|formula| formula.modes.len()).sum::<usize>();
        let expected = all(bb84::FORMULAS) + all(cv::FORMULAS);
        assert_eq!(explained.len(), expected, "every mode of every formula: {explained:?}");
    }
}
