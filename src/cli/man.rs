//! `keystill man`: the manual pages.

use std::path::PathBuf;

use anyhow::Context;

use super::{Exit, Failure, OrExit};

/// Write the manual pages, one a command, into a folder.
///
/// Example: keystill man ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder; made if it is not there.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.folder)
        .and_then(|()| clap_mangen::generate_to(super::command(), &args.folder))
        .with_context(|| args.folder.display().to_string())
        .or_exit(Exit::Storage)
}
