//! The allocator's settings, in a process of their own: what was freed before they were made stays where it is.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use keystill_kernels::os::give_back_large_buffers;

/// Whether a buffer begins as one does that has a mapping of its own: right after the two words of its header.
fn is_mapping(buffer: &[u8]) -> bool {
    buffer.as_ptr().addr() % 4096 == 2 * size_of::<usize>()
}

#[test]
fn large_buffers_stay_mappings_after_larger_ones_were_freed() {
    give_back_large_buffers();
    drop(std::hint::black_box(vec![1u8; 16 << 20]));
    let buffers: Vec<Vec<u8>> = (1..20).map(|number| vec![1u8; (1 << 20) + 1000 * number]).collect();
    assert!(buffers.iter().all(|buffer| is_mapping(buffer)), "none among small buffers");
}
