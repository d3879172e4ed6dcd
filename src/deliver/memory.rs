//! Keys in memory: blocks of key cut into keys of any size as they are asked for.
//!
//! An ID says which bytes of which block it names: 60 bits of the block's tag, 32 bits of offset and
//! 30 bits of length in bytes, in a UUID of version 8. So the other end finds its copy without a
//! message; and since bytes are given out once on each side, an invented ID can at most waste the key
//! of the pair that invents it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use super::keys::{Key, KeyId, Keys, Unavailable, Want};

/// Which bytes of which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    tag: u64,
    offset: u32,
    bytes: u32,
}

impl Place {
    fn id(self) -> KeyId {
        let (tag, rest) = (self.tag, u64::from(self.offset) << 30 | u64::from(self.bytes));
        // 48 bits, version 8, 12 bits; variant 0b10, 62 bits: RFC 9562, section 5.8.
        let high = (tag >> 12) << 16 | 8 << 12 | (tag & 0xfff);
        let low = 1 << 63 | rest;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&high.to_be_bytes());
        id[8..].copy_from_slice(&low.to_be_bytes());
        KeyId::from_bytes(id)
    }

    fn of(id: KeyId) -> Option<Self> {
        let bytes = id.bytes();
        let (high, low) = bytes.split_at(8);
        let (high, low) =
            (u64::from_be_bytes(high.try_into().ok()?), u64::from_be_bytes(low.try_into().ok()?));
        if high >> 12 & 0xf != 8 || low >> 62 != 2 {
            return None;
        }
        let offset = u32::try_from(low >> 30 & 0xffff_ffff).ok()?;
        let bytes = u32::try_from(low & 0x3fff_ffff).ok()?;
        Some(Self { tag: (high >> 16) << 12 | (high & 0xfff), offset, bytes })
    }

    fn range(self) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        let end = start.checked_add(usize::try_from(self.bytes).ok()?)?;
        (start < end).then_some(start..end)
    }
}

/// Who of a pair gets its keys here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Here {
    /// The master asks here.
    pub master: bool,
    /// The slave collects here.
    pub slave: bool,
}

/// One block's key.
#[derive(Debug)]
struct Block {
    tag: u64,
    bytes: Zeroizing<Vec<u8>>,
    /// The master's next byte.
    next: usize,
    /// Ranges that the master got and the slave, served here too, has not collected yet.
    issued: BTreeMap<usize, usize>,
    /// Ranges that the slave collected, if the master is served elsewhere.
    collected: BTreeMap<usize, usize>,
}

impl Block {
    fn is_free(&self, range: &std::ops::Range<usize>) -> bool {
        let before = self.collected.range(..range.end).next_back();
        before.is_none_or(|(_, end)| *end <= range.start)
    }
}

/// A pair's pool.
#[derive(Debug)]
struct Pool {
    here: Here,
    blocks: Vec<Block>,
}

impl Pool {
    fn available(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes.len() - block.next).sum()
    }

    /// Where the next keys are, without taking them.
    fn find(&self, want: Want) -> Option<Vec<(usize, usize)>> {
        let mut found = Vec::with_capacity(want.number);
        for (index, block) in self.blocks.iter().enumerate() {
            let mut next = block.next;
            while found.len() < want.number && block.bytes.len() - next >= want.key_bytes {
                found.push((index, next));
                next += want.key_bytes;
            }
        }
        (found.len() == want.number).then_some(found)
    }

    fn block(&self, tag: u64) -> Option<usize> {
        self.blocks.iter().position(|block| block.tag == tag)
    }

    /// Whether the slave may collect a range.
    fn holds(&self, place: Place) -> Option<(usize, std::ops::Range<usize>)> {
        let (index, range) = (self.block(place.tag)?, place.range()?);
        let block = &self.blocks[index];
        let held = if self.here.master {
            block.issued.get(&range.start) == Some(&range.end)
        } else {
            range.end <= block.bytes.len() && block.is_free(&range)
        };
        held.then_some((index, range))
    }
}

/// Pools in memory, one a pair.
#[derive(Debug)]
pub struct Memory {
    pools: Mutex<Vec<Pool>>,
    capacity_bytes: u64,
}

impl Memory {
    /// Empty pools, each of `capacity_bytes` at most.
    #[must_use]
    pub fn new(pairs: &[Here], capacity_bytes: u64) -> Self {
        let pools = pairs.iter().map(|here| Pool { here: *here, blocks: Vec::new() }).collect();
        Self { pools: Mutex::new(pools), capacity_bytes }
    }

    /// Takes in a block's key for a pair, under a tag of 60 bits that both ends know. A block that
    /// does not fit, or came before, is wiped.
    pub fn add(&self, pair: usize, tag: u64, bytes: Zeroizing<Vec<u8>>) {
        let tag = tag & ((1 << 60) - 1);
        let mut pools = self.lock();
        let Some(pool) = pools.get_mut(pair) else { return };
        let room = self.capacity_bytes.saturating_sub(pool.available() as u64);
        let fits = bytes.len() as u64 <= room && u32::try_from(bytes.len()).is_ok();
        if fits && pool.block(tag).is_none() {
            pool.blocks.push(Block {
                tag,
                bytes,
                next: 0,
                issued: BTreeMap::new(),
                collected: BTreeMap::new(),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Pool>> {
        // A panic between two changes cannot happen: they do not fail.
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys for Memory {
    fn available_bytes(&self, pair: usize) -> u64 {
        self.lock().get(pair).map_or(0, |pool| pool.available() as u64)
    }

    fn capacity_bytes(&self, _pair: usize) -> u64 {
        self.capacity_bytes
    }

    fn reserve(&self, pair: usize, want: Want) -> Result<Vec<Key>, Unavailable> {
        let mut pools = self.lock();
        let wanted_bytes = (want.number as u64).saturating_mul(want.key_bytes as u64);
        let short = |available: usize| Unavailable::Short { available_bytes: available as u64, wanted_bytes };
        let pool = pools.get_mut(pair).ok_or_else(|| short(0))?;
        let found = pool.find(want).ok_or_else(|| short(pool.available()))?;
        let slave_here = pool.here.slave;
        let take = |(index, start): (usize, usize)| {
            let block = &mut pool.blocks[index];
            let range = start..start + want.key_bytes;
            block.next = range.end;
            let bytes = Zeroizing::new(block.bytes[range.clone()].to_vec());
            if slave_here {
                block.issued.insert(range.start, range.end);
            } else {
                block.bytes[range].zeroize();
            }
            // Both fit: `add` took no block longer than 32 bits tell.
            let (offset, length) = (u32::try_from(start), u32::try_from(want.key_bytes));
            let place = Place {
                tag: block.tag,
                offset: offset.unwrap_or(u32::MAX),
                bytes: length.unwrap_or(u32::MAX),
            };
            Key { id: place.id(), bytes }
        };
        Ok(found.into_iter().map(take).collect())
    }

    fn collect(&self, pair: usize, ids: &[KeyId]) -> Result<Vec<Key>, Unavailable> {
        let mut pools = self.lock();
        let pool = pools.get_mut(pair).ok_or(Unavailable::NotFound)?;
        let places: Option<Vec<_>> = ids.iter().map(|id| pool.holds(Place::of(*id)?)).collect();
        let places = places.ok_or(Unavailable::NotFound)?;
        let mut sorted: Vec<_> =
            places.iter().map(|(index, range)| (*index, range.start, range.end)).collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|two| two[0].0 == two[1].0 && two[1].1 < two[0].2) {
            // The same bytes twice in one request.
            return Err(Unavailable::NotFound);
        }
        let master_here = pool.here.master;
        let take = |(id, (index, range)): (&KeyId, (usize, std::ops::Range<usize>))| {
            let block = &mut pool.blocks[index];
            let bytes = Zeroizing::new(block.bytes[range.clone()].to_vec());
            if master_here {
                block.issued.remove(&range.start);
            } else {
                block.collected.insert(range.start, range.end);
            }
            block.bytes[range].zeroize();
            Key { id: *id, bytes }
        };
        Ok(ids.iter().zip(places).map(take).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOP: Here = Here { master: true, slave: true };

    fn filled(here: Here) -> Memory {
        let memory = Memory::new(&[here], 1 << 20);
        for tag in 0..2 {
            let bytes = (0..100).map(|i| i as u8 ^ (tag as u8) << 7).collect::<Vec<_>>();
            memory.add(0, 0x0abc_def0_1234_5670 + tag, Zeroizing::new(bytes));
        }
        memory
    }

    fn want(number: usize, key_bytes: usize) -> Want {
        Want { number, key_bytes }
    }

    #[test]
    fn an_id_tells_block_offset_and_length() {
        let place = Place { tag: 0x0fed_cba9_8765_4321, offset: 0xfeed_beef, bytes: 0x3fff_ffff };
        assert_eq!(Place::of(place.id()), Some(place), "there and back");
        let text = place.id().to_string();
        assert_eq!((&text[14..15], &text[19..20] >= "8"), ("8", true), "version 8 of RFC 9562: {text}");
        assert_eq!(Place::of(KeyId::from_bytes([0; 16])), None, "another UUID");
    }

    #[test]
    fn both_ends_give_the_same_keys_and_each_once() {
        let ours = filled(Here { master: true, slave: false });
        let theirs = filled(Here { master: false, slave: true });
        for size in [32, 8, 60, 64] {
            let keys = ours.reserve(0, want(1, size)).expect("enough");
            let ids: Vec<_> = keys.iter().map(|key| key.id).collect();
            let same = theirs.collect(0, &ids).expect("the other end holds it");
            assert_eq!(same[0].bytes, keys[0].bytes, "{size} bytes");
            assert_eq!(theirs.collect(0, &ids).err(), Some(Unavailable::NotFound), "not twice");
            assert_eq!(ours.collect(0, &ids).err(), Some(Unavailable::NotFound), "nor from the master's end");
        }
    }

    #[test]
    fn a_pair_at_one_node_collects_what_was_reserved_and_nothing_else() {
        let memory = filled(LOOP);
        let never = Place { tag: 0x0abc_def0_1234_5670, offset: 0, bytes: 32 }.id();
        assert_eq!(memory.collect(0, &[never]).err(), Some(Unavailable::NotFound), "not reserved yet");
        let keys = memory.reserve(0, want(3, 32)).expect("enough");
        let ids: Vec<_> = keys.iter().map(|key| key.id).collect();
        assert_eq!(memory.collect(0, &[ids[0], ids[0]]).err(), Some(Unavailable::NotFound), "one ID twice");
        assert_eq!(memory.collect(0, &[ids[2], never]).map(|keys| keys.len()), Ok(2), "the first is `never`");
        assert_eq!(memory.collect(0, &ids).err(), Some(Unavailable::NotFound), "all or none");
        assert_eq!(
            memory.collect(0, &ids[1..2]).map(|keys| keys[0].bytes.clone()),
            Ok(keys[1].bytes.clone()),
            "left"
        );
    }

    #[test]
    fn overlapping_ranges_are_refused_at_the_far_end() {
        let theirs = filled(Here { master: false, slave: true });
        let id = |offset, bytes| Place { tag: 0x0abc_def0_1234_5670, offset, bytes }.id();
        assert!(theirs.collect(0, &[id(32, 32)]).is_ok(), "the first");
        for (offset, bytes) in [(32, 32), (0, 33), (63, 1), (40, 8), (0, 100), (90, 11), (0, 0)] {
            assert_eq!(
                theirs.collect(0, &[id(offset, bytes)]).err(),
                Some(Unavailable::NotFound),
                "{offset}+{bytes}"
            );
        }
        assert!(theirs.collect(0, &[id(64, 36), id(0, 32)]).is_ok(), "what is left");
    }

    #[test]
    fn too_many_keys_are_refused_and_none_is_lost() {
        let memory = filled(LOOP);
        let short = memory.reserve(0, want(7, 32)).err();
        assert_eq!(
            short,
            Some(Unavailable::Short { available_bytes: 200, wanted_bytes: 224 }),
            "three a block"
        );
        assert_eq!(memory.reserve(0, want(6, 32)).map(|keys| keys.len()), Ok(6), "all that there are");
        assert!(memory.reserve(1, want(1, 1)).is_err(), "no such pair");
    }

    #[test]
    fn what_both_have_is_wiped() {
        let memory = filled(LOOP);
        let ids: Vec<_> = memory.reserve(0, want(1, 32)).expect("one").iter().map(|key| key.id).collect();
        assert_eq!(memory.lock()[0].blocks[0].bytes[..4], [0, 1, 2, 3], "the slave's copy waits");
        memory.collect(0, &ids).expect("there");
        assert!(memory.lock()[0].blocks[0].bytes[..32].iter().all(|byte| *byte == 0), "wiped");
    }
}
