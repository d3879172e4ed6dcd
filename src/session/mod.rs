//! A session: one party of one protocol as a sans-IO state machine.
//!
//! It never decodes, sends, sleeps or reads a clock: it asks ([`Output`]) and is told ([`Input`]).
//! After every input, [`Session::poll`] until [`Output::Wait`]. Results join by block and frame
//! number, so neither the threads nor the timing of messages change a key.
//!
//! The order inside a block: reconciled → both say "fixed" → verified → length → seed → amplified →
//! transcript tags both ways → accept tags both ways → key. Four tags a block; until both accepts
//! are in, nothing of the block moves anything that lasts, but the pads.

mod block;
mod certificate;
mod config;
mod event;
mod message;
mod record;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::auth::{Pool, Tag};
use crate::protocol::{Party, Protocol};
use crate::random::RandomSource;
use crate::stage::{Abort, Computation, Computed, Fault, Role};
use crate::wire::{Malformed, Reader, Writer};

use block::{Block, Effect, Place};
use certificate::Issuer;
use message::{Header, Kind};

pub use certificate::Certificate;
pub use config::Config;
pub use event::{BlockReport, Error, Event, Finished, Input, Outcome, Output, SecretKey, Time, Work};
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

/// One party of one protocol.
#[derive(Debug)]
pub struct Session<P: Protocol> {
    config: Config<P>,
    parameter_set: [u8; 32],
    pool: Pool,
    blocks: BTreeMap<u64, Block<P>>,
    /// Blocks below it are over.
    first_open: u64,
    /// ε of the blocks that are over.
    epsilon_spent: f64,
    next_frame: u64,
    tickets: HashMap<u64, (u64, Place)>,
    next_ticket: u64,
    sent: u64,
    received: u64,
    greeted: bool,
    outputs: VecDeque<Output>,
    closed: Option<Error>,
}

impl<P: Protocol> Session<P> {
    /// Begins a session with pads of its own.
    #[must_use]
    pub fn new(config: Config<P>, pool: Pool) -> Self {
        let parameter_set = blake3::hash(&config.protocol.parameter_set()).into();
        let mut session = Self {
            config,
            parameter_set,
            pool,
            blocks: BTreeMap::new(),
            first_open: 0,
            epsilon_spent: 0.0,
            next_frame: 0,
            tickets: HashMap::new(),
            next_ticket: 0,
            sent: 0,
            received: 0,
            greeted: false,
            outputs: VecDeque::new(),
            closed: None,
        };
        session.greet();
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
                let effects = block.offer(frame);
                self.put(block, effects).map_err(Refused::Closed)?;
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
    pub fn handle(&mut self, _now: Time, input: Input<'_>) -> Result<(), Error> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        match input {
            Input::Received(message) => self.receive(message),
            Input::Finished(finished) => self.finish(finished.ticket, finished.result),
        }
        .map_err(|error| self.close(error))
    }

    /// The next thing that the session asks for.
    pub fn poll(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or(Output::Wait)
    }

    /// Whether the next poll would answer [`Output::Wait`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.outputs.is_empty()
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
        self.epsilon_spent
    }

    fn close(&mut self, error: Error) -> Error {
        self.blocks.clear();
        self.tickets.clear();
        self.outputs.clear();
        self.closed.get_or_insert(error).clone()
    }

    fn greet(&mut self) {
        let mut writer = Writer::new();
        writer
            .varint(VERSION)
            .u128(self.config.session)
            .u8(role_number(self.config.role))
            .count(P::NAME.len())
            .bytes(P::NAME.as_bytes())
            .bytes(&self.parameter_set);
        let message = Header::new(Kind::Hello, 0).message(&writer.finish());
        self.outputs.push_back(Output::Transmit(message));
    }

    fn hear_hello(&mut self, mut reader: Reader<'_>) -> Result<(), Error> {
        let malformed = |source| Error::Malformed { block: 0, source };
        let equal = |what, same: bool| if same { Ok(()) } else { Err(Error::Disagreement { what }) };
        equal("wire format version", reader.varint().map_err(malformed)? == VERSION)?;
        equal("session number", reader.u128().map_err(malformed)? == self.config.session)?;
        let role = reader.u8().map_err(malformed)?;
        equal("role", role == role_number(self.config.role.peer()))?;
        let length = reader.count(64, "protocol").map_err(malformed)?;
        equal("protocol", reader.bytes(length).map_err(malformed)? == P::NAME.as_bytes())?;
        equal("parameter set", reader.bytes(32).map_err(malformed)? == self.parameter_set)?;
        reader.end().map_err(malformed)?;
        self.greeted = true;
        self.outputs.push_back(Output::Event(Event::PeerReady));
        Ok(())
    }

    fn receive(&mut self, message: &[u8]) -> Result<(), Error> {
        let limit_bytes = self.config.longest_message();
        if message.len() > limit_bytes {
            return Err(Error::TooLong { bytes: message.len(), limit_bytes });
        }
        let mut reader = Reader::new(message);
        let header = Header::read(&mut reader).map_err(|source| Error::Malformed { block: 0, source })?;
        if (header.kind == Kind::Hello) == self.greeted {
            return Err(Error::Malformed { block: header.block, source: Malformed::Field { field: "kind" } });
        }
        if header.kind == Kind::Hello {
            return self.hear_hello(reader);
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
        let effects = match header.kind {
            Kind::TranscriptTag | Kind::AcceptTag => self.hear_tag(&mut block, header, reader)?,
            _ => block.hear(header, reader),
        };
        self.put(block, effects)
    }

    fn finish(&mut self, ticket: u64, result: Computed) -> Result<(), Error> {
        // Work of a block that was aborted meanwhile comes back to nobody.
        let Some((id, place)) = self.tickets.remove(&ticket) else { return Ok(()) };
        let Some(mut block) = self.blocks.remove(&id) else { return Ok(()) };
        let effects = block.done(place, result);
        self.put(block, effects)
    }

    /// Takes a block out of the table, or opens it.
    fn take(&mut self, id: u64) -> Block<P> {
        self.blocks.remove(&id).unwrap_or_else(|| {
            let role = self.config.role;
            let party = Party { role, block: id, random: self.config.random.clone() };
            let prologue = self.prologue(id);
            let mut sent = self.pool.transcript(self.config.isa, role);
            let mut received = self.pool.transcript(self.config.isa, role.peer());
            sent.absorb(&prologue);
            received.absorb(&prologue);
            Block::new(self.config.protocol.wing(party.clone()), party, sent, received)
        })
    }

    /// What both transcripts of a block begin with.
    fn prologue(&self, block: u64) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.bytes(b"keystill transcript ").varint(VERSION).u128(self.config.session).u64(block);
        writer.bytes(P::NAME.as_bytes()).bytes(&self.parameter_set);
        writer.finish()
    }

    /// Carries out what a block wants and puts it back, unless it is over.
    fn put(&mut self, mut block: Block<P>, effects: Result<Vec<Effect>, Fault>) -> Result<(), Error> {
        let id = block.id();
        let mut effects = effects;
        loop {
            match effects {
                Ok(list) => {
                    for effect in list {
                        self.carry_out(&mut block, effect);
                    }
                    break;
                }
                Err(Fault::Abort(abort)) => effects = Ok(self.abort(&mut block, &abort)),
                Err(Fault::Peer(source)) => return Err(Error::Malformed { block: id, source }),
            }
        }
        self.blocks.insert(id, block);
        self.close_in_order()
    }

    fn carry_out(&mut self, block: &mut Block<P>, effect: Effect) {
        match effect {
            Effect::Send(header, body) => self.transmit(block, header, &body),
            Effect::Compute(place, computation) => self.compute(block.id(), place, computation),
        }
    }

    fn transmit(&mut self, block: &mut Block<P>, header: Header, body: &[u8]) {
        let message = header.message(body);
        block.absorb_sent(header.kind, self.sent, &message);
        self.sent += 1;
        self.outputs.push_back(Output::Transmit(message));
    }

    fn compute(&mut self, block: u64, place: Place, computation: Computation) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.tickets.insert(ticket, (block, place));
        self.outputs.push_back(Output::Compute(Work { ticket, computation }));
    }

    fn abort(&mut self, block: &mut Block<P>, abort: &Abort) -> Vec<Effect> {
        let id = block.id();
        self.tickets.retain(|_, (ticket_block, _)| *ticket_block != id);
        let report = block.abort(abort.clone());
        self.outputs.push_back(Output::Event(Event::Block(Box::new(report))));
        vec![Effect::Send(Header::new(Kind::Abort, id), vec![abort_number(abort)])]
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
                self.send_accept_tag(&mut block)?;
            }
            if !block.is_over() {
                self.blocks.insert(self.first_open, block);
                break;
            }
            self.epsilon_spent += block.epsilon(self.config.protocol.epsilon());
            let issuer = self.issuer();
            if let Some((report, key)) = block.into_key(&mut self.pool, self.config.reserve_blocks, &issuer) {
                self.outputs.push_back(Output::Event(Event::Block(Box::new(report))));
                self.outputs.extend(key.map(Output::Key));
            }
            self.first_open += 1;
        }
        Ok(())
    }

    /// A block that would exceed the session's ε is not delivered, nor is any after it.
    fn hold_cap(&self, block: &Block<P>) -> Result<(), Error> {
        let (spent, cap) = (self.epsilon_spent, self.config.epsilon_cap);
        let within = spent + block.epsilon(self.config.protocol.epsilon()) <= cap;
        if within { Ok(()) } else { Err(Error::EpsilonSpent { block: block.id(), spent, cap }) }
    }

    fn issuer(&self) -> Issuer {
        Issuer {
            protocol: P::NAME,
            session: self.config.session,
            role: self.config.role,
            parameter_set: self.parameter_set,
            session_epsilon: self.epsilon_spent,
            foundation: self.config.random.foundation(),
            draws: P::DRAWS,
        }
    }

    fn send_transcript_tag(&mut self, block: &mut Block<P>) -> Result<(), Error> {
        let pad = self.pool.pad(self.config.role)?;
        let tag = block.transcript_tag(pad);
        self.transmit(block, Header::new(Kind::TranscriptTag, block.id()), &tag.0);
        Ok(())
    }

    fn send_accept_tag(&mut self, block: &mut Block<P>) -> Result<(), Error> {
        let tag = self.accept_tag(block, self.config.role)?;
        block.accept_sent();
        self.transmit(block, Header::new(Kind::AcceptTag, block.id()), &tag.0);
        Ok(())
    }

    /// The tag over one side's acceptance: it names the block, both transcript tags and the length.
    fn accept_tag(&mut self, block: &Block<P>, sender: Role) -> Result<Tag, Error> {
        let mut transcript = self.pool.transcript(self.config.isa, sender);
        let mut writer = Writer::new();
        writer.bytes(b"keystill accept ").u128(self.config.session).u64(block.id());
        writer.u8(role_number(sender)).bytes(&block.accepted(self.config.role));
        transcript.absorb(&writer.finish());
        Ok(transcript.tag(self.pool.pad(sender)?))
    }

    fn hear_tag(
        &mut self,
        block: &mut Block<P>,
        header: Header,
        mut reader: Reader<'_>,
    ) -> Result<Result<Vec<Effect>, Fault>, Error> {
        let id = header.block;
        let malformed = |source| Error::Malformed { block: id, source };
        let mut tag = Tag([0; 16]);
        tag.0.copy_from_slice(reader.bytes(16).map_err(malformed)?);
        reader.end().map_err(malformed)?;
        if block.is_aborted() {
            return Ok(Ok(Vec::new()));
        }
        let in_turn = id == self.first_open && block.awaits_tag(header.kind);
        if !in_turn {
            return Err(malformed(Malformed::Field { field: "tag" }));
        }
        let peer = self.config.role.peer();
        let matches = if header.kind == Kind::TranscriptTag {
            let pad = self.pool.pad(peer)?;
            block.check_transcript(tag, pad)
        } else {
            let own = self.accept_tag(block, peer)?;
            block.check_accept(own.matches(&tag))
        };
        if matches { Ok(Ok(Vec::new())) } else { Err(Error::Forged { block: id }) }
    }
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Alice => 0,
        Role::Bob => 1,
    }
}

/// Why a block was given up, as the peer is told: nothing that depends on key bits.
fn abort_number(abort: &Abort) -> u8 {
    match abort {
        Abort::TooNoisy { .. } => 1,
        Abort::TooWeak { .. } => 2,
        Abort::Uncorrected { .. } => 3,
        Abort::Unverified => 4,
        Abort::NoKey { .. } => 5,
        Abort::Unusable { .. } => 6,
        Abort::LengthsDiffer { .. } => 7,
        Abort::Random(_) => 8,
        Abort::Peer => 9,
        Abort::Cut => 10,
    }
}
