//! Counter-mode random words for the simulated world.
//!
//! ChaCha8 (Bernstein, "ChaCha, a variant of Salsa20", 2008) with a 64-bit block counter in words 12
//! and 13 and a zero nonce: any word of the stream can be had without those before it.

kernel! {
    /// The stream's word of each gate: word g mod 16 of block ⌊g/16⌋.
    ///
    /// `out`: as long as `gates`. Panics otherwise. For simulation; no secret in, none out.
    pub fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]);
}

mod scalar;

#[cfg(target_arch = "aarch64")]
use scalar as neon;
use scalar as portable;
#[cfg(target_arch = "x86_64")]
use {scalar as avx2, scalar as avx512};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    #[test]
    fn words_are_those_of_the_chacha8_stream() {
        let key: [u32; 8] = std::array::from_fn(|i| 0x0101_0101 * (i as u32 + 3));
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(4).zip(key) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut stream = ChaCha8Rng::from_seed(seed);
        let want: Vec<u32> = (0..1000).map(|_| stream.next_u32()).collect();
        let gates: Vec<u64> = (0..1000).collect();
        for isa in Isa::available() {
            let mut out = vec![0; 1000];
            gate_words(isa, &key, &gates, &mut out);
            assert_eq!(out, want, "{isa}");
        }
    }
}
