//! Run: `cargo +nightly fuzz run auth`; what it holds stands in `src/auth.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("auth", bytes));
