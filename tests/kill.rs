//! Two real processes, killed again and again: no key is lost, repeated or different.
//!
//! `KEYSTILL_KILLS=2000 cargo test --release --test kill -- --nocapture` kills as often as one likes.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use keystill::store::{Folder, KeyId, KeyStore, Limits, Share, Store};

/// Short blocks on a short link, so that many are cut.
const WORLD: &str = r#"
seed = 11
protocol = "bb84"
set = ["link.length_km=1", "bb84.block_s=0.02", "bb84.frame_ms=2", "bb84.test_probability=0.3", "bb84.epsilon=0.01"]
"#;

/// A small generator, so that kills replay as far as two processes can.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

struct Nodes {
    folder: PathBuf,
    address: String,
    running: [Option<Child>; 2],
}

const NAMES: [&str; 2] = ["alice", "bob"];

impl Nodes {
    /// Writes the configurations for so many seconds of link time.
    fn configure(&self, duration_s: f64) {
        for (name, way) in NAMES.iter().zip(["listen", "connect"]) {
            let text = format!(
                "{way} = \"{}\"\npatience_s = 60\n[world]\nduration = \"{duration_s}s\"\n{WORLD}",
                self.address
            );
            fs::write(self.folder.join(format!("{name}.toml")), text).expect("writable");
        }
    }

    fn state(&self, side: usize) -> PathBuf {
        self.folder.join(format!("{}.state", NAMES[side]))
    }

    fn start(&mut self, side: usize) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join(NAMES[side]));
        let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
        command.args(["node", NAMES[side], "--threads", "1", "--json", "--config"]);
        command.arg(self.folder.join(format!("{}.toml", NAMES[side]))).arg("--state").arg(self.state(side));
        let told = fs::File::create(self.told(side)).expect("writable");
        command.stdout(told).stderr(log.expect("writable"));
        self.running[side] = Some(command.spawn().expect("it starts"));
    }

    /// What a process tells of its blocks, from its start on.
    fn told(&self, side: usize) -> PathBuf {
        self.folder.join(format!("{}.ndjson", NAMES[side]))
    }

    /// Waits until processes that were just started tell of a key; how long that took.
    fn first_key(&self, sides: &[usize]) -> Duration {
        let began = Instant::now();
        let has_key = |side: &usize| {
            let told = fs::read_to_string(self.told(*side)).unwrap_or_default();
            told.lines().any(|line| line.contains("\"event\":\"key\""))
        };
        while !sides.iter().all(has_key) {
            assert!(began.elapsed() < Duration::from_secs(120), "no key after a restart: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        began.elapsed()
    }

    fn kill(&mut self, side: usize) {
        if let Some(mut child) = self.running[side].take() {
            child.kill().expect("killed");
            child.wait().expect("gone");
        }
    }

    /// Blocks begun so far, as far as a store knows.
    fn blocks(&self, side: usize) -> u64 {
        let store = open(&self.state(side));
        store.memory("bb84").map_or(0, |memory| memory.next_block)
    }

    fn log(&self) -> String {
        NAMES.map(|name| fs::read_to_string(self.folder.join(name)).unwrap_or_default()).concat()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.kill(0);
        self.kill(1);
    }
}

fn open(state: &Path) -> Store<Folder> {
    Store::open(Folder::open(state).expect("free"), Limits::default()).expect("good")
}

fn keys(state: &Path) -> BTreeMap<KeyId, Vec<u8>> {
    let keys = open(state).deliver_next(Share::All, usize::MAX).expect("open");
    keys.iter().map(|key| (key.id, key.bytes().to_vec())).collect()
}

/// What kills were survived.
#[derive(Default)]
struct Tally {
    blocks: u64,
    keys: usize,
    /// Times from a restart to the next key, of every fifth kill.
    ready: Vec<Duration>,
}

/// Kills that one session lives through at most.
const KILLS_A_SESSION: u64 = 20;

/// Blocks that one session may begin before it is killed no more: each spends ε, of which a session has a budget.
const BLOCKS_A_SESSION: u64 = 80;

#[test]
fn kills_lose_repeat_and_change_no_key() {
    let kills: u64 = std::env::var("KEYSTILL_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(6);
    let (mut dice, began, mut tally) = (Dice(kills), Instant::now(), Tally::default());
    let mut left = kills;
    while left > 0 {
        let now = left.min(KILLS_A_SESSION);
        left -= live_through(now, &mut dice, &mut tally);
    }
    tally.ready.sort();
    let longest = tally.ready.last().map_or(0.0, Duration::as_secs_f64);
    println!(
        "{{\"kills\":{kills},\"blocks_begun\":{},\"keys\":{},\"lost_repeated_or_different\":0,\"restarts_timed\":{},\
         \"restart_to_key_s\":{{\"median\":{:.3},\"longest\":{longest:.3}}},\"seconds\":{:.0}}}",
        tally.blocks,
        tally.keys,
        tally.ready.len(),
        tally.ready.get(tally.ready.len() / 2).map_or(0.0, Duration::as_secs_f64),
        began.elapsed().as_secs_f64()
    );
}

/// Two nodes of one session are killed so often, or less; then they end by themselves, and their keys are compared.
/// Returns how often they were killed.
fn live_through(most: u64, dice: &mut Dice, tally: &mut Tally) -> u64 {
    let folder = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut nodes = Nodes {
        folder: folder.path().to_owned(),
        address: format!("127.0.0.1:{}", port.port()),
        running: [None, None],
    };
    nodes.configure(1e6);
    nodes.start(0);
    nodes.start(1);
    nodes.first_key(&[0, 1]);
    let mut kills = 0;
    loop {
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        let victims: &[usize] = [&[0][..], &[1], &[0, 1]][usize::try_from(dice.below(3)).expect("small")];
        victims.iter().for_each(|side| nodes.kill(*side));
        kills += 1;
        let begun = victims.iter().map(|side| nodes.blocks(*side)).max();
        if kills == most || begun > Some(BLOCKS_A_SESSION) {
            break;
        }
        victims.iter().for_each(|side| nodes.start(*side));
        if kills % 5 == 1 {
            tally.ready.push(nodes.first_key(victims));
        }
    }
    nodes.kill(0);
    nodes.kill(1);
    // A last run, some blocks beyond, which both end by themselves.
    let begun = nodes.blocks(0).max(nodes.blocks(1));
    nodes.configure(0.02 * (begun + 4) as f64);
    nodes.start(0);
    nodes.start(1);
    let began = Instant::now();
    while nodes.running.iter_mut().flatten().any(|child| child.try_wait().expect("a child").is_none()) {
        assert!(began.elapsed() < Duration::from_secs(240), "they do not end: {}", nodes.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let [alice, bob] = [keys(&nodes.state(0)), keys(&nodes.state(1))];
    assert!(!alice.is_empty(), "some blocks leave key: {}", nodes.log());
    let different = alice.iter().filter(|(id, bytes)| bob.get(id) != Some(bytes)).count();
    assert_eq!((different, alice.len()), (0, bob.len()), "the same keys on both sides");
    tally.blocks += begun;
    tally.keys += alice.len();
    kills
}
