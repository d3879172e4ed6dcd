//! Run: `cargo +nightly fuzz run cascade`; what it holds stands in `src/cascade.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("cascade", bytes));
