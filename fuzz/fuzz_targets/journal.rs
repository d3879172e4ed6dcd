//! Run: `cargo +nightly fuzz run journal`; what it holds stands in `src/journal.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("journal", bytes));
