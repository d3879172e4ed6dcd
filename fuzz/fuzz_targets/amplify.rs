//! Run: `cargo +nightly fuzz run amplify`; what it holds stands in `src/amplify.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("amplify", bytes));
