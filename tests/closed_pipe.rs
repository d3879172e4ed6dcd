//! Whoever reads the output may stop reading: the command ends, and quietly.

#![cfg(all(unix, feature = "cli", feature = "sim"))]

use std::process::{Command, Stdio};

#[test]
fn a_reader_that_leaves_ends_the_command_quietly() {
    for arguments in [
        &["link"][..],
        &["link", "--json"],
        &["link", "--plan"],
        &["link", "--validate"],
        &["bench", "sim", "--frames", "1"],
        &["completions", "bash"],
        &["link", "--help"],
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_keystill"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {log}", output.status);
        assert!(log.is_empty(), "{arguments:?} complained: {log}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_output_that_is_full_is_an_error_of_storage() {
    for arguments in [&["link"][..], &["link", "--json"], &["completions", "bash"], &["link", "--help"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
        let output = Command::new(env!("CARGO_BIN_EXE_keystill")).args(arguments).stdout(full).output();
        let output = output.expect("it ends");
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(!log.contains("panicked"), "{arguments:?} panicked: {log}");
        if arguments.last() != Some(&"--help") {
            assert_eq!(output.status.code(), Some(6), "{arguments:?}: {log}");
            assert!(log.contains("make room"), "{arguments:?} says what to do: {log}");
        }
    }
}
