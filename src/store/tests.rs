use std::sync::{Arc, Mutex};

use super::*;

const LINKS: [&str; 2] = ["bb84", "cv"];

pub(super) fn bits(block: u64, bits: usize) -> BitBlock {
    let mut bytes = vec![0; bits.div_ceil(8)];
    blake3::Hasher::new().update(&block.to_le_bytes()).finalize_xof().fill(&mut bytes);
    BitBlock::from_bytes(&bytes, bits)
}

pub(super) fn empty(limits: Limits) -> Store<InMemory> {
    let mut store = Store::open(InMemory::new(), limits).expect("an empty disk");
    for protocol in LINKS {
        store.install(protocol, 7, &[0x5a; 32 * 9]).expect("installed");
    }
    store
}

pub(super) fn commit(
    store: &mut Store<InMemory>,
    protocol: &str,
    block: u64,
    key_bits: usize,
) -> Result<(), StoreError> {
    let refill_bits = 256;
    let bits = bits(block, key_bits);
    let spent = [2 * block + 2; 2];
    store.write(protocol, &Entry::Prepare { block, spent, tag: [0; 16], bits, refill_bits })?;
    store.write(protocol, &Entry::Ready { block, spent, tag: [0; 16], accepted: [1; 32] })?;
    store.write(protocol, &Entry::Commit { block, spent, epsilon: 1e-10 })?;
    store.sync()
}

fn filled() -> Store<InMemory> {
    let mut store = empty(Limits::default());
    commit(&mut store, "bb84", 0, 256 + 1000).expect("room");
    commit(&mut store, "cv", 0, 256 + 600).expect("room");
    store
}

fn reopened(store: Store<InMemory>) -> Store<InMemory> {
    let limits = store.limits;
    Store::open(store.into_disk(), limits).expect("good")
}

fn next(store: &mut Store<InMemory>) -> Key {
    store.deliver_next(Share::All, 1).expect("open").pop().expect("a key")
}

#[test]
fn both_sides_name_the_same_keys_without_a_message() {
    let (mut ours, mut theirs) = (filled(), filled());
    let keys = ours.deliver_next(Share::All, 100).expect("open");
    assert_eq!(keys.len(), 3 + 2, "rests shorter than a key are dropped");
    for key in keys {
        let same = theirs.deliver(key.id).expect("the peer holds it");
        assert_eq!(key.bytes(), same.bytes(), "{}", key.id);
    }
    assert_eq!((ours.available(), theirs.available()), (0, 0), "both are empty");
}

#[test]
fn a_key_is_delivered_once_ever_also_after_a_restart() {
    let mut store = filled();
    let id = next(&mut store).id;
    let again = |store: &mut Store<InMemory>| store.deliver(id).expect_err("delivered");
    assert!(matches!(again(&mut store), StoreError::Delivered { .. }), "by its ID");
    let mut store = reopened(store);
    assert!(matches!(again(&mut store), StoreError::Delivered { .. }), "by its ID, later");
    assert_ne!(next(&mut store).id, id, "nor as the next one");
    while store.available() > 0 {
        next(&mut store);
    }
    let mut store = reopened(store);
    assert!(matches!(again(&mut store), StoreError::Delivered { .. }), "nor when its block is forgotten");
    let unknown = KeyId::new(store.books[0].link(), 9, 0);
    assert!(matches!(store.deliver(unknown), Err(StoreError::Unknown { .. })), "never here");
}

#[test]
fn shares_of_two_ends_do_not_meet() {
    let (mut ours, mut theirs) = (filled(), filled());
    let even = ours.deliver_next(Share::Even, 100).expect("open");
    let odd = theirs.deliver_next(Share::Odd, 100).expect("open");
    assert_eq!((even.len(), odd.len()), (2 + 1, 1 + 1), "every key is in one share");
    assert!(even.iter().all(|key| odd.iter().all(|other| other.id != key.id)), "and in one only");
}

#[test]
fn a_full_store_takes_no_more_and_loses_nothing() {
    let mut store = empty(Limits { capacity_bits: 1_500, ..Limits::default() });
    commit(&mut store, "bb84", 0, 1_256).expect("room");
    assert!(!store.has_room(1_256), "it says so");
    let full = commit(&mut store, "bb84", 1, 1_256);
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    assert_eq!(store.available(), 3, "what was there stays");
    next(&mut store);
    assert_eq!(reopened(store).available(), 2, "and it is not closed");
}

#[test]
fn a_party_goes_on_with_the_pads_that_are_left() {
    let mut store = reopened(filled());
    let recalled = store.recall("bb84", 7).expect("installed");
    assert_eq!(recalled.memory.spent, [2, 2], "spent pads");
    assert_eq!(recalled.pool.next_pad(Role::Bob), 2, "stay spent");
    assert_eq!(recalled.pool.pads_left(Role::Alice), 8 - 2 + 1, "the installed ones and a refill");
    assert_eq!(recalled.memory.accepted, Some((0, [1; 32])), "the last acceptance");
    assert!(recalled.in_doubt.is_none(), "nothing is open");
    assert!(matches!(store.recall("bb84", 8), Err(StoreError::Foreign { .. })), "another session");
    assert!(matches!(store.recall("qkd", 7), Err(StoreError::Foreign { .. })), "another protocol");
}

#[test]
fn a_block_in_doubt_comes_back_whole_and_a_prepared_one_can_be_cut() {
    let mut store = filled();
    let spent = [4, 4];
    let entry = Entry::Prepare { block: 1, spent, tag: [0; 16], bits: bits(1, 1000), refill_bits: 256 };
    store.write("cv", &entry).expect("room");
    store.write("cv", &Entry::Ready { block: 1, spent, tag: [0; 16], accepted: [2; 32] }).expect("open");
    store.sync().expect("synced");
    assert_eq!(store.available(), 5, "it is not a key yet");
    let mut store = reopened(store);
    let in_doubt = store.recall("cv", 7).expect("installed").in_doubt.expect("in doubt");
    assert_eq!(in_doubt, bits(1, 1000).slice(0..768), "but for a rest shorter than a key");
    store.write("cv", &Entry::Cut { block: 1 }).expect("open");
    store.sync().expect("synced");
    let mut store = reopened(store);
    assert_eq!(store.available(), 5, "it never was one");
    assert!(store.recall("cv", 7).expect("installed").in_doubt.is_none(), "it is gone");
}

/// All files, one after the other.
fn bytes(store: Store<InMemory>) -> Vec<u8> {
    let mut disk = store.into_disk();
    let mut files = Vec::new();
    for name in ["vault", "journal"] {
        files.extend(disk.read(name).expect("readable").unwrap_or_default());
    }
    files
}

#[test]
fn spent_secrets_leave_no_trace() {
    let mut store = filled();
    let mut secrets: Vec<Vec<u8>> = Vec::new();
    while store.available() > 0 {
        secrets.push(next(&mut store).bytes().to_vec());
    }
    let cut = bits(1, 1000);
    let entry =
        Entry::Prepare { block: 1, spent: [4; 2], tag: [0; 16], bits: cut.slice(0..1000), refill_bits: 256 };
    store.write("cv", &entry).expect("room");
    store.write("cv", &Entry::Cut { block: 1 }).expect("open");
    store.sync().expect("synced");
    secrets.extend(cut.to_bytes().chunks_exact(32).map(<[u8]>::to_vec));
    let files = bytes(store);
    for secret in secrets {
        for window in secret.windows(16) {
            assert!(!files.windows(16).any(|bytes| bytes == window), "a spent secret is still there");
        }
    }
}

#[test]
fn a_fresh_pre_shared_key_replaces_the_old_one() {
    let mut store = filled();
    store.install("cv", 7, &[0xc3; 32 * 5]).expect("installed");
    let recalled = reopened(store).recall("cv", 7).expect("installed");
    assert_eq!(recalled.pool.pads_left(Role::Bob), 4, "its pads and no others");
    assert!(recalled.pool.next_pad(Role::Bob) > 1 << 39, "numbered apart");
}

#[test]
fn a_journal_beyond_its_limit_is_summed_up() {
    let mut store = empty(Limits { journal_bytes: 2_000, ..Limits::default() });
    for block in 0..60 {
        commit(&mut store, "bb84", block, 512).expect("room");
        next(&mut store);
        assert!(store.journal.bytes() < 3_000, "{} bytes at block {block}", store.journal.bytes());
    }
    assert_eq!(reopened(store).memory("bb84").map(|memory| memory.next_block), Some(60), "nothing is lost");
}

#[test]
fn ids_and_keys_print_no_bit() {
    let key = next(&mut filled());
    assert!(format!("{key:?}").ends_with("32 bytes)"), "{key:?}");
    assert_eq!(key.id.to_string().len(), 36, "like a UUID");
    assert_eq!(KeyId::from_bytes(key.id.bytes()), key.id, "and back");
}

/// One store with so many keys, and a handle on it for each caller.
pub(crate) fn shared<D: Disk>(disk: D, keys: usize, callers: usize) -> Vec<Arc<Mutex<Store<D>>>> {
    let mut store = Store::open(disk, Limits::default()).expect("an empty disk");
    store.install("bb84", 7, &[0x5a; 32 * 9]).expect("installed");
    let (spent, refill_bits) = ([2; 2], 256);
    let bits = bits(0, 256 * (keys + 1));
    let prepare = Entry::Prepare { block: 0, spent, tag: [0; 16], bits, refill_bits };
    let ready = Entry::Ready { block: 0, spent, tag: [0; 16], accepted: [1; 32] };
    for entry in [prepare, ready, Entry::Commit { block: 0, spent, epsilon: 1e-10 }] {
        store.write("bb84", &entry).expect("room");
    }
    store.sync().expect("synced");
    let store = Arc::new(Mutex::new(store));
    (0..callers).map(|_| store.clone()).collect()
}

#[test]
fn the_store_in_memory_conforms() {
    conformance::suite(|keys, callers| shared(InMemory::new(), keys, callers));
}

#[test]
fn the_store_on_a_disk_conforms() {
    let folders = tempfile::tempdir().expect("a folder");
    let count = std::cell::Cell::new(0);
    conformance::suite(|keys, callers| {
        count.set(count.get() + 1);
        let folder = Folder::open(&folders.path().join(count.get().to_string())).expect("writable");
        shared(folder, keys, callers)
    });
}
