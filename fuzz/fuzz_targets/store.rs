//! Run: `cargo +nightly fuzz run store`; what it holds stands in `src/store.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("store", bytes));
