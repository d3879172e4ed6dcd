//! Privacy amplification against published vectors, and the command for files.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Vectors of cryptomite 0.3.0, `Toeplitz(n, m).extract(x, s)`, bits packed lowest first.
fn vector(n: usize, m: usize, part: &str) -> PathBuf {
    named(&format!("toeplitz_n{n}_m{m}.{part}"))
}

fn named(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/toeplitz").join(name)
}

fn amplify(input: &Path, seed: &Path, bits: usize, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
    command.arg("amplify").arg("--input").arg(input).arg("--seed").arg(seed);
    command.args(["--bits", &bits.to_string()]).arg("--output").arg(output);
    command
}

#[test]
fn vectors_of_cryptomite_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    for (n, m) in [(1000, 333), (4096, 2048)] {
        let output = folder.path().join(format!("{n}.key"));
        let mut command = amplify(&vector(n, m, "x"), &vector(n, m, "seed"), m, &output);
        command.args(["--input-bits", &n.to_string()]).assert().success();
        let (found, wanted) = (std::fs::read(&output), std::fs::read(vector(n, m, "out")));
        assert_eq!(found.expect("written"), wanted.expect("a vector"), "{n} to {m} bits");
    }
}

#[test]
fn the_modified_matrix_of_cryptomite_and_the_identity_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let (output, m) = (folder.path().join("key"), 333);
    let [x, seed, wanted] = ["x", "seed", "out"].map(|part| named(&format!("modified_n1000_m{m}.{part}")));
    let mut command = amplify(&x, &seed, m, &output);
    command.args(["--input-bits", "1000", "--modified"]).assert().success();
    let (found, wanted) = (std::fs::read(&output), std::fs::read(wanted));
    assert_eq!(found.expect("written"), wanted.expect("a vector"), "1000 to {m} bits");
}

/// A disk that is full: every write to this device fails for want of space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_no_file() {
    let limited = "ulimit -f 1; trap '' XFSZ; exec \"$0\" \"$@\"";
    let folder = tempfile::tempdir().expect("a folder");
    let (x, seed, output) = (folder.path().join("x"), folder.path().join("seed"), folder.path().join("key"));
    std::fs::write(&x, vec![5; 20_000]).expect("written");
    std::fs::write(&seed, vec![7; 20_000]).expect("written");
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_keystill"), "amplify", "--modified"]);
    command.args(["--bits", "80000"]).arg("--input").arg(&x).arg("--seed").arg(&seed);
    command.arg("--output").arg(&output).assert().code(6);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().collect();
    assert_eq!(left.len(), 2, "neither an output nor a partial one: {left:?}");
}

#[test]
fn what_does_not_fit_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("key");
    let (x, seed) = (vector(4096, 2048, "x"), vector(4096, 2048, "seed"));
    amplify(&x, &seed, 0, &output).assert().code(2);
    amplify(&x, &seed, 4097, &output).assert().code(2);
    amplify(&x, &seed, 2000, &output).assert().code(3);
    amplify(&x, &x, 2048, &output).assert().code(3);
    amplify(&x, &folder.path().join("none"), 2048, &output).assert().code(6);
    amplify(&x, &seed, 2048, &folder.path().join("none/key")).assert().code(6);
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "neither an output nor a partial one");
}
