//! Read-only file maps, huge pages, locked memory and the allocator's settings: the only `unsafe` besides SIMD.
//!
//! A map of a file that somebody truncates is a `SIGBUS`. So only recordings and inputs are
//! mapped, never secrets in use, and [`FileMap::open`] takes a shared lock first and checks the
//! length that the caller expects; a writer of ours takes the exclusive lock.

mod heap;
mod locked;

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use heap::give_back_large_buffers;
pub use locked::Locked;

/// A file mapped read-only for as long as the value lives; derefs to its bytes.
#[derive(Debug)]
pub struct FileMap {
    map: Option<memmap2::Mmap>,
    /// Holds the shared lock.
    _file: File,
}

/// Why a file could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file could not be opened or mapped.
    #[error("cannot map {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process writes the file.
    #[error("{} is being written by another process; wait until it is complete", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file has another length than its description says: cut, or still growing.
    #[error("{} has {found_bytes} bytes where {expected_bytes} are expected; it was cut or altered", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes expected.
        expected_bytes: u64,
        /// Bytes found.
        found_bytes: u64,
    },
}

impl FileMap {
    /// Maps a file under a shared lock; `expected_bytes`, where known, must be its length.
    ///
    /// # Errors
    /// [`MapError`] if it cannot be opened, is locked by a writer, or has another length.
    pub fn open(path: &Path, expected_bytes: Option<u64>) -> Result<Self, MapError> {
        let io = |source| MapError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(MapError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let found_bytes = file.metadata().map_err(io)?.len();
        if let Some(expected_bytes) = expected_bytes.filter(|expected| *expected != found_bytes) {
            return Err(MapError::Length { path: path.to_owned(), expected_bytes, found_bytes });
        }
        if found_bytes == 0 {
            return Ok(Self { map: None, _file: file });
        }
        // SAFETY: the map is read-only and the file is held under a shared lock with its length
        // checked; the remaining risk, a foreign process that ignores locks, is the contract above.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        Ok(Self { map: Some(map), _file: file })
    }
}

impl Deref for FileMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or(&[])
    }
}

/// Bytes of a huge page.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const HUGE_PAGE: usize = 2 << 20;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const HUGE_PAGE: usize = 1 << 16;

/// How far apart mappings start within a huge page, and how many places there are: what walks through many
/// of them at once would meet the same few sets of the caches otherwise.
const STAGGER: usize = 256;
const PLACES: usize = 32;

/// Words of memory of one's own, zeros at first, in huge pages where the system gives them: what walks
/// through memory in large steps waits for address translations otherwise. Derefs to its words.
#[derive(Debug)]
pub struct Pages {
    /// Keeps the mapping that all its pieces share.
    _map: std::sync::Arc<memmap2::MmapRaw>,
    first: std::ptr::NonNull<u64>,
    words: usize,
}

// SAFETY: a piece owns its words alone: `Pages::new` hands out each range of the mapping once.
unsafe impl Send for Pages {}
// SAFETY: what is shared is read only.
unsafe impl Sync for Pages {}

impl Pages {
    /// Pieces of so many words each, as many as a huge page holds, at least one.
    ///
    /// # Errors
    /// What the operating system says if it has no memory left.
    pub fn new(words: usize) -> io::Result<Vec<Self>> {
        let bytes = (8 * words).next_multiple_of(64).max(64);
        let count = (HUGE_PAGE / bytes).max(1);
        let map = memmap2::MmapMut::map_anon(count * bytes + HUGE_PAGE + STAGGER * PLACES)?;
        let skipped = map.as_ptr().align_offset(HUGE_PAGE) % HUGE_PAGE;
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let place = skipped + STAGGER * (NEXT.fetch_add(1, Ordering::Relaxed) % PLACES);
        // Whole huge pages only; without them it is slower, not wrong.
        #[cfg(target_os = "linux")]
        let _ = map.advise_range(
            memmap2::Advice::HugePage,
            skipped,
            (count * bytes / HUGE_PAGE).max(1) * HUGE_PAGE,
        );
        let map = std::sync::Arc::new(memmap2::MmapRaw::from(map));
        let piece = |number: usize| {
            // SAFETY: `place` is below HUGE_PAGE + STAGGER · PLACES, so the piece ends within the mapping.
            let first = unsafe { map.as_mut_ptr().add(place + number * bytes) };
            let first = std::ptr::NonNull::new(first.cast())?;
            Some(Self { _map: map.clone(), first, words })
        };
        Ok((0..count).filter_map(piece).collect())
    }
}

impl Deref for Pages {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        // SAFETY: the words lie within the mapping, are aligned to 64 bytes and this piece's alone.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.words) }
    }
}

impl std::ops::DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.words) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("keystill-os-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).expect("the temporary folder is writable");
        path
    }

    #[test]
    fn maps_what_is_there_and_refuses_a_cut_file() {
        let path = scratch("map", b"quantum");
        assert_eq!(&*FileMap::open(&path, Some(7)).expect("7 bytes"), b"quantum", "the bytes");
        let error = FileMap::open(&path, Some(8)).expect_err("one byte is missing");
        assert!(matches!(error, MapError::Length { found_bytes: 7, .. }), "{error}");
        std::fs::remove_file(path).expect("ours");
    }

    #[test]
    fn an_empty_file_maps_to_nothing_and_a_missing_one_is_an_error() {
        let path = scratch("empty", b"");
        assert!(FileMap::open(&path, None).expect("empty").is_empty(), "no bytes");
        std::fs::remove_file(&path).expect("ours");
        assert!(matches!(FileMap::open(&path, None), Err(MapError::Io { .. })), "missing");
    }

    #[test]
    fn pieces_of_pages_are_apart_and_zero() {
        for words in [1, 1000, 18_560, 1 << 18, 300_000] {
            let mut pieces = Pages::new(words).expect("memory");
            assert!(
                !pieces.is_empty() && (8 * words * pieces.len() <= HUGE_PAGE || pieces.len() == 1),
                "{words} words"
            );
            for (number, piece) in pieces.iter_mut().enumerate() {
                assert!(piece.len() == words && piece.iter().all(|word| *word == 0), "{words} words: zeros");
                piece.fill(number as u64 + 1);
            }
            for (number, piece) in pieces.iter().enumerate() {
                assert!(piece.iter().all(|word| *word == number as u64 + 1), "{words} words: one's own");
            }
        }
    }
}
