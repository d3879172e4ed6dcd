//! BB84's way to the meeting place, as one party sees it.
//!
//! ```text
//! body = 0 · frame:varint · positions         Bob, as soon as a frame is in
//!      | 1 · frames:varint                    Alice: so many frames are taken in (credit)
//!      | 2 · frame:varint · announcement      both, once all frames of the block are in
//!      | 3 · plan                             the reference side, once all counts are known
//!      | 4 · error rate:u32 (of 2^16 halves)  the correcting side, once every frame has ended
//! ```
//!
//! The last tells sixteen bits of the key's correlation, and is booked with as many. Later blocks choose their codes by
//! it: the test basis alone would not know that the key basis is worse aligned, nor the rate as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystill_kernels::clicks::Dead;
use keystill_kernels::wipe;

use crate::bits::{BitBlock, Llrs};
use crate::ledger::Disclosure;
use crate::protocol::{Desk, Kept, KeyLength, Lesson, Measured, Party, Recordable, Validity, Wing};
use crate::random::{Draw, Purpose, health};
use crate::reconcile::choice::{self, Choice, Conditions};
use crate::reconcile::{Plan, Reconciled, Task, interleave};
use crate::stage::{Abort, Computed, Fault, Role, Side};
use crate::wire::{Malformed, Reader, Writer};

use super::Bb84;
use super::frame::{AliceFrame, BobFrame};
use super::sift::{self, ByDetector, Record, Scratch, Sifted, Tally};

/// Frames that may be under way between the two sides before any is taken in.
const CREDIT: u64 = 64;

/// Raw data of either side.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Alice's settings.
    Alice(AliceFrame),
    /// Bob's detections.
    Bob(BobFrame),
}

impl Recordable for Frame {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        match self {
            Self::Alice(frame) => frame.write(&mut writer),
            Self::Bob(frame) => frame.write(&mut writer),
        }
        writer.finish()
    }

    fn decode(role: Role, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let frame = match role {
            Role::Alice => Self::Alice(AliceFrame::read(&mut reader)?),
            Role::Bob => Self::Bob(BobFrame::read(&mut reader)?),
        };
        reader.end()?;
        Ok(frame)
    }
}

/// Results of the wing's computations.
enum Done {
    Measured { body: Vec<u8>, frame: u64, record: Result<Record, Abort> },
    Prepared { frame: u64, record: Result<Record, Fault> },
    Announced { body: Vec<u8> },
    Sifted { frame: u64, sifted: Result<Sifted, Malformed> },
}

/// One party's half of one block.
#[derive(Debug)]
pub struct Bb84Wing {
    protocol: Arc<Bb84>,
    party: Party,
    /// Raw frames taken in.
    offered: u64,
    /// Frames that the peer has taken in.
    credited: u64,
    /// Bob: the first gate of his next frame at which both detectors are alive.
    live_from: u32,
    /// Alice: raw frames and positions that wait for each other.
    raw: BTreeMap<u64, AliceFrame>,
    positions: BTreeMap<u64, Vec<u8>>,
    /// Frames whose positions, and whose announcements, were heard: each may come once.
    positions_heard: BitBlock,
    announcements_heard: BitBlock,
    records: BTreeMap<u64, Arc<Record>>,
    recorded: u64,
    announced: bool,
    announcements: BTreeMap<u64, Vec<u8>>,
    sifted: BTreeMap<u64, Sifted>,
    key: Option<BitBlock>,
    tally: Tally,
    by_detector: ByDetector,
    plan: Option<Plan>,
    /// The plan and why it was chosen, for the block's record.
    choice: Option<String>,
    handed_over: bool,
    /// Frames handed over, and of them those that have ended.
    frames_handed: u32,
    frames_ended: u32,
    reconciled_bits: u64,
    corrected_errors: u64,
    /// The error rate of the key basis as it was told; 0 where no frame could be corrected.
    told_error_rate: Option<f64>,
}

/// What the message of the error rate tells.
const ERROR_RATE_BITS: u64 = 16;
/// It counts in this many parts of one half.
const ERROR_RATE_STEPS: f64 = 65_535.0;

impl Bb84Wing {
    pub(super) fn new(protocol: Arc<Bb84>, party: Party) -> Self {
        let frames = usize::try_from(protocol.frames_per_block).unwrap_or(usize::MAX);
        Self {
            // Whether a detector clicked just before the block is not known here: it may be dead.
            live_from: protocol.dead_gates,
            positions_heard: BitBlock::zeros(frames),
            announcements_heard: BitBlock::zeros(frames),
            protocol,
            party,
            offered: 0,
            credited: 0,
            raw: BTreeMap::new(),
            positions: BTreeMap::new(),
            records: BTreeMap::new(),
            recorded: 0,
            announced: false,
            announcements: BTreeMap::new(),
            sifted: BTreeMap::new(),
            key: None,
            tally: Tally::default(),
            by_detector: ByDetector::default(),
            plan: None,
            choice: None,
            handed_over: false,
            frames_handed: 0,
            frames_ended: 0,
            reconciled_bits: 0,
            corrected_errors: 0,
            told_error_rate: None,
        }
    }

    fn frames(&self) -> u64 {
        self.protocol.frames_per_block
    }

    // ---- intake

    fn measure(&mut self, mut frame: BobFrame, index: u64, desk: &mut Desk) -> Result<(), Fault> {
        let most = self.protocol.most_clicks_per_frame;
        let disorderly = move || Abort::Unusable {
            reason: format!(
                "detection frame {index} is not in order or has more than {most} clicks: check the detectors"
            ),
        };
        if frame.offsets.len() > most {
            return Err(disorderly().into());
        }
        let random = self.party.random.clone();
        let draw = Draw { block: self.party.block, purpose: Purpose::DoubleClick, index };
        let dead_gates = self.protocol.dead_gates;
        let live_from = std::mem::replace(&mut self.live_from, sift::live_from_next(&frame, dead_gates));
        desk.compute(move |bench| {
            let isa = bench.isa();
            let mut writer = Writer::with_capacity(sift::expected_positions(frame.offsets.len()));
            writer.u8(0).varint(index);
            let dead = Dead { gates: dead_gates, live_from };
            let coins = |bytes: &mut [u8]| random.draw(draw, bytes);
            let record = match sift::measure(isa, bench.scratch(), &frame, dead, coins, &mut writer) {
                Ok(record) => record.ok_or_else(disorderly),
                Err(failure) => Err(Abort::from(failure)),
            };
            wipe(&mut frame.clicks);
            Done::Measured { body: writer.finish(), frame: index, record }
        });
        Ok(())
    }

    /// Alice: reads the settings of the gates that clicked.
    fn prepare_if_met(&mut self, index: u64, desk: &mut Desk) {
        let (Some(_), Some(_)) = (self.raw.get(&index), self.positions.get(&index)) else { return };
        let (Some(mut raw), Some(positions)) = (self.raw.remove(&index), self.positions.remove(&index))
        else {
            return;
        };
        let most = self.protocol.most_clicks_per_frame;
        desk.compute(move |bench| {
            let isa = bench.isa();
            let Scratch { offsets, .. } = bench.scratch();
            let offsets = sift::read_positions(isa, Reader::new(&positions), raw.gates, most, offsets);
            let record =
                offsets.map_err(Fault::from).and_then(|offsets| Ok(Record::prepared(isa, &raw, offsets)?));
            raw.wipe();
            Done::Prepared { frame: index, record }
        });
    }

    fn record(&mut self, frame: u64, record: Record, desk: &mut Desk) {
        self.records.insert(frame, Arc::new(record));
        self.recorded += 1;
        if self.party.role == Role::Alice
            && (self.recorded.is_multiple_of(CREDIT / 4) || self.recorded == self.frames())
        {
            let mut writer = Writer::new();
            writer.u8(1).varint(self.recorded);
            desk.send(writer.finish());
        }
        self.announce_if_complete(desk);
    }

    // ---- sifting

    /// Tells bases only when the last gate of the block has passed on both sides: Bob has told all
    /// positions, Alice has heard them.
    fn announce_if_complete(&mut self, desk: &mut Desk) {
        if self.announced || self.recorded < self.frames() {
            return;
        }
        self.announced = true;
        for (frame, record) in &self.records {
            let (frame, record) = (*frame, record.clone());
            desk.compute(move |bench| {
                let mut writer = Writer::with_capacity(sift::longest_announcement(&record));
                let isa = bench.isa();
                sift::announce(isa, bench.scratch(), &record, writer.u8(2).varint(frame));
                Done::Announced { body: writer.finish() }
            });
        }
        let heard: Vec<u64> = self.announcements.keys().copied().collect();
        heard.into_iter().for_each(|frame| self.sift_if_met(frame, desk));
    }

    fn sift_if_met(&mut self, frame: u64, desk: &mut Desk) {
        if !self.announced {
            return;
        }
        let Some(record) = self.records.get(&frame).cloned() else { return };
        let Some(announcement) = self.announcements.remove(&frame) else { return };
        desk.compute(move |bench| {
            let isa = bench.isa();
            let sifted = sift::sift(isa, bench.scratch(), &record, Reader::new(&announcement));
            Done::Sifted { frame, sifted }
        });
    }

    fn sifted(&mut self, frame: u64, sifted: Sifted, desk: &mut Desk) -> Result<(), Fault> {
        self.records.remove(&frame);
        self.sifted.insert(frame, sifted);
        if (self.sifted.len() as u64) < self.frames() {
            return Ok(());
        }
        let bits = self.sifted.values().map(|sifted| sifted.bits.len()).sum();
        let mut key = BitBlock::with_capacity(bits);
        for sifted in std::mem::take(&mut self.sifted).into_values() {
            key.append(&sifted.bits);
            self.tally += sifted.tally;
            self.by_detector += sifted.by_detector;
        }
        health::raw_key(key.words(), key.len())
            .map_err(|implausible| Abort::Unusable { reason: implausible.to_string() })?;
        self.key = Some(key);
        if self.party.side::<Bb84>() == Side::Reference {
            let choice = self.choose_plan()?;
            let mut writer = Writer::new();
            writer.u8(3);
            choice.plan.write(&mut writer);
            desk.send(writer.finish());
            self.choice = Some(choice.to_string());
            self.plan = Some(choice.plan);
        }
        self.hand_over(desk)
    }

    // ---- handing over

    /// The code for this block, from its own test basis and what older blocks taught. Only the leak, never the
    /// security, depends on how near the guess is.
    fn choose_plan(&self) -> Result<Choice, Fault> {
        let bits = self.tally.key.iter().sum::<u64>();
        let events: u64 = self.tally.test.iter().sum();
        let Some(qber) = self.tally.test_qber().filter(|_| bits > 0) else {
            return Err(Abort::NoKey { reason: "no detections in one of the bases".into() }.into());
        };
        let bits = usize::try_from(bits).unwrap_or(usize::MAX);
        // The proof books both directions.
        let qber = (expected_error_rate(sample(qber, events), self.party.lesson)
            * (1.0 + self.protocol.code_margin))
            .max(1e-4);
        let bits_per_s = if self.protocol.block_s > 0.0 { bits as f64 / self.protocol.block_s } else { 0.0 };
        let conditions = Conditions {
            bits,
            qber,
            round_trip_s: self.protocol.round_trip_s,
            bits_per_s,
            // All of a block is under way at once.
            window_bits: bits as f64,
            ..Conditions::default()
        };
        Ok(choice::choose(self.protocol.method, &conditions)?)
    }

    /// Why the peer chose this plan: both sides hold the same counts, so the choice can be made again.
    fn choice_of(&self, plan: &Plan) -> String {
        let spelled = |plan: &Plan| {
            let mut writer = Writer::new();
            plan.write(&mut writer);
            writer.finish()
        };
        match self.choose_plan() {
            Ok(choice) if spelled(&choice.plan) == spelled(plan) => choice.to_string(),
            _ => format!("{} in frames of {} bits: the peer's choice", plan.method(), plan.frame_bits()),
        }
    }

    fn tell_error_rate(&mut self, desk: &mut Desk) {
        let rate = self.corrected_errors as f64 / self.reconciled_bits.max(1) as f64;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 65 535")]
        let steps = libm::round((2.0 * rate).min(1.0) * ERROR_RATE_STEPS) as u32;
        let mut writer = Writer::new();
        writer.u8(4).u32(steps);
        desk.send(writer.finish());
        self.note_error_rate(steps, desk);
    }

    fn note_error_rate(&mut self, steps: u32, desk: &mut Desk) {
        desk.disclose(Disclosure::ErrorRate, ERROR_RATE_BITS);
        self.told_error_rate = Some(f64::from(steps) / (2.0 * ERROR_RATE_STEPS));
    }

    fn hand_over(&mut self, desk: &mut Desk) -> Result<(), Fault> {
        let (Some(key), Some(plan)) = (&self.key, &self.plan) else { return Ok(()) };
        if self.choice.is_none() {
            self.choice = Some(self.choice_of(plan));
        }
        let frame_bits = plan.frame_bits();
        // Bursts and drifts fall on all frames alike.
        let mut key = interleave::scatter(key);
        let bits_in_all = key.len();
        let error_probability = self.tally.test_qber().unwrap_or(0.5).max(1e-4);
        for (frame, start) in (0..bits_in_all).step_by(frame_bits).enumerate() {
            let bits = if bits_in_all <= frame_bits {
                std::mem::take(&mut key)
            } else {
                key.slice(start..(start + frame_bits).min(bits_in_all))
            };
            let frame = u32::try_from(frame).map_err(|_| Malformed::Field { field: "frame" })?;
            let task = match self.party.side::<Bb84>() {
                Side::Reference => Task::reference(plan, bits)?,
                Side::Corrector => Task::corrector(plan, Llrs::Hard { bits, error_probability })?,
            };
            desk.reconcile(frame, task);
            self.frames_handed += 1;
        }
        self.key = None;
        self.handed_over = true;
        Ok(())
    }
}

/// The error rate of a sample and its standard error.
fn sample(rate: f64, events: u64) -> Measured {
    Measured { value: rate, error: libm::sqrt(rate * (1.0 - rate) / events as f64) }
}

/// The error rate that a code should correct, by the test basis of the block and the lesson of an older one.
///
/// Without a lesson: a standard error and a half above the sample. With one, the key basis keeps its distance to the
/// test basis; and while the latter stands still, within three standard errors, so does the former, and what was
/// counted over all of the key says it better than the sample.
fn expected_error_rate(now: Measured, lesson: Option<Lesson>) -> f64 {
    let guarded = now.value + 1.5 * now.error;
    match lesson.filter(|lesson| lesson.error_rate > 0.0 && lesson.sample.value > 0.0) {
        None => guarded,
        Some(then) if then.sample.deviations_to(now).abs() < 3.0 => then.error_rate + 0.5 * now.error,
        Some(then) => guarded * (then.error_rate / then.sample.value).clamp(0.2, 5.0),
    }
}

impl Drop for Bb84Wing {
    fn drop(&mut self) {
        self.raw.values_mut().for_each(AliceFrame::wipe);
    }
}

/// Notes that a frame was spoken of; false if it was before, or if there is no such frame.
fn first_time(heard: &mut BitBlock, frame: u64) -> bool {
    let place = usize::try_from(frame).unwrap_or(usize::MAX);
    let first = place < heard.len() && !heard.bit(place);
    if first {
        heard.set(place, true);
    }
    first
}

impl Wing for Bb84Wing {
    type Frame = Frame;

    fn has_room(&self) -> bool {
        self.offered < self.frames()
            && match self.party.role {
                Role::Alice => (self.raw.len() as u64) < CREDIT,
                Role::Bob => self.offered < self.credited + CREDIT,
            }
    }

    fn offer(&mut self, frame: Frame, desk: &mut Desk) -> Result<(), Fault> {
        let index = self.offered;
        self.offered += 1;
        // A block that could not become key need not be distilled.
        Validity::epsilon(self.protocol.calibration.as_ref(), self.party.block, self.protocol.epsilon)?;
        match (frame, self.party.role) {
            (Frame::Alice(raw), Role::Alice) => {
                self.raw.insert(index, raw);
                self.prepare_if_met(index, desk);
                Ok(())
            }
            (Frame::Bob(raw), Role::Bob) => self.measure(raw, index, desk),
            _ => Err(Abort::Unusable { reason: "a frame of the other party was offered".into() }.into()),
        }
    }

    fn hear(&mut self, mut message: Reader<'_>, desk: &mut Desk) -> Result<(), Fault> {
        let kind = message.u8()?;
        let out_of_turn = || Fault::Peer(Malformed::Field { field: "wing message" });
        if kind == 3 {
            let plan = Plan::read(&mut message)?;
            message.end()?;
            let wanted =
                self.party.side::<Bb84>() == Side::Corrector && self.plan.is_none() && !self.handed_over;
            self.plan = Some(plan).filter(|_| wanted);
            return if wanted { self.hand_over(desk) } else { Err(out_of_turn()) };
        }
        if kind == 4 {
            let steps = message.u32()?;
            message.end()?;
            let wanted = self.party.side::<Bb84>() == Side::Reference
                && self.handed_over
                && self.told_error_rate.is_none()
                && f64::from(steps) <= ERROR_RATE_STEPS;
            if !wanted {
                return Err(out_of_turn());
            }
            self.note_error_rate(steps, desk);
            return Ok(());
        }
        let number = message.varint()?;
        match (kind, self.party.role) {
            (0, Role::Alice) => {
                if number >= self.recorded + 2 * CREDIT || !first_time(&mut self.positions_heard, number) {
                    return Err(out_of_turn());
                }
                self.positions.insert(number, message.bytes(message.remaining())?.to_vec());
                self.prepare_if_met(number, desk);
                Ok(())
            }
            (1, Role::Bob) if number <= self.offered && number > self.credited => {
                self.credited = number;
                Ok(message.end()?)
            }
            (2, _) => {
                if !first_time(&mut self.announcements_heard, number) {
                    return Err(out_of_turn());
                }
                self.announcements.insert(number, message.bytes(message.remaining())?.to_vec());
                self.sift_if_met(number, desk);
                Ok(())
            }
            _ => Err(out_of_turn()),
        }
    }

    fn done(&mut self, result: Computed, desk: &mut Desk) -> Result<(), Fault> {
        let result = result.take::<Done>().expect("the wing's own computations come back to it");
        match result {
            Done::Measured { body, frame, record } => {
                let record = record?;
                desk.send(body);
                self.record(frame, record, desk);
                Ok(())
            }
            Done::Prepared { frame, record } => {
                self.record(frame, record?, desk);
                Ok(())
            }
            Done::Announced { body } => {
                desk.send(body);
                Ok(())
            }
            Done::Sifted { frame, sifted } => self.sifted(frame, sifted?, desk),
        }
    }

    fn reconciled(&mut self, _frame: u32, outcome: &Reconciled, desk: &mut Desk) -> Result<(), Fault> {
        if let Some(bits) = &outcome.bits {
            self.reconciled_bits += bits.len() as u64;
            self.corrected_errors += outcome.effort.corrected_errors;
        }
        self.frames_ended += 1;
        if self.party.side::<Bb84>() == Side::Corrector && self.frames_ended == self.frames_handed {
            self.tell_error_rate(desk);
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.handed_over && self.told_error_rate.is_some()
    }

    fn key_length(&self, kept: &Kept<'_>) -> Result<KeyLength, Abort> {
        self.protocol.key_length(self.party.block, &self.tally, kept)
    }

    fn choice(&self) -> Option<String> {
        self.choice.clone()
    }

    fn lesson(&self) -> Option<Lesson> {
        let events = self.tally.test.iter().sum();
        let error_rate = self.told_error_rate.filter(|rate| *rate > 0.0)?;
        self.tally.test_qber().map(|rate| Lesson { error_rate, sample: sample(rate, events) })
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let mut figures = vec![
            ("clicks", self.tally.clicks as f64),
            ("sifted_bits", self.tally.key.iter().sum::<u64>() as f64),
        ];
        figures.extend(self.tally.test_qber().map(|qber| ("test_qber", qber)));
        if self.party.side::<Bb84>() == Side::Corrector && self.reconciled_bits > 0 {
            figures.push(("qber", self.corrected_errors as f64 / self.reconciled_bits as f64));
        } else {
            figures.extend(self.told_error_rate.map(|told| ("qber", told)));
        }
        figures
    }

    fn feedback(&self) -> Vec<(&'static str, f64)> {
        if self.tally.clicks > 0 { self.by_detector.readings() } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests;
