//! The only threads, sockets and clock of the engine: they drive sessions.
//!
//! An [`Actor`] is a session with its source of raw frames. A driver gives every actor its turn,
//! carries messages between the two ends, in memory or over TCP, and runs what sessions ask for on a
//! pool of [`Workers`]. Results join by number, so threads never change a key.

mod actor;
mod alone;
mod kiwi;
mod lanes;
mod log;
mod memory;
mod recording;
mod reopening;
mod stream;
mod tcp;
mod workers;

pub use actor::{
    Actor, ActorError, Condition, FrameJob, FrameSource, News, Pace, Party, Queues, Reserves, SourceError,
    Told,
};
pub use alone::Alone;
pub use kiwi::{Kiwi, KiwiError, KiwiStream};
pub use memory::drive;
pub use recording::{Description, Recorder, RecordingError, Replay};
pub use reopening::Reopening;
pub use stream::{QUEUE as STREAM_QUEUE, Stream, StreamError, StreamWriter};
pub use tcp::{Limits, NodeError, drive_over};
pub use workers::{Arrived, NoThreads, Workers};
