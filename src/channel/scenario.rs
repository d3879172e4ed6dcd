//! Scenarios: every value of the simulated link, with its unit in its name.

use serde::Deserialize;

use super::fibre::Fibre;
use super::span::Direction;

/// The default scenario, as a file.
const IOWN_47T2: &str = include_str!("scenarios/iown-47t2.toml");

/// A link, its data carriers and its two QKD systems.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name in records.
    pub name: String,
    /// The fibre.
    pub link: Link,
    /// The data carriers beside the quantum channels.
    pub data: Data,
    /// The BB84 system.
    pub bb84: Bb84,
    /// The CV-QKD system.
    pub cv: Cv,
}

/// The fibre.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Length in km.
    pub length_km: f64,
    /// Its type.
    pub fibre: String,
    /// Its temperature in K.
    pub temperature_k: f64,
}

/// The data carriers: bands of equal slots at equal power.
#[derive(Clone, Debug, PartialEq, Deserialize)]
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
}

/// The BB84 system.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bb84 {
    /// Wavelength in nm.
    pub wavelength_nm: f64,
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
}

/// The CV-QKD system.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cv {
    /// Wavelength in nm.
    pub wavelength_nm: f64,
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
        /// File and line.
        origin: String,
        /// What is wrong, with the line.
        detail: String,
    },
    /// An override does not name a value.
    #[error("--set {given} names no value of the scenario: write section.key=value, as in link.length_km=50")]
    Override {
        /// What was given.
        given: String,
    },
    /// A value is impossible.
    #[error("{origin}: {field} = {value}: {allowed}")]
    Value {
        /// File and line.
        origin: String,
        /// Section and key.
        field: &'static str,
        /// The value.
        value: String,
        /// What would be right.
        allowed: &'static str,
    },
}

/// Scenarios that ship.
pub const NAMES: &[&str] = &["iown-47t2"];

impl Scenario {
    /// The text of a scenario that ships.
    ///
    /// # Errors
    /// [`ScenarioError::Unknown`] if none bears the name.
    pub fn shipped(name: &str) -> Result<&'static str, ScenarioError> {
        match name {
            "iown-47t2" => Ok(IOWN_47T2),
            _ => Err(ScenarioError::Unknown { name: name.to_owned() }),
        }
    }

    /// The scenario of a text; `origin` names it in errors.
    ///
    /// # Errors
    /// [`ScenarioError`], naming line and field.
    pub fn from_text(origin: &str, text: &str, overrides: &[String]) -> Result<Self, ScenarioError> {
        let syntax = |origin: &str, error: toml::de::Error| ScenarioError::Syntax {
            origin: match error.span() {
                Some(span) => format!("{origin}, line {}", line_of(text, span.start)),
                None => origin.to_owned(),
            },
            detail: error.message().to_owned(),
        };
        // The text as it stands first, so that its own mistakes are told with their lines.
        let plain: Self = toml::from_str(text).map_err(|error| syntax(origin, error))?;
        let mut scenario = plain;
        if !overrides.is_empty() {
            let mut table: toml::Table = toml::from_str(text).map_err(|error| syntax(origin, error))?;
            for given in overrides {
                set(&mut table, given)?;
            }
            scenario = table.try_into().map_err(|error: toml::de::Error| ScenarioError::Syntax {
                origin: format!("{origin} with --set {}", overrides.join(" --set ")),
                detail: error.message().to_owned(),
            })?;
        }
        scenario.check(origin, text)?;
        Ok(scenario)
    }

    fn check(&self, origin: &str, text: &str) -> Result<(), ScenarioError> {
        for (field, value, allowed, holds) in self.conditions() {
            if !holds {
                let key = field.rsplit('.').next().unwrap_or(field);
                let section = field.split('.').next().unwrap_or(field);
                let origin = match line_with(text, section, key) {
                    Some(line) => format!("{origin}, line {line}"),
                    None => origin.to_owned(),
                };
                return Err(ScenarioError::Value { origin, field, value, allowed });
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "a table: a line a value")]
    /// Every condition: field, value, what would be right, whether it holds.
    fn conditions(&self) -> Vec<(&'static str, String, &'static str, bool)> {
        let (link, data, bb84, cv) = (&self.link, &self.data, &self.bb84, &self.cv);
        let within = |value: f64, low: f64, high: f64| (low..=high).contains(&value);
        let number = |field, value: f64, allowed, holds| (field, value.to_string(), allowed, holds);
        let probability =
            |field, value: f64| number(field, value, "a probability from 0 to 1", within(value, 0.0, 1.0));
        let [bright, decoy, dim] = bb84.mean_photons;
        let sum: f64 = bb84.probabilities.iter().sum();
        let bands = data.slots.len() == data.first_slot_thz.len();
        let centres = data.slot_centres_thz();
        let apart = centres.windows(2).all(|pair| pair[1] - pair[0] >= data.slot_ghz * 1e-3 * 0.999);
        vec![
            number("link.length_km", link.length_km, "0.1 to 200 km", within(link.length_km, 0.1, 200.0)),
            (
                "link.fibre",
                format!("{:?}", link.fibre),
                "a known fibre: \"G.652.D\" or \"G.654.E\"",
                Fibre::named(&link.fibre).is_some(),
            ),
            number(
                "link.temperature_k",
                link.temperature_k,
                "200 to 350 K",
                within(link.temperature_k, 200.0, 350.0),
            ),
            number(
                "data.launch_power_dbm",
                data.launch_power_dbm,
                "-200 (off) to 30 dBm",
                within(data.launch_power_dbm, -200.0, 30.0),
            ),
            number("data.slot_ghz", data.slot_ghz, "6.25 to 1000 GHz", within(data.slot_ghz, 6.25, 1000.0)),
            ("data.slots", format!("{:?}", data.slots), "one number for each of first_slot_thz", bands),
            (
                "data.first_slot_thz",
                format!("{:?}", data.first_slot_thz),
                "bands between 184.5 and 196.5 THz, in order, that do not overlap",
                apart && centres.iter().all(|centre| within(*centre, 184.5, 196.5)),
            ),
            number(
                "bb84.wavelength_nm",
                bb84.wavelength_nm,
                "1260 to 1625 nm",
                within(bb84.wavelength_nm, 1260.0, 1625.0),
            ),
            number("bb84.clock_ghz", bb84.clock_ghz, "0.001 to 10 GHz", within(bb84.clock_ghz, 0.001, 10.0)),
            (
                "bb84.mean_photons",
                format!("{:?}", bb84.mean_photons),
                "three numbers, brightest first, the first above the sum of the others, none above 2",
                bright > decoy + dim && decoy > dim && dim >= 0.0 && bright <= 2.0,
            ),
            (
                "bb84.probabilities",
                format!("{:?}", bb84.probabilities),
                "three positive numbers of sum 1",
                (sum - 1.0).abs() < 1e-9 && bb84.probabilities.iter().all(|p| *p > 0.0),
            ),
            (
                "bb84.mean_photon_spread",
                format!("{:?}", bb84.mean_photon_spread),
                "three numbers from 0 up",
                bb84.mean_photon_spread.iter().all(|spread| *spread >= 0.0 && spread.is_finite()),
            ),
            (
                "bb84.probability_spread",
                format!("{:?}", bb84.probability_spread),
                "three numbers from 0 up",
                bb84.probability_spread.iter().all(|spread| *spread >= 0.0 && spread.is_finite()),
            ),
            number(
                "bb84.calibration_epsilon",
                bb84.calibration_epsilon,
                "from 0 to 0.24 bb84.epsilon",
                within(bb84.calibration_epsilon, 0.0, 0.24 * bb84.epsilon),
            ),
            number(
                "cv.calibration_epsilon",
                cv.calibration_epsilon,
                "from 0 to 0.24 cv.epsilon",
                within(cv.calibration_epsilon, 0.0, 0.24 * cv.epsilon),
            ),
            number(
                "cv.receiver_efficiency_spread",
                cv.receiver_efficiency_spread,
                "from 0, within an efficiency above 0 and at most 1",
                cv.receiver_efficiency_spread >= 0.0
                    && cv.receiver_efficiency_spread < cv.receiver_efficiency
                    && cv.receiver_efficiency + cv.receiver_efficiency_spread <= 1.0,
            ),
            number(
                "cv.electronic_noise_spread_snu",
                cv.electronic_noise_spread_snu,
                "from 0 to cv.electronic_noise_snu",
                within(cv.electronic_noise_spread_snu, 0.0, cv.electronic_noise_snu),
            ),
            number(
                "bb84.test_probability",
                bb84.test_probability,
                "above 0 and below 1",
                bb84.test_probability > 0.0 && bb84.test_probability < 1.0,
            ),
            number("bb84.filter_nm", bb84.filter_nm, "0 to 100 nm", within(bb84.filter_nm, 0.0, 100.0)),
            number(
                "bb84.gate_ps",
                bb84.gate_ps,
                "0 to the clock's period",
                bb84.gate_ps >= 0.0 && bb84.gate_ps * bb84.clock_ghz <= 1000.0,
            ),
            number(
                "bb84.receiver_loss_db",
                bb84.receiver_loss_db,
                "0 to 60 dB",
                within(bb84.receiver_loss_db, 0.0, 60.0),
            ),
            probability("bb84.detector_efficiency", bb84.detector_efficiency),
            probability("bb84.dark_count_probability", bb84.dark_count_probability),
            probability("bb84.afterpulse_probability", bb84.afterpulse_probability),
            number(
                "bb84.afterpulse_gates",
                bb84.afterpulse_gates,
                "1 to 100",
                within(bb84.afterpulse_gates, 1.0, 100.0),
            ),
            ("bb84.dead_gates", bb84.dead_gates.to_string(), "0 to 1000 gates", bb84.dead_gates <= 1000),
            probability("bb84.misalignment", bb84.misalignment),
            number(
                "bb84.frame_ms",
                bb84.frame_ms,
                "0.01 to 1000 ms, at most 2^31 gates",
                within(bb84.frame_ms, 0.01, 1000.0) && bb84.frame_ms * bb84.clock_ghz * 1e6 <= 2e9,
            ),
            number(
                "bb84.block_s",
                bb84.block_s,
                "at least one frame and at most 3600 s",
                bb84.block_s * 1e3 >= bb84.frame_ms && bb84.block_s <= 3600.0,
            ),
            number(
                "bb84.epsilon",
                bb84.epsilon,
                "above 0 and below 1",
                bb84.epsilon > 0.0 && bb84.epsilon < 1.0,
            ),
            number(
                "cv.wavelength_nm",
                cv.wavelength_nm,
                "1260 to 1625 nm",
                within(cv.wavelength_nm, 1260.0, 1625.0),
            ),
            number(
                "cv.symbol_rate_mbd",
                cv.symbol_rate_mbd,
                "0.01 to 10000 MBd",
                within(cv.symbol_rate_mbd, 0.01, 10_000.0),
            ),
            number(
                "cv.modulation_variance_snu",
                cv.modulation_variance_snu,
                "0.01 to 100 shot-noise units",
                within(cv.modulation_variance_snu, 0.01, 100.0),
            ),
            number(
                "cv.technical_excess_noise_snu",
                cv.technical_excess_noise_snu,
                "0 to 10 shot-noise units",
                within(cv.technical_excess_noise_snu, 0.0, 10.0),
            ),
            number(
                "cv.receiver_efficiency",
                cv.receiver_efficiency,
                "above 0, at most 1",
                cv.receiver_efficiency > 0.0 && cv.receiver_efficiency <= 1.0,
            ),
            number(
                "cv.electronic_noise_snu",
                cv.electronic_noise_snu,
                "0 to 10 shot-noise units",
                within(cv.electronic_noise_snu, 0.0, 10.0),
            ),
            (
                "cv.calibration_samples",
                cv.calibration_samples.to_string(),
                "at least 1000000",
                cv.calibration_samples >= 1_000_000,
            ),
            number(
                "cv.frame_ms",
                cv.frame_ms,
                "0.01 to 1000 ms, at most 2^26 symbols",
                within(cv.frame_ms, 0.01, 1000.0) && cv.frame_ms * cv.symbol_rate_mbd * 1e3 <= 67e6,
            ),
            (
                "cv.sample_symbols",
                cv.sample_symbols.to_string(),
                "1000 to a quarter of the block",
                cv.sample_symbols >= 1000
                    && f64::from(cv.sample_symbols) * 4.0 <= cv.block_s * cv.symbol_rate_mbd * 1e6,
            ),
            number(
                "cv.block_s",
                cv.block_s,
                "at least one frame and at most 3600 s",
                cv.block_s * 1e3 >= cv.frame_ms && cv.block_s <= 3600.0,
            ),
            number("cv.epsilon", cv.epsilon, "above 0 and below 1", cv.epsilon > 0.0 && cv.epsilon < 1.0),
        ]
    }
}

impl Link {
    /// The fibre's properties.
    #[must_use]
    pub fn properties(&self) -> Fibre {
        Fibre::named(&self.fibre).unwrap_or_else(Fibre::g652d)
    }
}

impl Data {
    /// Frequency in THz and launch power in W of all carriers.
    #[must_use]
    pub fn carriers(&self) -> Vec<(f64, f64)> {
        let centres = self.slot_centres_thz();
        let each_w = libm::pow(10.0, self.launch_power_dbm / 10.0) * 1e-3 / (centres.len().max(1) as f64);
        centres.into_iter().map(|thz| (thz, each_w)).collect()
    }

    /// The centres of all slots in THz, band by band.
    #[must_use]
    pub fn slot_centres_thz(&self) -> Vec<f64> {
        let bands = self.first_slot_thz.iter().zip(&self.slots);
        bands
            .flat_map(|(first, slots)| (0..*slots).map(move |i| first + f64::from(i) * self.slot_ghz * 1e-3))
            .collect()
    }
}

/// Replaces one value; it must be there already.
fn set(table: &mut toml::Table, given: &str) -> Result<(), ScenarioError> {
    let wrong = || ScenarioError::Override { given: given.to_owned() };
    let (path, value) = given.split_once('=').ok_or_else(wrong)?;
    let quoted = format!("value = {value}");
    let parsed: toml::Table = toml::from_str(&quoted)
        .or_else(|_| toml::from_str(&format!("value = {value:?}")))
        .map_err(|_| wrong())?;
    let mut value = parsed.get("value").cloned().ok_or_else(wrong)?;
    let mut keys = path.trim().split('.').collect::<Vec<_>>();
    let last = keys.pop().ok_or_else(wrong)?;
    let mut section = table;
    for key in keys {
        section = section.get_mut(key).and_then(toml::Value::as_table_mut).ok_or_else(wrong)?;
    }
    let place = section.get_mut(last).ok_or_else(wrong)?;
    if let (toml::Value::Float(_), toml::Value::Integer(whole)) = (&*place, &value) {
        value = toml::Value::Float(*whole as f64);
    }
    *place = value;
    Ok(())
}

fn line_of(text: &str, byte: usize) -> usize {
    text[..byte.min(text.len())].matches('\n').count() + 1
}

/// The line on which a section sets a key.
fn line_with(text: &str, section: &str, key: &str) -> Option<usize> {
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line.starts_with(&format!("[{section}]"));
        } else if inside && line.split('=').next().is_some_and(|name| name.trim() == key) {
            return Some(number + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(overrides: &[&str]) -> Result<Scenario, ScenarioError> {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        Scenario::from_text("iown-47t2", IOWN_47T2, &overrides)
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
        let text = IOWN_47T2.replace("length_km = 25.0", "length_km = -3.0");
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("no such length").to_string();
        let line = text.lines().position(|line| line.starts_with("length_km")).expect("there") + 1;
        assert!(error.starts_with(&format!("my.toml, line {line}: link.length_km = -3")), "{error}");
        let text = IOWN_47T2.replace("clock_ghz", "clock_mhz");
        let error = Scenario::from_text("my.toml", &text, &[]).expect_err("another unit").to_string();
        assert!(error.contains("line") && error.contains("clock_mhz"), "{error}");
        let overlap = load(&["data.slot_ghz=150"]);
        assert!(overlap.is_err(), "the L band would run into the C band");
        assert!(
            matches!(Scenario::shipped("nowhere"), Err(ScenarioError::Unknown { .. })),
            "no such scenario"
        );
    }
}
