//! Memory that outlives a hash: fresh pages cost a tenth of the work, small ones a third.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keystill_kernels::os::Pages;
use zeroize::Zeroize;

/// A buffer of words.
#[derive(Debug)]
pub(super) struct Buffer {
    memory: Memory,
    words: usize,
}

#[derive(Debug)]
enum Memory {
    Pages(Pages),
    /// Where the system has no pages to give, the allocator may.
    Heap(Vec<u64>),
}

impl Deref for Memory {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(words) => words,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Pages(pages) => pages,
            Self::Heap(words) => words,
        }
    }
}

impl Deref for Buffer {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.memory[..self.words]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.memory[..self.words]
    }
}

/// Spare memory, wiped, in pieces of one size.
#[derive(Default)]
pub(super) struct Buffers {
    spare: Mutex<Vec<Memory>>,
}

impl Buffers {
    /// Makes every piece that big from now on: what has another size goes, wiped.
    pub(super) fn fit(&self, most_words: usize) {
        let mut spare = self.spare();
        let others = spare.iter_mut().filter(|memory| memory.len() != most_words);
        others.for_each(|memory| memory.zeroize());
        spare.retain(|memory| memory.len() == most_words);
    }

    /// A buffer of so many words, whatever they are, in a piece of the size that fits all.
    pub(super) fn take(&self, words: usize, most_words: usize) -> Buffer {
        let mut spare = self.spare();
        if spare.is_empty() {
            match Pages::new(most_words.max(words)) {
                Ok(pieces) => spare.extend(pieces.into_iter().map(Memory::Pages)),
                Err(_) => spare.push(Memory::Heap(vec![0; most_words.max(words)])),
            }
        }
        let fits = spare.iter().rposition(|memory| memory.len() >= words);
        let memory = fits.map(|place| spare.swap_remove(place));
        drop(spare);
        let memory = memory.unwrap_or_else(|| Memory::Heap(vec![0; words]));
        Buffer { memory, words }
    }

    /// Keeps a buffer for later.
    pub(super) fn give(&self, buffer: Buffer) {
        self.spare().push(buffer.memory);
    }

    /// Wipes what is kept.
    pub(super) fn wipe(&self) {
        self.spare().iter_mut().for_each(|memory| memory.zeroize());
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Memory>> {
        // A panic elsewhere leaves whole pieces.
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl std::fmt::Debug for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffers({})", self.spare().len())
    }
}
