//! A Kiwi of VeriQloud's as a source: it is started over its socket, and its pipes become raw frames.
//!
//! The hardware hands out detected pulses only: the k-th angle of Alice and the k-th angle and result of Bob belong to
//! the same pulse, and neither side learns here which pulse it was. So a gate of a frame is a click, every gate of
//! Bob's clicks, and alignment is the count of clicks since the start: both ends must begin with the same start. Where one
//! of them loses a click, everything after it is uncorrelated, no block leaves key any more, and both must start again.
//! (What the bytes are: [`recorded::kiwi`](crate::bb84::recorded::kiwi).)
//!
//! On Alice's side `gc` listens on a Unix socket: it is told to start, and to stop when the source is closed; it also
//! stops when the connection ends. Pipes are read by 256 clicks, results before angles, as `gc` expects it of its
//! reader. A pipe that ends is the end of the source: whole frames before it count.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::bb84::frame::{AliceFrame, BobFrame, Settings};
use crate::bb84::recorded::kiwi::{self, Request, Unreadable};
use crate::bb84::{Bb84, Frame};
use crate::protocol::Protocol;
use crate::stage::Role;

use super::recording::Description;
use super::stream::{StreamError, StreamWriter};

/// Clicks that are read together; a frame is a multiple.
const PIECE: u32 = 256;
/// Clicks of a frame, at most.
const MOST_CLICKS: u32 = 1 << 20;
/// How long `gc` may take to answer: it waits for the other side's `gc` before.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a Kiwi cannot be a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KiwiError {
    /// A frame of clicks that cannot be.
    #[error("clicks_per_frame = {clicks}: a multiple of {PIECE} up to {MOST_CLICKS}, please")]
    Clicks {
        /// What was asked for.
        clicks: u32,
    },
    /// Results on the side that has none, or none on the other.
    #[error("`results` is the pipe of click results: Bob's side has it, Alice's has not")]
    Results,
    /// A socket on the side that has none.
    #[error("`command` is the socket of gc: Alice's side has it, Bob's has not")]
    Command,
    /// A frame beyond all counting.
    #[error("first_frame = {first}: too large")]
    First {
        /// What was asked for.
        first: u64,
    },
    /// The socket cannot be had.
    #[error("gc cannot be asked over {}: {source}; is it running?", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It refused.
    #[error("gc did nothing when it was asked to start: it is running for somebody else")]
    Refused,
    /// A pipe cannot be opened.
    #[error("{}: {source}; gc and the hardware make their pipes when they start", path.display())]
    Pipe {
        /// The pipe.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The bytes are none of a Kiwi's.
    #[error("frame {index}: {source}")]
    Data {
        /// The frame.
        index: u64,
        /// What is wrong.
        source: Unreadable,
    },
    /// An answer that is none.
    #[error(transparent)]
    Answer(#[from] Unreadable),
}

/// Where a Kiwi's data come out, and how they become frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kiwi {
    /// Alice: the socket of `gc`; `None` where somebody else starts it.
    pub command: Option<PathBuf>,
    /// The pipe or device of angles.
    pub angles: PathBuf,
    /// Bob: the pipe of click results.
    pub results: Option<PathBuf>,
    /// Clicks in a frame: the gates of a frame.
    pub clicks_per_frame: u32,
    /// The index of the frame that the first click begins; the same at both ends.
    pub first_frame: u64,
}

impl Kiwi {
    /// Starts it. What comes is read as a [`Stream`](super::Stream), whose first frame waits for the pipes' writers.
    ///
    /// # Errors
    /// [`KiwiError`], and [`StreamError`] of the stream.
    pub fn open(&self, role: Role) -> Result<KiwiStream, StreamError> {
        self.check(role)?;
        let gate = self.command.as_ref().map(Gate::start).transpose()?;
        let paths = [&self.angles].into_iter().chain(&self.results);
        for path in paths {
            // It is opened by the thread that reads: a pipe lets nobody in before its writer is there.
            let failed = |source| KiwiError::Pipe { path: path.clone(), source };
            if std::fs::metadata(path).map_err(failed)?.is_dir() {
                return Err(failed(io::Error::other("this is a folder")).into());
            }
        }
        // Nobody here knows how long it takes until there are so many clicks.
        let frame_duration = Duration::ZERO;
        let description =
            Description { protocol: Bb84::NAME.into(), role, frame_duration, preamble: Vec::new() };
        let writer = StreamWriter::begin(Made::default(), &description, self.first_frame)?;
        let way = Way { _gate: gate, kiwi: self.clone(), pipes: None };
        Ok(KiwiStream { way, index: self.first_frame, writer, over: false })
    }

    fn check(&self, role: Role) -> Result<(), KiwiError> {
        let clicks = self.clicks_per_frame;
        if clicks == 0 || !clicks.is_multiple_of(PIECE) || clicks > MOST_CLICKS {
            return Err(KiwiError::Clicks { clicks });
        }
        if self.results.is_some() != (role == Role::Bob) {
            return Err(KiwiError::Results);
        }
        if self.command.is_some() && role == Role::Bob {
            return Err(KiwiError::Command);
        }
        // Every click has a number.
        if self.first_frame > u64::from(u32::MAX) {
            return Err(KiwiError::First { first: self.first_frame });
        }
        Ok(())
    }
}

/// The connection to `gc`, which lets clicks through while it lasts.
#[derive(Debug)]
struct Gate {
    #[cfg(unix)]
    socket: std::os::unix::net::UnixStream,
}

#[cfg(unix)]
impl Gate {
    fn start(path: &PathBuf) -> Result<Self, KiwiError> {
        let failed = |source| KiwiError::Socket { path: path.clone(), source };
        let mut socket = std::os::unix::net::UnixStream::connect(path).map_err(failed)?;
        socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        socket.write_all(&Request::Start.bytes()).map_err(failed)?;
        let mut response = [0; 5];
        socket.read_exact(&mut response).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => failed(io::Error::other("it hung up without an answer")),
            _ => failed(source),
        })?;
        if kiwi::is_done(response)? { Ok(Self { socket }) } else { Err(KiwiError::Refused) }
    }
}

#[cfg(unix)]
impl Drop for Gate {
    fn drop(&mut self) {
        // It stops as well when nobody is there any more.
        let _ = self.socket.write_all(&Request::Stop.bytes());
    }
}

#[cfg(not(unix))]
impl Gate {
    fn start(path: &PathBuf) -> Result<Self, KiwiError> {
        let source = io::Error::other("this system has no Unix sockets");
        Err(KiwiError::Socket { path: path.clone(), source })
    }
}

/// The way to the data, and the data once they were asked for.
#[derive(Debug)]
struct Way {
    /// Lets clicks through until it is dropped.
    _gate: Option<Gate>,
    kiwi: Kiwi,
    pipes: Option<Pipes>,
}

impl Way {
    /// The pipes; the first time it waits until they have their writers.
    fn pipes(&mut self) -> Result<&mut Pipes, KiwiError> {
        let pipes = match self.pipes.take() {
            Some(pipes) => pipes,
            None => Pipes::open(&self.kiwi)?,
        };
        Ok(self.pipes.insert(pipes))
    }
}

#[derive(Debug)]
struct Pipes {
    angles: File,
    results: Option<File>,
}

impl Pipes {
    /// Both before any is read: the writers wait for each other's readers.
    fn open(kiwi: &Kiwi) -> Result<Self, KiwiError> {
        let open = |path: &PathBuf| {
            File::open(path).map_err(|source| KiwiError::Pipe { path: path.clone(), source })
        };
        let results = kiwi.results.as_ref().map(open).transpose()?;
        Ok(Self { angles: open(&kiwi.angles)?, results })
    }

    /// Angles and results of a frame; `None` where a pipe ends before it is whole.
    fn frame(&mut self, clicks: u32) -> io::Result<Option<[Zeroizing<Vec<u8>>; 2]>> {
        let clicks = clicks as usize;
        let mut angles = Zeroizing::new(vec![0; clicks / 2]);
        let mut results = Zeroizing::new(vec![0; if self.results.is_some() { clicks } else { 0 }]);
        let piece = PIECE as usize;
        for number in 0..clicks / piece {
            let part = number * piece..(number + 1) * piece;
            if let Some(pipe) = &mut self.results
                && !fill(pipe, &mut results[part.clone()])?
            {
                return Ok(None);
            }
            if !fill(&mut self.angles, &mut angles[part.start / 2..part.end / 2])? {
                return Ok(None);
            }
        }
        Ok(Some([angles, results]))
    }
}

/// Reads all of it; `false` at the end.
fn fill(pipe: &mut File, bytes: &mut [u8]) -> io::Result<bool> {
    match pipe.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes that were made and not all read yet; they are wiped.
#[derive(Debug, Default)]
struct Made {
    bytes: Zeroizing<Vec<u8>>,
    read: usize,
}

impl Made {
    fn is_read(&self) -> bool {
        self.read == self.bytes.len()
    }

    fn forget(&mut self) {
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        self.read = 0;
    }
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Made {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = (&self.bytes[self.read..]).read(bytes)?;
        self.read += read;
        Ok(read)
    }
}

/// What a Kiwi gives, as the bytes of a [`Stream`](super::Stream).
#[derive(Debug)]
pub struct KiwiStream {
    way: Way,
    index: u64,
    writer: StreamWriter<Made>,
    over: bool,
}

impl KiwiStream {
    /// Makes the bytes of the next frame, or those of the end.
    fn advance(&mut self) -> io::Result<()> {
        self.writer.inner().forget();
        let gates = self.way.kiwi.clicks_per_frame;
        let pipes = self.way.pipes().map_err(io::Error::other)?;
        let Some([angles, results]) = pipes.frame(gates)? else {
            self.over = true;
            return self.writer.inner().write_all(&[0; 4]);
        };
        let first_gate = self.index * u64::from(gates);
        let data = |source| io::Error::other(KiwiError::Data { index: self.index, source });
        let frame = if self.way.kiwi.results.is_some() {
            let clicks = kiwi::clicks(&angles, &results).map_err(data)?;
            Frame::Bob(BobFrame { first_gate, gates, offsets: (0..gates).collect(), clicks })
        } else {
            let settings = Settings::Packed(kiwi::settings(&angles).map_err(data)?);
            Frame::Alice(AliceFrame { first_gate, gates, settings })
        };
        self.writer.write(&frame).map_err(io::Error::other)?;
        self.index += 1;
        Ok(())
    }
}

impl Read for KiwiStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.writer.inner().is_read() && !self.over {
            self.advance()?;
        }
        self.writer.inner().read(bytes)
    }
}
