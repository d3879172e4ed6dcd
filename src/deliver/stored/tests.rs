use std::sync::mpsc::{Receiver, Sender, channel};

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
        let ids = (0..blocks)
            .flat_map(|block| (0..32).map(move |place| (store_id(block, place), block as u8 ^ place as u8)));
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

/// A store that tells when it is asked, and answers when it is let.
#[derive(Debug)]
struct Held {
    blocks: Blocks,
    asked: Sender<()>,
    go: Receiver<()>,
}

impl KeyStore for Held {
    fn available(&self) -> u64 {
        self.blocks.available()
    }

    fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<store::Key>, StoreError> {
        self.wait();
        self.blocks.deliver_next(share, most)
    }

    fn deliver(&mut self, id: store::KeyId) -> Result<store::Key, StoreError> {
        self.blocks.deliver(id)
    }

    fn deliver_each(
        &mut self,
        ids: &[store::KeyId],
    ) -> Result<Vec<Result<store::Key, StoreError>>, StoreError> {
        self.wait();
        self.blocks.deliver_each(ids)
    }
}

impl Held {
    /// The store, what it tells, and what lets it answer.
    fn new(blocks: u64) -> (Arc<Mutex<Self>>, Receiver<()>, Sender<()>) {
        let ((told, asked), (let_go, go)) = (channel(), channel());
        let blocks = std::mem::take(&mut *Blocks::new(blocks).lock().expect("not poisoned"));
        (Arc::new(Mutex::new(Self { blocks, asked: told, go })), asked, let_go)
    }

    fn wait(&self) {
        self.asked.send(()).expect("the test listens");
        self.go.recv().expect("the test answers");
    }
}

/// Whether two callers come to wait together.
fn two_wait<Q, A>(together: &Together<Q, A>) -> bool {
    (0..2000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        format!("{together:?}").contains("2 waiting")
    })
}

#[test]
fn masters_who_come_during_a_sync_share_the_next_one() {
    let (held, asked, let_go) = Held::new(1);
    let pairs = pairs(&[("alice", "bob", "a", "b")]);
    let master = Stored::new(held.clone(), "a", &pairs, 1 << 20).expect("one master");
    std::thread::scope(|scope| {
        let reserve = |number| {
            let master = &master;
            scope.spawn(move || master.reserve(0, Want { number, key_bytes: 32 }).map(|keys| ids(&keys)))
        };
        let first = reserve(1);
        asked.recv().expect("it asks");
        let others = [reserve(2), reserve(3)];
        let queued = two_wait(&master.reserving);
        (0..3).for_each(|_| let_go.send(()).expect("it waits"));
        assert!(queued, "both wait together while the first one's sync runs");
        let mut got: Vec<KeyId> = first.join().expect("no panic").expect("enough");
        for other in others {
            got.extend(other.join().expect("no panic").expect("enough"));
        }
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), 6, "to each the own keys");
    });
    assert_eq!(held.lock().expect("not poisoned").blocks.calls, 2, "one sync for both");
}

#[test]
fn whose_keys_are_here_waits_for_no_sync() {
    let (held, asked, let_go) = Held::new(1);
    let pairs = pairs(&[("alice", "bob", "a", "b"), ("carol", "dave", "a", "b")]);
    let master = Stored::new(held, "a", &pairs, 1 << 20).expect("one master");
    let want = Want { number: 1, key_bytes: 32 };
    std::thread::scope(|scope| {
        let reserve = |pair| {
            let master = &master;
            scope.spawn(move || master.reserve(pair, want).map(|keys| keys.len()))
        };
        let first = reserve(0);
        asked.recv().expect("it asks");
        let_go.send(()).expect("it waits");
        assert_eq!(first.join().expect("no panic"), Ok(1), "alice's key; one of carol's came with it");
        let second = reserve(0);
        asked.recv().expect("it asks");
        let other = reserve(1);
        let done = (0..2000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            other.is_finished()
        });
        (0..3).for_each(|_| let_go.send(()).expect("it waits"));
        assert!(done, "carol's key was there");
        assert_eq!(other.join().expect("no panic"), Ok(1), "hers");
        assert_eq!(second.join().expect("no panic"), Ok(1), "alice's second");
    });
}

#[test]
fn who_asks_for_too_much_takes_nothing_from_who_does_not() {
    let (held, asked, let_go) = Held::new(1);
    let pairs = pairs(&[("alice", "bob", "a", "b")]);
    let master = Stored::new(held, "a", &pairs, 1 << 20).expect("one master");
    std::thread::scope(|scope| {
        let reserve = |number| {
            let master = &master;
            scope.spawn(move || master.reserve(0, Want { number, key_bytes: 32 }).map(|keys| keys.len()))
        };
        let first = reserve(1);
        asked.recv().expect("it asks");
        let others = [reserve(32), reserve(31)];
        let queued = two_wait(&master.reserving);
        (0..9).for_each(|_| let_go.send(()).expect("it waits"));
        assert!(queued, "both wait together");
        assert_eq!(first.join().expect("no panic"), Ok(1), "of 32");
        let [too_much, rest] = others.map(|other| other.join().expect("no panic"));
        assert!(matches!(too_much, Err(Unavailable::Short { wanted_bytes: 1024, .. })), "{too_much:?}");
        assert_eq!(rest, Ok(31), "all that is left");
    });
}

#[test]
fn who_comes_during_a_sync_waits_in_the_next_ones_queue() {
    let pairs = pairs(&[("alice", "bob", "a", "b")]);
    let master = Stored::new(Blocks::new(1), "a", &pairs, 1 << 20).expect("one master");
    let keys = master.reserve(0, Want { number: 3, key_bytes: 32 }).expect("enough");
    let (held, asked, let_go) = Held::new(1);
    let slave = Stored::new(held.clone(), "b", &pairs, 1 << 20).expect("one master");
    std::thread::scope(|scope| {
        let collect = |key: &Key| {
            let (slave, id) = (&slave, key.id);
            scope.spawn(move || slave.collect(0, &[id]).map(|copies| copies.len()))
        };
        let first = collect(&keys[0]);
        asked.recv().expect("it asks");
        let others = [collect(&keys[1]), collect(&keys[2])];
        let queued = two_wait(&slave.collecting);
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
