//! Any size, input and seed: every instruction set hashes to the same bits.
#![no_main]

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::BitBlock;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((sizes, bytes)) = bytes.split_first_chunk::<4>() else { return };
    let n = usize::from(u16::from_le_bytes([sizes[0], sizes[1]])) * 4;
    let m = usize::from(u16::from_le_bytes([sizes[2], sizes[3]])) * 4;
    for matrix in [Matrix::Plain, Matrix::Modified] {
        let Ok(hash) = Toeplitz::new(matrix, n, m) else { continue };
        let (input, seed) = bytes.split_at(bytes.len() / 2);
        let input = BitBlock::from_bytes(&input[..input.len().min(n / 8)], n);
        let seed = BitBlock::from_bytes(&seed[..seed.len().min(hash.seed_bits() / 8)], hash.seed_bits());
        let wanted = hash.hash(Isa::SCALAR, &input, &seed).expect("the lengths fit");
        for isa in Isa::available() {
            assert_eq!(hash.hash(isa, &input, &seed).expect("the lengths fit"), wanted, "{isa}");
        }
    }
});
