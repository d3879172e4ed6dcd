//! Two nodes that distil raw frames from outside: Alice's from a recording, Bob's over a socket.
#![cfg(unix)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use keystill::bb84;
use keystill::pipeline::{FrameSource, Replay, StreamWriter};
use keystill::stage::Role;
use keystill::store::{Folder, KeyId, KeyStore, Limits, Share, Store};

const SET: [&str; 5] = [
    "link.length_km=1",
    "bb84.block_s=0.02",
    "bb84.frame_ms=2",
    "bb84.test_probability=0.3",
    "bb84.epsilon=0.01",
];

fn keystill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Records three blocks of both sides.
fn record(folder: &Path) {
    let mut command = keystill(folder);
    command.args(["run", "--protocol", "bb84", "--duration", "0.06s", "--seed", "4", "--record", "raw"]);
    SET.iter().for_each(|set| {
        command.args(["--set", set]);
    });
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "run --record: {}", String::from_utf8_lossy(&output.stderr));
}

fn configure(folder: &Path, name: &str, way: &str, from: &str) {
    let text = format!(
        "{way}\npatience_s = 60\n[world]\nseed = 9\nprotocol = \"bb84\"\nset = {SET:?}\n\
         [source.bb84]\nfrom = {from}\npre_shared_key = \"key\"\n"
    );
    fs::write(folder.join(format!("{name}.toml")), text).expect("writable");
}

fn node(folder: &Path, name: &str) -> Child {
    let mut command = keystill(folder);
    command.args(["node", name, "--threads", "1", "--json"]);
    command.args(["--config", &format!("{name}.toml"), "--state", &format!("{name}.state")]);
    command.spawn().expect("it starts")
}

/// Serves Bob's recording as a stream of raw frames, the last frame and the end mark included.
fn serve(folder: &Path) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(folder.join("bob.sock")).expect("a socket");
    let replay =
        Replay::<bb84::Frame>::open(&folder.join("raw/bb84-bob.rec"), "bb84", Role::Bob).expect("whole");
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("a node");
        let mut writer = StreamWriter::begin(socket, replay.description(), 0).expect("it reads");
        for index in 0..replay.frames() {
            writer.write(&replay.frame(index)(keystill::Isa::best()).expect("whole")).expect("it reads");
        }
        writer.end().expect("it reads");
    })
}

fn keys(state: &Path) -> Vec<(KeyId, Vec<u8>)> {
    let mut store = Store::open(Folder::open(state).expect("free"), Limits::default()).expect("good");
    let keys = store.deliver_next(Share::All, usize::MAX).expect("open");
    keys.iter().map(|key| (key.id, key.bytes().to_vec())).collect()
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

#[test]
fn frames_of_a_recording_and_of_a_socket_become_the_same_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    record(folder);
    fs::write(folder.join("key"), (0..6432_u32).map(|i| ((i * i) >> 3).to_le_bytes()[0]).collect::<Vec<_>>())
        .expect("writable");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    configure(folder, "alice", &format!("listen = \"{port}\""), r#"{ recording = "raw/bb84-alice.rec" }"#);
    configure(folder, "bob", &format!("connect = \"{port}\""), r#"{ unix = "bob.sock" }"#);
    let hardware = serve(folder);
    let nodes = ["alice", "bob"].map(|name| node(folder, name));
    let [alice, bob] = nodes.map(|node| node.wait_with_output().expect("it ends"));
    hardware.join().expect("all frames were read");
    assert!(alice.status.success() && bob.status.success(), "{}\n{}", told(&alice), told(&bob));
    assert!(!told(&alice).contains("key_digest"), "of a real key nothing is told");
    let keys = [keys(&folder.join("alice.state")), keys(&folder.join("bob.state"))];
    assert!(!keys[0].is_empty(), "there is key: {}", told(&alice));
    assert_eq!(keys[0], keys[1], "both ends hold the same");
}

#[test]
fn real_frames_need_a_state_and_a_pre_shared_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    record(folder);
    configure(folder, "alice", "listen = \"127.0.0.1:0\"", r#"{ recording = "raw/bb84-alice.rec" }"#);
    let refused = node(folder, "alice").wait_with_output().expect("it ends");
    assert_eq!(refused.status.code(), Some(3), "no such key file: {}", told(&refused));
    fs::write(folder.join("key"), [7; 100]).expect("writable");
    let refused = node(folder, "alice").wait_with_output().expect("it ends");
    assert_eq!(refused.status.code(), Some(3), "too short: {}", told(&refused));
    assert!(told(&refused).contains("100 bytes"), "it says so: {}", told(&refused));
    let mut stateless = keystill(folder);
    let refused = stateless.args(["node", "alice", "--config", "alice.toml"]).output().expect("it starts");
    assert!(told(&refused).contains("--state"), "pads would come twice: {}", told(&refused));
}
