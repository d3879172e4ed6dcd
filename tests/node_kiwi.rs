//! Two nodes that distil what a Kiwi's `gc` let through: over its socket and pipes, byte for byte as it was.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use keystill::store::{Folder, KeyId, KeyStore, Limits, Share, Store};
use serde_json::Value;

fn example(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kiwi").join(name)).expect(name)
}

/// Configurations, data and a pre-shared key in a folder of their own, at a port of their own.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    for name in ["alice", "bob"] {
        let text = String::from_utf8(example(&format!("{name}.toml"))).expect("text");
        let text = text.replace("127.0.0.1:7011", &port.to_string());
        fs::write(folder.path().join(format!("{name}.toml")), text).expect("written");
    }
    for name in ["alice.angles", "bob.angles", "bob.results"] {
        fs::write(folder.path().join(name), example(name)).expect("written");
    }
    let key: Vec<u8> = (0..6432_u32).map(|i| ((i * i) >> 3).to_le_bytes()[0]).collect();
    fs::write(folder.path().join("psk.key"), key).expect("written");
    folder
}

fn change(folder: &Path, name: &str, from: &str, to: &str) {
    let path = folder.join(format!("{name}.toml"));
    let text = fs::read_to_string(&path).expect("a configuration");
    assert!(text.contains(from), "{from} in {text}");
    fs::write(path, text.replace(from, to)).expect("written");
}

fn node(folder: &Path, name: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
    command.current_dir(folder).args(["node", name, "--threads", "1", "--json"]);
    command.args(["--config", &format!("{name}.toml"), "--state", &format!("{name}.state")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Runs both to the end. They leave no key of so few clicks.
fn run(folder: &Path) -> [Value; 2] {
    let nodes = ["alice", "bob"].map(|name| node(folder, name));
    nodes.map(|node| {
        let output = node.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(5), "no key of 12288 clicks: {}", told(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("\"event\":\"block\"")).expect("a block");
        serde_json::from_str(line).expect("an object")
    })
}

fn told(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// What their program `qber` counts: events with a certain result, by Alice's index and Bob's, and errors among
/// them; it looks at two of the four angles of either side.
fn counted_by_qber() -> (u64, u64) {
    let nibbles = |name| example(name).iter().flat_map(|byte| [byte & 15, byte >> 4]).collect::<Vec<_>>();
    let (alice, bob, results) = (nibbles("alice.angles"), nibbles("bob.angles"), example("bob.results"));
    let (mut events, mut errors) = (0, 0);
    for ((alice, bob), result) in alice.iter().zip(&bob).zip(&results) {
        let pair = (alice & 3, bob & 3);
        let wrong = match pair {
            (1, 0) | (0, 1) => 0,
            (2, 0) | (0, 2) => 1,
            _ => continue,
        };
        events += 1;
        errors += u64::from(*result == wrong);
    }
    (events, errors)
}

/// What a block of these clicks must be.
fn check([alice, bob]: &[Value; 2]) {
    let number =
        |line: &Value, field: &str| line[field].as_f64().unwrap_or_else(|| panic!("{field}: {line}"));
    for side in [alice, bob] {
        assert_eq!(number(side, "clicks"), 12288.0, "every click: {side}");
        assert_eq!(side["secret_bits"], 0, "{side}");
    }
    assert_eq!(alice["sifted_bits"], bob["sifted_bits"], "{alice} {bob}");
    assert!((2800.0..3350.0).contains(&number(bob, "sifted_bits")), "a quarter is of the key basis: {bob}");
    let (events, errors) = counted_by_qber();
    let theirs = errors as f64 / events as f64;
    assert!((0.005..0.015).contains(&theirs), "one in a hundred was made wrong: {theirs}");
    for field in ["qber", "test_qber"] {
        let ours = number(bob, field);
        assert!((ours - theirs).abs() < 0.006, "{field}: {ours}, theirs {theirs}");
    }
    assert_eq!(
        number(bob, "kept_bits"),
        number(bob, "sifted_bits"),
        "all bits were corrected and verified: {bob}"
    );
    let why = bob["reason"].as_str().expect("a reason");
    assert!(why.contains("the finite-key bound leaves no key"), "{why}");
}

#[test]
fn what_gc_let_through_is_distilled() {
    let folder = folder();
    check(&run(folder.path()));
}

#[test]
fn gc_is_started_over_its_socket_and_its_pipes_are_read() {
    let folder = folder();
    let folder = folder.path();
    for name in ["alice.angles", "bob.angles", "bob.results"] {
        fs::remove_file(folder.join(name)).expect("there");
        let made = Command::new("mkfifo").arg(folder.join(name)).status().expect("mkfifo");
        assert!(made.success(), "a pipe");
    }
    change(folder, "alice", "{ kiwi = {", "{ kiwi = { command = \"startstop.s\",");
    let listener = UnixListener::bind(folder.join("startstop.s")).expect("a socket");
    let places = ["alice.angles", "bob.angles", "bob.results"].map(|name| (folder.join(name), example(name)));
    let gc = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a node");
        let mut request = [0; 5];
        socket.read_exact(&mut request).expect("a request");
        assert_eq!(request, [1, 0, 0, 0, 0], "start");
        // As gc writes it: the length, then the byte.
        socket.write_all(&[1, 0, 0, 0]).and_then(|()| socket.write_all(&[0])).expect("it reads");
        let writers = places.map(|(path, bytes)| {
            std::thread::spawn(move || {
                let mut pipe = fs::OpenOptions::new().write(true).open(path).expect("a pipe");
                // In odd pieces: a pipe keeps no borders.
                bytes.chunks(1000).for_each(|piece| pipe.write_all(piece).expect("it reads"));
            })
        });
        writers.into_iter().for_each(|writer| writer.join().expect("it was read"));
        let mut last = Vec::new();
        socket.read_to_end(&mut last).expect("the end");
        assert_eq!(last, [1, 0, 0, 0, 1], "stop, then the connection ends");
    });
    check(&run(folder));
    gc.join().expect("it was asked as it should be");
}

/// Clicks by the law of the hardware: angles of both sides and results, one in two hundred wrong, 8 % weak.
fn clicks(count: usize) -> [Vec<u8>; 3] {
    let mut state = 1_u64;
    let mut dice = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((state >> 33) % below % 256).expect("a byte")
    };
    let index = [0, 1, 3, 2];
    let (mut alice, mut bob) = (vec![0; count / 2], vec![0; count / 2]);
    let results = (0..count).map(|click| {
        let (a, b, place) = (dice(4), dice(4), 4 * (click % 2));
        let weak = u8::from(dice(100) < 8) << 2;
        alice[click / 2] |= (index[usize::from(a)] | weak) << place;
        bob[click / 2] |= index[usize::from(b)] << place;
        let certain = ((a + b).div_ceil(2) % 2) ^ u8::from(dice(200) == 0);
        if (a + b) % 2 == 1 { certain } else { dice(2) }
    });
    let results = results.collect();
    [alice, bob, results]
}

fn keys(state: &Path) -> Vec<(KeyId, Vec<u8>)> {
    let mut store = Store::open(Folder::open(state).expect("free"), Limits::default()).expect("good");
    let keys = store.deliver_next(Share::All, usize::MAX).expect("open");
    keys.iter().map(|key| (key.id, key.bytes().to_vec())).collect()
}

#[test]
fn two_intensities_and_few_errors_become_the_same_keys_at_both_ends() {
    let folder = folder();
    let folder = folder.path();
    let [alice, bob, results] = clicks(16 * 16_384);
    for (name, bytes) in [("alice.angles", alice), ("bob.angles", bob), ("bob.results", results)] {
        fs::write(folder.join(name), bytes).expect("written");
    }
    for name in ["alice", "bob"] {
        change(folder, name, "clicks_per_frame = 2048", "clicks_per_frame = 16384");
        // A toy's ε, for a block of a toy's length.
        change(folder, name, "\"bb84.block_s=0.006\"", "\"bb84.block_s=0.016\", \"bb84.epsilon=0.01\"");
    }
    let nodes = ["alice", "bob"].map(|name| node(folder, name));
    for output in nodes.map(|node| node.wait_with_output().expect("it ends")) {
        assert!(output.status.success(), "{}", told(&output));
    }
    let [alice, bob] = ["alice.state", "bob.state"].map(|state| keys(&folder.join(state)));
    assert!(
        alice.iter().map(|(_, key)| key.len()).sum::<usize>() > 1000,
        "there is key: {} of it",
        alice.len()
    );
    assert_eq!(alice, bob, "both ends hold the same");
}

/// A node that ends with code 3 and says this.
fn refused(folder: &Path, name: &str, why: &str) {
    let output = node(folder, name).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains(why), "`{why}` in: {}", told(&output));
}

#[test]
fn what_cannot_be_read_is_refused() {
    let whole = folder();
    let folder = whole.path();
    change(folder, "alice", "clicks_per_frame = 2048", "clicks_per_frame = 2000");
    refused(folder, "alice", "a multiple of 256");
    change(folder, "alice", "clicks_per_frame = 2000", "clicks_per_frame = 2048, results = \"bob.results\"");
    refused(folder, "alice", "Bob's side has it");
    change(folder, "bob", "{ kiwi = {", "{ kiwi = { command = \"startstop.s\",");
    refused(folder, "bob", "Alice's side has it");
    change(folder, "bob", "command = \"startstop.s\",", "");
    change(folder, "bob", "bob.angles", "no.angles");
    refused(folder, "bob", "no.angles");
    change(folder, "bob", "no.angles", ".");
    refused(folder, "bob", "this is a folder");
    change(folder, "alice", ", results = \"bob.results\"", ", command = \"startstop.s\"");
    refused(folder, "alice", "is it running?");
    let listener = UnixListener::bind(folder.join("startstop.s")).expect("a socket");
    for (answer, why) in [
        (&[1, 0, 0, 0, 1][..], "gc did nothing"),
        (&[9, 0, 0, 0, 0], "another version"),
        (&[], "hung up without an answer"),
    ] {
        let node = node(folder, "alice");
        let (mut socket, _) = listener.accept().expect("a node");
        assert!(socket.read(&mut [0; 64]).expect("a request") > 0, "it asks");
        socket.write_all(answer).expect("it reads");
        drop(socket);
        let output = node.wait_with_output().expect("it ends");
        assert!(told(&output).contains(why), "`{why}` in: {}", told(&output));
    }
}

#[test]
fn a_node_that_waits_for_its_pipe_ends_when_it_is_asked() {
    let folder = folder();
    let folder = folder.path();
    fs::remove_file(folder.join("alice.angles")).expect("there");
    let made = Command::new("mkfifo").arg(folder.join("alice.angles")).status().expect("mkfifo");
    assert!(made.success(), "a pipe");
    let mut node = node(folder, "alice");
    // It tells that it waits for the peer once its source is there, though nobody writes into it.
    let mut told = BufReader::new(node.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("waiting for the peer") {
        line.clear();
        assert!(told.read_line(&mut line).expect("text") > 0, "it ended before it waited");
    }
    let asked = Command::new("kill").args(["-TERM", &node.id().to_string()]).status().expect("kill");
    assert!(asked.success() && node.wait().expect("it ends").success(), "in good order");
}

#[test]
fn exchanged_pipes_are_noticed() {
    let folder = folder();
    change(folder.path(), "bob", "angles = \"bob.angles\"", "angles = \"alice.angles\"");
    let nodes = ["alice", "bob"].map(|name| node(folder.path(), name));
    let [mut alice, bob] = nodes;
    let output = bob.wait_with_output().expect("it ends");
    alice.kill().and_then(|()| alice.wait()).expect("it was there");
    assert!(told(&output).contains("the pipes are exchanged"), "{}", told(&output));
}
