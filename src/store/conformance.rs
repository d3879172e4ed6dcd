//! What every key store does, whoever keeps the keys: one suite, run on each of them.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Key, KeyId, KeyStore, Share, StoreError};

/// Callers at once in a race.
const CALLERS: usize = 32;

/// Keys that they race for.
const RACED: usize = 10_000;

/// IDs in one call, so that a disk need not sync for each.
const BATCH: usize = 125;

/// Runs the suite. `fresh(keys, callers)` makes a store with so many keys of one link, always the same
/// ones, and gives a handle on it to each caller.
pub(crate) fn suite<K: KeyStore>(fresh: impl Fn(usize, usize) -> Vec<K>) {
    let one = |keys: usize| fresh(keys, 1).pop().expect("a handle");
    each_key_is_delivered_once(&mut one(40));
    shares_do_not_meet(&mut one(40), &mut one(40));
    an_id_names_the_same_key_at_both_ends(&mut one(40), &mut one(40));
    what_is_not_there_costs_the_others_nothing(&mut one(40));
    callers_never_share_a_key_by_id(one(RACED), fresh(RACED, CALLERS));
    callers_never_share_the_next_key(fresh(RACED, CALLERS));
}

fn ids(keys: &[Key]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

fn distinct(ids: &[KeyId]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}

fn each_key_is_delivered_once(store: &mut impl KeyStore) {
    assert_eq!(store.available(), 40, "all are there");
    let first = ids(&store.deliver_next(Share::All, 7).expect("open"));
    assert_eq!((first.len(), store.available()), (7, 33), "as many as asked for");
    let rest = ids(&store.deliver_next(Share::All, 1000).expect("open"));
    assert_eq!((rest.len(), store.available()), (33, 0), "as many as there are");
    assert_eq!(store.deliver_next(Share::All, 1).expect("open").len(), 0, "none is left");
    let all = [first, rest].concat();
    assert_eq!(distinct(&all), 40, "each has its own ID");
    assert!(all.is_sorted(), "oldest first");
    for id in all {
        let again = store.deliver(id);
        assert!(matches!(again, Err(StoreError::Delivered { .. })), "once: {again:?}");
    }
}

fn shares_do_not_meet(ours: &mut impl KeyStore, theirs: &mut impl KeyStore) {
    let even = ids(&ours.deliver_next(Share::Even, 100).expect("open"));
    let odd = ids(&theirs.deliver_next(Share::Odd, 100).expect("open"));
    assert_eq!((even.len(), odd.len()), (20, 20), "half each");
    assert_eq!(distinct(&[even, odd].concat()), 40, "and no key in both");
}

fn an_id_names_the_same_key_at_both_ends(ours: &mut impl KeyStore, theirs: &mut impl KeyStore) {
    let keys = ours.deliver_next(Share::All, 100).expect("open");
    let (one, many) = keys.split_first().expect("keys");
    assert_eq!(theirs.deliver(one.id).expect("there").bytes(), one.bytes(), "by one ID");
    let copies = theirs.deliver_each(&ids(many)).expect("open");
    assert_eq!(copies.len(), many.len(), "an answer for each");
    for (copy, key) in copies.iter().zip(many) {
        let copy = copy.as_ref().expect("there");
        assert_eq!((copy.id, copy.bytes()), (key.id, key.bytes()), "by many, in their order");
    }
}

fn what_is_not_there_costs_the_others_nothing(store: &mut impl KeyStore) {
    let some = ids(&store.deliver_next(Share::Even, 1).expect("open"))[0];
    let changed = |at: usize| {
        let mut bytes = some.bytes();
        bytes[at] ^= 0x41;
        KeyId::from_bytes(bytes)
    };
    let (foreign, future) = (changed(0), changed(11));
    let mut there = some.bytes();
    there[15] |= 1;
    let there = KeyId::from_bytes(there);
    for unknown in [foreign, future] {
        let answer = store.deliver(unknown);
        assert!(matches!(answer, Err(StoreError::Unknown { .. })), "{unknown} never was here: {answer:?}");
    }
    let answers = store.deliver_each(&[foreign, there, some, there]).expect("open");
    assert!(matches!(answers[0], Err(StoreError::Unknown { .. })), "{:?}", answers[0]);
    assert_eq!(answers[1].as_ref().map(|key| key.id).ok(), Some(there), "the good one");
    assert!(matches!(answers[2], Err(StoreError::Delivered { .. })), "{:?}", answers[2]);
    assert!(matches!(answers[3], Err(StoreError::Delivered { .. })), "twice in one call: {:?}", answers[3]);
    assert_eq!(store.available(), 38, "two are gone");
}

/// Every caller asks for every key; each key has exactly one winner.
fn callers_never_share_a_key_by_id<K: KeyStore>(mut twin: K, callers: Vec<K>) {
    let all = ids(&twin.deliver_next(Share::All, RACED).expect("open"));
    assert_eq!((all.len(), callers.len()), (RACED, CALLERS), "the race is set up");
    let winners: Vec<AtomicU32> = all.iter().map(|_| AtomicU32::new(0)).collect();
    let start = Barrier::new(CALLERS);
    std::thread::scope(|scope| {
        for (number, mut caller) in callers.into_iter().enumerate() {
            let (all, winners, start) = (&all, &winners, &start);
            scope.spawn(move || {
                start.wait();
                for turn in 0..RACED / BATCH {
                    // Two ways through the keys, so that callers meet in the middle, too.
                    let batch = if number % 2 == 0 { turn } else { RACED / BATCH - 1 - turn } * BATCH;
                    let answers = caller.deliver_each(&all[batch..batch + BATCH]).expect("open");
                    for (place, answer) in (batch..).zip(answers) {
                        match answer {
                            Ok(key) => {
                                assert_eq!(key.id, all[place], "the key that was asked for");
                                winners[place].fetch_add(1, Ordering::Relaxed);
                            }
                            Err(StoreError::Delivered { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    let wrong = winners.iter().filter(|count| count.load(Ordering::Relaxed) != 1).count();
    assert_eq!(wrong, 0, "keys that had no winner, or several");
}

/// Every caller takes the next keys until none is left.
fn callers_never_share_the_next_key<K: KeyStore>(callers: Vec<K>) {
    let start = Barrier::new(CALLERS);
    let got: Vec<KeyId> = std::thread::scope(|scope| {
        let start = &start;
        let take = |mut caller: K| {
            scope.spawn(move || {
                start.wait();
                let mut got = Vec::new();
                loop {
                    let keys = ids(&caller.deliver_next(Share::All, BATCH).expect("open"));
                    if keys.is_empty() {
                        return got;
                    }
                    got.extend(keys);
                }
            })
        };
        let threads: Vec<_> = callers.into_iter().map(take).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no caller failed")).collect()
    });
    assert_eq!((got.len(), distinct(&got)), (RACED, RACED), "every key once");
}
