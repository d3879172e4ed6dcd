//! Frames decoded by real workers behind a real NATS server, one of them killed on the way.
//!
//! Needs `nats-server` (Debian's package of that name); says so and passes where there is none, unless
//! `KEYSTILL_NATS=1` insists.
#![cfg(all(feature = "nats", feature = "cli", unix))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A process that is stopped when its test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, or been killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn keystill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
    command.current_dir(folder);
    command
}

fn certs(folder: &Path, arguments: &[&str]) {
    let done = keystill(folder).arg("certs").args(arguments).output().expect("it starts");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Certificates, a site key and configurations; a server with TLS both ways. `None` without `nats-server`.
fn site(folder: &Path) -> Option<Running> {
    certs(folder, &["init"]);
    certs(folder, &["server", "nats", "--host", "localhost"]);
    for client in ["node", "worker"] {
        certs(folder, &["client", client]);
    }
    certs(folder, &["site-key"]);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let server = format!(
        "listen: \"127.0.0.1:{port}\"\ntls {{\n  cert_file: certs/nats.pem\n  key_file: certs/nats.key\n  \
         ca_file: certs/ca.pem\n  verify: true\n}}\n"
    );
    std::fs::write(folder.join("nats.conf"), server).expect("written");
    for name in ["node", "worker"] {
        let text = format!(
            "server = \"tls://localhost:{port}\"\nauthority = \"certs/ca.pem\"\ncertificate = \
             \"certs/{name}.pem\"\nkey = \"certs/{name}.key\"\nsite_key = \"certs/site.key\"\nname = \"link-1\"\n\
             patience_ms = 3000\n"
        );
        std::fs::write(folder.join(format!("{name}.toml")), text).expect("written");
    }
    let started = Command::new("nats-server")
        .args(["-c", "nats.conf"])
        .current_dir(folder)
        .env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(process) = started else {
        assert!(
            std::env::var_os("KEYSTILL_NATS").is_none(),
            "KEYSTILL_NATS insists, but nats-server is missing"
        );
        eprintln!("not run: no nats-server here");
        return None;
    };
    let running = Running(process);
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "nats-server does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(running)
}

fn worker(folder: &Path, config: &str) -> Running {
    let mut process = keystill(folder)
        .args(["worker", "--config", config, "--threads", "1", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    let output = process.stdout.as_mut().expect("piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    assert!(line.contains("working"), "{line}");
    Running(process)
}

const WORLD: &[&str] = &[
    "run",
    "--protocol",
    "bb84",
    "--duration",
    "0.4s",
    "--seed",
    "11",
    "--method",
    "ldpc",
    "--threads",
    "2",
    "--json",
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
];

/// The records of a run's blocks, but for when they ended, and what it said at the end. `after` sees the
/// count of blocks after each.
fn run(folder: &Path, more: &[&str], mut after: impl FnMut(usize)) -> (Vec<Value>, String) {
    let mut process = keystill(folder)
        .args(WORLD)
        .args(more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(process.stdout.take().expect("piped"));
    let mut errors = process.stderr.take().expect("piped");
    let mut blocks = Vec::new();
    for line in output.lines() {
        let mut line: Value = serde_json::from_str(&line.expect("text")).expect("JSON");
        if line["event"] == "block" {
            // How long it took differs.
            line["elapsed_s"] = Value::Null;
            line["stage_s"] = Value::Null;
            blocks.push(line);
            after(blocks.len());
        }
    }
    let mut said = String::new();
    errors.read_to_string(&mut said).expect("text");
    assert!(process.wait().expect("it ran").success(), "{more:?}: {said}");
    (blocks, said)
}

fn assert_same(blocks: &[Value], alone: &[Value], why: &str) {
    assert_eq!(blocks.len(), alone.len(), "{why}");
    for (block, alone) in blocks.iter().zip(alone) {
        assert_eq!(block, alone, "{why}");
    }
}

/// The numbers in "keystill: A frames decoded by workers, B here after all".
fn counts(said: &str) -> (u64, u64) {
    let line = said.lines().find(|line| line.contains("decoded by workers")).expect("a count");
    let mut numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (numbers.next().expect("answered"), numbers.next().expect("unanswered"))
}

#[test]
fn killing_workers_changes_no_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(_server) = site(folder) else { return };
    let (alone, _) = run(folder, &[], |_| ());
    assert!(
        alone.len() >= 10 && alone.iter().any(|block| block["key_digest"].is_string()),
        "there are keys: {alone:?}"
    );

    let mut first = worker(folder, "worker.toml");
    let (with_worker, said) = run(folder, &["--offload", "node.toml"], |_| ());
    assert_same(&with_worker, &alone, "the same keys");
    let (answered, unanswered) = counts(&said);
    assert!(answered >= 10 && unanswered == 0, "the worker decoded all: {said}");

    let second = worker(folder, "worker.toml");
    let (after_a_kill, said) = run(folder, &["--offload", "node.toml"], |blocks| {
        if blocks == 3 {
            // SIGKILL: no farewell.
            first.0.kill().expect("it ran");
        }
    });
    assert_same(&after_a_kill, &alone, "the same keys, though a worker was killed");
    assert!(counts(&said).0 >= 10, "the other one went on: {said}");

    drop(second);
    let (deserted, said) = run(folder, &["--offload", "node.toml"], |_| ());
    assert_same(&deserted, &alone, "the same keys without any worker");
    assert_eq!(counts(&said).0, 0, "decoded here: {said}");
}

#[test]
fn strangers_neither_work_nor_listen() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let Some(_server) = site(folder) else { return };
    let foreign = std::fs::read_to_string(folder.join("worker.toml")).expect("written above");
    std::fs::write(folder.join("foreign.key"), [1; 32]).expect("written");
    let foreign = foreign.replace("certs/site.key", "foreign.key");
    std::fs::write(folder.join("foreign.toml"), foreign).expect("written");
    let _stranger = worker(folder, "foreign.toml");
    let (blocks, said) = run(folder, &["--offload", "node.toml"], |_| ());
    assert!(!blocks.is_empty() && counts(&said).0 == 0, "another site's key decodes nothing: {said}");

    let text = std::fs::read_to_string(folder.join("nats.conf")).expect("written above");
    let port = text.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('"').next()).expect("a port");
    let mut plain = TcpStream::connect(format!("127.0.0.1:{port}")).expect("it listens");
    plain.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    plain.write_all(b"CONNECT {\"verbose\":true}\r\nSUB keystill.> 1\r\nPING\r\n").expect("sent");
    let mut heard = Vec::new();
    // The server may close or reset the connection: both are a refusal.
    let _ = plain.read_to_end(&mut heard);
    assert!(!heard.windows(4).any(|word| word == b"PONG"), "nobody listens without TLS");
}
