//! Quadratures of both sides on their way to key: every message is written, read and booked as between two
//! machines.
//!
//! The first symbols are disclosed and give the rate. Every frame then goes its way through rotation, soft
//! bits, syndrome and decoder; frames that fail are opened, leave the key, and count for the estimate
//! as all others do. What is verified is hashed to the length that the proof leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::amplify::{Amplification, Amplifier};
use keystill::bits::BitBlock;
use keystill::cv::Cv;
use keystill::cv::estimate::{ChannelEstimate, Receiver, ShotUnit, Tally};
use keystill::cv::frame::CalibrationRecord;
use keystill::cv::recorded::Recorded;
use keystill::cv::rotation::{self, Channel, Dimension, SideInfo};
use keystill::ledger::{Disclosure, Ledger};
use keystill::protocol::{Kept, KeyLength};
use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
use keystill::reconcile::gaussian::{self, Conditions};
use keystill::reconcile::slices::{self, Evidence};
use keystill::reconcile::{Effort, Plan, Task};
use keystill::stage::loopback::Loopback;
use keystill::stage::{Abort, Fault, Workbench, converse};
use keystill::verify::{self, Candidate, VerifiedBlock};
use keystill::wire::{Reader, Writer};
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Both sides' recordings, and what turns their units to shot-noise units.
pub(super) struct Recording<'a> {
    pub(super) alice: Recorded<'a>,
    pub(super) bob: Recorded<'a>,
    pub(super) alice_scale: f32,
    pub(super) bob_scale: f32,
}

impl Recording<'_> {
    fn part(&self, first: usize, count: usize) -> (Zeroizing<Vec<f32>>, Zeroizing<Vec<f32>>) {
        let scaled = |recorded: &Recorded<'_>, scale: f32| {
            Zeroizing::new(recorded.read(first..first + count).map(|value| value * scale).collect::<Vec<_>>())
        };
        (scaled(&self.alice, self.alice_scale), scaled(&self.bob, self.bob_scale))
    }
}

/// One frame's end.
#[derive(Debug)]
pub(super) struct FrameReport {
    pub(super) corrected: bool,
    pub(super) verified: bool,
    pub(super) snr: f64,
    pub(super) effort: Effort,
    pub(super) took: Duration,
}

/// What it came to.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) ledger: Ledger,
    pub(super) sample_symbols: usize,
    pub(super) plan: Option<Plan>,
    /// Why this plan.
    pub(super) choice: Option<String>,
    pub(super) estimate: Option<ChannelEstimate>,
    pub(super) frames: Vec<FrameReport>,
    pub(super) messages: u64,
    pub(super) kept_bits: u64,
    pub(super) key_length: Option<Result<KeyLength, Abort>>,
}

/// Both sides' strings, and keys where there are any.
#[derive(Debug, Default)]
pub(super) struct Distilled {
    pub(super) bits: Option<(BitBlock, BitBlock)>,
    pub(super) key: Option<(BitBlock, BitBlock)>,
}

/// What a frame leaves behind.
struct Ended {
    talk: Loopback,
    /// Core bits of both sides, if it was corrected.
    bits: Option<(BitBlock, BitBlock)>,
    tally: Tally,
    effort: Effort,
    took: Duration,
}

impl Ended {
    fn new(talk: Loopback, bits: Corrected, tally: Tally, effort: Effort) -> Self {
        Self { talk, bits, tally, effort, took: Duration::ZERO }
    }
}

/// Distils a recording.
pub(super) struct Distiller<'a> {
    pub(super) protocol: &'a Cv,
    pub(super) calibration: CalibrationRecord,
    pub(super) recording: &'a Recording<'a>,
    /// A signal-to-noise ratio to choose the rate by instead of the sample's.
    pub(super) told_snr: Option<f64>,
    pub(super) account: Account,
}

impl Distiller<'_> {
    /// Distils; `progress` hears how many frames of how many are done.
    ///
    /// # Errors
    /// [`Fault`] where no frame is verified or the data cannot be used.
    pub(super) fn run(&mut self, progress: impl Fn(usize, usize) + Sync) -> Result<Distilled, Fault> {
        let mut tally = self.sample()?;
        let plan = self.choose(&tally)?;
        let first = 2 * self.account.sample_symbols;
        let size = plan.frame_symbols();
        let frames = (2 * self.recording.alice.symbols() - first) / size;
        if frames == 0 {
            let reason = format!("a frame takes {} symbols behind the sample", size / 2);
            return Err(Abort::Unusable { reason }.into());
        }
        let channel = self.channel()?;
        let done = std::sync::atomic::AtomicUsize::new(0);
        let ended: Vec<Result<Ended, Fault>> = (0..frames)
            .into_par_iter()
            .map_init(
                || Workbench::new(Isa::best()),
                |bench, frame| {
                    let ended = self.frame(bench, &plan, frame, channel);
                    progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, frames);
                    ended
                },
            )
            .collect();
        let mut kept = Vec::new();
        let mut tallies = Vec::with_capacity(frames);
        for (index, ended) in (0u32..).zip(ended) {
            let mut ended = ended?;
            let bits = ended.bits.take();
            self.note(&ended, bits.is_some());
            kept.extend(bits.map(|bits| (index, bits)));
            tallies.push(ended.tally);
        }
        let verified = self.verify(kept)?;
        self.open_unverified(&plan, &mut tallies)?;
        tallies.into_iter().for_each(|own| tally += own);
        self.finish(&plan, &tally, verified)
    }

    fn receiver(&self) -> Result<Receiver, Abort> {
        let efficiency = 0.5 * (self.protocol.efficiency[0] + self.protocol.efficiency[1]);
        Ok(Receiver { efficiency, shot: ShotUnit::new(&self.calibration)? })
    }

    /// The disclosed symbols, and what they say of the channel.
    fn sample(&mut self) -> Result<Tally, Abort> {
        let symbols = self.protocol.sample_symbols;
        self.account.sample_symbols = symbols;
        let (x, y) = self.recording.part(0, 2 * symbols);
        let tally = Tally::of_sample(Isa::best(), &x, &y)?;
        let estimate = tally.estimate(&self.receiver()?)?;
        estimate.possible()?;
        self.account.estimate = Some(estimate);
        Ok(tally)
    }

    fn channel(&self) -> Result<Channel, Abort> {
        let nothing = || Abort::Unusable { reason: "nothing was estimated".into() };
        let estimate = self.account.estimate.ok_or_else(nothing)?;
        Ok(Channel { gain: estimate.gain, variance: estimate.variance })
    }

    fn choose(&mut self, sample: &Tally) -> Result<Plan, Abort> {
        let estimate = sample.estimate(&self.receiver()?)?;
        let snr = self.told_snr.unwrap_or_else(|| estimate.cautious_snr());
        let symbols = 2 * (self.recording.alice.symbols() - self.account.sample_symbols);
        let conditions = Conditions { snr, deviation: sample.deviation(), symbols };
        let choice = gaussian::choose(self.protocol.method, &conditions)?;
        self.account.choice = Some(choice.to_string());
        self.account.plan = Some(choice.plan.clone());
        Ok(choice.plan)
    }

    /// Both sides' way of one frame.
    fn frame(
        &self,
        bench: &mut Workbench,
        plan: &Plan,
        frame: usize,
        channel: Channel,
    ) -> Result<Ended, Fault> {
        let start = Instant::now();
        let size = plan.frame_symbols();
        let (x, y) = self.recording.part(2 * self.account.sample_symbols + frame * size, size);
        let quadratures = (&x[..], &y[..]);
        let ended = match plan {
            Plan::Slices(slices) => sliced(bench, slices, quadratures, channel)?,
            _ => rotated(bench, plan, frame, quadratures, channel)?,
        };
        Ok(Ended { took: start.elapsed(), ..ended })
    }

    /// Books a frame.
    fn note(&mut self, ended: &Ended, corrected: bool) {
        let books = &ended.talk.first.ledger;
        debug_assert_eq!(*books, ended.talk.second.ledger, "both sides book every message");
        if corrected {
            self.account.ledger.absorb(books);
        } else {
            // The frame leaves the key whole, and with it what was told of it; that it failed is told.
            self.account.ledger.disclose(Disclosure::Verdict, books.disclosed_by(Disclosure::Verdict));
        }
        self.account.messages += ended.talk.messages;
        let snr = self.receiver().and_then(|receiver| ended.tally.estimate(&receiver));
        self.account.frames.push(FrameReport {
            corrected,
            verified: false,
            snr: snr.map_or(0.0, |estimate| estimate.snr()),
            effort: ended.effort,
            took: ended.took,
        });
    }

    /// Bob's and Alice's bits of the frames that are equal.
    fn verify(
        &mut self,
        frames: Vec<(u32, (BitBlock, BitBlock))>,
    ) -> Result<(VerifiedBlock, VerifiedBlock), Fault> {
        let all = self.account.frames.len();
        if frames.is_empty() {
            return Err(Abort::Uncorrected { failed: all, frames: all }.into());
        }
        let (alice, bob): (Vec<_>, Vec<_>) =
            frames.into_iter().map(|(index, (alice, bob))| ((index, alice), (index, bob))).unzip();
        let candidate = |frames| Candidate { block: 0, frames };
        let mut reference = converse(verify::Reference::new(candidate(bob), Arc::new(OperatingSystem)));
        let mut corrector = converse(verify::Corrector::new(candidate(alice)));
        let mut talk = Loopback::new();
        let spoken = talk.hold(&mut Workbench::new(Isa::best()), &mut *reference, &mut *corrector);
        self.account.ledger.absorb(&talk.first.ledger);
        self.account.messages += talk.messages;
        let (bob, alice) = spoken?;
        for frame in bob.frames() {
            self.account.frames[*frame as usize].verified = true;
        }
        self.account.kept_bits = bob.bits().len() as u64;
        Ok((alice, bob))
    }

    /// Frames that came out wrong without the decoder's knowing: what was rebuilt of them is not Bob's.
    fn open_unverified(&self, plan: &Plan, tallies: &mut [Tally]) -> Result<(), Abort> {
        for (frame, report) in self.account.frames.iter().enumerate() {
            if report.corrected && !report.verified {
                let first = 2 * self.account.sample_symbols + frame * plan.frame_symbols();
                let (x, y) = self.recording.part(first, plan.frame_symbols());
                tallies[frame] = Tally::of_sample(Isa::best(), &x, &y)?;
            }
        }
        Ok(())
    }

    /// The certified channel, the length, the key.
    fn finish(
        &mut self,
        plan: &Plan,
        tally: &Tally,
        (alice, bob): (VerifiedBlock, VerifiedBlock),
    ) -> Result<Distilled, Fault> {
        let estimate = tally.estimate(&self.receiver()?)?;
        self.account.estimate = Some(estimate);
        estimate.possible()?;
        let copy = |bits: &BitBlock| bits.slice(0..bits.len());
        let mut distilled = Distilled { bits: Some((copy(alice.bits()), copy(bob.bits()))), key: None };
        let kept = Kept { frames: bob.frames(), bits: self.account.kept_bits, ledger: &self.account.ledger };
        let length = self.protocol.key_length(0, tally, &self.calibration, plan, &kept);
        if let Ok(length) = &length {
            length
                .epsilons
                .iter()
                .for_each(|(purpose, epsilon)| self.account.ledger.spend(*purpose, *epsilon));
            distilled.key = amplify(alice, bob, length.secret_bits)?;
        }
        self.account.key_length = Some(length);
        Ok(distilled)
    }
}

/// A frame by rotations in eight dimensions.
fn rotated(
    bench: &mut Workbench,
    plan: &Plan,
    frame: usize,
    (x, y): (&[f32], &[f32]),
    channel: Channel,
) -> Result<Ended, Fault> {
    let (isa, size) = (bench.isa(), plan.frame_bits());
    let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: frame as u64 };
    let mut bytes = Zeroizing::new(vec![0; size.div_ceil(8)]);
    OperatingSystem.draw(draw, &mut bytes).map_err(Abort::from)?;
    let uniform = BitBlock::from_bytes(&bytes, size);
    let side = heard(&rotation::harden(isa, Dimension::Eight, y, &uniform)?, size)?;
    let llrs = rotation::soften(isa, &side, x, channel)?;
    let tasks = [Task::reference(plan, uniform)?, Task::corrector(plan, llrs)?];
    let (mut talk, bits, effort) = hold(bench, tasks)?;
    talk.messages += 1;
    let tally = match &bits {
        Some((alice, _)) => {
            let rebuilt = Zeroizing::new(rotation::rebuild(isa, &side, alice)?);
            Tally::of_frame(isa, x, &rebuilt, &side)?
        }
        // Bob opens it.
        None => Tally::of_sample(isa, x, y)?,
    };
    Ok(Ended::new(talk, bits.map(|bits| cores(bits, plan)), tally, effort))
}

/// A frame in slices.
fn sliced(
    bench: &mut Workbench,
    plan: &slices::Plan,
    (x, y): (&[f32], &[f32]),
    channel: Channel,
) -> Result<Ended, Fault> {
    let isa = bench.isa();
    let cut = slices::cut(bench, plan, y)?;
    let evidence = Evidence::new(x.to_vec(), channel.gain, channel.variance);
    let whole = Plan::Slices(*plan);
    let tasks = [Task::reference(&whole, cut)?, Task::sliced(&whole, evidence)?];
    let (talk, bits, effort) = hold(bench, tasks)?;
    let tally = match &bits {
        Some((alice, _)) => {
            let (rebuilt, sums) = slices::rebuild(bench, plan, alice)?;
            Tally::of_rebuilt(isa, x, &Zeroizing::new(rebuilt), sums)?
        }
        None => Tally::of_sample(isa, x, y)?,
    };
    Ok(Ended::new(talk, bits.map(|bits| cores(bits, &whole)), tally, effort))
}

/// The bits of both sides, Alice's first, if they were corrected.
type Corrected = Option<(BitBlock, BitBlock)>;

fn hold(
    bench: &mut Workbench,
    [reference, corrector]: [Task; 2],
) -> Result<(Loopback, Corrected, Effort), Fault> {
    let mut talk = Loopback::new();
    let (mut reference, mut corrector) = (reference.converse(), corrector.converse());
    let (kept, corrected) = talk.hold(bench, &mut *reference, &mut *corrector)?;
    Ok((talk, corrected.bits.zip(kept.bits), corrected.effort))
}

/// The first bits, which alone go on.
fn cores((alice, bob): (BitBlock, BitBlock), plan: &Plan) -> (BitBlock, BitBlock) {
    let core = plan.kept_bits();
    (alice.slice(0..core), bob.slice(0..core))
}

/// Side information as it comes out of the message.
fn heard(side: &SideInfo, most: usize) -> Result<SideInfo, Fault> {
    let mut writer = Writer::new();
    side.write(&mut writer);
    let message = writer.finish();
    Ok(SideInfo::read(&mut Reader::new(&message), most)?)
}

/// Both sides hash with the same fresh seed.
fn amplify(
    alice: VerifiedBlock,
    bob: VerifiedBlock,
    secret_bits: u64,
) -> Result<Option<(BitBlock, BitBlock)>, Fault> {
    if secret_bits == 0 {
        return Ok(None);
    }
    let no_key = |error: keystill::amplify::Error| Abort::NoKey { reason: error.to_string() };
    let seed_bits = Amplification::seed_bits(&bob, secret_bits).map_err(no_key)?;
    let mut bytes = vec![0; seed_bits.div_ceil(8)];
    let draw = Draw { block: 0, purpose: Purpose::AmplificationSeed, index: 0 };
    OperatingSystem.draw(draw, &mut bytes).map_err(Abort::from)?;
    let hash = |verified| {
        let seed = BitBlock::from_bytes(&bytes, seed_bits);
        Amplification { verified, secret_bits, seed }.run(&mut Amplifier::default()).map_err(no_key)
    };
    let (alice, bob) = (hash(alice)?, hash(bob)?);
    let copy = |bits: &BitBlock| bits.slice(0..bits.len());
    Ok(Some((copy(alice.bits()), copy(bob.bits()))))
}
