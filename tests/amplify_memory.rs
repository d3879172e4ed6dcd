//! What a hash says that it holds is what it holds.

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::BitBlock;

/// Bytes that a line of this process's status tells.
#[cfg(target_os = "linux")]
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = text.lines().find(|line| line.starts_with(name)).expect("the line");
    let kilobytes: usize = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    1024 * kilobytes
}

/// A huge page that blocks of any size leave mapped, and what the allocator and the pool keep.
#[cfg(target_os = "linux")]
const STANDING: usize = 4 << 20;

#[cfg(target_os = "linux")]
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
        (Matrix::Modified, 100_000_000, 40_000_000),
    ] {
        let hash = Toeplitz::new(matrix, n, m).expect("a size");
        let (input, seed) = (bits(n), bits(hash.seed_bits()));
        // What is made once for all hashes, and the pool's own.
        pool.install(|| hash.hash(Isa::best(), &input, &seed)).expect("lengths fit");
        let before = status("VmRSS");
        // Resets the high-water mark of what is resident.
        std::fs::write("/proc/self/clear_refs", "5").expect("one's own file");
        pool.install(|| hash.hash(Isa::best(), &input, &seed)).expect("lengths fit");
        let (held, said) = (status("VmHWM").saturating_sub(before), hash.memory_bytes(2));
        assert!(held <= said + STANDING, "{matrix:?}, {n} to {m} bits: {held} bytes held, {said} said");
        assert!(said <= 6 * n / 8, "{matrix:?}, {n} to {m} bits: {said} bytes said");
    }
}
