//! A store over any journal and any vault: refused, or opened with no key but those that it held.

use keystill::bits::BitBlock;
use keystill::session::Entry;
use keystill::store::{Disk, InMemory, KeyStore, Limits, Share, Store};

/// A journal and a vault of any bytes; and places of good ones with what is added there.
pub(crate) type Input = (Vec<u8>, Vec<u8>, Vec<(u16, u8)>, Vec<(u16, u8)>);

const FILES: [&str; 2] = ["journal", "vault"];

pub(crate) fn run((journal, vault, in_journal, in_vault): Input) {
    let mut disk = InMemory::new();
    for (name, bytes) in FILES.iter().zip([journal, vault]) {
        disk.write(name, 0, &bytes).expect("memory");
    }
    let _ = Store::open(disk, Limits::default());
    let (mut disk, bits) = good();
    for (name, changes) in FILES.iter().zip([in_journal, in_vault]) {
        let mut bytes = disk.read(name).expect("memory").expect("written");
        for (place, change) in changes {
            let place = usize::from(place) % bytes.len();
            bytes[place] = bytes[place].wrapping_add(change);
        }
        disk.write(name, 0, &bytes).expect("memory");
    }
    let Ok(mut store) = Store::open(disk, Limits::default()) else { return };
    let keys = store.deliver_next(Share::All, 100).unwrap_or_default();
    for key in keys {
        assert!(bits.chunks(32).any(|bytes| bytes == key.bytes()), "a key that never was");
    }
}

/// The disk of a store with keys, and the keys.
fn good() -> (InMemory, Vec<u8>) {
    let mut store = Store::open(InMemory::new(), Limits::default()).expect("memory");
    store.install("bb84", 7, &[0x5a; 32 * 9]).expect("memory");
    let mut bytes = vec![0; 32 * 4];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    let bits = BitBlock::from_bytes(&bytes, 8 * bytes.len());
    let (block, spent) = (0, [2; 2]);
    for entry in [
        Entry::Prepare { block, spent, tag: [0; 16], bits, refill_bits: 256 },
        Entry::Ready { block, spent, tag: [0; 16], accepted: [1; 32] },
        Entry::Commit { block, spent, epsilon: 1e-10 },
    ] {
        store.write("bb84", &entry).expect("memory");
    }
    store.sync().expect("memory");
    (store.into_disk(), bytes)
}
