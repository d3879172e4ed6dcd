//! Verification against a peer that sends anything: a fault or an end, no panic; without lies, equal frames pass
//! and others do not.

use std::sync::Arc;

use keystill::bits::BitBlock;
use keystill::random::OperatingSystem;
use keystill::stage::converse;
use keystill::verify::{Candidate, Corrector, Reference};

use super::ldpc::talk;

/// Both sides' frames, and lies by message number, added to the message.
pub(crate) type Input = (Vec<u8>, Vec<u8>, Vec<(u8, Vec<u8>)>);

pub(crate) fn run((ours, theirs, lies): Input) {
    if ours.is_empty() || ours.len() != theirs.len() {
        return;
    }
    let candidate = |bytes: &[u8]| Candidate {
        block: 1,
        frames: vec![(0, BitBlock::from_bytes(bytes, 8 * bytes.len()))],
    };
    let mut reference = converse(Reference::new(candidate(&ours), Arc::new(OperatingSystem)));
    let mut corrector = converse(Corrector::new(candidate(&theirs)));
    let ended = talk(&mut *reference, &mut *corrector, |_, count, message| {
        for (_, lie) in lies.iter().filter(|(at, _)| usize::from(*at) == count) {
            message.iter_mut().zip(lie).for_each(|(byte, lie)| *byte = byte.wrapping_add(*lie));
        }
    });
    assert!(!lies.is_empty() || ended.is_ok() == (ours == theirs), "equal frames pass, and no others");
}
