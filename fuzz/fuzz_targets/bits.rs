//! Run: `cargo +nightly fuzz run bits`; what it holds stands in `src/bits.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("bits", bytes));
