//! How the keys of several protocols become one stream.
//!
//! [`Combination::Either`]: every key of every protocol is delivered; a consumer has key as long as one protocol
//! lives, and trusts all of them. [`Combination::Xor`]: a key is the sum of the protocols' keys of the same block
//! number and place, so it is secret as long as one of them is; it lives while all do.
//!
//! # Which keys are joined
//! Both ends hold the same blocks of each protocol, so numbers alone say which keys belong together, and no
//! message is needed. Of block b the shortest protocol's places are joined. What a longer one holds beyond, and
//! what a block holds whose partner came to nothing, is given up: shredded, and spent for ever. A block's
//! partner came to nothing once its protocol, which ends blocks in order, closed a later one or began another
//! connection.
//!
//! # Once
//! The marks of all summands stand in one group of the journal, which lasts whole or not at all. A crash before it
//! leaves all of them, one after it none; the sum leaves the store only after it.
//!
//! # ε
//! Every key of either policy rests on blocks of all protocols: their ε add ([`Store::epsilon`]). That the sum is
//! secret if one protocol fails altogether is beside that, not counted in it.

use crate::session::Entry;
use crate::wire::Writer;

use super::book::{Book, Held};
use super::disk::Disk;
use super::error::StoreError;
use super::vault::SECRET;
use super::{Key, KeyId, Store, record};

/// What consumers get of several protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Combination {
    /// The keys of all.
    #[default]
    Either,
    /// The sum of a key of each. Both ends say so, or neither's keys are found at the other.
    Xor,
}

/// What a block's key may still meet in another protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Partner {
    /// Its block is there: so many keys.
    There(u64),
    /// Not yet.
    Awaited,
    /// Never.
    Gone,
}

impl<D: Disk> Store<D> {
    /// Says how protocols are combined; before any session goes on from this store. Keys that can no longer be
    /// joined are given up.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails.
    pub fn combine(&mut self, combination: Combination) -> Result<(), StoreError> {
        self.combination = combination;
        // No session runs: of the blocks begun, only one in doubt is not over.
        for book in &mut self.books {
            book.over_below = book.memory.next_block;
        }
        if combination == Combination::Xor {
            self.discard_what_was_delivered_alone()?;
            self.discard_unmatched()?;
        }
        self.sync()
    }

    /// How protocols are combined.
    #[must_use]
    pub fn combination(&self) -> Combination {
        self.combination
    }

    /// The failure probabilities of all committed blocks of all protocols, added up.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        self.books.iter().map(|book| book.memory.epsilon).sum()
    }

    /// Whether key of so many bits fits that one protocol makes. Those that are joined wait for each other, so
    /// none may take the others' room.
    #[must_use]
    pub fn has_room_for(&self, protocol: &str, bits: u64) -> bool {
        let (Combination::Xor, Some(own)) = (self.combination, self.book(protocol)) else {
            return self.has_room(bits);
        };
        let held: u64 =
            self.held.iter().filter(|((book, _), _)| *book == own).map(|(_, held)| held.left()).sum();
        let share = self.limits.capacity_bits / self.books.len().max(2) as u64;
        (held * 8 * SECRET as u64).saturating_add(bits) <= share
    }

    /// Keys that can be joined now.
    pub(super) fn joined_keys(&self) -> u64 {
        let blocks = self.order.iter().filter(|(book, _)| *book == 0);
        blocks.map(|(_, block)| self.shortest(*block).unwrap_or(0)).sum()
    }

    /// Keys left in the shortest of a block's partners, if all are there.
    fn shortest(&self, block: u64) -> Option<u64> {
        let of = |book| self.held.get(&(book, block)).map(Held::left);
        let lengths: Option<Vec<u64>> = (0..self.books.len()).map(of).collect();
        lengths.filter(|lengths| lengths.len() > 1)?.into_iter().min()
    }

    /// Whether a place holds a key of every protocol.
    pub(super) fn is_joined(&self, block: u64, place: u32) -> bool {
        let has = |book| self.held.get(&(book, block)).and_then(|held| held.slot(place)).is_some();
        self.books.len() > 1 && (0..self.books.len()).all(has)
    }

    /// What the IDs of joined keys begin with.
    fn joined_link(&self) -> [u8; 6] {
        let mut links: Vec<[u8; 6]> = self.books.iter().map(Book::link).collect();
        links.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"keystill joined key id").update(&links.concat());
        let mut link = [0; 6];
        link.copy_from_slice(&hasher.finalize().as_bytes()[..6]);
        link
    }

    /// Marks a key of every protocol spent and adds them. The sum may leave once the marks last.
    pub(super) fn take_joined(&mut self, block: u64, place: u32) -> Result<Key, StoreError> {
        let id = KeyId::new(self.joined_link(), block, place);
        if !self.is_joined(block, place) {
            return Err(StoreError::Unknown { id });
        }
        let mut sum = Key { id, bytes: [0; SECRET] };
        let mut is_spoilt = false;
        for book in 0..self.books.len() {
            match self.take(book, block, place) {
                Ok(key) => sum.bytes.iter_mut().zip(key.bytes()).for_each(|(sum, byte)| *sum ^= byte),
                Err(StoreError::Spoilt { .. }) => is_spoilt = true,
                Err(error) => return Err(error),
            }
        }
        if is_spoilt {
            return Err(StoreError::Spoilt { id });
        }
        Ok(sum)
    }

    /// As [`Store::take_joined`], by the key's ID.
    pub(super) fn take_joined_by_id(&mut self, id: KeyId) -> Result<Key, StoreError> {
        let (link, block, place) = id.parts();
        if link != self.joined_link() {
            return Err(StoreError::Unknown { id });
        }
        if self.is_joined(block, place) {
            return self.take_joined(block, place);
        }
        let was = self.books.iter().all(|book| block < book.memory.next_block);
        let awaited = (0..self.books.len()).any(|book| self.partner(book, block) == Partner::Awaited);
        Err(if was && !awaited { StoreError::Delivered { id } } else { StoreError::Unknown { id } })
    }

    /// Learns from a session's entry which blocks are over, and gives up what waited for them in vain.
    pub(super) fn learn(&mut self, book: usize, entry: &Entry) -> Result<(), StoreError> {
        let own = &mut self.books[book];
        let over_below = match entry {
            Entry::Prepare { block, .. } => *block,
            Entry::Commit { block, .. } => *block + 1,
            // A connection begins: whatever was open is cut.
            Entry::Epoch { .. } => own.memory.next_block,
            _ => return Ok(()),
        };
        own.over_below = own.over_below.max(over_below);
        if self.combination == Combination::Xor { self.discard_unmatched() } else { Ok(()) }
    }

    fn partner(&self, book: usize, block: u64) -> Partner {
        if let Some(held) = self.held.get(&(book, block)) {
            return Partner::There(held.left());
        }
        let own = &self.books[book];
        let in_doubt = own.memory.prepared.is_some_and(|prepared| prepared.block == block);
        if block < own.over_below && !in_doubt { Partner::Gone } else { Partner::Awaited }
    }

    /// Gives up keys that no partner will ever meet.
    fn discard_unmatched(&mut self) -> Result<(), StoreError> {
        if self.books.len() < 2 {
            return Ok(());
        }
        let held: Vec<(usize, u64)> = self.held.keys().copied().collect();
        for (book, block) in held {
            let partners = (0..self.books.len()).map(|other| self.partner(other, block));
            let partners: Vec<Partner> = partners.collect();
            let shortest = |least: u64, partner: &Partner| match partner {
                Partner::There(left) => least.min(*left),
                Partner::Gone => 0,
                Partner::Awaited => least,
            };
            let longer = self.held.get(&(book, block)).map_or(0, Held::left);
            let least = partners.iter().fold(longer, shortest);
            if least == 0 {
                self.give_up_from(book, block, 0)?;
            } else if least < longer && !partners.contains(&Partner::Awaited) {
                let places =
                    self.held.get(&(book, block)).and_then(|held| held.places().nth(least_place(least)));
                self.give_up_from(book, block, places.unwrap_or(0))?;
            }
        }
        Ok(())
    }

    fn give_up_from(&mut self, book: usize, block: u64, place: u32) -> Result<(), StoreError> {
        let mut writer = Writer::new();
        writer.u8(record::GIVEN_UP).count(book).varint(block).varint(place.into());
        self.add_record(&writer.finish())
    }

    /// Of keys that were delivered alone, under another policy, the partners are given up.
    fn discard_what_was_delivered_alone(&mut self) -> Result<(), StoreError> {
        let mut alone = Vec::new();
        for ((book, block), held) in &self.held {
            let others = || (0..self.books.len()).filter_map(|other| self.held.get(&(other, *block)));
            let spent = |place: &u32| others().any(|other| other.is_spent(*place));
            alone.extend(held.places().filter(spent).map(|place| (*book, *block, place)));
        }
        for (book, block, place) in alone {
            match self.take(book, block, place) {
                Ok(_) | Err(StoreError::Spoilt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn least_place(least: u64) -> usize {
    usize::try_from(least).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bits, commit, empty};
    use super::super::{Folder, InMemory, KeyStore, Limits, Share};
    use super::*;

    fn joined() -> Store<InMemory> {
        let mut store = empty(Limits::default());
        store.combine(Combination::Xor).expect("the disk is good");
        store
    }

    fn all<D: Disk>(store: &mut Store<D>) -> Vec<(KeyId, Vec<u8>)> {
        let keys = store.deliver_next(Share::All, 1000).expect("open");
        keys.iter().map(|key| (key.id, key.bytes().to_vec())).collect()
    }

    #[test]
    fn a_joined_key_is_the_sum_and_the_length_is_the_shorter() {
        let mut store = joined();
        commit(&mut store, "bb84", 3, 256 + 256 * 7).expect("room");
        assert_eq!(store.available(), 0, "its partner is awaited");
        commit(&mut store, "cv", 3, 256 + 256 * 5).expect("room");
        assert_eq!((store.available(), store.held_bits()), (5, 2 * 5 * 256), "what is beyond is given up");
        let keys = all(&mut store);
        // Both protocols' blocks hold the same bits in this test: their sum is zero.
        assert_eq!(keys.len(), 5, "the shorter one's length");
        assert!(
            keys.iter().all(|(_, bytes)| bytes.iter().all(|byte| *byte == 0)),
            "the sum of the same twice"
        );
        assert_eq!(store.held_bits(), 0, "all summands are spent");
        let again = store.deliver(keys[0].0);
        assert!(matches!(again, Err(StoreError::Delivered { .. })), "once ever: {again:?}");
    }

    #[test]
    fn both_ends_join_alike_and_name_alike() {
        let (mut ours, mut theirs) = (joined(), joined());
        commit(&mut ours, "bb84", 0, 256 * 5).expect("room");
        commit(&mut ours, "cv", 0, 256 * 9).expect("room");
        commit(&mut theirs, "cv", 0, 256 * 9).expect("room");
        commit(&mut theirs, "bb84", 0, 256 * 5).expect("room");
        let keys = ours.deliver_next(Share::Even, 100).expect("open");
        assert_eq!(keys.len(), 2, "places 0 and 2 of four");
        for key in keys {
            assert_eq!(theirs.deliver(key.id).expect("there").bytes(), key.bytes(), "{}", key.id);
        }
    }

    #[test]
    fn a_block_whose_partner_came_to_nothing_is_given_up() {
        let mut store = joined();
        commit(&mut store, "bb84", 0, 256 * 4).expect("room");
        commit(&mut store, "bb84", 1, 256 * 4).expect("room");
        store.write("cv", &Entry::Opened { block: 0 }).expect("room");
        store.write("cv", &Entry::Opened { block: 1 }).expect("room");
        assert_eq!(store.held_bits(), 2 * 3 * 256, "open blocks may still become key");
        commit(&mut store, "cv", 1, 256 * 4).expect("room");
        assert_eq!(store.held_bits(), 2 * 3 * 256, "block 0 was aborted, block 1 is joined");
        assert_eq!(store.available(), 3, "what can be had");
        commit(&mut store, "bb84", 2, 256 * 4).expect("room");
        store.write("cv", &Entry::Opened { block: 2 }).expect("room");
        store.write("cv", &Entry::Epoch { own: 2, peer: 1 }).expect("room");
        assert_eq!(store.held_bits(), 2 * 3 * 256, "a lost connection cut block 2");
    }

    #[test]
    fn a_block_in_doubt_is_awaited_also_after_a_crash() {
        let mut store = joined();
        commit(&mut store, "bb84", 0, 256 * 4).expect("room");
        let (spent, tag) = ([2, 2], [0; 16]);
        let prepare = Entry::Prepare { block: 0, spent, tag, bits: bits(0, 1024), refill_bits: 256 };
        store.write("cv", &Entry::Opened { block: 0 }).expect("room");
        store.write("cv", &prepare).expect("room");
        store.write("cv", &Entry::Ready { block: 0, spent, tag, accepted: [1; 32] }).expect("room");
        store.sync().expect("good");
        let mut store = Store::open(store.into_disk(), Limits::default()).expect("good");
        store.combine(Combination::Xor).expect("good");
        assert_eq!(store.held_bits(), 3 * 256, "its partner may be there yet");
        store.write("cv", &Entry::Commit { block: 0, spent, epsilon: 1e-10 }).expect("room");
        assert_eq!(store.available(), 3, "and was");
    }

    #[test]
    fn keys_delivered_alone_are_joined_to_none() {
        let mut store = empty(Limits::default());
        commit(&mut store, "bb84", 0, 256 * 5).expect("room");
        commit(&mut store, "cv", 0, 256 * 5).expect("room");
        let first = store.deliver_next(Share::All, 1).expect("open").remove(0);
        store.combine(Combination::Xor).expect("good");
        assert_eq!(
            (store.available(), store.held_bits()),
            (3, 2 * 3 * 256),
            "the first one's partner is gone"
        );
        assert!(store.deliver(first.id).is_err(), "and no single key is found any more");
    }

    #[test]
    fn neither_protocol_fills_the_others_room() {
        let mut store =
            Store::open(InMemory::new(), Limits { capacity_bits: 8192, ..Limits::default() }).expect("new");
        for protocol in ["bb84", "cv"] {
            store.install(protocol, 7, &[0x5a; 32 * 9]).expect("installed");
        }
        store.combine(Combination::Xor).expect("good");
        commit(&mut store, "bb84", 0, 256 * 14).expect("room");
        assert!(!store.has_room_for("bb84", 4096), "half of the store is the other's");
        assert!(store.has_room_for("cv", 4096), "who still fits");
    }

    /// The journal cut at every byte: what a crash between the marks could leave.
    #[test]
    fn a_crash_leaves_all_summands_or_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || {
            let mut store = Store::open(Folder::open(folder.path()).expect("free"), Limits::default())?;
            store.combine(Combination::Xor)?;
            Ok::<_, StoreError>(store)
        };
        let mut store = open().expect("new");
        for protocol in ["bb84", "cv"] {
            store.install(protocol, 7, &[0x5a; 32 * 9]).expect("installed");
            let (spent, tag) = ([2, 2], [0; 16]);
            let prepare = Entry::Prepare { block: 0, spent, tag, bits: bits(0, 1024), refill_bits: 256 };
            store.write(protocol, &prepare).expect("room");
            store.write(protocol, &Entry::Ready { block: 0, spent, tag, accepted: [1; 32] }).expect("room");
            store.write(protocol, &Entry::Commit { block: 0, spent, epsilon: 1e-10 }).expect("room");
        }
        store.sync().expect("good");
        drop(store);
        let names = || {
            let files = std::fs::read_dir(folder.path()).expect("readable");
            files.map(|file| file.expect("readable").path()).collect::<Vec<_>>()
        };
        drop(open().expect("good"));
        let before: Vec<_> =
            names().into_iter().map(|path| (std::fs::read(&path).expect("readable"), path)).collect();
        let mut store = open().expect("good");
        assert_eq!(store.deliver_next(Share::All, 2).expect("good").len(), 2, "two leave");
        drop(store);
        let after: Vec<_> =
            names().into_iter().map(|path| (std::fs::read(&path).expect("readable"), path)).collect();
        let journal = names().into_iter().find(|path| path.ends_with("journal")).expect("there is one");
        let whole = std::fs::read(&journal).expect("readable").len();
        let mut seen = std::collections::BTreeSet::new();
        for length in (whole.saturating_sub(120)..=whole).rev() {
            // The vault's shredding came after the marks lasted: with them, or with the vault from before.
            let files = if length == whole { &after } else { &before };
            for (bytes, path) in files {
                std::fs::write(path, bytes).expect("writable");
            }
            let of_after = after.iter().find(|(_, path)| *path == journal).expect("there is one");
            std::fs::write(&journal, &of_after.0[..length]).expect("writable");
            let Ok(store) = open() else { continue };
            seen.insert((store.available(), store.held_bits() / 256));
        }
        assert!(seen.contains(&(1, 2)), "delivered: {seen:?}");
        assert!(seen.iter().all(|(joined, single)| *single == 2 * joined), "all summands or none: {seen:?}");
    }
}
