//! What the system's allocator keeps of memory that was freed.

/// Bytes from which on a buffer is a mapping of its own, and of free memory that may stay at the heap's end: smaller
/// buffers come by the thousand, and a mapping each would cost more than it saves.
const LARGE: std::ffi::c_int = 1 << 20;

/// Has every buffer of a mebibyte or more given back to the system when it is freed. Before other threads begin.
///
/// glibc does so until the first is freed; from then on it puts buffers of that size, and in the end all below 32 MiB,
/// among small ones. What is free between these stays with the process for good where its memory is locked
/// (`mlockall`), as locked pages can only be unmapped. Other allocators are left as they are.
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
    for parameter in [glibc::M_MMAP_THRESHOLD, glibc::M_TRIM_THRESHOLD] {
        // SAFETY: it changes two numbers of the allocator, whose value it takes; refusal is harmless.
        unsafe { glibc::mallopt(parameter, LARGE) };
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu", not(miri)))]
mod glibc {
    use std::ffi::c_int;

    // As in <malloc.h>, the same on every machine.
    pub(super) const M_TRIM_THRESHOLD: c_int = -1;
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;

    unsafe extern "C" {
        pub(super) fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
}
