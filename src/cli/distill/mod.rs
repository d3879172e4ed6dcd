//! `keystill distill`: recorded data of both sides, reconciled and verified in one process.

mod bb84;
mod bits;

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
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    match &args.protocol {
        Protocol::Bb84(args) => bb84::run(args),
    }
}
