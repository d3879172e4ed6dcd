//! Toeplitz hashing of n bits to 0.4 n, modified matrix, fresh seed, on criterion's thread count.
//!
//! Bound by the byte multiplier in the layers and by the cache between passes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use keystill::Isa;
use keystill::amplify::{Amplifier, Matrix, Toeplitz};
use keystill::bits::BitBlock;

fn amplify(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("amplify");
    group.sample_size(10);
    for n in [100_000, 1_000_000, 10_000_000, 100_000_000, 1 << 27] {
        let hash = Toeplitz::new(Matrix::Modified, n, n * 2 / 5).expect("a size");
        let word = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bits = |len: usize| BitBlock::from_words((0..len.div_ceil(64)).map(word).collect(), len);
        let (input, seed) = (bits(n), bits(hash.seed_bits()));
        group.throughput(Throughput::Bits(n as u64));
        group.bench_function(n.to_string(), |bench| {
            let mut amplifier = Amplifier::new(Isa::best());
            bench.iter(|| amplifier.hash(&hash, &input, &seed));
        });
    }
    group.finish();
}

criterion_group!(benches, amplify);
criterion_main!(benches);
