//! Slices of CV-QKD against a peer that sends anything: a fault or an end, no panic, and what comes out of the decoder
//! has the levels and sums that were told.
//! Run: `cargo +nightly fuzz run slices`.

use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::reconcile::slices::{self, Corrector, Evidence, Plan, Reference};
use keystill::stage::{Job, Outbox, Stage, Step, Workbench};
use keystill::wire::{Reader, Writer};

/// A message that may be a plan, quadratures, the message of a small frame, and a verdict.
pub(crate) type Input = (Vec<u8>, Vec<i8>, Vec<u8>, Vec<u8>);

pub(crate) fn run(input: Input) {
    let (plan, quadratures, message, verdict) = input;
    codec(&plan);
    let plan = Plan::with_rates([0.3, 0.0, 0.07, 0.0], 1 << 14, 1.4).expect("a small plan");
    let mut out = Outbox::new();
    let told = Reference::new(plan, BitBlock::zeros(plan.frame_bits())).hear(Reader::new(&verdict), &mut out);
    assert!(told.is_err(), "a verdict before the message");
    let cut = Corrector::new(plan, Evidence::new(vec![0.5; plan.symbols()], 1.0, 1.0));
    assert!(cut.hear(Reader::new(&message), &mut out).is_err() || message.len() > 1000, "too short");
    decode(plan, &quadratures, &message, &mut out);
}

/// What is read is written as it was.
fn codec(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(plan) = Plan::read(&mut reader) else { return };
    let mut writer = Writer::new();
    plan.write(&mut writer);
    assert_eq!(writer.finish(), bytes[..bytes.len() - reader.remaining()], "one spelling");
    assert!(plan.core_bits() <= 2 * plan.symbols(), "no more than two core bits a quadrature");
    assert!(
        plan.syndrome_bits() + plan.core_bits() >= 4 * plan.symbols(),
        "a code leaves no more than its core"
    );
}

/// A decoder ends on any quadratures and any message, and what it gives has that message.
fn decode(plan: Plan, quadratures: &[i8], message: &[u8], out: &mut Outbox) {
    let x = quadratures.iter().chain(std::iter::repeat(&0)).take(plan.symbols());
    let x = x.map(|x| f32::from(*x) / 32.0).collect();
    let bits = 4 * plan.symbols() + 128 + plan.syndrome_bits();
    let mut writer = Writer::new();
    writer.bits(&BitBlock::from_bytes(message, bits));
    let message = writer.finish();
    let corrector = Corrector::new(plan, Evidence::new(x, 1.0, 1.0));
    let Ok(Step::Compute(_, job)) = corrector.hear(Reader::new(&message), out) else {
        panic!("a message of the right length is decoded");
    };
    let mut bench = Workbench::new(Isa::best());
    let Some(bits) = job.run(&mut bench).bits else { return };
    assert_eq!(bits.len(), plan.frame_bits(), "a whole frame");
    if let Ok((y, _)) = slices::rebuild(&bench, &plan, &bits) {
        assert!(y.iter().all(|y| y.is_finite()), "values of cells");
    }
}
