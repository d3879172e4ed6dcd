//! `keystill serve`: keys to applications.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use keystill::deliver::{
    Here, Keys, Kme, Limits, Memory, Pair, SaeIdFrom, Server, ServerError, TlsFiles, server_config,
};

use super::{Exit, Failure, OrExit};

/// Deliver keys to applications by ETSI GS QKD 014 and Cisco SKIP, over mutual TLS.
///
/// The configuration is TOML: `kme` and `listen`, a [tls] with `certificate`, `key` and `client_authority`
/// (make them with `keystill certs`), and a [[pair]] for each two applications that share keys: `master`,
/// `slave`, `master_kme`, `slave_kme`. `metrics_listen` serves Prometheus. Both ends of a link list the same
/// pairs in the same order. With --demo, pools are filled with random bits, to try clients out.
///
/// Example: keystill serve --config kme.toml --demo 10
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
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
    /// Applications that share keys.
    #[serde(default, rename = "pair")]
    pairs: Vec<Pair>,
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
    let Some(mbit) = args.demo else {
        let error =
            anyhow!("there is no key store to serve from; --demo MBIT fills the pools with random bits");
        return Err(Failure::new(Exit::Configuration, error));
    };
    let keys: Arc<dyn Keys> = Arc::new(demo(&config, u64::from(mbit) * 125_000)?);
    let tls = server_config(&config.tls).or_exit(Exit::Configuration)?;
    let kme =
        Kme::new(&config.kme, config.pairs.clone(), config.limits, keys).or_exit(Exit::Configuration)?;
    let threads = args.threads.map_or_else(super::machine::cores, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build()
        .or_exit(Exit::Internal)?;
    let served = runtime.block_on(async {
        let mut server = Server::bind(Arc::new(kme), &config.listen, tls, config.sae_id_from).await?;
        if let Some(address) = &config.metrics_listen {
            server = server.with_metrics(address).await?;
        }
        tell(&server, &config, args.json);
        server.run(asked_to_end()).await;
        Ok::<_, ServerError>(())
    });
    served.or_exit(Exit::Configuration)
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
    println!("{}: https://{address}/api/v1/keys/", config.kme);
    if let Some(metrics) = metrics {
        println!("metrics: http://{metrics}/metrics");
    }
}

/// Waits for the signal to end.
async fn asked_to_end() {
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
