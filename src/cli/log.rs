//! Logs on standard error, a line an event: time, level, place, words, and fields as name=value.
//!
//! `KEYSTILL_LOG` chooses what is told, as in `KEYSTILL_LOG=debug` or `KEYSTILL_LOG=keystill::pipeline=trace,warn`.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

use super::{Exit, Failure, OrExit};

const VARIABLE: &str = "KEYSTILL_LOG";

/// What is told unless the variable says otherwise: of commands that run for long, and of the others.
pub(crate) const LONG: &str = "warn,keystill=info";
pub(crate) const SHORT: &str = "error";

/// Starts to write logs.
pub(crate) fn start(default: &str) -> Result<(), Failure> {
    let wanted = std::env::var(VARIABLE).unwrap_or_else(|_| default.to_owned());
    let filter = EnvFilter::try_new(&wanted).with_context(|| format!("{VARIABLE}={wanted}"));
    let filter = filter.or_exit(Exit::Configuration)?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Somebody who embeds the command line may have one already.
    let _ = subscriber.with_ansi(std::io::stderr().is_terminal()).try_init();
    Ok(())
}
