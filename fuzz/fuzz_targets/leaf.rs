//! Run: `cargo +nightly fuzz run leaf`; what it holds stands in `src/leaf.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("leaf", bytes));
