//! One node of a simulated world: the real session and the real store over a simulated disk.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::Protocol;
use crate::random::health::Tested;
use crate::session::{
    Config, Entry, Error, Event, Input, LinkState, Output, Record, Refused, Session, Time, Work,
};
use crate::sim::{SimulatedRandom, simulated_pre_shared_key};
use crate::stage::{Role, Workbench};
use crate::store::{KeyStore, Limits, Share, Store, StoreError};

use super::Planted;
use super::dice::Dice;
use super::disk::SimulatedDisk;
use super::judge::{Invariant, Judge};
use super::small::{noisy_frame, small_bb84, small_frame};
use crate::bb84::Bb84;

const SESSION: u128 = 42;
const PRE_SHARED_BYTES: usize = 32 * 600;
const JOURNAL_BYTES: u64 = 1_000;
const CAPACITY_BITS: u64 = 1 << 21;

/// What a process holds in memory.
struct Life {
    session: Session<Bb84>,
    store: Store<SimulatedDisk>,
    work: Vec<Work>,
    /// Records on their way to the disk.
    records: VecDeque<Record>,
    deadline: Option<Time>,
}

/// A node, alive or dead.
pub(super) struct Node {
    pub(super) role: Role,
    pub(super) disk: SimulatedDisk,
    pub(super) hangup: bool,
    life: Option<Life>,
    config: Config<Bb84>,
    seed: u64,
    planted: Option<Planted>,
}

fn source(seed: u64, role: Role) -> Arc<SimulatedRandom> {
    Arc::new(SimulatedRandom::new(seed, role, Bb84::NAME))
}

fn limits(planted: Option<Planted>) -> Limits {
    let journal_bytes = if planted == Some(Planted::EndlessJournal) { u64::MAX } else { JOURNAL_BYTES };
    Limits { capacity_bits: CAPACITY_BITS, journal_bytes }
}

impl Node {
    pub(super) fn new(seed: u64, role: Role, planted: Option<Planted>) -> Self {
        let mut config = Config::new(role, SESSION, small_bb84(), source(seed, role));
        config.epsilon_cap = f64::MAX;
        config.window_blocks = 2;
        config.patience_ns = 1_000_000_000;
        let disk = SimulatedDisk::new(seed ^ role as u64);
        Self { role, disk, hangup: false, life: None, config, seed, planted }
    }

    pub(super) fn side(&self) -> usize {
        usize::from(self.role == Role::Bob)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.life.is_some()
    }

    pub(super) fn longest_message(&self) -> usize {
        self.config.longest_message()
    }

    /// Whether nothing is open or on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.life.as_ref().is_some_and(|life| {
            let session = &life.session;
            session.is_live() && session.is_drained() && !session.is_in_doubt() && life.records.is_empty()
        })
    }

    pub(super) fn is_live(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.session.is_live())
    }

    pub(super) fn blocks_over(&self) -> u64 {
        self.life.as_ref().map_or(0, |life| life.session.blocks_over())
    }

    /// The process dies.
    pub(super) fn kill(&mut self) {
        self.life = None;
        self.disk.crash();
    }

    /// The process starts.
    pub(super) fn start(&mut self, judge: &mut Judge) {
        match self.try_start() {
            Ok(life) => self.life = Some(life),
            Err(StoreError::Io { .. }) => self.kill(),
            Err(error) => {
                judge.find(Invariant::NeverLost, format!("side {}: {error}", self.side()));
                self.kill();
            }
        }
    }

    fn try_start(&mut self) -> Result<Life, StoreError> {
        let mut store = Store::open(self.disk.clone(), limits(self.planted))?;
        if !store.has(Bb84::NAME) {
            let key = simulated_pre_shared_key(self.seed, Bb84::NAME, PRE_SHARED_BYTES);
            store.install(Bb84::NAME, SESSION, &key)?;
        }
        let remembered = store.recall(Bb84::NAME, SESSION)?;
        // A new process tests its source anew: a block that nobody was told of is drawn again, and alike here.
        self.config.random = Arc::new(Tested::new(source(self.seed, self.role)));
        let session = Session::resume(self.config.clone(), remembered);
        Ok(Life { session, store, work: Vec::new(), records: VecDeque::new(), deadline: None })
    }

    /// Hands an input to the session; a failed session begins again from the store.
    fn handle(&mut self, now: Time, input: Input<'_>) {
        let Some(life) = &mut self.life else { return };
        if let Err(error) = life.session.handle(now, input) {
            self.restart(&error);
        }
    }

    fn restart(&mut self, _error: &Error) {
        self.hangup = true;
        let Some(life) = &mut self.life else { return };
        while let Output::Persist(record) = life.session.poll() {
            life.records.push_back(record);
        }
        if self.write(usize::MAX).is_err() {
            return self.kill();
        }
        let Some(life) = &mut self.life else { return };
        life.work.clear();
        match life.store.recall(Bb84::NAME, SESSION) {
            Ok(remembered) => life.session = Session::resume(self.config.clone(), remembered),
            Err(_) => self.kill(),
        }
    }

    pub(super) fn link(&mut self, now: Time, state: LinkState) {
        self.handle(now, Input::Link(state));
    }

    pub(super) fn hear(&mut self, now: Time, message: &[u8]) {
        self.handle(now, Input::Received(message));
    }

    pub(super) fn tick(&mut self, now: Time) {
        let due = |life: &Life| life.deadline.is_some_and(|deadline| deadline <= now);
        if self.life.as_ref().is_some_and(due) {
            self.handle(now, Input::Tick);
        }
    }

    /// Offers the next raw frame of blocks below a limit.
    pub(super) fn offer(&mut self, blocks: u64, noisy_block: Option<u64>) {
        let Some(life) = &mut self.life else { return };
        let index = life.session.next_frame();
        let begins = index.is_multiple_of(self.config.protocol.frames_per_block());
        if index >= blocks * self.config.protocol.frames_per_block()
            || !life.session.is_live()
            || begins && !life.store.has_room(self.config.protocol.most_key_bits() as u64)
        {
            return;
        }
        let is_noise = noisy_block == Some(index / self.config.protocol.frames_per_block());
        let frame = if is_noise { noisy_frame(self.role, index) } else { small_frame(self.role, index) };
        if let Err(Refused::Closed(error)) = life.session.offer(frame) {
            self.restart(&error);
        }
    }

    /// Finishes one piece of work, any.
    pub(super) fn work(&mut self, now: Time, dice: &mut Dice, bench: &mut Workbench) {
        let Some(life) = &mut self.life else { return };
        if !life.work.is_empty() {
            let place = dice.place(life.work.len());
            let finished = life.work.swap_remove(place).run(bench);
            self.handle(now, Input::Finished(finished));
        }
    }

    /// Takes some of the records to the disk.
    pub(super) fn remember(&mut self, now: Time, dice: &mut Dice, judge: &mut Judge) {
        let Some(life) = &mut self.life else { return };
        if life.records.is_empty() {
            return;
        }
        let count = 1 + dice.place(life.records.len());
        if self.planted == Some(Planted::AnswerBeforeWriting) {
            let ticket = life.records[count - 1].ticket;
            self.handle(now, Input::Persisted(ticket));
            return;
        }
        if self.planted == Some(Planted::DeliverBeforeAccept) {
            self.deliver_early(judge);
        }
        match self.write(count) {
            Ok(Some(ticket)) => self.handle(now, Input::Persisted(ticket)),
            Ok(None) => {}
            Err(_) => self.kill(),
        }
    }

    /// Takes all records to the disk.
    pub(super) fn remember_all(&mut self, now: Time, judge: &mut Judge) {
        match self.write(usize::MAX) {
            Ok(Some(ticket)) => self.handle(now, Input::Persisted(ticket)),
            Ok(None) => {}
            Err(error) => judge.find(Invariant::NeverLost, error.to_string()),
        }
    }

    fn write(&mut self, count: usize) -> Result<Option<crate::session::Ticket>, StoreError> {
        let planted = self.planted;
        let Some(life) = &mut self.life else { return Ok(None) };
        let count = count.min(life.records.len());
        let mut last = None;
        for record in life.records.drain(..count) {
            last = Some(record.ticket);
            if let Some(entry) = altered(record.entry, planted, self.role) {
                life.store.write(Bb84::NAME, &entry)?;
            }
        }
        life.store.sync()?;
        Ok(last)
    }

    fn deliver_early(&mut self, judge: &mut Judge) {
        let side = self.side();
        let Some(life) = &self.life else { return };
        for record in &life.records {
            if let Entry::Prepare { block, .. } = &record.entry {
                judge.told(side, &Event::Settled { block: *block, committed: true });
            }
        }
    }

    /// An application asks for keys; whether it gets any.
    pub(super) fn deliver(&mut self, share: Share, most: usize, judge: &mut Judge) -> bool {
        let side = self.side();
        let Some(life) = &mut self.life else { return false };
        let before = life.store.available();
        let unmarked = self.planted == Some(Planted::ReleaseUnmarked);
        if unmarked {
            self.disk.lie(true);
        }
        let delivered = life.store.deliver_next(share, most);
        if unmarked {
            self.disk.lie(false);
        }
        match delivered {
            Ok(keys) => keys.iter().for_each(|key| judge.released(side, key)),
            Err(_) => {
                judge.wasted(side, most);
                self.kill();
            }
        }
        self.life.as_ref().is_some_and(|life| life.store.available() < before)
    }

    /// Takes what the session asks for, and returns what it sends.
    pub(super) fn drain(&mut self, judge: &mut Judge) -> Vec<Vec<u8>> {
        let side = self.side();
        let mut sent = Vec::new();
        let Some(life) = &mut self.life else { return sent };
        loop {
            match life.session.poll() {
                Output::Transmit(message) => sent.push(message),
                Output::Compute(work) => life.work.push(work),
                Output::Persist(record) => life.records.push_back(record),
                Output::Hangup => self.hangup = true,
                Output::Event(mut event) => {
                    if let (Event::Block(report), Some(Planted::ForgetLedger), Role::Bob) =
                        (&mut event, self.planted, self.role)
                    {
                        report.ledger.disclose(crate::ledger::Disclosure::Verdict, 1);
                    }
                    judge.told(side, &event);
                }
                Output::Key(_) => {}
                Output::Wait(deadline) => {
                    life.deadline = deadline;
                    return sent;
                }
            }
        }
    }

    /// Holds the node against its bounds.
    pub(super) fn measure(&self, judge: &mut Judge) {
        let journal = self.disk.length("journal");
        if journal as u64 > JOURNAL_BYTES + 1_000 {
            judge.find(Invariant::Bounded, format!("a journal of {journal} bytes"));
        }
        let vault = (CAPACITY_BITS / 8 + PRE_SHARED_BYTES as u64) * 2;
        let bound = usize::try_from(vault + 4 * JOURNAL_BYTES).unwrap_or(usize::MAX);
        if self.disk.bytes() > bound {
            judge.find(Invariant::Bounded, format!("the disk holds {} bytes of {bound}", self.disk.bytes()));
        }
    }
}

/// What becomes of an entry on its way to the store, where a bug is planted.
fn altered(entry: Entry, planted: Option<Planted>, role: Role) -> Option<Entry> {
    match (planted, entry) {
        (Some(Planted::ReplayBlock), Entry::Opened { .. })
        | (Some(Planted::ForgetReady), Entry::Ready { .. }) => None,
        (Some(Planted::ReusePad), Entry::Pads { .. }) => None,
        (Some(Planted::ReusePad), Entry::Prepare { block, tag, bits, refill_bits, .. }) => {
            Some(Entry::Prepare { block, spent: [0; 2], tag, bits, refill_bits })
        }
        (Some(Planted::DifferentKey), Entry::Prepare { block, spent, tag, mut bits, refill_bits })
            if role == Role::Bob && !bits.is_empty() =>
        {
            let place = bits.len() / 2;
            bits.set(place, !bits.bit(place));
            Some(Entry::Prepare { block, spent, tag, bits, refill_bits })
        }
        (_, entry) => Some(entry),
    }
}
