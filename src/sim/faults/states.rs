//! Every state in which a crash can leave a store: each operation of the disk in turn is the one at which
//! something fails, and then each operation of the recovery.

use std::collections::{BTreeMap, BTreeSet};

use crate::bits::BitBlock;
use crate::session::Entry;
use crate::store::{KeyId, KeyStore, Limits, Share, Store, StoreError};

use super::dice::Dice;
use super::disk::{DiskFault, SimulatedDisk};

const PROTOCOL: &str = "bb84";
const SESSION: u128 = 9;
const BLOCKS: u64 = 5;
const KEYS: usize = 4;

/// How many states were looked at, and what was wrong in them.
#[derive(Clone, Debug, Default)]
pub struct States {
    /// States.
    pub states: u64,
    /// What was wrong, with the operations at which the faults struck.
    pub violations: Vec<String>,
}

/// What is certain of a store, seen from outside.
#[derive(Debug, Default)]
struct Known {
    /// Blocks whose commit was answered.
    committed: BTreeSet<u64>,
    /// Blocks of which it may be so.
    maybe: BTreeSet<u64>,
    delivered: BTreeMap<KeyId, Vec<u8>>,
    /// Keys of deliveries that were not answered.
    wasted: usize,
    next_block: u64,
    spent: u64,
}

fn key_bits(seed: u64, block: u64) -> BitBlock {
    let mut bytes = vec![0; 32 * (1 + KEYS)];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&block.to_le_bytes()).finalize_xof().fill(&mut bytes);
    BitBlock::from_bytes(&bytes, 8 * bytes.len())
}

fn open(disk: &SimulatedDisk) -> Result<Store<SimulatedDisk>, StoreError> {
    let mut store = Store::open(disk.clone(), Limits { capacity_bits: 1 << 16, journal_bytes: 900 })?;
    if !store.has(PROTOCOL) {
        store.install(PROTOCOL, SESSION, &[0x77; 32 * 40])?;
    }
    Ok(store)
}

/// Lives the life of a store until a fault strikes; what is known then.
fn live(disk: &SimulatedDisk, seed: u64, known: &mut Known) -> Result<(), StoreError> {
    let mut dice = Dice::new(seed);
    let mut store = open(disk)?;
    for block in 0..BLOCKS {
        let step = |store: &mut Store<_>, entry: Entry| {
            store.write(PROTOCOL, &entry)?;
            store.sync()
        };
        step(&mut store, Entry::Opened { block })?;
        known.next_block = block + 1;
        let spent = [2 * block + 1; 2];
        let bits = key_bits(seed, block);
        step(&mut store, Entry::Prepare { block, spent, tag: [0; 16], bits, refill_bits: 256 })?;
        known.spent = spent[0];
        if dice.once_in(4) {
            step(&mut store, Entry::Cut { block })?;
            continue;
        }
        let spent = [2 * block + 2; 2];
        step(&mut store, Entry::Ready { block, spent, tag: [0; 16], accepted: [1; 32] })?;
        known.spent = spent[0];
        known.maybe.insert(block);
        step(&mut store, Entry::Commit { block, spent, epsilon: 1e-10 })?;
        known.maybe.remove(&block);
        known.committed.insert(block);
        let most = 1 + dice.place(3);
        known.wasted += most;
        let keys = store.deliver_next(Share::All, most)?;
        known.wasted -= most;
        known.delivered.extend(keys.iter().map(|key| (key.id, key.bytes().to_vec())));
    }
    Ok(())
}

/// What is wrong with a store after a crash.
fn examine(disk: &SimulatedDisk, seed: u64, known: &Known) -> Result<(), String> {
    let mut store = open(disk).map_err(|error| format!("it does not open: {error}"))?;
    let recalled = store.recall(PROTOCOL, SESSION).map_err(|error| format!("no recall: {error}"))?;
    let memory = &recalled.memory;
    if memory.next_block < known.next_block || memory.spent[0] < known.spent {
        return Err(format!("blocks or pads went back: {memory:?}, known {known:?}"));
    }
    for id in known.delivered.keys() {
        if !matches!(store.deliver(*id), Err(StoreError::Delivered { .. })) {
            return Err(format!("key {id} can be delivered again"));
        }
    }
    let left = store.deliver_next(Share::All, usize::MAX).map_err(|error| error.to_string())?;
    let (mut there, mut wrong) = (left.len() + known.delivered.len(), None);
    for (id, bytes) in left.iter().map(|key| (key.id, key.bytes())) {
        let id_bytes = id.bytes();
        let block = id_bytes[6..12].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let place = usize::from(id_bytes[15]);
        let is_known = known.committed.contains(&block) || known.maybe.contains(&block);
        let want = key_bits(seed, block).to_bytes();
        if !is_known || bytes != &want[32 * (place + 1)..32 * (place + 2)] {
            wrong = Some(format!("key {id} should not be there, or not so"));
        }
        there -= usize::from(known.maybe.contains(&block));
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    let want = KEYS * known.committed.len();
    let enough = there <= want && there + known.wasted >= want;
    if enough { Ok(()) } else { Err(format!("{there} keys of {want}, {} wasted", known.wasted)) }
}

/// Looks at every state that one life can end in.
#[must_use]
pub fn crash_states(seed: u64) -> States {
    let mut found = States::default();
    let whole = SimulatedDisk::new(seed);
    // A life without faults counts the operations.
    let _ = live(&whole, seed, &mut Known::default());
    for operation in 0..whole.operations() {
        for fault in [DiskFault::Crash, DiskFault::Full, DiskFault::Io, DiskFault::Short] {
            let crashed = || {
                let (disk, mut known) = (SimulatedDisk::new(seed ^ operation << 8), Known::default());
                disk.arm(operation, fault);
                // Its error says which operation failed; what is known says the rest.
                let _ = live(&disk, seed, &mut known);
                disk.crash();
                (disk, known)
            };
            let mut judge = |(disk, known): (SimulatedDisk, Known), again: Option<u64>| {
                found.states += 1;
                if let Err(what) = examine(&disk, seed, &known) {
                    found
                        .violations
                        .push(format!("seed {seed}, {fault:?} at {operation}, {again:?}: {what}"));
                }
            };
            judge(crashed(), None);
            let (disk, _) = crashed();
            let before = disk.operations();
            let _ = open(&disk);
            for second in 0..disk.operations() - before {
                let (disk, known) = crashed();
                disk.arm(second, DiskFault::Crash);
                let _ = open(&disk);
                disk.crash();
                judge((disk, known), Some(second));
            }
        }
    }
    found
}
