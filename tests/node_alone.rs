//! Two nodes with both protocols: one loses its source and comes back, or never does; the other does not notice.
#![cfg(unix)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use keystill::cv;
use keystill::pipeline::{FrameSource, Replay, StreamWriter};
use keystill::stage::Role;
use serde_json::Value;

/// Short blocks on a short link: BB84 leaves key, CV-QKD is there.
const SET: [&str; 8] = [
    "link.length_km=1",
    "bb84.block_s=0.02",
    "bb84.frame_ms=2",
    "bb84.test_probability=0.3",
    "bb84.epsilon=0.01",
    "cv.block_s=0.02",
    "cv.frame_ms=2",
    "cv.sample_symbols=2000",
];

/// Blocks of BB84, out of the simulated world.
const BLOCKS: usize = 8;

struct Nodes {
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl Nodes {
    /// Records six blocks of CV-QKD, and configures both nodes: Alice's frames come from the recording.
    fn prepare(bobs_source: &str, patience_s: u32) -> Self {
        let nodes = Self { folder: tempfile::tempdir().expect("a folder"), children: Vec::new() };
        let mut record = nodes.keystill();
        record.args(["run", "--protocol", "cv", "--duration", "0.12s", "--seed", "4", "--record", "raw"]);
        SET.iter().for_each(|set| {
            record.args(["--set", set]);
        });
        record.output().expect("it starts");
        fs::write(nodes.path("key"), (0..800_u32).flat_map(|i| (i * i).to_le_bytes()).collect::<Vec<_>>())
            .expect("writable");
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let sources =
            [("alice", "listen", r#"{ recording = "raw/cv-alice.rec" }"#), ("bob", "connect", bobs_source)];
        for (name, way, from) in sources {
            let text = format!(
                "{way} = \"{port}\"\npatience_s = {patience_s}\nfeedback = \"{name}.feedback\"\nmetrics = \"{name}.prom\"\n[world]\nseed = 9\nduration = \"{}s\"\nset = {SET:?}\n\
                 [source.cv]\nfrom = {from}\npre_shared_key = \"key\"\n",
                0.02 * BLOCKS as f64
            );
            fs::write(nodes.path(&format!("{name}.toml")), text).expect("writable");
        }
        nodes
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keystill(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start(&mut self) {
        for name in ["alice", "bob"] {
            let file = |end: &str| fs::File::create(self.path(&format!("{name}.{end}"))).expect("writable");
            let mut command = self.keystill();
            command.args(["node", name, "--threads", "1", "--json", "--config", &format!("{name}.toml")]);
            command.args(["--state", &format!("{name}.state")]).stdout(file("ndjson")).stderr(file("log"));
            self.children.push(command.spawn().expect("it starts"));
        }
    }

    /// The exit codes of both, once they have ended.
    fn end(&mut self) -> Vec<Option<i32>> {
        let began = Instant::now();
        while self.children.iter_mut().any(|child| child.try_wait().expect("a child").is_none()) {
            assert!(began.elapsed() < Duration::from_secs(120), "they do not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        self.children.iter_mut().map(|child| child.wait().expect("a child").code()).collect()
    }

    fn log(&self) -> String {
        ["alice.log", "bob.log"].map(|name| fs::read_to_string(self.path(name)).unwrap_or_default()).concat()
    }

    /// What a node told its hardware.
    fn feedback(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(&format!("{name}.feedback"))).expect("it was told");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn status(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.path(&format!("{name}.state/status.json"))).expect("it was told");
        serde_json::from_str(&text).expect("JSON")
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The blocks of a protocol that a node told of, and whether each left key.
fn blocks(told: &Path, protocol: &str) -> Vec<(u64, bool)> {
    let told = fs::read_to_string(told).unwrap_or_default();
    let events = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let blocks = events.filter(|event| event["event"] == "block" && event["protocol"] == protocol);
    blocks.filter_map(|block| Some((block["block"].as_u64()?, block["outcome"] == "key"))).collect()
}

/// Serves frames of Bob's recording; ends the stream only if that was the last.
fn serve(listener: &UnixListener, replay: &Replay<cv::Frame>, frames: std::ops::Range<u64>) {
    let (socket, _) = listener.accept().expect("a node");
    let mut writer = StreamWriter::begin(socket, replay.description(), frames.start).expect("it reads");
    for index in frames.clone() {
        writer.write(&replay.frame(index)(keystill::Isa::best()).expect("whole")).expect("it reads");
    }
    if frames.end == replay.frames() {
        writer.end().expect("it reads");
    }
}

#[test]
fn a_source_that_is_cut_comes_back_alone() {
    let mut nodes = Nodes::prepare(r#"{ unix = "bob.sock" }"#, 60);
    let listener = UnixListener::bind(nodes.path("bob.sock")).expect("a socket");
    let replay = Replay::<cv::Frame>::open(&nodes.path("raw/cv-bob.rec"), "cv", Role::Bob).expect("whole");
    assert_eq!(replay.frames(), 60, "six blocks");
    let told = nodes.path("alice.ndjson");
    let hardware = std::thread::spawn(move || {
        serve(&listener, &replay, 0..25);
        // The source stays away until the other protocol has delivered everything.
        let began = Instant::now();
        while blocks(&told, "bb84").len() < BLOCKS && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(
            blocks(&told, "cv").iter().all(|(block, _)| *block <= 2),
            "nothing came of what was not there"
        );
        // Frames 25 to 36 are lost: blocks 2 and 3 never were.
        serve(&listener, &replay, 37..60);
    });
    nodes.start();
    let codes = nodes.end();
    hardware.join().expect("both streams were read");
    assert_eq!(codes, [Some(0), Some(0)], "{}", nodes.log());
    for name in ["alice", "bob"] {
        let told = nodes.path(&format!("{name}.ndjson"));
        let bb84 = blocks(&told, "bb84");
        assert_eq!(bb84.len(), BLOCKS, "{name}: every block of the other protocol, once");
        assert!(bb84.iter().filter(|(_, key)| *key).count() * 10 >= BLOCKS * 9, "{name}: with key: {bb84:?}");
        let mut numbers: Vec<u64> = blocks(&told, "cv").iter().map(|(block, _)| *block).collect();
        // A block that leaves no key is told before an earlier one that is still on its way.
        numbers.sort_unstable();
        assert!(numbers.ends_with(&[4, 5]), "{name}: whole blocks of the new stream: {numbers:?}");
        assert_eq!(
            nodes.status(name)["connections_lost"],
            0,
            "{name}: the connection stayed: {}",
            nodes.log()
        );
        let status = nodes.status(name);
        let cv = &status["protocols"][1];
        assert!(status["resident_bytes"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{name}: {status}");
        assert!(
            cv["pads_for_blocks"].as_u64() > Some(0) && cv["epsilon_spent"].as_f64() > Some(0.0),
            "{name}: {cv}"
        );
        assert_eq!((&cv["resting"], &cv["stopped"]), (&Value::Null, &Value::Null), "{name}: it is back");
        let metrics = fs::read_to_string(nodes.path(&format!("{name}.prom"))).expect("they were told");
        let expected = format!("keystill_blocks{{protocol=\"bb84\"}} {BLOCKS}");
        assert!(metrics.lines().any(|line| line == expected), "{name}: {metrics}");
        let feedback = nodes.feedback(name);
        assert_eq!(feedback.len(), bb84.len() + numbers.len(), "{name}: a line a block");
        let is_told = |field: &str| feedback.iter().any(|line| line[field].is_number());
        assert!(is_told("test_qber_intensity_0_detector_1"), "{name}: QBER by intensity and detector");
        assert!(is_told("offset_x") && is_told("excess_noise_snu"), "{name}: offsets and ξ: {feedback:?}");
        assert_eq!(
            is_told("phase_offset_rad"),
            name == "alice",
            "{name}: she holds both halves of the sample"
        );
    }
    assert!(nodes.log().contains("rests until its source is back protocol=\"cv\""), "{}", nodes.log());
}

#[test]
fn a_source_that_is_damaged_stops_its_protocol_only() {
    let mut nodes = Nodes::prepare(r#"{ recording = "raw/cv-bob.rec" }"#, 3);
    let recording = nodes.path("raw/cv-alice.rec");
    let mut bytes = fs::read(&recording).expect("recorded");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&recording, bytes).expect("writable");
    nodes.start();
    let codes = nodes.end();
    assert_eq!(codes[0], Some(3), "Alice tells that her source is damaged: {}", nodes.log());
    for name in ["alice", "bob"] {
        let bb84 = blocks(&nodes.path(&format!("{name}.ndjson")), "bb84");
        assert_eq!(bb84.len(), BLOCKS, "{name}: every block of the other protocol: {}", nodes.log());
    }
    let stopped = &nodes.status("alice")["protocols"][1]["stopped"];
    assert!(stopped.as_str().is_some_and(|why| why.contains("raw frame")), "it is told: {stopped}");
}
