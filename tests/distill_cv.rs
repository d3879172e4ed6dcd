//! `keystill distill cv`: recorded quadratures of both sides, from files to keys.

#![cfg(feature = "cli")]

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use serde_json::Value;
use tempfile::TempDir;

/// η, v_el, V_A of the simulated receiver and source.
const EFFICIENCY: f64 = 0.6;
const ELECTRONIC: f64 = 0.1;
const MODULATION: f64 = 4.0;

/// A generator whose numbers are the same everywhere (SplitMix64, Box and Muller).
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ z >> 31) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn gaussian(&mut self) -> f64 {
        libm::sqrt(-2.0 * libm::log(self.uniform())) * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

/// Both sides' quadratures x, p, x, p, … over a channel of transmittance T and excess noise ξ.
fn channel(symbols: usize, transmittance: f64, excess_noise: f64) -> (Vec<f64>, Vec<f64>) {
    let mut noise = Noise(11);
    let gain = libm::sqrt(EFFICIENCY * transmittance / 2.0);
    let deviation = libm::sqrt(1.0 + ELECTRONIC + gain * gain * excess_noise);
    let pair = |_| {
        let x = libm::sqrt(MODULATION) * noise.gaussian();
        (x, gain * x + deviation * noise.gaussian())
    };
    (0..2 * symbols).map(pair).unzip()
}

/// A file of NumPy's, of single precision and shape (n, 2).
#[allow(clippy::cast_possible_truncation, reason = "the header is short, the values are single")]
fn npy(values: &[f64]) -> Vec<u8> {
    let dictionary =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}", values.len() / 2);
    let header = format!("{dictionary:<117}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(values.iter().flat_map(|value| (*value as f32).to_le_bytes()));
    file
}

/// A folder with both files.
struct Recording(TempDir);

impl Recording {
    fn new(alice: &[u8], bob: &[u8]) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("alice"), alice).expect("written");
        fs::write(folder.path().join("bob"), bob).expect("written");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Distils with a calibration of unit shot noise.
    fn distil(&self, arguments: &[&str]) -> Assert {
        self.calibrated("1.0", arguments)
    }

    fn calibrated(&self, shot_noise: &str, arguments: &[&str]) -> Assert {
        let calibration = ["--electronic-noise", "0.1", "--efficiency", "0.6", "--modulation-variance", "4"];
        let mut command = self.command();
        command.args(calibration).args(["--shot-noise", shot_noise, "--calibration-samples", "1000000000"]);
        command.arg("--out").arg(self.path("out")).args(arguments).assert()
    }

    fn command(&self) -> Command {
        let mut command = Command::cargo_bin("keystill").expect("the program is built");
        command.args(["distill", "cv", "--json", "--alice"]).arg(self.path("alice"));
        command.arg("--bob").arg(self.path("bob"));
        command
    }
}

fn lines(assert: &Assert) -> Vec<Value> {
    let text = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn summary(assert: &Assert) -> Value {
    lines(assert).pop().expect("a last line")
}

fn number(line: &Value, field: &str) -> f64 {
    line[field].as_f64().unwrap_or_else(|| panic!("{field} in {line}"))
}

/// The data end in an abort that says why, and nothing is written.
fn refused(recording: &Recording, assert: Assert, code: i32, why: &str) {
    let output = assert.code(code);
    let told = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(told.contains(why), "`{why}` in: {told}");
    assert!(!recording.path("out").exists(), "nothing is written: {told}");
    if code == 5 {
        let last = summary(&output);
        assert_eq!(last["secret_bits"], 0, "{last}");
        assert!(last["abort"].as_str().is_some_and(|abort| abort.contains(why)), "{last}");
    }
}

#[test]
fn a_recording_becomes_key_that_both_sides_hold() {
    let (x, y) = channel(400_000, 0.9, 0.002);
    let recording = Recording::new(&npy(&x), &npy(&y));
    let output = recording.distil(&["--method", "rotation"]).success();
    let lines = lines(&output);
    let (last, frames) = lines.split_last().expect("lines");
    assert!(frames.len() >= 2, "a line a frame: {last}");
    for frame in frames.iter().filter(|frame| frame["verified"] == true) {
        assert!((0.7..1.0).contains(&number(frame, "beta")), "{frame}");
        assert!(number(frame, "iterations") >= 1.0, "{frame}");
    }
    assert_eq!(last["equal"], true, "{last}");
    assert!((number(last, "transmittance") - 0.9).abs() < 0.02, "{last}");
    assert!((number(last, "excess_noise_snu") - 0.002).abs() < 0.05, "{last}");
    let told = (number(last, "n_symbols") * (1.0 - number(last, "rate"))).round();
    let kept = number(last, "frames") - number(last, "frames_failed");
    assert_eq!(number(&last["disclosed"], "syndrome"), told * kept, "every syndrome bit is booked: {last}");
    let secret = number(last, "secret_bits");
    assert!(secret > 10_000.0 && secret < number(last, "kept_bits"), "{last}");
    let read = |name: &str| fs::read(recording.path("out").join(name)).expect(name);
    assert_eq!(read("alice.bits"), read("bob.bits"), "the strings");
    assert_eq!(read("alice.key"), read("bob.key"), "the keys");
    assert_eq!(read("alice.key").len() as f64, (secret / 8.0).ceil(), "as long as said");
    let report: Value = serde_json::from_slice(&read("report.json")).expect("the report");
    assert_eq!(report["secret_bits"], last["secret_bits"], "the report");
}

#[test]
fn slices_become_key_that_both_sides_hold_at_any_number_of_threads() {
    let (x, y) = channel(400_000, 0.9, 0.002);
    let recording = Recording::new(&npy(&x), &npy(&y));
    let last = summary(&recording.distil(&["--method", "slices", "--threads", "1"]).success());
    assert_eq!((&last["equal"], &last["method"]), (&true.into(), &"slices".into()), "{last}");
    assert!((number(&last, "transmittance") - 0.9).abs() < 0.02, "{last}");
    assert!((number(&last, "excess_noise_snu") - 0.002).abs() < 0.05, "rounding is not noise: {last}");
    let kept = number(&last, "frames") - number(&last, "frames_failed");
    let told = (number(&last, "n_symbols") * (4.0 - number(&last, "rate"))).round();
    assert_eq!(
        number(&last["disclosed"], "syndrome"),
        told * kept,
        "every bit of every level is booked: {last}"
    );
    assert_eq!(number(&last["disclosed"], "moments"), 128.0 * kept, "and the sums: {last}");
    assert!(number(&last, "beta") > 0.9, "{last}");
    assert!(number(&last, "secret_bits") > 10_000.0, "{last}");
    let read = |name: &str| fs::read(recording.path("out").join(name)).expect(name);
    assert_eq!(read("alice.key"), read("bob.key"), "the keys");
    let strings = read("alice.bits");
    assert_eq!(strings, read("bob.bits"), "the strings");
    let threads = summary(&recording.distil(&["--method", "slices", "--threads", "2"]).success());
    for same in ["secret_bits", "leaked_bits", "iterations", "transmittance", "frames_failed"] {
        assert_eq!(threads[same], last[same], "{same} on two threads");
    }
    assert_eq!(read("alice.bits"), strings, "nothing is random before the hash");
    let other = summary(&recording.distil(&["--method", "rotation"]).success());
    let less = other["secret_bits"].as_u64() < last["secret_bits"].as_u64();
    assert!(less, "rotations leave less at 0 dB: {other} beside {last}");
}

#[test]
fn slices_at_a_wrong_rate_lose_their_frames_and_make_no_wrong_key() {
    let (x, y) = channel(250_000, 0.9, 0.01);
    let recording = Recording::new(&npy(&x), &npy(&y));
    // 0.6·0.9/2·4/1.1
    let snr_db = 10.0 * libm::log10(0.982);
    let sliced = |snr_db: f64| recording.distil(&["--method", "slices", &format!("--snr-db={snr_db}")]);
    let pessimist = summary(&sliced(snr_db - 1.0).success());
    assert_eq!(pessimist["equal"], true, "{pessimist}");
    fs::remove_dir_all(recording.path("out")).expect("written before");
    let output = sliced(snr_db + 1.0);
    let last = summary(&output);
    assert_eq!(last["frames_failed"], last["frames"], "none can be decoded: {last}");
    assert_eq!(last["disclosed"]["verdict"], last["frames"], "that they failed is told: {last}");
    refused(&recording, output, 5, "could not be corrected");
}

#[test]
fn units_and_forms_of_files_change_nothing() {
    let (x, y) = channel(250_000, 0.9, 0.01);
    let estimates = |output: Assert| {
        let last = summary(&output.success());
        ["transmittance", "excess_noise_snu", "snr_db"].map(|field| number(&last, field))
    };
    let wanted = estimates(Recording::new(&npy(&x), &npy(&y)).distil(&[]));
    // Volts of Alice's converter and of Bob's receiver; plain doubles.
    let plain = |values: &[f64], unit: f64| -> Vec<u8> {
        values.iter().flat_map(|value| (unit * value).to_le_bytes()).collect()
    };
    let volts = Recording::new(&plain(&x, 0.01), &plain(&y, 0.5));
    let found = estimates(volts.calibrated("0.25", &["--dtype", "f64"]));
    for (wanted, found) in wanted.iter().zip(found) {
        assert!((wanted - found).abs() < 0.01 + 0.01 * wanted.abs(), "{wanted} and {found}");
    }
    volts.distil(&[]).code(3);
    // Text, with the time beside them and the columns in another order.
    let text = |values: &[f64]| -> Vec<u8> {
        let rows = values.as_chunks::<2>().0.iter().enumerate();
        let rows = rows.map(|(time, [x, p])| format!("{time};{p:.7e};{x:.7e}\n"));
        "time;p;x\n".chars().chain(rows.collect::<String>().chars()).collect::<String>().into_bytes()
    };
    let csv = Recording::new(&[], &[]);
    let paths = [("alice.csv", &x), ("bob.csv", &y)].map(|(name, values)| {
        fs::write(csv.path(name), text(values)).expect("written");
        csv.path(name).to_string_lossy().into_owned()
    });
    let mut command = Command::cargo_bin("keystill").expect("the program is built");
    command.args(["distill", "cv", "--json", "--alice", &paths[0], "--bob", &paths[1], "--columns", "x,p"]);
    command.args(["--electronic-noise", "0.1", "--efficiency", "0.6", "--modulation-variance", "4"]);
    command.args(["--shot-noise", "1.0", "--calibration-samples", "1000000000"]);
    let found = estimates(command.assert());
    for (wanted, found) in wanted.iter().zip(found) {
        assert!((wanted - found).abs() < 0.005 + 0.001 * wanted.abs(), "{wanted} and {found}");
    }
}

#[test]
fn a_wrong_rate_loses_frames_and_books_them_but_makes_no_wrong_key() {
    let (x, y) = channel(250_000, 0.4, 0.01);
    let recording = Recording::new(&npy(&x), &npy(&y));
    // 0.6·0.4/2·4/1.1
    let snr_db = 10.0 * libm::log10(0.436);
    let pessimist = summary(&recording.distil(&[&format!("--snr-db={}", snr_db - 1.0)]).success());
    assert_eq!(pessimist["equal"], true, "{pessimist}");
    assert!(number(&pessimist, "beta") < 0.85, "{pessimist}");
    fs::remove_dir_all(recording.path("out")).expect("written before");
    let output = recording.distil(&[&format!("--snr-db={}", snr_db + 1.0)]);
    let last = summary(&output);
    assert_eq!(last["frames_failed"], last["frames"], "none can be decoded: {last}");
    assert_eq!(last["disclosed"]["verdict"], last["frames"], "that they failed is told: {last}");
    refused(&recording, output, 5, "could not be corrected");
}

#[test]
fn wrong_gain_and_wrong_shot_noise_make_no_key() {
    let (x, y) = channel(250_000, 0.9, 0.002);
    let recording = Recording::new(&npy(&x), &npy(&y));
    refused(&recording, recording.calibrated("1.1", &[]), 5, "check shot noise and gain");
    refused(&recording, recording.calibrated("0.3", &[]), 5, "transmittance");
    let last = summary(&recording.calibrated("0.9", &[]).success());
    assert!(number(&last, "excess_noise_snu") > 0.2, "a tenth too much noise: {last}");
    assert_eq!(last["secret_bits"], 0, "{last}");
    assert!(last["no_key"].is_string(), "it says why: {last}");
}

#[test]
fn data_that_are_not_what_they_should_be_are_refused() {
    let (x, y) = channel(60_000, 0.9, 0.01);
    let judged = |bob: Vec<f64>, why: &str| {
        let recording = Recording::new(&npy(&x), &npy(&bob));
        refused(&recording, recording.distil(&[]), 5, why);
    };
    let mapped =
        |f: &dyn Fn(usize, f64) -> f64| y.iter().enumerate().map(|(i, v)| f(i, *v)).collect::<Vec<_>>();
    judged(y.as_chunks::<2>().0.iter().flat_map(|[x, p]| [*p, *x]).collect(), "swapped");
    judged(mapped(&|i, v| if i % 2 == 1 { -v } else { v }), "p of the two sides has opposite signs");
    judged(mapped(&|i, v| if i == 4711 { f64::NAN } else { v }), "p of symbol 2355 is not a number");
    judged(mapped(&|i, v| if i == 4710 { f64::INFINITY } else { v }), "x of symbol 2355 is not a number");
    judged(mapped(&|_, v| v.clamp(-2.5, 2.5)), "saturated");
    judged(mapped(&|_, v| v + 0.3), "offset");
    judged(mapped(&|_, v| 0.0 * v), "all values are 0");
    judged(mapped(&|_, v| v * v * v), "kurtosis");
    judged(y.iter().rev().copied().collect(), "not correlated");
    let turned = |[x, p]: &[f64; 2]| [0.8 * x - 0.6 * p, 0.6 * x + 0.8 * p];
    judged(y.as_chunks::<2>().0.iter().flat_map(turned).collect(), "phases differ");
}

#[test]
fn files_that_are_cut_or_odd_and_missing_calibration_are_told_apart() {
    let (x, y) = channel(5000, 0.9, 0.01);
    let (alice, bob) = (npy(&x), npy(&y));
    let file = |bob: &[u8], why: &str| {
        let recording = Recording::new(&alice, bob);
        refused(&recording, recording.distil(&[]), 3, why);
    };
    file(&bob[..bob.len() - 1], "was cut");
    file(&bob[..100], "header");
    file(&npy(&y[..9000]), "do not belong together");
    file(b"no numbers at all", "--dtype");
    let recording = Recording::new(&alice, &bob);
    let bare = recording.command().args(["--efficiency", "0.6", "--shot-noise", "1"]).assert().code(2);
    let told = String::from_utf8_lossy(&bare.get_output().stderr).into_owned();
    for missing in ["--electronic-noise", "--modulation-variance", "--calibration-samples"] {
        assert!(told.contains(missing), "{missing} in: {told}");
    }
    assert!(!told.contains("--efficiency"), "it is there: {told}");
    recording.distil(&["--efficiency", "1.4"]).code(2);
    recording.distil(&["--epsilon", "0"]).code(2);
    let few = recording.distil(&[]);
    refused(&recording, few, 5, "symbols behind the sample");
    let missing = Recording::new(&alice, &bob);
    fs::remove_file(missing.path("bob")).expect("it was there");
    missing.distil(&[]).code(6);
}
