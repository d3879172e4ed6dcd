//! `keystill bench sim`.

use crate::cli::Failure;

/// The stage `sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[expect(clippy::needless_pass_by_value, clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(_args: Args) -> Result<(), Failure> {
    Ok(())
}
