//! `keystill distill`: recorded data of both sides, reconciled and verified in one process.

mod bb84;
mod bits;
mod cv;
mod input;
mod look;
mod quadratures;

use std::io::Write;

use clap::Subcommand;

use super::Failure;

/// Reconcile and verify recorded data of both sides.
///
/// Example: keystill distill bb84 --alice alice.bin --bob bob.bin --bits 1048576 --out distilled
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(Debug, Subcommand)]
enum Protocol {
    Bb84(bb84::Args),
    Cv(cv::Args),
}

/// Prints a line. A reader that has gone away is no fault of ours.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.protocol {
        Protocol::Bb84(args) => bb84::run(args),
        Protocol::Cv(args) => cv::run(args),
    }
}
