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

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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

    /// What happened, from the outside in, and what to do about it.
    fn words(&self) -> String {
        let mut words = String::new();
        for cause in self.error.chain().map(ToString::to_string) {
            // Some errors tell their cause themselves.
            if !words.contains(&cause) {
                words += if words.is_empty() { "" } else { ": " };
                words += &cause;
            }
        }
        let told = words.contains("; ") || words.contains("keystill ");
        let of_the_system = self.error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
        match of_the_system.and_then(remedy_of) {
            Some(remedy) if !told => format!("{words}; {remedy}"),
            _ => words,
        }
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

/// What to do about an error of the operating system, which has no kind for a name that nobody knows.
fn remedy_of(error: &std::io::Error) -> Option<&'static str> {
    let unknown = error.to_string().starts_with("failed to lookup address");
    if unknown { Some("check the host's name, or name its address") } else { remedy(error.kind()) }
}

/// What to do about a kind of error of the operating system.
fn remedy(kind: std::io::ErrorKind) -> Option<&'static str> {
    use std::io::ErrorKind;
    Some(match kind {
        ErrorKind::NotFound => "check the path: it, or a folder on the way to it, is not there",
        ErrorKind::PermissionDenied => "give this user the right to it, or name another place",
        ErrorKind::IsADirectory => "this is a folder: name a file",
        ErrorKind::NotADirectory => "a part of the path is a file: name a folder",
        ErrorKind::AlreadyExists => "name another place, or remove what is there",
        ErrorKind::InvalidData => "this is no text file: name the one that is meant",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk",
        ErrorKind::ReadOnlyFilesystem => "name a place on a disk that can be written",
        ErrorKind::AddrInUse => "end the process that listens there, or choose another address",
        ErrorKind::AddrNotAvailable => "name an address of this machine",
        ErrorKind::ConnectionRefused => "start the other side, or check its address",
        _ => return None,
    })
}

/// A number of threads.
pub(crate) fn parse_threads(text: &str) -> Result<usize, String> {
    let threads = text.parse().ok().filter(|threads| (1..=1024).contains(threads));
    threads.ok_or_else(|| "a number of threads from 1 to 1024; without the option, one a core".into())
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
    let matches = command().try_get_matches().unwrap_or_else(|error| {
        if let Some(feature) = std::env::args().nth(1).and_then(|name| feature_of(&name)) {
            eprintln!("keystill: this build has no such command: cargo build --release --features {feature}");
            std::process::exit(i32::from(Exit::Usage as u8));
        }
        error.exit()
    });
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match check_isa().and_then(|()| run(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_of_the_reader() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("keystill: {}", failure.words());
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// The feature that brings a command, where it was left out of this build.
fn feature_of(command: &str) -> Option<&'static str> {
    match command {
        "certs" | "serve" if !cfg!(feature = "serve") => Some("serve"),
        "worker" if !cfg!(feature = "nats") => Some("nats"),
        _ => None,
    }
}

/// The definition of all commands.
pub(crate) fn command() -> clap::Command {
    flowing(Cli::command())
}

/// Lets the paragraphs of a command's help flow: they are written in lines of the source, and a terminal has others.
fn flowing(command: clap::Command) -> clap::Command {
    let about = command.get_long_about().map(|about| one_line_a_paragraph(&about.to_string()));
    let command = match about {
        Some(about) => command.long_about(about),
        None => command,
    };
    command.mut_subcommands(flowing)
}

/// Joins the lines of a paragraph; examples and what is indented stay as they are.
fn one_line_a_paragraph(text: &str) -> String {
    let stands = |line: &str| line.is_empty() || line.starts_with([' ', '|']) || line.starts_with("Example");
    let mut joined = String::with_capacity(text.len());
    let mut before = "";
    for line in text.lines() {
        if !joined.is_empty() {
            joined.push(if stands(line) || stands(before) { '\n' } else { ' ' });
        }
        joined.push_str(line);
        before = line;
    }
    joined
}

/// Ends the program quietly once nobody reads its output any more, as in `keystill link | head -1`, and
/// with an error where the output cannot be written.
///
/// `println!` knows only a panic for that; this tells that one from all others by its words. Data are written to
/// files by their own way, where a failure is an error; only standard output and the log end here.
fn leave_with_the_reader() {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        match panic.payload().downcast_ref::<String>().and_then(|words| unwritable(words)) {
            Some(why) if why.contains("(os error 32)") => std::process::exit(0),
            Some(why) => {
                // Where that cannot be written either, the exit code tells.
                let _ = writeln!(
                    std::io::stderr(),
                    "keystill: the output cannot be written: {why}; make room, or send it elsewhere"
                );
                std::process::exit(i32::from(Exit::Storage as u8));
            }
            None => otherwise(panic),
        }
    }));
}

/// What the system said if a panic's words are those of `println!` that cannot write.
fn unwritable(words: &str) -> Option<&str> {
    words.strip_prefix("failed printing to std")?.split_once(": ").map(|(_, why)| why)
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
    use clap::Command;

    use super::{Exit, Failure, command, feature_of, one_line_a_paragraph, remedy};

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
        let commands = all(&command(), "keystill");
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
    fn a_command_that_was_left_out_names_its_feature() {
        let there = command();
        for name in ["certs", "serve", "worker"] {
            let left_out = there.find_subcommand(name).is_none();
            assert_eq!(feature_of(name).is_some(), left_out, "{name}");
        }
        assert_eq!(feature_of("run"), None, "always there");
    }

    #[test]
    fn the_definition_of_the_commands_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn an_error_of_the_system_is_told_once_and_with_what_to_do() {
        let missing = std::fs::read("no/such/file").expect_err("it is not there");
        let words = missing.to_string();
        let failure = Failure::new(
            Exit::Storage,
            anyhow::Error::from(missing).context(format!("no/such/file: {words}")),
        );
        assert_eq!(
            failure.words(),
            format!("no/such/file: {words}; {}", remedy(std::io::ErrorKind::NotFound).expect("known"))
        );
        let nobody = std::io::Error::other("failed to lookup address information: Name or service not known");
        let words = Failure::new(Exit::Configuration, nobody).words();
        assert!(words.ends_with("known; check the host's name, or name its address"), "{words}");
        let told = anyhow::anyhow!("first; do this");
        assert_eq!(Failure::new(Exit::Usage, told).words(), "first; do this", "nothing is added");
        let within = anyhow::anyhow!("the cause").context("first: the cause; do this");
        assert_eq!(Failure::new(Exit::Usage, within).words(), "first: the cause; do this", "told once");
    }

    #[test]
    fn paragraphs_flow_and_examples_stand() {
        let text =
            "One line\nand another.\n\nExample: keystill a &&\n         keystill b\n\n  [section]\n  key = 1";
        let flowing = text.replacen("line\nand", "line and", 1);
        assert_eq!(one_line_a_paragraph(text), flowing, "only the paragraph");
    }
}
