//! Raw frames while they are made: over a pipe, a socket, or out of a file that somebody else writes.
//!
//! ```text
//! stream  = "KEYSTIS1" · header length:u32 · header · frame · … · 0:u32
//! header  = protocol · role:u8 · frame duration in ns · preamble · index of the first frame
//! frame   = length:u32 · bytes · the first 8 bytes of their BLAKE3
//! ```
//!
//! `u32` are little-endian; numbers of the header are variable-length integers (see [`crate::wire`]), protocol
//! and preamble a length and their bytes. Role 0 is Alice, 1 Bob. CV-QKD's preamble on Bob's side is his
//! calibration. Frames follow each other without a gap: hardware that lost some closes the stream without its last
//! zero and begins another at a later index, and whole blocks go on from there ([`Reopening`](super::Reopening)).
//! With the last zero everything is over.
//!
//! One thread reads ahead by [`QUEUE`] frames; then the pipe fills, and the hardware feels it. The hash
//! protects against damage, not against somebody who can write into the pipe: that one is the hardware.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::protocol::Recordable;
use crate::stage::Role;
use crate::wire::{Malformed, Reader, Writer};

use super::actor::{FrameJob, FrameSource, SourceError};
use super::recording::Description;

/// Frames read ahead of those that were asked for.
pub const QUEUE: usize = 4;

const MAGIC: &[u8; 8] = b"KEYSTIS1";
const LONGEST_HEADER: usize = 1 << 16;

/// Why a stream of raw frames is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// Reading or writing failed.
    #[error("the stream of raw frames failed: {0}")]
    Io(#[from] io::Error),
    /// It ended in the middle.
    #[error(
        "the stream of raw frames ended without its end mark: the source stopped or was cut; start it again"
    )]
    Cut,
    /// It is none, or of a version that is not known.
    #[error("this is no stream of raw frames of version 1 ({what}); see the page on formats")]
    Foreign {
        /// What is wrong.
        what: &'static str,
    },
    /// It carries something else.
    #[error("the stream carries {found}, not {wanted}; check which source is connected")]
    Other {
        /// What it carries.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// A frame is longer than any of this configuration.
    #[error(
        "raw frame {index} has {bytes} bytes, more than the {most} of the configured frame; compare frame_ms"
    )]
    TooLong {
        /// The frame.
        index: u64,
        /// Its length.
        bytes: usize,
        /// The longest.
        most: usize,
    },
    /// A Kiwi cannot be read.
    #[error(transparent)]
    Kiwi(#[from] super::kiwi::KiwiError),
    /// A frame's bytes do not match its hash.
    #[error("raw frame {index} was damaged on its way")]
    Damaged {
        /// The frame.
        index: u64,
    },
}

/// Writes a stream: the side of the hardware.
#[derive(Debug)]
pub struct StreamWriter<W> {
    writer: W,
}

impl<W: Write> StreamWriter<W> {
    /// Begins a stream at frame `first`.
    ///
    /// # Errors
    /// [`StreamError::Io`].
    pub fn begin(mut writer: W, description: &Description, first: u64) -> Result<Self, StreamError> {
        let mut header = Writer::new();
        header.count(description.protocol.len()).bytes(description.protocol.as_bytes());
        header.u8(u8::from(description.role == Role::Bob));
        header.varint(u64::try_from(description.frame_duration.as_nanos()).unwrap_or(u64::MAX));
        header.count(description.preamble.len()).bytes(&description.preamble).varint(first);
        let header = header.finish();
        writer.write_all(MAGIC)?;
        writer.write_all(&length_of(&header)?)?;
        writer.write_all(&header)?;
        Ok(Self { writer })
    }

    /// Writes the next frame.
    ///
    /// # Errors
    /// [`StreamError::Io`].
    pub fn write<F: Recordable>(&mut self, frame: &F) -> Result<(), StreamError> {
        let bytes = frame.encode();
        self.writer.write_all(&length_of(&bytes)?)?;
        self.writer.write_all(&bytes)?;
        self.writer.write_all(&digest(&bytes))?;
        Ok(self.writer.flush()?)
    }

    /// Where it writes to.
    pub(super) fn inner(&mut self) -> &mut W {
        &mut self.writer
    }

    /// Ends the stream: no frame follows.
    ///
    /// # Errors
    /// [`StreamError::Io`].
    pub fn end(mut self) -> Result<(), StreamError> {
        self.writer.write_all(&[0; 4])?;
        Ok(self.writer.flush()?)
    }
}

fn length_of(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len()).map_err(|_| io::Error::other("longer than 4 GiB"))?;
    Ok(length.to_le_bytes())
}

fn digest(bytes: &[u8]) -> [u8; 8] {
    let mut digest = [0; 8];
    digest.copy_from_slice(&blake3::hash(bytes).as_bytes()[..8]);
    digest
}

/// A stream of raw frames as a source.
#[derive(Debug)]
pub struct Stream<F> {
    shared: Arc<Shared>,
    description: Description,
    first: u64,
    frame: PhantomData<fn() -> F>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    room: Condvar,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    /// The index of the frame that stands first in the queue, or will.
    first: u64,
    /// How the stream ended: well, or why not.
    end: Option<Result<(), String>>,
    /// Nobody wants frames any more.
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> Stream<F> {
    /// Reads the header, then starts the thread that reads frames of at most `longest_frame` bytes.
    ///
    /// # Errors
    /// [`StreamError`] where it is no stream, or one of something else.
    pub fn open<R: Read + Send + 'static>(
        mut reader: R,
        protocol: &str,
        role: Role,
        longest_frame: usize,
    ) -> Result<Self, StreamError> {
        let (description, first) = read_header(&mut reader)?;
        if description.protocol != protocol || description.role != role {
            return Err(StreamError::Other {
                found: format!("{:?}'s {}", description.role, description.protocol),
                wanted: format!("{role:?}'s {protocol}"),
            });
        }
        let queue = Queue { frames: VecDeque::new(), first, end: None, closed: false };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), room: Condvar::new() });
        let theirs = shared.clone();
        std::thread::Builder::new().name("raw frames".into()).spawn(move || {
            let end = read_frames(&mut reader, &theirs, first, longest_frame);
            theirs.lock().end = Some(end.map_err(|error| error.to_string()));
        })?;
        Ok(Self { shared, description, first, frame: PhantomData })
    }

    /// Reads no further.
    pub(super) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_all();
    }

    /// What the stream says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }
}

impl<F> Drop for Stream<F> {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads to the last byte, or tells that the stream was cut.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), StreamError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => StreamError::Cut,
        _ => StreamError::Io(error),
    })
}

fn read_length(reader: &mut impl Read) -> Result<usize, StreamError> {
    let mut length = [0; 4];
    fill(reader, &mut length)?;
    Ok(usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX))
}

fn read_header(reader: &mut impl Read) -> Result<(Description, u64), StreamError> {
    let mut magic = [0; 8];
    fill(reader, &mut magic)?;
    if magic != *MAGIC {
        return Err(StreamError::Foreign { what: "no beginning" });
    }
    let length = read_length(reader)?;
    if length > LONGEST_HEADER {
        return Err(StreamError::Foreign { what: "its header is too long" });
    }
    let mut header = vec![0; length];
    fill(reader, &mut header)?;
    parse_header(Reader::new(&header)).map_err(|_| StreamError::Foreign { what: "its header is malformed" })
}

fn parse_header(mut reader: Reader<'_>) -> Result<(Description, u64), Malformed> {
    let name = reader.count(64, "protocol")?;
    let protocol = String::from_utf8_lossy(reader.bytes(name)?).into_owned();
    let role = match reader.u8()? {
        0 => Role::Alice,
        1 => Role::Bob,
        _ => return Err(Malformed::Field { field: "role" }),
    };
    let frame_duration = Duration::from_nanos(reader.varint()?);
    let length = reader.count(reader.remaining(), "preamble")?;
    let preamble = reader.bytes(length)?.to_vec();
    let first = reader.varint()?;
    reader.end()?;
    if first > u64::MAX / 2 {
        return Err(Malformed::Field { field: "first frame" });
    }
    Ok((Description { protocol, role, frame_duration, preamble }, first))
}

fn read_frames(
    reader: &mut impl Read,
    shared: &Shared,
    first: u64,
    longest_frame: usize,
) -> Result<(), StreamError> {
    for index in first.. {
        let bytes = read_length(reader)?;
        if bytes == 0 {
            return Ok(());
        }
        if bytes > longest_frame {
            return Err(StreamError::TooLong { index, bytes, most: longest_frame });
        }
        let mut frame = vec![0; bytes];
        fill(reader, &mut frame)?;
        let mut found = [0; 8];
        fill(reader, &mut found)?;
        if found != digest(&frame) {
            return Err(StreamError::Damaged { index });
        }
        let has_room = |queue: &mut Queue| queue.frames.len() >= QUEUE && !queue.closed;
        let mut queue =
            shared.room.wait_while(shared.lock(), has_room).unwrap_or_else(PoisonError::into_inner);
        if queue.closed {
            return Ok(());
        }
        queue.frames.push_back(frame);
    }
    Ok(())
}

impl<F: Recordable + Send + fmt::Debug + 'static> FrameSource<F> for Stream<F> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        let mut queue = self.shared.lock();
        let taken = if index == queue.first { queue.frames.pop_front() } else { None };
        let taken = match taken {
            Some(bytes) => {
                queue.first += 1;
                self.shared.room.notify_all();
                Ok(bytes)
            }
            None => Err(match &queue.end {
                Some(Err(why)) => why.clone(),
                _ => "the stream does not hold it".into(),
            }),
        };
        drop(queue);
        let role = self.description.role;
        Box::new(move |_| {
            let refused = |reason: String| SourceError { index, reason };
            F::decode(role, &taken.map_err(refused)?).map_err(|error| refused(error.to_string()))
        })
    }

    /// Endless until the stream's end was read.
    fn frames(&self) -> u64 {
        let queue = self.shared.lock();
        match queue.end {
            Some(Ok(())) => queue.first + queue.frames.len() as u64,
            _ => u64::MAX,
        }
    }

    fn frame_duration(&self) -> Duration {
        self.description.frame_duration
    }

    fn first_frame(&self) -> u64 {
        self.first
    }

    fn is_ready(&self, index: u64) -> bool {
        let mut queue = self.shared.lock();
        while queue.first < index && queue.frames.pop_front().is_some() {
            queue.first += 1;
        }
        self.shared.room.notify_all();
        !queue.frames.is_empty() && queue.first == index || matches!(queue.end, Some(Err(_)))
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

    /// Frames 6 to 15.
    fn written() -> Vec<u8> {
        let description = Description {
            protocol: "test".into(),
            role: Role::Bob,
            frame_duration: Duration::from_millis(10),
            preamble: vec![1, 2, 3],
        };
        let mut bytes = Vec::new();
        let mut writer = StreamWriter::begin(&mut bytes, &description, 6).expect("memory");
        for index in 6..16 {
            writer.write(&Bytes(vec![index; 5])).expect("memory");
        }
        writer.end().expect("memory");
        bytes
    }

    fn open(bytes: &[u8], role: Role) -> Result<Stream<Bytes>, StreamError> {
        Stream::open(io::Cursor::new(bytes.to_vec()), "test", role, 100)
    }

    /// All frames from `index` on.
    fn read(stream: &Stream<Bytes>, mut index: u64) -> Result<Vec<Bytes>, SourceError> {
        let mut frames = Vec::new();
        while index < stream.frames() {
            if stream.is_ready(index) {
                frames.push(stream.frame(index)(Isa::SCALAR)?);
                index += 1;
            } else {
                std::thread::yield_now();
            }
        }
        Ok(frames)
    }

    #[test]
    fn frames_come_in_order_from_where_they_are_wanted() {
        let stream = open(&written(), Role::Bob).expect("a stream");
        assert_eq!(stream.first_frame(), 6, "where the hardware began");
        assert_eq!(stream.description().preamble, [1, 2, 3], "the preamble");
        let frames = read(&stream, 9).expect("whole");
        assert_eq!(frames, (9..16).map(|index| Bytes(vec![index; 5])).collect::<Vec<_>>(), "from 9 to 15");
        assert_eq!(stream.frames(), 16, "the end was read");
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_refused_or_told() {
        let whole = written();
        let same = |bytes: &[u8]| {
            let Ok(stream) = open(bytes, Role::Bob) else { return false };
            let good = stream.first_frame() == 6
                && stream.description().preamble == [1, 2, 3]
                && stream.frame_duration() == Duration::from_millis(10);
            good && read(&stream, 6).is_ok_and(|frames| frames.len() == 10)
        };
        assert!(same(&whole), "the whole one is good");
        for place in 0..whole.len() {
            assert!(!same(&whole[..place]), "cut at {place}");
            let mut changed = whole.clone();
            changed[place] ^= 0x10;
            assert!(!same(&changed), "byte {place} changed");
        }
    }

    #[test]
    fn what_is_foreign_or_too_long_is_refused() {
        let other = open(&written(), Role::Alice);
        assert!(matches!(other, Err(StreamError::Other { .. })), "Bob's data are not Alice's");
        let stream = Stream::<Bytes>::open(io::Cursor::new(written()), "test", Role::Bob, 4)
            .expect("its header is good");
        let error = read(&stream, 6).expect_err("a frame of five bytes");
        assert!(error.reason.contains("more than the 4"), "{error}");
    }
}
