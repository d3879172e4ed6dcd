//! `keystill worker`: decodes for the nodes of its site.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use keystill::Isa;
use keystill::offload::{Settings, Site, Worker};
use keystill::pipeline::Workers;

use super::serve::asked_to_end;
use super::{Exit, Failure, OrExit, machine};

/// Decode frames for the nodes of this trusted site, from a queue of NATS.
///
/// The configuration is TOML, the same for nodes (`offload` in theirs) and workers: `server`
/// (tls://HOST:PORT), `authority`, `certificate` and `key` (make them with `keystill certs`), `site_key`
/// (`keystill certs site-key`), `name` of the link, and `patience_ms` after which a node asks again.
/// A worker may be ended or killed at any time: nodes ask another one, or decode by themselves.
///
/// Example: keystill worker --config offload.toml --threads 8
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Frames decoded at once; one a core by default.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let settings = Settings::read(&args.config).or_exit(Exit::Configuration)?;
    super::secrecy::guard();
    let threads = args.threads.map_or_else(machine::cores, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.or_exit(Exit::Internal)?.block_on(async {
        let worker = Worker::connect(&settings, threads, Isa::best()).await.or_exit(Exit::Configuration)?;
        if args.json {
            println!("{}", json!({ "event": "working", "server": settings.server, "threads": threads }));
        } else {
            println!("working for {} with {threads} threads; end me with Ctrl-C", settings.server);
        }
        let worked = worker.run(asked_to_end()).await;
        if args.json {
            println!(
                "{}",
                json!({ "event": "ended", "answered": worked.answered, "refused": worked.refused })
            );
        } else {
            println!("{} frames decoded, {} questions refused", worked.answered, worked.refused);
        }
        Ok(())
    })
}

/// Lets a pool have frames decoded by the workers of a site, if there is a configuration of it.
pub(crate) fn with_site(
    workers: Workers,
    settings: Option<&Path>,
) -> Result<(Workers, Option<Arc<Site>>), Failure> {
    let Some(settings) = settings else { return Ok((workers, None)) };
    let settings = Settings::read(settings).or_exit(Exit::Configuration)?;
    let site = Arc::new(Site::connect(&settings).or_exit(Exit::Configuration)?);
    Ok((workers.with_elsewhere(site.clone()), Some(site)))
}

/// Tells what the workers did.
pub(crate) fn tell_counts(site: Option<&Site>) {
    if let Some((answered, unanswered)) = site.map(Site::counts) {
        eprintln!("keystill: {answered} frames decoded by workers, {unanswered} here after all");
    }
}
