//! Where a node's raw frames come from: a recording, a pipe, a socket, a Kiwi.

use std::fmt;
use std::fs::File;
use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::Context;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{FrameSource, Kiwi, Reopening, Replay, Stream, StreamError};
use keystill::protocol::{Protocol, Recordable};
use keystill::stage::Role;
use serde::Deserialize;

use super::{Exit, Failure, OrExit};

/// The sources of both protocols; the simulated world where there is none.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sources {
    pub(crate) bb84: Option<Origin>,
    pub(crate) cv: Option<Origin>,
}

impl Sources {
    /// Whether both would install the same file.
    pub(crate) fn share_a_key(&self) -> bool {
        let file = |origin: &Option<Origin>| origin.as_ref()?.pre_shared_key.clone();
        file(&self.bb84).is_some_and(|key| file(&self.cv) == Some(key))
    }

    /// The protocols whose frames are not simulated.
    pub(crate) fn protocols(&self) -> Vec<&'static str> {
        let named = [(Bb84::NAME, &self.bb84), (Cv::NAME, &self.cv)];
        named.into_iter().filter(|(_, origin)| origin.is_some()).map(|(name, _)| name).collect()
    }
}

/// The source of one protocol.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// Where the frames are.
    from: Place,
    /// Secret bytes that both sides hold, installed when the state folder is new.
    pub(crate) pre_shared_key: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    /// A recording that `run --record` or `pipeline::Recorder` wrote.
    Recording(PathBuf),
    /// A named pipe or a file with a stream of raw frames.
    Pipe(PathBuf),
    /// A Unix socket that gives a stream of raw frames to whoever connects.
    Unix(PathBuf),
    /// A TCP address that does; for the trusted site only, because raw frames are secret.
    Tcp(String),
    /// A Kiwi of VeriQloud's.
    Kiwi(KiwiPlace),
}

/// Where a Kiwi's data come out (see [`keystill::pipeline::Kiwi`]).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KiwiPlace {
    /// Alice: the socket over which `gc` is started.
    command: Option<PathBuf>,
    /// The pipe or device of angles.
    angles: PathBuf,
    /// Bob: the pipe of click results.
    results: Option<PathBuf>,
    /// Clicks in a raw frame, a multiple of 256; the same at both ends.
    clicks_per_frame: u32,
    /// The raw frame that begins with the start; the same at both ends.
    #[serde(default)]
    first_frame: u64,
}

impl KiwiPlace {
    fn kiwi(&self) -> Kiwi {
        Kiwi {
            command: self.command.clone(),
            angles: self.angles.clone(),
            results: self.results.clone(),
            clicks_per_frame: self.clicks_per_frame,
            first_frame: self.first_frame,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recording(path) => write!(f, "recording {}", path.display()),
            Self::Pipe(path) => write!(f, "pipe {}", path.display()),
            Self::Unix(path) => write!(f, "unix {}", path.display()),
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Kiwi(kiwi) => write!(f, "kiwi {}", kiwi.angles.display()),
        }
    }
}

/// Raw frames and what their source knew before the first.
type Opened<F> = (Box<dyn FrameSource<F>>, Vec<u8>);

impl Origin {
    /// Clicks in a raw frame, where the hardware hands out nothing but clicks.
    pub(crate) fn clicks_per_frame(&self) -> Option<u32> {
        match &self.from {
            Place::Kiwi(kiwi) => Some(kiwi.clicks_per_frame),
            _ => None,
        }
    }

    /// Opens it; waits until a pipe has its writer. No frame may be longer than `longest` bytes.
    pub(crate) fn open<F>(&self, protocol: &str, role: Role, longest: usize) -> Result<Opened<F>, Failure>
    where
        F: Recordable + Send + fmt::Debug + 'static,
    {
        let opened = self.from.open(protocol, role, longest);
        opened.with_context(|| format!("source.{protocol}, {}", self.from)).or_exit(Exit::Configuration)
    }
}

impl Place {
    fn open<F>(&self, protocol: &str, role: Role, longest: usize) -> anyhow::Result<Opened<F>>
    where
        F: Recordable + Send + fmt::Debug + 'static,
    {
        if let Self::Recording(path) = self {
            let replay = Replay::open(path, protocol, role)?;
            let preamble = replay.description().preamble.clone();
            return Ok((Box::new(replay), preamble));
        }
        if let Self::Kiwi(_) = self {
            // Another start counts clicks anew: only both ends together can come again.
            return Ok((Box::new(self.connect::<F>(protocol, role, longest)?), Vec::new()));
        }
        let (place, name) = (self.clone(), protocol.to_owned());
        let live = Reopening::open(move || place.connect(&name, role, longest))?;
        let preamble = live.stream().description().preamble.clone();
        Ok((Box::new(live), preamble))
    }

    /// Opens a stream.
    fn connect<F>(&self, protocol: &str, role: Role, longest: usize) -> Result<Stream<F>, StreamError> {
        match self {
            Self::Recording(path) | Self::Pipe(path) => {
                Stream::open(File::open(path)?, protocol, role, longest)
            }
            Self::Tcp(address) => Stream::open(TcpStream::connect(address)?, protocol, role, longest),
            Self::Kiwi(kiwi) => Stream::open(kiwi.kiwi().open(role)?, protocol, role, longest),
            #[cfg(unix)]
            Self::Unix(path) => {
                let socket = std::os::unix::net::UnixStream::connect(path)?;
                Stream::open(socket, protocol, role, longest)
            }
            #[cfg(not(unix))]
            Self::Unix(_) => {
                Err(std::io::Error::other("this system has no Unix sockets; use tcp or pipe").into())
            }
        }
    }
}
