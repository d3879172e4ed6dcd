//! Memory that outlives a hash: fresh pages cost a tenth of the work, small ones a third.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use keystill_kernels::{os::Pages, wipe};

/// A buffer of words.
#[derive(Debug)]
pub(super) struct Buffer {
    piece: Piece,
    words: usize,
}

/// Memory, and whether it holds secrets.
#[derive(Debug)]
struct Piece {
    memory: Memory,
    secret: bool,
}

impl Piece {
    fn wipe(&mut self) {
        if std::mem::take(&mut self.secret) {
            wipe(&mut self.memory);
        }
    }
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
        &self.piece.memory[..self.words]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.piece.memory[..self.words]
    }
}

/// Spare memory in pieces of one size.
#[derive(Default)]
pub(super) struct Buffers {
    spare: Mutex<Vec<Piece>>,
}

impl Buffers {
    /// Makes every piece that big from now on: what has another size goes, wiped.
    pub(super) fn fit(&self, most_words: usize) {
        let mut spare = self.spare();
        let others = spare.iter_mut().filter(|piece| piece.memory.len() != most_words);
        others.for_each(Piece::wipe);
        spare.retain(|piece| piece.memory.len() == most_words);
    }

    /// A buffer of so many words, whatever they are, in a piece of the size that fits all: the one that came
    /// last, so that what is only worked in stays the same.
    pub(super) fn take(&self, words: usize, most_words: usize) -> Buffer {
        let mut spare = self.spare();
        let plain = |memory: Memory| Piece { memory, secret: false };
        if spare.is_empty() {
            match Pages::new(most_words.max(words)) {
                Ok(pieces) => spare.extend(pieces.into_iter().map(|pages| plain(Memory::Pages(pages)))),
                Err(_) => spare.push(plain(Memory::Heap(vec![0; most_words.max(words)]))),
            }
        }
        let fits = spare.iter().rposition(|piece| piece.memory.len() >= words);
        let piece = fits.map(|place| spare.remove(place));
        drop(spare);
        let piece = piece.unwrap_or_else(|| plain(Memory::Heap(vec![0; words])));
        Buffer { piece, words }
    }

    /// Keeps a buffer that held secrets for later.
    pub(super) fn give(&self, mut buffer: Buffer) {
        buffer.piece.secret = true;
        self.give_public(buffer);
    }

    /// Keeps a buffer that held none, or that is wiped.
    pub(super) fn give_public(&self, buffer: Buffer) {
        self.spare().push(buffer.piece);
    }

    /// Wipes what is kept of secrets.
    pub(super) fn wipe(&self) {
        self.spare().iter_mut().for_each(Piece::wipe);
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Piece>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_wiped_and_the_rest_is_kept() {
        let buffers = Buffers::default();
        let [mut secret, mut public] = [0, 1].map(|_| buffers.take(1000, 1 << 18));
        secret.fill(3);
        public.fill(5);
        buffers.give_public(public);
        buffers.give(secret);
        buffers.wipe();
        let (secret, public) = (buffers.take(1 << 18, 1 << 18), buffers.take(1000, 1 << 18));
        assert!(secret.iter().all(|word| *word == 0), "nothing is left of a secret");
        assert!(public.iter().all(|word| *word == 5), "what is public may stay");
    }
}
