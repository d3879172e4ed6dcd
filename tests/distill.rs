//! `keystill distill`: recorded data of both sides, from files to files.

#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A generator whose numbers are the same everywhere (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Two files in a folder of their own.
struct Recording {
    folder: TempDir,
    alice: Vec<u8>,
    bits: usize,
    errors: u64,
}

impl Recording {
    /// Random bits of Alice; Bob's differ where `wrong` says so.
    fn new(bits: usize, seed: u64, mut wrong: impl FnMut(usize, &mut Numbers) -> bool) -> Self {
        let mut numbers = Numbers(seed);
        let mut alice: Vec<u8> = (0..bits.div_ceil(8)).map(|_| numbers.next().to_le_bytes()[0]).collect();
        if !bits.is_multiple_of(8) {
            *alice.last_mut().expect("a byte") &= (1 << (bits % 8)) - 1;
        }
        let mut bob = alice.clone();
        let mut errors = 0;
        for place in (0..bits).filter(|place| wrong(*place, &mut numbers)) {
            bob[place / 8] ^= 1 << (place % 8);
            errors += 1;
        }
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("alice.bin"), &alice).expect("written");
        fs::write(folder.path().join("bob.bin"), bob).expect("written");
        Self { folder, alice, bits, errors }
    }

    /// Independent errors.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2⁶⁴")]
    fn noisy(bits: usize, qber: f64, seed: u64) -> Self {
        let limit = (qber * u64::MAX as f64) as u64;
        Self::new(bits, seed, |_, numbers| numbers.next() < limit)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = distill();
        command.arg("--alice").arg(self.path("alice.bin")).arg("--bob").arg(self.path("bob.bin"));
        command.args(["--bits", &self.bits.to_string(), "--json"]).args(arguments);
        command
    }

    /// Distils to the end, checks what must hold of every success, and returns the object.
    fn distil(&self, arguments: &[&str]) -> Value {
        let out = self.path("out");
        let output = self.command(arguments).arg("--out").arg(&out).assert().success();
        let line: Value = serde_json::from_slice(&output.get_output().stdout).expect("one object");
        assert_eq!(line["equal"], true, "{line}");
        assert_eq!(line["bits"], self.bits, "{line}");
        assert_eq!(line["errors"], self.errors, "every error was found: {line}");
        assert_eq!(line["frames_failed"], 0, "{line}");
        for field in ["method", "qber", "leaked_bits", "leaked_bits_two_way", "frames", "rounds", "messages"]
        {
            assert!(!line[field].is_null(), "{field} in {line}");
        }
        assert!(number(&line, "leaked_bits_two_way") > number(&line, "leaked_bits"), "{line}");
        assert!(number(&line, "seconds") > 0.0 && number(&line, "mbit_per_s") > 0.0, "{line}");
        for name in ["alice.bits", "bob.bits"] {
            assert_eq!(
                fs::read(out.join(name)).expect(name),
                self.alice,
                "{name} holds Alice's bits: {line}"
            );
        }
        line
    }
}

fn distill() -> Command {
    let mut command = Command::cargo_bin("keystill").expect("the program is built");
    command.args(["distill", "bb84"]);
    command
}

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} in {line}"))
}

#[test]
fn every_length_and_method_ends_with_equal_strings() {
    for bits in [1, 2, 7, 63, 64, 65, 500, 4097, 65_537, 299_993] {
        let recording = Recording::noisy(bits, 0.02, bits as u64);
        for method in ["auto", "ldpc", "cascade"] {
            let line = recording.distil(&["--method", method]);
            assert!(method == "auto" || line["method"] == method, "{line}");
        }
    }
}

#[test]
fn long_strings_are_corrected_near_the_limit() {
    let recording = Recording::noisy(999_983, 0.02, 5);
    let cascade = recording.distil(&["--method", "cascade"]);
    assert!((1.0..1.09).contains(&number(&cascade, "efficiency")), "{cascade}");
    assert!((2.0..2.18).contains(&number(&cascade, "efficiency_two_way")), "{cascade}");
    let ldpc = recording.distil(&["--method", "ldpc"]);
    assert!((1.0..1.3).contains(&number(&ldpc, "efficiency")), "{ldpc}");
    let auto = recording.distil(&[]);
    assert_eq!(auto["method"], "ldpc", "both directions count: {auto}");
    assert!(number(&auto, "secret_bits") > 0.6 * 999_983.0, "{auto}");
    let spared = recording.distil(&["--accounting", "reference"]);
    assert_eq!(spared["method"], "cascade", "questions are free: {spared}");
    assert!(number(&spared, "secret_bits") > number(&auto, "secret_bits"), "{spared}");
}

#[test]
fn strings_without_errors_and_full_of_them() {
    let equal = Recording::noisy(100_000, 0.0, 6).distil(&[]);
    assert_eq!(equal["qber"], 0.0, "{equal}");
    assert!(equal["efficiency"].is_null(), "no errors, no limit to compare with: {equal}");
    for (qber, method) in [(0.001, "auto"), (0.08, "ldpc"), (0.11, "auto"), (0.13, "auto")] {
        Recording::noisy(200_000, qber, 7).distil(&["--method", method]);
    }
}

#[test]
fn a_wrong_error_rate_costs_efficiency_only() {
    let recording = Recording::noisy(300_000, 0.03, 8);
    for told in ["0", "0.005", "0.015", "0.03", "0.06", "0.14"] {
        for method in ["auto", "ldpc", "cascade"] {
            recording.distil(&["--method", method, "--qber", told]);
        }
    }
}

#[test]
fn bursts_and_periods_cost_no_more_than_independent_errors() {
    let bits = 1 << 20;
    let independent = Recording::noisy(bits, 0.02, 9);
    // Runs of 640 bits, each wrong with one half, one run in 25.
    let mut bad = false;
    let bursts = Recording::new(bits, 10, |place, numbers| {
        if place % 640 == 0 {
            bad = numbers.next() % 25 == 0;
        }
        bad && numbers.next() % 2 == 0
    });
    let periodic = Recording::new(bits, 11, |place, numbers| place % 16 == 5 && numbers.next() % 25 < 8);
    for method in ["ldpc", "cascade"] {
        let spent = |recording: &Recording| number(&recording.distil(&["--method", method]), "efficiency");
        let (even, burst, period) = (spent(&independent), spent(&bursts), spent(&periodic));
        assert!(burst < 1.08 * even, "{method}: f {burst} in bursts, {even} else");
        assert!(period < 1.08 * even, "{method}: f {period} with a period of 16, {even} else");
    }
}

#[test]
fn uncorrelated_strings_end_soon_and_leak_little() {
    for (bits, told) in [(100_000, None), (100_000, Some("0.02")), (1 << 20, None), (2000, Some("0.05"))] {
        let recording = Recording::noisy(bits, 0.5, 12);
        for method in ["auto", "ldpc", "cascade"] {
            let out = recording.path("out");
            let mut command = recording.command(&["--method", method]);
            command.args(told.iter().flat_map(|told| ["--qber", told])).arg("--out").arg(&out);
            let output = command.assert().code(5);
            let line: Value = serde_json::from_slice(&output.get_output().stdout).expect("one object");
            assert_eq!(line["equal"], false, "{line}");
            assert_eq!(line["secret_bits"], 0, "{line}");
            assert!(line["abort"].is_string(), "it says why: {line}");
            assert!(number(&line, "leaked_bits") < 3.0 * bits as f64, "two tries at most: {line}");
            assert!(!out.exists(), "nothing is written: {line}");
        }
    }
}

#[test]
fn mistakes_are_told_apart() {
    let recording = Recording::noisy(1000, 0.02, 13);
    recording.command(&["--qber", "0.7"]).assert().code(2);
    recording.command(&["--qber=nan"]).assert().code(2);
    recording.command(&["--method", "guess"]).assert().code(2);
    let files = |bits: &str, bob: &Path| {
        let mut command = distill();
        command.arg("--alice").arg(recording.path("alice.bin")).arg("--bob").arg(bob).args(["--bits", bits]);
        command.assert()
    };
    let bob = recording.path("bob.bin");
    files("0", &bob).code(2);
    let cut = files("1001", &bob).code(3);
    let told = String::from_utf8_lossy(&cut.get_output().stderr).into_owned();
    assert!(told.contains("125 bytes") && told.contains("126"), "{told}");
    files("1000", &recording.path("missing")).code(6);
    files("999", &bob).success();
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let recording = Recording::noisy(1 << 20, 0.03, 14);
    let counts = |threads: &str| {
        let line = recording.distil(&["--method", "ldpc", "--threads", threads]);
        ["leaked_bits", "leaked_bits_two_way", "messages", "frames", "iterations"]
            .map(|field| line[field].clone())
    };
    assert_eq!(counts("1"), counts("3"), "a frame is planned from frames corrected before");
}
