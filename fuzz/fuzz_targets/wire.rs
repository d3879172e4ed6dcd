//! Run: `cargo +nightly fuzz run wire`; what it holds stands in `src/wire.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| keystill_fuzz::run("wire", bytes));
