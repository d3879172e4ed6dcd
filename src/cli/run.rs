//! `keystill run`: both nodes, both protocols, one process, over the simulated link.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{Actor, ActorError, News, Pace, Workers, drive};
use keystill::protocol::Protocol;
use keystill::session::{BlockReport, Certificate, Entry, Event, Outcome, SecretKey};
use keystill::stage::Role;
use keystill::store::{InMemory, KeyStore, Limits, Share, Store, StoreError};

use super::keylen::certificate_json;
use super::summary::{Digests, Summary, block_json, moved_json, table};
use super::world::{Recordings, World, WorldArgs};
use super::{Exit, Failure, OrExit};

/// Run both nodes and both protocols over the simulated link, in one process.
///
/// Both parties of BB84 and CV-QKD receive raw frames of the same seeded world and distil them into
/// secret key that both sides hold: sifted, estimated, reconciled, verified, amplified, authenticated.
///
/// Example: keystill run --duration 10s --seed 1 --out run
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(flatten)]
    world: WorldArgs,
    /// How fast raw frames are taken: as fast as they can be distilled, or as fast as the link makes them.
    #[arg(long, value_enum, default_value_t = Speed::Max)]
    speed: Speed,
    /// Threads that compute; all of the machine's by default. They change no key.
    #[arg(long, value_parser = super::parse_threads)]
    threads: Option<usize>,
    /// Have frames decoded by the workers of a site: a configuration of `keystill worker`. They change no key.
    #[cfg(feature = "nats")]
    #[arg(long, value_name = "FILE")]
    offload: Option<PathBuf>,
    /// Write run.json, blocks.ndjson, summary.json and a certificate for every block's key into this
    /// folder; `keystill report DIR` reads it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Record the raw frames of all parties in this folder.
    #[arg(long, value_name = "DIR", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Take the raw frames from the recordings in this folder.
    #[arg(long, value_name = "DIR")]
    replay: Option<PathBuf>,
    /// Print one JSON object a line: each block, then the summary.
    #[arg(long)]
    json: bool,
}

/// How fast a simulated link runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Speed {
    #[default]
    Max,
    Realtime,
}

impl Speed {
    pub(super) fn pace(self) -> Pace {
        match self {
            Self::Max => Pace::Max,
            Self::Realtime => Pace::RealTime,
        }
    }
}

/// Bits that a run's key stores hold, at most.
const STORE_BITS: u64 = 1 << 32;

/// The actors of a protocol: Alice's is even, Bob's odd.
struct Link {
    protocol: &'static str,
    summary: Summary,
    /// Keys that one side has and the other not yet.
    stores: [Store<InMemory>; 2],
    pending: BTreeMap<u64, Pending>,
}

/// A block of which not everything is known yet.
#[derive(Default)]
struct Pending {
    report: Option<Box<BlockReport>>,
    digests: Digests,
    stage_s: BTreeMap<&'static str, f64>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let world = args.world.build()?;
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let workers = Workers::new(threads, Isa::best()).or_exit(Exit::Internal)?;
    #[cfg(feature = "nats")]
    let (workers, site) = super::worker::with_site(workers, args.offload.as_deref())?;
    let pace = args.speed.pace();
    let recordings = match (&args.record, &args.replay) {
        (Some(folder), _) => Recordings::Write(folder.clone()),
        (None, Some(folder)) => Recordings::Replay(folder.clone()),
        (None, None) => Recordings::None,
    };
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    let mut links = Vec::new();
    if world.has(Bb84::NAME) {
        actors.extend(world.bb84_actors(&recordings, pace)?);
        links.push(Link::new(Bb84::NAME, Bb84::REFERENCE, &world)?);
    }
    if world.has(Cv::NAME) {
        actors.extend(world.cv_actors(&recordings, pace)?);
        links.push(Link::new(Cv::NAME, Cv::REFERENCE, &world)?);
    }
    let mut console = Console::new(args, &world, threads)?;
    let began = Instant::now();
    let mut failed = None;
    let outcome = drive(&mut actors, &workers, &mut |actors, news| match news {
        None => {
            console.progress(actors);
            true
        }
        Some((number, news)) => match links[number / 2].hear(number, news, &mut console) {
            Ok(()) => true,
            Err(failure) => {
                failed = Some(failure);
                false
            }
        },
    });
    console.finish();
    #[cfg(feature = "nats")]
    super::worker::tell_counts(site.as_deref());
    outcome.map_err(actor_failure)?;
    failed.map_or(Ok(()), Err)?;
    conclude(links, began.elapsed(), args, &console)
}

fn actor_failure(error: ActorError) -> Failure {
    let exit = match &error {
        ActorError::Session { .. } => Exit::Peer,
        ActorError::Source { .. } => Exit::Configuration,
        ActorError::Storage { .. } => Exit::Storage,
    };
    Failure::new(exit, error)
}

fn conclude(links: Vec<Link>, elapsed: Duration, args: &Args, console: &Console) -> Result<(), Failure> {
    let summaries: Vec<Summary> = links.into_iter().map(|link| link.summary).collect();
    let protocols: Vec<_> = summaries.iter().map(|summary| summary.json(elapsed)).collect();
    let summary = json!({ "event": "summary", "elapsed_s": elapsed.as_secs_f64(), "protocols": protocols });
    if let Some(folder) = &args.out {
        let path = folder.join("summary.json");
        let text = serde_json::to_string_pretty(&summary).or_exit(Exit::Internal)?;
        std::fs::write(&path, text + "\n")
            .with_context(|| path.display().to_string())
            .or_exit(Exit::Storage)?;
    }
    if args.json {
        console.line(&summary)?;
    } else {
        println!("{}", table(&summaries, elapsed));
    }
    if summaries.iter().any(|summary| !summary.keys_equal) {
        return Err(Failure::new(
            Exit::KeyMismatch,
            anyhow!("the two sides' keys differ: report this as a bug"),
        ));
    }
    let without: Vec<_> = summaries.iter().filter(|summary| !summary.has_key()).collect();
    if without.is_empty() {
        return Ok(());
    }
    let reasons = without.iter().map(|summary| summary.why_none().unwrap_or("no block was finished"));
    Err(Failure::new(Exit::NoKey, anyhow!("no secure key: {}", reasons.collect::<Vec<_>>().join("; "))))
}

impl Link {
    fn new(protocol: &'static str, reference: Role, world: &World) -> Result<Self, Failure> {
        let store = || {
            let limits = Limits { capacity_bits: STORE_BITS, ..Limits::default() };
            let mut store = Store::open(InMemory::new(), limits)?;
            // The sessions keep their pads themselves.
            store.install(protocol, world.session(), &[0; 32])?;
            Ok(store)
        };
        let stores = [store(), store()].into_iter().collect::<Result<Vec<_>, StoreError>>();
        let stores = <[_; 2]>::try_from(stores.or_exit(Exit::Storage)?);
        Ok(Self {
            protocol,
            summary: Summary::new(protocol, reference, world.block_time(protocol)),
            stores: stores.map_err(|_| Failure::new(Exit::Internal, anyhow!("two stores")))?,
            pending: BTreeMap::new(),
        })
    }

    fn hear(&mut self, number: usize, news: News, console: &mut Console) -> Result<(), Failure> {
        let role = if number.is_multiple_of(2) { Role::Alice } else { Role::Bob };
        let block = match news {
            News::Key(key) => self.take_key(role, key)?,
            News::Event(Event::Block(report)) => {
                self.summary.add(role, &report);
                let block = report.block;
                let pending = self.pending.entry(block).or_default();
                // The correcting side's report: it knows the errors that it corrected.
                if role == self.summary.corrector() {
                    pending.report = Some(report);
                }
                block
            }
            News::Event(event) => {
                // Both sides see what moved; it is told once.
                let told = moved_json(self.protocol, &event).filter(|_| role == self.summary.corrector());
                return told.map_or(Ok(()), |told| console.event(told, self.summary.block_time()));
            }
            News::Took { block, stage_s } => {
                if role == self.summary.corrector() {
                    self.pending.entry(block).or_default().stage_s = stage_s;
                }
                return Ok(());
            }
            News::Restarted(_) | News::Resting(_) | News::Back | News::Stopped(_) => return Ok(()),
        };
        self.tell_if_known(block, console)
    }

    /// Stores a key under its ID.
    fn take_key(&mut self, role: Role, key: SecretKey) -> Result<u64, Failure> {
        let block = key.block();
        let bytes = zeroize::Zeroizing::new(key.bits().to_bytes());
        let digest = Some(blake3::hash(&bytes).to_hex().to_string());
        let digests = &mut self.pending.entry(block).or_default().digests;
        let (own, store) = match role {
            Role::Alice => (&mut digests.alice, &mut self.stores[0]),
            Role::Bob => (&mut digests.bob, &mut self.stores[1]),
        };
        *own = digest;
        add(store, self.protocol, key).or_exit(Exit::Storage)?;
        Ok(block)
    }

    /// Once both sides hold a block's key, delivers both copies, compares them, and tells the block.
    fn tell_if_known(&mut self, block: u64, console: &mut Console) -> Result<(), Failure> {
        let Some(Pending { report: Some(report), digests, stage_s }) = self.pending.get(&block) else {
            return Ok(());
        };
        let keys = match report.outcome {
            Outcome::Key { secret_bits, refilled_bits } => secret_bits > refilled_bits,
            Outcome::Aborted(_) => false,
        };
        if keys && (digests.alice.is_none() || digests.bob.is_none()) {
            return Ok(());
        }
        let equal = digests.agree();
        let mut record = block_json(self.protocol, report, digests.alice.as_deref());
        record["link_time_s"] = json!(self.summary.block_time().as_secs_f64() * (block + 1) as f64);
        if !stage_s.is_empty() {
            record["stage_s"] = json!(stage_s);
        }
        record["elapsed_s"] = json!(console.began.elapsed().as_secs_f64());
        if let Some(certificate) = &report.certificate {
            console.certificate(certificate)?;
        }
        self.pending.remove(&block);
        self.summary.keys_equal &= equal && self.deliver_all();
        console.block(&record)
    }

    /// Delivers every key that both stores hold: Alice's next, Bob's by its ID.
    fn deliver_all(&mut self) -> bool {
        let [alice, bob] = &mut self.stores;
        let mut equal = true;
        let keys = alice.deliver_next(Share::All, usize::MAX);
        for key in keys.iter().flatten() {
            equal &= bob.deliver(key.id).is_ok_and(|other| other.bytes() == key.bytes());
        }
        equal && keys.is_ok() && bob.available() == 0
    }
}

/// Stores a key that both sides hold.
fn add(store: &mut Store<InMemory>, protocol: &str, key: SecretKey) -> Result<(), StoreError> {
    let (block, spent) = (key.block(), [0; 2]);
    let bits = key.into_bits();
    store.write(protocol, &Entry::Prepare { block, spent, tag: [0; 16], bits, refill_bits: 0 })?;
    store.write(protocol, &Entry::Commit { block, spent, epsilon: 0.0 })?;
    store.sync()
}

/// Where a run tells what it does.
struct Console {
    json: bool,
    records: Option<(PathBuf, std::io::BufWriter<std::fs::File>)>,
    bar: Option<ProgressBar>,
    began: Instant,
    shown: Instant,
}

impl Console {
    fn new(args: &Args, world: &World, threads: usize) -> Result<Self, Failure> {
        let records = match &args.out {
            None => None,
            Some(folder) => {
                std::fs::create_dir_all(folder.join("certificates"))
                    .with_context(|| folder.display().to_string())
                    .or_exit(Exit::Storage)?;
                let path = folder.join("run.json");
                let text = serde_json::to_string_pretty(&world.describe(threads)).or_exit(Exit::Internal)?;
                std::fs::write(&path, text + "\n")
                    .with_context(|| path.display().to_string())
                    .or_exit(Exit::Storage)?;
                // Events of an older run are not this one's.
                let happenings: String =
                    world.happenings().iter().map(|happening| format!("{happening}\n")).collect();
                let path = folder.join("events.ndjson");
                std::fs::write(&path, happenings)
                    .with_context(|| path.display().to_string())
                    .or_exit(Exit::Storage)?;
                let path = folder.join("blocks.ndjson");
                let file = std::fs::File::create(&path).with_context(|| path.display().to_string());
                Some((path, std::io::BufWriter::new(file.or_exit(Exit::Storage)?)))
            }
        };
        let bar = (std::io::stderr().is_terminal() && !args.json).then(|| {
            let style = "{msg} {wide_bar} {percent} %  {elapsed} (left: {eta})";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(1000).with_style(style);
            bar.set_message(world.scenario_name().to_owned());
            bar
        });
        Ok(Self { json: args.json, records, bar, began: Instant::now(), shown: Instant::now() })
    }

    fn progress(&mut self, actors: &[Box<dyn Actor>]) {
        let Some(bar) = self.bar.as_ref().filter(|_| self.shown.elapsed() > Duration::from_millis(100))
        else {
            return;
        };
        self.shown = Instant::now();
        let (taken, all) = actors.iter().map(|actor| actor.progress()).fold((0, 0), |sum, own| {
            // Frames of the protocols differ in size: count each protocol's share alike.
            (sum.0 + 1000 * own.0 / own.1.max(1), sum.1 + 1000)
        });
        bar.set_length(all);
        bar.set_position(taken);
    }

    fn block(&mut self, record: &serde_json::Value) -> Result<(), Failure> {
        if self.json {
            self.line(record)?;
        }
        match &mut self.records {
            // A whole line a block, so that a run that is cut off leaves what it had.
            Some((path, file)) => writeln!(file, "{record}")
                .and_then(|()| file.flush())
                .with_context(|| path.display().to_string())
                .or_exit(Exit::Storage),
            None => Ok(()),
        }
    }

    /// Tells something that happened on the link, and marks it for the report.
    fn event(&self, mut event: serde_json::Value, block_time: Duration) -> Result<(), Failure> {
        let blocks = event["block"].as_f64().unwrap_or_default() + 1.0;
        event["link_time_s"] = json!(block_time.as_secs_f64() * blocks);
        if self.json {
            self.line(&event)?;
        } else {
            eprintln!("keystill: {}", event["name"].as_str().unwrap_or_default());
        }
        let Some((records, _)) = &self.records else { return Ok(()) };
        let path = records.with_file_name("events.ndjson");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        file.and_then(|mut file| writeln!(file, "{event}"))
            .with_context(|| path.display().to_string())
            .or_exit(Exit::Storage)
    }

    /// Writes the certificate of a block's key beside the records.
    fn certificate(&self, certificate: &Certificate) -> Result<(), Failure> {
        let Some((records, _)) = &self.records else { return Ok(()) };
        let path = records.with_file_name("certificates");
        let path = path.join(format!("{}-{}.json", certificate.protocol, certificate.block));
        let text = serde_json::to_string_pretty(&certificate_json(certificate)).or_exit(Exit::Internal)?;
        std::fs::write(&path, text + "\n").with_context(|| path.display().to_string()).or_exit(Exit::Storage)
    }

    fn line(&self, record: &serde_json::Value) -> Result<(), Failure> {
        writeln!(std::io::stdout(), "{record}").or_exit(Exit::Storage)
    }

    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
