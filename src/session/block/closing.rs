//! A block's last steps: amplified, closed by tags, and turned into key.

use std::sync::Arc;

use crate::amplify::{Amplification, AmplifiedBlock, Amplifier};
use crate::auth::{Pad, Pool, Tag, Transcript};
use crate::bits::BitBlock;
use crate::ledger::{Epsilon, Ledger};
use crate::protocol::Protocol;
use crate::stage::{Abort, Computation, Computed, Role};

use super::super::certificate::{Certificate, Issuer};
use super::super::event::{BlockReport, Outcome, SecretKey};
use super::super::message::Kind;
use super::super::record::Accepted;
use super::{Block, Phase, Place, Stepped, out_of_turn};

impl<P: Protocol> Block<P> {
    pub(super) fn amplify(&mut self, seed: BitBlock) -> Stepped {
        let Phase::Seeding(verified) = std::mem::replace(&mut self.phase, Phase::Amplifying) else {
            return Err(out_of_turn("seed"));
        };
        self.ledger.consume_seed(seed.len() as u64);
        let amplification = Amplification { verified, secret_bits: self.secret_bits(), seed };
        let job = Computation::of(move |bench| amplification.run(bench.scratch::<Amplifier>()));
        self.compute(Place::Amplification, job);
        Ok(())
    }

    pub(super) fn amplified(&mut self, result: Computed) -> Stepped {
        type Amplified = Result<AmplifiedBlock, crate::amplify::Error>;
        let amplified = result.take::<Amplified>().expect("the result of the job of this place");
        let amplified = amplified.map_err(|error| Abort::NoKey { reason: error.to_string() })?;
        self.phase = Phase::Closing(amplified);
        Ok(())
    }

    pub(in crate::session) fn absorb_sent(&mut self, kind: Kind, number: u64, message: &[u8]) {
        absorb(&mut self.sent, kind, number, message);
    }

    pub(in crate::session) fn absorb_received(&mut self, kind: Kind, number: u64, message: &[u8]) {
        absorb(&mut self.received, kind, number, message);
    }

    pub(in crate::session) fn wants_transcript_tag(&self) -> bool {
        matches!(self.phase, Phase::Closing(_)) && self.tags.transcript_sent.is_none()
    }

    pub(in crate::session) fn transcript_tag(&mut self, pad: Pad) -> Tag {
        let transcript = self.sent.take().expect("one tag a transcript: guarded by wants_transcript_tag");
        self.ledger.spend(Epsilon::Authentication, transcript.epsilon());
        let tag = transcript.tag(pad);
        self.tags.transcript_sent = Some(tag.0);
        tag
    }

    pub(in crate::session) fn awaits_tag(&self, kind: Kind) -> bool {
        match kind {
            Kind::TranscriptTag => self.tags.transcript_heard.is_none(),
            _ => self.tags.transcript_heard.is_some() && !self.tags.accept_heard,
        }
    }

    /// The transcript that the peer's tag closes: it is checked once.
    pub(in crate::session) fn heard_transcript(&mut self) -> Option<Transcript> {
        let transcript = self.received.take()?;
        self.ledger.spend(Epsilon::Authentication, transcript.epsilon());
        Some(transcript)
    }

    pub(in crate::session) fn transcript_heard(&mut self, tag: Tag) {
        self.tags.transcript_heard = Some(tag.0);
    }

    /// `pad`: the sender and the number of the pad that its tag takes.
    pub(in crate::session) fn book_acceptance(&mut self, acceptance: &Transcript, pad: (Role, u64)) {
        let (sender, index) = pad;
        self.tags.uses[usize::from(sender == Role::Bob)] = index.saturating_add(1);
        self.ledger.spend(Epsilon::Authentication, acceptance.epsilon());
    }

    pub(in crate::session) fn accept_heard(&mut self) {
        self.tags.accept_heard = true;
    }

    /// Whether our acceptance may have left: only the peer's word decides the block now.
    pub(in crate::session) fn is_in_doubt(&self) -> bool {
        matches!(self.phase, Phase::Closing(_)) && self.tags.accept_sent
    }

    pub(in crate::session) fn wants_accept_tag(&self) -> bool {
        matches!(self.phase, Phase::Closing(_))
            && self.tags.transcript_sent.is_some()
            && self.tags.transcript_heard.is_some()
            && !self.tags.accept_sent
    }

    pub(in crate::session) fn accept_sent(&mut self) {
        self.tags.accept_sent = true;
    }

    /// Both transcript tags, Alice's first.
    pub(in crate::session) fn accepted(&self, own: Role) -> Accepted {
        let sent = self.tags.transcript_sent.unwrap_or_default();
        let heard = self.tags.transcript_heard.unwrap_or_default();
        let (alice, bob) = if own == Role::Alice { (sent, heard) } else { (heard, sent) };
        let mut accepted = [0; 32];
        accepted[..16].copy_from_slice(&alice);
        accepted[16..].copy_from_slice(&bob);
        accepted
    }

    /// A copy of the key for the store, and how many of its bits refill the pads.
    pub(in crate::session) fn key(&self) -> (BitBlock, u64) {
        match &self.phase {
            Phase::Closing(amplified) => {
                (amplified.bits().slice(0..amplified.bits().len()), self.refill_bits)
            }
            _ => (BitBlock::default(), 0),
        }
    }

    pub(in crate::session) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Aborted { heard } => heard,
            Phase::Closing(_) => self.tags.accept_sent && self.tags.accept_heard,
            _ => false,
        }
    }

    /// The ε of this block: what its ledger says, and of one that was given up all that it might have
    /// spent, for Eve chooses which blocks are.
    pub(in crate::session) fn epsilon(&self, configured: f64) -> f64 {
        if self.is_aborted() { self.ledger.epsilon().max(configured) } else { self.ledger.epsilon() }
    }

    /// The ε that the ledger will say when all four tags are booked, those of the acceptances being alike.
    pub(in crate::session) fn epsilon_once_closed(&self, acceptance: &Transcript) -> f64 {
        let transcripts = [&self.sent, &self.received].into_iter().flatten();
        let to_come = self.tags.uses.iter().filter(|pad| **pad == 0).map(|_| acceptance);
        with_tags(&self.ledger, transcripts.chain(to_come).map(Transcript::epsilon))
    }

    /// Turns a block that both sides accepted into key: first the pads, then the rest.
    pub(in crate::session) fn into_key(
        self,
        pool: &mut Pool,
        issuer: &Issuer,
    ) -> Option<(BlockReport, Option<SecretKey>)> {
        let secret_bits = self.secret_bits();
        let block = self.id();
        let Phase::Closing(amplified) = &self.phase else { return None };
        let bits = amplified.bits();
        let refilled = usize::try_from(self.refill_bits).map_or(bits.len(), |refill| refill.min(bits.len()));
        pool.refill_from(&bits.slice(0..refilled));
        let rest = bits.slice(refilled..bits.len());
        let mut report = self.report(Outcome::Key { secret_bits, refilled_bits: refilled as u64 });
        // Of a block that the next connection decided, the peer's tag was not heard.
        let uses = [(Role::Alice, 0), (Role::Bob, 1)].map(|(sender, direction)| {
            let told = self.tags.uses[direction];
            if told == 0 { pool.next_pad(sender) } else { told }
        });
        let certificate = Arc::new(Certificate::issue(issuer, &report, uses));
        report.certificate = Some(certificate.clone());
        let key = (!rest.is_empty()).then_some(SecretKey { block, bits: rest, certificate });
        Some((report, key))
    }
}

/// Absorbs a message with its number and length; tags stand outside.
fn absorb(transcript: &mut Option<Transcript>, kind: Kind, number: u64, message: &[u8]) {
    let outside = matches!(kind, Kind::TranscriptTag | Kind::AcceptTag);
    if let Some(transcript) = transcript.as_mut().filter(|_| !outside) {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&number.to_le_bytes());
        header[8..].copy_from_slice(&(message.len() as u64).to_le_bytes());
        transcript.absorb(&header);
        transcript.absorb(message);
    }
}

/// The ε of an account to which tags are still to be booked.
fn with_tags(ledger: &Ledger, to_come: impl Iterator<Item = f64>) -> f64 {
    let mut closed = ledger.clone();
    to_come.for_each(|epsilon| closed.spend(Epsilon::Authentication, epsilon));
    closed.epsilon()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_to_come_are_counted_and_not_booked() {
        let mut ledger = Ledger::new();
        ledger.spend(Epsilon::Correctness, 0.5);
        ledger.spend(Epsilon::Authentication, 0.125);
        let closed = with_tags(&ledger, [0.062_5, 0.031_25, 0.031_25].into_iter());
        assert_eq!(
            (closed, ledger.epsilon()),
            (0.75, 0.625),
            "the account with three tags more, and as it was"
        );
    }
}
