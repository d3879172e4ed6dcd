//! A hash key and the queue of its pads, in memory that is not swapped out where the system permits.

use keystill_kernels::os::Locked;
use zeroize::Zeroize;

use super::word;

/// Bytes of a hash key and of a pad.
const BYTES: usize = 16;
/// Pads that a new queue has room for: one page with the hash key.
const ROOM: usize = 255;

/// The hash key of a direction, and its pads from the oldest on.
///
/// A ring over one piece of memory: the hash key first, then a place a pad. Places are wiped as pads leave, all of
/// it by [`Locked`] when it goes.
pub(super) struct Secrets {
    memory: Locked,
    /// The place of the oldest pad.
    first: usize,
    count: usize,
}

impl Secrets {
    pub(super) fn new(hash_key: &[u8]) -> Self {
        Self::within(Locked::zeros(BYTES * (1 + ROOM)), hash_key)
    }

    /// A queue in memory that is there: some zeros, a pad's at least beside the hash key.
    pub(super) fn within(mut memory: Locked, hash_key: &[u8]) -> Self {
        memory[..BYTES].copy_from_slice(hash_key);
        Self { memory, first: 0, count: 0 }
    }

    pub(super) fn hash_key(&self) -> u128 {
        word(&self.memory[..BYTES])
    }

    /// Pads held.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Whether they are kept out of the swap file.
    pub(super) fn is_locked(&self) -> bool {
        self.memory.is_locked()
    }

    /// The pad at a place of the queue.
    pub(super) fn get(&self, place: usize) -> Option<u128> {
        (place < self.count).then(|| word(&self.memory[self.bytes_of(place)]))
    }

    /// Takes the oldest pad and wipes its place.
    pub(super) fn pop(&mut self) -> Option<u128> {
        let pad = self.get(0)?;
        let place = self.bytes_of(0);
        self.memory[place].zeroize();
        self.first = (self.first + 1) % self.room();
        self.count -= 1;
        Some(pad)
    }

    /// Adds a pad behind the others.
    pub(super) fn push(&mut self, pad: &[u8]) {
        if self.count == self.room() {
            self.grow();
        }
        let place = self.bytes_of(self.count);
        self.memory[place].copy_from_slice(pad);
        self.count += 1;
    }

    fn room(&self) -> usize {
        self.memory.len() / BYTES - 1
    }

    fn bytes_of(&self, place: usize) -> std::ops::Range<usize> {
        let start = BYTES * (1 + (self.first + place) % self.room());
        start..start + BYTES
    }

    /// Moves to twice the memory; the old one is wiped.
    fn grow(&mut self) {
        let mut memory = Locked::zeros(2 * self.memory.len());
        memory[..BYTES].copy_from_slice(&self.memory[..BYTES]);
        for place in 0..self.count {
            let to = BYTES * (1 + place);
            memory[to..to + BYTES].copy_from_slice(&self.memory[self.bytes_of(place)]);
        }
        *self = Self { memory, first: 0, count: self.count };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_leave_in_the_order_they_came_and_nothing_of_them_stays() {
        let mut secrets = Secrets::new(&[0xaa; 16]);
        let pad = |number: u128| (number | 1 << 127).to_be_bytes();
        let (mut came, mut left) = (0, 0);
        // More come than leave, around the ring's end and past its room.
        for round in 0..40 {
            for _ in 0..40 {
                secrets.push(&pad(came));
                came += 1;
            }
            for _ in 0..round {
                assert_eq!(secrets.pop(), Some(u128::from_be_bytes(pad(left))), "pad {left}");
                left += 1;
            }
            assert_eq!(secrets.len() as u128, came - left, "what came less what left");
            assert_eq!(secrets.get(0), Some(u128::from_be_bytes(pad(left))), "the oldest");
            assert_eq!(secrets.get(secrets.len()), None, "none beyond the youngest");
        }
        assert_eq!(secrets.hash_key(), word(&[0xaa; 16]), "the hash key stays");
        while secrets.pop().is_some() {}
        assert!(secrets.memory[16..].iter().all(|byte| *byte == 0), "every place is wiped");
    }

    #[test]
    fn the_queue_fills_a_page_and_doubles_it() {
        let mut secrets = Secrets::new(&[0xaa; 16]);
        assert_eq!(secrets.memory.len(), 4096, "a page");
        for pads in 1..=1_000_usize {
            secrets.push(&[1; 16]);
            secrets.pop();
            secrets.push(&[1; 16]);
            assert!(secrets.first < secrets.room(), "a place of the ring: {}", secrets.first);
            let pages = (1 + pads).div_ceil(256).next_power_of_two();
            assert_eq!(secrets.memory.len(), 4096 * pages, "{pads} pads and the hash key");
        }
    }

    #[test]
    fn pads_are_locked_if_their_memory_is() {
        assert!(!Secrets::within(Locked::unlocked(32), &[1; 16]).is_locked(), "not on the heap");
        let granted = Locked::zeros(4096).is_locked();
        assert_eq!(Secrets::new(&[1; 16]).is_locked(), granted, "as the system grants");
    }
}
