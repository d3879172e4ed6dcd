//! Memory that outlives a hash: fresh pages cost as much as a tenth of the work.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize;

/// Spare vectors, wiped, by their length.
#[derive(Default)]
pub(super) struct Buffers {
    spare: Mutex<Vec<Vec<u64>>>,
}

impl Buffers {
    /// A vector of so many words, whatever they are.
    pub(super) fn take(&self, words: usize) -> Vec<u64> {
        let mut spare = self.spare();
        let place = spare.iter().rposition(|buffer| buffer.len() == words);
        let found = place.map(|place| spare.swap_remove(place));
        drop(spare);
        found.unwrap_or_else(|| vec![0; words])
    }

    /// Keeps a vector for later.
    pub(super) fn give(&self, buffer: Vec<u64>) {
        self.spare().push(buffer);
    }

    /// Wipes what is kept, and lets go what has none of the lengths in use.
    pub(super) fn wipe(&self, lengths: &[usize]) {
        let mut spare = self.spare();
        spare.iter_mut().for_each(|buffer| buffer.as_mut_slice().zeroize());
        spare.retain(|buffer| lengths.contains(&buffer.len()));
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u64>>> {
        // A panic elsewhere leaves whole vectors.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.wipe(&[]);
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffers({})", self.spare().len())
    }
}
