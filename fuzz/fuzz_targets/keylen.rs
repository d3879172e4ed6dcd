//! Run: `cargo +nightly fuzz run keylen`; what it holds stands in `src/keylen.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("keylen", bytes));
