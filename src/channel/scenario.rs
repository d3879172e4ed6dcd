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

/// A message of serde's without names of Rust's types.
fn plain(message: &str) -> String {
    let integers = ["u8", "u32", "u64", "usize"].map(|name| format!("expected {name}"));
    let message = message.replace("expected f64", "expected a number");
    integers.iter().fold(message, |message, name| message.replace(name, "expected a whole number"))
}

/// A message of serde's, and the name that was meant if it speaks of an unknown one.
fn with_suggestion(message: &str) -> String {
    let message = plain(message);
    suggestion(&message).map_or(message.clone(), |meant| format!("{message}; did you mean `{meant}`?"))
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
mod tests;
