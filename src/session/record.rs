//! What a session wants remembered before it goes on, and what comes of remembering it.
//!
//! A session asks for a [`Record`] ([`super::Output::Persist`]) and holds back every later message and
//! key until its ticket comes back ([`super::Input::Persisted`]). Records are remembered in order.
//! [`Memory::apply`] says what they add up to, so that a store and a session never differ about it.
//!
//! The closing of a block, on either side:
//!
//! | record | remembered before | a crash after it |
//! |---|---|---|
//! | [`Entry::Opened`] | any message of the block leaves | the block's number and data are never used again |
//! | [`Entry::Prepare`] | our transcript tag leaves | the key is wiped, the pads stay spent |
//! | [`Entry::Ready`] | our acceptance leaves | in doubt: the peer says whether it accepted too |
//! | [`Entry::Commit`] | the key is used | the key is there |
//!
//! Both sides ready means both hold the verified key, so whoever is in doubt commits if the peer was
//! ready for the same block under the same two transcript tags, and wipes it otherwise.

use crate::auth::Pool;
use crate::bits::BitBlock;
use crate::stage::Role;

/// Names a record on its way to the disk and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Something to be remembered before the session goes on.
#[derive(Debug)]
pub struct Record {
    /// Comes back when it is remembered.
    pub ticket: Ticket,
    /// What.
    pub entry: Entry,
}

/// The numbers of the first pads that are not spent: Alice → Bob, and Bob → Alice.
pub type Spent = [u64; 2];

/// The two transcript tags of a block, Alice's first: what an acceptance speaks of.
pub type Accepted = [u8; 32];

/// What is remembered.
#[derive(Debug, PartialEq)]
pub enum Entry {
    /// A connection begins: our number of it, above all before, and the highest of the peer's.
    Epoch {
        /// Ours.
        own: u64,
        /// The peer's.
        peer: u64,
    },
    /// All blocks up to this one are open or over: none is ever begun again.
    Opened {
        /// The block.
        block: u64,
    },
    /// Pads are spent.
    Pads {
        /// The first that are not.
        spent: Spent,
    },
    /// A block's key is there; our transcript tag may leave.
    Prepare {
        /// The block.
        block: u64,
        /// The first pads that are not spent.
        spent: Spent,
        /// Our transcript tag.
        tag: [u8; 16],
        /// The key: first what refills the pads, then what is delivered.
        bits: BitBlock,
        /// Bits that refill the pads.
        refill_bits: u64,
    },
    /// The peer's transcript tag was right; our acceptance may leave.
    Ready {
        /// The block.
        block: u64,
        /// The first pads that are not spent.
        spent: Spent,
        /// Our acceptance's tag.
        tag: [u8; 16],
        /// Both transcript tags.
        accepted: Accepted,
    },
    /// Both sides accepted.
    Commit {
        /// The block.
        block: u64,
        /// The first pads that are not spent.
        spent: Spent,
        /// The block's ε.
        epsilon: f64,
    },
    /// A prepared block comes to nothing: its key is wiped.
    Cut {
        /// The block.
        block: u64,
    },
}

/// A block whose key is there but not committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The block.
    pub block: u64,
    /// Bits that refill the pads.
    pub refill_bits: u64,
    /// Whether our acceptance may have left: the block is in doubt.
    pub ready: bool,
}

/// What all records of one party of one protocol add up to, keys apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Our number of the latest connection.
    pub epoch: u64,
    /// The highest number that the peer gave a connection.
    pub peer_epoch: u64,
    /// The first block that was never begun.
    pub next_block: u64,
    /// The first pads that are not spent.
    pub spent: Spent,
    /// The newest block for which we were ready, and its transcript tags.
    pub accepted: Option<(u64, Accepted)>,
    /// A block whose key is there but not committed.
    pub prepared: Option<Prepared>,
    /// Blocks committed.
    pub commits: u64,
    /// Their ε, added up.
    pub epsilon: f64,
}

impl Memory {
    /// Adds an entry. Numbers never go back.
    pub fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::Epoch { own, peer } => {
                self.epoch = self.epoch.max(*own);
                self.peer_epoch = self.peer_epoch.max(*peer);
            }
            Entry::Opened { block } => self.next_block = self.next_block.max(block + 1),
            Entry::Pads { spent } => self.spend(*spent),
            Entry::Prepare { block, spent, refill_bits, .. } => {
                self.spend(*spent);
                self.next_block = self.next_block.max(block + 1);
                self.prepared = Some(Prepared { block: *block, refill_bits: *refill_bits, ready: false });
            }
            Entry::Ready { block, spent, accepted, .. } => {
                self.spend(*spent);
                self.accepted = Some((*block, *accepted));
                if let Some(prepared) = self.prepared.as_mut().filter(|own| own.block == *block) {
                    prepared.ready = true;
                }
            }
            Entry::Commit { block, spent, epsilon } => {
                self.spend(*spent);
                self.commits += 1;
                self.epsilon += epsilon;
                self.prepared.take_if(|prepared| prepared.block == *block);
            }
            Entry::Cut { block } => {
                self.prepared.take_if(|prepared| prepared.block == *block);
                // What came to nothing was never accepted by both.
                self.accepted.take_if(|(accepted, _)| *accepted == *block);
            }
        }
    }

    fn spend(&mut self, spent: Spent) {
        for (own, new) in self.spent.iter_mut().zip(spent) {
            *own = (*own).max(new);
        }
    }
}

/// What a party goes on from after a crash or a lost connection.
#[derive(Debug)]
pub struct Remembered {
    /// What the records add up to.
    pub memory: Memory,
    /// The pads that are left.
    pub pool: Pool,
    /// The key of the block in doubt, if there is one.
    pub in_doubt: Option<BitBlock>,
}

impl Remembered {
    /// A party that never spoke.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { memory: Memory::default(), pool, in_doubt: None }
    }
}

/// The numbers of a pool's first pads that are not spent.
#[must_use]
pub fn spent(pool: &Pool) -> Spent {
    [pool.next_pad(Role::Alice), pool.next_pad(Role::Bob)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_in_doubt_between_ready_and_commit_only() {
        let mut memory = Memory::default();
        let bits = BitBlock::zeros(300);
        memory.apply(&Entry::Prepare { block: 4, spent: [1, 0], tag: [1; 16], bits, refill_bits: 256 });
        let prepared = Prepared { block: 4, refill_bits: 256, ready: false };
        assert_eq!(memory.prepared, Some(prepared), "prepared");
        assert_eq!(memory.next_block, 5, "never begun again");
        memory.apply(&Entry::Ready { block: 4, spent: [2, 1], tag: [2; 16], accepted: [3; 32] });
        assert_eq!(memory.prepared, Some(Prepared { ready: true, ..prepared }), "in doubt");
        memory.apply(&Entry::Commit { block: 4, spent: [2, 2], epsilon: 0.5 });
        assert_eq!((memory.prepared, memory.spent), (None, [2, 2]), "over");
        assert_eq!(memory.accepted, Some((4, [3; 32])), "the peer may still ask");
    }

    #[test]
    fn numbers_never_go_back() {
        let mut memory = Memory::default();
        memory.apply(&Entry::Epoch { own: 5, peer: 3 });
        memory.apply(&Entry::Epoch { own: 4, peer: 9 });
        memory.apply(&Entry::Opened { block: 7 });
        memory.apply(&Entry::Opened { block: 2 });
        memory.apply(&Entry::Pads { spent: [4, 1] });
        memory.apply(&Entry::Pads { spent: [1, 6] });
        assert_eq!((memory.epoch, memory.peer_epoch, memory.next_block), (5, 9, 8), "the highest of each");
        assert_eq!(memory.spent, [4, 6], "pads stay spent");
    }
}
