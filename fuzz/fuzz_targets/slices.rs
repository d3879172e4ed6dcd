//! Run: `cargo +nightly fuzz run slices`; what it holds stands in `src/slices.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("slices", bytes));
