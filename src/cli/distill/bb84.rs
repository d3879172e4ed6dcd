//! `keystill distill bb84`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::ledger::Disclosure;
use keystill::reconcile::Method;
use keystill::reconcile::choice::Accounting;
use serde_json::json;
use zeroize::Zeroizing;

use super::bits::{Account, Distiller, Wish};
use super::input::{self, Bits, Format};
use super::say;
use crate::cli::amplify::write_whole;
use crate::cli::{Exit, Failure, OrExit};

/// Bits from which on a bar shows how far the work has come.
const LONG: usize = 1 << 27;

/// Reconcile and verify two files of sifted bits.
///
/// Files are bits packed lowest bit first, NumPy's .npy, a CSV column of 0 and 1, or sifted key of S-Fifteen's qcrypto
/// (a folder of its type-3 files), as --format says or their names tell. Alice's are kept, Bob's corrected. Every message of both sides
/// is made, read and booked. Exit 0 means that the strings are equal now, but for the probability of the
/// 128-bit hash; 5, that they could not be corrected. Without --qber the error rate is estimated
/// from parities, which are booked; with it, a wrong one costs efficiency only.
///
/// leaked_bits counts what Alice told, verification tags included; leaked_bits_two_way adds what
/// Bob's questions and verdicts tell. secret_bits is what is left if phase errors are as frequent as bit
/// errors and all pulses were single photons, without finite-size terms: a figure to compare by.
///
/// Example: keystill distill bb84 --alice alice.bin --bob bob.bin --bits 1000000 --json
///          keystill distill bb84 --alice alice.csv --bob bob.csv --column bit
///          keystill distill bb84 --alice alice/t3 --bob bob/t3 --format type3
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Alice's bits.
    #[arg(long)]
    alice: PathBuf,
    /// Bob's bits.
    #[arg(long)]
    bob: PathBuf,
    /// How the files are written.
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    format: Format,
    /// The column of CSV files that holds the bits, by its name in the first line or its number from 1.
    #[arg(long)]
    column: Option<String>,
    /// How many bits of each file are taken; all of them if it is not given.
    #[arg(long)]
    bits: Option<usize>,
    /// The error rate expected, 0 to 0.5.
    #[arg(long)]
    qber: Option<f64>,
    /// How the strings are reconciled.
    #[arg(long, value_enum, default_value_t = MethodName::Auto)]
    method: MethodName,
    /// What the proof subtracts.
    #[arg(long, value_enum, default_value_t = AccountingName::Both)]
    accounting: AccountingName,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Where alice.bits and bob.bits go, the reconciled strings.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum MethodName {
    /// The one that is expected to disclose less under the accounting.
    Auto,
    /// One-way, by syndromes.
    Ldpc,
    /// Interactive, by parities.
    Cascade,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum AccountingName {
    /// Bits told by either side.
    Both,
    /// Alice's only: the proof hands Eve the positions of the errors.
    Reference,
}

impl Args {
    fn wish(&self) -> Result<Wish, Failure> {
        if let Some(qber) = self.qber.filter(|qber| !(0.0..=0.5).contains(qber)) {
            return Err(Failure::new(Exit::Usage, anyhow!("--qber {qber}: from 0 to 0.5, please")));
        }
        let method = match self.method {
            MethodName::Auto => Method::Auto,
            MethodName::Ldpc => Method::Ldpc,
            MethodName::Cascade => Method::Cascade,
        };
        let accounting = match self.accounting {
            AccountingName::Both => Accounting::BothDirections,
            AccountingName::Reference => Accounting::ReferenceOnly,
        };
        Ok(Wish { method, qber: self.qber, accounting })
    }

    /// Both sides' bits, and how many of each are taken.
    fn open(&self) -> Result<([Bits; 2], usize), Failure> {
        let paths = [&self.alice, &self.bob];
        let both = input::both(paths, self.format, self.column.as_deref())?;
        let [alice, bob] = [both[0].count(), both[1].count()];
        let bits = match self.bits {
            Some(bits) => bits,
            None if alice == bob => alice,
            None => {
                let error = anyhow!(
                    "{} has {alice} bits, {} has {bob}: say with --bits how many belong together",
                    paths[0].display(),
                    paths[1].display(),
                );
                return Err(Failure::new(Exit::Configuration, error));
            }
        };
        if bits == 0 {
            return Err(Failure::new(
                Exit::Usage,
                anyhow!("no bits to reconcile: --bits must be at least 1"),
            ));
        }
        if let Some((path, found)) = paths.iter().zip([alice, bob]).find(|(_, found)| *found < bits) {
            let error = anyhow!(
                "{} has {found} bits ({} bytes); {bits} bits take {}: it was cut, or --bits is wrong",
                path.display(),
                found.div_ceil(8),
                bits.div_ceil(8)
            );
            return Err(Failure::new(Exit::Configuration, error));
        }
        Ok((both, bits))
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let wish = args.wish()?;
    let ([alice, bob], bits) = args.open()?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().or_exit(Exit::Internal)?;
    let bar = (bits >= LONG && std::io::stderr().is_terminal()).then(|| bar(bits));
    let mut distiller = Distiller::new(wish);
    let start = Instant::now();
    let progress = |done: usize| {
        if let Some(bar) = &bar {
            bar.set_position(done as u64);
        }
    };
    let result = pool.install(|| distiller.run(&alice, &bob, bits, progress));
    let elapsed = start.elapsed();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let equal = result.as_ref().is_ok_and(|(kept, corrected)| kept == corrected);
    let abort = result.as_ref().err().map(ToString::to_string);
    let report = Report { bits, equal, abort, elapsed, wish, threads: pool.current_num_threads() };
    report.print(&distiller.account, args.json);
    let (kept, corrected) = result.or_exit(Exit::NoKey)?;
    if !equal {
        let error = anyhow!("verification passed, but the strings differ");
        return Err(Failure::new(Exit::KeyMismatch, error));
    }
    match &args.out {
        Some(folder) => write(folder, &kept, &corrected),
        None => Ok(()),
    }
}

fn bar(bits: usize) -> ProgressBar {
    let style = "{wide_bar} {percent} %  {elapsed} (left: {eta})";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(bits as u64).with_style(style)
}

fn write(folder: &Path, kept: &BitBlock, corrected: &BitBlock) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string()).or_exit(Exit::Storage)?;
    for (name, bits) in [("alice.bits", kept), ("bob.bits", corrected)] {
        write_whole(&folder.join(name), &Zeroizing::new(bits.to_bytes())).or_exit(Exit::Storage)?;
    }
    Ok(())
}

/// What is printed.
struct Report {
    bits: usize,
    equal: bool,
    abort: Option<String>,
    elapsed: Duration,
    wish: Wish,
    threads: usize,
}

impl Report {
    fn print(&self, account: &Account, json: bool) {
        let leaked = told_by_alice(account);
        let two_way = account.ledger.disclosed_bits();
        let bits = self.bits as f64;
        // Errors are known when they are corrected.
        let qber = self.equal.then(|| account.errors as f64 / bits);
        let entropy = qber.map_or(0.0, entropy);
        let efficiency = |leaked: u64| (entropy > 0.0).then(|| leaked as f64 / (bits * entropy));
        let subtracted = match self.wish.accounting {
            Accounting::BothDirections => two_way,
            Accounting::ReferenceOnly => leaked,
        };
        let left = bits * (1.0 - entropy) - subtracted as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped at 0")]
        let secret_bits = if self.equal { libm::floor(left).max(0.0) as u64 } else { 0 };
        let method = account.choice.as_ref().map(|choice| choice.plan.method());
        let choice = account.choice.as_ref().map(|choice| {
            json!({
                "method": choice.plan.method(), "frame_bits": choice.plan.frame_bits(),
                "expected_bits": choice.expected_bits, "reason": choice.reason.to_string(),
            })
        });
        let seconds = self.elapsed.as_secs_f64();
        let rate = bits / seconds / 1e6;
        let mut object = json!({
            "method": method, "bits": self.bits, "errors": account.errors, "qber": qber,
            "leaked_bits": leaked, "leaked_bits_two_way": two_way, "efficiency": efficiency(leaked),
            "efficiency_two_way": efficiency(two_way), "secret_bits": secret_bits, "frames": account.frames,
            "frames_failed": account.frames_failed, "frames_retried": account.retried,
            "iterations": account.iterations, "rounds": account.rounds, "messages": account.messages,
            "seconds": seconds, "mbit_per_s": rate, "threads": self.threads, "isa": Isa::best().name(),
            "equal": self.equal, "choice": choice,
            "qber_estimate": account.estimate.map(|estimate| estimate.qber),
            "disclosed": account.ledger.disclosures().collect::<std::collections::BTreeMap<_, _>>(),
            "epsilon_correctness": account.ledger.epsilon(),
        });
        if let Some(abort) = &self.abort {
            object["abort"] = json!(abort);
        }
        if json {
            say(&object.to_string());
            return;
        }
        let Some(choice) = &account.choice else { return };
        say(&format!(
            "{} in {} frames of {} bits: {}",
            choice.plan.method(),
            account.frames,
            choice.plan.frame_bits(),
            choice.reason
        ));
        if !self.equal {
            return;
        }
        say(&format!(
            "errors        {} of {} bits ({:.3} %)",
            account.errors,
            self.bits,
            100.0 * qber.unwrap_or(0.0)
        ));
        let f = |leaked| efficiency(leaked).map_or_else(|| "no errors".to_owned(), |f| format!("f = {f:.4}"));
        say(&format!(
            "told by Alice {leaked} bits ({}), both directions {two_way} ({})",
            f(leaked),
            f(two_way)
        ));
        say(&format!("verified      equal, but for a probability of {:.1e}", account.ledger.epsilon()));
        say(&format!("took          {seconds:.3} s, {rate:.1} Mbit/s on {} threads", self.threads));
    }
}

fn told_by_alice(account: &Account) -> u64 {
    let told = |kind| account.ledger.disclosed_by(kind);
    let parities = told(Disclosure::PilotParity) + told(Disclosure::ParityAnswer);
    parities + told(Disclosure::Syndrome) + told(Disclosure::Increment) + told(Disclosure::VerificationTag)
}

/// h₂.
fn entropy(q: f64) -> f64 {
    if q <= 0.0 || q >= 1.0 { 0.0 } else { -(q * libm::log2(q) + (1.0 - q) * libm::log2(1.0 - q)) }
}
