//! `keystill report`: what a run left behind, as one HTML file that needs nothing else.

mod chart;
mod page;
mod record;

use std::path::PathBuf;

use anyhow::Context;

use self::record::Recorded;
use super::{Exit, Failure, OrExit};

/// Make one self-contained HTML file from what `keystill run --out DIR` wrote.
///
/// Key rates, QBER, transmittance and excess noise over the link's time, the noise budget expected and
/// measured, what was disclosed and what ε was spent on, throughput, machine and configuration. The file
/// loads nothing: it can be mailed, archived, and opened anywhere.
///
/// Example: keystill run --duration 1min --out run && keystill report run
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder that a run wrote.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Where the report goes; `report.html` in the folder by default.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let recorded = Recorded::read(&args.folder).or_exit(Exit::Configuration)?;
    let output = args.output.clone().unwrap_or_else(|| args.folder.join("report.html"));
    std::fs::write(&output, page::html(&recorded))
        .with_context(|| output.display().to_string())
        .or_exit(Exit::Storage)?;
    println!("{}", output.display());
    Ok(())
}
