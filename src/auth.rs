//! Wegman–Carter authentication: transcripts, tags, and the pads that tags consume.
//!
//! # What is proven
//! A direction's transcript is hashed by H_k(M) = Σ M_i k^(n−i+1) over GF(2^128), whose last block
//! is the length, and the tag is H_k(M) ⊕ p with a one-time pad p. H is ε-almost-XOR-universal with
//! ε = (⌈|M|/128⌉ + 1)/2^128, so a forger who saw any number of earlier tags succeeds with at most ε
//! (Wegman and Carter, JCSS 22 (1981) 265; Krawczyk, CRYPTO '94). The hash key is recycled, its error
//! adding up (Portmann, IEEE Trans. Inf. Theory 60 (2014) 4383); a pad is used once, ever.
//!
//! Messages carry no tag of their own. A block ends with four tags: each side's over all that it
//! sent in the block, then each side's over its acceptance; no key leaves before both acceptances
//! (delayed authentication: Tupkary, Nahar and Tan, arXiv 2601.17960).
//!
//! # Pools
//! Each protocol has pads of its own for each direction, so that no protocol inherits the other's
//! assumptions. A pool starts with a pre-shared key and is refilled from distilled key. Both sides
//! draw in the order of blocks; a pad counts as spent when its tag is sent or awaited. Hash keys and pads
//! lie in memory that is locked and left out of core dumps where the system permits ([`Pool::is_locked`]).

mod pads;

use std::fmt;

use keystill_kernels::{Isa, gf128};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::bits::BitBlock;
use crate::stage::Role;

use pads::Secrets;

/// Bits of a tag, of a pad and of a hash key.
pub const TAG_BITS: usize = 128;

/// Tags that a block consumes: transcript and acceptance, in both directions.
pub const TAGS_PER_BLOCK: usize = 4;

/// A tag on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tag(pub [u8; 16]);

impl Tag {
    /// Whether two tags are the same, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tag(128 bits)")
    }
}

/// The hash of a direction's messages in one block, so far.
///
/// Each part is absorbed padded to whole blocks; the caller's framing (a header with the length
/// before every message) makes the whole prefix-free.
#[derive(Debug)]
pub struct Transcript {
    isa: Isa,
    key: Secret,
    accumulator: Secret,
    bytes: u64,
    blocks: u64,
}

impl Transcript {
    /// Appends one part.
    pub fn absorb(&mut self, part: &[u8]) {
        let whole = part.len() / 16 * 16;
        let (blocks, rest) = part.split_at(whole);
        self.hash(blocks);
        if !rest.is_empty() {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            self.hash(&last);
        }
        self.bytes = self.bytes.saturating_add(part.len() as u64);
        self.blocks = self.blocks.saturating_add(part.len().div_ceil(16) as u64);
    }

    /// Closes the transcript with its length and pads the hash.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a pad is used once: tagging takes it")]
    pub fn tag(mut self, pad: Pad) -> Tag {
        let bits = u128::from(self.bytes) * 8;
        self.hash(&bits.to_be_bytes());
        Tag((*self.accumulator.0 ^ *pad.0).to_be_bytes())
    }

    fn hash(&mut self, blocks: &[u8]) {
        *self.accumulator.0 = gf128::horner(self.isa, *self.key.0, *self.accumulator.0, blocks);
    }

    /// The probability, at most, that a forged transcript of this length passes.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        (self.blocks as f64 + 1.0) * 2f64.powi(-128)
    }
}

/// A hash key, or a hash that is not padded yet: wiped when it goes, and never shown.
struct Secret(Zeroizing<u128>);

impl Secret {
    fn new(value: u128) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(128 bits)")
    }
}

/// A one-time pad for one tag: consumed by value.
pub struct Pad(Zeroizing<u128>);

impl Pad {
    fn new(value: u128) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl fmt::Debug for Pad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pad(128 bits)")
    }
}

/// Why authentication cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The pre-shared key is shorter than two hash keys and the pads of one block.
    #[error(
        "the pre-shared key has {found_bytes} bytes; at least {needed_bytes} are needed for one block \
         (install a longer one)"
    )]
    PreSharedTooShort {
        /// Bytes given.
        found_bytes: usize,
        /// Bytes needed.
        needed_bytes: usize,
    },
    /// All pads are spent.
    #[error("the {direction:?} → {:?} pads are spent; install a fresh pre-shared key on both sides", direction.peer())]
    PadsSpent {
        /// Who sends in the direction that is out of pads.
        direction: Role,
    },
    /// A tag names a pad that was spent before: a message of the past, or a restored backup.
    #[error("a {direction:?} → {:?} tag names pad {index}, but pads below {next} are spent", direction.peer())]
    PadReplayed {
        /// Who sends in the direction.
        direction: Role,
        /// The pad named.
        index: u64,
        /// The first pad that is not spent.
        next: u64,
    },
}

/// One protocol's hash keys and pads, in both directions. The two sides' are equal.
pub struct Pool {
    alice_to_bob: Direction,
    bob_to_alice: Direction,
}

struct Direction {
    secrets: Secrets,
    /// The number of the first pad held: all below are spent.
    next: u64,
    uses: u64,
}

impl Direction {
    /// Takes the next pad and wipes its place in the queue.
    fn pop(&mut self) -> Option<u128> {
        let pad = self.secrets.pop()?;
        self.next += 1;
        Some(pad)
    }
}

impl Pool {
    /// The shortest pre-shared key: two hash keys and the pads of one block.
    pub const MINIMUM_BYTES: usize = (2 + TAGS_PER_BLOCK) * TAG_BITS / 8;

    /// Cuts a pre-shared key: two hash keys, then pads for Alice → Bob and Bob → Alice in turn. Bytes
    /// that do not fill a pair of pads are not used.
    ///
    /// # Errors
    /// [`AuthError::PreSharedTooShort`] below [`Pool::MINIMUM_BYTES`].
    pub fn from_pre_shared(key: &[u8]) -> Result<Self, AuthError> {
        if key.len() < Self::MINIMUM_BYTES {
            return Err(AuthError::PreSharedTooShort {
                found_bytes: key.len(),
                needed_bytes: Self::MINIMUM_BYTES,
            });
        }
        let (keys, pads) = key.split_at(32);
        Ok(Self::restore(keys, 0, pads))
    }

    /// A pool as a store kept it: 32 bytes of hash keys, and the pairs of pads from number `first` on.
    ///
    /// # Panics
    /// Below 32 bytes of hash keys.
    #[must_use]
    pub fn restore(hash_keys: &[u8], first: u64, pairs: &[u8]) -> Self {
        let direction = |bytes| Direction { secrets: Secrets::new(bytes), next: first, uses: 0 };
        let (alice, bob) = (&hash_keys[..16], &hash_keys[16..32]);
        let mut pool = Self { alice_to_bob: direction(alice), bob_to_alice: direction(bob) };
        pool.refill(pairs);
        pool
    }

    /// Spends all pads below a number without using them.
    pub fn skip_to(&mut self, sender: Role, index: u64) {
        let direction = self.direction_mut(sender);
        while direction.next < index && direction.secrets.len() > 0 {
            direction.pop();
        }
        direction.next = direction.next.max(index);
    }

    /// The number of the next pad for a tag that `sender` sends; all below are spent.
    #[must_use]
    pub fn next_pad(&self, sender: Role) -> u64 {
        self.direction(sender).next
    }

    /// Pads left for tags that `sender` sends.
    #[must_use]
    pub fn pads_left(&self, sender: Role) -> usize {
        self.direction(sender).secrets.len()
    }

    /// Whether a tag under pad `index` closes this transcript. If it does, the pad and all before it
    /// are spent; if not, none is: the honest sender may still use it.
    ///
    /// # Errors
    /// [`AuthError::PadReplayed`] for a pad that was spent, [`AuthError::PadsSpent`] for one that is not
    /// there yet.
    pub fn check(
        &mut self,
        sender: Role,
        index: u64,
        transcript: Transcript,
        tag: &Tag,
    ) -> Result<bool, AuthError> {
        let direction = self.direction_mut(sender);
        let next = direction.next;
        let place =
            index.checked_sub(next).ok_or(AuthError::PadReplayed { direction: sender, index, next })?;
        let pad = usize::try_from(place).ok().and_then(|place| direction.secrets.get(place));
        let pad = Pad::new(pad.ok_or(AuthError::PadsSpent { direction: sender })?);
        direction.uses += 1;
        let matches = transcript.tag(pad).matches(tag);
        if matches {
            self.skip_to(sender, index + 1);
        }
        Ok(matches)
    }

    /// Adds pads: for Alice → Bob and Bob → Alice in turn, 32 bytes a pair; a rest is dropped.
    pub fn refill(&mut self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(32) {
            self.alice_to_bob.secrets.push(&pair[..16]);
            self.bob_to_alice.secrets.push(&pair[16..]);
        }
    }

    /// Adds pads cut from distilled key.
    pub fn refill_from(&mut self, bits: &BitBlock) {
        self.refill(&Zeroizing::new(bits.to_bytes()));
    }

    /// A fresh transcript of what `sender` sends in one block.
    #[must_use]
    pub fn transcript(&self, isa: Isa, sender: Role) -> Transcript {
        let key = Secret::new(self.direction(sender).secrets.hash_key());
        Transcript { isa, key, accumulator: Secret::new(0), bytes: 0, blocks: 0 }
    }

    /// The next pad for a tag that `sender` sends: spent from now on.
    ///
    /// # Errors
    /// [`AuthError::PadsSpent`] if there is none.
    pub fn pad(&mut self, sender: Role) -> Result<Pad, AuthError> {
        let direction = self.direction_mut(sender);
        direction.uses += 1;
        direction.pop().map(Pad::new).ok_or(AuthError::PadsSpent { direction: sender })
    }

    /// Whether hash keys and pads are kept out of the swap file: the system limits how much may be.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.alice_to_bob.secrets.is_locked() && self.bob_to_alice.secrets.is_locked()
    }

    /// Blocks whose four tags the pads left can still close.
    #[must_use]
    pub fn blocks_left(&self) -> usize {
        self.alice_to_bob.secrets.len().min(self.bob_to_alice.secrets.len()) / (TAGS_PER_BLOCK / 2)
    }

    /// How often the hash key of a direction was used: its error adds up.
    #[must_use]
    pub fn uses(&self, sender: Role) -> u64 {
        self.direction(sender).uses
    }

    fn direction(&self, sender: Role) -> &Direction {
        match sender {
            Role::Alice => &self.alice_to_bob,
            Role::Bob => &self.bob_to_alice,
        }
    }

    fn direction_mut(&mut self, sender: Role) -> &mut Direction {
        match sender {
            Role::Alice => &mut self.alice_to_bob,
            Role::Bob => &mut self.bob_to_alice,
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool(pads for {} blocks)", self.blocks_left())
    }
}

fn word(bytes: &[u8]) -> u128 {
    let mut word = [0; 16];
    word.copy_from_slice(bytes);
    u128::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use keystill_kernels::os::Locked;

    use super::*;

    fn pool() -> Pool {
        let key: Vec<u8> = (0..96 + 64).map(|i: u8| i.wrapping_mul(37) ^ 0x5a).collect();
        Pool::from_pre_shared(&key).expect("long enough")
    }

    fn tag_of(pool: &mut Pool, parts: &[&[u8]]) -> Tag {
        let mut transcript = pool.transcript(Isa::best(), Role::Alice);
        parts.iter().for_each(|part| transcript.absorb(part));
        let pad = pool.pad(Role::Alice).expect("a pad is left");
        transcript.tag(pad)
    }

    #[test]
    fn both_sides_make_the_same_tag_and_a_changed_message_another() {
        let message = [7u8; 100];
        let mut changed = message;
        changed[99] ^= 1;
        let tag = tag_of(&mut pool(), &[&message]);
        assert!(tag.matches(&tag_of(&mut pool(), &[&message])), "the same messages");
        assert!(!tag.matches(&tag_of(&mut pool(), &[&changed])), "one bit differs");
        assert!(!tag.matches(&tag_of(&mut pool(), &[&message[..99]])), "one byte is missing");
        assert!(!tag.matches(&tag_of(&mut pool(), &[&message, &[0]])), "one byte too many");
    }

    #[test]
    fn a_pad_is_never_given_twice_and_their_end_is_an_error() {
        let mut pool = pool();
        assert_eq!(pool.blocks_left(), 2, "four pads a direction");
        let first = tag_of(&mut pool, &[b"x"]);
        assert!(!first.matches(&tag_of(&mut pool, &[b"x"])), "another pad hides the same hash");
        for _ in 0..2 {
            pool.pad(Role::Alice).expect("left");
        }
        let error = pool.pad(Role::Alice).expect_err("spent");
        assert_eq!(error, AuthError::PadsSpent { direction: Role::Alice }, "typed");
        assert!(pool.pad(Role::Bob).is_ok(), "the other direction has its own");
        pool.refill(&[1; 32]);
        assert!(pool.pad(Role::Alice).is_ok(), "refilled");
    }

    #[test]
    fn a_tag_names_its_pad_and_the_past_is_refused() {
        let (mut ours, mut theirs) = (pool(), pool());
        let lost = ours.pad(Role::Alice);
        assert!(lost.is_ok(), "this tag never arrives");
        let index = ours.next_pad(Role::Alice);
        let tag = tag_of(&mut ours, &[b"hello"]);
        let transcript = |pool: &Pool| {
            let mut transcript = pool.transcript(Isa::best(), Role::Alice);
            transcript.absorb(b"hello");
            transcript
        };
        let hello = transcript(&theirs);
        assert_eq!(theirs.check(Role::Alice, index - 1, hello, &tag), Ok(false), "another pad");
        let hello = transcript(&theirs);
        assert_eq!(theirs.check(Role::Alice, index, hello, &tag), Ok(true), "the pad named");
        assert_eq!(theirs.next_pad(Role::Alice), index + 1, "it and all before it are spent");
        let replayed = AuthError::PadReplayed { direction: Role::Alice, index, next: index + 1 };
        let hello = transcript(&theirs);
        assert_eq!(theirs.check(Role::Alice, index, hello, &tag), Err(replayed), "once only");
        let hello = transcript(&theirs);
        let early = theirs.check(Role::Alice, index + 9, hello, &tag);
        assert_eq!(early, Err(AuthError::PadsSpent { direction: Role::Alice }), "not there yet");
    }

    #[test]
    fn a_short_pre_shared_key_is_refused() {
        let error = Pool::from_pre_shared(&[0; 95]).expect_err("one byte short");
        assert_eq!(error, AuthError::PreSharedTooShort { found_bytes: 95, needed_bytes: 96 }, "numbers");
    }

    #[test]
    fn the_error_and_the_pads_are_counted() {
        let mut pool = pool();
        let mut transcript = pool.transcript(Isa::best(), Role::Alice);
        transcript.absorb(&[3; 33]);
        transcript.absorb(&[4; 16]);
        assert_eq!(transcript.epsilon(), 5.0 / 2f64.powi(128), "three blocks, one, and the length");
        for (role, uses) in [(Role::Alice, 3), (Role::Bob, 2)] {
            assert_eq!((pool.uses(role), pool.pads_left(role)), (0, 4), "nothing used of {role:?}'s");
            (0..uses).for_each(|_| drop(pool.pad(role)));
            assert_eq!(pool.uses(role), uses, "each tag counts");
            assert_eq!(pool.pads_left(role), 4 - usize::try_from(uses).expect("small"), "each takes a pad");
            assert_eq!(pool.next_pad(role), uses, "the next one's number");
        }
        assert_eq!(pool.blocks_left(), 0, "one pad of Alice's closes no block");
        let tag = Tag([0; 16]);
        let transcript = pool.transcript(Isa::best(), Role::Bob);
        assert_eq!(pool.check(Role::Bob, 2, transcript, &tag), Ok(false), "a forged tag");
        assert_eq!((pool.uses(Role::Bob), pool.pads_left(Role::Bob)), (3, 2), "it used the key, not the pad");
        pool.skip_to(Role::Bob, 3);
        assert_eq!((pool.next_pad(Role::Bob), pool.pads_left(Role::Bob)), (3, 1), "skipped");
        pool.skip_to(Role::Bob, 9);
        assert_eq!((pool.next_pad(Role::Bob), pool.pads_left(Role::Bob)), (9, 0), "past the last");
    }

    /// Times x in the field.
    fn doubled(value: u128) -> u128 {
        (value << 1) ^ (0x87 * (value >> 127))
    }

    #[test]
    fn a_tag_is_the_polynomial_with_its_length_under_the_pad() {
        let mut keys = [0; 32];
        keys[15] = 2;
        let pair: Vec<u8> = (0..32).map(|i| 0xf3 ^ (7 * i)).collect();
        let mut pool = Pool::restore(&keys, 0, &pair);
        let text: Vec<u8> = (0..20).map(|i| 0x91 ^ i).collect();
        let mut transcript = pool.transcript(Isa::best(), Role::Alice);
        transcript.absorb(&text);
        let tag = transcript.tag(pool.pad(Role::Alice).expect("one"));
        let mut padded = [0; 32];
        padded[..20].copy_from_slice(&text);
        let blocks = [word(&padded[..16]), word(&padded[16..]), 160];
        let hash = blocks.into_iter().fold(0, |hash, block| doubled(hash ^ block));
        assert_eq!(tag.0, (hash ^ word(&pair[..16])).to_be_bytes(), "H(M, 160 bits) ⊕ p for the key x");
    }

    #[test]
    fn the_least_pre_shared_key_closes_a_block_and_distilled_key_another() {
        let mut pool = Pool::from_pre_shared(&[7; Pool::MINIMUM_BYTES]).expect("exactly enough");
        assert_eq!(pool.blocks_left(), 1, "four pads");
        pool.refill_from(&BitBlock::zeros(512));
        assert_eq!(pool.blocks_left(), 2, "four more of 512 bits");
    }

    #[test]
    fn a_pool_is_locked_if_both_directions_are() {
        let granted = pool().is_locked();
        let heap = || Secrets::within(Locked::unlocked(32), &[1; 16]);
        let mut first = pool();
        first.alice_to_bob.secrets = heap();
        let mut second = pool();
        second.bob_to_alice.secrets = heap();
        assert!(!first.is_locked() && !second.is_locked(), "one of them lies on the heap");
        assert_eq!(granted, Locked::zeros(4096).is_locked(), "as the system grants");
    }

    #[test]
    fn nothing_that_is_printed_tells_a_secret() {
        let mut pool = pool();
        let pad = pool.pad(Role::Alice).expect("left");
        assert_eq!(format!("{pool:?}"), "Pool(pads for 1 blocks)", "a pool");
        assert_eq!(format!("{pad:?}"), "Pad(128 bits)", "a pad");
        assert_eq!(format!("{:?}", Tag([7; 16])), "Tag(128 bits)", "a tag");
        let shown = format!("{:?}", pool.transcript(Isa::best(), Role::Alice));
        for secret in ["key: Secret(128 bits)", "accumulator: Secret(128 bits)"] {
            assert!(shown.contains(secret), "neither key nor hash: {shown}");
        }
    }
}
