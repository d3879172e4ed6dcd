//! A disk that forgets what was not synced, and fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::Disk;

use super::dice::Dice;

/// Bytes that a crash keeps or loses together.
const SECTOR: usize = 512;

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskFault {
    /// The process dies; what was not synced is kept or lost by the sector.
    Crash,
    /// No space is left.
    Full,
    /// The device fails.
    Io,
    /// Only a part is written, then the device fails.
    Short,
}

#[derive(Debug, Default)]
struct File {
    lasting: Vec<u8>,
    /// Writes since the last sync.
    fresh: Vec<(usize, Vec<u8>)>,
}

impl File {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.lasting.clone();
        for (offset, fresh) in &self.fresh {
            put(&mut bytes, *offset, fresh);
        }
        bytes
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, fresh: &[u8]) {
    let end = offset + fresh.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(fresh);
}

#[derive(Debug)]
struct Medium {
    files: BTreeMap<String, File>,
    dice: Dice,
    /// Operations left until a fault strikes.
    fault: Option<(u64, DiskFault)>,
    dead: bool,
    lies: bool,
    struck: u64,
    operations: u64,
}

/// A disk whose content outlives its processes.
#[derive(Clone, Debug)]
pub(super) struct SimulatedDisk(Arc<Mutex<Medium>>);

impl SimulatedDisk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Medium {
            files: BTreeMap::new(),
            dice: Dice::new(seed),
            fault: None,
            dead: false,
            lies: false,
            struck: 0,
            operations: 0,
        })))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Medium) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets a fault strike after so many more operations.
    pub(super) fn arm(&self, operations: u64, fault: DiskFault) {
        self.with(|medium| medium.fault = Some((operations, fault)));
    }

    pub(super) fn disarm(&self) {
        self.with(|medium| medium.fault = None);
    }

    /// Makes every sync a lie: planted to be found.
    pub(super) fn lie(&self, lies: bool) {
        self.with(|medium| medium.lies = lies);
    }

    /// The process is gone: each sector that was not synced is kept or lost.
    pub(super) fn crash(&self) {
        self.with(Medium::crash);
    }

    /// Faults that struck so far.
    pub(super) fn struck(&self) -> u64 {
        self.with(|medium| medium.struck)
    }

    /// Operations so far.
    pub(super) fn operations(&self) -> u64 {
        self.with(|medium| medium.operations)
    }

    /// Bytes of one file.
    pub(super) fn length(&self, name: &str) -> usize {
        self.with(|medium| medium.files.get(name).map_or(0, |file| file.now().len()))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> usize {
        self.with(|medium| medium.files.values().map(|file| file.now().len()).sum())
    }
}

impl Medium {
    fn crash(&mut self) {
        for file in self.files.values_mut() {
            for (offset, fresh) in std::mem::take(&mut file.fresh) {
                for (number, sector) in fresh.chunks(SECTOR).enumerate() {
                    if self.dice.once_in(2) {
                        put(&mut file.lasting, offset + SECTOR * number, sector);
                    }
                }
            }
        }
        self.dead = false;
        self.fault = None;
    }

    /// Counts an operation; the fault that strikes at it.
    fn operate(&mut self) -> io::Result<Option<DiskFault>> {
        if self.dead {
            return Err(io::Error::other("the process is dead"));
        }
        self.operations += 1;
        match &mut self.fault {
            Some((0, fault)) => {
                let fault = *fault;
                self.fault = None;
                self.struck += 1;
                match fault {
                    DiskFault::Crash => {
                        self.dead = true;
                        Ok(Some(fault))
                    }
                    DiskFault::Full => Err(io::ErrorKind::StorageFull.into()),
                    DiskFault::Io => Err(io::Error::other("the device failed")),
                    DiskFault::Short => Ok(Some(fault)),
                }
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

impl Disk for SimulatedDisk {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.with(|medium| Ok(medium.files.get(name).map(File::now)))
    }

    fn read_at(&mut self, name: &str, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|medium| {
            let file = medium.files.get(name).ok_or(io::ErrorKind::NotFound)?;
            let now = if file.fresh.is_empty() { None } else { Some(file.now()) };
            let bytes = now.as_ref().unwrap_or(&file.lasting).get(start..start + out.len());
            out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn write(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|medium| {
            let fault = medium.operate()?;
            let file = medium.files.entry(name.to_owned()).or_default();
            match fault {
                None => {
                    file.fresh.push((offset, bytes.to_vec()));
                    Ok(bytes.len())
                }
                Some(fault) => {
                    let part = bytes[..bytes.len() / 2].to_vec();
                    let written = part.len();
                    file.fresh.push((offset, part));
                    if fault == DiskFault::Short {
                        // The rest fails too.
                        medium.fault = Some((0, DiskFault::Full));
                        return Ok(written);
                    }
                    Err(io::Error::other("the process died"))
                }
            }
        })
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.with(|medium| {
            let fault = medium.operate();
            let lies = medium.lies;
            let file = medium.files.entry(name.to_owned()).or_default();
            match fault {
                Ok(None) => {
                    if !lies {
                        for (offset, fresh) in std::mem::take(&mut file.fresh) {
                            put(&mut file.lasting, offset, &fresh);
                        }
                    }
                    Ok(())
                }
                Ok(Some(_)) => Err(io::Error::other("the process died")),
                Err(error) => {
                    // What a failed sync leaves is anybody's guess.
                    file.fresh.retain(|_| medium.dice.once_in(2));
                    Err(error)
                }
            }
        })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.with(|medium| {
            if medium.operate()?.is_some() {
                return Err(io::Error::other("the process died"));
            }
            let file = medium.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
            medium.files.insert(to.to_owned(), file);
            Ok(())
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.with(|medium| {
            medium.operate()?;
            medium.files.remove(name);
            Ok(())
        })
    }
}
