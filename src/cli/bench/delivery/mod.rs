//! `keystill bench delivery`: requests a second and their latency, over real sockets and mutual TLS.

mod client;
mod stores;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use keystill::deliver::{
    Authority, Keys, Kme, Limits, Pair, Purpose, SaeIdFrom, Server, TlsFiles, server_config,
};

use crate::cli::{Exit, Failure, OrExit, machine};
use client::Client;

/// Delivery of keys by ETSI GS QKD 014: single-key requests over kept-alive connections of mutual TLS.
///
/// Two servers hold the same keys: the clients get new keys at the first, then collect the copies by their
/// IDs at the second, and every copy must equal its key. Servers and clients share this machine's cores.
///
/// Example: keystill bench delivery --store journal --clients 16 --requests 20000 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What holds the keys: `memory`, `journal`, the embedded store, which syncs a disk before a key leaves, or,
    /// built with --features postgres, `postgres`.
    #[arg(long, value_enum, default_value_t = stores::Kind::Journal)]
    store: stores::Kind,
    /// The folder, on the disk to be measured, in which a folder is made and removed again.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A database to make schemas in, for --store postgres: a connection string of PostgreSQL.
    #[arg(long, value_name = "CONNECTION", default_value = "host=/run/postgresql")]
    database: String,
    /// Connections at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,
    /// Requests of each kind, of all clients together.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// Threads of each server; all of the machine's by default.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object a kind of request.
    #[arg(long)]
    json: bool,
}

/// What one client got: each key's ID and text, and how long it took.
type Got = Vec<(String, String, Duration)>;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let folder = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let folder = folder.join(format!("keystill-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string()).or_exit(Exit::Storage)?;
    let measured = measure(args, &folder);
    let removed = std::fs::remove_dir_all(&folder);
    #[cfg(feature = "postgres")]
    if args.store == stores::Kind::Postgres {
        stores::clear(&args.database).or_exit(Exit::Storage)?;
    }
    measured?;
    removed.with_context(|| folder.display().to_string()).or_exit(Exit::Storage)
}

fn measure(args: &Args, folder: &std::path::Path) -> Result<(), Failure> {
    let bench = Bench::new(args, folder).or_exit(Exit::Configuration)?;
    let ends = stores::two_ends(args.store, (folder, &args.database), u64::from(args.requests), &bench.pairs);
    let [first, second] = ends.or_exit(Exit::Storage)?;
    let [first, second] = [("kme-a", first), ("kme-b", second)].map(|(kme, keys)| bench.serve(kme, keys));
    let (first, second) = (first.or_exit(Exit::Configuration)?, second.or_exit(Exit::Configuration)?);
    let share = |client: u32| args.requests / args.clients + u32::from(client < args.requests % args.clients);
    let asked: Vec<Vec<String>> = (0..args.clients)
        .map(|client| vec!["/api/v1/keys/bob/enc_keys".to_owned(); share(client) as usize])
        .collect();
    let (keys, took) = bench.ask(first.address, "alice", &asked).or_exit(Exit::Peer)?;
    bench.report("enc_keys", &keys, took);
    let path = |id: &String| format!("/api/v1/keys/alice/dec_keys?key_ID={id}");
    let asked: Vec<Vec<String>> =
        keys.iter().map(|got| got.iter().map(|(id, ..)| path(id)).collect()).collect();
    let (copies, took) = bench.ask(second.address, "bob", &asked).or_exit(Exit::Peer)?;
    bench.report("dec_keys", &copies, took);
    let equal = keys.iter().flatten().zip(copies.iter().flatten()).all(|(key, copy)| key.1 == copy.1);
    let distinct = keys.iter().flatten().map(|(id, ..)| id).collect::<BTreeSet<_>>().len();
    if !equal || distinct != args.requests as usize {
        return Err(Failure::new(Exit::KeyMismatch, anyhow::anyhow!("keys differ, or one came twice")));
    }
    Ok(())
}

struct Bench<'a> {
    args: &'a Args,
    authority: Authority,
    pairs: Vec<Pair>,
    files: TlsFiles,
}

/// A server that ends when it is dropped.
struct Serving {
    address: SocketAddr,
    _runtime: tokio::runtime::Runtime,
    /// Outlives the runtime: a store may wait for its disk or server when it is dropped.
    _kme: Arc<Kme>,
}

impl<'a> Bench<'a> {
    fn new(args: &'a Args, folder: &std::path::Path) -> anyhow::Result<Self> {
        let authority = Authority::new("bench", 1)?;
        let leaf = authority.issue(Purpose::Server, "kme", &["localhost".to_owned()], 1)?;
        let path = |name: &str| folder.join(name);
        std::fs::write(path("ca.pem"), authority.certificate())?;
        std::fs::write(path("kme.pem"), &leaf.certificate)?;
        std::fs::write(path("kme.key"), leaf.key.as_bytes())?;
        let files =
            TlsFiles { certificate: path("kme.pem"), key: path("kme.key"), client_authority: path("ca.pem") };
        let [master, slave, master_kme, slave_kme] = ["alice", "bob", "kme-a", "kme-b"].map(str::to_owned);
        Ok(Self { args, authority, pairs: vec![Pair { master, slave, master_kme, slave_kme }], files })
    }

    fn serve(&self, kme: &str, keys: Arc<dyn Keys>) -> anyhow::Result<Serving> {
        let kme = Arc::new(Kme::new(kme, self.pairs.clone(), Limits::default(), keys)?);
        let threads = self.args.threads.map_or_else(machine::cores, usize::from);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
        let tls = server_config(&self.files)?;
        let server = runtime.block_on(Server::bind(kme.clone(), "127.0.0.1:0", tls, SaeIdFrom::Cn))?;
        let address = server.address().context("no address")?;
        runtime.spawn(server.run(std::future::pending()));
        Ok(Serving { address, _runtime: runtime, _kme: kme })
    }

    /// Each client asks for its own paths, one after the other.
    fn ask(
        &self,
        address: SocketAddr,
        sae: &str,
        asked: &[Vec<String>],
    ) -> anyhow::Result<(Vec<Got>, Duration)> {
        let leaf = self.authority.issue(Purpose::Client, sae, &[], 1)?;
        let config = client::config(self.authority.certificate(), &leaf.certificate, &leaf.key)?;
        let connect = |_: &Vec<String>| Client::connect(address, config.clone());
        let clients: Vec<Client> = asked.iter().map(connect).collect::<anyhow::Result<_>>()?;
        let began = Instant::now();
        let got: anyhow::Result<Vec<Got>> = std::thread::scope(|scope| {
            let mut threads = Vec::with_capacity(asked.len());
            for (client, paths) in clients.into_iter().zip(asked) {
                threads.push(scope.spawn(move || one_by_one(client, paths)));
            }
            threads.into_iter().map(|thread| thread.join().expect("a client never panics")).collect()
        });
        Ok((got?, began.elapsed()))
    }

    fn report(&self, call: &str, got: &[Got], took: Duration) {
        let mut latencies: Vec<f64> =
            got.iter().flatten().map(|(.., took)| took.as_secs_f64() * 1e3).collect();
        latencies.sort_by(f64::total_cmp);
        let at = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000];
        let rate = latencies.len() as f64 / took.as_secs_f64();
        let Args { store, clients, .. } = self.args;
        if self.args.json {
            let line = json!({
                "stage": "delivery", "store": store.name(), "call": call, "clients": clients,
                "threads": self.args.threads.map_or_else(machine::cores, usize::from),
                "requests": latencies.len(), "requests_per_s": rate,
                "p50_ms": at(500), "p99_ms": at(990), "max_ms": at(1000),
            });
            println!("{line}");
            return;
        }
        println!(
            "{call}  {} store, {clients} clients: {rate:.0} requests/s, p50 {:.2} ms, p99 {:.2} ms, longest {:.2} ms",
            store.name(),
            at(500),
            at(990),
            at(1000)
        );
    }
}

fn one_by_one(mut client: Client, paths: &[String]) -> anyhow::Result<Got> {
    let mut got = Vec::with_capacity(paths.len());
    for path in paths {
        let began = Instant::now();
        let mut container = client.get(path)?;
        let took = began.elapsed();
        let key = &mut container["keys"][0];
        let mut text = |name: &str| key[name].take().as_str().map(str::to_owned);
        let (id, bits) = (text("key_ID"), text("key"));
        ensure!(id.is_some() && bits.is_some(), "{path}: no key in the answer");
        got.push((id.unwrap_or_default(), bits.unwrap_or_default(), took));
    }
    Ok(got)
}
