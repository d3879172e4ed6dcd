//! The vault: one file of slots in which secrets stand until they are spent.
//!
//! ```text
//! slot = secret:32 bytes · check:8 bytes
//! ```
//!
//! The check is BLAKE3 of the slot's number and its secret. A spent slot is overwritten with zeros, and
//! so is, when the store is opened, every slot that nothing refers to: no secret outlives its use by
//! more than a crash, and the moment until the operating system writes back what it was given. On media that remap what is overwritten (flash, copy-on-write file systems) this
//! is only as good as the medium; there the folder belongs on an encrypted volume.

use std::collections::BTreeMap;

use zeroize::{Zeroize, Zeroizing};

use super::disk::Disk;
use super::error::StoreError;
use super::journal::write_all;

/// Bytes of a secret.
pub(super) const SECRET: usize = 32;

const NAME: &str = "vault";
const SLOT: usize = SECRET + 8;

/// Slots that belong together, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots(pub(super) Vec<(u64, u64)>);

impl Slots {
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The slot at a place.
    pub(super) fn at(&self, mut place: u64) -> Option<u64> {
        for (first, count) in &self.0 {
            if place < *count {
                return Some(first + place);
            }
            place -= count;
        }
        None
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(first, count)| *first..first + count)
    }

    /// Takes the first slots away and returns them.
    pub(super) fn split_front(&mut self, mut wanted: u64) -> Self {
        let mut front = Vec::new();
        while wanted > 0 && !self.0.is_empty() {
            let (first, count) = self.0[0];
            let taken = wanted.min(count);
            front.push((first, taken));
            wanted -= taken;
            if taken == count {
                self.0.remove(0);
            } else {
                self.0[0] = (first + taken, count - taken);
            }
        }
        Self(front)
    }
}

/// The file of slots, and which of them are free.
#[derive(Debug, Default)]
pub(super) struct Vault {
    /// Free slots: first and count, never touching each other.
    free: BTreeMap<u64, u64>,
    /// Slots from here on were never used.
    end: u64,
    dirty: bool,
}

impl Vault {
    /// The vault of which the slots given are in use.
    pub(super) fn new(used: impl Iterator<Item = u64>) -> Self {
        let mut used: Vec<u64> = used.collect();
        used.sort_unstable();
        let mut vault = Self { end: used.last().map_or(0, |last| last + 1), ..Self::default() };
        let mut next = 0;
        for slot in used {
            if slot > next {
                vault.free.insert(next, slot - next);
            }
            next = slot + 1;
        }
        vault
    }

    /// Takes slots for secrets.
    pub(super) fn take(&mut self, mut wanted: u64) -> Slots {
        let mut ranges = Vec::new();
        while wanted > 0 {
            let Some((first, count)) = self.free.pop_first() else {
                ranges.push((self.end, wanted));
                self.end += wanted;
                break;
            };
            let taken = count.min(wanted);
            ranges.push((first, taken));
            wanted -= taken;
            if taken < count {
                self.free.insert(first + taken, count - taken);
            }
        }
        Slots(ranges)
    }

    /// Gives slots back that were overwritten.
    fn give_back(&mut self, slots: &Slots) {
        for (first, count) in &slots.0 {
            let (mut first, mut count) = (*first, *count);
            if let Some((before, length)) = self.free.range(..first).next_back().map(|(a, b)| (*a, *b))
                && before + length == first
            {
                self.free.remove(&before);
                (first, count) = (before, length + count);
            }
            if let Some(length) = self.free.remove(&(first + count)) {
                count += length;
            }
            self.free.insert(first, count);
        }
    }

    /// Writes secrets, 32 bytes each, into their slots.
    pub(super) fn write(
        &mut self,
        disk: &mut dyn Disk,
        slots: &Slots,
        secrets: &[u8],
    ) -> Result<(), StoreError> {
        let mut secrets = secrets.chunks_exact(SECRET);
        for (first, count) in &slots.0 {
            let mut bytes = Zeroizing::new(Vec::with_capacity(SLOT * usize::try_from(*count).unwrap_or(0)));
            for (slot, secret) in (*first..first + count).zip(&mut secrets) {
                bytes.extend_from_slice(secret);
                bytes.extend_from_slice(&check(slot, secret));
            }
            write_all(disk, NAME, first * SLOT as u64, &bytes)?;
        }
        self.dirty = true;
        Ok(())
    }

    /// The secret of one slot, if its check is right.
    pub(super) fn read(
        &self,
        disk: &mut dyn Disk,
        slot: u64,
    ) -> Result<Option<Zeroizing<[u8; SECRET]>>, StoreError> {
        let mut bytes = Zeroizing::new([0; SLOT]);
        disk.read_at(NAME, slot * SLOT as u64, &mut *bytes).map_err(StoreError::during("read", NAME))?;
        let mut secret = Zeroizing::new([0; SECRET]);
        secret.copy_from_slice(&bytes[..SECRET]);
        Ok((check(slot, &*secret) == bytes[SECRET..]).then_some(secret))
    }

    /// Overwrites slots with zeros and gives them back.
    pub(super) fn shred(&mut self, disk: &mut dyn Disk, slots: &Slots) -> Result<(), StoreError> {
        for (first, count) in &slots.0 {
            let zeros = vec![0; SLOT * usize::try_from(*count).unwrap_or(0)];
            write_all(disk, NAME, first * SLOT as u64, &zeros)?;
        }
        // No sync: what the disk still holds after a crash is swept when the store is opened.
        self.give_back(slots);
        Ok(())
    }

    pub(super) fn sync(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        if self.dirty {
            disk.sync(NAME).map_err(StoreError::during("sync", NAME))?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Overwrites every slot of the file that is not in use.
    pub(super) fn sweep(&mut self, disk: &mut dyn Disk, file: &Contents) -> Result<(), StoreError> {
        let bytes = &file.0;
        let beyond = (bytes.len().div_ceil(SLOT) as u64).saturating_sub(self.end);
        let free: Vec<(u64, u64)> = self.free.iter().map(|(first, count)| (*first, *count)).collect();
        for (first, count) in free.into_iter().chain((beyond > 0).then_some((self.end, beyond))) {
            for slot in first..first + count {
                let start = usize::try_from(slot).unwrap_or(usize::MAX).saturating_mul(SLOT);
                let held = bytes.get(start..bytes.len().min(start.saturating_add(SLOT)));
                if held.is_some_and(|held| held.iter().any(|byte| *byte != 0)) {
                    write_all(disk, NAME, slot * SLOT as u64, &[0; SLOT])?;
                    self.dirty = true;
                }
            }
        }
        self.sync(disk)
    }
}

fn check(slot: u64, secret: &[u8]) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"keystill slot").update(&slot.to_le_bytes()).update(secret);
    let mut check = [0; 8];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    hasher.reset();
    check
}

/// All that the vault's file holds. Wiped on drop.
pub(super) struct Contents(Vec<u8>);

impl Contents {
    pub(super) fn read(disk: &mut dyn Disk) -> Result<Self, StoreError> {
        Ok(Self(disk.read(NAME).map_err(StoreError::during("read", NAME))?.unwrap_or_default()))
    }

    /// The secret of a slot, if its check is right.
    pub(super) fn secret(&self, slot: u64) -> Option<&[u8]> {
        let start = usize::try_from(slot).ok()?.checked_mul(SLOT)?;
        let (secret, own) = self.0.get(start..start + SLOT)?.split_at(SECRET);
        (check(slot, secret) == own).then_some(secret)
    }

    /// The secrets of several slots, one after the other.
    pub(super) fn secrets(&self, slots: &Slots) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(SECRET * usize::try_from(slots.len()).unwrap_or(0)));
        for slot in slots.iter() {
            let offset = slot.saturating_mul(SLOT as u64);
            bytes.extend_from_slice(self.secret(slot).ok_or(StoreError::Damaged { file: NAME, offset })?);
        }
        Ok(bytes)
    }
}

impl Drop for Contents {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::InMemory;
    use super::*;

    #[test]
    fn slots_are_used_again_once_they_are_shredded() {
        let (mut disk, mut vault) = (InMemory::new(), Vault::default());
        let (a, b, c) = (vault.take(3), vault.take(2), vault.take(1));
        vault.write(&mut disk, &b, &[7; 64]).expect("written");
        vault.shred(&mut disk, &a).expect("shredded");
        vault.shred(&mut disk, &c).expect("shredded");
        let d = vault.take(5);
        assert_eq!(d.0, [(0, 3), (5, 1), (6, 1)], "holes first, then the end");
        assert_eq!((d.at(3), d.at(5)), (Some(5), None), "places run through the ranges");
        vault.shred(&mut disk, &b).expect("shredded");
        vault.shred(&mut disk, &d).expect("shredded");
        assert_eq!(vault.free, BTreeMap::from([(0, 7)]), "one hole");
        assert!(Contents::read(&mut disk).expect("read").0.iter().all(|byte| *byte == 0), "nothing is left");
    }

    #[test]
    fn a_changed_bit_spoils_its_secret_only() {
        let (mut disk, mut vault) = (InMemory::new(), Vault::default());
        let slots = vault.take(2);
        vault.write(&mut disk, &slots, &[9; 64]).expect("written");
        disk.write(NAME, 50, &[8]).expect("damaged");
        let contents = Contents::read(&mut disk).expect("read");
        assert_eq!(contents.secret(0), Some(&[9; 32][..]), "untouched");
        assert_eq!(contents.secret(1), None, "spoilt");
        assert!(contents.secrets(&slots).is_err(), "not all are good");
    }

    #[test]
    fn what_nothing_refers_to_is_swept() {
        let (mut disk, mut vault) = (InMemory::new(), Vault::default());
        let slots = vault.take(4);
        vault.write(&mut disk, &slots, &[5; 128]).expect("written");
        let contents = Contents::read(&mut disk).expect("read");
        let mut vault = Vault::new([1].into_iter());
        vault.sweep(&mut disk, &contents).expect("swept");
        let contents = Contents::read(&mut disk).expect("read");
        assert_eq!(contents.secret(1), Some(&[5; 32][..]), "in use");
        assert_eq!(contents.0.iter().filter(|byte| **byte == 5).count(), 32, "and nothing else");
        assert_eq!(vault.take(2).0, [(0, 1), (2, 1)], "free around it");
    }
}
