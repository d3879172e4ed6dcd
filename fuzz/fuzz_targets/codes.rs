//! Run: `cargo +nightly fuzz run codes`; what it holds stands in `src/codes.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("codes", bytes));
