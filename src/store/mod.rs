//! Key store: what a node remembers over crashes, and the keys that it delivers once.
//!
//! A [`Store`] keeps the [records](crate::session::Entry) of a node's sessions in a journal and their
//! secrets in a vault, and gives a party back what it goes on from ([`Store::recall`]). A block's key
//! is cut into keys of 256 bits. Their IDs follow from the session, the protocol, the block and the
//! place in it, so both sides name them alike without a message.
//!
//! A key is marked spent, lastingly, before its bytes leave: a crash in between wastes it, and never
//! delivers it twice. A group of records is on the disk with one sync for its secrets and one for
//! the journal. When a write or a sync fails the store closes: what the disk holds is found out by
//! opening it again, never guessed. Everything has a limit ([`Limits`]).

mod book;
mod combine;
mod disk;
mod error;
mod journal;
mod keeper;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "nats", feature = "postgres"))]
mod seal;
mod vault;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::auth::Pool;
use crate::bits::BitBlock;
use crate::session::{Entry, Memory, Remembered};
use crate::stage::Role;
use crate::wire::{Reader, Writer};

use book::{Book, Held};
use journal::Journal;
use vault::{Contents, SECRET, Slots, Vault};

pub use combine::Combination;
pub use disk::{Disk, Folder, InMemory};
pub use error::StoreError;
pub use journal::VERSION as JOURNAL_VERSION;
pub use keeper::{Forgetful, Keeper, Kept};
#[cfg(feature = "postgres")]
pub use postgres::{Database, Postgres};
#[cfg(any(feature = "nats", feature = "postgres"))]
pub use seal::SiteKey;

/// Bits of a key.
pub const KEY_BITS: usize = 8 * SECRET;

/// The ID of a key: the same on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    fn new(link: [u8; 6], block: u64, place: u32) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&link);
        id[6..12].copy_from_slice(&block.to_be_bytes()[2..]);
        id[12..].copy_from_slice(&place.to_be_bytes());
        Self(id)
    }

    /// The ID of 16 bytes, as [`KeyId::bytes`] gives them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    fn parts(self) -> ([u8; 6], u64, u32) {
        let (mut link, mut block, mut place) = ([0; 6], [0; 8], [0; 4]);
        link.copy_from_slice(&self.0[..6]);
        block[2..].copy_from_slice(&self.0[6..12]);
        place.copy_from_slice(&self.0[12..]);
        (link, u64::from_be_bytes(block), u32::from_be_bytes(place))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A key on its way out. Wiped on drop.
pub struct Key {
    /// Its ID.
    pub id: KeyId,
    bytes: [u8; SECRET],
}

impl Key {
    #[cfg(all(test, feature = "serve"))]
    pub(crate) fn for_tests(id: KeyId, bytes: [u8; SECRET]) -> Self {
        Self { id, bytes }
    }

    /// The key's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {} bytes)", self.id, self.bytes.len())
    }
}

/// Which keys are handed out first at this side. Two consumers who ask at the two ends at the same
/// time get different keys if one end hands out the even ones and the other the odd ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Every key: the other end hands out none by itself.
    All,
    /// Keys at even places of their block.
    Even,
    /// Keys at odd places.
    Odd,
}

impl Share {
    fn holds(self, place: u32) -> bool {
        match self {
            Self::All => true,
            Self::Even => place.is_multiple_of(2),
            Self::Odd => !place.is_multiple_of(2),
        }
    }
}

/// Where consumers get keys: each is delivered once, ever.
pub trait KeyStore: Send + fmt::Debug {
    /// Keys that can be delivered.
    fn available(&self) -> u64;

    /// Delivers up to `most` keys of a share, oldest block first.
    ///
    /// # Errors
    /// [`StoreError`]; no key is then delivered.
    fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<Key>, StoreError>;

    /// Delivers the key of an ID.
    ///
    /// # Errors
    /// [`StoreError::Delivered`], [`StoreError::Unknown`], [`StoreError::Spoilt`], or that the disk failed.
    fn deliver(&mut self, id: KeyId) -> Result<Key, StoreError>;

    /// Delivers the keys of several IDs, or tells of each why not, as [`KeyStore::deliver`] would. What is
    /// delivered lasts as spent with one sync for all.
    ///
    /// # Errors
    /// That the disk failed; no key is then delivered.
    fn deliver_each(&mut self, ids: &[KeyId]) -> Result<Vec<Result<Key, StoreError>>, StoreError>;
}

/// What a store may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bits of undelivered key.
    pub capacity_bits: u64,
    /// Bytes of the journal before it is summed up: a few kilobytes a block are added.
    pub journal_bytes: u64,
}

impl Default for Limits {
    /// 256 Mbit of key, 4 MiB of journal.
    fn default() -> Self {
        Self { capacity_bits: 1 << 28, journal_bytes: 1 << 22 }
    }
}

/// The embedded key store.
#[derive(Debug)]
pub struct Store<D: Disk> {
    disk: D,
    limits: Limits,
    journal: Journal,
    vault: Vault,
    books: Vec<Book>,
    held: BTreeMap<(usize, u64), Held>,
    /// Blocks with keys, in the order of their commits.
    order: VecDeque<(usize, u64)>,
    held_keys: u64,
    /// Records of the group that is being made.
    pending: Vec<u8>,
    /// Slots to overwrite once the group lasts.
    spent: Vec<Slots>,
    closed: Option<StoreError>,
    combination: Combination,
}

impl<D: Disk> Store<D> {
    /// Opens a store: reads what is there, drops what a crash left half-done, and sums it up.
    ///
    /// # Errors
    /// [`StoreError`] if the disk fails, or if what it holds is damaged or of another version.
    pub fn open(mut disk: D, limits: Limits) -> Result<Self, StoreError> {
        let found = journal::read(&mut disk)?;
        let mut store = Self {
            disk,
            limits,
            journal: Journal::default(),
            vault: Vault::default(),
            books: Vec::new(),
            held: BTreeMap::new(),
            order: VecDeque::new(),
            held_keys: 0,
            pending: Vec::new(),
            spent: Vec::new(),
            closed: None,
            combination: Combination::default(),
        };
        let (generation, groups) = found.unwrap_or_default();
        for group in &groups {
            store.replay(group)?;
        }
        store.pending.clear();
        store.spent.clear();
        store.vault = Vault::new(store.used().into_iter());
        let sum = store.sum();
        store.journal = Journal::begin(&mut store.disk, generation + 1, &sum)?;
        let contents = Contents::read(&mut store.disk)?;
        store.vault.sweep(&mut store.disk, &contents)?;
        Ok(store)
    }

    /// Installs a protocol's pre-shared key: at first, or a fresh one when pads run out. Both sides
    /// install as many, in the same order. Bytes beyond the last pair of pads are not used.
    ///
    /// # Errors
    /// [`StoreError`]; nothing is then installed.
    pub fn install(&mut self, protocol: &str, session: u128, pre_shared: &[u8]) -> Result<(), StoreError> {
        self.check_open()?;
        let secrets = pre_shared.len() / SECRET;
        let slots = self.vault.take(secrets as u64);
        let written = self.vault.write(&mut self.disk, &slots, pre_shared);
        self.or_close(written)?;
        let mut writer = Writer::new();
        writer.u8(record::INSTALL).u128(session).count(protocol.len()).bytes(protocol.as_bytes());
        book::write_slots(&mut writer, &slots);
        self.add_record(&writer.finish())?;
        self.sync()
    }

    /// Whether a protocol's pre-shared key was installed.
    #[must_use]
    pub fn has(&self, protocol: &str) -> bool {
        self.book(protocol).is_some()
    }

    /// The session that a protocol's pre-shared key was installed for.
    #[must_use]
    pub fn session(&self, protocol: &str) -> Option<u128> {
        self.book(protocol).map(|book| self.books[book].session)
    }

    /// What a party of a protocol goes on from.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] if no key was installed, or for another session; [`StoreError`] if
    /// secrets cannot be read.
    pub fn recall(&mut self, protocol: &str, session: u128) -> Result<Remembered, StoreError> {
        self.sync()?;
        let book = self.book(protocol).ok_or(StoreError::Foreign { what: "another set of protocols" })?;
        let book = &self.books[book];
        if book.session != session {
            return Err(StoreError::Foreign { what: "another session" });
        }
        let contents = Contents::read(&mut self.disk)?;
        let hash_keys = contents.secrets(&book.hash_keys)?;
        let first = book.pads.first().map_or(book.next_pair, |(first, _)| *first);
        let mut pairs = Zeroizing::new(Vec::new());
        for (_, slots) in &book.pads {
            pairs.extend_from_slice(&contents.secrets(slots)?);
        }
        let mut pool = Pool::restore(&hash_keys, first, &pairs);
        pool.skip_to(Role::Alice, book.memory.spent[0]);
        pool.skip_to(Role::Bob, book.memory.spent[1]);
        let in_doubt = match (&book.memory.prepared, &book.prepared) {
            (Some(prepared), Some((refill, keys))) if prepared.ready => {
                let mut bytes = contents.secrets(refill)?;
                bytes.extend_from_slice(&contents.secrets(keys)?);
                Some(BitBlock::from_bytes(&bytes, 8 * bytes.len()))
            }
            _ => None,
        };
        Ok(Remembered { memory: book.memory.clone(), pool, in_doubt })
    }

    /// What a protocol's records add up to.
    #[must_use]
    pub fn memory(&self, protocol: &str) -> Option<&Memory> {
        self.book(protocol).map(|book| &self.books[book].memory)
    }

    /// Adds an entry to the group that is being made. It lasts once [`Store::sync`] has returned.
    ///
    /// # Errors
    /// [`StoreError::Full`] if its key does not fit; [`StoreError`] if the disk fails.
    pub fn write(&mut self, protocol: &str, entry: &Entry) -> Result<(), StoreError> {
        self.check_open()?;
        let book = self.book(protocol).ok_or(StoreError::Foreign { what: "another set of protocols" })?;
        let mut slots = [Slots::default(), Slots::default()];
        if let Entry::Prepare { bits, refill_bits, .. } = entry {
            if !self.has_room(bits.len() as u64) {
                let capacity_bits = self.limits.capacity_bits;
                return Err(StoreError::Full { held_bits: self.held_bits(), capacity_bits });
            }
            let bytes = Zeroizing::new(bits.to_bytes());
            let refill = refill_bits / KEY_BITS as u64;
            let whole = (bits.len() / KEY_BITS) as u64;
            slots = [self.vault.take(refill), self.vault.take(whole.saturating_sub(refill))];
            let (refill, keys) = bytes.split_at(SECRET * usize::try_from(refill).unwrap_or(0));
            for (slots, secrets) in slots.iter().zip([refill, keys]) {
                let written = self.vault.write(&mut self.disk, slots, secrets);
                self.or_close(written)?;
            }
        }
        let mut writer = Writer::new();
        writer.u8(record::ENTRY).count(book);
        book::write_entry(&mut writer, entry, &slots);
        self.add_record(&writer.finish())?;
        self.learn(book, entry)
    }

    /// Makes everything written last, and overwrites what it spent.
    ///
    /// # Errors
    /// [`StoreError`], ever after: the store is closed.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.check_open()?;
        if self.pending.is_empty() {
            return Ok(());
        }
        let synced = self.try_sync();
        self.or_close(synced)
    }

    fn try_sync(&mut self) -> Result<(), StoreError> {
        self.vault.sync(&mut self.disk)?;
        let group = std::mem::take(&mut self.pending);
        self.journal.append(&mut self.disk, &group)?;
        for slots in std::mem::take(&mut self.spent) {
            self.vault.shred(&mut self.disk, &slots)?;
        }
        if self.journal.bytes() > self.limits.journal_bytes {
            let sum = self.sum();
            // A sum that is itself long is written anew only when as much again was added.
            self.limits.journal_bytes = self.limits.journal_bytes.max(2 * sum.len() as u64);
            self.journal = Journal::begin(&mut self.disk, self.journal.generation() + 1, &sum)?;
        }
        Ok(())
    }

    /// Whether key of so many bits fits.
    #[must_use]
    pub fn has_room(&self, bits: u64) -> bool {
        self.held_bits().saturating_add(bits) <= self.limits.capacity_bits
    }

    /// Bits of undelivered key.
    #[must_use]
    pub fn held_bits(&self) -> u64 {
        self.held_keys * KEY_BITS as u64
    }

    /// Gives the disk back, as a crash would: nothing is synced.
    #[must_use]
    pub fn into_disk(self) -> D {
        self.disk
    }

    fn check_open(&self) -> Result<(), StoreError> {
        self.closed.clone().map_or(Ok(()), Err)
    }

    fn or_close<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        result.inspect_err(|error| self.closed = Some(error.clone()))
    }

    fn book(&self, protocol: &str) -> Option<usize> {
        self.books.iter().position(|book| book.protocol == protocol)
    }

    /// Slots that something refers to.
    fn used(&self) -> Vec<u64> {
        let books = self.books.iter().flat_map(Book::slots);
        books.chain(self.held.values().flat_map(Held::slots)).collect()
    }

    /// Records that say all that is known.
    fn sum(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        for book in &self.books {
            writer.u8(record::BOOK);
            book.write(&mut writer);
        }
        for (number, block) in &self.order {
            let Some(held) = self.held.get(&(*number, *block)) else { continue };
            writer.u8(record::HELD).count(*number).varint(*block);
            held.write(&mut writer);
        }
        writer.finish()
    }

    fn add_record(&mut self, record: &[u8]) -> Result<(), StoreError> {
        self.pending.extend_from_slice(record);
        self.replay(record)
    }

    /// Takes in records, whether they are new or read.
    fn replay(&mut self, records: &[u8]) -> Result<(), StoreError> {
        let mut reader = Reader::new(records);
        while reader.remaining() > 0 {
            let offset = (records.len() - reader.remaining()) as u64;
            let taken = self.replay_one(&mut reader);
            taken.ok().flatten().ok_or(StoreError::Damaged { file: "journal", offset })?;
        }
        Ok(())
    }

    fn replay_one(&mut self, reader: &mut Reader<'_>) -> Result<Option<()>, crate::wire::Malformed> {
        match reader.u8()? {
            record::INSTALL => {
                let session = reader.u128()?;
                let protocol = book::read_name(reader)?;
                let slots = book::read_slots(reader)?;
                let fresh = match self.book(&protocol) {
                    Some(number) => &mut self.books[number],
                    None => {
                        self.books.push(Book::new(protocol, session));
                        let Some(last) = self.books.last_mut() else { return Ok(None) };
                        last
                    }
                };
                self.spent.extend(fresh.install(session, slots));
            }
            record::BOOK => self.books.push(Book::read(reader)?),
            record::HELD => {
                let number = reader.count(self.books.len(), "book")?;
                let block = reader.varint()?;
                self.hold(number, block, Held::read(reader)?);
            }
            record::ENTRY => {
                let number = reader.count(self.books.len(), "book")?;
                let (entry, slots) = book::read_entry(reader)?;
                let Some(book) = self.books.get_mut(number) else { return Ok(None) };
                let (spent, committed) = book.apply(&entry, slots);
                self.spent.extend(spent);
                if let Some((block, keys)) = committed {
                    self.hold(number, block, Held::new(keys));
                }
            }
            record::SPENT => {
                let number = reader.count(self.books.len(), "book")?;
                let (block, place) = (reader.varint()?, reader.u32()?);
                let Some(held) = self.held.get_mut(&(number, block)) else { return Ok(None) };
                let Some(slot) = held.spend(place) else { return Ok(None) };
                self.spent.push(Slots(vec![(slot, 1)]));
                self.held_keys -= 1;
                self.forget_if_empty(number, block);
            }
            record::GIVEN_UP => {
                let number = reader.count(self.books.len(), "book")?;
                let block = reader.varint()?;
                let Ok(place) = u32::try_from(reader.varint()?) else { return Ok(None) };
                let Some(held) = self.held.get_mut(&(number, block)) else { return Ok(None) };
                let given_up = held.give_up_from(place);
                self.held_keys -= given_up.len();
                self.spent.push(given_up);
                self.forget_if_empty(number, block);
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn hold(&mut self, number: usize, block: u64, held: Held) {
        if held.left() > 0 {
            self.held_keys += held.left();
            self.held.insert((number, block), held);
            self.order.push_back((number, block));
        }
    }

    fn forget_if_empty(&mut self, number: usize, block: u64) {
        if self.held.get(&(number, block)).is_some_and(|held| held.left() == 0) {
            self.held.remove(&(number, block));
            self.order.retain(|key| *key != (number, block));
        }
    }

    /// Marks a key spent and reads it. Its bytes may leave once the mark lasts.
    fn take(&mut self, number: usize, block: u64, place: u32) -> Result<Key, StoreError> {
        let id = KeyId::new(self.books[number].link(), block, place);
        let slot = self.held.get(&(number, block)).and_then(|held| held.slot(place));
        let slot = slot.ok_or(StoreError::Unknown { id })?;
        let secret = self.vault.read(&mut self.disk, slot);
        let secret = self.or_close(secret)?;
        let mut writer = Writer::new();
        writer.u8(record::SPENT).count(number).varint(block).bytes(&place.to_le_bytes());
        self.add_record(&writer.finish())?;
        let secret = secret.ok_or(StoreError::Spoilt { id })?;
        Ok(Key { id, bytes: *secret })
    }

    /// As [`Store::take`], by the key's ID.
    fn take_by_id(&mut self, id: KeyId) -> Result<Key, StoreError> {
        if self.combination == Combination::Xor {
            return self.take_joined_by_id(id);
        }
        let (link, block, place) = id.parts();
        let number = self.books.iter().position(|book| book.link() == link);
        let number = number.ok_or(StoreError::Unknown { id })?;
        if self.held.get(&(number, block)).and_then(|held| held.slot(place)).is_none() {
            let memory = &self.books[number].memory;
            let open = memory.prepared.as_ref().is_some_and(|prepared| prepared.block == block);
            let over = block < memory.next_block && !open;
            return Err(if over { StoreError::Delivered { id } } else { StoreError::Unknown { id } });
        }
        self.take(number, block, place)
    }

    /// The first keys of a share that can be delivered.
    fn next_places(&self, share: Share, most: usize) -> Vec<(usize, u64, u32)> {
        let joins = self.combination == Combination::Xor;
        // Of blocks that are joined, the first protocol's stands for all.
        let blocks = self.order.iter().filter(|(number, _)| !joins || *number == 0);
        let places = blocks.flat_map(|(number, block)| {
            let held = self.held.get(&(*number, *block));
            held.into_iter().flat_map(Held::places).map(|place| (*number, *block, place))
        });
        let mine = places.filter(|(_, _, place)| share.holds(*place));
        mine.filter(|(_, block, place)| !joins || self.is_joined(*block, *place)).take(most).collect()
    }
}

impl<D: Disk> KeyStore for Store<D> {
    fn available(&self) -> u64 {
        match self.combination {
            Combination::Either => self.held_keys,
            Combination::Xor => self.joined_keys(),
        }
    }

    fn deliver_next(&mut self, share: Share, most: usize) -> Result<Vec<Key>, StoreError> {
        self.check_open()?;
        let mut keys = Vec::new();
        for (number, block, place) in self.next_places(share, most) {
            let key = match self.combination {
                Combination::Either => self.take(number, block, place),
                Combination::Xor => self.take_joined(block, place),
            };
            match key {
                Ok(key) => keys.push(key),
                // It is spent, and the next one does as well.
                Err(StoreError::Spoilt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.sync()?;
        Ok(keys)
    }

    fn deliver(&mut self, id: KeyId) -> Result<Key, StoreError> {
        self.check_open()?;
        let key = self.take_by_id(id);
        self.sync()?;
        key
    }

    fn deliver_each(&mut self, ids: &[KeyId]) -> Result<Vec<Result<Key, StoreError>>, StoreError> {
        self.check_open()?;
        let keys = ids.iter().map(|id| self.take_by_id(*id)).collect();
        self.sync()?;
        Ok(keys)
    }
}

/// The kinds of the journal's records.
mod record {
    pub(super) const BOOK: u8 = 0;
    pub(super) const INSTALL: u8 = 1;
    pub(super) const ENTRY: u8 = 2;
    pub(super) const HELD: u8 = 3;
    pub(super) const SPENT: u8 = 4;
    pub(super) const GIVEN_UP: u8 = 5;
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod tests;

/// A store in memory with so many keys of one block.
#[cfg(all(test, feature = "serve"))]
pub(crate) fn filled_for_tests(keys: usize) -> std::sync::Arc<std::sync::Mutex<Store<InMemory>>> {
    tests::shared(InMemory::new(), keys, 1).remove(0)
}
