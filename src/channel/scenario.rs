//! Scenarios: every value of the simulated link, with its unit in its name.

mod check;
mod comb;
mod parts;
mod place;
mod second;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use comb::Carrier;
pub(super) use comb::watts;
pub use parts::{Amplifier, Coherent, Detector, FibreTable, Filters, Modem, Noise, Ride, Signal, Switch};
pub use second::{Second, SecondAmplifier, SecondData, SecondFilters, SecondLink, SecondModem};

use super::curve::Curve;
use super::drift::{Drift, Event};
use super::fibre::{Attenuation, Fibre};
use super::span::Direction;
use place::{field_at, line_of, line_with, nearest, paths, suggestion};

/// Scenarios that ship, by name.
const SHIPPED: [(&str, &str); 6] = [
    ("iown-47t2", include_str!("scenarios/iown-47t2.toml")),
    ("dark-fibre", include_str!("scenarios/dark-fibre.toml")),
    ("c-band-only", include_str!("scenarios/c-band-only.toml")),
    ("reduced-power", include_str!("scenarios/reduced-power.toml")),
    ("50-km", include_str!("scenarios/50-km.toml")),
    ("eight-hours", include_str!("scenarios/eight-hours.toml")),
];

/// Names of the scenarios that ship.
pub const NAMES: &[&str] =
    &["iown-47t2", "dark-fibre", "c-band-only", "reduced-power", "50-km", "eight-hours"];

/// A link, its data carriers and its two QKD systems.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name in records.
    pub name: String,
    /// The fibre.
    pub link: Link,
    /// Properties of a fibre that is not known by its name.
    #[serde(default)]
    pub fibre: FibreTable,
    /// The data carriers beside the quantum channels.
    pub data: Data,
    /// Other light in the fibre: synchronisation, pilots, service channels.
    #[serde(default)]
    pub signal: Vec<Signal>,
    /// The data's booster.
    #[serde(default)]
    pub amplifier: Amplifier,
    /// What keeps the data out of the quantum receivers.
    #[serde(default)]
    pub filters: Filters,
    /// Which noises there are.
    #[serde(default)]
    pub noise: Noise,
    /// What of the pair's second fibre differs from all this.
    #[serde(default)]
    pub second: Second,
    /// The BB84 system.
    pub bb84: Bb84,
    /// The CV-QKD system.
    pub cv: Cv,
    /// Slow changes.
    #[serde(default)]
    pub drift: Drift,
    /// What happens, and when.
    #[serde(default)]
    pub event: Vec<Event>,
}

/// The fibre.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Length in km.
    pub length_km: f64,
    /// Its type: a known name, or that of the section `fibre`.
    pub fibre: String,
    /// Its temperature in K.
    pub temperature_k: f64,
}

/// The data carriers: bands of equal slots at equal power.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Which way they run.
    pub direction: Direction,
    /// All of them together, at the fibre's input, in dBm.
    pub launch_power_dbm: f64,
    /// Width of a slot in GHz.
    pub slot_ghz: f64,
    /// Centre of each band's first slot in THz.
    pub first_slot_thz: Vec<f64>,
    /// Slots in each band.
    pub slots: Vec<u32>,
    /// Carriers of 800 Gb/s in each band: the highest pairs of slots. The rest carry 400 Gb/s a slot.
    #[serde(default)]
    pub carriers_800g: Vec<u32>,
    /// Guard bands from THz to THz: what is centred inside stays dark. The power is that of the carriers left.
    #[serde(default)]
    pub dark_thz: Vec<[f64; 2]>,
    /// Carriers of their own launch power: THz and dBm. The total is that of the others.
    #[serde(default)]
    pub carrier_power_dbm: Vec<[f64; 2]>,
    /// The carriers' transceivers.
    #[serde(default)]
    pub modem: Modem,
}

/// The BB84 system.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bb84 {
    /// Wavelength in nm.
    pub wavelength_nm: f64,
    /// The fibre of the pair that it rides.
    #[serde(default)]
    pub rides: Ride,
    /// Gates a second, in GHz.
    pub clock_ghz: f64,
    /// Mean photon numbers, brightest first.
    pub mean_photons: [f64; 3],
    /// By how much each may be off, either way: the key length takes the worst of the interval.
    pub mean_photon_spread: [f64; 3],
    /// Their probabilities.
    pub probabilities: [f64; 3],
    /// By how much each may be off, either way.
    pub probability_spread: [f64; 3],
    /// The probability, at most, that one of these lies outside of its interval.
    pub calibration_epsilon: f64,
    /// Blocks of a session for which the calibration holds.
    pub calibration_blocks: u64,
    /// The probability of the test basis, on either side.
    pub test_probability: f64,
    /// Whether bits of empty pulses count as secret.
    #[serde(default)]
    pub credit_vacuum: bool,
    /// The receiver's optical filter in nm.
    pub filter_nm: f64,
    /// The detectors' effective gate in ps.
    pub gate_ps: f64,
    /// Loss of the receiver's optics in dB.
    pub receiver_loss_db: f64,
    /// The detectors' efficiency.
    pub detector_efficiency: f64,
    /// Probability of a dark count, of each detector and gate.
    pub dark_count_probability: f64,
    /// Probability that a click is followed by an afterpulse.
    pub afterpulse_probability: f64,
    /// Mean delay of an afterpulse beyond the dead time, in gates.
    pub afterpulse_gates: f64,
    /// Gates after a click in which both detectors are dead.
    pub dead_gates: u32,
    /// Share of the light that meets the wrong detector.
    pub misalignment: f64,
    /// Length of a raw frame in ms.
    pub frame_ms: f64,
    /// Length of a block in s.
    pub block_s: f64,
    /// The failure probability of a block's key.
    pub epsilon: f64,
    /// What else the detectors do.
    #[serde(default)]
    pub detector: Detector,
}

/// The CV-QKD system.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cv {
    /// Wavelength in nm.
    pub wavelength_nm: f64,
    /// The fibre of the pair that it rides.
    #[serde(default)]
    pub rides: Ride,
    /// Symbols a second, in MBd.
    pub symbol_rate_mbd: f64,
    /// V_A in shot-noise units.
    pub modulation_variance_snu: f64,
    /// Excess noise at the channel's input that is not scattering, in shot-noise units.
    pub technical_excess_noise_snu: f64,
    /// η.
    pub receiver_efficiency: f64,
    /// By how much it may be off, either way: the key length takes the worst of the interval.
    pub receiver_efficiency_spread: f64,
    /// v_el a quadrature, in shot-noise units.
    pub electronic_noise_snu: f64,
    /// By how much it may be off, either way.
    pub electronic_noise_spread_snu: f64,
    /// Samples of the shot-noise calibration.
    pub calibration_samples: u64,
    /// The probability, at most, that one of these lies outside of its interval.
    pub calibration_epsilon: f64,
    /// Blocks of a session for which the calibration holds.
    pub calibration_blocks: u64,
    /// Length of a raw frame in ms.
    pub frame_ms: f64,
    /// Symbols that a block discloses for the choice of rate.
    pub sample_symbols: u32,
    /// Length of a block in s.
    pub block_s: f64,
    /// The failure probability of a block's key.
    pub epsilon: f64,
    /// What else the receiver does.
    #[serde(default)]
    pub receiver: Coherent,
}

/// Why a scenario cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// No scenario of this name ships, and no file bears it.
    #[error("no scenario `{name}`: name a TOML file, or one of: {}", NAMES.join(", "))]
    Unknown {
        /// The name.
        name: String,
    },
    /// The text is not TOML, or a field is missing, unknown or of another type.
    #[error("{origin}: {detail}")]
    Syntax {
        /// File and line, or the override.
        origin: String,
        /// What is wrong.
        detail: String,
    },
    /// An override does not name a value.
    #[error("--set {given} names no value of the scenario: {advice}")]
    Override {
        /// What was given.
        given: String,
        /// What to write.
        advice: String,
    },
    /// A value is impossible.
    #[error("{origin}: {field} = {value}: {allowed}")]
    Value {
        /// File and line, or the override.
        origin: String,
        /// Section and key.
        field: String,
        /// The value.
        value: String,
        /// What would be right.
        allowed: Cow<'static, str>,
    },
}

impl ScenarioError {
    /// The same, with file and line of a fibre's own value.
    fn in_fibre_file(self, file: &FibreFile) -> Self {
        let Self::Value { field, value, allowed, .. } = &self else { return self };
        let Some(key) = field.strip_prefix(file.section) else { return self };
        let origin = format!("{}, line {}", file.name, line_with(&file.text, key).unwrap_or(1));
        Self::Value { origin, field: field.clone(), value: value.clone(), allowed: allowed.clone() }
    }
}

/// A fibre's file.
struct FibreFile {
    /// The section of the scenario that it stands for.
    section: &'static str,
    name: String,
    text: String,
}

impl FibreFile {
    /// Reads the file that a fibre's name names; none if it names a fibre.
    fn read(
        section: &'static str,
        fibre: &str,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Option<Self>, ScenarioError> {
        if !fibre.ends_with(".toml") {
            return Ok(None);
        }
        let name = fibre.to_owned();
        let field = if section == "fibre." { "link.fibre" } else { "second.link.fibre" };
        let text = read(&name).map_err(|detail| ScenarioError::Syntax {
            origin: name.clone(),
            detail: format!(
                "{detail}; {field} names it as a fibre's file, beside the scenario's or from here"
            ),
        })?;
        Ok(Some(Self { section, name, text }))
    }

    /// Its values; without a name of its own, the fibre bears the file's.
    fn table(&self) -> Result<FibreTable, ScenarioError> {
        let mut table: FibreTable =
            toml::from_str(&self.text).map_err(|error| syntax(&self.name, &self.text, &error))?;
        if table.name.is_empty() {
            table.name.clone_from(&self.name);
        }
        Ok(table)
    }
}

impl Scenario {
    /// The text of a scenario that ships.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`] if none bears the name.
    pub fn shipped(name: &str) -> Result<&'static str, ScenarioError> {
        let found = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        found.map(|(_, text)| *text).ok_or_else(|| ScenarioError::Unknown { name: name.to_owned() })
    }

    /// The scenario of a text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ScenarioError`], naming line and field, or the override.
    pub fn from_text(origin: &str, text: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        Self::from_files(origin, text, overrides, &|name| Err(format!("{name} is not at hand")))
    }

    /// The scenario of a text that may name a fibre's file, which `read` reads.
    ///
    /// # Errors
    /// [`ScenarioError`], naming line and field, or the override.
    pub fn from_files(
        origin: &str,
        text: &str,
        overrides: &[String],
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, ScenarioError> {
        // The text as it stands first, so that its own mistakes are told with their lines.
        let mut scenario: Self = toml::from_str(text).map_err(|error| syntax(origin, text, &error))?;
        // What each override found, to know which one made a value impossible.
        let mut before = Vec::new();
        for given in overrides {
            let with = scenario.with(given)?;
            before.push((given.as_str(), std::mem::replace(&mut scenario, with)));
        }
        let files = scenario.read_fibres(read)?;
        check::check(&scenario, origin, text, &before)
            .map_err(|error| files.iter().fold(error, |error, file| error.in_fibre_file(file)))?;
        Ok(scenario)
    }

    /// The same scenario if its values are possible.
    ///
    /// # Errors
    /// [`ScenarioError::Value`] with the first that is not.
    pub fn checked(self) -> Result<Self, ScenarioError> {
        check::check(&self, &self.name, "", &[])?;
        Ok(self)
    }

    /// Takes each fibre from the file that its name names; what was read.
    fn read_fibres(
        &mut self,
        read: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Vec<FibreFile>, ScenarioError> {
        let mut files = Vec::new();
        if let Some(file) = FibreFile::read("fibre.", &self.link.fibre, read)? {
            self.fibre = file.table()?;
            self.link.fibre.clone_from(&self.fibre.name);
            files.push(file);
        }
        let second = self.second.link.fibre.clone().unwrap_or_default();
        if let Some(file) = FibreFile::read("second.fibre.", &second, read)? {
            let table = file.table()?;
            self.second.link.fibre = Some(table.name.clone());
            self.second.fibre = Some(table);
            files.push(file);
        }
        Ok(files)
    }

    /// One value replaced, unchecked.
    fn with(&self, given: &str) -> Result<Self, ScenarioError> {
        let wrong = |detail: &str| ScenarioError::Syntax {
            origin: format!("--set {given}"),
            detail: with_suggestion(detail),
        };
        let mut table = toml::Table::try_from(self).map_err(|error| wrong(&error.to_string()))?;
        let second =
            toml::Table::try_from(self.on(Ride::Second)).map_err(|error| wrong(&error.to_string()))?;
        set(&mut table, &second, given)?;
        table.try_into().map_err(|error: toml::de::Error| wrong(error.message()))
    }

    /// The fibre's properties.
    #[must_use]
    pub fn fibre(&self) -> Fibre {
        Fibre::named(&self.link.fibre).unwrap_or_else(|| self.fibre.build())
    }
}

/// A text that is not a scenario: where, and which field.
fn syntax(origin: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    let Some(span) = error.span() else {
        return ScenarioError::Syntax { origin: origin.to_owned(), detail: with_suggestion(error.message()) };
    };
    let field = match error.message().split(' ').next() {
        Some("invalid" | "unknown") if !error.message().starts_with("unknown field") => field_at(text, &span),
        _ => None,
    };
    let detail = with_suggestion(error.message());
    ScenarioError::Syntax {
        origin: format!("{origin}, line {}", line_of(text, span.start)),
        detail: field.map_or(detail.clone(), |field| format!("{field}: {detail}")),
    }
}

/// A message of serde's, and the name that was meant if it speaks of an unknown one.
fn with_suggestion(message: &str) -> String {
    suggestion(message).map_or(message.to_owned(), |meant| format!("{message}; did you mean `{meant}`?"))
}

/// Replaces one value; it must be there already, on the `second` fibre or on the first.
fn set(table: &mut toml::Table, second: &toml::Table, given: &str) -> Result<(), ScenarioError> {
    let advice = || "write section.key=value, as in link.length_km=50".to_owned();
    let wrong = |advice: String| ScenarioError::Override { given: given.to_owned(), advice };
    let (path, value) = given.split_once('=').ok_or_else(|| wrong(advice()))?;
    let path = path.trim();
    let parsed: toml::Table = toml::from_str(&format!("value = {value}"))
        .or_else(|_| toml::from_str(&format!("value = {value:?}")))
        .map_err(|_| wrong(advice()))?;
    let mut value = parsed.get("value").cloned().ok_or_else(|| wrong(advice()))?;
    fill(table, second, path);
    let names = match path.strip_prefix("second.") {
        Some(_) => paths(second).into_iter().map(|name| format!("second.{name}")).collect(),
        None => paths(table),
    };
    let unknown = || {
        // The same key in another section, or else a name that differs by few letters.
        let key = path.rsplit('.').next().unwrap_or(path);
        let mut elsewhere = names.iter().filter(|name| name.rsplit('.').next() == Some(key));
        let only = elsewhere.next().filter(|_| elsewhere.next().is_none());
        let meant = nearest(path, names.iter().map(String::as_str)).or(only.map(String::as_str));
        wrong(meant.map_or_else(advice, |name| format!("did you mean {name}?")))
    };
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let mut place = table.get_mut(first).ok_or_else(unknown)?;
    for key in rest.into_iter().flat_map(|rest| rest.split('.')) {
        let below = match place {
            toml::Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            other => other.get_mut(key),
        };
        place = below.ok_or_else(unknown)?;
    }
    if let (toml::Value::Float(_), toml::Value::Integer(whole)) = (&*place, &value) {
        value = toml::Value::Float(*whole as f64);
    }
    *place = value;
    Ok(())
}

/// Gives the second fibre a value of its own where an override names one that it shares with the first.
fn fill(table: &mut toml::Table, second: &toml::Table, path: &str) {
    let (Some(path), Some(toml::Value::Table(own))) = (path.strip_prefix("second."), table.get_mut("second"))
    else {
        return;
    };
    let (mut own, mut shared) = (own, second);
    for key in path.split('.') {
        match shared.get(key) {
            // A fibre's own properties stay together.
            Some(toml::Value::Table(section)) if key != "fibre" => {
                let below = own.entry(key).or_insert_with(|| toml::Table::new().into());
                let Some(table) = below.as_table_mut() else { return };
                (own, shared) = (table, section);
            }
            Some(value) => {
                own.entry(key).or_insert_with(|| value.clone());
                return;
            }
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<Scenario, ScenarioError> {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Scenario::from_text("iown-47t2", SHIPPED[0].1, &overrides)
    }

    #[test]
    fn the_default_scenario_is_the_demonstration() {
        let scenario = load(&[]).expect("it ships");
        assert_eq!(scenario.data.slot_centres_thz().len(), 118, "118 slots of 400 Gb/s are 47.2 Tb/s");
        assert!((scenario.link.length_km - 25.0).abs() < 1e-12, "25 km");
    }

    #[test]
    fn values_are_overridden_by_name() {
        let scenario = load(&["link.length_km=50", "data.direction=counter"]).expect("both are there");
        assert!((scenario.link.length_km - 50.0).abs() < 1e-12, "a whole number for a real one");
        assert_eq!(scenario.data.direction, Direction::Counter, "a word without quotes");
        for wrong in ["link.length_km", "link.lenght_km=5", "nowhere.key=1"] {
            assert!(matches!(load(&[wrong]), Err(ScenarioError::Override { .. })), "{wrong}");
        }
    }

    #[test]
    fn mistakes_name_line_and_field() {
        let text = SHIPPED[0].1.replace("length_km = 25.0", "length_km = -3.0");
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("no such length").to_string();
        let line = text.lines().position(|line| line.starts_with("length_km")).expect("there") + 1;
        assert!(error.starts_with(&format!("my.toml, line {line}: link.length_km = -3")), "{error}");
        let text = SHIPPED[0].1.replace("clock_ghz", "clock_mhz");
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("another unit").to_string();
        assert!(error.contains("line") && error.contains("clock_mhz"), "{error}");
        let overlap = load(&["data.slot_ghz=150"]);
        assert!(overlap.is_err(), "the L band would run into the C band");
        assert!(
            matches!(Scenario::shipped("nowhere"), Err(ScenarioError::Unknown { .. })),
            "no such scenario"
        );
    }

    #[test]
    fn what_calibration_says_is_never_assumed() {
        for key in [
            "mean_photons",
            "mean_photon_spread",
            "probabilities",
            "probability_spread",
            "calibration_epsilon",
            "calibration_blocks",
            "receiver_efficiency",
            "receiver_efficiency_spread",
            "electronic_noise_snu",
            "electronic_noise_spread_snu",
            "calibration_samples",
        ] {
            let kept = |line: &&str| line.split('=').next().is_none_or(|name| name.trim() != key);
            let text: Vec<&str> = SHIPPED[0].1.lines().filter(kept).collect();
            let error =
                Scenario::from_text("my.toml", &text.join("\n"), &[]).expect_err("absent").to_string();
            assert!(error.contains("line") && error.contains(&format!("missing field `{key}`")), "{error}");
        }
    }

    #[test]
    fn impossible_values_name_line_and_field() {
        for (line, field) in [
            ("launch_power_dbm = 77.0", "data.launch_power_dbm"),
            ("first_slot_thz = [186.2, 187.0]", "data.first_slot_thz"),
            ("wavelength_nm = 1200.0", "bb84.wavelength_nm"),
            ("fibre = \"G.999\"", "link.fibre"),
            ("detector_efficiency = -0.2", "bb84.detector_efficiency"),
            ("modulation_variance_snu = -4.0", "cv.modulation_variance_snu"),
            ("adc_bits = 99", "cv.receiver.adc_bits"),
            ("gain_db = -3.0", "amplifier.gain_db"),
        ] {
            let key = line.split(' ').next().expect("a key");
            let mut number = 0;
            let replaced: Vec<&str> = SHIPPED[0]
                .1
                .lines()
                .enumerate()
                .map(|(at, given)| {
                    if number == 0 && given.split(' ').next() == Some(key) {
                        number = at + 1;
                        return line;
                    }
                    given
                })
                .collect();
            let error =
                Scenario::from_text("my.toml", &replaced.join("\n"), &[]).expect_err("wrong").to_string();
            assert!(error.starts_with(&format!("my.toml, line {number}: {field} = ")), "{line}: {error}");
        }
    }

    #[test]
    fn every_scenario_that_ships_is_good_and_bears_its_name() {
        assert_eq!(SHIPPED.map(|(name, _)| name).as_slice(), NAMES, "the list is complete");
        for (name, text) in SHIPPED {
            let scenario = Scenario::from_text(name, text, &[]).expect("good values");
            assert_eq!(scenario.name, name, "the name in records");
        }
    }

    #[test]
    fn a_fibre_comes_from_its_file() {
        let read = |name: &str| match name {
            "lab.toml" => {
                Ok("name = \"lab\"\nattenuation = [[1300.0, 0.4], [1540.0, 0.25], [1620.0, 0.3]]\n"
                    .to_owned())
            }
            "short.toml" => {
                Ok("name = \"short\"\n\nattenuation = [[1310.0, 0.4], [1550.0, 0.25]]\n".to_owned())
            }
            "wrong.toml" => Ok("name = \"wrong\"\nattenuation = [[1310.0, -0.4]]\n".to_owned()),
            "bad.toml" => Ok("\nattenuation = 3\n".to_owned()),
            _ => Err("no such file".to_owned()),
        };
        let load = |fibre: &str| {
            Scenario::from_files("iown-47t2", SHIPPED[0].1, &[format!("link.fibre={fibre}")], &read)
        };
        let scenario = load("lab.toml").expect("a good fibre");
        assert_eq!(scenario.fibre().name, "lab", "its name");
        assert!((scenario.fibre().attenuation_db_per_km(1420.0) - 0.325).abs() < 1e-9, "interpolated");
        let error = load("bad.toml").expect_err("no pairs").to_string();
        assert!(error.starts_with("bad.toml, line 2"), "{error}");
        let error = load("wrong.toml").expect_err("a fibre that amplifies").to_string();
        assert!(error.starts_with("wrong.toml, line 2: fibre.attenuation = "), "{error}");
        assert!(load("none.toml").is_err(), "no file");
        let error = load("short.toml").expect_err("nothing known beyond 1550 nm").to_string();
        let told = "short.toml, line 3: fibre.attenuation = points from 1310 to 1550 nm: points from 1310.0 to 1610.1 nm";
        assert!(error.starts_with(told), "{error}");
    }

    #[test]
    fn properties_of_another_fibre_do_not_pass_unseen() {
        let given = "fibre.backscatter_per_s=7";
        let error = load(&[given]).expect_err("G.652.D has its own").to_string();
        assert!(
            error.starts_with(&format!("--set {given}: link.fibre = \"G.652.D\": the name in")),
            "{error}"
        );
        assert!(load(&["fibre.name=mine", "link.fibre=mine", given]).is_ok(), "named, they count");
    }

    #[test]
    fn the_second_fibre_differs_in_what_is_said_of_it() {
        let own =
            "\n[second.link]\nlength_km = 40.0\nfibre = \"G.654.E\"\n\n[second.data]\nslots = [59, 20]\n";
        let text = format!("{}{own}", SHIPPED[0].1);
        let given = ["data.launch_power_dbm=12".to_owned(), "second.data.modem.occupancy=0.7".to_owned()];
        let scenario = Scenario::from_text("my.toml", &text, &given).expect("good values");
        let second = scenario.on(Ride::Second);
        assert!((second.link.length_km - 40.0).abs() < 1e-12, "its length");
        assert_eq!(second.fibre().name, "G.654.E", "its type");
        assert_eq!(second.carriers().len(), 79, "its comb");
        assert!((second.data.launch_power_dbm - 12.0).abs() < 1e-12, "the first one's power");
        assert!((second.data.modem.occupancy - 0.7).abs() < 1e-12, "an override of its own");
        assert_eq!(
            second.data.modem.preamplifier_noise_figure_db,
            scenario.data.modem.preamplifier_noise_figure_db
        );
        assert_eq!(second.data.direction, Direction::Counter, "against the first one's data");
        assert_eq!(scenario.on(Ride::First).carriers().len(), 118, "the first is as it was");
        assert!((scenario.data.modem.occupancy - 0.85).abs() < 1e-12, "in all");
        assert_eq!(scenario.fibres(), [Ride::First, Ride::Second], "both are told of");
        assert_eq!(load(&[]).expect("it ships").fibres(), [Ride::First], "a mirror image is not");
    }

    #[test]
    fn signals_of_the_second_fibre_run_the_other_way_unless_said() {
        let load = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            let text = Scenario::shipped("eight-hours").expect("it ships");
            Scenario::from_text("eight-hours", text, &overrides).expect("good values").on(Ride::Second).signal
        };
        assert_eq!(load(&[])[0].direction, Direction::Counter, "mirrored");
        let louder = load(&["second.signal.0.power_dbm=-3"]);
        assert_eq!(
            (louder[0].power_dbm, louder[0].direction),
            (-3.0, Direction::Counter),
            "one value of them"
        );
        assert_eq!(load(&["second.signal=[]"]), [], "none at all");
    }

    #[test]
    fn mistakes_of_the_second_fibre_name_line_and_field() {
        for (given, told) in [
            ("second.link.length_km=-3", "second.link.length_km = -3"),
            ("second.link.fibre=glass", "second.link.fibre = \"glass\""),
            ("second.data.launch_power_dbm=99", "second.data.launch_power_dbm = 99"),
            ("second.data.slots=[100,59]", "second.data.first_slot_thz = "),
            ("second.data.slots.1=20.5", "invalid type"),
            ("second.filters.add_loss_db=-1", "second.filters.add_loss_db = -1"),
            ("second.fibre.kappa=[[1.0,99.0]]", "second.fibre.kappa = "),
            ("second.bb84.clock_ghz=2", "unknown field `bb84`"),
        ] {
            let error = load(&[given]).expect_err("impossible").to_string();
            assert!(error.starts_with(&format!("--set {given}: {told}")), "{error}");
        }
        let error = load(&["second.lnik.length_km=5"]).expect_err("no such name").to_string();
        assert!(error.contains("did you mean second.link.length_km?"), "{error}");
        for (own, field) in [
            ("[second.link]\n\nlength_km = -3.0\n", "second.link.length_km = -3"),
            ("[second.data]\n\nslot_ghz = 150.0\n", "second.data.first_slot_thz = "),
            (
                "[[second.signal]]\nname = \"x\"\npower_dbm = 99.0\nwavelength_nm = 1500.0\ndirection = \"co\"\n",
                "second.signal.0.power_dbm = 99",
            ),
            ("[second.data]\n\nslots = \"many\"\n", "second.data.slots: invalid type"),
        ] {
            let text = format!("{}\n{own}", SHIPPED[0].1);
            let error = Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string();
            let first = SHIPPED[0].1.lines().count() + 2;
            let lines = [first, first + 2];
            assert!(
                lines.iter().any(|line| error.starts_with(&format!("my.toml, line {line}: {field}"))),
                "{error}"
            );
        }
    }

    #[test]
    fn each_fibre_may_come_from_a_file() {
        let read = |name: &str| match name {
            "one.toml" => Ok("name = \"one\"\nbackscatter_per_s = 7.0\n".to_owned()),
            "two.toml" => Ok("name = \"two\"\n\neffective_area_um2 = 110.0\n".to_owned()),
            _ => Ok("raman_strength = 1.0\neffective_area_um2 = 5.0\n".to_owned()),
        };
        let load = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
            Scenario::from_files("iown-47t2", SHIPPED[0].1, &overrides, &read)
        };
        let both = load(&["link.fibre=one.toml", "second.link.fibre=two.toml"]).expect("good fibres");
        let [one, two] = [both.fibre(), both.on(Ride::Second).fibre()];
        assert_eq!((one.name.as_str(), two.name.as_str()), ("one", "two"), "their names");
        assert!(
            (two.effective_area_um2 - 110.0).abs() < 1e-12 && (two.backscatter_per_s - 8.0).abs() < 1e-12,
            "{two:?}"
        );
        let shared = load(&["link.fibre=one.toml"]).expect("a good fibre");
        assert_eq!(shared.on(Ride::Second).fibre().name, "one", "the first one's, where nothing is said");
        let error = load(&["second.link.fibre=three.toml"]).expect_err("too small").to_string();
        assert!(error.starts_with("three.toml, line 2: second.fibre.effective_area_um2 = 5"), "{error}");
    }

    #[test]
    fn a_bad_override_is_told_as_such() {
        for (given, told) in [
            ("data.launch_power_dbm=99", "data.launch_power_dbm = 99"),
            ("bb84.clock_ghz=fast", "invalid type"),
            ("link.fibre=glass", "link.fibre = "),
            ("data.slots=[59,9999]", "data.slots = "),
            // What breaks the rule of another value, or a part of a value.
            ("data.slots=[100,59]", "data.first_slot_thz = "),
            ("bb84.clock_ghz=8", "bb84.gate_ps = 200"),
            ("bb84.mean_photons.0=3", "bb84.mean_photons = [3.0"),
            ("cv.block_s=0.02", "cv.sample_symbols = 200000"),
            ("fibre.dispersion_ps_per_nm_km=nan", "fibre.dispersion_ps_per_nm_km = NaN"),
        ] {
            // Whatever else is given, before or behind.
            for all in [vec![given], vec!["link.length_km=50", given, "cv.frame_ms=5"]] {
                let error = load(&all).expect_err("impossible").to_string();
                assert!(error.starts_with(&format!("--set {given}: {told}")), "{error}");
            }
        }
        let repaired = load(&["bb84.clock_ghz=8", "bb84.gate_ps=100"]);
        assert!(repaired.is_ok(), "together they are possible: {repaired:?}");
    }

    #[test]
    fn a_name_that_is_misspelt_is_told_with_the_one_that_was_meant() {
        for (given, meant) in [
            ("link.lenght_km=5", "did you mean link.length_km?"),
            ("lnik.length_km=5", "did you mean link.length_km?"),
            ("bb84.adc_bits=8", "did you mean cv.receiver.adc_bits?"),
            ("noise.raman=of", "did you mean `off`?"),
            ("nowhere.key=1", "write section.key=value"),
        ] {
            let error = load(&[given]).expect_err("no such name").to_string();
            assert!(error.starts_with(&format!("--set {given}")) && error.contains(meant), "{error}");
        }
        for (from, to, told) in [
            ("length_km = 25.0", "lenght_km = 25.0", "did you mean `length_km`?"),
            ("direction = \"co\"", "direction = \"con\"", "data.direction: unknown variant"),
            ("jitter_ps = 55.0", "jitter_ps = \"55\"", "bb84.detector.jitter_ps: invalid type"),
            ("slots = [59, 59]", "slots = [\n59,\n-1]", "data.slots: invalid value"),
        ] {
            let text = SHIPPED[0].1.replace(from, to);
            let line = text[..text.find(to).expect("there")].lines().count() + 1;
            let error = Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string();
            assert!(error.starts_with("my.toml, line ") && error.contains(told), "{error}");
            let found: usize = error["my.toml, line ".len()..]
                .split(':')
                .next()
                .and_then(|n| n.parse().ok())
                .expect("a line");
            assert!((line..line + 3).contains(&found), "line {found} for {line}: {error}");
        }
    }

    #[test]
    fn a_line_is_found_however_the_value_is_written() {
        let with = |text: &str| {
            let text = format!("{text}{}", SHIPPED[0].1.replace("[link]\nlength_km = 25.0\nfibre = \"G.652.D\"                       # assumed\ntemperature_k = 300.0                   # assumed\n", ""));
            Scenario::from_text("my.toml", &text, &[]).expect_err("wrong").to_string()
        };
        let inline = with("\nlink = { length_km = -3.0, fibre = \"G.652.D\", temperature_k = 300.0 }\n");
        assert!(inline.starts_with("my.toml, line 2: link.length_km"), "{inline}");
        let dotted = with("link.fibre = \"G.652.D\"\nlink.temperature_k = 300.0\nlink.length_km = 999\n");
        assert!(dotted.starts_with("my.toml, line 3: link.length_km"), "{dotted}");
    }

    #[test]
    fn bands_may_stand_in_any_order() {
        let turned = load(&["data.first_slot_thz=[191.6,186.2]"]).expect("the same comb");
        assert_eq!(turned.carriers().len(), 118, "as many carriers");
        assert!(load(&["data.first_slot_thz=[191.6,187.2]"]).is_err(), "the L band runs into the C band");
    }
}
