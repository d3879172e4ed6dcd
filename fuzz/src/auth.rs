//! A tag is right for its message and for no other.

use keystill::Isa;
use keystill::auth::{Pool, Tag};
use keystill::stage::Role;

/// What is sent, what arrives, and what is added to the tag.
pub(crate) type Input = (Vec<u8>, Vec<u8>, [u8; 16]);

pub(crate) fn run((sent, arrived, change): Input) {
    let pool = || Pool::from_pre_shared(&[0x37; 96]).expect("long enough");
    let (mut ours, mut theirs) = (pool(), pool());
    let said = |pool: &Pool, message: &[u8]| {
        let mut transcript = pool.transcript(Isa::best(), Role::Alice);
        transcript.absorb(message);
        transcript
    };
    let (index, transcript) = (ours.next_pad(Role::Alice), said(&ours, &sent));
    let mut tag = transcript.tag(ours.pad(Role::Alice).expect("a fresh pool"));
    tag.0.iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
    let heard = said(&theirs, &arrived);
    let right = theirs.check(Role::Alice, index, heard, &Tag(tag.0)).expect("a fresh pool");
    assert_eq!(right, sent == arrived && change == [0; 16], "accepted what was not sent");
}
