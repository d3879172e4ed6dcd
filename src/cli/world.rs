//! The simulated world behind `run` and `node`: scenario, protocols, sources, sessions.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::frame::{AliceFrame, Settings};
use keystill::bb84::security::Vacuum;
use keystill::bb84::settings::settings_at;
use keystill::bb84::{self, Bb84};
use keystill::channel::{Course, Event, Scenario, budget};
use keystill::cv::frame::CalibrationRecord;
use keystill::cv::{self, Cv};
use keystill::pipeline::{
    Actor, Description, FrameJob, FrameSource, Pace, Party, Recorder, RecordingError, Replay, SourceError,
};
use keystill::protocol::{Protocol, Validity};
use keystill::random::{OperatingSystem, RandomSource};
use keystill::reconcile::Method;
use keystill::session::{Config, Remembered};
use keystill::sim::{Bb84Source, CvSource, SimulatedRandom, simulated_pre_shared_key};
use keystill::stage::Role;
use keystill::store::{Combination, Folder, Kept, Store, StoreError};
use keystill::wire::{Reader, Writer};
use rayon::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::gaussian::CvMethod;
use super::source::{Origin, Sources};
use super::{Exit, Failure, OrExit};

/// Seconds that light takes for a kilometre of fibre.
const LIGHT_S_PER_KM: f64 = 4.9e-6;

/// Bytes of a simulated pre-shared key: two hash keys and the pads of a hundred blocks.
const PRE_SHARED_BYTES: usize = 32 + 64 * 100;

/// Bytes of a real pre-shared key: two hash keys and the pads of ten blocks at least.
pub(crate) const LEAST_PRE_SHARED_BYTES: usize = 32 + 64 * 10;
pub(crate) const MOST_PRE_SHARED_BYTES: usize = 1 << 24;

/// What names a simulated world.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct WorldArgs {
    /// A scenario that ships, or a TOML file.
    #[arg(long, default_value = "iown-47t2", value_name = "NAME|FILE")]
    pub(crate) scenario: String,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Link time to distil, such as 10s, 2min or 8h; a whole number of blocks.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// The seed of the world and of all randomness.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only this protocol.
    #[arg(long, value_parser = ["bb84", "cv"])]
    pub(crate) protocol: Option<String>,
    /// How BB84 reconciles. Counted both ways, Cascade leaves less key than LDPC.
    #[arg(long, value_enum, default_value_t = MethodName::default())]
    pub(crate) method: MethodName,
    /// By what share the error rate that BB84's code is chosen for lies above the estimate: at 1 %, 0.1 tells 8 %
    /// more and halves the computing.
    #[arg(long, default_value_t = 0.0, value_parser = parse_margin)]
    pub(crate) code_margin: f64,
    /// How CV-QKD's quadratures become bits.
    #[arg(long, value_enum, default_value_t = CvMethod::Auto)]
    pub(crate) cv_method: CvMethod,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MethodName {
    /// What is expected to disclose less.
    #[default]
    Auto,
    /// One-way, by syndromes.
    Ldpc,
    /// Interactive, by parities.
    Cascade,
}

/// The number of the session that a seed names.
pub(crate) fn session_of(seed: u64) -> u128 {
    u128::from(seed) + 1
}

/// A length of time with its unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number and a unit: ms, s, min or h, as in 10s".into()),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
    let seconds = number * seconds;
    if seconds > 0.0 && seconds <= 1e9 {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("a duration is positive and below a billion seconds".into())
    }
}

/// A share by which a code is chosen too strong.
pub(crate) fn parse_margin(text: &str) -> Result<f64, String> {
    let margin = text.parse().ok().filter(|margin| (0.0..=2.0).contains(margin));
    margin.ok_or_else(|| "a margin is a number from 0 to 2".into())
}

/// Reads a scenario by name or from a file.
pub(crate) fn load_scenario(name: &str, overrides: &[String]) -> Result<Scenario, Failure> {
    let shipped = Scenario::shipped(name).map(str::to_owned);
    let text = match shipped {
        Ok(text) => text,
        Err(error) if !Path::new(name).exists() => return Err(Failure::new(Exit::Configuration, error)),
        Err(_) => {
            std::fs::read_to_string(name).with_context(|| name.to_owned()).or_exit(Exit::Configuration)?
        }
    };
    // A fibre's file is looked for beside the scenario's, then where the command runs.
    let read = |file: &str| {
        let beside = Path::new(name).parent().map(|folder| folder.join(file));
        let found = beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from(file));
        std::fs::read_to_string(found).map_err(|error| error.to_string())
    };
    Scenario::from_files(name, &text, overrides, &read).or_exit(Exit::Configuration)
}

/// What becomes of raw frames besides being distilled.
#[derive(Clone, Debug)]
pub(crate) enum Recordings {
    None,
    Write(PathBuf),
    Replay(PathBuf),
    /// All frames are made before the first is taken, and held in memory.
    Cache,
}

/// A scenario under a seed, cut into blocks.
#[derive(Debug)]
pub(crate) struct World {
    scenario: Scenario,
    args: WorldArgs,
    /// Where the sessions of one node are remembered.
    store: Option<NodeStore>,
    /// How long a peer may be silent.
    patience: Option<Duration>,
    /// Where a node's raw frames come from, if not from the simulated world.
    sources: Sources,
}

/// Moments of the link's time for which the model is asked.
const COURSE_POINTS: u32 = 600;

/// A node's durable store, shared by its protocols.
pub(crate) type NodeStore = Arc<Mutex<Store<Folder>>>;

impl WorldArgs {
    pub(crate) fn build(&self) -> Result<World, Failure> {
        let scenario = load_scenario(&self.scenario, &self.overrides)?;
        let world =
            World { scenario, args: self.clone(), store: None, patience: None, sources: Sources::default() };
        let blocks = [(Bb84::NAME, world.scenario.bb84.block_s), (Cv::NAME, world.scenario.cv.block_s)];
        for (_, block_s) in blocks.into_iter().filter(|(protocol, _)| world.has(protocol)) {
            if self.duration.as_secs_f64() < block_s * (1.0 - 1e-9) {
                let error = anyhow!(
                    "--duration {:?} is shorter than a block of {block_s} s; make it longer, or the blocks shorter by \
                     --set bb84.block_s=… --set cv.block_s=… (short blocks may leave no key)",
                    self.duration
                );
                return Err(Failure::new(Exit::Configuration, error));
            }
        }
        Ok(world)
    }
}

impl World {
    /// The world of a node that remembers, if it has a store, and waits so long for its peer.
    pub(crate) fn of_node(self, store: Option<NodeStore>, patience: Duration, sources: Sources) -> Self {
        Self { store, patience: Some(patience), sources, ..self }
    }

    pub(crate) fn has(&self, protocol: &str) -> bool {
        self.args.protocol.as_deref().is_none_or(|only| only == protocol)
    }

    /// The machine, the configuration and what the model expects: the record `run.json`.
    pub(crate) fn describe(&self, threads: usize) -> Value {
        let expected = super::link::expected(&self.scenario);
        let expected =
            expected.iter().filter(|record| record["protocol"].as_str().is_some_and(|name| self.has(name)));
        json!({
            "event": "run",
            "machine": super::machine::describe(threads),
            "configuration": {
                "scenario": self.scenario.name,
                "set": self.args.overrides,
                "duration_s": self.args.duration.as_secs_f64(),
                "seed": self.args.seed,
                "method": format!("{:?}", self.args.method).to_lowercase(),
                "code_margin": self.args.code_margin,
                "cv_method": format!("{:?}", self.args.cv_method).to_lowercase(),
                "bb84_block_s": self.scenario.bb84.block_s,
                "cv_block_s": self.scenario.cv.block_s,
            },
            "expected": expected.collect::<Vec<_>>(),
            "course": self.course(),
        })
    }

    /// What the model expects over the link's time, drift and events included; nothing where nothing ever changes.
    fn course(&self) -> Vec<Value> {
        let course = Course::new(&self.scenario, self.args.seed);
        if course.is_steady() {
            return Vec::new();
        }
        let apart_s = self.args.duration.as_secs_f64() / f64::from(COURSE_POINTS);
        let point = |number: u32| {
            let at_s = apart_s * (f64::from(number) + 0.5);
            let (bb84, cv) = (course.bb84(at_s), course.cv(at_s));
            json!({
                "link_time_s": at_s,
                "bb84": { "qber": bb84.qber },
                "cv": {
                    "transmittance": cv.transmittance, "excess_noise_input_snu": cv.excess_noise_input_snu,
                    "snr": cv.snr,
                },
            })
        };
        (0..COURSE_POINTS).map(point).collect()
    }

    /// What the scenario has happen within the run, a record each.
    pub(crate) fn happenings(&self) -> Vec<Value> {
        let events = self.scenario.event.iter();
        let within = events.filter(|event| event.at_s < self.args.duration.as_secs_f64());
        let record = |event: &Event| {
            json!({
                "event": "scenario", "link_time_s": event.at_s, "duration_s": event.duration_s, "name": event.words(),
            })
        };
        within.map(record).collect()
    }

    pub(crate) fn scenario_name(&self) -> &str {
        &self.scenario.name
    }

    pub(crate) fn session(&self) -> u128 {
        session_of(self.args.seed)
    }

    pub(crate) fn block_time(&self, protocol: &str) -> Duration {
        let block_s =
            if protocol == Bb84::NAME { self.scenario.bb84.block_s } else { self.scenario.cv.block_s };
        Duration::from_secs_f64(block_s)
    }

    fn frames(&self, frame_ms: f64, frames_per_block: u64) -> u64 {
        let frames = whole(self.args.duration.as_secs_f64() * 1e3 / frame_ms);
        frames / frames_per_block * frames_per_block
    }

    pub(crate) fn bb84_protocol(&self) -> Arc<Bb84> {
        let bb84 = &self.scenario.bb84;
        let only_clicks = self.sources.bb84.as_ref().and_then(Origin::clicks_per_frame);
        let gates_per_frame =
            only_clicks.unwrap_or_else(|| Bb84Source::new(&self.scenario, 0).gates_per_frame());
        let most_clicks_per_frame = only_clicks.map_or_else(
            || most_clicks(gates_per_frame, budget(&self.scenario).bb84.click_rate),
            |clicks| clicks as usize,
        );
        Arc::new(Bb84 {
            gates_per_frame,
            frames_per_block: whole(bb84.block_s * 1e3 / bb84.frame_ms),
            intensities: bb84.mean_photons,
            probabilities: bb84.probabilities,
            intensity_spread: bb84.mean_photon_spread,
            probability_spread: bb84.probability_spread,
            // Its four angles are equally likely.
            test_probability: Some([if only_clicks.is_some() { 0.5 } else { bb84.test_probability }; 2]),
            calibration: Some(Validity {
                epsilon: bb84.calibration_epsilon,
                blocks: bb84.calibration_blocks,
            }),
            // Of gates without a click nothing is known there.
            dead_gates: if only_clicks.is_some() { 0 } else { bb84.dead_gates },
            most_clicks_per_frame,
            epsilon: bb84.epsilon,
            vacuum: if bb84.credit_vacuum { Vacuum::Credited } else { Vacuum::Uncredited },
            method: match self.args.method {
                MethodName::Auto => Method::Auto,
                MethodName::Ldpc => Method::Ldpc,
                MethodName::Cascade => Method::Cascade,
            },
            code_margin: self.args.code_margin,
            block_s: bb84.block_s,
            // What the fibre alone takes; other equipment on the way adds to it.
            round_trip_s: 2.0 * self.scenario.link.length_km * LIGHT_S_PER_KM,
        })
    }

    pub(crate) fn cv_protocol(&self, calibration: Option<CalibrationRecord>) -> Arc<Cv> {
        let cv = &self.scenario.cv;
        Arc::new(Cv {
            symbols_per_frame: CvSource::new(&self.scenario, 0).symbols_per_frame(),
            frames_per_block: whole(cv.block_s * 1e3 / cv.frame_ms),
            sample_symbols: cv.sample_symbols as usize,
            efficiency: around(cv.receiver_efficiency, cv.receiver_efficiency_spread),
            electronic_noise: around(cv.electronic_noise_snu, cv.electronic_noise_spread_snu),
            validity: Some(Validity { epsilon: cv.calibration_epsilon, blocks: cv.calibration_blocks }),
            epsilon: cv.epsilon,
            calibration,
            method: self.args.cv_method.of_plan(),
        })
    }

    /// Alice and Bob of BB84.
    pub(crate) fn bb84_actors(
        &self,
        recordings: &Recordings,
        pace: Pace,
    ) -> Result<[Box<dyn Actor>; 2], Failure> {
        Ok([self.bb84_actor(Role::Alice, recordings, pace)?, self.bb84_actor(Role::Bob, recordings, pace)?])
    }

    /// Alice and Bob of CV-QKD.
    pub(crate) fn cv_actors(
        &self,
        recordings: &Recordings,
        pace: Pace,
    ) -> Result<[Box<dyn Actor>; 2], Failure> {
        Ok([self.cv_actor(Role::Alice, recordings, pace)?, self.cv_actor(Role::Bob, recordings, pace)?])
    }

    pub(crate) fn bb84_actor(
        &self,
        role: Role,
        recordings: &Recordings,
        pace: Pace,
    ) -> Result<Box<dyn Actor>, Failure> {
        let protocol = self.bb84_protocol();
        if let Some(origin) = &self.sources.bb84 {
            let bytes = protocol.most_clicks_per_frame.saturating_mul(5);
            let longest = bytes.max(protocol.gates_per_frame as usize / 2).saturating_add(64);
            let (source, _) = origin.open(Bb84::NAME, role, longest)?;
            return self.real_actor(role, &protocol, source, &origin.pre_shared_key);
        }
        let frames = self.frames(self.scenario.bb84.frame_ms, protocol.frames_per_block);
        let source = SimulatedBb84 {
            source: Arc::new(Bb84Source::new(&self.scenario, self.args.seed)),
            role,
            packed: matches!(recordings, Recordings::Cache),
            frames,
            frame_duration: Duration::from_secs_f64(self.scenario.bb84.frame_ms * 1e-3),
        };
        let (source, _) = attach(recordings, Bb84::NAME, role, Box::new(source), Vec::new())?;
        self.actor(role, &protocol, source, pace)
    }

    pub(crate) fn cv_actor(
        &self,
        role: Role,
        recordings: &Recordings,
        pace: Pace,
    ) -> Result<Box<dyn Actor>, Failure> {
        if let Some(origin) = &self.sources.cv {
            let longest = self.cv_protocol(None).symbols_per_frame as usize;
            let longest = longest.saturating_mul(8).saturating_add(64);
            let (source, preamble) = origin.open(Cv::NAME, role, longest)?;
            let protocol = self.cv_protocol(calibration(role, &preamble)?);
            return self.real_actor(role, &protocol, source, &origin.pre_shared_key);
        }
        let simulated = Arc::new(CvSource::new(&self.scenario, self.args.seed));
        let mut preamble = Writer::new();
        if role == Role::Bob {
            simulated.calibration().write(&mut preamble);
        }
        let frames_per_block = self.cv_protocol(None).frames_per_block;
        let source = SimulatedCv {
            source: simulated,
            role,
            frames: self.frames(self.scenario.cv.frame_ms, frames_per_block),
            frame_duration: Duration::from_secs_f64(self.scenario.cv.frame_ms * 1e-3),
        };
        let (source, preamble) = attach(recordings, Cv::NAME, role, Box::new(source), preamble.finish())?;
        self.actor(role, &self.cv_protocol(calibration(role, &preamble)?), source, pace)
    }

    fn actor<P: Protocol>(
        &self,
        role: Role,
        protocol: &Arc<P>,
        source: Box<dyn FrameSource<P::Frame>>,
        pace: Pace,
    ) -> Result<Box<dyn Actor>, Failure> {
        let random = Arc::new(SimulatedRandom::new(self.args.seed, role, P::NAME));
        let key = simulated_pre_shared_key(self.args.seed, P::NAME, PRE_SHARED_BYTES);
        let config = self.config(role, protocol, random);
        if let Some(store) = &self.store {
            let remembered = self.recall::<P>(store, &key).or_exit(Exit::Storage)?;
            let keeper = Kept::new(store.clone(), P::NAME, self.session());
            return Ok(Box::new(Party::resume(config, remembered, Box::new(keeper), source, pace)));
        }
        let pool = Pool::from_pre_shared(&key).or_exit(Exit::Configuration)?;
        Ok(Box::new(Party::new(config, pool, source, pace)))
    }

    fn config<P: Protocol>(&self, role: Role, protocol: &Arc<P>, random: Arc<dyn RandomSource>) -> Config<P> {
        let mut config = Config::new(role, self.session(), protocol.clone(), random);
        if let Some(patience) = self.patience {
            config.patience_ns = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        }
        let combination = self
            .store
            .as_ref()
            .map(|store| store.lock().unwrap_or_else(PoisonError::into_inner).combination());
        if combination == Some(Combination::Xor) {
            config.agreed = b"xor".to_vec();
        }
        config
    }

    /// A party that distils real frames: randomness is the operating system's, and its state lasts.
    fn real_actor<P: Protocol>(
        &self,
        role: Role,
        protocol: &Arc<P>,
        source: Box<dyn FrameSource<P::Frame>>,
        pre_shared_key: &Option<PathBuf>,
    ) -> Result<Box<dyn Actor>, Failure> {
        let store = self
            .store
            .as_ref()
            .ok_or_else(|| anyhow!("pads of a real link must be remembered: give `state`, or --state DIR"));
        let store = store.or_exit(Exit::Configuration)?;
        let key = self.real_key::<P>(store, pre_shared_key.as_deref())?;
        let random = Arc::new(OperatingSystem);
        let config = self.config(role, protocol, random);
        let remembered = self.recall::<P>(store, &key).or_exit(Exit::Storage)?;
        let keeper = Kept::new(store.clone(), P::NAME, self.session());
        Ok(Box::new(Party::resume(config, remembered, Box::new(keeper), source, Pace::Max)))
    }

    /// The pre-shared key of a protocol that has none installed; nothing where it has.
    fn real_key<P: Protocol>(
        &self,
        store: &NodeStore,
        file: Option<&Path>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        if store.lock().unwrap_or_else(PoisonError::into_inner).has(P::NAME) {
            return Ok(Zeroizing::default());
        }
        let name = P::NAME;
        let file = file.ok_or_else(|| {
            anyhow!("{name} has no pre-shared key yet: give source.{name}.pre_shared_key, a file of secret random bytes that both sides hold")
        });
        let file = file.or_exit(Exit::Configuration)?;
        let key =
            std::fs::read(file).with_context(|| file.display().to_string()).or_exit(Exit::Configuration)?;
        let key = Zeroizing::new(key);
        if key.len() < LEAST_PRE_SHARED_BYTES || key.len() > MOST_PRE_SHARED_BYTES {
            let error = anyhow!(
                "{}: {} bytes; a pre-shared key has {LEAST_PRE_SHARED_BYTES} to {MOST_PRE_SHARED_BYTES}",
                file.display(),
                key.len()
            );
            return Err(Failure::new(Exit::Configuration, error));
        }
        Ok(key)
    }

    /// What a protocol goes on from; its pre-shared key is installed the first time.
    fn recall<P: Protocol>(&self, store: &NodeStore, key: &[u8]) -> Result<Remembered, StoreError> {
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        if !store.has(P::NAME) {
            store.install(P::NAME, self.session(), key)?;
        }
        store.recall(P::NAME, self.session())
    }

    /// The longest message that any session of this world reads.
    pub(crate) fn longest_message(&self) -> usize {
        let of = |bits: usize, longest: usize| (bits / 4 + 128).max(longest + 64);
        let (bb84, cv) = (self.bb84_protocol(), self.cv_protocol(None));
        of(bb84.most_key_bits(), bb84.longest_message()).max(of(cv.most_key_bits(), cv.longest_message()))
    }
}

/// Bob's calibration, which his source begins with.
fn calibration(role: Role, preamble: &[u8]) -> Result<Option<CalibrationRecord>, Failure> {
    match role {
        Role::Alice => Ok(None),
        Role::Bob => {
            let record = CalibrationRecord::read(&mut Reader::new(preamble));
            record
                .map(Some)
                .context("the calibration in the preamble of Bob's source")
                .or_exit(Exit::Configuration)
        }
    }
}

/// A source and the preamble that stands in its recording.
type Attached<F> = (Box<dyn FrameSource<F>>, Vec<u8>);

/// Records or replays a source.
fn attach<F>(
    recordings: &Recordings,
    protocol: &str,
    role: Role,
    source: Box<dyn FrameSource<F>>,
    preamble: Vec<u8>,
) -> Result<Attached<F>, Failure>
where
    F: keystill::protocol::Recordable + Clone + Send + Sync + std::fmt::Debug + 'static,
{
    let file = |folder: &Path| {
        folder.join(format!("{protocol}-{}.rec", if role == Role::Alice { "alice" } else { "bob" }))
    };
    let exit = |error: RecordingError| {
        let exit =
            if matches!(error, RecordingError::Write { .. }) { Exit::Storage } else { Exit::Configuration };
        Failure::new(exit, error)
    };
    match recordings {
        Recordings::None => Ok((source, preamble)),
        Recordings::Cache => Ok((Box::new(Cached::new(&*source)?), preamble)),
        Recordings::Write(folder) => {
            std::fs::create_dir_all(folder)
                .with_context(|| folder.display().to_string())
                .or_exit(Exit::Storage)?;
            let frame_duration = source.frame_duration();
            let description =
                Description { protocol: protocol.into(), role, frame_duration, preamble: preamble.clone() };
            let recorder = Recorder::create(&file(folder), description, source).map_err(exit)?;
            Ok((Box::new(recorder), preamble))
        }
        Recordings::Replay(folder) => {
            let replay = Replay::open(&file(folder), protocol, role).map_err(exit)?;
            let preamble = replay.description().preamble.clone();
            Ok((Box::new(replay), preamble))
        }
    }
}

/// Frames made beforehand, each handed out once.
#[derive(Debug)]
struct Cached<F> {
    frames: Arc<Vec<Mutex<Option<F>>>>,
    frame_duration: Duration,
}

impl<F: Send + std::fmt::Debug + 'static> Cached<F> {
    fn new(source: &dyn FrameSource<F>) -> Result<Self, Failure> {
        let jobs: Vec<FrameJob<F>> = (0..source.frames()).map(|index| source.frame(index)).collect();
        let held = |job: FrameJob<F>| job(Isa::best()).map(|frame| Mutex::new(Some(frame)));
        let frames: Result<Vec<_>, _> = jobs.into_par_iter().map(held).collect();
        Ok(Self {
            frames: Arc::new(frames.or_exit(Exit::Configuration)?),
            frame_duration: source.frame_duration(),
        })
    }
}

impl<F: Send + std::fmt::Debug + 'static> FrameSource<F> for Cached<F> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        let frames = self.frames.clone();
        Box::new(move |_| {
            let held = usize::try_from(index).ok().and_then(|index| frames.get(index));
            let frame = held.and_then(|frame| frame.lock().unwrap_or_else(PoisonError::into_inner).take());
            frame.ok_or_else(|| SourceError { index, reason: "it was not made, or was taken".into() })
        })
    }

    fn frames(&self) -> u64 {
        self.frames.len() as u64
    }

    fn frame_duration(&self) -> Duration {
        self.frame_duration
    }
}

fn around(middle: f64, spread: f64) -> [f64; 2] {
    [middle - spread, middle + spread]
}

fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of frames, checked by the scenario"
    )]
    let whole = (value + 1e-6).floor().max(0.0) as u64;
    whole.max(1)
}

#[derive(Debug)]
struct SimulatedBb84 {
    source: Arc<Bb84Source>,
    role: Role,
    /// Whether Alice's settings are written out as a source's would be, not told as the rule they follow.
    packed: bool,
    frames: u64,
    frame_duration: Duration,
}

impl FrameSource<bb84::Frame> for SimulatedBb84 {
    fn frame(&self, index: u64) -> FrameJob<bb84::Frame> {
        let (source, role, packed) = (self.source.clone(), self.role, self.packed);
        Box::new(move |isa: Isa| {
            Ok(match role {
                Role::Alice if packed => bb84::Frame::Alice(packed_frame(&source, isa, index)?),
                Role::Alice => bb84::Frame::Alice(source.alice_frame(index)),
                Role::Bob => bb84::Frame::Bob(source.bob_frame(isa, index)),
            })
        })
    }

    fn frames(&self) -> u64 {
        self.frames
    }

    fn frame_duration(&self) -> Duration {
        self.frame_duration
    }
}

/// Alice's frame with its settings written out; those of gates without a click, which nobody reads, are zero.
fn packed_frame(source: &Bb84Source, isa: Isa, index: u64) -> Result<AliceFrame, SourceError> {
    let frame = source.alice_frame(index);
    let offsets = source.bob_frame(isa, index).offsets;
    let settings = settings_at(isa, &frame, &offsets)
        .map_err(|error| SourceError { index, reason: error.to_string() })?;
    let mut packed = vec![0; (frame.gates as usize).div_ceil(2)];
    for (offset, setting) in offsets.iter().zip(&settings) {
        packed[*offset as usize / 2] |= setting << (4 * (offset % 2));
    }
    Ok(AliceFrame { settings: Settings::Packed(packed), ..frame })
}

#[derive(Debug)]
struct SimulatedCv {
    source: Arc<CvSource>,
    role: Role,
    frames: u64,
    frame_duration: Duration,
}

impl FrameSource<cv::Frame> for SimulatedCv {
    fn frame(&self, index: u64) -> FrameJob<cv::Frame> {
        let (source, role) = (self.source.clone(), self.role);
        Box::new(move |isa: Isa| {
            Ok(match role {
                Role::Alice => cv::Frame::Alice(source.alice_frame(isa, index)),
                Role::Bob => cv::Frame::Bob(source.bob_frame(isa, index)),
            })
        })
    }

    fn frames(&self) -> u64 {
        self.frames
    }

    fn frame_duration(&self) -> Duration {
        self.frame_duration
    }
}

/// Clicks in a frame above which the detectors are out of order: three times what the link's budget says, at most
/// every tenth gate. Memory is set aside for so many.
fn most_clicks(gates_per_frame: u32, click_rate: f64) -> usize {
    let gates = gates_per_frame as usize;
    usize::try_from(whole(3.0 * click_rate * gates as f64)).unwrap_or(gates).min(gates / 2).max(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("10s"), Ok(Duration::from_secs(10)), "seconds");
        assert_eq!(parse_duration("8h"), Ok(Duration::from_secs(28_800)), "hours");
        assert_eq!(parse_duration("1.5min"), Ok(Duration::from_secs(90)), "a fraction");
        for wrong in ["10", "s", "-1s", "5 parsecs", "0s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
