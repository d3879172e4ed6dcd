//! A store against a list: whatever is asked of it in whatever order, a key is delivered once.

use std::collections::BTreeSet;

use keystill::bits::BitBlock;
use keystill::session::Entry;
use keystill::store::{InMemory, KeyId, KeyStore, Limits, Share, Store};

/// What is done: the act, and a number for it.
pub(crate) type Input = Vec<(u8, u8)>;

pub(crate) fn run(acts: Input) {
    let limits = Limits { capacity_bits: 1 << 14, journal_bytes: 600 };
    let mut store = Store::open(InMemory::new(), limits).expect("memory");
    store.install("cv", 7, &[0x5a; 32 * 9]).expect("memory");
    let (mut block, mut held, mut gone) = (0, 0, BTreeSet::<KeyId>::new());
    for (act, number) in acts.into_iter().take(60) {
        match act % 5 {
            0 => {
                let keys = u64::from(number % 9);
                if commit(&mut store, block, keys).is_ok() {
                    held += keys;
                }
                block += 1;
            }
            1 => {
                let share = [Share::All, Share::Even, Share::Odd][usize::from(number % 3)];
                let keys = store.deliver_next(share, usize::from(number / 3)).expect("memory");
                held -= keys.len() as u64;
                keys.iter().for_each(|key| assert!(gone.insert(key.id), "{} twice", key.id));
            }
            2 => {
                if let Some(id) = gone.iter().nth(usize::from(number)) {
                    assert!(store.deliver(*id).is_err(), "{id} again");
                }
            }
            3 => store = Store::open(store.into_disk(), limits).expect("what it wrote itself"),
            _ => {
                let _ = store.deliver(KeyId::from_bytes([number; 16]));
            }
        }
        assert_eq!(store.available(), held, "no key is lost");
    }
}

fn commit(store: &mut Store<InMemory>, block: u64, keys: u64) -> Result<(), keystill::store::StoreError> {
    let bits = BitBlock::zeros(usize::try_from(256 * (keys + 1)).expect("small"));
    let spent = [1; 2];
    store.write("cv", &Entry::Prepare { block, spent, tag: [0; 16], bits, refill_bits: 256 })?;
    store.write("cv", &Entry::Ready { block, spent, tag: [0; 16], accepted: [1; 32] })?;
    store.write("cv", &Entry::Commit { block, spent, epsilon: 1e-10 })?;
    store.sync()
}
