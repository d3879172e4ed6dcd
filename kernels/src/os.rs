//! Read-only file maps: the only `unsafe` besides SIMD.
//!
//! A map of a file that somebody truncates is a `SIGBUS`. So only recordings and inputs are
//! mapped, never secrets in use, and [`FileMap::open`] takes a shared lock first and checks the
//! length that the caller expects; a writer of ours takes the exclusive lock.

use std::fs::{File, TryLockError};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

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
}
