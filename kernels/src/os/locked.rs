//! Memory for long-lived secrets.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Bytes of one's own for secrets, zeros at first: in pages that the system neither writes to a swap file
/// nor into core dumps where it permits that, on the heap where it gives none.
///
/// Wiped on drop. Its `Debug` shows the length only.
pub struct Locked {
    memory: Memory,
    bytes: usize,
    locked: bool,
}

enum Memory {
    Pages(memmap2::MmapMut),
    Heap(Vec<u8>),
}

impl Locked {
    /// So many zeros. They take whole pages: for secrets that stay, not for many small ones.
    #[must_use]
    pub fn zeros(bytes: usize) -> Self {
        // Miri knows no locks.
        let pages = if bytes == 0 || cfg!(miri) { None } else { memmap2::MmapMut::map_anon(bytes).ok() };
        let Some(pages) = pages else { return Self::unlocked(bytes) };
        #[cfg(target_os = "linux")]
        for wish in [memmap2::Advice::DontDump, memmap2::Advice::DontFork] {
            let _ = pages.advise(wish);
        }
        #[cfg(unix)]
        let locked = pages.lock().is_ok();
        #[cfg(not(unix))]
        let locked = false;
        Self { memory: Memory::Pages(pages), bytes, locked }
    }

    /// So many zeros on the heap: what [`Locked::zeros`] gives where the system has no pages. Wiped on drop all the same.
    #[must_use]
    pub fn unlocked(bytes: usize) -> Self {
        Self { memory: Memory::Heap(vec![0; bytes]), bytes, locked: false }
    }

    /// Whether the system promised to keep these bytes out of its swap file.
    ///
    /// How much it promises is limited for each user (`ulimit -l`). Nothing to lock counts as locked.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.locked || self.bytes == 0
    }
}

impl Deref for Locked {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.memory {
            Memory::Pages(pages) => &pages[..self.bytes],
            Memory::Heap(bytes) => bytes,
        }
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Pages(pages) => &mut pages[..self.bytes],
            Memory::Heap(bytes) => bytes,
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.fill(0);
        // The writes above count as seen, so that they are not left out.
        std::hint::black_box(&mut **self);
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Locked({} bytes)", self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_bytes_are_zeros_that_can_be_written() {
        for bytes in [0, 1, 4095, 4096, 4097, 100_000] {
            let mut locked = Locked::zeros(bytes);
            assert_eq!(locked.len(), bytes, "the length asked for");
            assert!(locked.iter().all(|byte| *byte == 0), "{bytes} zeros");
            locked.fill(7);
            assert!(locked.iter().all(|byte| *byte == 7), "{bytes} sevens");
            assert_eq!(format!("{locked:?}"), format!("Locked({bytes} bytes)"), "no secret is shown");
        }
    }

    #[test]
    fn what_lies_on_the_heap_does_not_count_as_locked() {
        let mut heap = Locked::unlocked(32);
        heap[31] = 7;
        assert_eq!((heap.len(), heap[0], heap[31]), (32, 0, 7), "zeros that can be written");
        assert!(!heap.is_locked(), "nobody promised anything");
        assert!(Locked::unlocked(0).is_locked(), "nothing to lock");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_counts_what_is_locked() {
        if cfg!(miri) {
            return;
        }
        let held = Locked::zeros(64 << 10);
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process of itself");
        let told = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let kilobytes = told.and_then(|told| told.split_whitespace().next()?.parse::<u64>().ok());
        // Where not even these pages may be locked there is nothing to count.
        assert!(!held.is_locked() || kilobytes >= Some(64), "64 kB are locked, the kernel says {told:?}");
    }
}
