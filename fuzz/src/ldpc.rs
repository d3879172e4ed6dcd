//! LDPC on the binary symmetric channel against a peer that sends anything: a fault or an end, no panic, no
//! book that does not match what was sent. Run: `cargo +nightly fuzz run ldpc`.

use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::reconcile::{Method, Plan, Reconciled, Task, pilot};
use keystill::stage::{Conversation, Fault, Next, Outbox, Workbench, converse};
use keystill::wire::Reader;

/// A plan that the peer sent, a frame length, bytes of both frames, which side lies, and its lies by
/// message number: bytes that are added to the message, or that replace it if they are more.
pub(crate) type Input = (Vec<u8>, u16, Vec<u8>, Vec<u8>, bool, Vec<(u8, Vec<u8>)>);

pub(crate) fn run(input: Input) {
    let (peer, n, frame, noise, reference_lies, lies) = input;
    let _ = Plan::read(&mut Reader::new(&peer));
    let n = usize::from(n).clamp(1, 8192);
    let noisy: Vec<u8> =
        frame.iter().zip(noise.iter().chain(std::iter::repeat(&0))).map(|(a, b)| a ^ b).collect();
    let bits = || (BitBlock::from_bytes(&frame, n), BitBlock::from_bytes(&noisy, n));
    let plan = Plan::choose_hard(Method::Ldpc, 0.03, n).expect("a plan of this length");
    let lie = |from_reference: bool, count: usize, message: &mut Vec<u8>| {
        let own = from_reference == reference_lies;
        for (_, lie) in lies.iter().filter(|(at, _)| own && usize::from(*at) == count) {
            if lie.len() > message.len() {
                message.clone_from(lie);
            }
            message.iter_mut().zip(lie).for_each(|(byte, lie)| *byte = byte.wrapping_add(*lie));
        }
    };
    let (alice, bob) = bits();
    if bob.len() <= plan.frame_bits() {
        let llrs = Llrs::Hard { bits: bob, error_probability: 0.03 };
        let reference = Task::reference(&plan, alice).map(Task::converse);
        let corrector = Task::corrector(&plan, llrs).map(Task::converse);
        if let (Ok(mut reference), Ok(mut corrector)) = (reference, corrector) {
            let _: Result<(Reconciled, Reconciled), Fault> = talk(&mut *reference, &mut *corrector, lie);
        }
    }
    let (alice, bob) = bits();
    let mut reference = converse(pilot::Reference::new(alice, pilot::Depth::Estimate));
    let mut corrector = converse(pilot::Corrector::new(bob, pilot::Depth::Estimate));
    let _ = talk(&mut *reference, &mut *corrector, lie);
}

/// Lets both talk, with lies in between.
pub(crate) fn talk<P>(
    reference: &mut dyn Conversation<P>,
    corrector: &mut dyn Conversation<P>,
    lie: impl Fn(bool, usize, &mut Vec<u8>),
) -> Result<(P, P), Fault> {
    let mut bench = Workbench::new(Isa::best());
    let (mut told, mut heard) = (Outbox::new(), Outbox::new());
    let next = reference.start(&mut told)?;
    let mut first = settle(&mut bench, reference, next, &mut told)?;
    let next = corrector.start(&mut heard)?;
    let mut second = settle(&mut bench, corrector, next, &mut heard)?;
    for count in 0..1000 {
        let (out, back) = (told.take(), heard.take());
        assert!(!(out.is_empty() && back.is_empty()), "both wait for the other");
        for mut message in out {
            lie(true, count, &mut message);
            let next = corrector.hear(Reader::new(&message), &mut heard)?;
            second = settle(&mut bench, corrector, next, &mut heard)?;
        }
        for mut message in back {
            lie(false, count, &mut message);
            let next = reference.hear(Reader::new(&message), &mut told)?;
            first = settle(&mut bench, reference, next, &mut told)?;
        }
        match (first, second) {
            (Next::Leave(first), Next::Leave(second)) => return Ok((first, second)),
            going => (first, second) = going,
        }
    }
    panic!("a conversation without end");
}

fn settle<P>(
    bench: &mut Workbench,
    half: &mut dyn Conversation<P>,
    mut next: Next<P>,
    out: &mut Outbox,
) -> Result<Next<P>, Fault> {
    while let Next::Compute(job) = next {
        next = half.done(job.run(bench), out)?;
    }
    Ok(next)
}
