//! The decoder of CV-QKD and the codec of its side information against a peer that sends anything: a
//! fault or an end, no panic, no more memory than the plan allows.
//! Run: `cargo +nightly fuzz run leaf`.

use keystill::Isa;
use keystill::bits::{BitBlock, LLR_UNIT, Llrs};
use keystill::cv::rotation::{self, Channel, SideInfo};
use keystill::reconcile::leaf::{Corrector, Plan, Reference};
use keystill::stage::{Job, Outbox, Stage, Step, Workbench};
use keystill::wire::{Reader, Writer};

/// A message that may be a plan, one that may be side information, soft bits and syndrome of a
/// small frame, and a verdict.
pub(crate) type Input = (Vec<u8>, Vec<u8>, Vec<i8>, Vec<u8>, Vec<u8>);

pub(crate) fn run(input: Input) {
    let (plan, side, soft, syndrome, verdict) = input;
    let _ = Plan::read(&mut Reader::new(&plan));
    codec(&side);
    let plan = Plan::with_rate(0.25, 16).expect("a small plan");
    let mut out = Outbox::new();
    let told = Reference::new(plan, BitBlock::zeros(plan.frame_bits())).hear(Reader::new(&verdict), &mut out);
    assert!(told.is_err(), "a verdict before the syndrome");
    decode(plan, &soft, &syndrome, &mut out);
}

/// What is read is written as it was, and works whatever it says.
fn codec(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(side) = SideInfo::read(&mut reader, 1 << 12) else { return };
    let mut writer = Writer::new();
    side.write(&mut writer);
    assert_eq!(writer.finish(), bytes[..bytes.len() - reader.remaining()], "one spelling");
    let symbols = vec![0.5; side.symbols()];
    let _ = rotation::soften(Isa::best(), &side, &symbols, Channel { gain: 0.3, variance: 1.0 });
    let _ = rotation::rebuild(Isa::best(), &side, &BitBlock::zeros(side.symbols()));
}

/// A decoder ends on any soft bits and any syndrome, and what it gives has that syndrome.
fn decode(plan: Plan, soft: &[i8], syndrome: &[u8], out: &mut Outbox) {
    let ratios = soft.iter().chain(std::iter::repeat(&0)).take(plan.frame_bits());
    let ratios = ratios.map(|ratio| i16::from(*ratio) * (LLR_UNIT as i16 / 8)).collect();
    let mut writer = Writer::new();
    writer.bits(&BitBlock::from_bytes(syndrome, plan.syndrome_bits()));
    let message = writer.finish();
    let corrector = Corrector::new(plan, Llrs::Soft(ratios));
    let Ok(Step::Compute(_, job)) = corrector.hear(Reader::new(&message), out) else {
        panic!("a syndrome of the right length is decoded");
    };
    let mut bench = Workbench::new(Isa::best());
    let Some(bits) = job.run(&mut bench).bits else { return };
    let Ok(Step::Compute(reference, job)) = Reference::new(plan, bits).start(out) else {
        panic!("a frame of the right length has a syndrome");
    };
    out.take();
    assert!(reference.done(job.run(&mut bench), out).is_ok(), "and sends it");
    assert_eq!(out.take(), [message], "the frame has the syndrome it was decoded for");
}
