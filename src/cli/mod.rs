//! Arguments, dispatch, exit codes. Each command is one file.

mod amplify;
mod bench;
#[cfg(feature = "serve")]
mod certs;
mod combination;
mod completions;
mod distill;
mod doctor;
mod gaussian;
mod keylen;
mod link;
mod log;
mod machine;
mod man;
mod node;
mod pads;
mod report;
mod run;
mod secrecy;
#[cfg(feature = "serve")]
mod serve;
mod source;
mod summary;
mod top;
#[cfg(feature = "nats")]
mod worker;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use keystill::Isa;

/// Distils the raw data of quantum key distribution into secret key.
///
/// Example: keystill run --out run && keystill report run
#[derive(Debug, Parser)]
#[command(name = "keystill", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Amplify(amplify::Args),
    Bench(bench::Args),
    #[cfg(feature = "serve")]
    Certs(certs::Args),
    Completions(completions::Args),
    Doctor(doctor::Args),
    Distill(distill::Args),
    Keylen(keylen::Args),
    Link(link::Args),
    Man(man::Args),
    Node(node::Args),
    Pads(pads::Args),
    Report(report::Args),
    Run(run::Args),
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    Top(top::Args),
    #[cfg(feature = "nats")]
    Worker(worker::Args),
}

impl Command {
    /// What it logs by default: commands that run for long tell how they are.
    fn log(&self) -> &'static str {
        match self {
            Self::Node(_) => log::LONG,
            #[cfg(feature = "serve")]
            Self::Serve(_) => log::LONG,
            #[cfg(feature = "nats")]
            Self::Worker(_) => log::LONG,
            _ => log::SHORT,
        }
    }
}

/// Why a command ends: the number is its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(dead_code, reason = "every code of the contract stands here, also those no command uses yet")]
pub(crate) enum Exit {
    /// A bug of ours.
    Internal = 1,
    /// Wrong arguments.
    Usage = 2,
    /// A configuration, scenario or input file that cannot be used.
    Configuration = 3,
    /// The peer broke the protocol or failed authentication.
    Peer = 4,
    /// The data leave no secure key.
    NoKey = 5,
    /// Reading or writing failed.
    Storage = 6,
    /// The two sides' keys differ. Must never happen.
    KeyMismatch = 7,
}

/// A command that failed: its exit code and the chain of causes.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into() }
    }

    /// Whether all that failed is that nobody reads the output any more.
    fn is_of_the_reader(&self) -> bool {
        let closed = |cause: &(dyn std::error::Error + 'static)| {
            let cause = cause.downcast_ref::<std::io::Error>();
            cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
        };
        self.exit == Exit::Storage && self.error.chain().any(closed)
    }
}

/// Gives an error its exit code.
pub(crate) trait OrExit<T> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }
}

/// Runs the command line and turns its outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    leave_with_the_reader();
    let cli = Cli::parse();
    match check_isa().and_then(|()| run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_of_the_reader() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("keystill: {:#}", failure.error);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Ends the program quietly once nobody reads its output any more, as in `keystill link | head -1`.
///
/// `println!` knows only a panic for that; this tells that one from all others by its words. Data are written to
/// files by their own way, where a failure is an error; only standard output and the log end here.
fn leave_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<String>().is_some_and(|words| is_closed_pipe(words)) {
            std::process::exit(0);
        }
        otherwise(panic);
    }));
}

/// Whether a panic's words are those of `println!` into a pipe that nobody reads.
fn is_closed_pipe(words: &str) -> bool {
    words.starts_with("failed printing to std") && words.contains("(os error 32)")
}

fn run(command: Command) -> Result<(), Failure> {
    log::start(command.log())?;
    match command {
        Command::Amplify(args) => amplify::run(args),
        Command::Bench(args) => bench::run(args),
        #[cfg(feature = "serve")]
        Command::Certs(args) => certs::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Distill(args) => distill::run(&args),
        Command::Keylen(args) => keylen::run(args),
        Command::Link(args) => link::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Node(args) => node::run(&args),
        Command::Pads(args) => pads::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Run(args) => run::run(&args),
        #[cfg(feature = "serve")]
        Command::Serve(args) => serve::run(&args),
        Command::Top(args) => top::run(&args),
        #[cfg(feature = "nats")]
        Command::Worker(args) => worker::run(&args),
    }
}

/// A name in `KEYSTILL_ISA` that no level bears is a mistake to be told, not ignored.
fn check_isa() -> Result<(), Failure> {
    match std::env::var("KEYSTILL_ISA") {
        Ok(name) => Isa::named(&name).map(drop).or_exit(Exit::Configuration),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::Cli;

    /// Every command with its full name, `keystill` first.
    fn all(command: &Command, name: &str) -> Vec<(String, String)> {
        let help = command.clone().render_long_help().to_string();
        let below = command.get_subcommands().filter(|below| below.get_name() != "help");
        let below = below.flat_map(|below| all(below, &format!("{name} {}", below.get_name())));
        std::iter::once((name.to_owned(), help)).chain(below).collect()
    }

    /// The words after `keystill` of an example, up to what only a shell understands.
    fn examples(help: &str) -> Vec<Vec<String>> {
        let lines = help.lines().flat_map(|line| line.split("keystill ").skip(1));
        let words = |line: &str| {
            let words = line.split_whitespace().take_while(|word| !["&&", "|", ">", "<"].contains(word));
            words.map(|word| word.trim_matches('"').to_owned()).collect()
        };
        lines.map(words).collect()
    }

    #[test]
    fn the_help_of_every_command_has_an_example_of_that_command() {
        let commands = all(&Cli::command(), "keystill");
        assert!(commands.len() > 20, "only {} commands were found", commands.len());
        for (name, help) in &commands {
            let (_, after) =
                help.split_once("Example").unwrap_or_else(|| panic!("`{name} --help` has no example"));
            let own: Vec<&str> = name.split_whitespace().skip(1).collect();
            let fits =
                |words: &Vec<String>| words.iter().zip(&own).filter(|(a, b)| a == b).count() == own.len();
            assert!(
                examples(after).iter().any(fits),
                "no example of `{name} --help` calls `{name}`:\n{after}"
            );
        }
    }

    #[test]
    fn the_definition_of_the_commands_is_sound() {
        Cli::command().debug_assert();
    }
}
