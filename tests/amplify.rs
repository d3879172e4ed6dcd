//! Privacy amplification against published vectors, and the command for files.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// Vectors of cryptomite 0.3.0, `Toeplitz(n, m).extract(x, s)`, bits packed lowest first.
fn vector(n: usize, m: usize, part: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/toeplitz/toeplitz_n{n}_m{m}.{part}"))
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
