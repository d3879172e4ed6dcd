//! `keystill link --plan`: where the quantum channels go best, how much data they bear, what more carriers cost.

use keystill::channel::{Budget, LoadedPair, Ride, Scattering, Scenario, budget, nm_of};
use serde_json::{Value, json};

use crate::cli::Failure;
use crate::cli::summary::si;

/// Carriers that the plan adds.
const MORE: u32 = 8;
/// How names of answers about more carriers end, and the one of the key.
const WITH_MORE: &str = "with_more_carriers";
const KEY_WITH_MORE: &str = "secret_bit_per_s_with_more_carriers";
/// Answers that stand before the launch power at which key ends.
const BEFORE_CHANGES: usize = 3;
/// Steps of the search for a wavelength, in nm.
const STEP_NM: f64 = 5.0;
/// Launch powers between which the search goes.
const POWERS_DBM: [f64; 2] = [-40.0, 30.0];

/// One answer: what it is, for BB84 and CV.
struct Answer {
    name: &'static str,
    question: &'static str,
    values: [Option<f64>; 2],
    unit: &'static str,
}

/// Where a protocol's key ends as the launch power grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum KeyEnd {
    /// There is none, however dark the fibre.
    Never,
    /// At this launch power in dBm.
    At(f64),
    /// Above all launch powers that are searched.
    Above,
}

impl KeyEnd {
    /// In words.
    pub(super) fn words(self) -> String {
        match self {
            Self::Never => "none".to_owned(),
            Self::At(dbm) => format!("{dbm:.1} dBm"),
            Self::Above => format!("above {:.0} dBm", POWERS_DBM[1]),
        }
    }

    /// In a record: a number only where key ends at one, and which of the three it is.
    fn tell(self, record: &mut Value) {
        let (dbm, name) = match self {
            Self::Never => (None, "never"),
            Self::At(dbm) => (Some(dbm), "at"),
            Self::Above => (None, "above"),
        };
        record["last_launch_power_dbm"] = json!(dbm);
        record["key_ends"] = json!(name);
        record["launch_powers_searched_dbm"] = json!(POWERS_DBM);
    }
}

pub(super) fn run(scenario: &Scenario, json: bool) -> Result<(), Failure> {
    let now = budget(scenario);
    let [best, best_key] = best_wavelengths(scenario);
    let more = with_more_carriers(scenario);
    let changed = |of: &dyn Fn(&Budget) -> [Option<f64>; 2]| {
        [0, 1].map(|protocol| more[protocol].as_ref().and_then(|more| of(more)[protocol]))
    };
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
            name: KEY_WITH_MORE,
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
    print(scenario, &answers, key_ends(scenario), json);
    Ok(())
}

fn print(scenario: &Scenario, answers: &[Answer], ends: [KeyEnd; 2], json: bool) {
    if json {
        for (place, protocol) in ["bb84", "cv"].into_iter().enumerate() {
            let mut record = json!({ "protocol": protocol, "scenario": scenario.name });
            for answer in answers {
                record[answer.name] = json!(answer.values[place]);
            }
            ends[place].tell(&mut record);
            println!("{record}");
        }
        return;
    }
    let line = |question: &str, bb84: &str, cv: &str| println!("{question:<32}{bb84:>16}{cv:>16}");
    // Without room there is no key to tell; with it, a change may still be none, of a noise that is none.
    let key = answers.iter().find(|answer| answer.name == KEY_WITH_MORE);
    let room = [0, 1].map(|protocol| key.is_some_and(|key| key.values[protocol].is_some()));
    line(&scenario.name, "BB84", "CV");
    for (place, answer) in answers.iter().enumerate() {
        let show = |protocol: usize| match (answer.values[protocol], answer.unit) {
            (None, "" | "SNU") => String::new(),
            (None, _) if answer.name.ends_with(WITH_MORE) && !room[protocol] => "no room".to_owned(),
            (None, _) => "none".to_owned(),
            (Some(rate), "bit/s") if rate <= 0.0 => "none".to_owned(),
            (Some(rate), "bit/s") => format!("{}/s", si(rate, "bit")),
            (Some(nm), "nm") => format!("{nm:.0} nm"),
            (Some(change), unit @ "dB") => format!("{change:+.3} {unit}"),
            (Some(change), "") => format!("{:+.4} %", 100.0 * change),
            (Some(change), unit @ "SNU") => format!("{change:+.5} {unit}"),
            (Some(value), unit) => format!("{value:.1} {unit}"),
        };
        if place == BEFORE_CHANGES {
            let [bb84, cv] = ends.map(KeyEnd::words);
            line("key ends at a launch power of", &bb84, &cv);
        }
        line(answer.question, &show(0), &show(1));
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
    /// Where the key ends.
    pub(super) ends: [KeyEnd; 2],
    /// Key in bit/s and change of the noise in dB with eight more carriers on the channel's fibre; none where no band
    /// of it has room for them.
    pub(super) with_more: [Option<[f64; 2]>; 2],
}

impl Outlook {
    pub(super) fn new(scenario: &Scenario, now: &Budget) -> Self {
        let more = with_more_carriers(scenario);
        let with_more = [0, 1].map(|protocol| {
            let more = more[protocol].as_ref()?;
            let noise = changes(now, more, |s| s.noise_w_per_nm)[protocol];
            Some([super::secret(scenario, more)[protocol], noise.unwrap_or(0.0)])
        });
        Self { ends: key_ends(scenario), with_more }
    }

    /// Tells it in a protocol's record.
    pub(super) fn tell(&self, protocol: usize, record: &mut Value) {
        self.ends[protocol].tell(record);
        let with_more = self.with_more[protocol];
        record["secret_bit_per_s_with_more_carriers"] = json!(with_more.map(|[key, _]| key));
        record["noise_change_db_with_more_carriers"] = json!(with_more.map(|[_, noise]| noise));
    }
}

/// Change in dB of what a channel's light says.
fn changes(now: &Budget, then: &Budget, of: fn(&Scattering) -> f64) -> [Option<f64>; 2] {
    let pairs = [(&now.bb84.scattering, &then.bb84.scattering), (&now.cv.scattering, &then.cv.scattering)];
    pairs.map(|(now, then)| (of(now) > 0.0).then(|| 10.0 * (of(then) / of(now)).log10()))
}

/// For each protocol the wavelength with the most key among those that no carrier of its fibre covers and
/// at which its fibre is known, and that key.
fn best_wavelengths(scenario: &Scenario) -> [[Option<f64>; 2]; 2] {
    let fibres = fibres(scenario).map(|on| (on.carriers(), on.fibre().attenuation));
    let pair = LoadedPair::new(scenario, &|_, _| true);
    let mut best = [[None; 2]; 2];
    let mut nm = 1260.0;
    while nm <= 1625.0 {
        let mut moved = scenario.clone();
        (moved.bb84.wavelength_nm, moved.cv.wavelength_nm) = (nm, nm);
        let found = super::secret(&moved, &pair.budget(&moved));
        for (protocol, rate) in found.into_iter().enumerate() {
            let (carriers, attenuation) = &fibres[protocol];
            let is_free =
                !carriers.iter().any(|carrier| carrier.covers(nm_of(nm))) && attenuation.reaches(nm);
            if is_free && rate > best[1][protocol].unwrap_or(0.0) {
                (best[0][protocol], best[1][protocol]) = (Some(nm), Some(rate));
            }
        }
        nm += STEP_NM;
    }
    best
}

/// The fibre of each protocol.
fn fibres(scenario: &Scenario) -> [Scenario; 2] {
    [scenario.bb84.rides, scenario.cv.rides].map(|ride: Ride| scenario.on(ride))
}

/// The launch power of its fibre's data at which each protocol's key ends, to a twentieth of a dB.
fn key_ends(scenario: &Scenario) -> [KeyEnd; 2] {
    let [bb84, cv] = fibres(scenario);
    [key_end(bb84, 0), key_end(cv, 1)]
}

fn key_end(mut fibre: Scenario, protocol: usize) -> KeyEnd {
    let mut has_key = |dbm: f64| {
        fibre.data.launch_power_dbm = dbm;
        super::secret(&fibre, &budget(&fibre))[protocol] > 0.0
    };
    let [mut low, mut high] = POWERS_DBM;
    if !has_key(low) {
        return KeyEnd::Never;
    }
    if has_key(high) {
        return KeyEnd::Above;
    }
    while high - low > 0.05 {
        let middle = 0.5 * (low + high);
        if has_key(middle) { low = middle } else { high = middle }
    }
    KeyEnd::At(low)
}

/// For each protocol the budget with more carriers of the same power, behind the first band of its fibre that has room
/// for them, if one has.
fn with_more_carriers(scenario: &Scenario) -> [Option<Budget>; 2] {
    fibres(scenario).map(|fibre| {
        let wider = |band| fibre.with_slots(band, MORE).checked().ok();
        (0..fibre.data.slots.len()).find_map(wider).map(|more| budget(&more))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    #[test]
    fn a_key_that_ends_nowhere_is_no_number() {
        let mut record = json!({});
        for (end, words, dbm, name) in [
            (KeyEnd::Never, "none", json!(null), "never"),
            (KeyEnd::At(19.4), "19.4 dBm", json!(19.4), "at"),
            (KeyEnd::Above, "above 30 dBm", json!(null), "above"),
        ] {
            end.tell(&mut record);
            assert_eq!(end.words(), words, "{end:?}");
            assert_eq!(
                (&record["last_launch_power_dbm"], &record["key_ends"]),
                (&dbm, &json!(name)),
                "{end:?}"
            );
        }
    }

    #[test]
    fn each_fibre_has_its_own_room() {
        let full = "second.data.slots=[70,60]";
        for (overrides, room) in [
            (vec![full], [true, true]),
            (vec![full, "cv.rides=second"], [true, false]),
            (vec![full, "cv.rides=second", "bb84.rides=second"], [false, false]),
            (vec!["second.data.slots=[59,59]", "data.slots=[70,60]", "cv.rides=second"], [false, true]),
        ] {
            let found = with_more_carriers(&scenario(&overrides)).map(|more| more.is_some());
            assert_eq!(found, room, "{overrides:?}");
        }
    }

    #[test]
    fn more_carriers_leave_the_others_their_power() {
        for wide in ["data.carriers_800g=[29,29]", "data.carrier_power_dbm=[[186.2,-20.0],[186.275,-20.0]]"] {
            let before = scenario(&[wide]);
            let after = before.with_slots(0, MORE);
            let slot = |of: &Scenario| of.carriers().last().map(|last| last.power_w / last.width_ghz);
            let ratio = slot(&after).zip(slot(&before)).map_or(0.0, |(after, before)| after / before);
            assert!((ratio - 1.0).abs() < 1e-12, "{wide}: {ratio}");
        }
    }

    #[test]
    fn key_ends_by_the_power_of_the_fibre_that_a_channel_rides() {
        let mirrored = key_ends(&scenario(&["cv.rides=second"]));
        let louder = key_ends(&scenario(&["cv.rides=second", "second.data.launch_power_dbm=25"]));
        assert_eq!(mirrored, louder, "whatever the scenario's own power");
        let thinner = key_ends(&scenario(&["cv.rides=second", "second.data.slots=[59,0]"]));
        assert_ne!(mirrored[1], thinner[1], "but by its comb");
        assert_eq!(mirrored[0], thinner[0], "and only on its fibre");
    }
}
