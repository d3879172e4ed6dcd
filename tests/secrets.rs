//! Where secrets must not be: in a restored backup that is used again, in the memory of a node that delivered them, in
//! its journal, in what it prints.
#![cfg(unix)]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keystill::auth::Pool;
use keystill::session::{Config, Error, Input, LinkState, Output, Session, Time};
use keystill::stage::Role;
use keystill::store::{Folder, InMemory, KeyStore, Limits, Share, Store};

mod synthetic;

/// A party of a store's, connected.
fn party(role: Role, store: &mut Store<InMemory>) -> Session<keystill::bb84::Bb84> {
    let random = Arc::new(keystill::random::OperatingSystem);
    let remembered = store.recall("bb84", 42).expect("installed");
    let mut session = Session::resume(Config::new(role, 42, synthetic::protocol(), random), remembered);
    session.handle(Time(0), Input::Link(LinkState::Up)).expect("a connection");
    session
}

/// Both talk until nothing moves; what they remember goes to their stores.
fn talk(
    ends: &mut [Session<keystill::bb84::Bb84>; 2],
    stores: &mut [Store<InMemory>; 2],
) -> Result<(), (usize, Error)> {
    let mut moved = true;
    while std::mem::take(&mut moved) {
        for side in [0, 1] {
            loop {
                match ends[side].poll() {
                    Output::Persist(record) => {
                        stores[side].write("bb84", &record.entry).expect("memory");
                        stores[side].sync().expect("memory");
                        let told = ends[side].handle(Time(0), Input::Persisted(record.ticket));
                        told.map_err(|error| (side, error))?;
                    }
                    Output::Transmit(message) => {
                        moved = true;
                        let told = ends[1 - side].handle(Time(0), Input::Received(&message));
                        told.map_err(|error| (1 - side, error))?;
                    }
                    Output::Wait(_) => break,
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_restored_backup_is_refused_on_both_sides() {
    let fresh = || {
        let mut store = Store::open(InMemory::new(), Limits::default()).expect("memory");
        store.install("bb84", 42, &[0x21; 32 * 30]).expect("installed");
        store
    };
    for restored in [0, 1] {
        let mut stores = [fresh(), fresh()];
        let connect = |stores: &mut [Store<InMemory>; 2]| {
            let [alice, bob] = stores;
            let mut ends = [party(Role::Alice, alice), party(Role::Bob, bob)];
            let told = talk(&mut ends, stores);
            assert!(told.is_err() || ends.iter().all(Session::is_live), "live, or refused");
            told
        };
        connect(&mut stores).expect("the first connection");
        connect(&mut stores).expect("the second");
        // A backup from before the first connection comes back.
        stores[restored] = fresh();
        let (_, error) = connect(&mut stores).expect_err("an older state");
        let who = [Role::Alice, Role::Bob][restored];
        assert_eq!(error, Error::RolledBack { who }, "it is named");
    }
}

/// A pool prints nothing of what it holds.
#[test]
fn what_is_printed_of_secrets_is_lengths() {
    let pool = Pool::from_pre_shared(&[0xab; 96]).expect("long enough");
    let printed = format!("{pool:?}").to_lowercase();
    assert!(!printed.contains("171") && !printed.contains("abab"), "{printed}");
}

const WORLD: &str = r#"
patience_s = 60
[world]
duration = "0.12s"
seed = 12
protocol = "bb84"
set = ["link.length_km=1", "bb84.block_s=0.02", "bb84.frame_ms=2", "bb84.test_probability=0.3", "bb84.epsilon=0.01"]
"#;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(folder: &Path, name: &str, config: &str) -> Running {
    let path = folder.join(format!("{name}.toml"));
    fs::write(&path, format!("{config}{WORLD}")).expect("writable");
    let file = |ending: &str| fs::File::create(folder.join(format!("{name}.{ending}"))).expect("writable");
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystill"));
    command.args(["node", name, "--threads", "1", "--json", "--config"]).arg(path);
    command.arg("--state").arg(folder.join(format!("{name}.state"))).env("KEYSTILL_LOG", "trace");
    Running(command.stdout(file("out")).stderr(file("err")).spawn().expect("it starts"))
}

/// All that a node can tell.
const TOLD: &str = "feedback = \"node.feedback\"\nmetrics = \"node.prom\"\n";

/// Whether any 16 bytes of a secret stand in bytes, or are spelled there in hexadecimal.
fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    let stands = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    let spelled = |part: &[u8]| part.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    secret.chunks_exact(16).any(|part| stands(part) || stands(spelled(part).as_bytes()))
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable").path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

/// Keys that two nodes distilled and that were delivered stand nowhere: not in what the nodes printed, not in the
/// journal, not in the vault; nor does a key that is still held stand anywhere but in the vault.
#[test]
fn delivered_keys_stand_in_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let address = format!("127.0.0.1:{}", port.port());
    drop(TcpListener::bind("127.0.0.1:0"));
    let mut nodes = [
        start(folder.path(), "alice", &format!("listen = \"{address}\"\n{TOLD}")),
        start(folder.path(), "bob", &format!("connect = \"{address}\"\n{TOLD}")),
    ];
    let began = Instant::now();
    while nodes.iter_mut().any(|node| node.0.try_wait().expect("a child").is_none()) {
        assert!(began.elapsed() < Duration::from_secs(240), "they do not end");
        std::thread::sleep(Duration::from_millis(50));
    }
    let state = folder.path().join("alice.state");
    let mut store = Store::open(Folder::open(&state).expect("free"), Limits::default()).expect("good");
    let spent = store.deliver_next(Share::All, 20).expect("open");
    assert!(!spent.is_empty(), "some blocks leave key");
    drop(store);
    // The other side still holds the same keys, in its vault and nowhere else.
    let is_vault = |path: &Path| path.ends_with("bob.state/vault");
    for path in all_files(folder.path()) {
        let bytes = fs::read(&path).expect("readable");
        for key in &spent {
            let there = holds(&bytes, key.bytes());
            assert_eq!(there, is_vault(&path), "{}: key {}", path.display(), key.id);
        }
    }
}
