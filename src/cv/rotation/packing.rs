//! Codes of a few bits, lowest first: eight of them in as many bytes as a code has bits.

#![expect(clippy::cast_possible_truncation, reason = "a code is cut out of its word")]

/// Packs a multiple of eight values, each by its code below 2^`WIDTH`.
pub(super) fn pack<const WIDTH: usize, T: Copy>(values: &[T], code: impl Fn(T) -> u8) -> Vec<u8> {
    let (eights, rest) = values.as_chunks::<8>();
    debug_assert!(rest.is_empty(), "whole groups");
    let mut bytes = Vec::with_capacity(eights.len() * WIDTH);
    for eight in eights {
        let word = eight.iter().rev().fold(0u64, |word, value| word << WIDTH | u64::from(code(*value)));
        bytes.extend_from_slice(&word.to_le_bytes()[..WIDTH]);
    }
    bytes
}

/// The values of packed codes.
pub(super) fn unpack<const WIDTH: usize, T>(bytes: &[u8], value: impl Fn(u8) -> T) -> Vec<T> {
    let (words, _) = bytes.as_chunks::<WIDTH>();
    let mut values = Vec::with_capacity(8 * words.len());
    for bytes in words {
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(bytes);
        let word = u64::from_le_bytes(word);
        values.extend((0..8).map(|i| value((word >> (i * WIDTH)) as u8 & ((1 << WIDTH) - 1))));
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
    }
}
