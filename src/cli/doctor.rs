//! `keystill doctor`: whether this machine is fit for a node.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::anyhow;
use serde_json::json;

use keystill::Isa;
use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
use keystill_kernels::os::Locked;

use super::{Exit, Failure};

/// Check whether this machine is fit for a node: instruction sets, memory, disk, clock, certificates.
///
/// Each check says what it found and, where something is wrong, what to do. Exit code 3 if a check failed;
/// a warning is no failure.
///
/// Example: keystill doctor --dir /var/lib/keystill --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The folder in which keys would be kept.
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// The configuration of `keystill serve`, whose certificates are checked.
    #[cfg(feature = "serve")]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check: what was found and, unless it is good, what to do.
#[derive(Clone, Debug)]
struct Check {
    name: &'static str,
    status: Status,
    found: String,
    advice: &'static str,
}

impl Check {
    fn new(name: &'static str, status: Status, found: impl Into<String>, advice: &'static str) -> Self {
        Self { name, status, found: found.into(), advice }
    }

    fn good_if(name: &'static str, good: bool, found: impl Into<String>, advice: &'static str) -> Self {
        Self::new(name, if good { Status::Ok } else { Status::Warn }, found, advice)
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut checks = vec![
        processor(),
        cores(),
        memory(),
        locked_memory(),
        core_dumps(),
        open_files(),
        randomness(),
        clock(),
    ];
    checks.extend(disk(&args.dir));
    #[cfg(feature = "serve")]
    checks.extend(args.config.as_deref().map(certificates));
    for check in &checks {
        tell(check, args.json);
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let [ok, warn, fail] = [Status::Ok, Status::Warn, Status::Fail].map(count);
    if args.json {
        println!("{}", json!({ "event": "summary", "ok": ok, "warn": warn, "fail": fail }));
    } else {
        println!("\n{ok} good, {warn} to look at, {fail} failed");
    }
    if fail > 0 {
        return Err(Failure::new(Exit::Configuration, anyhow!("{fail} of {} checks failed", checks.len())));
    }
    Ok(())
}

fn tell(check: &Check, json: bool) {
    let advice = (check.status != Status::Ok).then_some(check.advice);
    if json {
        let status = check.status.name();
        println!(
            "{}",
            json!({ "event": "check", "name": check.name, "status": status, "found": check.found, "advice": advice })
        );
        return;
    }
    println!("{:<5} {:<16} {}", check.status.name(), check.name.replace('_', " "), check.found);
    if let Some(advice) = advice {
        println!("{:<5} {:<16} {advice}", "", "");
    }
}

fn processor() -> Check {
    let sets: Vec<&str> = Isa::available().map(Isa::name).collect();
    let found = format!("{}: {}", super::machine::processor(), sets.join(", "));
    let wide = sets.iter().any(|name| matches!(*name, "avx2" | "avx512" | "neon"));
    Check::good_if(
        "instruction_set",
        wide,
        found,
        "throughput will be a fraction of what AVX2 gives; see KEYSTILL_ISA",
    )
}

fn cores() -> Check {
    let cores = super::machine::cores();
    Check::good_if(
        "cores",
        cores >= 2,
        cores.to_string(),
        "a node distils two protocols: give it two cores or more",
    )
}

/// The value in kB of a line of /proc/meminfo.
fn meminfo_kb(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok())
}

fn memory() -> Check {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let Some(kb) = meminfo_kb(&text, "MemAvailable") else {
        return Check::new("memory", Status::Warn, "not told by this system", "a node needs about 2 GB");
    };
    let found = format!("{} MB available", kb / 1024);
    Check::good_if("memory", kb >= 2 << 20, found, "a node of both protocols needs about 2 GB")
}

/// The soft limit of a line of /proc/self/limits; `None` is unlimited or unknown.
fn limit(text: &str, name: &str) -> Option<Option<u64>> {
    let soft = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next())?;
    Some(soft.parse().ok())
}

fn limits() -> String {
    fs::read_to_string("/proc/self/limits").unwrap_or_default()
}

/// Asks for what a node asks for, in this process, and tells what was granted.
fn locked_memory() -> Check {
    let advice =
        "blocks under way may be swapped to disk: LimitMEMLOCK=infinity in the unit or `ulimit -l unlimited`";
    let pads = Locked::zeros(64 << 10).is_locked();
    let (status, found) = match (super::secrecy::guard().swap, pads) {
        (true, _) => (Status::Ok, "all memory of a node is locked".to_owned()),
        (false, true) => (Status::Warn, "hash keys and pads are locked, blocks under way are not".to_owned()),
        (false, false) => (Status::Warn, "nothing may be locked, not even hash keys and pads".to_owned()),
    };
    Check::new("locked_memory", status, found, advice)
}

fn core_dumps() -> Check {
    let off = super::secrecy::guard().dumps;
    let found = if off { "a node turns them off" } else { "a node cannot turn them off" };
    Check::good_if(
        "core_dumps",
        off,
        found,
        "a dump would hold keys: LimitCORE=0 in the unit or `ulimit -c 0`",
    )
}

fn open_files() -> Check {
    let files = limit(&limits(), "Max open files").flatten();
    let found = files.map_or_else(|| "unlimited or unknown".into(), |files| files.to_string());
    let advice = "many clients need many sockets: raise it with LimitNOFILE= or `ulimit -n`";
    Check::good_if("open_files", files.is_none_or(|files| files >= 1024), found, advice)
}

fn randomness() -> Check {
    let (mut first, mut second) = ([0; 64], [0; 64]);
    let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };
    let drawn = OperatingSystem.draw(draw, &mut first).and_then(|()| OperatingSystem.draw(draw, &mut second));
    let (status, found) = match drawn {
        Ok(()) if first != second => (Status::Ok, "the operating system's generator answers".to_owned()),
        Ok(()) => (Status::Fail, "the operating system's generator repeats itself".to_owned()),
        Err(error) => (Status::Fail, error.to_string()),
    };
    Check::new("randomness", status, found, "no key can be made without it")
}

/// A year that this program was written after, and a sign that somebody keeps the clock.
fn clock() -> Check {
    let now = super::machine::utc(SystemTime::now());
    let advice = "certificates and records need a right clock: run chrony or systemd-timesyncd";
    if now.as_str() < "2026" {
        return Check::new("clock", Status::Fail, now, advice);
    }
    let signs = ["/run/systemd/timesync/synchronized", "/run/chrony", "/var/lib/ntp", "/run/ntpd.pid"];
    let kept = signs.iter().any(|path| Path::new(path).exists());
    let found = if kept { now } else { format!("{now}, and no sign that anything keeps it") };
    Check::good_if("clock", kept, found, advice)
}

/// Syncs measured on the disk.
const SYNCS: u32 = 16;

fn disk(folder: &Path) -> Vec<Check> {
    let advice = "name a folder on a local disk that this user may write to: --dir DIR";
    let mut checks = match syncs(folder) {
        Ok(each) => {
            let found =
                format!("a synced write takes {:.2} ms in {}", each.as_secs_f64() * 1e3, folder.display());
            let slow = "every block waits for a sync: a local SSD takes about 1 ms";
            vec![Check::good_if("disk", each < Duration::from_millis(50), found, slow)]
        }
        Err(error) => {
            vec![Check::new("disk", Status::Fail, format!("{}: {error}", folder.display()), advice)]
        }
    };
    if let Some(free) = free_bytes(folder) {
        let found = format!("{} MB free", free >> 20);
        checks.push(Check::good_if(
            "disk_space",
            free >= 1 << 30,
            found,
            "journals and recordings need room: 1 GB or more",
        ));
    }
    checks
}

/// How long a write of 4 KiB takes until the disk has it: the mean of several.
fn syncs(folder: &Path) -> std::io::Result<Duration> {
    let path = folder.join(format!(".keystill-doctor-{}", std::process::id()));
    let measured = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        let began = Instant::now();
        for _ in 0..SYNCS {
            file.write_all(&[0; 4096])?;
            file.sync_data()?;
        }
        Ok(began.elapsed() / SYNCS)
    })();
    // It may not be there: then there is nothing to remove.
    let _ = fs::remove_file(&path);
    measured
}

/// What `df` says is free; `None` where there is no such program.
fn free_bytes(folder: &Path) -> Option<u64> {
    let output = std::process::Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let kb: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    Some(kb * 1024)
}

#[cfg(feature = "serve")]
fn certificates(config: &Path) -> Check {
    const SOON_DAYS: i64 = 30;
    let advice = "make new ones with `keystill certs`";
    let days = super::serve::Config::read(config).map_err(|failure| format!("{:#}", failure.error)).and_then(
        |config| {
            keystill::deliver::server_config(&config.tls).map_err(|error| error.to_string())?;
            keystill::deliver::days_left(&config.tls).map_err(|error| error.to_string())
        },
    );
    match days {
        Ok(days) if days < 0 => {
            Check::new("certificates", Status::Fail, format!("ended {} days ago", -days), advice)
        }
        Ok(days) => Check::good_if(
            "certificates",
            days >= SOON_DAYS,
            format!("the first ends in {days} days"),
            advice,
        ),
        Err(error) => Check::new("certificates", Status::Fail, error, advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_memory_are_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max core file size        0                    unlimited            bytes     \n\
                      Max locked memory         8388608              8388608              bytes     \n\
                      Max open files            unlimited            unlimited            files     \n";
        assert_eq!(limit(limits, "Max locked memory"), Some(Some(8_388_608)), "a number");
        assert_eq!(limit(limits, "Max open files"), Some(None), "unlimited");
        assert_eq!(limit(limits, "Max nothing"), None, "not there");
        assert_eq!(meminfo_kb("MemTotal:  9 kB\nMemAvailable:   4 kB\n", "MemAvailable"), Some(4), "in kB");
    }

    #[test]
    fn a_folder_that_cannot_be_written_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(disk(folder.path())[0].status, Status::Ok, "a good one");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0, "nothing is left behind");
        assert_eq!(disk(&folder.path().join("nowhere"))[0].status, Status::Fail, "not there");
    }
}
