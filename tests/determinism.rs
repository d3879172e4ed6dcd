//! Same seed, any number of threads, any instruction set, live or replayed: the same keys, byte by byte.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

/// A short link with short blocks and a relaxed ε: both protocols leave key within a second or two.
const SHORT: [&str; 18] = [
    "--set",
    "link.length_km=1",
    "--set",
    "bb84.block_s=0.02",
    "--set",
    "bb84.frame_ms=2",
    "--set",
    "bb84.test_probability=0.3",
    "--set",
    "bb84.epsilon=0.01",
    "--set",
    "cv.block_s=0.06",
    "--set",
    "cv.frame_ms=2",
    "--set",
    "cv.sample_symbols=50000",
    "--set",
    "cv.epsilon=0.01",
];

fn run(duration: &str, arguments: &[&str], isa: &str) -> Command {
    let mut command = Command::cargo_bin("keystill").expect("the command line is built");
    command.args(["run", "--json", "--seed", "7", "--duration", duration]).args(SHORT).args(arguments);
    command.env("KEYSTILL_ISA", isa);
    command
}

/// The digests of all keys: protocol, block, digest.
fn digests(command: &mut Command) -> Vec<(String, u64, String)> {
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("one object a line"));
    let mut found: Vec<_> = records
        .filter(|record| record["event"] == "block")
        .map(|record| {
            let digest = record["key_digest"].as_str().unwrap_or_else(|| panic!("no key: {record}"));
            (record["protocol"].to_string(), record["block"].as_u64().expect("a number"), digest.to_owned())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn threads_and_instruction_sets_change_no_key() {
    let want = digests(&mut run("0.06s", &["--threads", "1"], "scalar"));
    assert_eq!(want.len(), 3 + 1, "three blocks of BB84, one of CV: {want:?}");
    for isa in ["portable", "avx2", "avx512"] {
        let probe = run("0.06s", &["--threads", "2"], isa).output().expect("it runs");
        if probe.status.code() == Some(3) {
            continue; // This CPU lacks the level.
        }
        assert_eq!(digests(&mut run("0.06s", &["--threads", "3"], isa)), want, "{isa}, three threads");
    }
}

#[test]
fn a_recording_replays_to_the_same_keys_and_a_damaged_one_is_refused() {
    let best = if cfg!(target_arch = "x86_64") { "portable" } else { "scalar" };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a plain path");
    let want = digests(&mut run("0.06s", &["--record", path], best));
    assert_eq!(want.len(), 3 + 1, "three blocks of BB84, one of CV: {want:?}");
    assert_eq!(digests(&mut run("0.06s", &["--replay", path], best)), want, "the same frames, the same keys");
    let refused = |damage: &dyn Fn(&mut Vec<u8>)| {
        let file = folder.path().join("cv-bob.rec");
        let whole = std::fs::read(&file).expect("recorded");
        let mut damaged = whole.clone();
        damage(&mut damaged);
        std::fs::write(&file, damaged).expect("writable");
        let output = run("0.06s", &["--replay", path], best).output().expect("it runs");
        std::fs::write(&file, whole).expect("writable");
        assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    };
    refused(&|bytes| bytes.truncate(bytes.len() / 2));
    refused(&|bytes| bytes[1000] ^= 1);
}

#[test]
fn a_channel_too_noisy_says_why_and_releases_nothing() {
    let noisy = ["--set", "bb84.misalignment=0.2", "--set", "cv.technical_excess_noise_snu=2.0"];
    let output = run("0.06s", &noisy, "portable").output().expect("it runs");
    let (text, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(5), "{text}{why}");
    assert!(!text.contains("key_digest"), "no key: {text}");
    assert!(why.contains("no secure key"), "{why}");
}

#[test]
fn a_run_keeps_its_records() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let path = path.to_str().expect("a plain path");
    run("0.06s", &["--out", path], "portable").assert().success();
    let read = |name: &str| std::fs::read_to_string(Path::new(path).join(name)).expect("written");
    let summary: Value = serde_json::from_str(&read("summary.json")).expect("an object");
    let protocols = summary["protocols"].as_array().expect("a list");
    assert_eq!(protocols.len(), 2, "{summary}");
    for protocol in protocols {
        assert_eq!(protocol["keys_equal"], true, "{protocol}");
        assert!(protocol["secret_bits"].as_u64().is_some_and(|bits| bits > 0), "{protocol}");
        let told = protocol["disclosed_bits"].as_u64().zip(protocol["sifted_bits"].as_f64());
        // Slices have four raw bits a quadrature.
        let raw = if protocol["protocol"] == "cv" { 4.0 } else { 1.0 };
        assert!(told.is_some_and(|(told, sifted)| told > 0 && (told as f64) < raw * sifted), "{protocol}");
    }
    assert_eq!(read("blocks.ndjson").lines().count(), 4, "a record a block");
}
