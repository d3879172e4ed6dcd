//! Verification: a polynomial universal hash shows that both sides hold the same bits.
//!
//! After both sides have said that their bits are fixed, the reference side draws a fresh hash key,
//! hashes all kept frames of the block, and sends key and tag; the correcting side compares. If the
//! tags differ, a second round hashes each frame by itself under another key, and frames that differ
//! leave the block. So one residual error costs a frame, not the block, and the first round, almost
//! always the only one, costs 128 bits.
//!
//! Two different strings of L blocks of 128 bits have equal tags with probability at most L/2^128:
//! H_k is the polynomial of [`keystill_kernels::gf128`], every frame followed by its length (Bibak,
//! Kapron and Srinivasan, EPJ Quantum Technol. 9, 8 (2022)). All 128 bits of each tag are booked as
//! disclosed, and so is each verdict bit.

use std::sync::Arc;

use keystill_kernels::{Isa, gf128, wipe};
use subtle::ConstantTimeEq;

use crate::bits::BitBlock;
use crate::ledger::{Disclosure, Epsilon};
use crate::random::{Draw, Purpose, RandomSource};
use crate::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// Bits of a verification tag.
pub const TAG_BITS: u64 = 128;

/// The kept frames of a block as reconciliation left them: not known to be equal.
#[derive(Debug)]
pub struct Candidate {
    /// The block.
    pub block: u64,
    /// The frames in order: index, and the bits that go on to amplification.
    pub frames: Vec<(u32, BitBlock)>,
}

impl Candidate {
    fn hash_blocks(&self) -> usize {
        self.frames.iter().map(|(_, bits)| bits.len().div_ceil(128) + 1).sum()
    }
}

/// Bits that both sides hold equally, but for the ε booked. Only verification builds one.
#[derive(Debug)]
pub struct VerifiedBlock {
    block: u64,
    frames: Vec<u32>,
    bits: BitBlock,
}

impl VerifiedBlock {
    /// The block.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.block
    }

    /// The frames whose bits these are, in order.
    #[must_use]
    pub fn frames(&self) -> &[u32] {
        &self.frames
    }

    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &BitBlock {
        &self.bits
    }

    fn join(candidate: Candidate, passed: impl Fn(usize) -> bool) -> Result<Self, Abort> {
        let mut verified = Self { block: candidate.block, frames: Vec::new(), bits: BitBlock::default() };
        for (place, (frame, bits)) in candidate.frames.into_iter().enumerate() {
            if passed(place) {
                verified.frames.push(frame);
                verified.bits.append(&bits);
            }
        }
        if verified.frames.is_empty() { Err(Abort::Unverified) } else { Ok(verified) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// One tag over all frames.
    Whole,
    /// A tag a frame.
    EachFrame,
}

/// Hashes the frames.
#[derive(Debug)]
pub struct Hash {
    candidate: Candidate,
    key: u128,
    round: Round,
}

impl Job for Hash {
    type Output = (Candidate, Vec<u128>);

    fn run(self, bench: &mut Workbench) -> Self::Output {
        let mut tags = Vec::new();
        let mut accumulator = 0;
        for (_, bits) in &self.candidate.frames {
            accumulator = absorb(bench.isa(), self.key, accumulator, bits);
            if self.round == Round::EachFrame {
                tags.push(std::mem::take(&mut accumulator));
            }
        }
        if self.round == Round::Whole {
            tags.push(accumulator);
        }
        (self.candidate, tags)
    }
}

/// Words that are hashed at a time.
const PIECE: usize = 1024;

fn absorb(isa: Isa, key: u128, mut accumulator: u128, bits: &BitBlock) -> u128 {
    let mut piece = [0; 8 * PIECE];
    for words in bits.words().chunks(PIECE) {
        let places = piece.as_chunks_mut::<8>().0.iter_mut();
        places.zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        // The last word of the bits may be the first of a block of two.
        let length = 8 * words.len().next_multiple_of(2);
        piece[8 * words.len()..length].fill(0);
        accumulator = gf128::horner(isa, key, accumulator, &piece[..length]);
    }
    wipe(&mut piece);
    gf128::horner(isa, key, accumulator, &(bits.len() as u128).to_be_bytes())
}

/// The reference side: draws the key, sends the tags, hears the verdict.
#[derive(Debug)]
pub struct Reference {
    random: Arc<dyn RandomSource>,
    candidate: Option<Candidate>,
    round: Round,
    key: u128,
}

impl Reference {
    /// Verifies a block's kept frames.
    #[must_use]
    pub fn new(candidate: Candidate, random: Arc<dyn RandomSource>) -> Self {
        Self { random, candidate: Some(candidate), round: Round::Whole, key: 0 }
    }

    fn hash(mut self) -> Result<Step<Self>, Fault> {
        let candidate = self.candidate.take().ok_or(Malformed::Field { field: "turn" })?;
        let index = u64::from(self.round == Round::EachFrame);
        let draw = Draw { block: candidate.block, purpose: Purpose::VerificationKey, index };
        let mut key = [0; 16];
        self.random.draw(draw, &mut key).map_err(Abort::from)?;
        self.key = u128::from_be_bytes(key);
        let job = Hash { candidate, key: self.key, round: self.round };
        Ok(Step::Compute(self, job))
    }
}

impl Stage for Reference {
    type Job = Hash;
    type Product = VerifiedBlock;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        self.hash()
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let candidate = self.candidate.take().ok_or(Malformed::Field { field: "turn" })?;
        let verdict = message.bits(candidate.frames.len().max(1), "verdict")?;
        message.end()?;
        out.ledger.disclose(Disclosure::Verdict, verdict.len() as u64);
        match self.round {
            Round::Whole if verdict.len() == 1 && verdict.bit(0) => {
                Ok(Step::Leave(VerifiedBlock::join(candidate, |_| true)?))
            }
            Round::Whole if verdict.len() == 1 => {
                self.candidate = Some(candidate);
                self.round = Round::EachFrame;
                self.hash()
            }
            Round::EachFrame if verdict.len() == candidate.frames.len() => {
                Ok(Step::Leave(VerifiedBlock::join(candidate, |place| verdict.bit(place))?))
            }
            _ => Err(Malformed::Field { field: "verdict" }.into()),
        }
    }

    fn done(
        mut self,
        (candidate, tags): (Candidate, Vec<u128>),
        out: &mut Outbox,
    ) -> Result<Step<Self>, Fault> {
        book(&candidate, tags.len(), out);
        let mut writer = Writer::new();
        writer.u128(self.key).count(tags.len());
        for tag in tags {
            writer.u128(tag);
        }
        out.send(writer.finish());
        self.candidate = Some(candidate);
        Ok(Step::Listen(self))
    }
}

/// The correcting side: hears key and tags, answers with the verdict.
#[derive(Debug)]
pub struct Corrector {
    candidate: Option<Candidate>,
    round: Round,
    tags: Vec<u128>,
}

impl Corrector {
    /// Verifies a block's kept frames.
    #[must_use]
    pub fn new(candidate: Candidate) -> Self {
        Self { candidate: Some(candidate), round: Round::Whole, tags: Vec::new() }
    }
}

impl Stage for Corrector {
    type Job = Hash;
    type Product = VerifiedBlock;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let candidate = self.candidate.take().ok_or(Malformed::Field { field: "turn" })?;
        let key = message.u128()?;
        let expected = match self.round {
            Round::Whole => 1,
            Round::EachFrame => candidate.frames.len(),
        };
        if message.count(expected, "tags")? != expected {
            return Err(Malformed::Field { field: "tags" }.into());
        }
        self.tags = (0..expected).map(|_| message.u128()).collect::<Result<_, _>>()?;
        message.end()?;
        book(&candidate, expected, out);
        let job = Hash { candidate, key, round: self.round };
        Ok(Step::Compute(self, job))
    }

    fn done(
        mut self,
        (candidate, tags): (Candidate, Vec<u128>),
        out: &mut Outbox,
    ) -> Result<Step<Self>, Fault> {
        let equal = |(ours, theirs): (&u128, &u128)| bool::from(ours.ct_eq(theirs));
        let verdict: Vec<bool> = tags.iter().zip(&self.tags).map(equal).collect();
        let mut writer = Writer::new();
        writer.bits(&BitBlock::from_bools(&verdict));
        out.send(writer.finish());
        out.ledger.disclose(Disclosure::Verdict, verdict.len() as u64);
        if self.round == Round::Whole && verdict == [false] {
            self.round = Round::EachFrame;
            self.candidate = Some(candidate);
            return Ok(Step::Listen(self));
        }
        let whole = self.round == Round::Whole;
        Ok(Step::Leave(VerifiedBlock::join(candidate, |place| whole || verdict[place])?))
    }
}

fn book(candidate: &Candidate, tags: usize, out: &mut Outbox) {
    out.ledger.disclose(Disclosure::VerificationTag, TAG_BITS * tags as u64);
    out.ledger.consume_seed(TAG_BITS);
    out.ledger.spend(Epsilon::Correctness, candidate.hash_blocks() as f64 * 2f64.powi(-128));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OperatingSystem;
    use crate::stage::{Next, converse};

    fn candidate(frames: u32, flip: Option<(u32, usize)>) -> Candidate {
        let frame = |index: u32| {
            let bits = (0..300).map(|i| (i * 7 + index as usize * 13) % 11 < 5).collect::<Vec<_>>();
            let mut bits = BitBlock::from_bools(&bits);
            if let Some((_, place)) = flip.filter(|(frame, _)| *frame == index) {
                bits.set(place, !bits.bit(place));
            }
            (index, bits)
        };
        Candidate { block: 3, frames: (0..frames).map(frame).collect() }
    }

    /// Runs both sides to the end and returns what each kept, with both accounts.
    fn verify(theirs: Candidate) -> Result<(VerifiedBlock, VerifiedBlock, Outbox, Outbox), Fault> {
        let mut reference = converse(Reference::new(candidate(5, None), Arc::new(OperatingSystem)));
        let mut corrector = converse(Corrector::new(theirs));
        let mut bench = Workbench::new(Isa::best());
        let (mut out_r, mut out_c) = (Outbox::new(), Outbox::new());
        let (mut next_r, mut next_c) = (reference.start(&mut out_r)?, corrector.start(&mut out_c)?);
        loop {
            if let Next::Compute(job) = next_r {
                next_r = reference.done(job.run(&mut bench), &mut out_r)?;
            }
            for message in out_r.take() {
                next_c = corrector.hear(Reader::new(&message), &mut out_c)?;
            }
            if let Next::Compute(job) = next_c {
                next_c = corrector.done(job.run(&mut bench), &mut out_c)?;
            }
            for message in out_c.take() {
                next_r = reference.hear(Reader::new(&message), &mut out_r)?;
            }
            if let (Next::Leave(_), Next::Leave(_)) = (&next_r, &next_c) {
                break;
            }
        }
        match (next_r, next_c) {
            (Next::Leave(r), Next::Leave(c)) => Ok((r, c, out_r, out_c)),
            _ => unreachable!("the loop ends when both have left"),
        }
    }

    #[test]
    fn equal_blocks_pass_with_one_tag() {
        let (ours, theirs, out, peer) = verify(candidate(5, None)).expect("equal");
        assert_eq!(ours.bits(), theirs.bits(), "the same bits");
        assert_eq!(ours.frames(), [0, 1, 2, 3, 4], "all frames");
        assert_eq!(out.ledger, peer.ledger, "both books agree");
        assert_eq!(out.ledger.disclosed_bits(), 129, "a tag and a verdict");
        assert_eq!(out.ledger.public_seed_bits(), 128, "one key");
    }

    #[test]
    fn a_single_wrong_bit_costs_its_frame_only() {
        let (ours, theirs, out, peer) = verify(candidate(5, Some((2, 299)))).expect("four frames are equal");
        assert_eq!(ours.frames(), [0, 1, 3, 4], "frame 2 left");
        assert_eq!(ours.bits(), theirs.bits(), "what stays is equal");
        assert_eq!(out.ledger, peer.ledger, "both books agree");
        assert_eq!(out.ledger.disclosed_bits(), 128 + 1 + 5 * 128 + 5, "both rounds are booked");
    }

    /// Pairs of frames that differ, and how often the first `bits` bits of their tags agree all the same.
    fn missed(bits: u32, pairs: u32) -> u32 {
        let mut bench = Workbench::new(Isa::best());
        let mut tag = |candidate: Candidate, key| {
            let (_, tags) = Hash { candidate, key, round: Round::Whole }.run(&mut bench);
            tags[0] >> (128 - bits)
        };
        let missed = (0..pairs).filter(|pair| {
            let (frame, bit) = (pair % 3, (pair * 37 % 300) as usize);
            let key =
                u128::from_le_bytes(*blake3::hash(&pair.to_le_bytes()).as_bytes().first_chunk().expect("32"));
            tag(candidate(3, None), key) == tag(candidate(3, Some((frame, bit))), key)
        });
        u32::try_from(missed.count()).expect("no more than the pairs")
    }

    #[test]
    fn shortened_tags_miss_errors_as_often_as_theory_says() {
        // Any two strings of L blocks agree in t bits of the tag for at most a share L·2^-t of the keys, and most
        // pairs for 2^-t of them. So a tag of 128 bits that missed more would show here.
        const PAIRS: u32 = 40_000;
        for bits in [4, 6, 8, 10] {
            let expected = f64::from(PAIRS) / f64::from(1 << bits);
            let found = f64::from(missed(bits, PAIRS));
            let deviation = (found - expected) / expected.sqrt();
            assert!(deviation.abs() < 5.5, "{bits} bits: {found} missed where {expected} are expected");
        }
        assert_eq!(missed(128, PAIRS), 0, "the whole tag");
    }

    #[test]
    fn malformed_messages_are_the_peers_fault() {
        let mut reference = converse(Reference::new(candidate(2, None), Arc::new(OperatingSystem)));
        let mut out = Outbox::new();
        let Ok(Next::Compute(job)) = reference.start(&mut out) else { panic!("it hashes first") };
        let mut bench = Workbench::new(Isa::SCALAR);
        assert!(matches!(reference.done(job.run(&mut bench), &mut out), Ok(Next::Listen)), "then it listens");
        let verdict_of_two = [2, 0b11];
        let fault = reference.hear(Reader::new(&verdict_of_two), &mut out);
        assert!(matches!(fault, Err(Fault::Peer(_))), "two bits where one is due");
    }
}
