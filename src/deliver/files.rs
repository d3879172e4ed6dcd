//! Keys as files for key managers that watch a folder: a block's key in one file with the ending
//! `.cor`, the same name and bytes at both ends, cut into 32-byte keys by the reader.
//!
//! A node writes `LINK_BLOCK.cor`: 12 hexadecimal digits of the link's name in key IDs, 16 of the block's number.
//! What is left of a block of which keys were delivered before bears the first key's place, too:
//! `LINK_BLOCK_PLACE.cor`.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::store::{Key, KeyId};

use super::mover::Sink;

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

    /// Writes keys of a store, a file a block. Files that are there with the same keys stay.
    ///
    /// # Errors
    /// [`FileDropError`].
    fn put_keys(&self, keys: &[Key]) -> Result<(), FileDropError> {
        for keys in keys.chunk_by(|one, next| follows(one.id, next.id)) {
            let id = keys[0].id.to_string().replace('-', "");
            let (link, block, place) = (&id[..12], &id[12..24], &id[24..]);
            let place = if place == "00000000" { String::new() } else { format!("_{place}") };
            let name = format!("{link}_0000{block}{place}");
            let mut bytes = Zeroizing::new(Vec::with_capacity(keys.len() * KEY_BYTES));
            keys.iter().for_each(|key| bytes.extend_from_slice(key.bytes()));
            let path = self.folder.join(format!("{name}.cor"));
            if fs::read(&path).map(Zeroizing::new).is_ok_and(|there| there == bytes) {
                continue;
            }
            self.write(&self.folder.join(format!(".{name}.part")), &path, &bytes)
                .map_err(|source| FileDropError { folder: self.folder.clone(), source })?;
        }
        Ok(())
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

/// Whether keys are neighbours in one block.
fn follows(one: KeyId, next: KeyId) -> bool {
    u128::from_be_bytes(one.bytes()).wrapping_add(1) == u128::from_be_bytes(next.bytes())
}

impl Sink for FileDrop {
    /// All that there are: a block is never cut.
    fn room(&mut self) -> usize {
        usize::MAX
    }

    fn take(&mut self, keys: &[Key]) -> Result<(), Box<dyn Error>> {
        Ok(self.put_keys(keys)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{KeyStore, Share};

    #[test]
    fn both_ends_drop_the_same_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = |end: &str| {
            let own = folder.path().join(end);
            fs::create_dir(&own).expect("made");
            let mut drop = FileDrop::new(&own).expect("it is there");
            let mut store = crate::store::filled_for_tests(5);
            let keys = store.deliver_next(Share::All, drop.room()).expect("open");
            drop.take(&keys).expect("dropped");
            drop.take(&keys).expect("again, with the same keys");
            let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
            let names: Vec<_> = fs::read_dir(&own).expect("a folder").map(name).collect();
            assert_eq!(names.len(), 1, "one block, one file: {names:?}");
            (names[0].clone(), fs::read(own.join(&names[0])).expect("readable"))
        };
        let (alice, bob) = (files("alice"), files("bob"));
        assert_eq!(alice, bob, "names and bytes");
        assert_eq!(alice.1.len(), 5 * KEY_BYTES, "all keys");
        let name = alice.0.to_string_lossy().into_owned();
        assert!(name.ends_with("_0000000000000000.cor") && name.len() == 33, "{name}");
    }

    #[test]
    fn what_is_left_of_a_block_is_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut drop = FileDrop::new(folder.path()).expect("it is there");
        let mut store = crate::store::filled_for_tests(6);
        let keys = store.deliver_next(Share::All, 3).expect("open");
        store.deliver_next(Share::Odd, 1).expect("open");
        drop.take(&keys[..1]).expect("dropped");
        drop.take(&store.deliver_next(Share::All, 9).expect("open")).expect("dropped");
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy()[12..].to_owned())
            .collect();
        names.sort();
        assert_eq!(names, ["_0000000000000000.cor", "_0000000000000000_00000004.cor"], "by their places");
    }

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
