//! The error rate of bits that nothing is known of yet, from a few parities.
//!
//! The reference side tells k parities of disjoint groups of w bits; a group's parity differs between the
//! sides with probability P_w(q) = (1 − (1 − 2q)^w)/2. One parity of w ≈ 0.6/q bits tells some sixteen times
//! as much of a small q as one bit of a sample would, so √n parities place q within a few percent where a
//! sample would spend a percent of the key. Half of them are of 64 bits, a quarter of 16, a quarter of 4:
//! from 0.1 % up to the rates that cannot be corrected one of the three is near its best. q is the
//! maximum-likelihood estimate.
//!
//! *Books.* Each parity is one bit of the reference side's string ([`Disclosure::PilotParity`]), and the answer, a
//! function of both sides' parities, at most as many of the other's ([`Disclosure::ParityQuestion`]). The bits
//! stay in the key: parities are subtracted as those of a syndrome are.
//!
//! ```text
//! reference → corrector   bit string: one parity a group, the widest groups first
//! corrector → reference   3 × differing:varint
//! ```

use crate::bits::BitBlock;
use crate::ledger::Disclosure;
use crate::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// Bits of a group, and its share of all groups in quarters.
const WIDTHS: [(usize, usize); 3] = [(64, 2), (16, 1), (4, 1)];
/// Bits that four groups take.
const BITS_OF_FOUR: usize = 2 * 64 + 16 + 4;
/// More groups would place the rate no better than it drifts.
const MOST_QUARTERS: usize = 1024;
/// The error rates that an estimate may have.
const RATES: (f64, f64) = (1e-4, 0.5);

/// What the parities say of the error rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The most likely error rate, 10⁻⁴ to 0.5.
    pub qber: f64,
    /// Its standard error.
    pub error: f64,
}

/// Parities told of `bits` bits: about √n, a multiple of four; none of fewer than 592 bits, where they would be a
/// share of the key that is felt.
#[must_use]
pub fn parities(bits: usize) -> usize {
    let quarters = (bits.isqrt() / 4).min(bits / BITS_OF_FOUR / 4);
    4 * quarters.min(MOST_QUARTERS)
}

fn groups(quarters: usize) -> impl Iterator<Item = usize> {
    WIDTHS.iter().flat_map(move |(width, share)| std::iter::repeat_n(*width, share * quarters))
}

/// Computes the parities of one side.
#[derive(Debug)]
pub struct Parities {
    bits: BitBlock,
}

impl Job for Parities {
    type Output = (BitBlock, BitBlock);

    /// The bits, given back, and their parities.
    fn run(self, _bench: &mut Workbench) -> Self::Output {
        let length = self.bits.len();
        let stride = super::interleave::stride(length);
        let mut place = 0;
        let mut told = BitBlock::default();
        for width in groups(parities(length) / 4) {
            let mut parity = false;
            for _ in 0..width {
                parity ^= self.bits.bit(place);
                place += stride;
                place -= if place >= length { length } else { 0 };
            }
            told.push(parity);
        }
        (self.bits, told)
    }
}

/// Both sides leave with their bits and the estimate.
pub type Piloted = (BitBlock, Estimate);

/// The reference side: tells parities, hears how many differ.
#[derive(Debug)]
pub struct Reference {
    bits: BitBlock,
}

impl Reference {
    /// Tells [`parities`] of the bits.
    #[must_use]
    pub fn new(bits: BitBlock) -> Self {
        Self { bits }
    }
}

impl Stage for Reference {
    type Job = Parities;
    type Product = Piloted;

    fn start(mut self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let job = Parities { bits: std::mem::take(&mut self.bits) };
        Ok(Step::Compute(self, job))
    }

    fn hear(self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let quarters = parities(self.bits.len()) / 4;
        let mut differing = [0; 3];
        for (count, (_, share)) in differing.iter_mut().zip(WIDTHS) {
            *count = message.count(share * quarters, "pilot")?;
        }
        message.end()?;
        out.ledger.disclose(Disclosure::ParityQuestion, 4 * quarters as u64);
        let estimate = estimate(differing, quarters);
        Ok(Step::Leave((self.bits, estimate)))
    }

    fn done(mut self, (bits, told): (BitBlock, BitBlock), out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if told.is_empty() {
            return Err(too_few(bits.len()));
        }
        self.bits = bits;
        out.ledger.disclose(Disclosure::PilotParity, told.len() as u64);
        let mut writer = Writer::new();
        writer.bits(&told);
        out.send(writer.finish());
        Ok(Step::Listen(self))
    }
}

/// The correcting side: compares parities.
#[derive(Debug)]
pub struct Corrector {
    bits: BitBlock,
    theirs: BitBlock,
}

impl Corrector {
    /// Compares [`parities`] of the bits.
    #[must_use]
    pub fn new(bits: BitBlock) -> Self {
        Self { bits, theirs: BitBlock::default() }
    }
}

impl Stage for Corrector {
    type Job = Parities;
    type Product = Piloted;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if parities(self.bits.len()) == 0 {
            return Err(too_few(self.bits.len()));
        }
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let wanted = parities(self.bits.len());
        self.theirs = message.bits(wanted, "pilot")?;
        message.end()?;
        if self.theirs.len() != wanted {
            return Err(Malformed::Field { field: "pilot" }.into());
        }
        out.ledger.disclose(Disclosure::PilotParity, wanted as u64);
        let job = Parities { bits: std::mem::take(&mut self.bits) };
        Ok(Step::Compute(self, job))
    }

    fn done(self, (bits, ours): (BitBlock, BitBlock), out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let quarters = ours.len() / 4;
        let mut differing = [0; 3];
        let mut place = 0;
        for (count, (_, share)) in differing.iter_mut().zip(WIDTHS) {
            let end = place + share * quarters;
            *count = (place..end).filter(|group| ours.bit(*group) != self.theirs.bit(*group)).count();
            place = end;
        }
        let mut writer = Writer::new();
        differing.iter().for_each(|count| {
            writer.count(*count);
        });
        out.send(writer.finish());
        out.ledger.disclose(Disclosure::ParityQuestion, 4 * quarters as u64);
        Ok(Step::Leave((bits, estimate(differing, quarters))))
    }
}

fn too_few(bits: usize) -> Fault {
    Abort::Unusable { reason: format!("{bits} bits are too few to estimate an error rate from parities") }
        .into()
}

/// The most likely error rate where so many groups of each width differ.
fn estimate(differing: [usize; 3], quarters: usize) -> Estimate {
    let likelihood = |log_rate: f64| -> f64 {
        let q = libm::exp(log_rate);
        let term = |(count, (width, share)): (&usize, (usize, usize))| {
            let p = odd(q, width);
            *count as f64 * libm::log(p) + (share * quarters - count) as f64 * libm::log1p(-p)
        };
        differing.iter().zip(WIDTHS).map(term).sum()
    };
    let (low, high) = (libm::log(RATES.0), libm::log(RATES.1));
    // A grid first: far from its peak the likelihood is flat, and a search would lose its way.
    let step = (high - low) / 200.0;
    let grid = (0..=200).map(|i| low + step * f64::from(i));
    let near = grid.max_by(|a, b| likelihood(*a).total_cmp(&likelihood(*b))).unwrap_or(high);
    let (mut from, mut to) = ((near - step).max(low), (near + step).min(high));
    for _ in 0..40 {
        let (left, right) = (from + (to - from) / 3.0, to - (to - from) / 3.0);
        if likelihood(left) < likelihood(right) { from = left } else { to = right }
    }
    let qber = libm::exp(0.5 * (from + to)).clamp(RATES.0, RATES.1);
    let information = WIDTHS.iter().map(|(width, share)| {
        let (p, w) = (odd(qber, *width), *width as f64);
        let slope = w * libm::pow(1.0 - 2.0 * qber, w - 1.0);
        (share * quarters) as f64 * slope * slope / (p * (1.0 - p))
    });
    Estimate { qber, error: (1.0 / libm::sqrt(information.sum())).min(0.5) }
}

/// P_w(q): the probability of an odd number of errors among w bits, kept off 0 and 1.
fn odd(q: f64, width: usize) -> f64 {
    (0.5 * (1.0 - libm::pow(1.0 - 2.0 * q, width as f64))).clamp(1e-12, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::tests::pair;
    use crate::stage::converse;
    use crate::stage::loopback::Loopback;
    use keystill_kernels::Isa;

    fn pilot(alice: BitBlock, bob: BitBlock) -> (Estimate, Loopback) {
        let mut talk = Loopback::new();
        let mut bench = Workbench::new(Isa::SCALAR);
        let (mut reference, mut corrector) = (converse(Reference::new(alice)), converse(Corrector::new(bob)));
        let ((kept, ours), (_, theirs)) =
            talk.hold(&mut bench, &mut *reference, &mut *corrector).expect("a pilot");
        assert_eq!(ours, theirs, "both sides hold the same estimate");
        assert!(!kept.is_empty(), "the bits come back");
        (ours, talk)
    }

    #[test]
    fn error_rates_are_found_within_their_errors() {
        for (n, qber) in [(1 << 20, 0.003), (1 << 20, 0.01), (1 << 20, 0.05), (1 << 20, 0.11), (65_537, 0.02)]
        {
            let (alice, bob) = pair(n, qber, 3);
            let (found, talk) = pilot(alice, bob);
            let off = (found.qber - qber) / found.error;
            assert!(off.abs() < 4.0, "{found:?} for {qber} of {n} bits");
            assert!(found.error < 0.2 * qber, "{found:?} for {qber} of {n} bits");
            let told = parities(n) as u64;
            assert_eq!(talk.first.ledger, talk.second.ledger, "both books agree");
            assert_eq!(talk.first.ledger.disclosed_by(Disclosure::PilotParity), told, "parities are booked");
            assert_eq!(talk.first.ledger.disclosed_bits(), 2 * told, "and so is the answer");
        }
    }

    #[test]
    fn strangers_are_known_and_equals_too() {
        let (alice, _) = pair(100_000, 0.0, 4);
        let (stranger, _) = pair(100_000, 0.0, 5);
        assert!(pilot(alice, stranger).0.qber > 0.2, "uncorrelated");
        let (alice, same) = pair(100_000, 0.0, 4);
        assert!(pilot(alice, same).0.qber < 5e-4, "equal");
    }

    #[test]
    fn few_bits_are_refused() {
        assert_eq!(parities(591), 0, "none");
        let mut out = Outbox::new();
        let mut corrector = converse(Corrector::new(BitBlock::zeros(591)));
        assert!(corrector.start(&mut out).is_err(), "nothing to tell");
    }
}
