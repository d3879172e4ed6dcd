//! What a hash says that it holds is what it holds.

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::BitBlock;
use peak_alloc::PeakAlloc;

#[global_allocator]
static PEAK: PeakAlloc = PeakAlloc;

#[test]
fn no_hash_holds_more_than_it_says() {
    let bits = |len: usize| {
        let word = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        BitBlock::from_words((0..len.div_ceil(64)).map(word).collect(), len)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    for (matrix, n, m) in [
        (Matrix::Modified, 100_000, 40_000),
        (Matrix::Plain, 500_000, 200_000),
        (Matrix::Modified, 1_000_000, 400_000),
        (Matrix::Plain, 2_542_070, 2_542_070),
        (Matrix::Plain, 10_000_000, 4_000_000),
        (Matrix::Modified, 30_000_000, 12_000_000),
    ] {
        let hash = Toeplitz::new(matrix, n, m).expect("a size");
        let (input, seed) = (bits(n), bits(hash.seed_bits()));
        // What is made once for all hashes, and the pool's own.
        pool.install(|| hash.hash(Isa::best(), &input, &seed)).expect("lengths fit");
        let before = PEAK.current_usage();
        PEAK.reset_peak_usage();
        pool.install(|| hash.hash(Isa::best(), &input, &seed)).expect("lengths fit");
        let (held, said) = (PEAK.peak_usage() - before, hash.memory_bytes(2));
        // Job queues of the pool and the parts' lists come on top: kilobytes.
        assert!(held <= said + 16_384, "{matrix:?}, {n} to {m} bits: {held} bytes held, {said} said");
        assert!(said <= 6 * n / 8, "{matrix:?}, {n} to {m} bits: {said} bytes said");
    }
}
