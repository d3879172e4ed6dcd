//! `keystill node`: one node over TCP.

mod delivery;
mod feedback;
mod metrics;
mod offload;
mod silence;
mod status;

use std::fmt;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{Actor, ActorError, Alone, Limits, News, NodeError, Pace, Workers, drive_over};
use keystill::protocol::Protocol;
use keystill::session::{Event, Outcome};
use keystill::stage::Role;
use keystill::store::{self, Folder, Store};

use super::combination::CombinationName;
use super::source::Sources;
use super::summary::{block_json, moved_json, si};
use super::world::{MethodName, NodeStore, Recordings, World, WorldArgs, parse_duration, parse_margin};
use super::{Exit, Failure, OrExit};
use delivery::Delivery;
use feedback::Feedback;
use metrics::TextFile;
use offload::Offload;
use silence::Silence;
use status::Status;

/// Run one node over TCP, both protocols at once.
///
/// The configuration is TOML: `listen` or `connect` with an address, and a [world] with scenario, seed and
/// duration, the same on both sides. With a state folder the node remembers its pads, blocks and keys over
/// crashes and goes on where it was; a lost connection is made anew. SIGTERM and SIGINT stop it in good order.
/// `--status` tells how a running node is. The log goes to standard error, a line an event with its fields;
/// `KEYSTILL_LOG` chooses what is told: error, warn, info, debug or trace.
///
/// Raw frames come from the simulated world, or from what [source.bb84] and [source.cv] name; the world then
/// says what the hardware is, and `seed` names the session. A source that is cut is opened anew: its protocol
/// rests meanwhile, the other goes on. The format of a stream stands in the documentation's page `formats`.
///
/// Example: keystill node alice --config alice.toml --state alice.state
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_long_help = EXAMPLE)]
pub(crate) struct Args {
    /// Which end of the link.
    #[arg(value_enum)]
    role: RoleName,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The folder in which the node remembers its pads, blocks and keys; `state` in the configuration.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Print how the node of this state folder is, or was, as JSON, and end.
    #[arg(long)]
    status: bool,
    /// Threads that compute; all of the machine's by default. They change no key.
    #[arg(long, value_parser = super::parse_threads)]
    threads: Option<usize>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A configuration, as the help shows it.
const EXAMPLE: &str = r#"Example of a configuration, alice.toml:

  listen = "0.0.0.0:7000"         # Bob: connect = "alice.example:7000"
  state = "alice.state"
  patience_s = 60                 # how long the peer may be silent
  store_mbit = 1024               # undelivered key at most
  combination = "either"          # keys of both protocols, or "xor": sums, secret if one of them is
  metrics = "keystill.prom"       # for Prometheus' collector of text files
  feedback = "feedback.ndjson"    # figures for the hardware, or { unix = "feedback.sock" }

  [world]
  scenario = "iown-47t2"          # or a file that describes your hardware
  set = ["link.length_km=12.5"]
  seed = 7                        # of the simulated world; with a source, it names the session
  code_margin = 0.0               # of BB84's codes: 0.05 tells a few percent more, and halves their computing
  speed = "max"                   # of the simulated link: as fast as it can be distilled, or "realtime"

  [source.bb84]
  from = { unix = "bb84.sock" }   # or recording = "FILE", pipe = "FILE", tcp = "HOST:PORT", or a VeriQloud Kiwi:
                                  # kiwi = { command = "SOCKET", angles = "PIPE", clicks_per_frame = 65536 }
  pre_shared_key = "psk.key"      # or `keystill pads install` puts it into the state
"#;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum RoleName {
    Alice,
    Bob,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Wait for the peer at this address.
    listen: Option<String>,
    /// Go to the peer at this address.
    connect: Option<String>,
    /// How long the peer may be silent, in s.
    #[serde(default = "default_patience_s")]
    patience_s: f64,
    /// The folder in which the node remembers.
    state: Option<PathBuf>,
    /// A configuration of `keystill serve`: the node's keys are delivered while it runs, and until it is
    /// asked to end.
    serve: Option<PathBuf>,
    /// A folder that a key manager watches: keys are written there, a file a block, and not served.
    drop: Option<PathBuf>,
    /// A configuration of `keystill worker`: the site's workers decode, and hear how the node is.
    offload: Option<PathBuf>,
    /// Where figures go that the hardware is adjusted by, a JSON object a block: a file or named pipe, or
    /// `{ unix = "PATH" }`.
    feedback: Option<feedback::Place>,
    /// A file that is written anew every second, for Prometheus' collector of text files.
    metrics: Option<PathBuf>,
    /// Undelivered key that the store holds at most, in Mbit.
    #[serde(default = "default_store_mbit")]
    store_mbit: u64,
    /// What consumers get of the two protocols; the same at both ends.
    #[serde(default)]
    combination: CombinationName,
    world: WorldConfig,
    /// Raw frames that are not simulated.
    #[serde(default)]
    source: Sources,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorldConfig {
    #[serde(default = "default_scenario")]
    scenario: String,
    #[serde(default)]
    set: Vec<String>,
    #[serde(default = "default_duration")]
    duration: String,
    seed: u64,
    /// Only this protocol.
    protocol: Option<String>,
    /// `--code-margin` of `keystill run`: computing saved for BB84's key.
    #[serde(default)]
    code_margin: f64,
    /// `--speed` of `keystill run`: how fast the simulated link runs.
    #[serde(default)]
    speed: super::run::Speed,
}

fn default_patience_s() -> f64 {
    60.0
}

fn default_store_mbit() -> u64 {
    1024
}

fn default_scenario() -> String {
    "iown-47t2".into()
}

fn default_duration() -> String {
    "10s".into()
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = read(&args.config)?;
    let state = args.state.clone().or_else(|| config.state.clone());
    if args.status {
        return status::print(state.as_deref());
    }
    let stop = on_signals()?;
    super::secrecy::guard();
    let role = if args.role == RoleName::Alice { Role::Alice } else { Role::Bob };
    let patience = Duration::from_secs_f64(config.patience_s.clamp(1.0, 86_400.0));
    let store = state.as_deref().map(|state| open_store(state, &config)).transpose()?;
    let delivery = Delivery::start(&config, &args.config, store.as_ref())?;
    let world = world(&config)?.of_node(store.clone(), patience, config.source.clone());
    // Real sources have a pace of their own.
    let pace = |real| if real { Pace::Max } else { config.world.speed.pace() };
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    if world.has(Bb84::NAME) {
        actors.push(Box::new(Alone::new(world.bb84_actor(
            role,
            &Recordings::None,
            pace(config.source.bb84.is_some()),
        )?)));
    }
    if world.has(Cv::NAME) {
        actors.push(Box::new(Alone::new(world.cv_actor(
            role,
            &Recordings::None,
            pace(config.source.cv.is_some()),
        )?)));
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let workers = Workers::new(threads, Isa::best()).or_exit(Exit::Internal)?;
    let (workers, offload) = Offload::start(&config, &args.config, workers)?;
    let limits = Limits { longest_message: world.longest_message(), patience };
    let mut told = Told::new(args.json, Status::new(role, state, store), (delivery, offload));
    told.feedback = Feedback::start(config.feedback.as_ref(), &args.config, role)?;
    told.metrics = TextFile::new(config.metrics.as_deref(), &args.config);
    told.real = config.source.protocols();
    let mut door = Door::open(&config, patience, stop.clone())?;
    let outcome = serve(&mut door, &mut actors, &workers, limits, &mut told);
    told.tell(&actors, if outcome.is_ok() { "ended" } else { "failed" });
    outcome?;
    told.delivery.until(&stop);
    if let Some(failure) = told.stopped.take() {
        return Err(failure);
    }
    if !door.stopped() && told.blocks == 0 && !told.real.is_empty() {
        let why = "the source ended before another block was whole; check what writes it";
        return Err(Failure::new(Exit::NoKey, anyhow!("no secure key: {why}")));
    }
    if !door.stopped() && told.blocks > 0 && told.blocks == told.without.blocks {
        return Err(Failure::new(Exit::NoKey, anyhow!("no secure key: {}", told.without)));
    }
    Ok(())
}

/// Set by the signals that ask the node to end.
fn on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, stop.clone()).or_exit(Exit::Internal)?;
    }
    Ok(stop)
}

fn open_store(state: &Path, config: &Config) -> Result<NodeStore, Failure> {
    let limits =
        store::Limits { capacity_bits: config.store_mbit.saturating_mul(1_000_000), ..Default::default() };
    let opened = Folder::open(state).map_err(anyhow::Error::from);
    let opened = opened.and_then(|folder| Ok(Store::open(folder, limits)?));
    let opened = opened.and_then(|mut store| {
        store.combine(config.combination.into())?;
        Ok(store)
    });
    let opened = opened.with_context(|| format!("state {}", state.display())).or_exit(Exit::Storage)?;
    Ok(Arc::new(Mutex::new(opened)))
}

/// Runs the actors over one connection after the other, until they are finished or asked to end.
fn serve(
    door: &mut Door,
    actors: &mut [Box<dyn Actor>],
    workers: &Workers,
    limits: Limits,
    told: &mut Told,
) -> Result<(), Failure> {
    while let Some(stream) = door.meet()? {
        let outcome = drive_over(stream, actors, workers, limits, &mut |actors, news| {
            if let Some((number, news)) = news {
                told.hear(actors[number].protocol(), news);
            }
            told.now_and_then(actors);
            !door.stopped()
        });
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(NodeError::Actor(error)) => return Err(fatal(error)),
            Err(error) => error,
        };
        eprintln!("keystill: {error}");
        told.status.connections += 1;
        // A peer that is made to fail again and again is not asked without rest.
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn fatal(error: ActorError) -> Failure {
    let exit = match &error {
        ActorError::Source { .. } => Exit::Configuration,
        ActorError::Storage { .. } => Exit::Storage,
        ActorError::Session { .. } => Exit::Peer,
    };
    Failure::new(exit, error)
}

fn read(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| path.display().to_string())
        .or_exit(Exit::Configuration)?;
    toml::from_str(&text).with_context(|| path.display().to_string()).or_exit(Exit::Configuration)
}

fn world(node: &Config) -> Result<World, Failure> {
    let config = &node.world;
    let duration = parse_duration(&config.duration)
        .map_err(|why| anyhow!("world.duration: {why}"))
        .or_exit(Exit::Configuration)?;
    if config.protocol.as_deref().is_some_and(|name| name != Bb84::NAME && name != Cv::NAME) {
        return Err(Failure::new(
            Exit::Configuration,
            anyhow!("world.protocol: bb84 or cv, or leave it out for both"),
        ));
    }
    let code_margin = parse_margin(&config.code_margin.to_string())
        .map_err(|why| anyhow!("world.code_margin: {why}"))
        .or_exit(Exit::Configuration)?;
    if node.source.share_a_key() {
        let why =
            anyhow!("source: both protocols name one pre_shared_key; each needs its own: pads serve once");
        return Err(Failure::new(Exit::Configuration, why));
    }
    if config.protocol.is_some() && node.combination == CombinationName::Xor {
        let why = anyhow!("combination: `xor` adds the keys of both protocols; leave world.protocol out");
        return Err(Failure::new(Exit::Configuration, why));
    }
    let args = WorldArgs {
        scenario: config.scenario.clone(),
        overrides: config.set.clone(),
        duration,
        seed: config.seed,
        protocol: config.protocol.clone(),
        method: MethodName::default(),
        code_margin,
        cv_method: super::gaussian::CvMethod::Auto,
    };
    args.build()
}

/// How connections to the peer are made.
struct Door {
    way: Way,
    patience: Duration,
    stop: Arc<AtomicBool>,
}

enum Way {
    Listen(TcpListener, String),
    Connect(String),
}

impl Door {
    fn open(config: &Config, patience: Duration, stop: Arc<AtomicBool>) -> Result<Self, Failure> {
        let way = match (&config.listen, &config.connect) {
            (Some(address), None) => {
                let listener = TcpListener::bind(address)
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                    .with_context(|| format!("listen = {address:?}"))
                    .or_exit(Exit::Configuration)?;
                Way::Listen(listener, address.clone())
            }
            (None, Some(address)) => Way::Connect(address.clone()),
            _ => {
                let error = anyhow!("give exactly one of `listen` and `connect`");
                return Err(Failure::new(Exit::Configuration, error));
            }
        };
        Ok(Self { way, patience, stop })
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits for the peer, or goes to it, trying again until it is there; `None` if asked to end.
    fn meet(&mut self) -> Result<Option<TcpStream>, Failure> {
        if let Way::Listen(_, address) = &self.way {
            eprintln!("keystill: waiting for the peer at {address}");
        }
        let mut told = false;
        let began = Instant::now();
        while !self.stopped() {
            let tried = match &self.way {
                Way::Listen(listener, _) => {
                    listener.accept().map(|(stream, peer)| (stream, peer.to_string()))
                }
                Way::Connect(address) => TcpStream::connect(address).map(|stream| (stream, address.clone())),
            };
            match tried {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(false).or_exit(Exit::Peer)?;
                    eprintln!("keystill: {peer} is here");
                    return Ok(Some(stream));
                }
                Err(error) if began.elapsed() < self.patience => {
                    if let Way::Connect(address) = &self.way
                        && !std::mem::replace(&mut told, true)
                    {
                        let patience_s = self.patience.as_secs();
                        eprintln!(
                            "keystill: nobody answers at {address} yet ({error}); trying for {patience_s} s"
                        );
                    }
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(error) => return Err(Failure::new(Exit::Peer, self.nobody(&error))),
            }
        }
        Ok(None)
    }

    fn nobody(&self, error: &std::io::Error) -> anyhow::Error {
        match &self.way {
            Way::Listen(_, address) => anyhow!("nobody came to {address} in {} s", self.patience.as_secs()),
            Way::Connect(address) => {
                anyhow!("nobody answers at {address} ({error}); start the peer first, or check `connect`")
            }
        }
    }
}

/// Blocks that left no key.
#[derive(Debug, Default)]
struct Without {
    blocks: u64,
    /// Why, of the first ones: a node whose fibre is cut runs on.
    reasons: Vec<String>,
}

impl Without {
    /// Reasons kept.
    const REASONS: usize = 8;

    fn add(&mut self, reason: impl FnOnce() -> String) {
        self.blocks += 1;
        if self.reasons.len() < Self::REASONS {
            self.reasons.push(reason());
        }
    }
}

impl fmt::Display for Without {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reasons.join("; "))?;
        match self.blocks - self.reasons.len() as u64 {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

/// What a node says.
struct Told {
    json: bool,
    blocks: u64,
    without: Without,
    status: Status,
    delivery: Delivery,
    offload: Offload,
    /// Protocols whose keys are secret: not even a digest of them is printed.
    real: Vec<&'static str>,
    feedback: Feedback,
    metrics: TextFile,
    /// Why the first protocol that stopped did.
    stopped: Option<Failure>,
    silence: Silence,
}

impl Told {
    fn new(json: bool, status: Status, (delivery, offload): (Delivery, Offload)) -> Self {
        let (feedback, metrics) = (Feedback::default(), TextFile::default());
        let (without, real) = (Without::default(), Vec::new());
        let (stopped, silence) = (None, Silence::default());
        Self {
            json,
            blocks: 0,
            without,
            status,
            delivery,
            offload,
            real,
            feedback,
            metrics,
            stopped,
            silence,
        }
    }

    fn now_and_then(&mut self, actors: &[Box<dyn Actor>]) {
        if self.status.is_due() {
            self.tell(actors, "running");
            self.silence.tell(actors, &self.real);
        }
    }

    fn tell(&mut self, actors: &[Box<dyn Actor>], state: &str) {
        let status = self.status.tell(actors, state);
        self.delivery.measure(&status);
        self.metrics.tell(&status);
        self.offload.tell(&status);
    }

    fn hear(&mut self, protocol: &str, news: News) {
        self.status.hear(protocol, &news);
        match news {
            News::Event(Event::Block(report)) => {
                self.blocks += 1;
                self.feedback.tell(protocol, &report);
                if let Outcome::Aborted(abort) = &report.outcome {
                    self.without.add(|| format!("{protocol}, block {}: {abort}", report.block));
                }
                if self.json {
                    println!("{}", block_json(protocol, &report, None));
                } else if let Outcome::Key { secret_bits, .. } = report.outcome {
                    println!(
                        "{protocol}, block {}: {} of secret key",
                        report.block,
                        si(secret_bits as f64, "bit")
                    );
                }
            }
            // The simulated world's keys are worth nothing; their digest shows that both sides hold the same.
            News::Key(_) if self.real.contains(&protocol) => {}
            News::Key(key) => {
                let digest = blake3::hash(&zeroize::Zeroizing::new(key.bits().to_bytes())).to_hex();
                println!(
                    "{}",
                    serde_json::json!({ "event": "key", "protocol": protocol, "block": key.block(), "bits": key.bits().len(), "key_digest": digest.as_str() })
                );
            }
            // The log tells of them.
            News::Took { .. } | News::Restarted(_) | News::Resting(_) | News::Back => {}
            News::Stopped(error) => {
                self.stopped.get_or_insert(fatal(error));
            }
            News::Event(event) => match moved_json(protocol, &event) {
                Some(moved) if self.json => println!("{moved}"),
                Some(moved) => println!("{}", moved["name"].as_str().unwrap_or_default()),
                None => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_help_is_a_configuration() {
        let (_, text) = EXAMPLE.split_once("alice.toml:").expect("it names the file");
        let config: Config = toml::from_str(text).expect("it is read");
        assert_eq!(config.source.protocols(), ["bb84"], "one source");
        assert!(world(&config).is_ok(), "the world can be built");
    }

    #[test]
    fn however_many_blocks_leave_no_key_few_reasons_are_kept() {
        let mut without = Without::default();
        (0..2_000).for_each(|block| without.add(|| format!("block {block}")));
        assert_eq!((without.blocks, without.reasons.len()), (2_000, 8), "all counted, eight told");
        let told = without.to_string();
        assert!(told.starts_with("block 0; block 1;") && told.ends_with("block 7; and 1992 more"), "{told}");
    }

    #[test]
    fn sums_need_both_protocols() {
        let text = "connect = \"a:1\"\ncombination = \"xor\"\n[world]\nseed = 1\n";
        let both: Config = toml::from_str(text).expect("it is read");
        assert!(world(&both).is_ok(), "both are there");
        let one: Config = toml::from_str(&format!("{text}protocol = \"cv\"\n")).expect("it is read");
        let failure = world(&one).expect_err("nothing to add");
        assert!(failure.error.to_string().contains("combination"), "{:#}", failure.error);
    }

    #[test]
    fn two_protocols_do_not_share_a_key() {
        let source = |protocol: &str, key: &str| {
            format!("[source.{protocol}]\nfrom = {{ pipe = \"p\" }}\npre_shared_key = \"{key}\"\n")
        };
        let config = |key: &str| {
            let text =
                format!("connect = \"a:1\"\n[world]\nseed = 1\n{}{}", source("bb84", "a"), source("cv", key));
            toml::from_str::<Config>(&text).expect("it is read")
        };
        assert!(world(&config("b")).is_ok(), "two keys");
        assert!(world(&config("a")).is_err(), "the same pads twice");
    }
}
