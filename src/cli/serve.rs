//! `keystill serve`: keys to applications.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use keystill::deliver::{
    Here, Keys, Kme, Limits, Memory, Metrics, Mover, Pair, SaeIdFrom, Server, ServerError, Stored, TlsFiles,
    server_config,
};
use keystill::store::{self, Folder, KeyStore, Store};

use super::combination::CombinationName;
use super::{Exit, Failure, OrExit};

/// Deliver keys to applications by ETSI GS QKD 014 and Cisco SKIP, over mutual TLS.
///
/// The configuration is TOML: `kme` and `listen`, a [tls] with `certificate`, `key` and `client_authority`
/// (make them with `keystill certs`), and a [[pair]] for each two applications that share keys: `master`,
/// `slave`, `master_kme`, `slave_kme`. `metrics_listen` serves Prometheus. Both ends of a link list the same
/// pairs in the same order.
///
/// With --state, keys come from the state folder of a node that has ended; a node that runs serves by
/// itself if its own configuration says `serve = "kme.toml"`. With --demo, pools are filled with random bits,
/// to try clients out. `combination = "xor"` delivers sums of a key of each protocol instead of the keys of
/// both, at both ends.
///
/// With a [database] in the configuration, keys lie in PostgreSQL, and any number of front-ends of the site
/// deliver them: `connection` as PostgreSQL writes it, `site_key`, a file of 32 bytes that
/// `keystill certs site-key` makes, and `authority`, who certifies a database server on another machine.
/// A node, or --state, then moves its keys there.
///
/// Example: keystill serve --config kme.toml --demo 10
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Serve the keys of this state folder, which no node may be using.
    #[arg(long, value_name = "DIR", conflicts_with = "demo")]
    state: Option<PathBuf>,
    /// Fill each pool with this many Mbit that come from no link: worthless as secrets.
    #[arg(long, value_name = "MBIT", value_parser = clap::value_parser!(u32).range(1..=8000))]
    demo: Option<u32>,
    /// Threads that serve; all of the machine's by default.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// What a status tells as the most that a pool may hold: the node's store decides.
const CAPACITY_BITS: u64 = 1 << 32;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// This node's KME ID.
    kme: String,
    /// Where applications connect.
    listen: String,
    /// Where Prometheus scrapes, in plain HTTP: an address that only the operator reaches.
    metrics_listen: Option<String>,
    /// Where a certificate carries the SAE ID.
    #[serde(default)]
    sae_id_from: SaeIdFrom,
    pub(crate) tls: TlsFiles,
    #[serde(default)]
    limits: Limits,
    /// What consumers get of the two protocols of a state folder; a running node says so itself.
    combination: Option<CombinationName>,
    /// Where keys lie if several front-ends deliver them.
    database: Option<DatabaseConfig>,
    /// Applications that share keys.
    #[serde(default, rename = "pair")]
    pairs: Vec<Pair>,
}

/// A key store in PostgreSQL.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "read to be refused"))]
struct DatabaseConfig {
    connection: String,
    site_key: PathBuf,
    authority: Option<PathBuf>,
}

impl Config {
    /// Reads a file; paths in it are relative to its folder.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path)
            .with_context(|| path.display().to_string())
            .or_exit(Exit::Configuration)?;
        let mut config: Self =
            toml::from_str(&text).with_context(|| path.display().to_string()).or_exit(Exit::Configuration)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in [&mut config.tls.certificate, &mut config.tls.key, &mut config.tls.client_authority] {
            *file = folder.join(&*file);
        }
        if let Some(database) = &mut config.database {
            database.site_key = folder.join(&database.site_key);
            database.authority = database.authority.take().map(|file| folder.join(file));
        }
        Ok(config)
    }

    /// Who of each pair is served here.
    fn here(&self) -> Vec<Here> {
        let here =
            |pair: &Pair| Here { master: pair.master_kme == self.kme, slave: pair.slave_kme == self.kme };
        self.pairs.iter().map(here).collect()
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = Config::read(&args.config)?;
    super::secrecy::guard();
    let source = match (&args.state, args.demo) {
        (_, Some(mbit)) => Source::of(demo(&config, u64::from(mbit) * 125_000)?),
        (Some(state), None) => {
            let limits = store::Limits { capacity_bits: u64::MAX, ..store::Limits::default() };
            let opened = Folder::open(state).map_err(anyhow::Error::from);
            let opened = opened.and_then(|folder| {
                let mut store = Store::open(folder, limits)?;
                store.combine(config.combination.unwrap_or_default().into())?;
                Ok(store)
            });
            let opened =
                opened.with_context(|| format!("state {}", state.display())).or_exit(Exit::Storage)?;
            Source::new(&config, Some(Arc::new(Mutex::new(opened))))?
        }
        (None, None) => Source::new::<Store<Folder>>(&config, None)?,
    };
    let kme = kme(&config, source.keys.clone())?;
    let threads = args.threads.map_or_else(super::machine::cores, usize::from);
    serve(&config, kme, threads, |server| tell(server, &config, args.json), asked_to_end())
}

/// Where keys come from, and what must live as long as they are served.
struct Source {
    keys: Arc<dyn Keys>,
    _mover: Option<Mover>,
}

impl Source {
    fn of(keys: impl Keys + 'static) -> Self {
        Self { keys: Arc::new(keys), _mover: None }
    }

    /// Keys out of the database, if there is one, else out of the node's store.
    fn new<K: KeyStore + 'static>(config: &Config, store: Option<Arc<Mutex<K>>>) -> Result<Self, Failure> {
        match (&config.database, store) {
            (Some(database), store) => Self::database(config, database, store),
            (None, Some(store)) => Ok(Self::of(stored(config, store)?)),
            (None, None) => {
                let why = "no keys to serve: give --state, or --demo, or a [database] in the configuration";
                Err(Failure::new(Exit::Usage, anyhow::anyhow!(why)))
            }
        }
    }

    #[cfg(feature = "postgres")]
    fn database<K: KeyStore + 'static>(
        config: &Config,
        database: &DatabaseConfig,
        store: Option<Arc<Mutex<K>>>,
    ) -> Result<Self, Failure> {
        use keystill::store::{Database, Postgres};
        let site = Arc::new(database.read_site_key()?);
        let place = Database::new(&database.connection, database.authority.as_ref());
        let place = place.or_exit(Exit::Configuration)?;
        let open = || Postgres::open(place.clone(), site.clone()).or_exit(Exit::Storage);
        let keys = Arc::new(stored(config, Arc::new(Mutex::new(open()?)))?);
        let to = store.map(|store| Ok((store, open()?))).transpose()?;
        Ok(Self { keys, _mover: to.map(|(store, to)| Mover::start(store, to)) })
    }

    #[cfg(not(feature = "postgres"))]
    fn database<K: KeyStore + 'static>(
        _config: &Config,
        _database: &DatabaseConfig,
        _store: Option<Arc<Mutex<K>>>,
    ) -> Result<Self, Failure> {
        let why = "[database]: this program was built without it: build it with --features postgres";
        Err(Failure::new(Exit::Configuration, anyhow::anyhow!(why)))
    }
}

#[cfg(feature = "postgres")]
impl DatabaseConfig {
    fn read_site_key(&self) -> Result<store::SiteKey, Failure> {
        let path = &self.site_key;
        let read = std::fs::read(path).map(Zeroizing::new).with_context(|| path.display().to_string());
        let bytes = read.or_exit(Exit::Configuration)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            let error = anyhow::anyhow!(
                "{}: a site key has 32 bytes, not {}; make one with `keystill certs site-key`",
                path.display(),
                bytes.len()
            );
            return Err(Failure::new(Exit::Configuration, error));
        }
        key.copy_from_slice(&bytes);
        Ok(store::SiteKey::new(key))
    }
}

fn stored<K: KeyStore>(config: &Config, store: Arc<Mutex<K>>) -> Result<Stored<K>, Failure> {
    Stored::new(store, &config.kme, &config.pairs, CAPACITY_BITS).or_exit(Exit::Configuration)
}

fn kme(config: &Config, keys: Arc<dyn Keys>) -> Result<Arc<Kme>, Failure> {
    let kme = Kme::new(&config.kme, config.pairs.clone(), config.limits, keys);
    Ok(Arc::new(kme.or_exit(Exit::Configuration)?))
}

/// Serves until `end` is done.
fn serve(
    config: &Config,
    kme: Arc<Kme>,
    threads: usize,
    ready: impl FnOnce(&Server),
    end: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let tls = server_config(&config.tls).or_exit(Exit::Configuration)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    let served = runtime.block_on(async {
        let mut server = Server::bind(kme, &config.listen, tls, config.sae_id_from).await?;
        if let Some(address) = &config.metrics_listen {
            server = server.with_metrics(address).await?;
        }
        ready(&server);
        server.run(end).await;
        Ok::<_, ServerError>(())
    });
    served.or_exit(Exit::Configuration)
}

/// A server beside a running node, on the node's own store. Ends when it is dropped.
pub(crate) struct Alongside {
    metrics: Arc<Metrics>,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
}

impl Alongside {
    /// Serves a store by a configuration of `keystill serve`, on one thread.
    pub(crate) fn start<K: KeyStore + 'static>(path: &Path, store: Arc<Mutex<K>>) -> Result<Self, Failure> {
        let config = Config::read(path)?;
        if config.combination.is_some() {
            let why = anyhow::anyhow!("{}: say `combination` in the node's configuration", path.display());
            return Err(Failure::new(Exit::Configuration, why));
        }
        let source = Source::new(&config, Some(store))?;
        let kme = kme(&config, source.keys.clone())?;
        let metrics = kme.metrics().clone();
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let ended = async {
                // Told to end, or left alone: both are the end.
                let _ = ended.await;
            };
            let served =
                serve(&config, kme, 1, |server| eprintln!("keystill: {}", told(server, &config)), ended);
            drop(source);
            if let Err(failure) = &served {
                eprintln!("keystill: keys are not served: {:#}", failure.error);
            }
            served
        });
        Ok(Self { metrics, end: Some(end), thread: Some(thread) })
    }

    /// What the node measures, for Prometheus.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Drop for Alongside {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // What it failed with was told when it failed.
            let _ = thread.join();
        }
    }
}

/// Pools of random bits, the same at no other node.
fn demo(config: &Config, bytes: u64) -> Result<Memory, Failure> {
    use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
    let memory = Memory::new(&config.here(), bytes);
    eprintln!("keystill: these keys come from no link and are worthless as secrets");
    for pair in 0..config.pairs.len() {
        let length = usize::try_from(bytes).or_exit(Exit::Usage)?;
        let mut key = Zeroizing::new(vec![0; length]);
        let draw = Draw { block: pair as u64, purpose: Purpose::KeyBits, index: 0 };
        OperatingSystem.draw(draw, &mut key).or_exit(Exit::Internal)?;
        memory.add(pair, pair as u64, key);
    }
    Ok(memory)
}

fn tell(server: &Server, config: &Config, json: bool) {
    let address = server.address().map_or_else(|| config.listen.clone(), |address| address.to_string());
    let metrics = server.metrics_address().map(|address| address.to_string());
    if json {
        println!(
            "{}",
            json!({ "event": "serving", "kme": config.kme, "listen": address, "metrics": metrics })
        );
        return;
    }
    println!("{}", told(server, config));
}

fn told(server: &Server, config: &Config) -> String {
    let address = server.address().map_or_else(|| config.listen.clone(), |address| address.to_string());
    let metrics = server.metrics_address().map(|address| format!(", metrics at http://{address}/metrics"));
    format!("{}: https://{address}/api/v1/keys/{}", config.kme, metrics.unwrap_or_default())
}

/// Waits for the signal to end.
pub(crate) async fn asked_to_end() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    {
        // Without signals there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
    }
}
