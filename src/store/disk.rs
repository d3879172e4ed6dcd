//! The disk as the store sees it: few operations, so that tests can fail each of them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroize;

/// A folder of files with names. What was written is certain to be there after a crash only once
/// [`Disk::sync`] has returned without error; a file that failed to sync is never trusted again.
pub trait Disk: Send + fmt::Debug {
    /// The whole file; `None` if there is none.
    ///
    /// # Errors
    /// Those of the operating system.
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>>;

    /// Fills `out` with the bytes of a file from an offset on.
    ///
    /// # Errors
    /// Those of the operating system; [`io::ErrorKind::UnexpectedEof`] if there are fewer.
    fn read_at(&mut self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes bytes at an offset, making the file or growing it, and returns how many were written:
    /// fewer than all is possible.
    ///
    /// # Errors
    /// Those of the operating system.
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize>;

    /// Makes everything written to a file last.
    ///
    /// # Errors
    /// Those of the operating system; nothing written since the last sync may then be relied on.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a synced file another name at one stroke, in place of the file that bore it, and makes
    /// that last.
    ///
    /// # Errors
    /// Those of the operating system.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// Those of the operating system.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of the operating system, locked against other processes.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    files: BTreeMap<String, File>,
    /// Held as long as the folder is.
    _lock: File,
}

impl Folder {
    /// Opens a folder, makes it where it is missing, and locks it.
    ///
    /// # Errors
    /// Those of the operating system; [`io::ErrorKind::WouldBlock`] if another process holds it.
    pub fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = private().create(true).truncate(false).open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                io::Error::new(io::ErrorKind::WouldBlock, "another process uses this state")
            }
            TryLockError::Error(error) => error,
        })?;
        Ok(Self { path: path.to_owned(), files: BTreeMap::new(), _lock: lock })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.files.contains_key(name) {
            let path = self.path.join(name);
            let is_new = !path.exists();
            let file = private().create(true).truncate(false).open(path)?;
            if is_new {
                self.sync_names()?;
            }
            self.files.insert(name.to_owned(), file);
        }
        self.files.get(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Makes the names in the folder last.
    fn sync_names(&self) -> io::Result<()> {
        // Only Unix can open a folder; elsewhere a rename lasts by itself.
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

/// Readable and writable by the owner only.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl Disk for Folder {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(unix)]
    fn read_at(&mut self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self.file(name)?, out, offset)
    }

    #[cfg(not(unix))]
    fn read_at(&mut self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let mut file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.read_exact(out)
    }

    #[cfg(unix)]
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self.file(name)?, bytes, offset)
    }

    #[cfg(not(unix))]
    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        use std::io::{Seek, SeekFrom, Write};
        let mut file = self.file(name)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write(bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))?;
        self.files.remove(to);
        if let Some(file) = self.files.remove(from) {
            self.files.insert(to.to_owned(), file);
        }
        self.sync_names()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name);
        match fs::remove_file(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A disk in memory, for parties that need not survive a crash. Wiped on drop.
#[derive(Default)]
pub struct InMemory {
    files: BTreeMap<String, Vec<u8>>,
}

impl InMemory {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Disk for InMemory {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.get(name).cloned())
    }

    fn read_at(&mut self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let file = self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let held = start.checked_add(out.len()).and_then(|end| file.get(start..end));
        out.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let file = self.files.entry(name.to_owned()).or_default();
        let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if file.len() < end {
            file.resize(end, 0);
        }
        file[start..end].copy_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        if let Some(mut file) = self.files.remove(name) {
            file.zeroize();
        }
        Ok(())
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.files.values_mut().for_each(Zeroize::zeroize);
    }
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InMemory({} files)", self.files.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exercise(disk: &mut dyn Disk) {
        assert_eq!(disk.read("a").expect("readable"), None, "nothing there");
        assert_eq!(disk.write("a", 2, b"cd").expect("writable"), 2, "all of it");
        assert_eq!(disk.write("a", 0, b"ab").expect("writable"), 2, "before it");
        let mut part = [0; 2];
        disk.read_at("a", 1, &mut part).expect("readable");
        assert_eq!(&part, b"bc", "a part");
        assert!(disk.read_at("a", 3, &mut part).is_err(), "beyond the end");
        disk.sync("a").expect("lasting");
        disk.rename("a", "b").expect("renamed");
        assert_eq!(disk.read("b").expect("readable").as_deref(), Some(&b"abcd"[..]), "under its new name");
        disk.write("b", 4, b"e").expect("the handle follows the name");
        assert_eq!(disk.read("b").expect("readable").map(|bytes| bytes.len()), Some(5), "grown");
        disk.remove("b").expect("removed");
        disk.remove("b").expect("no file, no error");
        assert_eq!(disk.read("b").expect("readable"), None, "gone");
    }

    #[test]
    fn folder_and_memory_do_the_same() {
        exercise(&mut InMemory::new());
        let folder = tempfile::tempdir().expect("a folder");
        exercise(&mut Folder::open(&folder.path().join("state")).expect("opened"));
    }

    #[test]
    fn a_folder_belongs_to_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Folder::open(folder.path()).expect("opened");
        let error = Folder::open(folder.path()).expect_err("locked");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
        drop(first);
        assert!(Folder::open(folder.path()).is_ok(), "free again");
    }
}
