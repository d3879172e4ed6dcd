//! CV-QKD's way to the meeting place, as one party sees it.
//!
//! Bob's outcomes are the reference (reverse reconciliation). Frames are reconciled while the block
//! is still being taken in:
//!
//! ```text
//! body = 0 · calibration · sample                 Bob: the block's first symbols, disclosed, for the choice of rate
//!      | 1 · plan                                 Alice, from the sample
//!      | 2 · frame:varint · side information      Bob: rotations, norms, what quantising them cost; not with slices
//!      | 3 · frame:varint · quadratures           Bob: a frame that could not be corrected, opened
//!      | 4 · tally · tally                        Alice: the sums over sample and all frames, and over the earlier half
//! ```
//!
//! The sample serves the rate only. The certified transmittance and excess noise come from all
//! frames: corrected ones, from which Alice rebuilds Bob's quadratures, and failed ones, which Bob
//! opens and which leave the key. Symbols at the end of a block that do not fill a frame are dropped
//! by both, whatever they hold.
//!
//! Where the plan is one of slices, the frames' whole conversation is that of [`slices`]: Bob cuts a frame and hands it
//! over, Alice hands hers over as it comes in, and what is told of where in a slice a value lies comes with the syndromes.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::bits::{BitBlock, Llrs, Wiped};
use crate::protocol::{Course, Desk, Kept, KeyLength, Party, Recordable, Validity, Wing};
use crate::random::{Draw, Purpose};
use crate::reconcile::gaussian::{self, Conditions};
use crate::reconcile::slices::{self, Evidence};
use crate::reconcile::{Plan, Reconciled, Task};
use crate::stage::{Abort, Computed, Fault, Role};
use crate::wire::{Malformed, Reader, Writer};

use super::Cv;
use super::estimate::{ChannelEstimate, Receiver, ShotUnit, Tally};
use super::frame::{AliceFrame, BobFrame, CalibrationRecord, read_frame, write_frame};
use super::offsets;
use super::rotation::{self, Channel, Dimension, SideInfo};

/// Frames between Bob's rotation and Alice's verdict.
const UNDER_WAY: usize = 8;

/// In shot-noise units: a hundred thousand times the vacuum's is no signal of a QKD receiver.
const LARGEST_QUADRATURE: f32 = 1e5;

/// Raw data of either side.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Alice's modulation.
    Alice(AliceFrame),
    /// Bob's outcomes.
    Bob(BobFrame),
}

impl Recordable for Frame {
    fn encode(&self) -> Vec<u8> {
        let (Self::Alice(AliceFrame { first_symbol, quadratures })
        | Self::Bob(BobFrame { first_symbol, quadratures })) = self;
        let mut writer = Writer::new();
        write_frame(*first_symbol, quadratures, &mut writer);
        writer.finish()
    }

    fn decode(role: Role, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (first_symbol, quadratures) = read_frame(&mut reader)?;
        reader.end()?;
        Ok(match role {
            Role::Alice => Self::Alice(AliceFrame { first_symbol, quadratures }),
            Role::Bob => Self::Bob(BobFrame { first_symbol, quadratures }),
        })
    }
}

/// Results of the wing's computations.
enum Done {
    Sampled { tally: Result<Tally, Abort>, phase_offset_rad: f64 },
    Hardened { frame: u32, hardened: Result<Hardened, Abort> },
    Softened { frame: u32, softened: Result<(Llrs, SideInfo), Fault> },
    Tallied { frame: u32, tally: Result<Tally, Abort> },
}

struct Hardened {
    /// The message of the side information of rotations; slices tell theirs with the syndromes.
    side: Option<Vec<u8>>,
    bits: BitBlock,
    quadratures: Arc<Wiped<f32>>,
}

/// Alice's data of a frame until its reconciliation has ended.
struct Held {
    x: Arc<Wiped<f32>>,
    /// Whether the side information came, and once it was read.
    side_heard: bool,
    side: Option<SideInfo>,
}

/// Quadratures that no frame has taken yet, as they came.
#[derive(Default)]
struct Waiting {
    pieces: VecDeque<Wiped<f32>>,
    /// Quadratures of the first piece that were taken.
    taken: usize,
    count: usize,
}

impl Waiting {
    fn len(&self) -> usize {
        self.count
    }

    fn push(&mut self, piece: Wiped<f32>) {
        self.count += piece.len();
        self.pieces.push_back(piece);
    }

    /// The oldest `count`, or as many as there are.
    fn take(&mut self, count: usize) -> Vec<f32> {
        let mut taken = Vec::with_capacity(count.min(self.count));
        while let Some(piece) = self.pieces.front().filter(|_| taken.len() < count) {
            let rest = &piece[self.taken..];
            let here = rest.len().min(count - taken.len());
            taken.extend_from_slice(&rest[..here]);
            self.taken += here;
            if self.taken == piece.len() {
                self.taken = 0;
                self.pieces.pop_front();
            }
        }
        self.count -= taken.len();
        taken
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// One party's half of one block. Its `Debug` shows counts only.
pub struct CvWing {
    protocol: Arc<Cv>,
    party: Party,
    offered: u64,
    /// Quadratures that no frame has taken yet, in shot-noise units.
    buffer: Waiting,
    calibration: Option<CalibrationRecord>,
    /// Our quadratures of the sample, until they were compared; Bob's that came before ours.
    sample: Option<Vec<f32>>,
    sample_heard: Option<Vec<f32>>,
    sample_taken: bool,
    sample_tally: Option<Tally>,
    estimate: Option<ChannelEstimate>,
    plan: Option<Plan>,
    /// Why this plan.
    choice: Option<String>,
    next_frame: u32,
    /// Bob: quadratures of frames under way, to be opened if they fail.
    opened_if_failed: BTreeMap<u32, Arc<Wiped<f32>>>,
    hardening: usize,
    /// Alice: her data of frames under way; side information that came before them.
    held: BTreeMap<u32, Held>,
    early: BTreeMap<u32, Vec<u8>>,
    tallies: BTreeMap<u32, Tally>,
    tally: Option<Tally>,
    /// That of the sample and the first half of the frames.
    earlier: Option<Tally>,
    reconciled: u32,
    failed: u32,
    /// Offsets of the sample, by the names of records.
    feedback: Vec<(&'static str, f64)>,
}

impl CvWing {
    pub(super) fn new(protocol: Arc<Cv>, party: Party) -> Self {
        let calibration = protocol.calibration.filter(|_| party.role == Role::Bob);
        Self {
            protocol,
            party,
            offered: 0,
            buffer: Waiting::default(),
            calibration,
            sample: None,
            sample_heard: None,
            sample_taken: false,
            sample_tally: None,
            estimate: None,
            plan: None,
            choice: None,
            next_frame: 0,
            opened_if_failed: BTreeMap::new(),
            hardening: 0,
            held: BTreeMap::new(),
            early: BTreeMap::new(),
            tallies: BTreeMap::new(),
            tally: None,
            earlier: None,
            reconciled: 0,
            failed: 0,
            feedback: Vec::new(),
        }
    }

    /// Quadratures of the block behind the sample.
    fn quadratures(&self) -> u64 {
        2 * self.protocol.block_symbols().saturating_sub(self.protocol.sample_symbols as u64)
    }

    /// Frames that the block holds under a plan.
    fn frames(&self, plan: &Plan) -> u32 {
        u32::try_from(self.quadratures() / plan.frame_symbols() as u64).unwrap_or(u32::MAX)
    }

    // ---- sample and plan

    fn sample_if_full(&mut self, desk: &mut Desk) -> Result<(), Fault> {
        let wanted = 2 * self.protocol.sample_symbols;
        if self.sample_taken || self.buffer.len() < wanted {
            return Ok(());
        }
        self.sample_taken = true;
        let sample = self.buffer.take(wanted);
        match self.party.role {
            Role::Bob => {
                self.feedback.extend(offsets::means(&sample));
                desk.send(self.sample_message(&sample)?);
            }
            Role::Alice => {
                self.sample = Some(sample);
                self.compare_samples(desk);
            }
        }
        Ok(())
    }

    fn sample_message(&self, sample: &[f32]) -> Result<Vec<u8>, Fault> {
        let calibration = self.calibration.ok_or_else(|| uncalibrated("Bob has no calibration record"))?;
        let mut writer = Writer::new();
        writer.u8(0);
        calibration.write(&mut writer);
        write_quadratures(sample, &mut writer);
        Ok(writer.finish())
    }

    fn hear_sample(&mut self, mut message: Reader<'_>, desk: &mut Desk) -> Result<(), Fault> {
        let calibration = CalibrationRecord::read(&mut message)?;
        let y = read_quadratures(&mut message, 2 * self.protocol.sample_symbols)?;
        message.end()?;
        if self.calibration.replace(calibration).is_some() {
            return Err(out_of_turn());
        }
        self.feedback.extend(offsets::means(&y));
        self.sample_heard = Some(y);
        self.compare_samples(desk);
        Ok(())
    }

    /// Alice: estimates the channel on the sample, once she has both halves of it.
    fn compare_samples(&mut self, desk: &mut Desk) {
        if self.sample.is_none() || self.sample_heard.is_none() {
            return;
        }
        if let (Some(x), Some(y)) = (self.sample.take(), self.sample_heard.take()) {
            desk.compute(move |bench| Done::Sampled {
                tally: Tally::of_sample(bench.isa(), &x, &y),
                phase_offset_rad: offsets::phase_rad(&x, &y),
            });
        }
    }

    /// Alice: chooses the rate, at the lower end of what the sample allows.
    fn sampled(&mut self, tally: Tally, desk: &mut Desk) -> Result<(), Fault> {
        let estimate = self.estimate_from(&tally)?;
        let conditions = Conditions {
            snr: estimate.cautious_snr(),
            deviation: tally.deviation(),
            symbols: usize::try_from(self.quadratures()).unwrap_or(usize::MAX),
        };
        let choice = gaussian::choose(self.protocol.method, &conditions)?;
        let mut writer = Writer::new();
        choice.plan.write(writer.u8(1));
        desk.send(writer.finish());
        self.sample_tally = Some(tally);
        self.estimate = Some(estimate);
        self.choice = Some(choice.to_string());
        self.plan = Some(choice.plan);
        self.cut_frames(desk)
    }

    fn estimate_from(&self, tally: &Tally) -> Result<ChannelEstimate, Fault> {
        let calibration = self.calibration.ok_or_else(|| uncalibrated("no calibration record was heard"))?;
        let efficiency = 0.5 * (self.protocol.efficiency[0] + self.protocol.efficiency[1]);
        let receiver = Receiver { efficiency, shot: ShotUnit::new(&calibration)? };
        let estimate = tally.estimate(&receiver)?;
        estimate.possible()?;
        Ok(estimate)
    }

    // ---- frames

    /// Cuts as many frames from the buffer as the window allows.
    fn cut_frames(&mut self, desk: &mut Desk) -> Result<(), Fault> {
        let Some(plan) = self.plan.clone() else { return Ok(()) };
        let (size, frames) = (plan.frame_symbols(), self.frames(&plan));
        while self.next_frame < frames && self.buffer.len() >= size && self.under_way() < UNDER_WAY {
            let frame = self.next_frame;
            self.next_frame += 1;
            let quadratures = Arc::new(Wiped(self.buffer.take(size)));
            match self.party.role {
                Role::Bob => self.harden(&plan, frame, quadratures, desk),
                Role::Alice => {
                    if let Plan::Slices(_) = plan {
                        desk.reconcile(frame, Task::sliced(&plan, self.evidence(&quadratures)?)?);
                    }
                    self.held.insert(frame, Held { x: quadratures, side_heard: false, side: None });
                    if let Some(side) = self.early.remove(&frame) {
                        self.soften(&plan, frame, side, desk)?;
                    }
                }
            }
        }
        if self.next_frame == frames && self.offered == self.protocol.frames_per_block {
            self.buffer.clear();
        }
        self.finish_if_tallied(desk)
    }

    fn under_way(&self) -> usize {
        match self.party.role {
            Role::Bob => self.opened_if_failed.len() + self.hardening,
            Role::Alice => self.held.len(),
        }
    }

    /// Alice: what she holds of a frame.
    fn evidence(&self, quadratures: &[f32]) -> Result<Evidence, Fault> {
        let Some(estimate) = self.estimate else { return Err(out_of_turn()) };
        Ok(Evidence::new(quadratures.to_vec(), estimate.gain, estimate.variance))
    }

    /// Bob: maps uniform bits on his quadratures, or cuts them into slices.
    fn harden(&mut self, plan: &Plan, frame: u32, quadratures: Arc<Wiped<f32>>, desk: &mut Desk) {
        self.hardening += 1;
        if let Plan::Slices(plan) = *plan {
            desk.compute(move |bench| {
                let cut = slices::cut(bench, &plan, &quadratures);
                Done::Hardened { frame, hardened: cut.map(|bits| Hardened { side: None, bits, quadratures }) }
            });
            return;
        }
        let random = self.party.random.clone();
        let draw = Draw { block: self.party.block, purpose: Purpose::KeyBits, index: frame.into() };
        desk.compute(move |bench| {
            let mut bytes = Wiped(vec![0; quadratures.len().div_ceil(8)]);
            let drawn = random.draw(draw, &mut bytes.0);
            let bits = BitBlock::from_bytes(&bytes, quadratures.len());
            let side = rotation::harden(bench.isa(), Dimension::Eight, &quadratures, &bits);
            let hardened = drawn.map_err(Abort::from).and(side);
            let hardened = hardened.map(|side| {
                let mut writer = Writer::with_capacity(quadratures.len());
                side.write(writer.u8(2).varint(frame.into()));
                Hardened { side: Some(writer.finish()), bits, quadratures }
            });
            Done::Hardened { frame, hardened }
        });
    }

    fn hardened(&mut self, frame: u32, hardened: Hardened, desk: &mut Desk) -> Result<(), Fault> {
        let Some(plan) = self.plan.clone() else { return Err(out_of_turn()) };
        self.hardening -= 1;
        if let Some(side) = hardened.side {
            desk.send(side);
        }
        self.opened_if_failed.insert(frame, hardened.quadratures);
        desk.reconcile(frame, Task::reference(&plan, hardened.bits)?);
        Ok(())
    }

    /// Alice: turns her quadratures and the side information into soft bits.
    fn soften(&mut self, plan: &Plan, frame: u32, told: Vec<u8>, desk: &mut Desk) -> Result<(), Fault> {
        let Some(estimate) = self.estimate else { return Err(out_of_turn()) };
        let Some(held) = self.held.get_mut(&frame).filter(|held| !held.side_heard) else {
            let bound = self.early.len() <= 2 * UNDER_WAY && frame >= self.next_frame;
            let first = bound && self.early.insert(frame, told).is_none();
            return if first { Ok(()) } else { Err(out_of_turn()) };
        };
        held.side_heard = true;
        let (x, size) = (held.x.clone(), plan.frame_bits());
        let channel = Channel { gain: estimate.gain, variance: estimate.variance };
        desk.compute(move |bench| {
            let mut told = Reader::new(&told);
            let side = SideInfo::read(&mut told, size).and_then(|side| told.end().map(|()| side));
            let softened = side.map_err(Fault::from).and_then(|side| {
                let llrs = rotation::soften(bench.isa(), &side, &x, channel)?;
                Ok((llrs, side))
            });
            Done::Softened { frame, softened }
        });
        Ok(())
    }

    /// Alice: Bob's quadratures of a frame as its bits give them back, against hers.
    fn rebuild(&mut self, frame: u32, bits: &BitBlock, desk: &mut Desk) -> Result<(), Fault> {
        let Some(Held { x, side, .. }) = self.held.remove(&frame) else { return Err(out_of_turn()) };
        let bits = BitBlock::from_words(bits.words().to_vec(), bits.len());
        if let Some(Plan::Slices(plan)) = self.plan {
            desk.compute(move |bench| {
                let rebuilt = slices::rebuild(bench, &plan, &bits).map(|(y, sums)| (Wiped(y), sums));
                let tally = rebuilt.and_then(|(y, sums)| Tally::of_rebuilt(bench.isa(), &x, &y, sums));
                Done::Tallied { frame, tally }
            });
            return Ok(());
        }
        let Some(side) = side else { return Err(out_of_turn()) };
        desk.compute(move |bench| Done::Tallied {
            frame,
            tally: Tally::of_bits(bench.isa(), &x, &bits, &side),
        });
        Ok(())
    }

    fn hear_opened(&mut self, frame: u32, mut message: Reader<'_>, desk: &mut Desk) -> Result<(), Fault> {
        let Some(Held { x, .. }) = self.held.remove(&frame) else { return Err(out_of_turn()) };
        let y = read_quadratures(&mut message, x.len())?;
        message.end()?;
        desk.compute(move |bench| Done::Tallied { frame, tally: Tally::of_sample(bench.isa(), &x, &y) });
        Ok(())
    }

    /// Alice: when every frame is counted, tells the sums.
    fn finish_if_tallied(&mut self, desk: &mut Desk) -> Result<(), Fault> {
        let (Some(plan), Some(sample), None, Role::Alice) =
            (&self.plan, &self.sample_tally, &self.tally, self.party.role)
        else {
            return Ok(());
        };
        if self.offered < self.protocol.frames_per_block
            || (self.tallies.len() as u64) < u64::from(self.frames(plan))
        {
            return Ok(());
        }
        let half = self.frames(plan) / 2;
        let (mut tally, mut earlier) = (*sample, *sample);
        for (frame, part) in std::mem::take(&mut self.tallies) {
            tally += part;
            if frame < half {
                earlier += part;
            }
        }
        let mut writer = Writer::new();
        tally.write(writer.u8(4));
        earlier.write(&mut writer);
        desk.send(writer.finish());
        self.tallied(tally, earlier)
    }

    fn tallied(&mut self, tally: Tally, earlier: Tally) -> Result<(), Fault> {
        self.estimate = Some(self.estimate_from(&tally)?);
        (self.tally, self.earlier) = (Some(tally), Some(earlier));
        Ok(())
    }
}

impl fmt::Debug for CvWing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CvWing({:?}, block {}: {} raw frames, {} quadratures waiting, {} frames reconciled, {} failed)",
            self.party.role,
            self.party.block,
            self.offered,
            self.buffer.len(),
            self.reconciled,
            self.failed
        )
    }
}

fn out_of_turn() -> Fault {
    Fault::Peer(Malformed::Field { field: "wing message" })
}

fn uncalibrated(reason: &str) -> Fault {
    Abort::Unusable { reason: reason.to_owned() }.into()
}

/// Whether all are numbers that a receiver can give. Looks at all of them: the compiler makes vectors of that.
fn are_possible(quadratures: &[f32]) -> bool {
    quadratures.iter().fold(true, |possible, value| possible & (value.abs() < LARGEST_QUADRATURE))
}

fn write_quadratures(quadratures: &[f32], writer: &mut Writer) {
    for value in quadratures {
        writer.bytes(&value.to_le_bytes());
    }
}

fn read_quadratures(reader: &mut Reader<'_>, count: usize) -> Result<Vec<f32>, Malformed> {
    let bytes = reader.bytes(4 * count)?;
    let values =
        bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
    let values: Vec<f32> = values.collect();
    if are_possible(&values) { Ok(values) } else { Err(Malformed::Field { field: "quadratures" }) }
}

impl Wing for CvWing {
    type Frame = Frame;

    fn has_room(&self) -> bool {
        self.offered < self.protocol.frames_per_block && self.buffer.len() < self.protocol.most_buffered()
    }

    fn offer(&mut self, frame: Frame, desk: &mut Desk) -> Result<(), Fault> {
        self.offered += 1;
        // A block that could not become key need not be distilled.
        Validity::epsilon(self.protocol.validity.as_ref(), self.party.block, self.protocol.epsilon)?;
        let mut quadratures = Wiped(match (frame, self.party.role, &self.calibration) {
            (Frame::Alice(frame), Role::Alice, _) => frame.quadratures,
            (Frame::Bob(frame), Role::Bob, Some(_)) => frame.quadratures,
            (Frame::Bob(_), Role::Bob, None) => return Err(uncalibrated("Bob has no calibration record")),
            _ => return Err(uncalibrated("a frame of the other party was offered")),
        });
        if let Some(calibration) = self.calibration.filter(|_| self.party.role == Role::Bob) {
            ShotUnit::new(&calibration)?.normalise(&mut quadratures.0);
        }
        if !are_possible(&quadratures) {
            return Err(uncalibrated("a quadrature is not a number or far out of range: check the receiver"));
        }
        self.buffer.push(quadratures);
        self.sample_if_full(desk)?;
        self.cut_frames(desk)
    }

    fn hear(&mut self, mut message: Reader<'_>, desk: &mut Desk) -> Result<(), Fault> {
        match (message.u8()?, self.party.role) {
            (0, Role::Alice) => self.hear_sample(message, desk),
            (1, Role::Bob) if self.plan.is_none() && self.sample_taken => {
                let plan = Plan::read(&mut message)?;
                message.end()?;
                let soft = matches!(plan, Plan::Leaf(_) | Plan::Slices(_));
                if !soft || plan.frame_symbols() > self.protocol.most_frame_bits() {
                    return Err(out_of_turn());
                }
                self.choice = Some(format!(
                    "{} in frames of {} quadratures at rate {:.4}: the peer's choice",
                    plan.method(),
                    plan.frame_symbols(),
                    plan.rate()
                ));
                self.plan = Some(plan);
                self.cut_frames(desk)
            }
            (2, Role::Alice) => {
                let frame = u32::try_from(message.varint()?).map_err(|_| out_of_turn())?;
                let Some(plan @ Plan::Leaf(_)) = self.plan.clone() else { return Err(out_of_turn()) };
                let told = message.bytes(message.remaining())?.to_vec();
                self.soften(&plan, frame, told, desk)
            }
            (3, Role::Alice) => {
                let frame = u32::try_from(message.varint()?).map_err(|_| out_of_turn())?;
                self.hear_opened(frame, message, desk)
            }
            (4, Role::Bob) if self.tally.is_none() => {
                let (tally, earlier) = (Tally::read(&mut message)?, Tally::read(&mut message)?);
                message.end()?;
                self.tallied(tally, earlier)
            }
            _ => Err(out_of_turn()),
        }
    }

    fn done(&mut self, result: Computed, desk: &mut Desk) -> Result<(), Fault> {
        let result = result.take::<Done>().expect("the wing's own computations come back to it");
        match result {
            Done::Sampled { tally, phase_offset_rad } => {
                self.feedback.push(("phase_offset_rad", phase_offset_rad));
                self.sampled(tally?, desk)
            }
            Done::Hardened { frame, hardened } => self.hardened(frame, hardened?, desk),
            Done::Softened { frame, softened } => {
                let Some(plan) = self.plan.clone() else { return Err(out_of_turn()) };
                let (llrs, side) = softened?;
                if let Some(held) = self.held.get_mut(&frame) {
                    held.side = Some(side);
                }
                desk.reconcile(frame, Task::corrector(&plan, llrs)?);
                Ok(())
            }
            Done::Tallied { frame, tally } => {
                self.tallies.insert(frame, tally?);
                self.cut_frames(desk)
            }
        }
    }

    fn reconciled(&mut self, frame: u32, outcome: &Reconciled, desk: &mut Desk) -> Result<(), Fault> {
        self.reconciled += 1;
        self.failed += u32::from(outcome.bits.is_none());
        match (self.party.role, &outcome.bits) {
            (Role::Alice, Some(bits)) => self.rebuild(frame, bits, desk),
            // She waits for Bob to open it.
            (Role::Alice, None) => Ok(()),
            (Role::Bob, bits) => {
                let quadratures = self.opened_if_failed.remove(&frame);
                if let (None, Some(quadratures)) = (bits, quadratures) {
                    let mut writer = Writer::new();
                    writer.u8(3).varint(frame.into());
                    write_quadratures(&quadratures, &mut writer);
                    desk.send(writer.finish());
                }
                self.cut_frames(desk)
            }
        }
    }

    fn is_complete(&self) -> bool {
        let all = self.plan.as_ref().is_some_and(|plan| self.reconciled == self.frames(plan));
        all && self.tally.is_some()
    }

    fn key_length(&self, kept: &Kept<'_>) -> Result<KeyLength, Abort> {
        let (Some(tally), Some(calibration), Some(plan)) = (&self.tally, &self.calibration, &self.plan)
        else {
            return Err(Abort::NoKey { reason: "the block was not counted".into() });
        };
        // The sums were rebuilt from these frames too, and of one that verification found different they are wrong.
        if kept.frames.len() as u64 != u64::from(self.reconciled - self.failed) {
            return Err(Abort::Unverified);
        }
        let length = self.protocol.key_length(self.party.block, tally, calibration, plan, kept)?;
        Ok(self.protocol.with_course(length, tally, self.earlier.as_ref()))
    }

    fn choice(&self) -> Option<String> {
        self.choice.clone()
    }

    fn course(&self) -> Option<Course> {
        self.protocol.course(self.tally.as_ref()?, self.earlier.as_ref()?)
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let mut figures = Vec::new();
        if let Some(plan) = &self.plan {
            figures.push(("sifted_bits", f64::from(self.reconciled) * plan.frame_symbols() as f64));
            figures.push(("rate", plan.rate()));
        }
        if let Some(estimate) = &self.estimate {
            figures.push(("transmittance", estimate.transmittance()));
            figures.push(("transmittance_error", estimate.transmittance_error()));
            figures.push(("excess_noise_snu", estimate.excess_noise()));
            figures.push(("excess_noise_error_snu", estimate.excess_noise_error()));
            figures.push(("snr", estimate.snr()));
        }
        if let Some(course) = self.course() {
            figures.push(("transmittance_earlier", course.earlier.value));
            figures.push(("transmittance_later", course.later.value));
        }
        figures
    }

    fn feedback(&self) -> Vec<(&'static str, f64)> {
        self.feedback.clone()
    }
}

#[cfg(test)]
mod tests;
