//! CV reconciliation on one thread: rotations, and a frame's decoding.
//!
//! The rotations are bound by arithmetic in registers; goal 2 G symbols/s a core. The decoder is
//! bound by shuffles and multiplications of 16-bit lanes; goal 30 M symbols/s a core at rate 0.15 and
//! -6 dB (Zen 4, AVX-512). `keystill bench cv` measures threads, efficiency and failures too.

#![expect(clippy::cast_possible_truncation, reason = "symbols are single precision")]

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::cv::rotation::{self, Channel, Dimension};
use keystill::reconcile::leaf::{Corrector, Plan, Reference};
use keystill::stage::{Job, Outbox, Stage, Step, Workbench};
use keystill::wire::Reader;
use keystill_kernels::parity::mix;

/// Two normal numbers from a counter.
fn gaussians(counter: u64) -> (f64, f64) {
    let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = libm::sqrt(-2.0 * libm::log(uniform(mix(2 * counter))));
    let angle = std::f64::consts::TAU * uniform(mix(2 * counter + 1));
    (radius * libm::cos(angle), radius * libm::sin(angle))
}

/// x of unit power and y = x + noise.
fn channel(symbols: usize, snr: f64) -> (Vec<f32>, Vec<f32>) {
    let pair = |i| {
        let (x, noise) = gaussians(i);
        (x as f32, (x + noise / libm::sqrt(snr)) as f32)
    };
    (0..symbols as u64).map(pair).unzip()
}

fn bits(len: usize) -> BitBlock {
    BitBlock::from_words((0..len as u64 / 64).map(|i| mix(!i)).collect(), len)
}

fn rotate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rotation");
    let symbols = 1 << 16;
    let ((x, y), bits) = (channel(symbols, 0.25), bits(symbols));
    group.throughput(Throughput::Elements(symbols as u64));
    for dimension in [Dimension::Eight, Dimension::One] {
        let side = rotation::harden(Isa::best(), dimension, &y, &bits).expect("whole groups");
        group.bench_function(BenchmarkId::new("harden", dimension.symbols()), |bencher| {
            bencher.iter(|| rotation::harden(Isa::best(), dimension, &y, &bits));
        });
        let channel = Channel { gain: 1.0, variance: 4.0 };
        group.bench_function(BenchmarkId::new("soften", dimension.symbols()), |bencher| {
            bencher.iter(|| rotation::soften(Isa::best(), &side, &x, channel));
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (rate, snr_db) in [(0.25, -3.2), (0.15, -5.95), (0.05, -11.15)] {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let plan = Plan::with_rate(rate, 512).expect("a plan");
        let ((x, y), bits) = (channel(plan.frame_bits(), snr), bits(plan.frame_bits()));
        let side = rotation::harden(Isa::best(), Dimension::Eight, &y, &bits).expect("whole groups");
        let mut bench = Workbench::new(Isa::best());
        let mut out = Outbox::new();
        let Ok(Step::Compute(reference, job)) = Reference::new(plan, bits).start(&mut out) else {
            panic!("the reference side computes first");
        };
        let _ = reference.done(job.run(&mut bench), &mut out);
        let syndrome = out.take().pop().expect("a syndrome");
        let channel = Channel { gain: 1.0, variance: 1.0 / snr };
        group.throughput(Throughput::Elements(plan.frame_bits() as u64));
        group.bench_function(BenchmarkId::new("rate", rate), |bencher| {
            let soft = || rotation::soften(Isa::best(), &side, &x, channel).expect("soft bits");
            bencher.iter_batched(
                soft,
                |llrs| decode_one(plan, llrs, &syndrome, &mut bench),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn decode_one(plan: Plan, llrs: Llrs, syndrome: &[u8], bench: &mut Workbench) -> bool {
    let heard = Corrector::new(plan, llrs).hear(Reader::new(syndrome), &mut Outbox::new());
    let Ok(Step::Compute(_, job)) = heard else { panic!("the correcting side decodes what it hears") };
    job.run(bench).bits.is_some()
}

criterion_group!(benches, rotate, decode);
criterion_main!(benches);
