//! The stream of figures that the hardware is adjusted by: a JSON object a block, into a file, a named pipe or to
//! whoever connects to a Unix socket.
//!
//! It never holds up the node: lines wait in a queue of [`QUEUE`], and those that find it full are dropped; the
//! next line tells how many were. A reader of the socket that does not read is sent away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use keystill::session::{BlockReport, Outcome};
use keystill::stage::Role;
use serde_json::{Value, json};

use crate::cli::{Exit, Failure, OrExit};

/// Lines that wait for a reader.
const QUEUE: usize = 64;

/// Readers of the socket at once.
#[cfg(unix)]
const READERS: usize = 8;

/// How long the end waits for lines that are still to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often readers of the socket are looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Where the stream goes.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(untagged)]
pub(super) enum Place {
    /// A file, to which lines are added, or a named pipe.
    File(PathBuf),
    /// A Unix socket that the node opens: who connects hears what comes from then on.
    Socket {
        /// Its path.
        unix: PathBuf,
    },
}

/// The stream, if the configuration names a place.
#[derive(Default)]
pub(super) struct Feedback {
    stream: Option<Stream>,
}

struct Stream {
    role: &'static str,
    lines: Option<SyncSender<String>>,
    lost: u64,
    thread: Option<JoinHandle<()>>,
}

impl Feedback {
    /// Opens the place. Paths are relative to the configuration's folder.
    pub(super) fn start(place: Option<&Place>, config: &Path, role: Role) -> Result<Self, Failure> {
        let Some(place) = place else { return Ok(Self::default()) };
        let beside = |path: &Path| config.parent().unwrap_or(Path::new("")).join(path);
        let (sender, lines) = sync_channel(QUEUE);
        let thread = match place {
            Place::File(path) => start_file(beside(path), lines),
            Place::Socket { unix } => start_socket(&beside(unix), lines),
        };
        let thread = thread.with_context(|| format!("feedback, {place:?}")).or_exit(Exit::Configuration)?;
        let role = if role == Role::Alice { "alice" } else { "bob" };
        Ok(Self { stream: Some(Stream { role, lines: Some(sender), lost: 0, thread: Some(thread) }) })
    }

    /// Tells a block's figures, or drops them if nobody keeps up.
    pub(super) fn tell(&mut self, protocol: &str, report: &BlockReport) {
        let Some(stream) = &mut self.stream else { return };
        let mut line = line(protocol, report);
        line["role"] = stream.role.into();
        line["lost"] = stream.lost.into();
        let sent = stream.lines.as_ref().map(|lines| lines.try_send(format!("{line}\n")));
        match sent {
            Some(Ok(())) => stream.lost = 0,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => stream.lost += 1,
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.lines = None;
        let (began, thread) = (Instant::now(), self.thread.take());
        // A pipe that nobody reads may hold the thread for ever; it ends with the process.
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) && began.elapsed() < LAST_WORDS {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A block's figures as an object.
fn line(protocol: &str, report: &BlockReport) -> Value {
    let time_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    let mut line =
        json!({ "event": "feedback", "time_s": time_s, "protocol": protocol, "block": report.block });
    match &report.outcome {
        Outcome::Key { secret_bits, .. } => {
            line["outcome"] = json!("key");
            line["secret_bits"] = json!(secret_bits);
        }
        Outcome::Aborted(abort) => {
            line["outcome"] = json!("aborted");
            line["reason"] = json!(abort.to_string());
        }
    }
    for (name, value) in report.figures.iter().chain(&report.feedback) {
        line[*name] = json!(value);
    }
    line
}

fn start_file(path: PathBuf, lines: Receiver<String>) -> io::Result<JoinHandle<()>> {
    // A folder that is not there is told now; a pipe is opened where waiting for its reader holds up nobody.
    let is_pipe = is_pipe(&path);
    let mut file = if is_pipe { None } else { Some(open(&path)?) };
    std::thread::Builder::new().name("feedback".into()).spawn(move || {
        for line in lines {
            if file.is_none() {
                file = open(&path).ok();
            }
            // A pipe's reader that went away may come again.
            if file.as_mut().is_some_and(|file| file.write_all(line.as_bytes()).is_err()) {
                file = None;
            }
        }
    })
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // A named pipe is there already, and opening it waits for a reader.
    options.append(true).create(!is_pipe(path));
    options.open(path)
}

#[cfg(unix)]
fn is_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_pipe(_path: &Path) -> bool {
    false
}

#[cfg(unix)]
fn start_socket(path: &Path, lines: Receiver<String>) -> io::Result<JoinHandle<()>> {
    use std::os::unix::fs::FileTypeExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    // What a node before this one left; anything else is not ours to remove.
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    std::thread::Builder::new().name("feedback".into()).spawn(move || {
        let mut readers: Vec<UnixStream> = Vec::new();
        loop {
            let line = match lines.recv_timeout(LOOK) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while readers.len() < READERS
                && let Ok((reader, _)) = listener.accept()
            {
                readers.extend(reader.set_nonblocking(true).is_ok().then_some(reader));
            }
            if let Some(line) = line {
                readers.retain_mut(|reader| reader.write_all(line.as_bytes()).is_ok());
            }
        }
    })
}

#[cfg(not(unix))]
fn start_socket(_path: &Path, _lines: Receiver<String>) -> io::Result<JoinHandle<()>> {
    Err(io::Error::other("this system has no Unix sockets; name a file"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    use keystill::ledger::Ledger;
    use keystill::stage::Abort;

    use super::*;

    fn report(block: u64) -> BlockReport {
        BlockReport {
            block,
            outcome: Outcome::Aborted(Abort::Unverified),
            figures: vec![("test_qber", 0.25)],
            feedback: vec![("test_qber_intensity_0_detector_1", 0.5)],
            choice: None,
            frames: 0,
            frames_failed: 0,
            kept_bits: 0,
            corrected_errors: 0,
            iterations: 0,
            ledger: Ledger::new(),
            key_length: None,
            certificate: None,
        }
    }

    #[test]
    fn a_file_holds_a_line_a_block() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::File("told.ndjson".into());
        let mut feedback =
            Feedback::start(Some(&place), &folder.path().join("alice.toml"), Role::Alice).expect("it opens");
        (0..3).for_each(|block| feedback.tell("bb84", &report(block)));
        drop(feedback);
        let text = std::fs::read_to_string(folder.path().join("told.ndjson")).expect("written");
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3, "a line a block");
        assert_eq!((&lines[2]["block"], &lines[2]["role"]), (&json!(2), &json!("alice")), "whose");
        assert_eq!(lines[0]["test_qber_intensity_0_detector_1"], 0.5, "its figures");
        assert_eq!(lines[0]["outcome"], "aborted", "also of a block without key");
    }

    #[test]
    fn readers_of_the_socket_hear_and_one_that_does_not_read_holds_up_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place::Socket { unix: "told.sock".into() };
        let mut feedback =
            Feedback::start(Some(&place), &folder.path().join("bob.toml"), Role::Bob).expect("it opens");
        let path = folder.path().join("told.sock");
        let deaf = UnixStream::connect(&path).expect("it listens");
        let reader = UnixStream::connect(&path).expect("it listens");
        let listening =
            std::thread::spawn(move || BufReader::new(reader).lines().map_while(Result::ok).count());
        // Both are let in before the first line.
        std::thread::sleep(4 * LOOK);
        let began = Instant::now();
        let mut told = 0u64;
        while told < 3000 {
            feedback.tell("cv", &report(told));
            told += 1;
            if told.is_multiple_of(32) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        assert!(began.elapsed() < Duration::from_secs(30), "telling waits for nobody");
        let lost = feedback.stream.as_ref().map_or(0, |stream| stream.lost);
        drop(feedback);
        let heard = listening.join().expect("it ends");
        assert!(heard > 0 && heard as u64 + lost <= told, "{heard} of {told} lines were heard");
        drop(deaf);
    }

    #[test]
    fn a_place_that_cannot_be_is_told_at_the_beginning() {
        let place = Place::File("nowhere/told.ndjson".into());
        let refused = Feedback::start(Some(&place), Path::new("alice.toml"), Role::Alice);
        assert!(refused.is_err(), "there is no such folder");
    }
}
