//! Cascade against a peer that sends anything: a fault or an end, no panic, no message beyond the
//! limit of parities. Run: `cargo +nightly fuzz run cascade`.

use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::ledger::Disclosure;
use keystill::reconcile::cascade::{Corrector, Plan, Reference};
use keystill::stage::{Fault, Job, Outbox, Side, Stage, Step, Workbench};
use keystill::wire::Reader;

/// A frame length, bytes of both frames, which side lies, and its lies by message number: bytes
/// that are added to the message, or that replace it if they are more.
pub(crate) type Input = (u16, Vec<u8>, Vec<u8>, bool, Vec<(u8, Vec<u8>)>);

pub(crate) fn run(input: Input) {
    let (n, frame, noise, reference_lies, lies) = input;
    let n = usize::from(n).max(1);
    let liar = if reference_lies { Side::Reference } else { Side::Corrector };
    let noisy: Vec<u8> =
        frame.iter().zip(noise.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a ^ b).collect();
    let frames = (BitBlock::from_bytes(&frame, n), BitBlock::from_bytes(&noisy, n));
    let plan = Plan::choose(0.02, n).expect("a plan of this length");
    let mut out = (Outbox::new(), Outbox::new());
    let _ = converse(&plan, frames, &mut out, |side, count, message| {
        for (_, lie) in lies.iter().filter(|(at, _)| side == liar && usize::from(*at) == count) {
            if lie.len() > message.len() {
                message.clone_from(lie);
            }
            message.iter_mut().zip(lie).for_each(|(byte, lie)| *byte = byte.wrapping_add(*lie));
        }
    });
    for ledger in [&out.0.ledger, &out.1.ledger] {
        let most = 2 * n as u64 + 200;
        assert!(ledger.disclosed_by(Disclosure::ParityAnswer) <= most, "more parities than bits");
    }
}

fn converse(
    plan: &Plan,
    frames: (BitBlock, BitBlock),
    out: &mut (Outbox, Outbox),
    tamper: impl Fn(Side, usize, &mut Vec<u8>),
) -> Result<(), Fault> {
    let mut bench = Workbench::new(Isa::best());
    let mut reference = Reference::new(plan, frames.0)?.start(&mut out.0)?;
    let mut corrector = Corrector::new(plan, frames.1)?.start(&mut out.1)?;
    for count in 0.. {
        reference = settle(&mut bench, reference, &mut out.0)?;
        let Step::Listen(listening) = corrector else { return Ok(()) };
        let Some(mut message) = out.0.take().pop() else { return Ok(()) };
        tamper(Side::Reference, count, &mut message);
        let heard = listening.hear(Reader::new(&message), &mut out.1)?;
        corrector = settle(&mut bench, heard, &mut out.1)?;
        let Step::Listen(listening) = reference else { return Ok(()) };
        let Some(mut message) = out.1.take().pop() else { return Ok(()) };
        tamper(Side::Corrector, count, &mut message);
        reference = listening.hear(Reader::new(&message), &mut out.0)?;
    }
    Ok(())
}

fn settle<S: Stage>(bench: &mut Workbench, mut step: Step<S>, out: &mut Outbox) -> Result<Step<S>, Fault> {
    while let Step::Compute(stage, job) = step {
        step = stage.done(job.run(bench), out)?;
    }
    Ok(step)
}
