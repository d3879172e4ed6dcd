//! Which store keys are a pair's, and where a key of several of them lies.

use crate::store::{self, KEY_BITS};

use super::KeyId;

/// Bytes of a store's key.
pub(super) const UNIT: usize = KEY_BITS / 8;

/// The longest key that an ID tells, in bytes.
pub(super) const MOST_BYTES: usize = 1 << 13;

/// Which places of a block are a pair's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lane {
    /// Master and slave are both served here.
    pub(super) both_here: bool,
    pub(super) master_here: bool,
    pub(super) first: u32,
    pub(super) step: u32,
}

impl Lane {
    pub(super) fn holds(self, place: u32) -> bool {
        place % self.step == self.first
    }

    /// The store keys of a key that a slave collects here, if the pair has such a key.
    pub(super) fn units(self, id: KeyId) -> Option<Vec<store::KeyId>> {
        let place = Place::of(id);
        if self.master_here || !self.holds(place.place) {
            return None;
        }
        (0..place.units()).map(|ahead| place.unit(ahead.checked_mul(self.step)?)).collect()
    }
}

/// Where a key lies in a store, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) link: [u8; 6],
    pub(super) block: u64,
    pub(super) place: u32,
    pub(super) bytes: usize,
}

impl Place {
    pub(super) fn of_store(id: store::KeyId) -> (Self, u128) {
        let bits = u128::from_be_bytes(id.bytes());
        let place =
            Self { link: link(bits), block: low(bits >> 32, 48), place: low32(bits, 32), bytes: UNIT };
        (place, bits)
    }

    pub(super) fn of(id: KeyId) -> Self {
        let bits = u128::from_be_bytes(id.bytes());
        let bytes = low32(bits >> 27, 13) as usize + 1;
        Self { link: link(bits), block: low(bits >> 40, 40), place: low32(bits, 27), bytes }
    }

    /// The ID for applications, unless block or place are beyond all bounds.
    pub(super) fn id(self) -> Option<KeyId> {
        let length = u128::try_from(self.bytes.checked_sub(1).filter(|less| *less < MOST_BYTES)?).ok()?;
        if self.block >> 40 > 0 || self.place >> 27 > 0 {
            return None;
        }
        let bits = u128::from(self.block) << 40 | length << 27 | u128::from(self.place);
        Some(self.with(bits))
    }

    /// The store's ID of the unit that lies `ahead` places after.
    pub(super) fn unit(self, ahead: u32) -> Option<store::KeyId> {
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
