//! `keystill link --plan`: where the quantum channels go best, how much data they bear, what more carriers cost.

use keystill::channel::{Budget, LoadedSpan, Scenario, budget};
use serde_json::json;

use super::key;
use crate::cli::summary::si;
use crate::cli::{Failure, OrExit};

/// Carriers that the plan adds.
const MORE: u32 = 8;
/// Steps of the search for a wavelength, in nm.
const STEP_NM: f64 = 5.0;
/// Launch power that the search does not pass.
const MOST_DBM: f64 = 30.0;

/// One answer: what it is, for BB84 and CV.
struct Answer {
    name: &'static str,
    question: &'static str,
    values: [Option<f64>; 2],
    unit: &'static str,
}

pub(super) fn run(scenario: &Scenario, json: bool) -> Result<(), Failure> {
    let now = budget(scenario);
    let [best, best_key] = best_wavelengths(scenario);
    let more = with_more_carriers(scenario)?;
    let answers = [
        Answer {
            name: "secret_bit_per_s",
            question: "key as it is",
            values: rates(scenario, &now),
            unit: "bit/s",
        },
        Answer { name: "best_wavelength_nm", question: "best wavelength", values: best, unit: "nm" },
        Answer { name: "best_secret_bit_per_s", question: "key there", values: best_key, unit: "bit/s" },
        Answer {
            name: "last_launch_power_dbm",
            question: "key ends at a launch power of",
            values: [last_power(scenario, 0)?, last_power(scenario, 1)?],
            unit: "dBm",
        },
        Answer {
            name: "secret_bit_per_s_with_more_carriers",
            question: "key with eight more carriers",
            values: rates(scenario, &more),
            unit: "bit/s",
        },
        Answer {
            name: "noise_change_db_with_more_carriers",
            question: "noise then changes by",
            values: changes(&now, &more, |s| s.noise_w_per_nm, 10.0),
            unit: "dB",
        },
        Answer {
            name: "raman_change_db_with_more_carriers",
            question: "  of it Raman scattering",
            values: changes(&now, &more, |s| s.raman_w_per_nm, 10.0),
            unit: "dB",
        },
        Answer {
            name: "other_noise_change_db_with_more_carriers",
            question: "  and all other light",
            values: changes(&now, &more, |s| s.noise_w_per_nm - s.raman_w_per_nm, 10.0),
            unit: "dB",
        },
        Answer {
            name: "transmittance_change_db_with_more_carriers",
            question: "transmittance then changes by",
            values: [
                more.bb84.scattering.srs_gain_db - now.bb84.scattering.srs_gain_db,
                more.cv.scattering.srs_gain_db - now.cv.scattering.srs_gain_db,
            ]
            .map(Some),
            unit: "dB",
        },
        Answer {
            name: "qber_change_with_more_carriers",
            question: "QBER then changes by",
            values: [Some(more.bb84.qber - now.bb84.qber), None],
            unit: "",
        },
        Answer {
            name: "excess_noise_change_snu_with_more_carriers",
            question: "excess noise then changes by",
            values: [None, Some(more.cv.excess_noise_input_snu - now.cv.excess_noise_input_snu)],
            unit: "SNU",
        },
    ];
    print(scenario, &answers, json);
    Ok(())
}

fn print(scenario: &Scenario, answers: &[Answer], json: bool) {
    if json {
        for (place, protocol) in ["bb84", "cv"].into_iter().enumerate() {
            let mut record = json!({ "protocol": protocol, "scenario": scenario.name });
            for answer in answers {
                record[answer.name] = json!(answer.values[place]);
            }
            println!("{record}");
        }
        return;
    }
    println!("{:<32}{:>16}{:>16}", scenario.name, "BB84", "CV");
    for answer in answers {
        let show = |value: Option<f64>| match (value, answer.unit) {
            (None, "" | "SNU") => String::new(),
            (None, _) => "none".to_owned(),
            (Some(rate), "bit/s") if rate <= 0.0 => "none".to_owned(),
            (Some(rate), "bit/s") => format!("{}/s", si(rate, "bit")),
            (Some(nm), "nm") => format!("{nm:.0} nm"),
            (Some(change), unit @ "dB") => format!("{change:+.3} {unit}"),
            (Some(change), "") => format!("{:+.4} %", 100.0 * change),
            (Some(change), unit @ "SNU") => format!("{change:+.5} {unit}"),
            (Some(dbm), "dBm") if dbm >= MOST_DBM => format!("above {MOST_DBM:.0} dBm"),
            (Some(value), unit) => format!("{value:.1} {unit}"),
        };
        println!("{:<32}{:>16}{:>16}", answer.question, show(answer.values[0]), show(answer.values[1]));
    }
}

fn rates(scenario: &Scenario, budget: &Budget) -> [Option<f64>; 2] {
    super::secret(scenario, budget).map(Some)
}

/// Change in dB of what a channel's light says, `decade` dB a factor of ten.
fn changes(
    now: &Budget,
    then: &Budget,
    of: fn(&keystill::channel::Scattering) -> f64,
    decade: f64,
) -> [Option<f64>; 2] {
    let pairs = [(&now.bb84.scattering, &then.bb84.scattering), (&now.cv.scattering, &then.cv.scattering)];
    pairs.map(|(now, then)| (of(now) > 0.0).then(|| decade * (of(then) / of(now)).log10()))
}

/// For each protocol the wavelength with the most key among those that no carrier covers, and that key.
fn best_wavelengths(scenario: &Scenario) -> [[Option<f64>; 2]; 2] {
    let carriers = scenario.carriers();
    let span = LoadedSpan::new(scenario, &carriers);
    let mut best = [[None; 2]; 2];
    let mut nm = 1260.0;
    while nm <= 1625.0 {
        let thz = keystill::channel::nm_of(nm);
        if !carriers.iter().any(|carrier| carrier.covers(thz)) {
            let mut moved = scenario.clone();
            (moved.bb84.wavelength_nm, moved.cv.wavelength_nm) = (nm, nm);
            let found = super::secret(&moved, &span.budget(&moved));
            for (protocol, rate) in found.into_iter().enumerate() {
                if rate > best[1][protocol].unwrap_or(0.0) {
                    (best[0][protocol], best[1][protocol]) = (Some(nm), Some(rate));
                }
            }
        }
        nm += STEP_NM;
    }
    best
}

/// The launch power in dBm above which a protocol has no key, to a twentieth of a dB; none if it never has.
fn last_power(scenario: &Scenario, protocol: usize) -> Result<Option<f64>, Failure> {
    let has_key = |dbm: f64| {
        let mut given = scenario.clone();
        given.data.launch_power_dbm = dbm;
        let budget = budget(&given);
        let rate = if protocol == 0 {
            key::bb84_secret_bit_per_s(&given, &budget.bb84)
        } else {
            key::cv_secret_bit_per_s(&given, &budget.cv)
        };
        rate > 0.0
    };
    let (mut low, mut high) = (-40.0, MOST_DBM);
    if !has_key(low) {
        return Ok(None);
    }
    if has_key(high) {
        return Ok(Some(high));
    }
    while high - low > 0.05 {
        let middle = 0.5 * (low + high);
        if has_key(middle) { low = middle } else { high = middle }
    }
    Ok(Some(low))
}

/// The budget with more carriers of the same power, behind the first band that has room for them.
fn with_more_carriers(scenario: &Scenario) -> Result<Budget, Failure> {
    let before = scenario.carriers().len().max(1);
    let mut refused = None;
    for band in 0..scenario.data.slots.len() {
        let mut more = scenario.clone();
        more.data.slots[band] += MORE;
        let lit = more.carriers().len().max(1);
        more.data.launch_power_dbm += 10.0 * (lit as f64 / before as f64).log10();
        match more.checked() {
            Ok(more) => return Ok(budget(&more)),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(error) => Err(error).or_exit(crate::cli::Exit::Configuration),
        None => Ok(budget(scenario)),
    }
}
