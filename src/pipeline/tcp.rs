//! Two processes: messages over one TCP connection.
//!
//! ```text
//! frame = number:u8 · length:u32, little-endian · message
//! ```
//!
//! | number | length | is |
//! |---|---|---|
//! | p < 64 | > 0 | a message of protocol p |
//! | 64 + p | 0 | protocol p is ready for a link |
//! | 128 + p | 0 | protocol p ends its link |
//! | 255 | 0 | a sign of life |
//!
//! The protocol number is the place of the actor in the node's list, the same on both sides. Each has a link
//! of its own on the connection: one that fails, or rests because its source is gone, leaves the others alone. The
//! connection itself is neither encrypted nor trusted: what a block's messages were is settled by the
//! tags at its end. A frame longer than any honest message ends the connection before it is read.

use std::collections::VecDeque;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError, bounded, select};

use crate::session::LinkState;
use crate::wire;

use super::actor::{Actor, ActorError, Condition, Told};
use super::lanes::{Change, Lane, Signal};
use super::log;
use super::workers::Workers;

/// Messages that may wait in either direction before back-pressure is felt.
const QUEUE: usize = 64;

/// Bytes that a length alone makes us allocate, at most: what most messages take.
const AT_ONCE: usize = 1 << 18;

/// Why a node stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// A session or a source failed.
    #[error(transparent)]
    Actor(#[from] ActorError),
    /// The connection failed.
    #[error("the connection to the peer failed: {0}")]
    Connection(#[from] io::Error),
    /// The peer closed the connection before every block was over.
    #[error("the peer closed the connection before the last block was over; unfinished blocks are lost")]
    Closed,
    /// Nothing was heard of the peer for too long.
    #[error("nothing heard of the peer for {} s; check that it runs and that the network is up", .0.as_secs())]
    Silent(Duration),
    /// A frame that no honest peer sends.
    #[error(
        "the peer sent a frame of {bytes} bytes with number {number} where none may come: not keystill, or not \
         this version"
    )]
    Frame {
        /// Its number.
        number: u8,
        /// Its length.
        bytes: usize,
    },
}

/// What stands in a frame.
#[derive(Debug, PartialEq, Eq)]
enum Frame {
    Message(usize, Vec<u8>),
    Signal(usize, Signal),
    Alive,
}

/// Numbers of signals begin here.
const READY: u8 = 64;
const END: u8 = 128;
const ALIVE: u8 = 255;

/// What bounds a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest message that any of the sessions reads, in bytes.
    pub longest_message: usize,
    /// How long the peer may be silent while blocks are open.
    pub patience: Duration,
}

/// Drives one node's actors over a connection until every block is over. When the connection is lost,
/// open blocks are too; the actors go on over another one.
///
/// # Errors
/// [`NodeError`].
pub fn drive_over(
    stream: TcpStream,
    actors: &mut [Box<dyn Actor>],
    workers: &Workers,
    limits: Limits,
    told: Told<'_>,
) -> Result<(), NodeError> {
    let outcome = talk_over(stream, actors, workers, limits, told);
    for actor in actors.iter_mut() {
        actor.link(LinkState::Down)?;
    }
    outcome
}

fn talk_over(
    stream: TcpStream,
    actors: &mut [Box<dyn Actor>],
    workers: &Workers,
    limits: Limits,
    told: Told<'_>,
) -> Result<(), NodeError> {
    stream.set_nodelay(true)?;
    let mut wire = Wire::open(stream, actors.len(), limits)?;
    let mut heard = Instant::now();
    loop {
        let mut moved = wire.flush()?;
        for number in 0..actors.len() {
            if !wire.is_congested() {
                moved |= actors[number].advance(number, workers)?;
                moved |= wire.tend(number, &mut *actors[number])?;
            }
            for news in actors[number].take_news() {
                log::tell(&*actors[number], &news);
                if !told(actors, Some((number, news))) {
                    return Ok(());
                }
            }
        }
        wire.live(limits.patience / 4);
        moved |= wire.flush()?;
        if actors.iter().all(|actor| actor.is_finished()) {
            return wire.close();
        }
        if !told(actors, None) {
            return Ok(());
        }
        if moved {
            continue;
        }
        match wire.wait(actors, workers)? {
            true => heard = Instant::now(),
            false if heard.elapsed() > limits.patience => return Err(NodeError::Silent(limits.patience)),
            false => {}
        }
    }
}

/// One connection with its two threads.
struct Wire {
    stream: TcpStream,
    incoming: Receiver<Result<Frame, NodeError>>,
    outgoing: Option<Sender<Frame>>,
    pending: VecDeque<Frame>,
    /// Empty but for a moment: what an actor has to say.
    messages: Vec<Vec<u8>>,
    lanes: Vec<Lane>,
    /// When we last said anything.
    spoke: Instant,
    writer: Option<JoinHandle<io::Result<()>>>,
}

impl Wire {
    fn open(stream: TcpStream, protocols: usize, limits: Limits) -> Result<Self, NodeError> {
        let (sender, incoming) = bounded(QUEUE);
        let (outgoing, queue) = bounded::<Frame>(QUEUE);
        let reading = stream.try_clone()?;
        std::thread::spawn(move || read_all(reading, protocols, limits.longest_message, &sender));
        let writing = stream.try_clone()?;
        let writer = std::thread::spawn(move || write_all(writing, &queue));
        Ok(Self {
            stream,
            incoming,
            outgoing: Some(outgoing),
            pending: VecDeque::new(),
            messages: Vec::new(),
            lanes: vec![Lane::NEW; protocols],
            spoke: Instant::now(),
            writer: Some(writer),
        })
    }

    fn is_congested(&self) -> bool {
        self.pending.len() >= QUEUE
    }

    fn say(&mut self, frame: Frame) {
        self.pending.push_back(frame);
        self.spoke = Instant::now();
    }

    /// Says that we are there if we said nothing for long.
    fn live(&mut self, silence: Duration) {
        if self.spoke.elapsed() > silence {
            self.say(Frame::Alive);
        }
    }

    /// Sends what an actor has to say; begins and ends its link as it wants. Whether anything moved.
    fn tend(&mut self, number: usize, actor: &mut dyn Actor) -> Result<bool, ActorError> {
        let mut messages = std::mem::take(&mut self.messages);
        actor.take_messages(&mut messages);
        let mut moved = !messages.is_empty();
        // Where there is no link they are nobody's.
        if self.lanes[number].is_up() {
            messages.drain(..).for_each(|message| self.say(Frame::Message(number, message)));
        }
        messages.clear();
        self.messages = messages;
        let wants = actor.condition() == Condition::Running;
        if (actor.take_hangup() || !wants) && self.lanes[number].end() {
            self.say(Frame::Signal(number, Signal::End));
            actor.link(LinkState::Down)?;
            moved = true;
        }
        if wants && let Some(change) = self.lanes[number].want(Instant::now()) {
            self.say(Frame::Signal(number, Signal::Ready));
            if change == Change::Up {
                actor.link(LinkState::Up)?;
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Hands an actor what the peer says.
    fn hear(&mut self, actors: &mut [Box<dyn Actor>], frame: Frame) -> Result<(), NodeError> {
        let (number, signal) = match frame {
            Frame::Alive => return Ok(()),
            Frame::Message(number, message) => {
                // What comes while a link is ending belongs to nobody.
                if self.lanes[number].is_up() {
                    actors[number].deliver(&message)?;
                }
                wire::give_back(message);
                return Ok(());
            }
            Frame::Signal(number, signal) => (number, signal),
        };
        match self.lanes[number].hear(signal, Instant::now()) {
            Change::None => {}
            Change::Up => actors[number].link(LinkState::Up)?,
            Change::Down => {
                self.say(Frame::Signal(number, Signal::End));
                actors[number].link(LinkState::Down)?;
            }
            Change::Wrong => return Err(NodeError::Frame { number: numbered(number, signal), bytes: 0 }),
        }
        Ok(())
    }

    /// Hands to the writing thread what it has room for.
    fn flush(&mut self) -> Result<bool, NodeError> {
        let mut moved = false;
        while let (Some(message), Some(outgoing)) = (self.pending.pop_front(), &self.outgoing) {
            match outgoing.try_send(message) {
                Ok(()) => moved = true,
                Err(TrySendError::Full(message)) => {
                    self.pending.push_front(message);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => return Err(self.writer_failed()),
            }
        }
        Ok(moved)
    }

    fn writer_failed(&mut self) -> NodeError {
        let ended = self.writer.take().and_then(|writer| writer.join().ok());
        match ended {
            Some(Err(error)) => NodeError::Connection(error),
            _ => NodeError::Closed,
        }
    }

    /// Waits for a message or for work to come back; returns whether the peer was heard.
    fn wait(&mut self, actors: &mut [Box<dyn Actor>], workers: &Workers) -> Result<bool, NodeError> {
        let due = actors.iter().filter_map(|actor| actor.next_due()).min();
        let patience =
            due.map_or(Duration::from_millis(50), |due| due.saturating_duration_since(Instant::now()));
        let patience = patience.clamp(Duration::from_micros(100), Duration::from_millis(50));
        let mut heard = false;
        select! {
            recv(self.incoming) -> message => {
                let frame = message.map_err(|_| NodeError::Closed)??;
                self.hear(actors, frame)?;
                heard = true;
            }
            recv(workers.arrivals()) -> arrival => {
                if let Ok(arrival) = arrival {
                    actors[arrival.actor].arrived(arrival.result)?;
                }
            }
            default(patience) => {}
        }
        for arrival in workers.arrivals().try_iter() {
            actors[arrival.actor].arrived(arrival.result)?;
        }
        for _ in 0..QUEUE {
            match self.incoming.try_recv() {
                Ok(message) => {
                    self.hear(actors, message?)?;
                    heard = true;
                }
                Err(TryRecvError::Empty) => break,
                // What the disconnection means is decided when nothing else is left to do.
                Err(TryRecvError::Disconnected) => break,
            }
        }
        Ok(heard)
    }

    /// Sends what is left, then closes our direction: the peer still reads it all.
    fn close(mut self) -> Result<(), NodeError> {
        if let Some(outgoing) = self.outgoing.take() {
            for message in self.pending.drain(..) {
                if outgoing.send(message).is_err() {
                    break;
                }
            }
        }
        if let Some(Ok(Err(error))) = self.writer.take().map(JoinHandle::join) {
            return Err(error.into());
        }
        // The peer may have closed already.
        let _ = self.stream.shutdown(Shutdown::Write);
        Ok(())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.outgoing = None;
        if self.writer.is_some() {
            let _ = self.stream.shutdown(Shutdown::Both);
        }
    }
}

fn read_all(
    stream: TcpStream,
    protocols: usize,
    longest_message: usize,
    sender: &Sender<Result<Frame, NodeError>>,
) {
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    loop {
        let message = match read_one(&mut reader, protocols, longest_message) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let failed = message.is_err();
        if sender.send(message).is_err() || failed {
            return;
        }
    }
}

fn read_one(
    reader: &mut impl Read,
    protocols: usize,
    longest_message: usize,
) -> Result<Option<Frame>, NodeError> {
    let mut header = [0; 5];
    match reader.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let [number, length @ ..] = header;
    let bytes = u32::from_le_bytes(length) as usize;
    let wrong = NodeError::Frame { number, bytes };
    let protocol = usize::from(number % READY);
    if number != ALIVE && protocol >= protocols {
        return Err(wrong);
    }
    match (number, bytes) {
        (ALIVE, 0) => return Ok(Some(Frame::Alive)),
        (READY..END, 0) => return Ok(Some(Frame::Signal(protocol, Signal::Ready))),
        (END..192, 0) => return Ok(Some(Frame::Signal(protocol, Signal::End))),
        (0..READY, 1..) if bytes <= longest_message => {}
        _ => return Err(wrong),
    }
    // Grown as bytes arrive: a length alone makes nobody allocate much.
    let mut message = wire::message(bytes.min(AT_ONCE));
    reader.take(bytes as u64).read_to_end(&mut message)?;
    if message.len() < bytes {
        return Ok(None);
    }
    Ok(Some(Frame::Message(protocol, message)))
}

/// The number of a frame that signals.
fn numbered(protocol: usize, signal: Signal) -> u8 {
    // A node has fewer protocols than READY.
    let protocol = u8::try_from(protocol).unwrap_or(u8::MAX) % READY;
    protocol + if signal == Signal::Ready { READY } else { END }
}

fn write_all(stream: TcpStream, queue: &Receiver<Frame>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, stream);
    while let Ok(frame) = queue.recv() {
        let (number, message) = match frame {
            Frame::Message(protocol, message) => (u8::try_from(protocol).map_err(io::Error::other)?, message),
            Frame::Signal(protocol, signal) => (numbered(protocol, signal), Vec::new()),
            Frame::Alive => (ALIVE, Vec::new()),
        };
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        writer.write_all(&[number])?;
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(&message)?;
        wire::give_back(message);
        if queue.is_empty() {
            writer.flush()?;
        }
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_announces_too_much_is_refused_before_it_is_read() {
        let mut frame = vec![0];
        frame.extend(1_000_001u32.to_le_bytes());
        let refused = read_one(&mut frame.as_slice(), 2, 1_000_000);
        assert!(matches!(refused, Err(NodeError::Frame { number: 0, bytes: 1_000_001 })), "{refused:?}");
        for foreign in
            [[9, 1, 0, 0, 0, 7], [0; 6], [64, 1, 0, 0, 0, 7], [66, 0, 0, 0, 0, 0], [192, 0, 0, 0, 0, 0]]
        {
            let refused = read_one(&mut foreign.as_slice(), 2, 100);
            assert!(matches!(refused, Err(NodeError::Frame { .. })), "{foreign:?}: {refused:?}");
        }
    }

    #[test]
    fn signals_are_read_as_they_are_numbered() {
        for signal in [Signal::Ready, Signal::End] {
            let bytes = [numbered(1, signal), 0, 0, 0, 0];
            let read = read_one(&mut bytes.as_slice(), 2, 100).ok().flatten();
            assert_eq!(read, Some(Frame::Signal(1, signal)), "{bytes:?}");
        }
        let alive = read_one(&mut [ALIVE, 0, 0, 0, 0].as_slice(), 2, 100).ok().flatten();
        assert_eq!(alive, Some(Frame::Alive), "a sign of life");
    }

    #[test]
    fn a_cut_frame_ends_the_stream_and_a_whole_one_is_read() {
        let bytes = [1, 3, 0, 0, 0, 7, 8, 9];
        assert_eq!(
            read_one(&mut &bytes[..], 2, 100).ok().flatten(),
            Some(Frame::Message(1, vec![7, 8, 9])),
            "whole"
        );
        for cut in 0..bytes.len() {
            assert_eq!(read_one(&mut &bytes[..cut], 2, 100).ok().flatten(), None, "{cut} bytes");
        }
    }
}
