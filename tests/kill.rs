//! Two real processes, killed again and again: no key is lost, repeated or different.
//!
//! `KEYSTILL_KILLS=2000 cargo test --release --test kill -- --nocapture` kills as often as one likes. Where `strace` is
//! installed every other kill is at a named step: the process dies as it begins its n-th write, sync or renaming of a
//! file, or its n-th message to the peer.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
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

/// A step at which a process dies: what it is, and the system call that it is.
const STEPS: [(&str, &str); 4] =
    [("write", "pwrite64"), ("sync", "fsync,fdatasync"), ("rename", "rename"), ("message", "sendto")];

/// How long a step is waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whether processes can be killed at their steps.
fn has_strace() -> bool {
    let mut probe = Command::new("strace");
    probe.args(["-f", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
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
        self.run(side, Command::new(env!("CARGO_BIN_EXE_keystill")));
    }

    /// Starts a process that dies when it makes such a system call for the n-th time.
    fn start_to_die(&mut self, side: usize, call: &str, n: u64) {
        let mut command = Command::new("strace");
        // The node is our child, and strace its child's child, so that killing works as ever.
        command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
        command.arg("-e").arg(format!("inject={call}:signal=KILL:when={n}"));
        command.arg(env!("CARGO_BIN_EXE_keystill"));
        self.run(side, command);
    }

    fn run(&mut self, side: usize, mut command: Command) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.join(NAMES[side]));
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

    /// Waits for processes that die by themselves; which of them did before patience ended, and kills the others.
    fn see_die(&mut self, sides: &[usize]) -> usize {
        let began = Instant::now();
        let mut dead = 0;
        while dead < sides.len() && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
            let is_dead = |child: &mut Child| {
                let ended = child.try_wait().expect("a child");
                assert!(
                    ended.is_none_or(|status| status.signal() == Some(9)),
                    "it ended by itself: {ended:?}"
                );
                ended.is_some()
            };
            dead = sides.iter().filter(|side| self.running[**side].as_mut().is_some_and(is_dead)).count();
        }
        sides.iter().for_each(|side| self.kill(*side));
        dead
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
    /// Kills at each step.
    at_steps: [u64; STEPS.len()],
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
    let told = |((name, _), count): (&(&str, &str), &u64)| format!("\"{name}\":{count}");
    let at_steps = STEPS.iter().zip(&tally.at_steps).map(told).collect::<Vec<_>>().join(",");
    assert!(
        !has_strace() || kills < 12 || tally.at_steps.iter().sum::<u64>() > 0,
        "steps are reached: {at_steps}"
    );
    let longest = tally.ready.last().map_or(0.0, Duration::as_secs_f64);
    println!(
        "{{\"kills\":{kills},\"at_steps\":{{{at_steps}}},\"blocks_begun\":{},\"keys\":{},\"lost_repeated_or_different\":0,\"restarts_timed\":{},\
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
    let at_steps = has_strace();
    let mut kills = 0;
    loop {
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        let victims: &[usize] = [&[0][..], &[1], &[0, 1]][usize::try_from(dice.below(3)).expect("small")];
        victims.iter().for_each(|side| nodes.kill(*side));
        kills += 1;
        if at_steps && kills < most {
            kills += kill_at_a_step(&mut nodes, victims, dice, tally);
        }
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

/// Starts dead processes again, which die at a step of theirs; how many kills that was: one, or none if they had to
/// be killed because none reached its step.
fn kill_at_a_step(nodes: &mut Nodes, victims: &[usize], dice: &mut Dice, tally: &mut Tally) -> u64 {
    let step = usize::try_from(dice.below(STEPS.len() as u64)).expect("small");
    // Renamings are rare; of the others the first hundred span recovery and some blocks.
    let n = 1 + dice.below(if STEPS[step].0 == "rename" { 2 } else { 100 });
    victims.iter().for_each(|side| nodes.start_to_die(*side, STEPS[step].1, n));
    let died = nodes.see_die(victims) > 0;
    tally.at_steps[step] += u64::from(died);
    u64::from(died)
}
