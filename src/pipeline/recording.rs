//! Recordings of raw frames: written while a session runs, mapped read-only and replayed.
//!
//! ```text
//! file    = magic:8 bytes · frame · … · index · index length:u64 · BLAKE3 of the index:32 bytes
//! index   = protocol name · role:u8 · frame duration in ns · preamble · frames · (offset · length · BLAKE3:32 bytes) each
//! ```
//!
//! Lengths and numbers of the index are variable-length integers (see [`crate::wire`]). A file that
//! was cut has no valid end; a frame whose bytes changed does not match its hash: both are refused.
//! The hash of the index names the recording; it protects against damage, not against somebody who
//! writes a new recording.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keystill_kernels::os::{FileMap, MapError};

use crate::protocol::Recordable;
use crate::stage::Role;
use crate::wire::{Malformed, Reader, Writer};

use super::actor::{FrameJob, FrameSource, SourceError};

const MAGIC: &[u8; 8] = b"KEYSTIL1";
const TRAILER: usize = 8 + 32;

/// Why a recording cannot be written or replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// It could not be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// Writing failed.
    #[error("cannot write the recording {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// It is not a recording, or it was cut or altered.
    #[error("{} is not a whole recording ({what}): it was cut, altered, or is something else", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// It is a recording of something else.
    #[error("{} records {found}, not {wanted}", path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it records.
        found: String,
        /// What was wanted.
        wanted: String,
    },
}

/// What a recording says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The protocol's name.
    pub protocol: String,
    /// Whose raw data.
    pub role: Role,
    /// How long a frame takes on the link.
    pub frame_duration: Duration,
    /// What the party knew before the first frame, such as its calibration.
    pub preamble: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    length: u64,
    hash: [u8; 32],
}

/// A source that also writes down what it gives.
#[derive(Debug)]
pub struct Recorder<F> {
    source: Box<dyn FrameSource<F>>,
    file: Arc<Mutex<Recording>>,
}

#[derive(Debug)]
struct Recording {
    path: PathBuf,
    description: Description,
    file: BufWriter<File>,
    offset: u64,
    entries: Vec<Entry>,
    frames: u64,
    /// Frames made before their turn.
    early: BTreeMap<u64, Vec<u8>>,
}

impl<F> Recorder<F> {
    /// Records `source` in a new file under an exclusive lock.
    ///
    /// # Errors
    /// [`RecordingError::Write`].
    pub fn create(
        path: &Path,
        description: Description,
        source: Box<dyn FrameSource<F>>,
    ) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Write { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        file.try_lock().map_err(|error| failed(error.into()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        file.write_all(MAGIC).map_err(failed)?;
        let recording = Recording {
            path: path.to_owned(),
            description,
            file,
            offset: MAGIC.len() as u64,
            entries: Vec::new(),
            frames: source.frames(),
            early: BTreeMap::new(),
        };
        Ok(Self { source, file: Arc::new(Mutex::new(recording)) })
    }
}

impl<F: Recordable + Send + fmt::Debug + 'static> FrameSource<F> for Recorder<F> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        let job = self.source.frame(index);
        let file = self.file.clone();
        Box::new(move |isa| {
            let frame = job(isa)?;
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let written = file.write(index, frame.encode());
            written.map_err(|error| SourceError { index, reason: error.to_string() })?;
            Ok(frame)
        })
    }

    fn frames(&self) -> u64 {
        self.source.frames()
    }

    fn frame_duration(&self) -> Duration {
        self.source.frame_duration()
    }
}

impl Recording {
    /// Writes a frame in its turn; after the last, the index.
    fn write(&mut self, index: u64, bytes: Vec<u8>) -> Result<(), RecordingError> {
        self.early.insert(index, bytes);
        while let Some(bytes) = self.early.remove(&(self.entries.len() as u64)) {
            self.append(&bytes).map_err(|source| self.failed(source))?;
        }
        if self.entries.len() as u64 == self.frames {
            self.finish().map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> RecordingError {
        RecordingError::Write { path: self.path.clone(), source }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        let length = bytes.len() as u64;
        self.entries.push(Entry { offset: self.offset, length, hash: blake3::hash(bytes).into() });
        self.offset += length;
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut index = Writer::new();
        let description = &self.description;
        index.count(description.protocol.len()).bytes(description.protocol.as_bytes());
        index.u8(u8::from(description.role == Role::Bob));
        index.varint(u64::try_from(description.frame_duration.as_nanos()).unwrap_or(u64::MAX));
        index.count(description.preamble.len()).bytes(&description.preamble).count(self.entries.len());
        for entry in &self.entries {
            index.varint(entry.offset).varint(entry.length).bytes(&entry.hash);
        }
        let index = index.finish();
        self.file.write_all(&index)?;
        self.file.write_all(&(index.len() as u64).to_le_bytes())?;
        self.file.write_all(blake3::hash(&index).as_bytes())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }
}

/// A recording, mapped and ready to be replayed.
#[derive(Debug)]
pub struct Replay<F> {
    path: PathBuf,
    map: Arc<FileMap>,
    description: Description,
    entries: Vec<Entry>,
    hash: [u8; 32],
    frame: PhantomData<fn() -> F>,
}

impl<F: Recordable> Replay<F> {
    /// Maps a recording and checks its index.
    ///
    /// # Errors
    /// [`RecordingError`] where it is none, was cut or altered, or records something else.
    pub fn open(path: &Path, protocol: &str, role: Role) -> Result<Self, RecordingError> {
        let damaged = |what| RecordingError::Damaged { path: path.to_owned(), what };
        let map = FileMap::open(path, None)?;
        if !map.starts_with(MAGIC) || map.len() < MAGIC.len() + TRAILER {
            return Err(damaged("no beginning"));
        }
        let (rest, hash) = map.split_at(map.len() - 32);
        let (rest, length) = rest.split_at(rest.len() - 8);
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        let length = usize::try_from(length).ok().filter(|length| *length <= rest.len() - MAGIC.len());
        let index = &rest[rest.len() - length.ok_or(damaged("no end"))?..];
        let found: [u8; 32] = blake3::hash(index).into();
        if found != *hash {
            return Err(damaged("its index does not match"));
        }
        let frames_end = (rest.len() - index.len()) as u64;
        let (description, entries) =
            read_index(Reader::new(index), frames_end).map_err(|_| damaged("its index is malformed"))?;
        if description.protocol != protocol || description.role != role {
            return Err(RecordingError::Other {
                path: path.to_owned(),
                found: format!("{:?}'s {}", description.role, description.protocol),
                wanted: format!("{role:?}'s {protocol}"),
            });
        }
        let path = path.to_owned();
        Ok(Self { path, map: Arc::new(map), description, entries, hash: found, frame: PhantomData })
    }

    /// What the recording says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The hash that names the recording.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

fn read_index(mut reader: Reader<'_>, frames_end: u64) -> Result<(Description, Vec<Entry>), Malformed> {
    let name = reader.count(64, "protocol")?;
    let protocol = String::from_utf8_lossy(reader.bytes(name)?).into_owned();
    let role = if reader.u8()? == 0 { Role::Alice } else { Role::Bob };
    let frame_duration = Duration::from_nanos(reader.varint()?);
    let length = reader.count(reader.remaining(), "preamble")?;
    let preamble = reader.bytes(length)?.to_vec();
    let count = reader.count(reader.remaining() / 34, "frames")?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let (offset, length) = (reader.varint()?, reader.varint()?);
        let mut hash = [0; 32];
        hash.copy_from_slice(reader.bytes(32)?);
        if offset.checked_add(length).is_none_or(|end| end > frames_end) {
            return Err(Malformed::Field { field: "frame" });
        }
        entries.push(Entry { offset, length, hash });
    }
    reader.end()?;
    Ok((Description { protocol, role, frame_duration, preamble }, entries))
}

impl<F: Recordable + Send + fmt::Debug + 'static> FrameSource<F> for Replay<F> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        let place = usize::try_from(index).unwrap_or(usize::MAX);
        let (map, entry) = (self.map.clone(), self.entries.get(place).copied());
        let (path, role) = (self.path.clone(), self.description.role);
        Box::new(move |_| {
            let refused = |what: &str| SourceError {
                index,
                reason: format!("{}: {what}: the recording was cut or altered", path.display()),
            };
            let entry = entry.ok_or_else(|| refused("there is no such frame"))?;
            let range = usize::try_from(entry.offset).ok().zip(usize::try_from(entry.length).ok());
            let bytes = range.and_then(|(start, length)| map.get(start..start + length));
            let bytes = bytes.ok_or_else(|| refused("the frame is missing"))?;
            if <[u8; 32]>::from(blake3::hash(bytes)) != entry.hash {
                return Err(refused("the frame's bytes changed"));
            }
            F::decode(role, bytes).map_err(|error| refused(&error.to_string()))
        })
    }

    fn frames(&self) -> u64 {
        self.entries.len() as u64
    }

    fn frame_duration(&self) -> Duration {
        self.description.frame_duration
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystill_kernels::Isa;

    #[derive(Debug, PartialEq)]
    struct Bytes(Vec<u8>);

    impl Recordable for Bytes {
        fn encode(&self) -> Vec<u8> {
            self.0.clone()
        }

        fn decode(_: Role, bytes: &[u8]) -> Result<Self, Malformed> {
            Ok(Self(bytes.to_vec()))
        }
    }

    #[derive(Debug)]
    struct Counting;

    impl FrameSource<Bytes> for Counting {
        fn frame(&self, index: u64) -> FrameJob<Bytes> {
            Box::new(move |_| Ok(Bytes(vec![index as u8; 10 + index as usize])))
        }

        fn frames(&self) -> u64 {
            4
        }

        fn frame_duration(&self) -> Duration {
            Duration::from_millis(10)
        }
    }

    fn record(path: &Path) {
        let description = Description {
            protocol: "test".into(),
            role: Role::Bob,
            frame_duration: Duration::from_millis(10),
            preamble: vec![1, 2, 3],
        };
        let recorder = Recorder::create(path, description, Box::new(Counting)).expect("a new file");
        for index in [1, 0, 3, 2] {
            recorder.frame(index)(Isa::SCALAR).expect("written");
        }
    }

    #[test]
    fn what_was_recorded_is_replayed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bob.rec");
        record(&path);
        let replay = Replay::<Bytes>::open(&path, "test", Role::Bob).expect("whole");
        assert_eq!(replay.description().preamble, [1, 2, 3], "the preamble");
        assert_eq!(replay.frames(), 4, "all frames");
        for index in 0..4 {
            let frame = replay.frame(index)(Isa::SCALAR).expect("in the file");
            assert_eq!(frame, Bytes(vec![index as u8; 10 + index as usize]), "frame {index}");
        }
        assert!(replay.frame(4)(Isa::SCALAR).is_err(), "there is no fifth");
        let other = Replay::<Bytes>::open(&path, "test", Role::Alice);
        assert!(matches!(other, Err(RecordingError::Other { .. })), "Bob's data are not Alice's");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bob.rec");
        record(&path);
        let whole = std::fs::read(&path).expect("written");
        let refused = |bytes: &[u8]| {
            let path = folder.path().join("changed.rec");
            std::fs::write(&path, bytes).expect("writable");
            let Ok(replay) = Replay::<Bytes>::open(&path, "test", Role::Bob) else { return true };
            (0..replay.frames()).any(|index| replay.frame(index)(Isa::SCALAR).is_err())
        };
        assert!(!refused(&whole), "the whole one is good");
        for place in 0..whole.len() {
            assert!(refused(&whole[..place]), "cut at {place}");
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            assert!(refused(&changed), "byte {place} changed");
        }
    }
}
