//! Run: `cargo +nightly fuzz run ldpc`; what it holds stands in `src/ldpc.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("ldpc", bytes));
