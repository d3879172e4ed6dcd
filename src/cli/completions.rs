//! `keystill completions`: a completion script for a shell.

use clap_complete::Shell;

use super::Failure;

/// Print a completion script for a shell.
///
/// Example: keystill completions bash > ~/.local/share/bash-completion/completions/keystill
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The shell.
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // By way of memory: what the generator cannot write it answers with a panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "keystill", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
