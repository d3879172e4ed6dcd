//! `keystill bench ldpc`.

use crate::cli::Failure;

/// The stage `ldpc`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(_args: Args) -> Result<(), Failure> {
    Ok(())
}
