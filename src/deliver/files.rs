//! Keys as files for key managers that watch a folder: a block's key in one file with the ending
//! `.cor`, the same name and bytes at both ends, cut into 32-byte keys by the reader.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of the keys that readers cut files into.
const KEY_BYTES: usize = 32;

/// A folder that a key manager watches.
#[derive(Clone, Debug)]
pub struct FileDrop {
    folder: PathBuf,
}

/// Why a key was not dropped. It is not in the folder, or is there whole.
#[derive(Debug, thiserror::Error)]
#[error("cannot drop a key in {}: {source}; check that the folder exists, is ours and has room", folder.display())]
pub struct FileDropError {
    /// The folder.
    folder: PathBuf,
    /// What the operating system said.
    source: io::Error,
}

impl FileDrop {
    /// A folder that is there and may be written to.
    ///
    /// # Errors
    /// [`FileDropError`] if it is not a folder.
    pub fn new(folder: &Path) -> Result<Self, FileDropError> {
        let folder = folder.to_owned();
        match fs::metadata(&folder) {
            Ok(found) if found.is_dir() => Ok(Self { folder }),
            Ok(_) => Err(FileDropError { folder, source: io::ErrorKind::NotADirectory.into() }),
            Err(source) => Err(FileDropError { folder, source }),
        }
    }

    /// Writes a block's key, whole keys of 32 bytes only, and returns once it would survive a crash.
    ///
    /// The name comes from protocol and block, so both ends choose the same. The file appears under
    /// its name when it is complete, and only its owner may read it. A file that is there already is
    /// left alone and reported: a key is dropped once.
    ///
    /// # Errors
    /// [`FileDropError`].
    pub fn put(&self, protocol: &str, block: u64, key: &[u8]) -> Result<PathBuf, FileDropError> {
        let whole = &key[..key.len() / KEY_BYTES * KEY_BYTES];
        let path = self.folder.join(format!("{protocol}_{block:016x}.cor"));
        let part = self.folder.join(format!(".{protocol}_{block:016x}.part"));
        self.write(&part, &path, whole)
            .map_err(|source| FileDropError { folder: self.folder.clone(), source })?;
        Ok(path)
    }

    fn write(&self, part: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A link, not a renaming: it never replaces what is there.
        let linked = fs::hard_link(part, path);
        fs::remove_file(part)?;
        linked?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_dropped_whole_and_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let drop = FileDrop::new(folder.path()).expect("it is there");
        let path = drop.put("bb84", 7, &[5; 100]).expect("written");
        assert_eq!(
            path.file_name().and_then(|name| name.to_str()),
            Some("bb84_0000000000000007.cor"),
            "its name"
        );
        assert_eq!(fs::read(&path).expect("there").len(), 96, "three whole keys");
        let again = drop.put("bb84", 7, &[6; 64]).expect_err("a key is dropped once").to_string();
        assert!(again.contains("exists"), "{again}");
        assert_eq!(fs::read(&path).expect("still there"), [5; 96], "the first one stays");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left behind");
        #[cfg(unix)]
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).expect("there").permissions());
            assert_eq!(mode & 0o777, 0o600, "for its owner only");
        }
    }

    #[test]
    fn a_folder_that_is_not_there_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(FileDrop::new(&folder.path().join("nowhere")).is_err(), "not there");
    }
}
