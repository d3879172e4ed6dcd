//! Run: `cargo +nightly fuzz run session`; what it holds stands in `src/session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("session", bytes));
