//! `keystill pads`: the secrets that authenticate a link.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use keystill::auth::{Pool, TAG_BITS, TAGS_PER_BLOCK};
use keystill::random::Purpose::KeyBits;
use keystill::random::{Draw, OperatingSystem, RandomSource};
use keystill::session::Entry;
use keystill::stage::Role;
use keystill::store::{Folder, Limits, Store};
use serde_json::json;
use zeroize::Zeroizing;

use super::world::{LEAST_PRE_SHARED_BYTES, MOST_PRE_SHARED_BYTES};
use super::{Exit, Failure, OrExit};

/// Bytes of the two hash keys, and of a block's pads.
const HASH_KEYS: usize = 32;
const A_BLOCK: usize = TAGS_PER_BLOCK * TAG_BITS / 8;

/// Make, install and look after the pre-shared key of a link.
///
/// Each protocol needs a key of its own, the same at both ends. `new` makes one, which somebody carries to the
/// other end; `install` puts it into a node's state folder, at first and when pads are used up; `show` tells
/// what is left; `skip` gives pads up. The node must have ended. The documentation's page `bring_up` tells what
/// to do when.
///
/// Example: keystill pads new bb84.key && keystill pads install bb84.key --state alice.state --protocol bb84 --seed 7
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a pre-shared key out of the operating system's randomness, readable by its owner only.
    ///
    /// Example: keystill pads new bb84.key --blocks 1000
    #[command(verbatim_doc_comment)]
    New {
        /// The file; it must not be there yet.
        file: PathBuf,
        /// Blocks whose tags it covers before distilled key has to.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=100_000))]
        blocks: u32,
    },
    /// Install a pre-shared key in a state folder, in place of what is left of the one before.
    ///
    /// The file is overwritten and removed. Both ends install the same keys in the same order.
    ///
    /// Example: keystill pads install bb84.key --state alice.state --protocol bb84 --seed 7
    #[command(verbatim_doc_comment)]
    Install {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        of: Of,
        /// `seed` of [world] in the node's configuration, which names the session.
        #[arg(long)]
        seed: u64,
        /// Leave the file there, to carry it to the other end.
        #[arg(long)]
        keep: bool,
    },
    /// Tell what is left, as JSON; no secret is printed.
    ///
    /// Example: keystill pads show --state alice.state --protocol bb84
    #[command(verbatim_doc_comment)]
    Show {
        #[command(flatten)]
        of: Of,
    },
    /// Give up all pads below a number in both directions, for ever: both ends do it alike.
    ///
    /// Example: keystill pads skip --state alice.state --protocol bb84 --to 120
    #[command(verbatim_doc_comment)]
    Skip {
        #[command(flatten)]
        of: Of,
        /// The number of the next pad, above all that were spent.
        #[arg(long, value_name = "NUMBER")]
        to: u64,
    },
}

/// Which pads.
#[derive(Debug, clap::Args)]
struct Of {
    /// The node's state folder.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Of which protocol.
    #[arg(long, value_parser = ["bb84", "cv"])]
    protocol: String,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    super::secrecy::guard();
    match &args.action {
        Action::New { file, blocks } => make(file, *blocks as usize),
        Action::Install { file, of, seed, keep } => {
            let key = read(file)?;
            let session = super::world::session_of(*seed);
            of.open()?.install(&of.protocol, session, &key).or_exit(Exit::Storage)?;
            if !keep {
                shred(file, key.len()).with_context(|| file.display().to_string()).or_exit(Exit::Storage)?;
            }
            of.show()
        }
        Action::Show { of } => of.show(),
        Action::Skip { of, to } => {
            let mut store = of.open()?;
            store.write(&of.protocol, &Entry::Pads { spent: [*to; 2] }).or_exit(Exit::Storage)?;
            store.sync().or_exit(Exit::Storage)?;
            drop(store);
            of.show()
        }
    }
}

fn make(file: &Path, blocks: usize) -> Result<(), Failure> {
    let mut key = Zeroizing::new(vec![0; HASH_KEYS + blocks * A_BLOCK]);
    OperatingSystem.draw(Draw { block: 0, purpose: KeyBits, index: 0 }, &mut key).or_exit(Exit::Internal)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(file).and_then(|mut file| {
        file.write_all(&key)?;
        file.sync_all()
    });
    written.with_context(|| file.display().to_string()).or_exit(Exit::Storage)
}

/// A key that nobody else can read, of a length that can be.
fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let named = || file.display().to_string();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = std::fs::metadata(file).with_context(named).or_exit(Exit::Configuration)?;
        if found.permissions().mode() & 0o077 != 0 {
            let why = anyhow!("{}: others can read it; chmod 600, or better make a new one", named());
            return Err(Failure::new(Exit::Configuration, why));
        }
    }
    let key = std::fs::read(file).map(Zeroizing::new).with_context(named).or_exit(Exit::Configuration)?;
    if !(LEAST_PRE_SHARED_BYTES..=MOST_PRE_SHARED_BYTES).contains(&key.len()) {
        let why = anyhow!(
            "{}: {} bytes; a pre-shared key has {LEAST_PRE_SHARED_BYTES} to {MOST_PRE_SHARED_BYTES}",
            named(),
            key.len()
        );
        return Err(Failure::new(Exit::Configuration, why));
    }
    Pool::from_pre_shared(&key).or_exit(Exit::Configuration)?;
    Ok(key)
}

/// Overwrites a file and removes it. A disk that moves what it writes may keep a copy all the same.
fn shred(file: &Path, bytes: usize) -> std::io::Result<()> {
    let mut open = OpenOptions::new().write(true).open(file)?;
    open.write_all(&vec![0; bytes])?;
    open.sync_all()?;
    std::fs::remove_file(file)
}

impl Of {
    fn open(&self) -> Result<Store<Folder>, Failure> {
        let opened = Folder::open(&self.state).map_err(anyhow::Error::from);
        let limits = Limits { capacity_bits: u64::MAX, ..Limits::default() };
        let opened = opened.and_then(|folder| Ok(Store::open(folder, limits)?));
        opened.with_context(|| format!("state {}", self.state.display())).or_exit(Exit::Storage)
    }

    fn show(&self) -> Result<(), Failure> {
        let mut store = self.open()?;
        let Some(session) = store.session(&self.protocol) else {
            let why = anyhow!("{}: no key of {} was installed", self.state.display(), self.protocol);
            return Err(Failure::new(Exit::Configuration, why));
        };
        let remembered = store.recall(&self.protocol, session).or_exit(Exit::Storage)?;
        let (pool, memory) = (&remembered.pool, &remembered.memory);
        let direction =
            |sender: Role| json!({ "next_pad": pool.next_pad(sender), "pads_left": pool.pads_left(sender) });
        println!(
            "{}",
            json!({
                "event": "pads", "protocol": self.protocol, "session": session.to_string(),
                "alice_to_bob": direction(Role::Alice), "bob_to_alice": direction(Role::Bob),
                "pads_for_blocks": pool.blocks_left(), "next_block": memory.next_block, "epoch": memory.epoch,
                "in_doubt": remembered.in_doubt.is_some(),
            })
        );
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_installed_replaced_and_its_pads_given_up() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let of = Of { state: folder.path().join("state"), protocol: "bb84".into() };
        assert!(of.show().is_err(), "nothing is installed");
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for file in [&first, &second] {
            make(file, 10).expect("made");
            let mode = std::fs::metadata(file).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "for its owner only");
        }
        assert!(make(&first, 10).is_err(), "nothing is overwritten");
        let keys = [&first, &second].map(|file| read(file).expect("good"));
        assert_ne!(keys[0], keys[1], "random");
        let install = |file: &Path| {
            let action = Action::Install {
                file: file.into(),
                of: Of { state: of.state.clone(), protocol: "bb84".into() },
                seed: 7,
                keep: false,
            };
            run(&Args { action }).expect("installed");
            assert!(!file.exists(), "the file is gone");
        };
        let left = || {
            let mut store = of.open().expect("free");
            let pool = store.recall("bb84", super::super::world::session_of(7)).expect("installed").pool;
            (pool.next_pad(Role::Alice), pool.blocks_left())
        };
        install(&first);
        assert_eq!(left(), (0, 10), "pads of ten blocks");
        let skip = Action::Skip { of: Of { state: of.state.clone(), protocol: "bb84".into() }, to: 8 };
        run(&Args { action: skip }).expect("skipped");
        assert_eq!(left(), (8, 6), "eight pads each way are given up");
        install(&second);
        assert_eq!((left().0 > 20, left().1), (true, 10), "fresh pads under numbers of their own");
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_short_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        make(&file, 10).expect("made");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("ours");
        let refused = read(&file).expect_err("the group reads it");
        assert!(refused.error.to_string().contains("chmod 600"), "{:#}", refused.error);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("ours");
        std::fs::write(&file, [1; 100]).expect("ours");
        assert!(read(&file).is_err(), "too short");
    }
}
