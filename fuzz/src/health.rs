//! The health test of raw key on any bits: healthy or not, no panic.

use keystill::random::health::raw_key;

/// Words, and how many bits of the last are left out.
pub(crate) type Input = (Vec<u64>, u8);

pub(crate) fn run((words, short): Input) {
    let bits = (64 * words.len()).saturating_sub(usize::from(short % 64));
    let healthy = raw_key(&words, bits).is_ok();
    let stuck =
        bits > 1_000 && words.iter().all(|word| *word == words[0]) && matches!(words[0], 0 | u64::MAX);
    assert!(!(healthy && stuck), "a blind detector passes");
}
