//! A block's way through the hall: from the wing's tasks to the two accepts.

mod closing;

use std::collections::BTreeMap;

use crate::amplify::{Amplification, AmplifiedBlock};
use crate::auth::{TAG_BITS, TAGS_PER_BLOCK, Transcript};
use crate::bits::BitBlock;
use crate::ledger::{Disclosure, Ledger};
use crate::protocol::{Course, Desk, Kept, KeyLength, Lesson, Party, Protocol, Wing};
use crate::random::{Draw, Purpose};
use crate::reconcile::{Reconciled, Task};
use crate::stage::{
    Abort, Computation, Computed, Conversation, Fault, Next, Outbox, PeerReason, Side, converse,
};
use crate::verify::{self, Candidate, VerifiedBlock};
use crate::wire::{Malformed, Reader, Writer};

use super::event::{BlockReport, Outcome};
use super::message::{Header, Kind};

/// Frames of one block, at most: bounds what a peer can make us keep.
const MOST_FRAMES: usize = 1 << 20;

/// Bits of a pair of pads: what refills the pads comes in pairs.
const PAIR_BITS: u64 = 2 * TAG_BITS as u64;

/// Bits that one block may give to the pads.
pub(super) const MOST_REFILL_BITS: u64 = 32 * (TAGS_PER_BLOCK * TAG_BITS) as u64;

/// Where a computation's result belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Wing,
    Frame(u32),
    Verification,
    Seed,
    Amplification,
}

impl Place {
    /// The stage's name in records.
    pub(super) fn stage(self) -> &'static str {
        match self {
            Self::Wing => "sift",
            Self::Frame(_) => "reconcile",
            Self::Verification => "verify",
            Self::Seed => "seed",
            Self::Amplification => "amplify",
        }
    }
}

/// What a block wants of its session.
pub(super) enum Effect {
    Send(Header, Vec<u8>),
    Compute(Place, Computation),
}

/// How far a block has come.
#[allow(clippy::large_enum_variant, reason = "a block has one: no memory of its own for the largest")]
enum Phase {
    /// Frames are being reconciled; whether we have said "fixed".
    Reconciling { said_fixed: bool },
    /// Both have said "fixed".
    Verifying(Talk<VerifiedBlock>),
    /// The correcting side waits for the length.
    Sizing(VerifiedBlock),
    /// The length stands; the seed is being drawn or awaited.
    Seeding(VerifiedBlock),
    /// The hash is being computed.
    Amplifying,
    /// The key is there; tags go out and come in.
    Closing(AmplifiedBlock),
    /// Wiped; whether the peer has said so too.
    Aborted { heard: bool },
}

impl Phase {
    fn name(&self) -> &'static str {
        match self {
            Self::Reconciling { .. } => "reconciling",
            Self::Verifying(_) => "verifying",
            Self::Sizing(_) => "waiting for the length",
            Self::Seeding(_) => "seeding",
            Self::Amplifying => "amplifying",
            Self::Closing(_) => "closing",
            Self::Aborted { .. } => "aborted",
        }
    }
}

/// A conversation with its own books.
struct Talk<P> {
    conversation: Box<dyn Conversation<P>>,
    out: Outbox,
}

impl<P> Talk<P> {
    fn new(conversation: Box<dyn Conversation<P>>) -> Self {
        Self { conversation, out: Outbox::new() }
    }
}

/// Which tags were sent and heard.
#[derive(Clone, Copy, Debug, Default)]
struct Tags {
    transcript_sent: Option<[u8; 16]>,
    transcript_heard: Option<[u8; 16]>,
    accept_sent: bool,
    accept_heard: bool,
    /// The numbers that the pads of the acceptances end, Alice's first: each pad is a use of the hash key.
    uses: [u64; 2],
}

/// One block of one party.
pub(super) struct Block<P: Protocol> {
    wing: P::Wing,
    party: Party,
    sent: Option<Transcript>,
    received: Option<Transcript>,
    ledger: Ledger,
    phase: Phase,
    talks: BTreeMap<u32, Talk<Reconciled>>,
    /// Bits of each task that go on to amplification, by frame.
    kept_bits: BTreeMap<u32, usize>,
    frames: BTreeMap<u32, Option<BitBlock>>,
    /// Messages of frames that our wing has not handed over yet.
    early: BTreeMap<u32, Vec<u8>>,
    /// What it wants of its session, not carried out yet.
    effects: Vec<Effect>,
    /// The wing's desk, for its memory.
    desk: Desk,
    /// The peer's "fixed": which frames it kept.
    peer_fixed: Option<BitBlock>,
    tags: Tags,
    key_length: Option<KeyLength>,
    /// Bits of the key that refill the pads: the reference side's wish, then what it told.
    refill_bits: u64,
    corrected_errors: u64,
    iterations: u64,
    frames_failed: u32,
    frames_in_all: u32,
    bits_amplified: u64,
}

impl<P: Protocol> std::fmt::Debug for Block<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Block({}, {} frames, {}, {:?})",
            self.party.block,
            self.kept_bits.len(),
            self.phase.name(),
            self.wing
        )
    }
}

/// A step of a block; what it wants is among its effects.
type Stepped = Result<(), Fault>;

fn out_of_turn(field: &'static str) -> Fault {
    Fault::Peer(Malformed::Field { field })
}

impl<P: Protocol> Block<P> {
    pub(super) fn new(
        wing: P::Wing,
        party: Party,
        [sent, received]: [Transcript; 2],
        refill_bits: u64,
    ) -> Self {
        Self {
            wing,
            party,
            sent: Some(sent),
            received: Some(received),
            ledger: Ledger::new(),
            phase: Phase::Reconciling { said_fixed: false },
            talks: BTreeMap::new(),
            kept_bits: BTreeMap::new(),
            frames: BTreeMap::new(),
            early: BTreeMap::new(),
            effects: Vec::new(),
            desk: Desk::new(),
            peer_fixed: None,
            tags: Tags::default(),
            key_length: None,
            refill_bits,
            corrected_errors: 0,
            iterations: 0,
            frames_failed: 0,
            frames_in_all: 0,
            bits_amplified: 0,
        }
    }

    pub(super) fn id(&self) -> u64 {
        self.party.block
    }

    /// Takes what it wants of its session, in order.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Keeps the memory of effects that were carried out.
    pub(super) fn keep_room(&mut self, effects: Vec<Effect>) {
        self.effects = effects;
    }

    fn send(&mut self, kind: Kind, body: Vec<u8>) {
        self.effects.push(Effect::Send(Header::new(kind, self.id()), body));
    }

    fn compute(&mut self, place: Place, computation: Computation) {
        self.effects.push(Effect::Compute(place, computation));
    }

    pub(super) fn course(&self) -> Option<Course> {
        self.wing.course()
    }

    pub(super) fn lesson(&self) -> Option<Lesson> {
        self.wing.lesson()
    }

    pub(super) fn is_aborted(&self) -> bool {
        matches!(self.phase, Phase::Aborted { .. })
    }

    pub(super) fn has_room(&self) -> bool {
        self.is_aborted() || self.wing.has_room()
    }

    pub(super) fn offer(&mut self, frame: P::Frame) -> Stepped {
        if self.is_aborted() {
            return Ok(());
        }
        self.at_desk(|wing, desk| wing.offer(frame, desk))
    }

    /// Hears any message but a tag.
    pub(super) fn hear(&mut self, header: Header, mut reader: Reader<'_>) -> Stepped {
        if header.kind == Kind::Abort {
            let why = PeerReason::from_number(reader.u8()?);
            reader.end()?;
            return self.hear_abort(why);
        }
        if self.is_aborted() {
            return Ok(());
        }
        // Nothing may follow what the peer's tag closed: no tag would cover it.
        if self.tags.transcript_heard.is_some() {
            return Err(out_of_turn("kind"));
        }
        match header.kind {
            Kind::Wing => self.at_desk(|wing, desk| wing.hear(reader, desk)),
            Kind::Reconciliation => self.hear_frame(header.frame, reader),
            Kind::Fixed => self.hear_fixed(reader),
            Kind::Verification => self.hear_verification(reader),
            Kind::Length => self.hear_length(reader),
            Kind::Seed => self.hear_seed(reader),
            _ => Err(out_of_turn("kind")),
        }
    }

    pub(super) fn done(&mut self, place: Place, result: Computed) -> Stepped {
        match place {
            Place::Wing => self.at_desk(|wing, desk| wing.done(result, desk)),
            Place::Frame(frame) => {
                let Some(mut talk) = self.talks.remove(&frame) else { return Ok(()) };
                let next = talk.conversation.done(result, &mut talk.out)?;
                self.step_frame(frame, talk, next)
            }
            Place::Verification => {
                let Phase::Verifying(talk) = &mut self.phase else { return Ok(()) };
                let next = talk.conversation.done(result, &mut talk.out)?;
                self.step_verification(next)
            }
            Place::Seed => self.seed_drawn(result),
            Place::Amplification => self.amplified(result),
        }
    }

    // ---- reconciliation

    /// Lets the wing act, and carries out what it puts on its desk.
    fn at_desk(&mut self, act: impl FnOnce(&mut P::Wing, &mut Desk) -> Stepped) -> Stepped {
        let mut desk = std::mem::take(&mut self.desk);
        act(&mut self.wing, &mut desk)?;
        self.clear(desk)
    }

    fn clear(&mut self, mut desk: Desk) -> Stepped {
        self.ledger.absorb(&std::mem::take(&mut desk.ledger));
        desk.messages.drain(..).for_each(|body| self.send(Kind::Wing, body));
        desk.computations.drain(..).for_each(|job| self.compute(Place::Wing, job));
        for (frame, task) in desk.tasks.drain(..) {
            self.open_frame(frame, task)?;
        }
        self.desk = desk;
        self.fix_if_complete()
    }

    fn open_frame(&mut self, frame: u32, task: Task) -> Stepped {
        if self.kept_bits.insert(frame, task.kept_bits()).is_some() || self.kept_bits.len() > MOST_FRAMES {
            return Err(out_of_turn("frame"));
        }
        let mut talk = Talk::new(task.converse());
        let next = talk.conversation.start(&mut talk.out)?;
        self.step_frame(frame, talk, next)?;
        match self.early.remove(&frame) {
            Some(body) => self.hear_frame(frame, Reader::new(&body)),
            None => Ok(()),
        }
    }

    fn hear_frame(&mut self, frame: u32, mut reader: Reader<'_>) -> Stepped {
        let Some(mut talk) = self.talks.remove(&frame) else {
            let early = !self.kept_bits.contains_key(&frame) && self.early.len() < MOST_FRAMES;
            let body = reader.bytes(reader.remaining())?.to_vec();
            if !early || self.early.insert(frame, body).is_some() {
                return Err(out_of_turn("frame"));
            }
            return Ok(());
        };
        let next = talk.conversation.hear(reader, &mut talk.out)?;
        self.step_frame(frame, talk, next)
    }

    fn step_frame(&mut self, frame: u32, mut talk: Talk<Reconciled>, next: Next<Reconciled>) -> Stepped {
        let header = Header { kind: Kind::Reconciliation, block: self.id(), frame };
        self.effects.extend(talk.out.drain().map(|body| Effect::Send(header, body)));
        match next {
            Next::Listen => {}
            Next::Compute(job) => self.compute(Place::Frame(frame), job),
            Next::Leave(outcome) => return self.frame_left(frame, &talk.out.ledger, outcome),
        }
        self.talks.insert(frame, talk);
        Ok(())
    }

    fn frame_left(&mut self, frame: u32, books: &Ledger, outcome: Reconciled) -> Stepped {
        let mut desk = std::mem::take(&mut self.desk);
        self.wing.reconciled(frame, &outcome, &mut desk)?;
        self.iterations += u64::from(outcome.effort.iterations);
        let kept_bits = self.kept_bits.get(&frame).copied().unwrap_or_default();
        let bits = outcome.bits.map(|bits| bits.cut(kept_bits));
        if bits.is_some() {
            self.ledger.absorb(books);
            self.corrected_errors += outcome.effort.corrected_errors;
        } else {
            // The frame leaves the key whole, and with it what was told of it; that it failed is told.
            self.ledger.disclose(Disclosure::Verdict, books.disclosed_by(Disclosure::Verdict));
            self.frames_failed += 1;
        }
        self.frames.insert(frame, bits);
        self.clear(desk)
    }

    /// Says "fixed" once every frame of the block has ended one way or the other.
    fn fix_if_complete(&mut self) -> Stepped {
        let ready = matches!(self.phase, Phase::Reconciling { said_fixed: false })
            && self.wing.is_complete()
            && self.frames.len() == self.kept_bits.len();
        if !ready {
            return Ok(());
        }
        self.phase = Phase::Reconciling { said_fixed: true };
        let kept: Vec<bool> = self.frames.values().map(Option::is_some).collect();
        self.frames_in_all = u32::try_from(kept.len()).unwrap_or(u32::MAX);
        let mut writer = Writer::new();
        writer.bits(&BitBlock::from_bools(&kept));
        self.send(Kind::Fixed, writer.finish());
        self.verify_if_both_fixed()
    }

    fn hear_fixed(&mut self, mut reader: Reader<'_>) -> Stepped {
        let kept = reader.bits(MOST_FRAMES, "fixed")?;
        reader.end()?;
        if self.peer_fixed.replace(kept).is_some() {
            return Err(out_of_turn("fixed"));
        }
        self.verify_if_both_fixed()
    }

    // ---- verification

    fn verify_if_both_fixed(&mut self) -> Stepped {
        let Phase::Reconciling { said_fixed: true } = self.phase else { return Ok(()) };
        let Some(theirs) = &self.peer_fixed else { return Ok(()) };
        let ours: Vec<bool> = self.frames.values().map(Option::is_some).collect();
        if *theirs != BitBlock::from_bools(&ours) {
            return Err(out_of_turn("fixed"));
        }
        let frames = std::mem::take(&mut self.frames);
        let frames: Vec<_> = frames.into_iter().filter_map(|(frame, bits)| Some((frame, bits?))).collect();
        if frames.is_empty() {
            let failed = ours.len();
            return Err(Abort::Uncorrected { failed, frames: failed }.into());
        }
        let candidate = Candidate { block: self.id(), frames };
        let conversation = match self.party.side::<P>() {
            Side::Reference => converse(verify::Reference::new(candidate, self.party.random.clone())),
            Side::Corrector => converse(verify::Corrector::new(candidate)),
        };
        let mut talk = Talk::new(conversation);
        let next = talk.conversation.start(&mut talk.out)?;
        self.phase = Phase::Verifying(talk);
        self.step_verification(next)
    }

    fn hear_verification(&mut self, reader: Reader<'_>) -> Stepped {
        let Phase::Verifying(talk) = &mut self.phase else { return Err(out_of_turn("verification")) };
        let next = talk.conversation.hear(reader, &mut talk.out)?;
        self.step_verification(next)
    }

    fn step_verification(&mut self, next: Next<VerifiedBlock>) -> Stepped {
        let header = Header::new(Kind::Verification, self.id());
        let Phase::Verifying(talk) = &mut self.phase else { return Ok(()) };
        self.effects.extend(talk.out.drain().map(|body| Effect::Send(header, body)));
        match next {
            Next::Listen => Ok(()),
            Next::Compute(job) => {
                self.compute(Place::Verification, job);
                Ok(())
            }
            Next::Leave(verified) => {
                self.ledger.absorb(&talk.out.ledger);
                self.size(verified)
            }
        }
    }

    // ---- length and seed

    /// Reckons the key length. The reference side tells it and goes on to the seed.
    fn size(&mut self, verified: VerifiedBlock) -> Stepped {
        self.ledger.consume_pad((TAGS_PER_BLOCK * TAG_BITS) as u64);
        let passed = u32::try_from(verified.frames().len()).unwrap_or(u32::MAX);
        self.frames_failed = self.frames_in_all.saturating_sub(passed);
        self.bits_amplified = verified.bits().len() as u64;
        let bits = self.bits_amplified;
        let kept = Kept { frames: verified.frames(), bits, ledger: &self.ledger };
        let length = self.wing.key_length(&kept)?;
        for (purpose, epsilon) in &length.epsilons {
            self.ledger.spend(*purpose, *epsilon);
        }
        if length.secret_bits == 0 || length.secret_bits > bits {
            return Err(Abort::NoKey { reason: format!("{} of {bits} bits", length.secret_bits) }.into());
        }
        let secret_bits = length.secret_bits;
        self.key_length = Some(length);
        if self.party.side::<P>() == Side::Corrector {
            self.phase = Phase::Sizing(verified);
            return Ok(());
        }
        self.refill_bits = self.refill_bits.min(secret_bits / PAIR_BITS * PAIR_BITS);
        let mut writer = Writer::new();
        writer.varint(secret_bits).varint(self.refill_bits);
        let seed = self.draw_seed(&verified)?;
        self.phase = Phase::Seeding(verified);
        self.send(Kind::Length, writer.finish());
        self.compute(Place::Seed, seed);
        Ok(())
    }

    pub(super) fn secret_bits(&self) -> u64 {
        self.key_length.as_ref().map_or(0, |length| length.secret_bits)
    }

    fn hear_length(&mut self, mut reader: Reader<'_>) -> Stepped {
        let theirs = reader.varint()?;
        let refill_bits = reader.varint()?;
        reader.end()?;
        if refill_bits > theirs.min(MOST_REFILL_BITS) || !refill_bits.is_multiple_of(PAIR_BITS) {
            return Err(out_of_turn("refill"));
        }
        let ours = self.secret_bits();
        self.refill_bits = refill_bits;
        match std::mem::replace(&mut self.phase, Phase::Amplifying) {
            Phase::Sizing(verified) if ours == theirs => {
                self.phase = Phase::Seeding(verified);
                Ok(())
            }
            Phase::Sizing(_) => Err(Abort::LengthsDiffer { ours, theirs }.into()),
            _ => Err(out_of_turn("length")),
        }
    }

    /// The seed is drawn now, when the data are fixed, and never used again.
    fn draw_seed(&self, verified: &VerifiedBlock) -> Result<Computation, Fault> {
        let bits = self.seed_bits(verified)?;
        let random = self.party.random.clone();
        let draw = Draw { block: self.id(), purpose: Purpose::AmplificationSeed, index: 0 };
        Ok(Computation::of(move |_| {
            let mut bytes = vec![0; bits.div_ceil(8)];
            random.draw(draw, &mut bytes).map(|()| BitBlock::from_bytes(&bytes, bits))
        }))
    }

    fn seed_bits(&self, verified: &VerifiedBlock) -> Result<usize, Fault> {
        Amplification::seed_bits(verified, self.secret_bits())
            .map_err(|error| Abort::NoKey { reason: error.to_string() }.into())
    }

    fn seed_drawn(&mut self, result: Computed) -> Stepped {
        type Drawn = Result<BitBlock, crate::random::RandomFailure>;
        let drawn = result.take::<Drawn>().expect("the result of the job of this place");
        let seed = drawn.map_err(Abort::from)?;
        let mut writer = Writer::with_capacity(11 + seed.len() / 8);
        writer.bits(&seed);
        self.send(Kind::Seed, writer.finish());
        self.amplify(seed)
    }

    fn hear_seed(&mut self, mut reader: Reader<'_>) -> Stepped {
        let Phase::Seeding(verified) = &self.phase else { return Err(out_of_turn("seed")) };
        let wanted = self.seed_bits(verified)?;
        let seed = reader.bits(wanted, "seed")?;
        reader.end()?;
        if seed.len() != wanted || self.party.side::<P>() == Side::Reference {
            return Err(out_of_turn("seed"));
        }
        self.amplify(seed)
    }

    // ---- the end without key

    /// Wipes the block.
    pub(super) fn abort(&mut self, abort: Abort) -> BlockReport {
        let heard = matches!(abort, Abort::Peer { .. } | Abort::Cut);
        self.phase = Phase::Aborted { heard };
        self.talks.clear();
        self.frames.clear();
        self.early.clear();
        self.effects.clear();
        self.peer_fixed = None;
        self.report(Outcome::Aborted(abort))
    }

    fn hear_abort(&mut self, why: PeerReason) -> Stepped {
        match &mut self.phase {
            Phase::Aborted { heard } => {
                *heard = true;
                Ok(())
            }
            // Once its tags are out, only an authenticated word ends a block: the next connection's.
            _ if self.tags.transcript_heard.is_some() => Err(out_of_turn("abort")),
            _ => Err(Abort::Peer { why }.into()),
        }
    }

    fn report(&self, outcome: Outcome) -> BlockReport {
        BlockReport {
            block: self.id(),
            outcome,
            figures: self.wing.figures(),
            feedback: self.wing.feedback(),
            choice: self.wing.choice(),
            frames: self.frames_in_all,
            frames_failed: self.frames_failed,
            kept_bits: self.bits_amplified,
            corrected_errors: self.corrected_errors,
            iterations: self.iterations,
            ledger: self.ledger.clone(),
            key_length: self.key_length.clone(),
            certificate: None,
        }
    }
}
