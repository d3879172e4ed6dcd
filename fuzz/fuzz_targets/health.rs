//! Run: `cargo +nightly fuzz run health`; what it holds stands in `src/health.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("health", bytes));
