//! Cascade, both sides of one frame on one thread.
//!
//! Bound by cache misses where corrected bits toggle the nodes of other passes. Goals on two cores
//! of a 2024 server (Zen 4), n = 2^20: 400, 250, 170 and 100 Mbit/s at 1, 2, 3 and 5 %.
//! `keystill bench cascade` measures threads, efficiency and failures too.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::reconcile::cascade::{Corrector, Plan, Reference};
use keystill::stage::{Fault, Job, Outbox, Stage, Step, Workbench};
use keystill::wire::Reader;
use keystill_kernels::parity::mix;

fn cascade(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cascade");
    for n in [1usize << 16, 1 << 20] {
        for percent in [1u64, 2, 3, 5] {
            let plan = Plan::choose(percent as f64 / 100.0, n).expect("a plan");
            let frame: Vec<u64> = (0..n as u64 / 64).map(mix).collect();
            let mut noisy = BitBlock::from_words(frame.clone(), n);
            for bit in (0..n).filter(|bit| mix(!(*bit as u64)) % 100 < percent) {
                noisy.set(bit, !noisy.bit(bit));
            }
            let mut bench = Workbench::new(Isa::best());
            let pair = || (BitBlock::from_words(frame.clone(), n), noisy.slice(0..n));
            group.throughput(Throughput::Elements(n as u64));
            group.bench_with_input(BenchmarkId::new(format!("{percent} %"), n), &plan, |bencher, plan| {
                let run = |pair| converse(&mut bench, plan, pair).expect("both are honest");
                bencher.iter_batched(pair, run, BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

/// Lets the two sides talk until both leave.
fn converse(bench: &mut Workbench, plan: &Plan, pair: (BitBlock, BitBlock)) -> Result<(), Fault> {
    let mut out = (Outbox::new(), Outbox::new());
    let mut reference = Reference::new(plan, pair.0)?.start(&mut out.0)?;
    let mut corrector = Corrector::new(plan, pair.1)?.start(&mut out.1)?;
    loop {
        reference = settle(bench, reference, &mut out.0)?;
        let (Step::Listen(listening), Some(message)) = (corrector, out.0.take().pop()) else { return Ok(()) };
        let heard = listening.hear(Reader::new(&message), &mut out.1)?;
        corrector = settle(bench, heard, &mut out.1)?;
        let (Step::Listen(listening), Some(message)) = (reference, out.1.take().pop()) else { return Ok(()) };
        reference = listening.hear(Reader::new(&message), &mut out.0)?;
    }
}

fn settle<S: Stage>(bench: &mut Workbench, mut step: Step<S>, out: &mut Outbox) -> Result<Step<S>, Fault> {
    while let Step::Compute(stage, job) = step {
        step = stage.done(job.run(bench), out)?;
    }
    Ok(step)
}

criterion_group!(benches, cascade);
criterion_main!(benches);
