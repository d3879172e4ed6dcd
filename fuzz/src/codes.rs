//! The loader of the BSC codes and the plans that name them: any numbers give a code of their size or none,
//! and a plan is written as it was read. Run: `cargo +nightly fuzz run codes`.

use keystill::reconcile::codes::bsc::Code;
use keystill::reconcile::ldpc::Plan;
use keystill::wire::{Reader, Writer};

/// The numbers of a code, and a message that may be a plan.
pub(crate) type Input = ((u16, u16, u16, u64), Vec<u8>);

pub(crate) fn run(input: Input) {
    let ((columns, checks, lift, seed), plan) = input;
    load(usize::from(columns) % 1100, usize::from(checks), usize::from(lift), seed);
    read(&plan);
}

/// A code has the numbers asked for, or there is none.
fn load(columns: usize, checks: usize, lift: usize, seed: u64) {
    let Some(code) = Code::build(columns, checks, lift, seed) else { return };
    assert_eq!((code.bits(), code.checks()), (columns * lift, checks * lift), "the size asked for");
}

/// A plan that is read is written as it was.
fn read(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(plan) = Plan::read(&mut reader) else { return };
    let mut writer = Writer::new();
    plan.write(&mut writer);
    assert_eq!(writer.finish(), bytes[..bytes.len() - reader.remaining()], "one spelling");
    assert!(plan.syndrome_bits() < plan.code().bits(), "a plan leaks less than it corrects");
}
