//! The error rate of bits that nothing is known of yet, from a few parities.
//!
//! The reference side tells k parities of disjoint groups of w bits; a group's parity differs between the
//! sides with probability P_w(q) = (1 − (1 − 2q)^w)/2. One parity of w ≈ 0.6/q bits tells some sixteen times
//! as much of a small q as one bit of a sample would, so √n parities place q within a few percent where a
//! sample would spend a percent of the key. Half of them are of 64 bits, a quarter of 16, a quarter of 4:
//! from 0.1 % up to the rates that cannot be corrected one of the three is near its best. q is the
//! most likely value, where links of 0.7 % to 5 % are held to be usual beforehand (ln q normal about ln 2 %): that
//! steadies the few dozen parities of a short string, and a thousand do not feel it.
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
/// What is held to be usual: the middle of ln q, and its deviation.
const USUAL: (f64, f64) = (0.02, 1.0);
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

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// About √n parities: an error rate is wanted.
    Estimate,
    /// Half as many: an error rate is known, and must not be wrong by much.
    Check,
}

impl Depth {
    /// Parities told of `bits` bits, a multiple of four; none of a few hundred bits, where they would be a share
    /// of the key that is felt.
    #[must_use]
    pub fn parities(self, bits: usize) -> usize {
        let quarters = (bits.isqrt() / 4).min(bits / BITS_OF_FOUR / 4).min(MOST_QUARTERS);
        match self {
            Self::Estimate => 4 * quarters,
            Self::Check => 4 * (quarters / 2),
        }
    }
}

fn groups(quarters: usize) -> impl Iterator<Item = usize> {
    WIDTHS.iter().flat_map(move |(width, share)| std::iter::repeat_n(*width, share * quarters))
}

/// Computes the parities of one side.
#[derive(Debug)]
pub struct Parities {
    bits: BitBlock,
    quarters: usize,
}

impl Job for Parities {
    type Output = (BitBlock, BitBlock);

    /// The bits, given back, and their parities.
    fn run(self, _bench: &mut Workbench) -> Self::Output {
        let mut places = Places::new(self.bits.len());
        let mut told = BitBlock::default();
        for width in groups(self.quarters) {
            told.push((0..width).fold(false, |parity, _| parity ^ self.bits.bit(places.next())));
        }
        (self.bits, told)
    }
}

/// Places that no one draws twice, as if at random: a stride would beat with errors that have a period.
struct Places {
    state: u64,
    drawn: BitBlock,
}

impl Places {
    fn new(length: usize) -> Self {
        Self { state: 0, drawn: BitBlock::zeros(length) }
    }

    /// At most a quarter of all places is ever drawn, so that few draws are in vain.
    fn next(&mut self) -> usize {
        loop {
            // Steele, Lea and Flood's generator (OOPSLA 2014): the places are public.
            self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            let scaled = u128::from(z ^ z >> 31) * self.drawn.len() as u128;
            let place = usize::try_from(scaled >> 64).expect("below the length");
            if !self.drawn.bit(place) {
                self.drawn.set(place, true);
                return place;
            }
        }
    }
}

/// Both sides leave with their bits and the estimate.
pub type Piloted = (BitBlock, Estimate);

/// The reference side: tells parities, hears how many differ.
#[derive(Debug)]
pub struct Reference {
    bits: BitBlock,
    quarters: usize,
}

impl Reference {
    /// Tells parities of the bits, as many as [`Depth::parities`] says.
    #[must_use]
    pub fn new(bits: BitBlock, depth: Depth) -> Self {
        let quarters = depth.parities(bits.len()) / 4;
        Self { bits, quarters }
    }
}

impl Stage for Reference {
    type Job = Parities;
    type Product = Piloted;

    fn start(mut self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let job = Parities { bits: std::mem::take(&mut self.bits), quarters: self.quarters };
        Ok(Step::Compute(self, job))
    }

    fn hear(self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let quarters = self.quarters;
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
    quarters: usize,
    theirs: BitBlock,
}

impl Corrector {
    /// Compares parities of the bits, as many as [`Depth::parities`] says.
    #[must_use]
    pub fn new(bits: BitBlock, depth: Depth) -> Self {
        let quarters = depth.parities(bits.len()) / 4;
        Self { bits, quarters, theirs: BitBlock::default() }
    }
}

impl Stage for Corrector {
    type Job = Parities;
    type Product = Piloted;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if self.quarters == 0 {
            return Err(too_few(self.bits.len()));
        }
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let wanted = 4 * self.quarters;
        self.theirs = message.bits(wanted, "pilot")?;
        message.end()?;
        if self.theirs.len() != wanted {
            return Err(Malformed::Field { field: "pilot" }.into());
        }
        out.ledger.disclose(Disclosure::PilotParity, wanted as u64);
        let job = Parities { bits: std::mem::take(&mut self.bits), quarters: self.quarters };
        Ok(Step::Compute(self, job))
    }

    fn done(self, (bits, ours): (BitBlock, BitBlock), out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let quarters = self.quarters;
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
        let usual = (log_rate - libm::log(USUAL.0)) / USUAL.1;
        differing.iter().zip(WIDTHS).map(term).sum::<f64>() - 0.5 * usual * usual
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
    let usual = libm::pow(qber * USUAL.1, -2.0);
    Estimate { qber, error: 1.0 / libm::sqrt(information.sum::<f64>() + usual) }
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
        let (mut reference, mut corrector) = (
            converse(Reference::new(alice, Depth::Estimate)),
            converse(Corrector::new(bob, Depth::Estimate)),
        );
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
            assert!(found.error < 0.25 * qber, "{found:?} for {qber} of {n} bits");
            let told = Depth::Estimate.parities(n) as u64;
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
        assert_eq!(Depth::Estimate.parities(591), 0, "none");
        let mut out = Outbox::new();
        let mut corrector = converse(Corrector::new(BitBlock::zeros(591), Depth::Estimate));
        assert!(corrector.start(&mut out).is_err(), "nothing to tell");
    }
}
