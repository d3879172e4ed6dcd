//! Run: `cargo +nightly fuzz run verify`; what it holds stands in `src/verify.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("verify", bytes));
