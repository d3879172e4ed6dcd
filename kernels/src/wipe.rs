//! Overwriting secrets so that the compiler may not leave it out.

/// Overwrites values with zeros, at the speed of memory: it counts as read whatever the optimiser knows.
///
/// Byte by byte, as volatile writes go, a raw frame costs more to wipe than to sift.
pub fn wipe<T: Wipeable>(values: &mut [T]) {
    values.fill(T::default());
    observe(values.as_mut_ptr().cast());
}

/// Plain numbers, whose default is zero.
pub trait Wipeable: Copy + Default {}

macro_rules! wipeable {
    ($($type:ty),*) => { $(impl Wipeable for $type {})* };
}
wipeable!(u8, i8, u16, i16, u32, u64, f32);

/// Lets the compiler think that the memory is read.
#[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
fn observe(memory: *mut u8) {
    // SAFETY: no instruction; what it may do to memory it does not do.
    unsafe { std::arch::asm!("/* {0} */", in(reg) memory, options(nostack, preserves_flags)) };
}

#[cfg(not(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri))))]
fn observe(memory: *mut u8) {
    std::hint::black_box(memory);
    std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_any_type() {
        let mut bytes: Vec<u8> = (1..=255).collect();
        wipe(&mut bytes[1..254]);
        assert_eq!((bytes[0], bytes[254]), (1, 255), "what stands beside stays");
        assert!(bytes[1..254].iter().all(|byte| *byte == 0), "bytes");
        let mut numbers = [1.5f32, -2.0, f32::NAN];
        wipe(&mut numbers);
        assert_eq!(numbers.map(f32::to_bits), [0; 3], "positive zeros");
    }
}
