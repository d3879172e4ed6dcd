//! `keystill distill bb84` on files of other programs: CSV, and type-3 files that S-Fifteen's qcrypto wrote.

#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recorded").join(name)
}

fn distil(alice: &Path, bob: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("keystill").expect("the program is built");
    command.args(["distill", "bb84", "--json", "--alice"]).arg(alice).arg("--bob").arg(bob).args(arguments);
    command
}

/// What a run prints that succeeds.
fn success(alice: &Path, bob: &Path, arguments: &[&str]) -> Value {
    let output = distil(alice, bob, arguments).assert().success();
    serde_json::from_slice(&output.get_output().stdout).expect("one object")
}

/// Whether a run ends with this code and says this.
fn refused(alice: &Path, bob: &Path, arguments: &[&str], code: i32, why: &str) {
    let output = distil(alice, bob, arguments).assert().code(code);
    let told = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(told.contains(why), "`{why}` in: {told}");
}

#[test]
fn epochs_that_qcrypto_sifted_become_equal_strings() {
    let (alice, bob) = (example("qcrypto/alice"), example("qcrypto/bob"));
    let out = TempDir::new().expect("a folder");
    let written = out.path().join("out");
    let line = success(&alice, &bob, &["--out", &written.to_string_lossy()]);
    // costream told 3097, 3063 and 2958 sifted events; their files differ in 289 bits.
    assert_eq!((&line["bits"], &line["errors"]), (&9118.into(), &289.into()), "{line}");
    assert_eq!(line["equal"], true, "{line}");
    // Alice's bits are kept as they stand: the first word of the first epoch, highest bit first.
    let file = fs::read(alice.join("00000005")).expect("an epoch");
    let first = u32::from_le_bytes(file[16..20].try_into().expect("a word"));
    let kept = fs::read(written.join("alice.bits")).expect("written");
    assert_eq!(kept[..4], first.reverse_bits().to_le_bytes(), "the first 32 bits");
    assert_eq!(kept.len(), 9118_usize.div_ceil(8), "all of them");
    let epoch = success(&alice.join("00000006"), &bob.join("00000006"), &[]);
    assert_eq!(epoch["bits"], 3063, "a single epoch, known by its name: {epoch}");
}

#[test]
fn epochs_in_one_stream_are_those_in_files() {
    let folder = TempDir::new().expect("a folder");
    let stream = |side: &str| {
        // In another order: epochs are sorted by their header.
        let files = ["00000007", "00000005", "00000006"];
        let bytes = files.map(|name| fs::read(example("qcrypto").join(side).join(name)).expect("an epoch"));
        let path = folder.path().join(side).with_extension("t3");
        fs::write(&path, bytes.concat()).expect("written");
        path
    };
    let (alice, bob) = (stream("alice"), stream("bob"));
    for (alice, bob) in [(&alice, &bob), (&alice, &example("qcrypto/bob"))] {
        let line = success(alice, bob, &[]);
        assert_eq!((&line["bits"], &line["errors"]), (&9118.into(), &289.into()), "{line}");
    }
    let bytes = fs::read(&alice).expect("a stream");
    fs::write(&alice, &bytes[..bytes.len() - 1]).expect("cut");
    refused(&alice, &bob, &[], 3, "the file was cut");
    fs::write(&alice, &bytes[..bytes.len() / 2 / 4 * 4]).expect("cut");
    refused(&alice, &bob, &[], 3, "00000005");
    refused(&example("qcrypto/alice"), &example("qcrypto/bob/00000005"), &[], 3, "epoch 00000006 is missing");
    refused(&example("alice.csv"), &bob, &["--format", "type3"], 3, "is no type-3 packet");
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    refused(&folder.path().join("empty"), &bob, &[], 3, "there is no epoch in it");
}

#[test]
fn a_column_of_bits_is_read() {
    let (alice, bob) = (example("alice.csv"), example("bob.csv"));
    for column in ["bit", "2"] {
        let line = success(&alice, &bob, &["--column", column]);
        assert_eq!((&line["bits"], &line["equal"]), (&2000.into(), &true.into()), "{line}");
        assert!(line["errors"].as_u64().is_some_and(|errors| (20..80).contains(&errors)), "{line}");
    }
    let few = success(&alice, &bob, &["--column", "bit", "--bits", "1000"]);
    assert_eq!(few["bits"], 1000, "as many as asked for: {few}");
    refused(&alice, &bob, &[], 3, "gate | bit");
    refused(&alice, &bob, &["--column", "bits"], 3, "there is no column `bits`");
    refused(&alice, &bob, &["--column", "gate"], 3, "line 2, column 1: `3` is not a bit, 0 or 1");
    refused(&alice, &bob, &["--column", "bit", "--bits", "2001"], 3, "has 2000 bits");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("bits");
    fs::write(&path, "1\n0\n1\n").expect("written");
    let line = success(&path, &path, &["--format", "csv"]);
    assert_eq!(line["bits"], 3, "without a name or a suffix: {line}");
    refused(&path, &path, &["--column", "bit"], 2, "neither file is CSV");
    fs::write(&path, "").expect("written");
    refused(&path, &path, &["--format", "csv"], 3, "there is no bit in it");
}
