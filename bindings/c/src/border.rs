//! Crossing the border: statuses, the last error, slices of the caller's memory.

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeystillStatus {
    /// It did what it says.
    Ok = 0,
    /// A pointer is null that may not be.
    NullPointer = 1,
    /// A length or value is out of its range.
    OutOfRange = 2,
    /// The data leave no secure key. Nothing is wrong with the call.
    NoKey = 3,
    /// A bug of keystill.
    Internal = 4,
    /// The session has no room for a raw frame now: poll it until it waits, then offer the frame again.
    Full = 5,
    /// The session is over: the peer or the configuration is wrong, and every call says the same.
    Over = 6,
    /// A disk failed: what is on it is found out by opening the store again.
    Storage = 7,
}

pub(crate) use KeystillStatus as Status;

/// What went wrong, and the words for it.
pub(crate) type Outcome = Result<(), (Status, String)>;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a function's body; catches what must not cross.
pub(crate) fn guarded(body: impl FnOnce() -> Outcome) -> Status {
    let outcome = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| Err((Status::Internal, "a bug of keystill: please report it".into())));
    match outcome {
        Ok(()) => Status::Ok,
        Err((status, words)) => {
            LAST.with(|last| *last.borrow_mut() = words);
            status
        }
    }
}

pub(crate) fn null(name: &str) -> (Status, String) {
    (Status::NullPointer, format!("`{name}` is null"))
}

pub(crate) fn out_of_range(words: impl ToString) -> (Status, String) {
    (Status::OutOfRange, words.to_string())
}

/// The caller's bytes.
///
/// # Safety
/// `pointer` is null or points to `length` bytes that nobody writes while the slice lives.
pub(crate) unsafe fn bytes<'a>(
    pointer: *const u8,
    length: usize,
    name: &str,
) -> Result<&'a [u8], (Status, String)> {
    if pointer.is_null() {
        return Err(null(name));
    }
    if length > isize::MAX as usize {
        return Err(out_of_range(format!("`{name}` has no such length")));
    }
    // SAFETY: not null, short enough, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// The caller's room for bytes.
///
/// # Safety
/// `pointer` is null or points to `length` bytes that nobody else touches while the slice lives.
pub(crate) unsafe fn room<'a>(
    pointer: *mut u8,
    length: usize,
    name: &str,
) -> Result<&'a mut [u8], (Status, String)> {
    if pointer.is_null() {
        return Err(null(name));
    }
    if length > isize::MAX as usize {
        return Err(out_of_range(format!("`{name}` has no such length")));
    }
    // SAFETY: not null, short enough, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// The version, such as "0.1.0". Never null; lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn keystill_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Writes what went wrong last in this thread into `buffer`, cut to `length` bytes with the final zero,
/// and returns the bytes that the whole text takes, with the zero. `buffer` may be null if `length` is 0.
///
/// # Safety
/// `buffer` points to `length` bytes, or `length` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn keystill_last_error(buffer: *mut c_char, length: usize) -> usize {
    LAST.with(|last| {
        let text = last.borrow();
        // SAFETY: the caller vouches for the buffer.
        let room = unsafe { room(buffer.cast(), length, "buffer") };
        if let Ok([room @ .., end]) = room {
            let mut cut = text.len().min(room.len());
            while !text.is_char_boundary(cut) {
                cut -= 1;
            }
            room[..cut].copy_from_slice(&text.as_bytes()[..cut]);
            room[cut..].fill(0);
            *end = 0;
        }
        text.len() + 1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guarded(|| panic!("inside")), Status::Internal, "caught");
        let mut buffer = [1; 8];
        // SAFETY: the buffer is ours.
        let whole = unsafe { keystill_last_error(buffer.as_mut_ptr(), buffer.len()) };
        assert!(whole > 8 && buffer[7] == 0, "cut, with its zero: {buffer:?}");
        // SAFETY: no byte is written.
        assert_eq!(unsafe { keystill_last_error(std::ptr::null_mut(), 0) }, whole, "only its length");
    }
}
