//! The reference: shift and add, masked instead of branching.

pub(super) fn horner(key: u128, accumulator: u128, blocks: &[u8]) -> u128 {
    assert!(blocks.len().is_multiple_of(16), "whole blocks, not {} bytes", blocks.len());
    blocks.chunks_exact(16).fold(accumulator, |accumulator, block| multiply(accumulator ^ load(block), key))
}

pub(super) fn load(block: &[u8]) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(block);
    u128::from_be_bytes(bytes)
}

/// a · b in the field.
pub(super) fn multiply(a: u128, b: u128) -> u128 {
    let mut product = 0;
    let mut shifted = b;
    for bit in 0..128 {
        product ^= shifted & 0u128.wrapping_sub(a >> bit & 1);
        shifted = (shifted << 1) ^ (0x87 & 0u128.wrapping_sub(shifted >> 127));
    }
    product
}
