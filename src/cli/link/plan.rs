//! `keystill link --plan`: where the quantum channels go best, how much data they bear, what more carriers cost.

use keystill::channel::{Budget, LoadedSpan, Scenario, budget};
use serde_json::json;

use super::key;
use crate::cli::Failure;
use crate::cli::summary::si;

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
    let more = with_more_carriers(scenario);
    let changed = |of: &dyn Fn(&Budget) -> [Option<f64>; 2]| more.as_ref().map_or([None; 2], of);
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
            values: [last_power(scenario, 0), last_power(scenario, 1)],
            unit: "dBm",
        },
        Answer {
            name: "secret_bit_per_s_with_more_carriers",
            question: "key with eight more carriers",
            values: changed(&|more| rates(scenario, more)),
            unit: "bit/s",
        },
        Answer {
            name: "noise_change_db_with_more_carriers",
            question: "noise then changes by",
            values: changed(&|more| changes(&now, more, |s| s.noise_w_per_nm)),
            unit: "dB",
        },
        Answer {
            name: "raman_change_db_with_more_carriers",
            question: "  of it Raman scattering",
            values: changed(&|more| changes(&now, more, |s| s.raman_w_per_nm)),
            unit: "dB",
        },
        Answer {
            name: "other_noise_change_db_with_more_carriers",
            question: "  and all other light",
            values: changed(&|more| changes(&now, more, |s| s.noise_w_per_nm - s.raman_w_per_nm)),
            unit: "dB",
        },
        Answer {
            name: "transmittance_change_db_with_more_carriers",
            question: "transmittance then changes by",
            values: changed(&|more| gains(&now, more)),
            unit: "dB",
        },
        Answer {
            name: "qber_change_with_more_carriers",
            question: "QBER then changes by",
            values: changed(&|more| [Some(more.bb84.qber - now.bb84.qber), None]),
            unit: "",
        },
        Answer {
            name: "excess_noise_change_snu_with_more_carriers",
            question: "excess noise then changes by",
            values: changed(&|more| {
                [None, Some(more.cv.excess_noise_input_snu - now.cv.excess_noise_input_snu)]
            }),
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
            (None, "dB") => "no room".to_owned(),
            (value, "dBm") => power_in_words(value),
            (None, _) => "none".to_owned(),
            (Some(rate), "bit/s") if rate <= 0.0 => "none".to_owned(),
            (Some(rate), "bit/s") => format!("{}/s", si(rate, "bit")),
            (Some(nm), "nm") => format!("{nm:.0} nm"),
            (Some(change), unit @ "dB") => format!("{change:+.3} {unit}"),
            (Some(change), "") => format!("{:+.4} %", 100.0 * change),
            (Some(change), unit @ "SNU") => format!("{change:+.5} {unit}"),
            (Some(value), unit) => format!("{value:.1} {unit}"),
        };
        println!("{:<32}{:>16}{:>16}", answer.question, show(answer.values[0]), show(answer.values[1]));
    }
}

fn rates(scenario: &Scenario, budget: &Budget) -> [Option<f64>; 2] {
    super::secret(scenario, budget).map(Some)
}

/// Change of the stimulated gain in dB.
fn gains(now: &Budget, then: &Budget) -> [Option<f64>; 2] {
    let pairs = [(&now.bb84.scattering, &then.bb84.scattering), (&now.cv.scattering, &then.cv.scattering)];
    pairs.map(|(now, then)| Some(then.srs_gain_db - now.srs_gain_db))
}

/// What the screen without `--plan` tells of it, BB84 first.
pub(super) struct Outlook {
    /// Launch power at which the key ends; none where there never is one.
    pub(super) last_power_dbm: [Option<f64>; 2],
    /// Key in bit/s and change of the noise in dB with eight more carriers; none where no band has room for them.
    pub(super) with_more: Option<[[f64; 2]; 2]>,
}

impl Outlook {
    pub(super) fn new(scenario: &Scenario, now: &Budget) -> Self {
        let with_more = with_more_carriers(scenario).map(|more| {
            let keys = super::secret(scenario, &more);
            let noise = changes(now, &more, |s| s.noise_w_per_nm);
            [0, 1].map(|protocol| [keys[protocol], noise[protocol].unwrap_or(0.0)])
        });
        Self { last_power_dbm: [last_power(scenario, 0), last_power(scenario, 1)], with_more }
    }
}

/// A launch power at which key ends, in words.
pub(super) fn power_in_words(dbm: Option<f64>) -> String {
    match dbm {
        None => "none".to_owned(),
        Some(dbm) if dbm >= MOST_DBM => format!("above {MOST_DBM:.0} dBm"),
        Some(dbm) => format!("{dbm:.1} dBm"),
    }
}

/// Change in dB of what a channel's light says.
fn changes(now: &Budget, then: &Budget, of: fn(&keystill::channel::Scattering) -> f64) -> [Option<f64>; 2] {
    let pairs = [(&now.bb84.scattering, &then.bb84.scattering), (&now.cv.scattering, &then.cv.scattering)];
    pairs.map(|(now, then)| (of(now) > 0.0).then(|| 10.0 * (of(then) / of(now)).log10()))
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
fn last_power(scenario: &Scenario, protocol: usize) -> Option<f64> {
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
        return None;
    }
    if has_key(high) {
        return Some(high);
    }
    while high - low > 0.05 {
        let middle = 0.5 * (low + high);
        if has_key(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

/// The budget with more carriers of the same power, behind the first band that has room for them, if one has.
fn with_more_carriers(scenario: &Scenario) -> Option<Budget> {
    let before = scenario.carriers().len().max(1);
    (0..scenario.data.slots.len()).find_map(|band| {
        let mut more = scenario.clone();
        more.data.slots[band] += MORE;
        let lit = more.carriers().len().max(1);
        more.data.launch_power_dbm += 10.0 * (lit as f64 / before as f64).log10();
        more.checked().ok().map(|more| budget(&more))
    })
}
