//! Codes of a few bits, lowest first: eight of them in as many bytes as a code has bits.

/// Moves the low `WIDTH` bits of each byte of a word together: bytes in pairs, pairs in fours, fours in the eight.
fn together<const WIDTH: usize>(word: u64) -> u64 {
    let halves = |word: u64, low: u64, shift: usize| {
        word & low | (word & low << (8 << shift)) >> ((8 - WIDTH) << shift)
    };
    let ones = |bits: usize| (1u64 << bits) - 1;
    let word = halves(word, ones(WIDTH) * 0x0001_0001_0001_0001, 0);
    let word = halves(word, ones(2 * WIDTH) * 0x0000_0001_0000_0001, 1);
    halves(word, ones(4 * WIDTH), 2)
}

/// Undoes [`together`].
fn apart<const WIDTH: usize>(word: u64) -> u64 {
    let halves = |word: u64, low: u64, shift: usize| {
        let high = low << (WIDTH << shift);
        word & low | (word & high) << ((8 - WIDTH) << shift)
    };
    let ones = |bits: usize| (1u64 << bits) - 1;
    let word = halves(word, ones(4 * WIDTH), 2);
    let word = halves(word, ones(2 * WIDTH) * 0x0000_0001_0000_0001, 1);
    halves(word, ones(WIDTH) * 0x0001_0001_0001_0001, 0)
}

/// Packs a multiple of eight values, each by its code below 2^`WIDTH`.
pub(super) fn pack<const WIDTH: usize, T: Copy>(values: &[T], code: impl Fn(T) -> u8) -> Vec<u8> {
    let (eights, rest) = values.as_chunks::<8>();
    debug_assert!(rest.is_empty(), "whole groups");
    let mut bytes = vec![0; eights.len() * WIDTH];
    for (eight, bytes) in eights.iter().zip(bytes.as_chunks_mut::<WIDTH>().0) {
        let word = together::<WIDTH>(u64::from_le_bytes(eight.map(&code)));
        bytes.copy_from_slice(&word.to_le_bytes()[..WIDTH]);
    }
    bytes
}

/// The values of packed codes.
pub(super) fn unpack<const WIDTH: usize, T: Copy + Default>(bytes: &[u8], value: impl Fn(u8) -> T) -> Vec<T> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    let mut values = vec![T::default(); 8 * words.len()];
    for (bytes, values) in words.iter().zip(values.as_chunks_mut::<8>().0) {
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(bytes);
        *values = apart::<WIDTH>(u64::from_le_bytes(word)).to_le_bytes().map(&value);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let codes: Vec<u8> = (0..64u8).map(|i| i.wrapping_mul(13) % 32).collect();
        let packed = pack::<5, u8>(&codes, |code| code);
        assert_eq!(packed.len(), 40, "five bits each");
        assert_eq!(packed[0], codes[0] | codes[1] << 5, "lowest first");
        assert_eq!(unpack::<5, u8>(&packed, |code| code), codes, "the same again");
        let codes: Vec<u8> = (0..64u8).collect();
        let packed = pack::<6, u8>(&codes, |code| code);
        assert_eq!(packed.len(), 48, "six bits each");
        let bit = |place: usize| packed[place / 8] >> (place % 8) & 1 == 1;
        assert!(
            (0..384).all(|place| bit(place) == (codes[place / 6] >> (place % 6) & 1 == 1)),
            "lowest first"
        );
        assert_eq!(unpack::<6, u8>(&packed, |code| code), codes, "the same again");
    }
}
