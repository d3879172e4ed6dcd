//! Delivery from a key store: keys of any size out of its keys of 256 bits.
//!
//! # Who gets which key
//! Both ends reckon it from the list of pairs alone. The link's two nodes share the places of a block:
//! the first by name hands out the even ones, the second the odd ones; if all masters ask at one node,
//! it hands out all. A node's places go to its pairs in turn. So a key asked for at one end is never
//! handed out at the other, a slave finds its pair's keys only, and no node asks the other.
//!
//! # IDs
//! A key of several store keys takes consecutive places of its pair. Its ID is that of the first,
//! with its length in bytes where a block number has more bits than any link will count to:
//! `link:48 · block:40 · length − 1:13 · place:27`.
//!
//! # Once, durably
//! The store marks a key as spent, lastingly, before it hands it over. What waits here in memory is lost
//! in a crash, and never delivered twice: keys pulled for requests that wait, copies of a slave that is
//! served by the same node, and the good keys of a request that named a bad one too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::store::{self, KEY_BITS, KeyStore, Share, StoreError};

use super::keys::{Key, KeyId, Keys, Pair, Unavailable, Want};
use super::together::Together;

/// Bytes of a store's key.
const UNIT: usize = KEY_BITS / 8;

/// The longest key that an ID tells, in bytes.
const MOST_BYTES: usize = 1 << 13;

/// Store keys pulled with one sync, at most.
const MOST_PULLED: usize = 4096;

/// A store's keys cannot be shared out as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("masters ask at {nodes:?}, but a link has two ends: serve each link by itself")]
pub struct TooManyNodes {
    /// The nodes at which masters ask.
    pub nodes: Vec<String>,
}

/// Which places of a block are a pair's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lane {
    /// Master and slave are both served here.
    both_here: bool,
    master_here: bool,
    first: u32,
    step: u32,
}

impl Lane {
    fn holds(self, place: u32) -> bool {
        place % self.step == self.first
    }

    /// The store keys of a key that a slave collects here, if the pair has such a key.
    fn units(self, id: KeyId) -> Option<Vec<store::KeyId>> {
        let place = Place::of(id);
        if self.master_here || !self.holds(place.place) {
            return None;
        }
        (0..place.units()).map(|ahead| place.unit(ahead.checked_mul(self.step)?)).collect()
    }
}

/// Where a key lies in a store, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    link: [u8; 6],
    block: u64,
    place: u32,
    bytes: usize,
}

impl Place {
    fn of_store(id: store::KeyId) -> (Self, u128) {
        let bits = u128::from_be_bytes(id.bytes());
        let place =
            Self { link: link(bits), block: low(bits >> 32, 48), place: low32(bits, 32), bytes: UNIT };
        (place, bits)
    }

    fn of(id: KeyId) -> Self {
        let bits = u128::from_be_bytes(id.bytes());
        let bytes = low32(bits >> 27, 13) as usize + 1;
        Self { link: link(bits), block: low(bits >> 40, 40), place: low32(bits, 27), bytes }
    }

    /// The ID for applications, unless block or place are beyond all bounds.
    fn id(self) -> Option<KeyId> {
        let length = u128::try_from(self.bytes.checked_sub(1).filter(|less| *less < MOST_BYTES)?).ok()?;
        if self.block >> 40 > 0 || self.place >> 27 > 0 {
            return None;
        }
        let bits = u128::from(self.block) << 40 | length << 27 | u128::from(self.place);
        Some(self.with(bits))
    }

    /// The store's ID of the unit that lies `ahead` places after.
    fn unit(self, ahead: u32) -> Option<store::KeyId> {
        let place = self.place.checked_add(ahead)?;
        let bits = u128::from(self.block) << 32 | u128::from(place);
        Some(store::KeyId::from_bytes(self.with(bits).bytes()))
    }

    fn with(self, bits: u128) -> KeyId {
        let mut id = bits.to_be_bytes();
        id[..6].copy_from_slice(&self.link);
        KeyId::from_bytes(id)
    }

    fn units(self) -> u32 {
        // At most 256.
        u32::try_from(self.bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
    }
}

fn link(bits: u128) -> [u8; 6] {
    let mut link = [0; 6];
    link.copy_from_slice(&bits.to_be_bytes()[..6]);
    link
}

fn low(bits: u128, count: u32) -> u64 {
    // `count` is at most 48.
    u64::try_from(bits & ((1 << count) - 1)).unwrap_or_default()
}

fn low32(bits: u128, count: u32) -> u32 {
    // `count` is at most 32.
    u32::try_from(bits & ((1 << count) - 1)).unwrap_or_default()
}

/// What waits in memory.
#[derive(Debug, Default)]
struct Waiting {
    /// Of each pair: pulled, in the order of places.
    pulled: Vec<VecDeque<store::Key>>,
    /// Of each pair: pulled, but at a block's end and too few for a long key.
    ends: Vec<VecDeque<store::Key>>,
    /// Copies for slaves of pairs whose both sides are served here.
    copies: BTreeMap<(usize, KeyId), Zeroizing<Vec<u8>>>,
    /// Taken for a request that failed.
    returned: BTreeMap<store::KeyId, store::Key>,
}

/// All units that a caller collects, or why there are none.
type Fetched = Result<Vec<store::Key>, Unavailable>;

/// Keys of a store, shared out among pairs.
#[derive(Debug)]
pub struct Stored<K> {
    store: Arc<Mutex<K>>,
    lanes: Vec<Lane>,
    share: Share,
    capacity_bits: u64,
    waiting: Mutex<Waiting>,
    /// Store keys that callers wait for: one sync serves them all.
    wanted: AtomicUsize,
    collecting: Together<Vec<store::KeyId>, Fetched>,
}

impl<K: KeyStore> Stored<K> {
    /// Shares out a store among pairs at the node `kme`; `capacity_bits` is what the store may hold.
    ///
    /// # Errors
    /// [`TooManyNodes`] if masters ask at more than two nodes.
    pub fn new(
        store: Arc<Mutex<K>>,
        kme: &str,
        pairs: &[Pair],
        capacity_bits: u64,
    ) -> Result<Self, TooManyNodes> {
        let mut nodes: Vec<String> = pairs.iter().map(|pair| pair.master_kme.clone()).collect();
        nodes.sort();
        nodes.dedup();
        if nodes.len() > 2 {
            return Err(TooManyNodes { nodes });
        }
        let ends = u32::try_from(nodes.len()).unwrap_or(2).max(1);
        let end = |name: &str| u32::from(nodes.iter().position(|node| node == name) == Some(1));
        let lane = |(number, pair): (usize, &Pair)| {
            let same = |other: &&Pair| other.master_kme == pair.master_kme;
            let count = |pairs: &[Pair]| u32::try_from(pairs.iter().filter(same).count()).unwrap_or(u32::MAX);
            Lane {
                both_here: pair.master_kme == kme && pair.slave_kme == kme,
                master_here: pair.master_kme == kme,
                first: end(&pair.master_kme) + ends * count(&pairs[..number]),
                step: ends.saturating_mul(count(pairs)),
            }
        };
        let share = match (ends, end(kme)) {
            (1, _) => Share::All,
            (_, 0) => Share::Even,
            _ => Share::Odd,
        };
        let queues = || pairs.iter().map(|_| VecDeque::new()).collect();
        Ok(Self {
            store,
            lanes: pairs.iter().enumerate().map(lane).collect(),
            share,
            capacity_bits,
            waiting: Mutex::new(Waiting { pulled: queues(), ends: queues(), ..Waiting::default() }),
            wanted: AtomicUsize::new(0),
            collecting: Together::default(),
        })
    }

    fn store(&self) -> MutexGuard<'_, K> {
        // A store that failed half-way closes by itself.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Queues hold whole keys at every moment.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pulls store keys for what is wanted now, and gives each to its pair's queue. False if there are none.
    fn pull(&self, waiting: &mut Waiting, units: usize, pair: usize) -> Result<bool, Unavailable> {
        let lanes = self.lanes.iter().filter(|lane| lane.master_here).count().max(1);
        let others = self.wanted.load(Ordering::Relaxed);
        // All pairs' places come in turn: as many are pulled for each of the others.
        let most = (units * lanes + others * lanes).min(MOST_PULLED).max(lanes);
        let keys = self.store().deliver_next(self.share, most).map_err(|error| failed(&error))?;
        let any = !keys.is_empty();
        for key in keys {
            let place = Place::of_store(key.id).0.place;
            let own = self.lanes.iter().position(|lane| lane.master_here && lane.holds(place));
            waiting.pulled[own.unwrap_or(pair)].push_back(key);
        }
        Ok(any)
    }
}

impl Waiting {
    /// The next units of a pair for one key, if they are there.
    fn cut(&mut self, pair: usize, units: usize, step: u32) -> Option<Vec<store::Key>> {
        if units == 1
            && let Some(key) = self.ends[pair].pop_front()
        {
            return Some(vec![key]);
        }
        loop {
            let queue = &self.pulled[pair];
            let first = Place::of_store(queue.front()?.id).0;
            let follows = |(ahead, key): (u32, &store::Key)| first.unit(ahead * step) == Some(key.id);
            let run = (0u32..).zip(queue).take(units).take_while(|unit| follows(*unit)).count();
            if run == units {
                return Some(self.pulled[pair].drain(..units).collect());
            }
            if run == queue.len() {
                return None;
            }
            let end = self.pulled[pair].drain(..run);
            self.ends[pair].extend(end);
        }
    }

    /// All keys of a request, or none: the good ones of a bad request wait here until they are asked for again.
    fn all_or_none(
        &mut self,
        units: Vec<Result<store::Key, StoreError>>,
    ) -> Result<Vec<store::Key>, Unavailable> {
        let mut error = None;
        let mut keys = Vec::with_capacity(units.len());
        for unit in units {
            match unit {
                Ok(key) => keys.push(key),
                Err(found) => error = Some(found),
            }
        }
        let Some(error) = error else { return Ok(keys) };
        self.returned.extend(keys.into_iter().map(|key| (key.id, key)));
        Err(match error {
            StoreError::Delivered { .. } | StoreError::Unknown { .. } | StoreError::Spoilt { .. } => {
                Unavailable::NotFound
            }
            error => failed(&error),
        })
    }

    /// Takes back what was cut.
    fn put_back(&mut self, pair: usize, cuts: Vec<Vec<store::Key>>) {
        for key in cuts.into_iter().flatten().rev() {
            self.pulled[pair].push_front(key);
        }
    }
}

fn failed(error: &StoreError) -> Unavailable {
    Unavailable::Failed { what: error.to_string() }
}

/// The first bytes of some store keys.
fn joined(units: &[store::Key], bytes: usize) -> Zeroizing<Vec<u8>> {
    // Room for all at once: a vector that grows leaves copies behind.
    let mut joined = Zeroizing::new(Vec::with_capacity(units.len() * UNIT));
    for unit in units {
        joined.extend_from_slice(unit.bytes());
    }
    joined.truncate(bytes);
    joined
}

impl<K: KeyStore> Keys for Stored<K> {
    fn available_bytes(&self, pair: usize) -> u64 {
        let Some(lane) = self.lanes.get(pair) else { return 0 };
        let queued = {
            let waiting = self.waiting();
            waiting.pulled[pair].len() + waiting.ends[pair].len()
        };
        (self.store().available() / u64::from(lane.step) + queued as u64) * UNIT as u64
    }

    fn capacity_bytes(&self, pair: usize) -> u64 {
        let step = self.lanes.get(pair).map_or(1, |lane| lane.step);
        self.capacity_bits / 8 / u64::from(step)
    }

    fn reserve(&self, pair: usize, want: Want) -> Result<Vec<Key>, Unavailable> {
        let wanted_bytes = (want.number as u64).saturating_mul(want.key_bytes as u64);
        let lane = self.lanes.get(pair).filter(|lane| lane.master_here && want.key_bytes <= MOST_BYTES);
        let lane = lane.ok_or(Unavailable::Short { available_bytes: 0, wanted_bytes })?;
        let units = want.key_bytes.div_ceil(UNIT).max(1);
        let all = units.saturating_mul(want.number);
        self.wanted.fetch_add(all, Ordering::Relaxed);
        let mut waiting = self.waiting();
        self.wanted.fetch_sub(all, Ordering::Relaxed);
        let mut cuts = Vec::with_capacity(want.number);
        while cuts.len() < want.number {
            if let Some(cut) = waiting.cut(pair, units, lane.step) {
                cuts.push(cut);
                continue;
            }
            let lacking = units * (want.number - cuts.len());
            let pulled = self.pull(&mut waiting, lacking, pair);
            if pulled != Ok(true) {
                waiting.put_back(pair, cuts);
                drop(waiting);
                let available_bytes = self.available_bytes(pair);
                return Err(pulled.err().unwrap_or(Unavailable::Short { available_bytes, wanted_bytes }));
            }
        }
        let mut keys = Vec::with_capacity(cuts.len());
        for cut in cuts {
            let (place, _) = Place::of_store(cut[0].id);
            let id = Place { bytes: want.key_bytes, ..place }.id();
            let id = id.ok_or_else(|| Unavailable::Failed { what: "a block beyond all bounds".into() })?;
            let bytes = joined(&cut, want.key_bytes);
            if lane.both_here {
                waiting.copies.insert((pair, id), bytes.clone());
            }
            keys.push(Key { id, bytes });
        }
        Ok(keys)
    }

    fn collect(&self, pair: usize, ids: &[KeyId]) -> Result<Vec<Key>, Unavailable> {
        let lane = *self.lanes.get(pair).ok_or(Unavailable::NotFound)?;
        if lane.both_here {
            let mut waiting = self.waiting();
            let known = |id: &KeyId| waiting.copies.contains_key(&(pair, *id));
            let mut sorted = ids.to_vec();
            sorted.sort_unstable();
            if !ids.iter().all(known) || sorted.windows(2).any(|two| two[0] == two[1]) {
                return Err(Unavailable::NotFound);
            }
            let take = |id: &KeyId| waiting.copies.remove(&(pair, *id)).map(|bytes| Key { id: *id, bytes });
            return ids.iter().map(take).collect::<Option<_>>().ok_or(Unavailable::NotFound);
        }
        let units: Option<Vec<Vec<_>>> = ids.iter().map(|id| lane.units(*id)).collect();
        let units = units.ok_or(Unavailable::NotFound)?;
        let fetched = self.collecting.ask(units.concat(), |asked| self.fetch(asked));
        let fetched = fetched.unwrap_or_else(|| Err(Unavailable::Failed { what: "a caller failed".into() }));
        let mut taken = fetched?.into_iter();
        let key = |(id, units): (&KeyId, &Vec<store::KeyId>)| {
            let own: Vec<store::Key> = taken.by_ref().take(units.len()).collect();
            Key { id: *id, bytes: joined(&own, Place::of(*id).bytes) }
        };
        Ok(ids.iter().zip(&units).map(key).collect())
    }
}

impl<K: KeyStore> Stored<K> {
    /// Answers callers who collect: each gets all of its units, or none. One sync serves them all.
    fn fetch(&self, asked: Vec<Vec<store::KeyId>>) -> Vec<Fetched> {
        let lacking: Vec<store::KeyId> = {
            let waiting = self.waiting();
            let lacks = |unit: &&store::KeyId| !waiting.returned.contains_key(unit);
            asked.iter().flatten().filter(lacks).copied().collect()
        };
        // Nobody else is here meanwhile, so what was returned stays; masters need not wait for this sync.
        let delivered = if lacking.is_empty() { Ok(Vec::new()) } else { self.store().deliver_each(&lacking) };
        let mut delivered = match delivered {
            Ok(delivered) => delivered.into_iter(),
            Err(error) => return asked.iter().map(|_| Err(failed(&error))).collect(),
        };
        let mut waiting = self.waiting();
        // The same order as above, so that every answer meets its question.
        let mut lacking = lacking.into_iter().peekable();
        let mut answers = Vec::with_capacity(asked.len());
        for units in asked {
            let own = units.into_iter().map(|unit| match lacking.next_if_eq(&unit) {
                Some(_) => delivered.next().unwrap_or(Err(StoreError::Unknown { id: unit })),
                None => waiting.returned.remove(&unit).ok_or(StoreError::Delivered { id: unit }),
            });
            let own = own.collect();
            answers.push(waiting.all_or_none(own));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store of blocks of 32 keys, with the store's own IDs.
    #[derive(Debug, Default)]
    struct Blocks {
        left: BTreeMap<store::KeyId, u8>,
        calls: usize,
    }

    fn store_id(block: u64, place: u32) -> store::KeyId {
        let place = Place { link: [7; 6], block, place, bytes: UNIT };
        place.unit(0).expect("small")
    }

    impl Blocks {
        fn new(blocks: u64) -> Arc<Mutex<Self>> {
            let ids = (0..blocks).flat_map(|block| {
                (0..32).map(move |place| (store_id(block, place), block as u8 ^ place as u8))
            });
            Arc::new(Mutex::new(Self { left: ids.collect(), calls: 0 }))
        }
    }

    impl KeyStore for Blocks {
        fn available(&self) -> u64 {
            self.left.len() as u64
        }

        fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<store::Key>, StoreError> {
            self.calls += 1;
            let mine = |id: &store::KeyId| match share {
                Share::All => true,
                Share::Even => id.bytes()[15].is_multiple_of(2),
                Share::Odd => !id.bytes()[15].is_multiple_of(2),
            };
            let ids: Vec<_> = self.left.keys().copied().filter(mine).take(most).collect();
            ids.into_iter().map(|id| self.deliver(id)).collect()
        }

        fn deliver(&mut self, id: store::KeyId) -> Result<store::Key, StoreError> {
            let fill = self.left.remove(&id).ok_or(StoreError::Unknown { id })?;
            Ok(store::Key::for_tests(id, [fill; UNIT]))
        }

        fn deliver_each(
            &mut self,
            ids: &[store::KeyId],
        ) -> Result<Vec<Result<store::Key, StoreError>>, StoreError> {
            self.calls += 1;
            Ok(ids.iter().map(|id| self.deliver(*id)).collect())
        }
    }

    fn pairs(list: &[(&str, &str, &str, &str)]) -> Vec<Pair> {
        let pair = |(master, slave, at, to): &(&str, &str, &str, &str)| Pair {
            master: (*master).into(),
            slave: (*slave).into(),
            master_kme: (*at).into(),
            slave_kme: (*to).into(),
        };
        list.iter().map(pair).collect()
    }

    /// Both ends of a link.
    fn link(list: &[(&str, &str, &str, &str)]) -> [Stored<Blocks>; 2] {
        let pairs = pairs(list);
        ["a", "b"].map(|kme| Stored::new(Blocks::new(4), kme, &pairs, 1 << 20).expect("two ends"))
    }

    fn ids(keys: &[Key]) -> Vec<KeyId> {
        keys.iter().map(|key| key.id).collect()
    }

    const BOTH_WAYS: &[(&str, &str, &str, &str)] =
        &[("alice", "bob", "a", "b"), ("bob", "alice", "b", "a"), ("carol", "dave", "a", "b")];

    #[test]
    fn both_ends_find_the_same_keys_of_every_size() {
        let [a, b] = link(BOTH_WAYS);
        for key_bytes in [8, 32, 33, 64, 100, 160] {
            for (pair, master, slave) in [(0, &a, &b), (1, &b, &a), (2, &a, &b)] {
                let keys = master.reserve(pair, Want { number: 1, key_bytes }).expect("enough");
                assert_eq!(keys[0].bytes.len(), key_bytes, "its length");
                let copies = slave.collect(pair, &ids(&keys)).expect("the other end holds it");
                assert_eq!(copies[0].bytes, keys[0].bytes, "pair {pair}, {key_bytes} bytes");
                assert_eq!(slave.collect(pair, &ids(&keys)).err(), Some(Unavailable::NotFound), "once");
            }
        }
    }

    #[test]
    fn a_pair_gets_no_other_pairs_keys() {
        let [a, b] = link(BOTH_WAYS);
        let keys = a.reserve(0, Want { number: 3, key_bytes: 32 }).expect("enough");
        for wrong in [1, 2] {
            assert_eq!(b.collect(wrong, &ids(&keys)).err(), Some(Unavailable::NotFound), "pair {wrong}");
        }
        assert!(a.reserve(1, Want { number: 1, key_bytes: 32 }).is_err(), "its master asks at the other end");
        assert_eq!(b.collect(0, &ids(&keys)).map(|keys| keys.len()), Ok(3), "still there for its own slave");
    }

    #[test]
    fn all_keys_are_delivered_and_none_is_lost_at_an_end() {
        let [a, b] = link(&[("alice", "bob", "a", "b")]);
        let long = a.reserve(0, Want { number: 1, key_bytes: 32 * 30 }).expect("most of a block");
        let next = a.reserve(0, Want { number: 2, key_bytes: 32 * 30 }).expect("of the next two");
        let mut units = 3 * 30;
        while let Ok(keys) = a.reserve(0, Want { number: 1, key_bytes: 32 }) {
            units += 1;
            assert_eq!(
                b.collect(0, &ids(&keys)).map(|copies| copies[0].bytes.clone()),
                Ok(keys[0].bytes.clone())
            );
        }
        assert_eq!(units, 4 * 32, "the blocks' ends served short keys");
        for keys in [long, next] {
            let copies = b.collect(0, &ids(&keys)).expect("there");
            assert_eq!(copies[0].bytes, keys[0].bytes, "a long key");
        }
        let short = a.reserve(0, Want { number: 1, key_bytes: 1 }).err();
        assert_eq!(short, Some(Unavailable::Short { available_bytes: 0, wanted_bytes: 1 }), "empty");
    }

    #[test]
    fn a_bad_id_costs_the_good_ones_nothing() {
        let [a, b] = link(&[("alice", "bob", "a", "b")]);
        let keys = a.reserve(0, Want { number: 2, key_bytes: 48 }).expect("enough");
        let bad = Place { link: [7; 6], block: 9, place: 0, bytes: 32 }.id().expect("small");
        let [first, second] = [keys[0].id, keys[1].id];
        for wrong in [vec![first, bad], vec![first, second, first]] {
            assert_eq!(b.collect(0, &wrong).err(), Some(Unavailable::NotFound), "{wrong:?}");
        }
        assert_eq!(b.collect(0, &[second, first]).map(|keys| keys.len()), Ok(2), "in any order");
    }

    #[test]
    fn one_node_serves_both_sides_of_a_pair() {
        let pairs = pairs(&[("x", "x", "a", "a")]);
        let stored = Stored::new(Blocks::new(1), "a", &pairs, 1 << 20).expect("one node");
        let keys = stored.reserve(0, Want { number: 2, key_bytes: 16 }).expect("enough");
        assert_eq!(
            stored.collect(0, &[keys[0].id, keys[0].id]).err(),
            Some(Unavailable::NotFound),
            "twice in one"
        );
        let copies = stored.collect(0, &ids(&keys)).expect("copies wait");
        assert_eq!(copies[1].bytes, keys[1].bytes, "the same key");
        assert_eq!(stored.collect(0, &ids(&keys)).err(), Some(Unavailable::NotFound), "once");
    }

    #[test]
    fn callers_who_wait_share_a_sync() {
        let pairs = pairs(&[("alice", "bob", "a", "b")]);
        let store = Blocks::new(4);
        let stored = Stored::new(store.clone(), "a", &pairs, 1 << 20).expect("one master");
        stored.wanted.fetch_add(63, Ordering::Relaxed);
        for _ in 0..64 {
            stored.reserve(0, Want { number: 1, key_bytes: 32 }).expect("enough");
        }
        assert_eq!(store.lock().expect("not poisoned").calls, 1, "one pull for all");
    }

    /// A store that tells when it is asked by ID, and answers when it is let.
    #[derive(Debug)]
    struct Held {
        blocks: Blocks,
        asked: std::sync::mpsc::Sender<()>,
        go: std::sync::mpsc::Receiver<()>,
    }

    impl KeyStore for Held {
        fn available(&self) -> u64 {
            self.blocks.available()
        }

        fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<store::Key>, StoreError> {
            self.blocks.deliver_next(share, most)
        }

        fn deliver(&mut self, id: store::KeyId) -> Result<store::Key, StoreError> {
            self.blocks.deliver(id)
        }

        fn deliver_each(
            &mut self,
            ids: &[store::KeyId],
        ) -> Result<Vec<Result<store::Key, StoreError>>, StoreError> {
            self.asked.send(()).expect("the test listens");
            self.go.recv().expect("the test answers");
            self.blocks.deliver_each(ids)
        }
    }

    #[test]
    fn who_comes_during_a_sync_waits_in_the_next_ones_queue() {
        let pairs = pairs(&[("alice", "bob", "a", "b")]);
        let master = Stored::new(Blocks::new(1), "a", &pairs, 1 << 20).expect("one master");
        let keys = master.reserve(0, Want { number: 3, key_bytes: 32 }).expect("enough");
        let ((told, asked), (let_go, go)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel());
        let blocks = std::mem::take(&mut *Blocks::new(1).lock().expect("not poisoned"));
        let held = Arc::new(Mutex::new(Held { blocks, asked: told, go }));
        let slave = Stored::new(held.clone(), "b", &pairs, 1 << 20).expect("one master");
        std::thread::scope(|scope| {
            let collect = |key: &Key| {
                let (slave, id) = (&slave, key.id);
                scope.spawn(move || slave.collect(0, &[id]).map(|copies| copies.len()))
            };
            let first = collect(&keys[0]);
            asked.recv().expect("it asks");
            let others = [collect(&keys[1]), collect(&keys[2])];
            let queued = (0..2000).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(5));
                format!("{:?}", slave.collecting).contains("2 waiting")
            });
            // More than there should be, so that a failure ends, too.
            (0..3).for_each(|_| let_go.send(()).expect("it waits"));
            assert!(queued, "both wait together while the first one's sync runs");
            assert_eq!(first.join().expect("no panic"), Ok(1), "the first");
            for other in others {
                assert_eq!(other.join().expect("no panic"), Ok(1), "its own key");
            }
        });
        assert_eq!(held.lock().expect("not poisoned").blocks.calls, 2, "one sync for both");
    }

    #[test]
    fn three_nodes_make_no_link() {
        let three = pairs(&[("x", "y", "a", "b"), ("x", "y", "b", "a"), ("x", "z", "c", "a")]);
        assert!(Stored::new(Blocks::new(1), "a", &three, 1).is_err(), "a link has two ends");
    }
}
