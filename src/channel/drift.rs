//! What changes over hours: slow drift, loading, faults.
//!
//! Slow changes are Ornstein–Uhlenbeck processes, dx = −x·dt/τ + σ·√(2/τ)·dW, sampled exactly every second and
//! straight in between; the temperature has a daily sinusoid besides. Behind the last hour the way is gone back,
//! so that any time has a value. Everything is a pure function of scenario, seed and time.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::scenario::Ride;

/// Slow changes: standard deviations, 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drift {
    /// Loss of the fibre in dB.
    pub loss_db: f64,
    /// Launch power of the data in dB.
    pub launch_db: f64,
    /// Temperature of the fibre in K.
    pub temperature_k: f64,
    /// Amplitude of the day's temperature in K, highest six hours after the start.
    pub daily_k: f64,
    /// Correlation time of these three in s.
    pub correlation_s: f64,
    /// Angle that polarisation control leaves, in radians.
    pub polarisation_rad: f64,
    /// Time by which the gate misses the pulse's centre, in ps.
    pub timing_ps: f64,
    /// Phase that the pilot's correction leaves, in radians.
    pub phase_rad: f64,
    /// Correlation time of these three in s.
    pub polarisation_correlation_s: f64,
    /// Hours until the way is gone back.
    pub hours: f64,
}

impl Default for Drift {
    fn default() -> Self {
        Self {
            loss_db: 0.0,
            launch_db: 0.0,
            temperature_k: 0.0,
            daily_k: 0.0,
            correlation_s: 3600.0,
            polarisation_rad: 0.0,
            timing_ps: 0.0,
            phase_rad: 0.0,
            polarisation_correlation_s: 60.0,
            hours: 8.0,
        }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When it begins, in s.
    pub at_s: f64,
    /// What it is.
    pub what: What,
    /// How long it lasts, in s; 0 for ever after. A gain transient decays with this time.
    #[serde(default)]
    pub duration_s: f64,
    /// Its size in dB: of a knock a loss, of a transient a gain.
    #[serde(default)]
    pub size_db: f64,
    /// The carriers that are added or dropped: those centred from THz to THz.
    #[serde(default)]
    pub thz: [f64; 2],
    /// The fibre of the pair that it befalls; both if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fibre: Option<Ride>,
}

impl Event {
    /// Whether it befalls a fibre of the pair.
    #[must_use]
    pub fn befalls(&self, fibre: Ride) -> bool {
        self.fibre.is_none_or(|only| only == fibre)
    }

    /// What happens, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { size_db, thz: [from, to], duration_s, .. } = *self;
        let what = match self.what {
            What::Drop => format!("carriers from {from} to {to} THz go dark"),
            What::Add => format!("carriers from {from} to {to} THz come back"),
            What::GainTransient => format!("the booster's gain jumps by {size_db} dB"),
            What::ConnectorKnock => format!("a connector loses {size_db} dB"),
            What::FibreCut => "the fibre is cut".to_owned(),
            What::DetectorLatch => "a detector of BB84 is latched".to_owned(),
            What::PilotLoss => "the pilot of CV-QKD is lost".to_owned(),
        };
        let what = match self.fibre {
            Some(fibre) => format!("{what} ({} fibre)", fibre.name()),
            None => what,
        };
        if duration_s > 0.0 { format!("{what}, for {duration_s} s") } else { what }
    }
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Carriers go dark; the others keep their power.
    Drop,
    /// Carriers that were dropped come back.
    Add,
    /// The booster's gain jumps and decays.
    GainTransient,
    /// A connector loses light for a while.
    ConnectorKnock,
    /// No light at all until the repair.
    FibreCut,
    /// A BB84 detector is latched and sees nothing; the other one works.
    DetectorLatch,
    /// The CV receiver's pilot is lost: its phase is anywhere.
    PilotLoss,
}

/// What holds at one time, over the scenario's values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// Loss of the fibre beyond the scenario's, in dB.
    pub loss_db: f64,
    /// Launch power of the data beyond the scenario's, in dB.
    pub launch_db: f64,
    /// Temperature beyond the scenario's, in K.
    pub temperature_k: f64,
    /// Angle of the polarisation.
    pub polarisation_rad: f64,
    /// The gate's offset beyond the scenario's, in ps.
    pub timing_ps: f64,
    /// Phase of the CV signal.
    pub phase_rad: f64,
    /// Whether the fibre is whole.
    pub cut: bool,
    /// Whether BB84's detector 1 is latched.
    pub latched: bool,
}

/// The weather of a scenario under a seed.
#[derive(Clone, Debug)]
pub struct Forecast {
    drift: Drift,
    events: Vec<Event>,
    /// By process, a value a second.
    paths: Vec<Vec<f32>>,
    seed: u64,
}

/// The processes, in the order of [`Forecast::paths`].
const PROCESSES: usize = 6;

impl Forecast {
    /// The weather of some drift and events under a seed. One draw a process and second that drifts.
    #[must_use]
    pub fn new(drift: &Drift, events: &[Event], seed: u64) -> Self {
        let slow = drift.correlation_s;
        let fast = drift.polarisation_correlation_s;
        let processes: [(f64, f64); PROCESSES] = [
            (drift.loss_db, slow),
            (drift.launch_db, slow),
            (drift.temperature_k, slow),
            (drift.polarisation_rad, fast),
            (drift.timing_ps, fast),
            (drift.phase_rad, fast),
        ];
        let path = |(number, (deviation, correlation)): (usize, &(f64, f64))| {
            if *deviation > 0.0 {
                walk(seed, number, *deviation, *correlation, drift.hours)
            } else {
                Vec::new()
            }
        };
        let paths = processes.iter().enumerate().map(path).collect();
        Self { drift: *drift, events: events.to_vec(), paths, seed }
    }

    /// Whether anything ever changes.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.events.is_empty() && self.paths.iter().all(Vec::is_empty) && self.drift.daily_k <= 0.0
    }

    /// The weather at a time in s.
    #[must_use]
    pub fn at(&self, seconds: f64) -> Weather {
        let [loss_db, launch_db, temperature, polarisation_rad, timing_ps, phase_rad] =
            std::array::from_fn(|process| self.value(process, seconds));
        let day = 2.0 * std::f64::consts::PI * seconds / 86_400.0;
        let temperature_k = temperature + self.drift.daily_k * libm::sin(day);
        let mut weather = Weather {
            loss_db,
            launch_db,
            temperature_k,
            polarisation_rad,
            timing_ps,
            phase_rad,
            ..Weather::default()
        };
        for event in &self.events {
            self.apply(event, seconds, &mut weather);
        }
        weather
    }

    /// Whether a carrier at a frequency is lit at a time.
    #[must_use]
    pub fn is_lit(&self, thz: f64, seconds: f64) -> bool {
        let touching = |event: &&Event| {
            matches!(event.what, What::Drop | What::Add)
                && event.at_s <= seconds
                && (event.thz[0]..=event.thz[1]).contains(&thz)
        };
        let last = self.events.iter().filter(touching).max_by(|a, b| a.at_s.total_cmp(&b.at_s));
        last.is_none_or(|event| event.what == What::Add || is_over(event, seconds))
    }

    /// The times in s at which carriers come or go, in order.
    #[must_use]
    pub fn loading_changes_s(&self) -> Vec<f64> {
        let loading = self.events.iter().filter(|event| matches!(event.what, What::Drop | What::Add));
        let mut times: Vec<f64> = loading
            .flat_map(|event| {
                let end = (event.duration_s > 0.0).then_some(event.at_s + event.duration_s);
                [Some(event.at_s), end].into_iter().flatten()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        times.dedup();
        times
    }

    fn apply(&self, event: &Event, seconds: f64, weather: &mut Weather) {
        if event.at_s > seconds {
            return;
        }
        let since = seconds - event.at_s;
        match event.what {
            What::Drop | What::Add => {}
            What::GainTransient => {
                weather.launch_db += event.size_db * libm::exp(-since / event.duration_s.max(1e-6));
            }
            _ if is_over(event, seconds) => {}
            What::ConnectorKnock => weather.loss_db += event.size_db,
            What::FibreCut => weather.cut = true,
            What::DetectorLatch => weather.latched = true,
            What::PilotLoss => weather.phase_rad += self.lost_phase(since),
        }
    }

    /// A phase that runs away, a hundred radians a second from a start of its own.
    fn lost_phase(&self, since: f64) -> f64 {
        let start = (self.seed % 628) as f64 / 100.0;
        start + 100.0 * since
    }

    fn value(&self, process: usize, seconds: f64) -> f64 {
        let path = &self.paths[process];
        if path.len() < 2 {
            return 0.0;
        }
        let length = (path.len() - 1) as f64;
        // There and back again.
        let turn = libm::fmod(seconds.max(0.0), 2.0 * length);
        let place = if turn > length { 2.0 * length - turn } else { turn };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a second of the path")]
        let second = (place as usize).min(path.len() - 2);
        let (from, to) = (f64::from(path[second]), f64::from(path[second + 1]));
        from + (to - from) * (place - second as f64)
    }
}

fn is_over(event: &Event, seconds: f64) -> bool {
    event.duration_s > 0.0 && seconds >= event.at_s + event.duration_s
}

/// An Ornstein–Uhlenbeck process from its stationary law, a value a second.
fn walk(seed: u64, process: usize, deviation: f64, correlation_s: f64, hours: f64) -> Vec<f32> {
    let name = format!("keystill drift {seed} {process}");
    let mut random = ChaCha20Rng::from_seed(blake3::hash(name.as_bytes()).into());
    let keeps = libm::exp(-1.0 / correlation_s);
    let kick = deviation * libm::sqrt(1.0 - keeps * keeps);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds of at most two days"
    )]
    let seconds = libm::ceil(hours * 3600.0) as usize + 1;
    let mut value = deviation * gaussian(&mut random);
    let mut path = Vec::with_capacity(seconds);
    for _ in 0..seconds {
        #[expect(clippy::cast_possible_truncation, reason = "single precision is plenty for a drift")]
        path.push(value as f32);
        value = keeps * value + kick * gaussian(&mut random);
    }
    path
}

/// A standard normal number, by Box and Muller.
fn gaussian(random: &mut ChaCha20Rng) -> f64 {
    let unit = |word: u64| ((word >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
    let (radius, angle) = (unit(random.next_u64()), unit(random.next_u64()));
    libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_s: f64, what: What) -> Event {
        Event { at_s, what, duration_s: 10.0, size_db: 2.0, thz: [190.0, 197.0], fibre: None }
    }

    #[test]
    fn a_process_has_its_spread_and_its_memory() {
        let path = walk(1, 0, 0.2, 30.0, 8.0);
        let mean_square = |lag: usize| {
            let pairs = path.iter().zip(&path[lag..]);
            pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() / (path.len() - lag) as f64
        };
        assert!(
            (libm::sqrt(mean_square(0)) / 0.2 - 1.0).abs() < 0.1,
            "spread {}",
            libm::sqrt(mean_square(0))
        );
        assert!((mean_square(30) / mean_square(0) - 0.368).abs() < 0.1, "memory");
        assert_eq!(path, walk(1, 0, 0.2, 30.0, 8.0), "the same seed, the same path");
        assert_ne!(path, walk(2, 0, 0.2, 30.0, 8.0), "another seed");
    }

    #[test]
    fn events_come_and_go() {
        let events = [
            event(100.0, What::ConnectorKnock),
            event(200.0, What::GainTransient),
            event(300.0, What::FibreCut),
            event(400.0, What::DetectorLatch),
        ];
        let forecast = Forecast::new(&Drift::default(), &events, 1);
        assert_eq!(forecast.at(99.9), Weather::default(), "before everything");
        assert!((forecast.at(105.0).loss_db - 2.0).abs() < 1e-12, "knocked");
        assert!(forecast.at(110.0).loss_db.abs() < 1e-12, "and back");
        assert!((forecast.at(210.0).launch_db - 2.0 * libm::exp(-1.0)).abs() < 1e-12, "a transient decays");
        assert!(forecast.at(305.0).cut && !forecast.at(310.0).cut, "cut and repaired");
        assert!(forecast.at(405.0).latched && !forecast.at(420.0).latched, "latched and freed");
    }

    #[test]
    fn carriers_are_dropped_and_added() {
        let drop = Event { duration_s: 0.0, ..event(10.0, What::Drop) };
        let add = Event { duration_s: 0.0, ..event(50.0, What::Add) };
        let forecast = Forecast::new(&Drift::default(), &[drop, add], 1);
        for (seconds, thz, lit) in
            [(5.0, 193.0, true), (20.0, 193.0, false), (20.0, 187.0, true), (60.0, 193.0, true)]
        {
            assert_eq!(forecast.is_lit(thz, seconds), lit, "{thz} THz at {seconds} s");
        }
        assert_eq!(forecast.loading_changes_s(), [10.0, 50.0], "two changes");
    }

    #[test]
    fn behind_the_last_hour_the_way_is_gone_back() {
        let drift = Drift { loss_db: 0.1, hours: 0.5, ..Drift::default() };
        let forecast = Forecast::new(&drift, &[], 3);
        let (there, back) = (forecast.at(1800.0 - 77.25), forecast.at(1800.0 + 77.25));
        assert!((there.loss_db - back.loss_db).abs() < 1e-6, "{} and {}", there.loss_db, back.loss_db);
    }
}
