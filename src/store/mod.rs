//! Key store: keys become available once both sides hold them, and are delivered once.
//!
//! A block's key is cut into keys of a fixed length. Their IDs follow from the session, the protocol,
//! the block and the place in it, so both sides name them alike without a message. A key that was
//! delivered, or asked for under its ID, is wiped and gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use zeroize::Zeroize;

use crate::bits::BitBlock;
use crate::session::SecretKey;

/// The ID of a key: the same on both sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

impl KeyId {
    fn new(prefix: [u8; 8], place: u64) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&prefix);
        id[8..].copy_from_slice(&place.to_be_bytes());
        Self(id)
    }

    fn parts(self) -> ([u8; 8], u64) {
        let (mut prefix, mut place) = ([0; 8], [0; 8]);
        prefix.copy_from_slice(&self.0[..8]);
        place.copy_from_slice(&self.0[8..]);
        (prefix, u64::from_be_bytes(place))
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
    bytes: Vec<u8>,
}

impl Key {
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

/// Why a key cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// It was delivered before.
    #[error("key {id} was delivered before; a key is delivered once")]
    Delivered {
        /// The key.
        id: KeyId,
    },
    /// No key has this ID here, or not yet.
    #[error("key {id} is not in this store")]
    Unknown {
        /// The key.
        id: KeyId,
    },
    /// The store is full: deliver or discard keys first.
    #[error("the store holds {held_bits} bits of its {capacity_bits}; deliver keys before adding more")]
    Full {
        /// Bits held.
        held_bits: u64,
        /// Bits that it may hold.
        capacity_bits: u64,
    },
}

#[derive(Debug)]
struct Stored {
    /// Keys from here on are held, unless in `gone`.
    bits: BitBlock,
    next: u64,
    gone: BTreeSet<u64>,
}

/// The keys of one side, in memory.
#[derive(Debug)]
pub struct KeyStore {
    session: u128,
    key_bits: usize,
    capacity_bits: u64,
    held_bits: u64,
    order: Vec<[u8; 8]>,
    blocks: BTreeMap<[u8; 8], Stored>,
}

impl KeyStore {
    /// An empty store of keys of `key_bits`, a multiple of 8 and at least 8.
    #[must_use]
    pub fn new(session: u128, key_bits: usize, capacity_bits: u64) -> Self {
        let key_bits = key_bits.next_multiple_of(8).max(8);
        Self { session, key_bits, capacity_bits, held_bits: 0, order: Vec::new(), blocks: BTreeMap::new() }
    }

    /// Takes a block's key in. Bits that do not fill a key are wiped.
    ///
    /// # Errors
    /// [`Unavailable::Full`] if the store cannot hold it.
    #[expect(clippy::needless_pass_by_value, reason = "a key is stored once: the store takes it")]
    pub fn add(&mut self, protocol: &str, key: SecretKey) -> Result<(), Unavailable> {
        let bits = key.bits().len() as u64;
        if self.held_bits + bits > self.capacity_bits {
            return Err(Unavailable::Full { held_bits: self.held_bits, capacity_bits: self.capacity_bits });
        }
        let prefix = self.prefix(protocol, key.block());
        let bits_held = key.bits().slice(0..key.bits().len() / self.key_bits * self.key_bits);
        self.held_bits += bits_held.len() as u64;
        let stored = Stored { bits: bits_held, next: 0, gone: BTreeSet::new() };
        self.blocks.insert(prefix, stored);
        self.order.push(prefix);
        Ok(())
    }

    /// Keys that can be delivered.
    #[must_use]
    pub fn available(&self) -> u64 {
        self.held_bits / self.key_bits as u64
    }

    /// Delivers the next key, oldest block first.
    pub fn deliver_next(&mut self) -> Option<Key> {
        let prefixes = self.order.clone();
        prefixes.into_iter().find_map(|prefix| {
            let stored = self.blocks.get(&prefix)?;
            let keys = (stored.bits.len() / self.key_bits) as u64;
            let place = (stored.next..keys).find(|place| !stored.gone.contains(place))?;
            self.deliver(KeyId::new(prefix, place)).ok()
        })
    }

    /// Delivers the key of an ID.
    ///
    /// # Errors
    /// [`Unavailable`] if it was delivered before, or was never here.
    pub fn deliver(&mut self, id: KeyId) -> Result<Key, Unavailable> {
        let (prefix, place) = id.parts();
        let key_bits = self.key_bits;
        let stored = self.blocks.get_mut(&prefix).ok_or(Unavailable::Unknown { id })?;
        let start = usize::try_from(place).ok().and_then(|place| place.checked_mul(key_bits));
        let start = start.filter(|start| start + key_bits <= stored.bits.len());
        let start = start.ok_or(Unavailable::Unknown { id })?;
        if place < stored.next || !stored.gone.insert(place) {
            return Err(Unavailable::Delivered { id });
        }
        let key = Key { id, bytes: stored.bits.slice(start..start + key_bits).to_bytes() };
        stored.wipe(start, key_bits);
        while stored.gone.remove(&stored.next) {
            stored.next += 1;
        }
        self.held_bits -= key_bits as u64;
        Ok(key)
    }

    fn prefix(&self, protocol: &str, block: u64) -> [u8; 8] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"keystill key id");
        hasher.update(&self.session.to_le_bytes());
        hasher.update(protocol.as_bytes());
        hasher.update(&block.to_le_bytes());
        let mut prefix = [0; 8];
        prefix.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        prefix
    }
}

impl Stored {
    fn wipe(&mut self, start: usize, bits: usize) {
        self.bits.edit(|words| {
            for place in start..start + bits {
                words[place / 64] &= !(1 << (place % 64));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(block: u64, bits: usize) -> SecretKey {
        let bools: Vec<bool> = (0..bits).map(|i| (i * 31 + block as usize).is_multiple_of(3)).collect();
        SecretKey::for_tests(block, BitBlock::from_bools(&bools))
    }

    fn store() -> KeyStore {
        let mut store = KeyStore::new(7, 256, 10_000);
        store.add("bb84", key(0, 1000)).expect("room");
        store.add("cv", key(0, 600)).expect("room");
        store
    }

    #[test]
    fn both_sides_name_the_same_keys_without_a_message() {
        let (mut ours, mut theirs) = (store(), store());
        let mut delivered = 0;
        while let Some(key) = ours.deliver_next() {
            let same = theirs.deliver(key.id).expect("the peer holds it");
            assert_eq!(key.bytes(), same.bytes(), "{}", key.id);
            delivered += 1;
        }
        assert_eq!(delivered, 3 + 2, "rests shorter than a key are wiped");
        assert_eq!(theirs.available(), 0, "both are empty");
    }

    #[test]
    fn a_key_is_delivered_once_ever() {
        let mut store = store();
        let id = store.deliver_next().expect("the first").id;
        assert_eq!(store.deliver(id).err(), Some(Unavailable::Delivered { id }), "by its ID");
        let next = store.deliver_next().expect("the second").id;
        assert_ne!(id, next, "nor as the next one");
        let unknown = KeyId::new([9; 8], 0);
        assert_eq!(store.deliver(unknown).err(), Some(Unavailable::Unknown { id: unknown }), "never here");
    }

    #[test]
    fn a_full_store_takes_no_more_and_loses_nothing() {
        let mut store = KeyStore::new(7, 256, 1_500);
        store.add("bb84", key(0, 1_000)).expect("room");
        let full = store.add("bb84", key(1, 1_000));
        assert!(matches!(full, Err(Unavailable::Full { .. })), "{full:?}");
        assert_eq!(store.available(), 3, "what was there stays");
    }

    #[test]
    fn ids_and_keys_print_no_bit() {
        let mut store = store();
        let key = store.deliver_next().expect("a key");
        assert!(format!("{key:?}").ends_with("32 bytes)"), "{key:?}");
        assert_eq!(key.id.to_string().len(), 36, "like a UUID");
    }
}
