//! A connection's beginning and end: hello, resume, and what becomes of blocks in between.
//!
//! Both sides say hello: who they are, the number of this connection (above all before), and what they
//! have seen of the peer. From that each finds out whether its own or the other's state is older than
//! it was, before any pad is used. Then each sends its resume, under a pad of its own: the first block
//! that it never began, and the newest that it accepted. The tag is over both hellos too, so nothing of
//! another connection passes. Both go on with the higher of the two blocks.
//!
//! Whoever accepted a block and has not heard the peer's acceptance is in doubt. If the peer's resume
//! says that it accepted the same block under the same transcript tags, the block is committed; if not,
//! the peer never will, and it is wiped.

use crate::bits::BitBlock;
use crate::protocol::Protocol;
use crate::stage::{Abort, Role};
use crate::wire::{Malformed, Reader, Writer};

use super::block::Block;
use super::event::{Error, Event, Output, Time};
use super::message::{Header, Kind, VERSION};
use super::record::{Accepted, Entry, spent};
use super::{Session, read_tag, role_number, tag_body};

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// There is none.
    Down,
    /// We said hello.
    Greeting { hello: Vec<u8> },
    /// Both said hello, we told where we are.
    Resuming { hello: Vec<u8>, peer_hello: Vec<u8>, peer_epoch: u64 },
    /// Both know where to go on.
    Live,
}

/// A block that we accepted, and of which we do not know whether the peer did.
#[derive(Debug)]
pub(super) enum Doubt<P: Protocol> {
    /// The block itself.
    Block(Box<Block<P>>),
    /// Its key, from before a crash.
    Recalled(BitBlock),
}

impl<P: Protocol> Session<P> {
    /// Begins a connection.
    pub(super) fn connect(&mut self) {
        self.cut();
        (self.heard, self.spoke) = (self.now, self.now);
        (self.sent, self.received) = (0, 0);
        let own = self.memory.epoch + 1;
        self.remember(Entry::Epoch { own, peer: self.memory.peer_epoch });
        let hello = self.hello();
        self.send(hello.clone());
        self.stance = Stance::Greeting { hello };
    }

    fn hello(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer
            .varint(VERSION)
            .u128(self.config.session)
            .u8(role_number(self.config.role))
            .count(P::NAME.len())
            .bytes(P::NAME.as_bytes())
            .bytes(&self.parameter_set)
            .varint(self.memory.epoch)
            .varint(self.memory.peer_epoch)
            .varint(self.pool.next_pad(self.config.role.peer()));
        Header::new(Kind::Hello, 0).message(writer.finish())
    }

    pub(super) fn hear_hello(&mut self, message: &[u8], mut reader: Reader<'_>) -> Result<(), Error> {
        let malformed = |source| Error::Malformed { block: 0, source };
        let equal = |what, same: bool| if same { Ok(()) } else { Err(Error::Disagreement { what }) };
        equal("wire format version", reader.varint().map_err(malformed)? == VERSION)?;
        equal("session number", reader.u128().map_err(malformed)? == self.config.session)?;
        let role = reader.u8().map_err(malformed)?;
        equal("role", role == role_number(self.config.role.peer()))?;
        let length = reader.count(64, "protocol").map_err(malformed)?;
        equal("protocol", reader.bytes(length).map_err(malformed)? == P::NAME.as_bytes())?;
        equal("parameter set", reader.bytes(32).map_err(malformed)? == self.parameter_set)?;
        let peer_epoch = reader.varint().map_err(malformed)?;
        let (seen_epoch, seen_pad) =
            (reader.varint().map_err(malformed)?, reader.varint().map_err(malformed)?);
        reader.end().map_err(malformed)?;
        let own = self.config.role;
        if seen_epoch >= self.memory.epoch || seen_pad > self.pool.next_pad(own) {
            return Err(Error::RolledBack { who: own });
        }
        if peer_epoch <= self.memory.peer_epoch {
            return Err(Error::RolledBack { who: own.peer() });
        }
        let Stance::Greeting { hello } = std::mem::replace(&mut self.stance, Stance::Down) else {
            return Err(malformed(Malformed::Field { field: "kind" }));
        };
        self.send_resume(&hello, message)?;
        self.stance = Stance::Resuming { hello, peer_hello: message.to_vec(), peer_epoch };
        Ok(())
    }

    fn send_resume(&mut self, hello: &[u8], peer_hello: &[u8]) -> Result<(), Error> {
        let own = self.config.role;
        let mut writer = Writer::new();
        writer.varint(self.memory.next_block).u8(self.memory.accepted.is_some().into());
        if let Some((block, accepted)) = &self.memory.accepted {
            writer.varint(*block).bytes(accepted);
        }
        let body = writer.finish();
        let index = self.pool.next_pad(own);
        let transcript = self.resume_transcript(own, [hello, peer_hello, &body]);
        let tag = transcript.tag(self.pool.pad(own)?);
        self.remember(Entry::Pads { spent: spent(&self.pool) });
        let body = [body, tag_body(index, tag)].concat();
        self.send(Header::new(Kind::Resume, 0).message(body));
        Ok(())
    }

    /// What a resume's tag is over: the sender's hello, the other's, and what the resume says.
    fn resume_transcript(&self, sender: Role, parts: [&[u8]; 3]) -> crate::auth::Transcript {
        let mut writer = Writer::new();
        writer.bytes(b"keystill resume ").u128(self.config.session).u8(role_number(sender));
        for part in parts {
            writer.count(part.len()).bytes(part);
        }
        let mut transcript = self.pool.transcript(self.config.isa, sender);
        transcript.absorb(&writer.finish());
        transcript
    }

    pub(super) fn hear_resume(&mut self, mut reader: Reader<'_>) -> Result<(), Error> {
        let malformed = |source| Error::Malformed { block: 0, source };
        let body = reader.bytes(reader.remaining()).map_err(malformed)?;
        let mut reader = Reader::new(body);
        let (next_block, accepted) = read_resume(&mut reader).map_err(malformed)?;
        let said = &body[..body.len() - reader.remaining()];
        let (index, tag) = read_tag(&mut reader).map_err(malformed)?;
        reader.end().map_err(malformed)?;
        let Stance::Resuming { hello, peer_hello, peer_epoch } =
            std::mem::replace(&mut self.stance, Stance::Down)
        else {
            return Err(malformed(Malformed::Field { field: "kind" }));
        };
        let peer = self.config.role.peer();
        let transcript = self.resume_transcript(peer, [&peer_hello, &hello, said]);
        if !self.pool.check(peer, index, transcript, &tag)? {
            return Err(Error::Forged { block: next_block });
        }
        self.remember(Entry::Epoch { own: self.memory.epoch, peer: peer_epoch });
        self.remember(Entry::Pads { spent: spent(&self.pool) });
        self.settle(accepted)?;
        if next_block > self.memory.next_block {
            self.remember(Entry::Opened { block: next_block - 1 });
        }
        self.begin_at(self.memory.next_block);
        self.stance = Stance::Live;
        self.hold(Output::Event(Event::PeerReady { block: self.first_open }));
        Ok(())
    }

    fn begin_at(&mut self, block: u64) {
        self.first_open = block;
        let frame = block.saturating_mul(self.config.protocol.frames_per_block());
        self.next_frame = self.next_frame.max(frame);
    }

    /// Decides the block in doubt by the newest block that the peer accepted.
    fn settle(&mut self, peer: Option<(u64, Accepted)>) -> Result<(), Error> {
        let Some(doubt) = self.doubt.take() else { return Ok(()) };
        let Some((block, own)) = self.memory.accepted else { return Ok(()) };
        let committed = match peer {
            Some((theirs, accepted)) if theirs == block && accepted == own => true,
            // It cannot have accepted the same block otherwise, nor one after it.
            Some((theirs, _)) if theirs >= block => return Err(Error::Forged { block }),
            _ => false,
        };
        match doubt {
            Doubt::Block(mut own) if committed => {
                // The peer's resume stands for its acceptance, and is booked as that, here as there.
                let peer = self.config.role.peer();
                let acceptance = self.acceptance(&own, peer);
                own.book_acceptance(&acceptance, (peer, self.pool.next_pad(peer).saturating_sub(1)));
                self.commit(*own);
            }
            Doubt::Block(mut own) => {
                self.remember(Entry::Cut { block });
                let report = own.abort(Abort::Cut);
                self.hold(Output::Event(Event::Block(Box::new(report))));
            }
            Doubt::Recalled(bits) => {
                self.settle_recalled(block, &bits, committed);
                self.hold(Output::Event(Event::Settled { block, committed }));
            }
        }
        Ok(())
    }

    fn settle_recalled(&mut self, block: u64, bits: &BitBlock, committed: bool) {
        let refill_bits = self.memory.prepared.map_or(0, |prepared| prepared.refill_bits);
        if !committed {
            self.remember(Entry::Cut { block });
            return;
        }
        let epsilon = self.config.protocol.epsilon();
        self.remember(Entry::Commit { block, spent: spent(&self.pool), epsilon });
        let refill = usize::try_from(refill_bits).unwrap_or(usize::MAX).min(bits.len());
        self.pool.refill_from(&bits.slice(0..refill));
    }

    /// Ends a connection: open blocks are wiped and booked, one in doubt is kept.
    pub(super) fn cut(&mut self) {
        if self.stance != Stance::Down || !self.blocks.is_empty() {
            self.outputs.push_back(Output::Event(Event::PeerLost));
        }
        self.stance = Stance::Down;
        self.tickets.clear();
        let not_sent = |output: &Output| !matches!(output, Output::Transmit(_));
        self.outputs.retain(|output| not_sent(output) && !matches!(output, Output::Compute(_)));
        self.held.retain(|(_, output)| not_sent(output));
        for (_, mut block) in std::mem::take(&mut self.blocks) {
            if block.is_in_doubt() {
                self.doubt = Some(Doubt::Block(Box::new(block)));
            } else if !block.is_aborted() {
                let report = block.abort(Abort::Cut);
                self.hold(Output::Event(Event::Block(Box::new(report))));
            }
        }
        self.wipe_prepared();
        self.begin_at(self.memory.next_block);
    }

    /// A key that was prepared but not accepted comes to nothing.
    pub(super) fn wipe_prepared(&mut self) {
        if let Some(prepared) = self.memory.prepared.filter(|prepared| !prepared.ready) {
            self.remember(Entry::Cut { block: prepared.block });
        }
    }

    /// Says that we are there if we said nothing for long; gives up a peer that says nothing.
    pub(super) fn tick(&mut self) {
        if self.stance == Stance::Down {
            return;
        }
        if self.now >= self.peer_due() {
            self.cut();
            self.outputs.push_back(Output::Hangup);
        } else if self.now >= self.alive_due() && !matches!(self.stance, Stance::Greeting { .. }) {
            self.send(Header::new(Kind::Alive, 0).message(Vec::new()));
        }
    }

    fn peer_due(&self) -> Time {
        Time(self.heard.0.saturating_add(self.config.patience_ns))
    }

    fn alive_due(&self) -> Time {
        Time(self.spoke.0.saturating_add(self.config.patience_ns / 4))
    }

    /// When the session wants to be woken.
    pub(super) fn deadline(&self) -> Option<Time> {
        match self.stance {
            Stance::Down => None,
            Stance::Greeting { .. } => Some(self.peer_due()),
            _ => Some(self.peer_due().min(self.alive_due())),
        }
    }
}

fn read_resume(reader: &mut Reader<'_>) -> Result<(u64, Option<(u64, Accepted)>), Malformed> {
    let next_block = reader.varint()?;
    if next_block > u64::MAX / 2 {
        return Err(Malformed::Field { field: "block" });
    }
    let accepted = match reader.u8()? {
        0 => None,
        1 => {
            let (block, mut tags) = (reader.varint()?, [0; 32]);
            tags.copy_from_slice(reader.bytes(32)?);
            Some((block, tags))
        }
        _ => return Err(Malformed::Field { field: "accepted" }),
    };
    Ok((next_block, accepted))
}
