//! `keystill top`: how a running node is, on one screen.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::summary::si;
use super::world::parse_duration;
use super::{Exit, Failure, OrExit};

/// Show how the node of a state folder is: QBER, excess noise, key rates, progress, what waits, pads, ε, keys in store.
///
/// On a terminal the screen is drawn anew until Ctrl-C; elsewhere it is printed once.
///
/// Example: keystill top alice.state
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The node's state folder.
    #[arg(value_name = "DIR")]
    state: PathBuf,
    /// Time between two looks.
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    interval: Duration,
    /// Print one JSON object and end.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let first = read(&args.state)?;
    if args.json {
        println!("{first}");
        return Ok(());
    }
    let live = std::io::stdout().is_terminal();
    let mut before = None;
    let mut now = first;
    loop {
        let screen = screen(&now, before.as_ref());
        let mut out = std::io::stdout().lock();
        // Clear what was there and begin at the top, in one write: no flicker.
        let text = if live { format!("\x1b[H\x1b[2J{screen}\n") } else { screen + "\n" };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).or_exit(Exit::Storage)?;
        if !live {
            return Ok(());
        }
        std::thread::sleep(args.interval);
        let next = read(&args.state)?;
        // A node that told nothing new keeps its rates.
        if next["uptime_s"] != now["uptime_s"] {
            before = Some(std::mem::replace(&mut now, next));
        }
    }
}

fn read(folder: &Path) -> Result<Value, Failure> {
    let path = folder.join("status.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| {
            let state = "; give the state folder of a node that has run: keystill node … --state DIR";
            let told = if error.kind() == std::io::ErrorKind::NotFound { state } else { "" };
            anyhow::Error::from(error).context(format!("{}{told}", path.display()))
        })
        .or_exit(Exit::Configuration)?;
    let status: Value = serde_json::from_str(&text)
        .with_context(|| path.display().to_string())
        .or_exit(Exit::Configuration)?;
    if !status["protocols"].is_array() {
        let error =
            anyhow::anyhow!("{}: this is no status that a node wrote; give its state folder", path.display());
        return Err(Failure::new(Exit::Configuration, error));
    }
    Ok(status)
}

/// The screen: a head, then a column a protocol.
fn screen(now: &Value, before: Option<&Value>) -> String {
    let mut text = format!(
        "keystill {} · {} · up {:.0} s · {} connections lost",
        now["role"].as_str().unwrap_or("node"),
        now["state"].as_str().unwrap_or("?"),
        now["uptime_s"].as_f64().unwrap_or_default(),
        now["connections_lost"].as_u64().unwrap_or_default(),
    );
    if let Some(keys) = now["store"]["keys"].as_u64() {
        let bits = now["store"]["bits"].as_u64().unwrap_or_default();
        text += &format!(" · {keys} keys ({}) in store", si(bits as f64, "bit"));
        if let Some(epsilon) = now["store"]["epsilon"].as_f64() {
            text += &format!(", ε {epsilon:.2e}");
        }
    }
    let protocols = now["protocols"].as_array().map(Vec::as_slice).unwrap_or_default();
    let columns: Vec<_> = protocols.iter().map(|own| rows(own, rates(now, before, own))).collect();
    text += &format!("\n\n{:<22}", "");
    for own in protocols {
        text += &format!("{:<30}", own["protocol"].as_str().unwrap_or("?").to_uppercase());
    }
    for row in 0..columns.first().map_or(0, Vec::len) {
        if columns.iter().all(|column| column[row].1.is_empty()) {
            continue;
        }
        text += &format!("\n{:<22}", columns[0][row].0);
        for column in &columns {
            text += &format!("{:<30}", column[row].1);
        }
    }
    for own in protocols {
        for what in ["last_abort", "last_error"] {
            if let Some(words) = own[what].as_str() {
                let name = own["protocol"].as_str().unwrap_or("?");
                text += &format!("\n\n{name}, {}: {words}", what.replace('_', " "));
            }
        }
    }
    text
}

/// Secret bits and frames a second since the last look, or since the start.
fn rates(now: &Value, before: Option<&Value>, own: &Value) -> Option<(f64, f64)> {
    let old = before.and_then(|before| {
        before["protocols"].as_array()?.iter().find(|old| old["protocol"] == own["protocol"])
    });
    let since = before.and_then(|before| before["uptime_s"].as_f64()).unwrap_or(0.0);
    let seconds = now["uptime_s"].as_f64()? - since;
    let rate = |name: &str| {
        let old = old.and_then(|old| old[name].as_f64()).unwrap_or(0.0);
        Some((own[name].as_f64()? - old) / seconds)
    };
    (seconds > 0.0).then_some(())?;
    Some((rate("secret_bits")?, rate("frames_taken")?))
}

/// The rows of a protocol: all have the same names in the same order.
fn rows(own: &Value, rates: Option<(f64, f64)>) -> Vec<(&'static str, String)> {
    let count = |name: &str| own[name].as_u64().unwrap_or_default();
    let figure = |name: &str, shown: &dyn Fn(f64) -> String| {
        own["last_block"][name].as_f64().map_or_else(String::new, shown)
    };
    let (secret, frames) = rates.unwrap_or_default();
    let waiting = |name: &str| own["waiting"][name].as_u64().map(|count| format!("{count} {name}"));
    let waiting: Vec<String> = ["frames", "computations"].into_iter().filter_map(waiting).collect();
    vec![
        ("link", link(own).into()),
        ("frames", bar(count("frames_taken"), count("frames"))),
        ("frames a second", format!("{frames:.0}")),
        ("blocks", format!("{}, {} without key", count("blocks"), count("blocks_without_key"))),
        ("secret key", si(count("secret_bits") as f64, "bit")),
        ("secret key rate", format!("{}/s", si(secret, "bit"))),
        ("QBER", figure("qber", &|qber| format!("{:.2} %", 100.0 * qber))),
        ("transmittance T", figure("transmittance", &|t| format!("{t:.4}"))),
        ("excess noise ξ", figure("excess_noise_snu", &|xi| format!("{xi:.4} SNU"))),
        ("SNR", figure("snr", &|snr| format!("{snr:.4}"))),
        ("waiting", waiting.join(", ")),
        (
            "pads left",
            own["pads_for_blocks"].as_u64().map_or_else(String::new, |left| format!("{left} blocks")),
        ),
        ("ε spent", spent(own).unwrap_or_default()),
        ("restarts", count("restarts").to_string()),
    ]
}

fn link(own: &Value) -> &'static str {
    match () {
        () if own["stopped"].is_string() => "stopped",
        () if own["resting"].is_string() => "its source is gone",
        () if own["live"] == true => "live",
        () => "down",
    }
}

/// The ε of a protocol's blocks, beside what they may add up to.
fn spent(own: &Value) -> Option<String> {
    let (spent, cap) = (own["epsilon_spent"].as_f64()?, own["epsilon_cap"].as_f64()?);
    Some(format!("{spent:.2e} of {cap:.1e} ({:.1} %)", 100.0 * spent / cap))
}

/// How far a world has come.
fn bar(taken: u64, all: u64) -> String {
    const CELLS: u64 = 16;
    let full = (taken * CELLS).checked_div(all).unwrap_or(0).min(CELLS);
    let cells: String = (0..CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
    format!("{cells} {} %", (100 * taken).checked_div(all).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(uptime_s: f64, secret_bits: u64) -> Value {
        json!({
            "role": "alice", "state": "running", "uptime_s": uptime_s, "connections_lost": 1,
            "store": { "keys": 12, "bits": 3072 },
            "protocols": [
                { "protocol": "bb84", "live": true, "frames_taken": 50, "frames": 200, "blocks": 3,
                  "blocks_without_key": 1, "secret_bits": secret_bits, "restarts": 0,
                  "waiting": { "frames": 12, "computations": 2, "messages": 0 },
                  "pads_for_blocks": 97, "epsilon_spent": 2.5e-10, "epsilon_cap": 1e-5,
                  "last_abort": "no key: too noisy", "last_block": { "qber": 0.0382 } },
                { "protocol": "cv", "live": false, "last_block": { "excess_noise_snu": 0.02 } },
            ],
        })
    }

    #[test]
    fn the_screen_tells_both_protocols_and_rates_between_two_looks() {
        let screen = screen(&status(12.0, 9_000), Some(&status(10.0, 5_000)));
        for told in [
            "keystill alice · running",
            "12 keys",
            "████░░░░░░░░░░░░ 25 %",
            "2.00 kbit/s",
            "3.82 %",
            "0.0200 SNU",
            "bb84, last abort: no key: too noisy",
            "3, 1 without key",
            "12 frames, 2 computations",
            "97 blocks",
            "2.50e-10 of 1.0e-5 (0.0 %)",
        ] {
            assert!(screen.contains(told), "`{told}` is missing in\n{screen}");
        }
        assert!(!screen.contains("SNR"), "what no protocol tells is left out");
    }

    #[test]
    fn a_folder_without_a_node_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let failure = read(folder.path()).expect_err("no node");
        assert!(format!("{:#}", failure.error).contains("--state"), "{:#}", failure.error);
    }
}
