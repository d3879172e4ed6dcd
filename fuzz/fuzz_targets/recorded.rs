//! Run: `cargo +nightly fuzz run recorded`; what it holds stands in `src/recorded.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("recorded", bytes));
