//! `keystill node`: one node over TCP.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{Actor, ActorError, Limits, News, NodeError, Pace, Workers, drive_over};
use keystill::protocol::Protocol;
use keystill::session::{Event, Outcome};
use keystill::stage::Role;

use super::summary::{block_json, si};
use super::world::{MethodName, Recordings, World, WorldArgs, parse_duration};
use super::{Exit, Failure, OrExit};

/// Run one node over TCP, both protocols at once.
///
/// The configuration is TOML: `listen` or `connect` with an address, and a [world] with scenario, seed and
/// duration, the same on both sides. Raw frames come from the simulated world.
///
/// Example: keystill node alice --config alice.toml
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which end of the link.
    #[arg(value_enum)]
    role: RoleName,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Threads that compute; all of the machine's by default. They change no key.
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

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
    world: WorldConfig,
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
}

fn default_patience_s() -> f64 {
    60.0
}

fn default_scenario() -> String {
    "iown-47t2".into()
}

fn default_duration() -> String {
    "10s".into()
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = read(&args.config)?;
    let role = if args.role == RoleName::Alice { Role::Alice } else { Role::Bob };
    let world = world(&config.world)?;
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    if world.has(Bb84::NAME) {
        actors.push(world.bb84_actor(role, &Recordings::None, Pace::Max)?);
    }
    if world.has(Cv::NAME) {
        actors.push(world.cv_actor(role, &Recordings::None, Pace::Max)?);
    }
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let workers = Workers::new(threads, Isa::best()).or_exit(Exit::Internal)?;
    let patience = Duration::from_secs_f64(config.patience_s.clamp(1.0, 86_400.0));
    let stream = meet(&config, patience)?;
    let limits = Limits { longest_message: world.longest_message(), patience };
    let mut told = Told { json: args.json, blocks: 0, without: Vec::new() };
    let outcome = drive_over(stream, &mut actors, &workers, limits, &mut |actors, news| {
        if let Some((number, news)) = news {
            told.hear(actors[number].protocol(), news);
        }
        true
    });
    outcome.map_err(|error| {
        let exit = match &error {
            NodeError::Actor(ActorError::Source { .. }) => Exit::Configuration,
            NodeError::Actor(ActorError::Storage { .. }) => Exit::Storage,
            _ => Exit::Peer,
        };
        Failure::new(exit, error)
    })?;
    if told.blocks == told.without.len() {
        return Err(Failure::new(Exit::NoKey, anyhow!("no secure key: {}", told.without.join("; "))));
    }
    Ok(())
}

fn read(path: &Path) -> Result<Config, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| path.display().to_string())
        .or_exit(Exit::Configuration)?;
    toml::from_str(&text).with_context(|| path.display().to_string()).or_exit(Exit::Configuration)
}

fn world(config: &WorldConfig) -> Result<World, Failure> {
    let duration = parse_duration(&config.duration)
        .map_err(|why| anyhow!("world.duration: {why}"))
        .or_exit(Exit::Configuration)?;
    if config.protocol.as_deref().is_some_and(|name| name != Bb84::NAME && name != Cv::NAME) {
        return Err(Failure::new(
            Exit::Configuration,
            anyhow!("world.protocol: bb84 or cv, or leave it out for both"),
        ));
    }
    let args = WorldArgs {
        scenario: config.scenario.clone(),
        overrides: config.set.clone(),
        duration,
        seed: config.seed,
        protocol: config.protocol.clone(),
        method: MethodName::default(),
    };
    args.build()
}

/// Listens for the peer, or goes to it, trying again until it is there.
fn meet(config: &Config, patience: Duration) -> Result<TcpStream, Failure> {
    match (&config.listen, &config.connect) {
        (Some(address), None) => {
            let listener = TcpListener::bind(address)
                .with_context(|| format!("listen = {address:?}"))
                .or_exit(Exit::Configuration)?;
            eprintln!("keystill: waiting for the peer at {address}");
            let (stream, peer) = listener.accept().or_exit(Exit::Peer)?;
            eprintln!("keystill: {peer} is here");
            Ok(stream)
        }
        (None, Some(address)) => {
            let began = Instant::now();
            loop {
                match TcpStream::connect(address) {
                    Ok(stream) => return Ok(stream),
                    Err(_) if began.elapsed() < patience => std::thread::sleep(Duration::from_millis(200)),
                    Err(error) => {
                        let error = anyhow!(
                            "nobody answers at {address} ({error}); start the peer first, or check `connect`"
                        );
                        return Err(Failure::new(Exit::Peer, error));
                    }
                }
            }
        }
        _ => Err(Failure::new(Exit::Configuration, anyhow!("give exactly one of `listen` and `connect`"))),
    }
}

/// What a node says.
struct Told {
    json: bool,
    blocks: usize,
    without: Vec<String>,
}

impl Told {
    fn hear(&mut self, protocol: &str, news: News) {
        match news {
            News::Event(Event::Block(report)) => {
                self.blocks += 1;
                if let Outcome::Aborted(abort) = &report.outcome {
                    self.without.push(format!("{protocol}, block {}: {abort}", report.block));
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
            News::Key(key) => {
                let digest = blake3::hash(&zeroize::Zeroizing::new(key.bits().to_bytes())).to_hex();
                println!(
                    "{}",
                    serde_json::json!({ "event": "key", "protocol": protocol, "block": key.block(), "bits": key.bits().len(), "key_digest": digest.as_str() })
                );
            }
            News::Event(_) | News::Restarted(_) => {}
        }
    }
}
