//! Any size, input and seed: every instruction set hashes to the same bits.

use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::bits::BitBlock;

pub(crate) fn run(bytes: &[u8]) {
    let Some((sizes, bytes)) = bytes.split_first_chunk::<4>() else { return };
    let (n, m) = (u16::from_le_bytes([sizes[0], sizes[1]]), u16::from_le_bytes([sizes[2], sizes[3]]));
    // A few are long enough for transforms, where the reference takes a second.
    let long = n & 1023 == 1023;
    let (n, m) = if long { (n, m) } else { (n & 2047, m & 2047) };
    let scale = if long { 4 } else { 1 };
    let (n, m) = (usize::from(n) * scale, usize::from(m) * scale);
    for matrix in [Matrix::Plain, Matrix::Modified] {
        let Ok(hash) = Toeplitz::new(matrix, n, m) else { continue };
        let (input, seed) = bytes.split_at(bytes.len() / 2);
        let input = BitBlock::from_bytes(&input[..input.len().min(n / 8)], n);
        let seed = BitBlock::from_bytes(&seed[..seed.len().min(hash.seed_bits() / 8)], hash.seed_bits());
        let levels = || Isa::available().filter(|isa| !long || *isa != Isa::SCALAR);
        let Some(first) = levels().next() else { continue };
        let wanted = hash.hash(first, &input, &seed).expect("the lengths fit");
        for isa in levels() {
            assert_eq!(hash.hash(isa, &input, &seed).expect("the lengths fit"), wanted, "{isa}");
        }
    }
}
