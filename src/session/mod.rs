//! A session: one party of one protocol as a sans-IO state machine.
//!
//! It never decodes, sends, sleeps or reads a clock: it asks ([`Output`]) and is told ([`Input`]).
//! After every input, [`Session::poll`] until [`Output::Wait`]. Results join by block and frame
//! number, so neither the threads nor the timing of messages change a key.
//!
//! The order inside a block: reconciled → both say "fixed" → verified → length → seed → amplified →
//! transcript tags both ways → accept tags both ways → key. Four tags a block; until both accepts
//! are in, nothing of the block moves anything that lasts, but the pads.
//!
//! Connections come and go ([`Input::Link`]). Each begins with a hello and an authenticated resume both
//! ways, which settle a block in doubt and say where both go on; blocks that were open are wiped and
//! booked. What must survive a crash is asked to be remembered ([`Output::Persist`]), and no message or
//! key leaves before what was asked earlier is ([`Input::Persisted`]).

mod block;
mod certificate;
mod config;
mod event;
mod link;
mod message;
mod past;
mod record;
mod tickets;

use std::collections::{BTreeMap, VecDeque};

use crate::auth::{AuthError, Pool, TAG_BITS, TAGS_PER_BLOCK, Tag, Transcript};
use crate::protocol::{Course, Lesson, Measured, Party, Protocol};
use crate::random::RandomSource;
use crate::stage::{Abort, Computation, Computed, Fault, PeerReason, Role};
use crate::wire::{Malformed, Reader, Writer};

use block::{Block, Effect, Place};
use certificate::Issuer;
use link::{Doubt, Stance};
use message::{Header, Kind};
use past::Past;
use tickets::Tickets;

pub use certificate::Certificate;
pub use config::Config;
pub use event::{
    BlockReport, Error, Event, Finished, Input, LinkState, Outcome, Output, SecretKey, Time, Work,
};
pub use message::VERSION;
pub use record::{Accepted, Entry, Memory, Prepared, Record, Remembered, Spent, Ticket, spent};

/// Why a raw frame was not taken.
#[derive(Debug)]
pub enum Refused<F> {
    /// There is no room now: handle input, then offer it again.
    Full(F),
    /// The session is over.
    Closed(Error),
}

/// Pads of a direction that blocks leave alone, so that connections can still begin.
const RESUME_PADS: usize = 4;

/// Standard errors by which the transmittance may scatter before it counts as moved.
const MOST_DEVIATIONS: f64 = 6.0;

/// One party of one protocol.
#[derive(Debug)]
pub struct Session<P: Protocol> {
    config: Config<P>,
    parameter_set: [u8; 32],
    pool: Pool,
    /// What the records asked for add up to.
    memory: Memory,
    blocks: BTreeMap<u64, Block<P>>,
    /// Blocks below it are over.
    first_open: u64,
    next_frame: u64,
    tickets: Tickets,
    sent: u64,
    received: u64,
    stance: Stance,
    /// A block that we accepted, and of which we do not know whether the peer did.
    doubt: Option<Doubt<P>>,
    now: Time,
    heard: Time,
    spoke: Time,
    outputs: VecDeque<Output>,
    /// Outputs that wait for the record of a ticket.
    held: VecDeque<(Ticket, Output)>,
    /// The newest record asked for, and the newest that will survive a crash.
    asked: Ticket,
    persisted: Ticket,
    /// The transmittance when it was last estimated.
    transmittance: Option<Measured>,
    /// What the last blocks that left key taught.
    lessons: Past<Lesson>,
    /// Blocks that the pads covered at first, and when the last blocks were over.
    reserve_at_first: usize,
    reserves: Past<usize>,
    closed: Option<Error>,
}

impl<P: Protocol> Session<P> {
    /// Begins a session that never spoke, with pads of its own.
    #[must_use]
    pub fn new(config: Config<P>, pool: Pool) -> Self {
        Self::resume(config, Remembered::new(pool))
    }

    /// Goes on from what was remembered. There is no connection yet.
    #[must_use]
    pub fn resume(config: Config<P>, remembered: Remembered) -> Self {
        let Remembered { memory, pool, in_doubt } = remembered;
        let parameter_set =
            blake3::hash(&[&config.protocol.parameter_set()[..], &config.agreed].concat()).into();
        let first_open = memory.next_block;
        let mut session = Self {
            lessons: Past::new(config.window_blocks),
            reserve_at_first: pool.blocks_left(),
            reserves: Past::new(config.window_blocks),
            next_frame: first_open.saturating_mul(config.protocol.frames_per_block()),
            config,
            parameter_set,
            pool,
            memory,
            blocks: BTreeMap::new(),
            first_open,
            tickets: Tickets::default(),
            sent: 0,
            received: 0,
            stance: Stance::Down,
            doubt: in_doubt.map(Doubt::Recalled),
            now: Time::default(),
            heard: Time::default(),
            spoke: Time::default(),
            outputs: VecDeque::new(),
            held: VecDeque::new(),
            asked: Ticket::default(),
            persisted: Ticket::default(),
            transmittance: None,
            closed: None,
        };
        session.wipe_prepared();
        session
    }

    /// Takes the next raw frame.
    ///
    /// # Errors
    /// [`Refused::Full`] hands the frame back; [`Refused::Closed`] says why the session is over.
    pub fn offer(&mut self, frame: P::Frame) -> Result<(), Refused<P::Frame>> {
        if let Some(error) = &self.closed {
            return Err(Refused::Closed(error.clone()));
        }
        if self.stance != Stance::Live {
            return Err(Refused::Full(frame));
        }
        let expected = self.next_frame;
        if self.config.protocol.frame_index(&frame) != Some(expected) {
            return Err(Refused::Closed(self.close(Error::FrameOutOfOrder { expected })));
        }
        let id = expected / self.config.protocol.frames_per_block();
        if id >= self.first_open {
            if id >= self.first_open + self.config.window_blocks {
                return Err(Refused::Full(frame));
            }
            let mut block = self.take(id);
            if block.has_room() {
                let stepped = block.offer(frame);
                self.put(block, stepped).map_err(Refused::Closed)?;
            } else {
                self.blocks.insert(id, block);
                return Err(Refused::Full(frame));
            }
        }
        self.next_frame += 1;
        Ok(())
    }

    /// Handles one input.
    ///
    /// # Errors
    /// [`Error`], which is final: the same comes back ever after.
    pub fn handle(&mut self, now: Time, input: Input<'_>) -> Result<(), Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        self.now = self.now.max(now);
        match input {
            Input::Received(message) => self.receive(message),
            Input::Finished(finished) => self.finish(finished.ticket, finished.result),
            Input::Persisted(ticket) => {
                self.persisted = self.persisted.max(ticket.min(self.asked));
                Ok(())
            }
            Input::Link(LinkState::Up) => {
                self.connect();
                Ok(())
            }
            Input::Link(LinkState::Down) => {
                self.cut();
                Ok(())
            }
            Input::Tick => {
                self.tick();
                Ok(())
            }
        }
        .map_err(|error| self.close(error))
    }

    /// The next thing that the session asks for.
    pub fn poll(&mut self) -> Output {
        // The peer waits for messages: they go before our own work.
        let ready = self.held.front().is_some_and(|(ticket, _)| *ticket <= self.persisted);
        let next = if ready { self.held.pop_front().map(|(_, output)| output) } else { None };
        next.or_else(|| self.outputs.pop_front()).unwrap_or(Output::Wait(self.deadline()))
    }

    /// Whether nothing is left to be polled, now or when records come back.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outputs.is_empty() && self.held.is_empty()
    }

    /// Whether a block is in doubt: only the peer's next resume decides it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether both sides know where to go on.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.stance == Stance::Live
    }

    /// The index of the raw frame expected next.
    #[must_use]
    pub fn next_frame(&self) -> u64 {
        self.next_frame
    }

    /// How many blocks are over, with key or without.
    #[must_use]
    pub fn blocks_over(&self) -> u64 {
        self.first_open
    }

    /// Computations asked for and not yet returned.
    #[must_use]
    pub fn computations(&self) -> usize {
        self.tickets.len()
    }

    /// Blocks whose tags the pads still cover.
    #[must_use]
    pub fn pads_for_blocks(&self) -> usize {
        self.pool.blocks_left()
    }

    /// The failure probabilities of all blocks that are over, added up.
    #[must_use]
    pub fn epsilon_spent(&self) -> f64 {
        self.epsilon_before(self.first_open)
    }

    fn close(&mut self, error: Error) -> Error {
        self.blocks.clear();
        self.tickets.clear();
        self.held.clear();
        // What was asked to be remembered still is: pads and blocks stay spent.
        self.outputs.retain(|output| matches!(output, Output::Persist(_)));
        self.closed.get_or_insert(error).clone()
    }

    /// Asks for a record; whatever is held from now on waits for it.
    fn remember(&mut self, entry: Entry) {
        self.memory.apply(&entry);
        self.asked.0 += 1;
        self.outputs.push_back(Output::Persist(Record { ticket: self.asked, entry }));
    }

    fn hold(&mut self, output: Output) {
        self.held.push_back((self.asked, output));
    }

    fn receive(&mut self, message: &[u8]) -> Result<(), Error> {
        let limit_bytes = self.config.longest_message();
        if message.len() > limit_bytes {
            return Err(Error::TooLong { bytes: message.len(), limit_bytes });
        }
        let mut reader = Reader::new(message);
        let header = Header::read(&mut reader).map_err(|source| Error::Malformed { block: 0, source })?;
        self.heard = self.now;
        match (&self.stance, header.kind) {
            // What is left of an older connection.
            (Stance::Down, _) => return Ok(()),
            (Stance::Live | Stance::Resuming { .. }, Kind::Alive) => return malformed_end(reader.end()),
            (Stance::Greeting { .. }, Kind::Hello) => return self.hear_hello(message, reader),
            (Stance::Resuming { .. }, Kind::Resume) => return self.hear_resume(reader),
            (Stance::Live, kind) if !matches!(kind, Kind::Hello | Kind::Resume) => {}
            _ => {
                let source = Malformed::Field { field: "kind" };
                return Err(Error::Malformed { block: header.block, source });
            }
        }
        let number = self.received;
        self.received += 1;
        // The peer may be one commit ahead of us.
        let last = self.first_open + self.config.window_blocks;
        if header.block < self.first_open || header.block > last {
            return Err(Error::OutOfWindow { block: header.block, first: self.first_open, last });
        }
        let mut block = self.take(header.block);
        block.absorb_received(header.kind, number, message);
        let stepped = match header.kind {
            Kind::TranscriptTag | Kind::AcceptTag => {
                self.hear_tag(&mut block, header, reader)?;
                Ok(())
            }
            _ => block.hear(header, reader),
        };
        self.put(block, stepped)
    }

    fn finish(&mut self, ticket: u64, result: Computed) -> Result<(), Error> {
        // Work of a block that was aborted meanwhile comes back to nobody.
        let Some((id, place)) = self.tickets.take(ticket) else { return Ok(()) };
        let Some(mut block) = self.blocks.remove(&id) else { return Ok(()) };
        let stepped = block.done(place, result);
        self.put(block, stepped)
    }

    /// Takes a block out of the table, or opens it.
    fn take(&mut self, id: u64) -> Block<P> {
        if let Some(block) = self.blocks.remove(&id) {
            return block;
        }
        if id >= self.memory.next_block {
            self.remember(Entry::Opened { block: id });
        }
        let role = self.config.role;
        let party =
            Party { role, block: id, random: self.config.random.clone(), lesson: self.lessons.before(id) };
        let transcripts = [role, role.peer()].map(|sender| {
            let mut transcript = self.pool.transcript(self.config.isa, sender);
            transcript.absorb(&self.prologue(id, sender));
            transcript
        });
        Block::new(self.config.protocol.wing(party.clone()), party, transcripts, self.refill_wish(id))
    }

    /// Bits that a block should give to the pads: what it consumes, and more if the reserve was low when it could
    /// begin at the earliest. So how a key is cut does not depend on threads.
    fn refill_wish(&self, id: u64) -> u64 {
        let reserve = self.reserves.before(id).unwrap_or(self.reserve_at_first);
        let missing = self.config.reserve_blocks.saturating_sub(reserve);
        let wish = ((1 + missing) * TAGS_PER_BLOCK * TAG_BITS) as u64;
        wish.min(block::MOST_REFILL_BITS / 2)
    }

    /// What the transcript of all that `sender` says in a block begins with.
    fn prologue(&self, block: u64, sender: Role) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(b"keystill transcript ").varint(VERSION).u128(self.config.session).u64(block);
        writer.u8(role_number(sender)).bytes(P::NAME.as_bytes()).bytes(&self.parameter_set);
        writer.finish()
    }

    /// Carries out what a block wants and puts it back, unless it is over.
    fn put(&mut self, mut block: Block<P>, stepped: Result<(), Fault>) -> Result<(), Error> {
        let id = block.id();
        match stepped {
            Ok(()) => self.carry_out(&mut block),
            Err(Fault::Abort(abort)) => self.abort(&mut block, &abort),
            Err(Fault::Peer(source)) => return Err(Error::Malformed { block: id, source }),
        }
        self.blocks.insert(id, block);
        self.close_in_order()
    }

    fn carry_out(&mut self, block: &mut Block<P>) {
        let mut effects = block.take_effects();
        for effect in effects.drain(..) {
            match effect {
                Effect::Send(header, body) => self.transmit(block, header, body),
                Effect::Compute(place, computation) => self.compute(block.id(), place, computation),
            }
        }
        block.keep_room(effects);
    }

    fn transmit(&mut self, block: &mut Block<P>, header: Header, body: Vec<u8>) {
        let message = header.message(body);
        block.absorb_sent(header.kind, self.sent, &message);
        self.sent += 1;
        self.send(message);
    }

    fn send(&mut self, message: Vec<u8>) {
        self.spoke = self.now;
        self.hold(Output::Transmit(message));
    }

    fn compute(&mut self, block: u64, place: Place, computation: Computation) {
        let ticket = self.tickets.issue(block, place);
        self.outputs.push_back(Output::Compute(Work { ticket, block, stage: place.stage(), computation }));
    }

    fn abort(&mut self, block: &mut Block<P>, abort: &Abort) {
        let id = block.id();
        self.tickets.forget(id);
        self.tell_course(id, block.course());
        let report = block.abort(abort.clone());
        if self.memory.prepared.is_some_and(|prepared| prepared.block == id) {
            self.remember(Entry::Cut { block: id });
        }
        self.hold(Output::Event(Event::Block(Box::new(report))));
        self.transmit(block, Header::new(Kind::Abort, id), vec![PeerReason::of(abort).number()]);
    }

    /// Sends the tags of the oldest blocks that are ready for them, and forgets blocks that are over.
    ///
    /// Pads are drawn in the order of blocks, so a block waits for all older ones.
    fn close_in_order(&mut self) -> Result<(), Error> {
        while let Some(mut block) = self.blocks.remove(&self.first_open) {
            if block.wants_transcript_tag() {
                self.hold_cap(&block)?;
                self.send_transcript_tag(&mut block)?;
            }
            if block.wants_accept_tag() {
                // The peer's transcript may have grown since.
                self.hold_cap(&block)?;
                self.send_accept_tag(&mut block)?;
            }
            if !block.is_over() {
                self.blocks.insert(self.first_open, block);
                break;
            }
            if !block.is_aborted() {
                self.commit(block);
            }
            self.reserves.leave(self.first_open, self.pool.blocks_left());
            self.first_open += 1;
        }
        Ok(())
    }

    /// Both sides accepted: the block's key refills the pads, and the rest leaves.
    fn commit(&mut self, block: Block<P>) {
        let epsilon = block.epsilon(self.config.protocol.epsilon());
        let session_epsilon = self.epsilon_before(block.id()) + epsilon;
        self.remember(Entry::Commit { block: block.id(), spent: spent(&self.pool), epsilon });
        let issuer = self.issuer(session_epsilon);
        self.tell_course(block.id(), block.course());
        if let Some(lesson) = block.lesson() {
            self.lessons.leave(block.id(), lesson);
        }
        if let Some((report, key)) = block.into_key(&mut self.pool, &issuer) {
            self.hold(Output::Event(Event::Block(Box::new(report))));
            if let Some(key) = key {
                self.hold(Output::Key(key));
            }
        }
    }

    /// Tells of a transmittance that moved within a block, or since the one before.
    fn tell_course(&mut self, block: u64, course: Option<Course>) {
        let Some(Course { earlier, later }) = course else { return };
        let last = self.transmittance.replace(later);
        for (before, after) in last.map(|last| (last, earlier)).into_iter().chain([(earlier, later)]) {
            let deviations = before.deviations_to(after);
            if deviations.abs() > MOST_DEVIATIONS {
                let (before, after) = (before.value, after.value);
                self.hold(Output::Event(Event::TransmittanceMoved { block, before, after, deviations }));
            }
        }
    }

    /// ε of all blocks before one that is about to be committed: of every block that was begun and came
    /// to nothing, all that it might have spent, for Eve chooses which ones do.
    fn epsilon_before(&self, block: u64) -> f64 {
        let without_key = block.saturating_sub(self.memory.commits);
        self.memory.epsilon + without_key as f64 * self.config.protocol.epsilon()
    }

    /// A block that would exceed the session's ε is not delivered, nor is any after it.
    ///
    /// It must pay for its tags too, those that are still to come included, and for all that is booked
    /// should its books be lost with the connection.
    fn hold_cap(&self, block: &Block<P>) -> Result<(), Error> {
        let (spent, cap) = (self.epsilon_before(block.id()), self.config.epsilon_cap);
        let closed = block.epsilon_once_closed(&self.acceptance(block, self.config.role));
        let within = spent + closed.max(self.config.protocol.epsilon()) <= cap;
        if within { Ok(()) } else { Err(Error::EpsilonSpent { block: block.id(), spent, cap }) }
    }

    fn issuer(&self, session_epsilon: f64) -> Issuer {
        Issuer {
            protocol: P::NAME,
            session: self.config.session,
            role: self.config.role,
            parameter_set: self.parameter_set,
            session_epsilon,
            foundation: self.config.random.foundation(),
            draws: P::DRAWS,
        }
    }

    fn send_transcript_tag(&mut self, block: &mut Block<P>) -> Result<(), Error> {
        let own = self.config.role;
        if self.pool.pads_left(own) < TAGS_PER_BLOCK / 2 + RESUME_PADS {
            return Err(AuthError::PadsSpent { direction: own }.into());
        }
        let index = self.pool.next_pad(own);
        let tag = block.transcript_tag(self.pool.pad(own)?);
        let (bits, refill_bits) = block.key();
        let spent = spent(&self.pool);
        self.remember(Entry::Prepare { block: block.id(), spent, tag: tag.0, bits, refill_bits });
        self.transmit(block, Header::new(Kind::TranscriptTag, block.id()), tag_body(index, tag));
        Ok(())
    }

    fn send_accept_tag(&mut self, block: &mut Block<P>) -> Result<(), Error> {
        let own = self.config.role;
        let index = self.pool.next_pad(own);
        let acceptance = self.acceptance(block, own);
        block.book_acceptance(&acceptance, (own, index));
        let tag = acceptance.tag(self.pool.pad(own)?);
        block.accept_sent();
        let (spent, accepted) = (spent(&self.pool), block.accepted(own));
        self.remember(Entry::Ready { block: block.id(), spent, tag: tag.0, accepted });
        self.transmit(block, Header::new(Kind::AcceptTag, block.id()), tag_body(index, tag));
        Ok(())
    }

    /// What one side's acceptance says: the block, both transcript tags and the length.
    fn acceptance(&self, block: &Block<P>, sender: Role) -> Transcript {
        let mut transcript = self.pool.transcript(self.config.isa, sender);
        let mut writer = Writer::new();
        writer.bytes(b"keystill accept ").u128(self.config.session).u64(block.id());
        writer.u8(role_number(sender)).bytes(&block.accepted(self.config.role)).varint(block.secret_bits());
        transcript.absorb(&writer.finish());
        transcript
    }

    fn hear_tag(
        &mut self,
        block: &mut Block<P>,
        header: Header,
        mut reader: Reader<'_>,
    ) -> Result<(), Error> {
        let id = header.block;
        let malformed = |source| Error::Malformed { block: id, source };
        let (index, tag) = read_tag(&mut reader).map_err(malformed)?;
        reader.end().map_err(malformed)?;
        if block.is_aborted() {
            return Ok(());
        }
        let in_turn = id == self.first_open && block.awaits_tag(header.kind);
        let transcript = match header.kind {
            _ if !in_turn => None,
            Kind::TranscriptTag => block.heard_transcript(),
            _ => {
                let peer = self.config.role.peer();
                let acceptance = self.acceptance(block, peer);
                block.book_acceptance(&acceptance, (peer, index));
                Some(acceptance)
            }
        };
        let transcript = transcript.ok_or(malformed(Malformed::Field { field: "tag" }))?;
        if !self.pool.check(self.config.role.peer(), index, transcript, &tag)? {
            return Err(Error::Forged { block: id });
        }
        match header.kind {
            Kind::TranscriptTag => block.transcript_heard(tag),
            _ => block.accept_heard(),
        }
        Ok(())
    }
}

/// A tag with the number of its pad.
fn tag_body(index: u64, tag: Tag) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.varint(index).bytes(&tag.0);
    writer.finish()
}

fn read_tag(reader: &mut Reader<'_>) -> Result<(u64, Tag), Malformed> {
    let (index, mut tag) = (reader.varint()?, Tag([0; 16]));
    tag.0.copy_from_slice(reader.bytes(16)?);
    Ok((index, tag))
}

fn malformed_end(end: Result<(), Malformed>) -> Result<(), Error> {
    end.map_err(|source| Error::Malformed { block: 0, source })
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Alice => 0,
        Role::Bob => 1,
    }
}
