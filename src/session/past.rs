//! What blocks that are over left to those that come later.

use std::collections::VecDeque;

/// What the last blocks left: lessons, pads.
#[derive(Debug)]
pub(super) struct Past<T> {
    window_blocks: u64,
    /// By block, in order.
    last: VecDeque<(u64, T)>,
}

impl<T: Copy> Past<T> {
    /// Of a session that holds so many blocks open.
    pub(super) fn new(window_blocks: u64) -> Self {
        Self { window_blocks, last: VecDeque::new() }
    }

    /// A block is over, and left this.
    pub(super) fn leave(&mut self, block: u64, left: T) {
        self.last.push_back((block, left));
        while self.last.len() as u64 > self.window_blocks.saturating_add(2) {
            self.last.pop_front();
        }
    }

    /// What a block finds: what was left by the newest of blocks that were over, whatever the threads did, before
    /// either side could begin this one. So it is the same in every run and on both sides.
    pub(super) fn before(&self, block: u64) -> Option<T> {
        let old = |(over, _): &&(u64, T)| over.saturating_add(self.window_blocks) < block;
        self.last.iter().rev().find(old).map(|(_, left)| *left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_finds_only_what_blocks_left_that_were_over_anyway() {
        let mut past = Past::new(3);
        for block in [0, 1, 2, 4, 5, 6] {
            past.leave(block, block);
        }
        assert_eq!(past.before(8), Some(4), "block 5 may still have been open when block 8 began");
        assert_eq!(past.before(7), Some(2), "block 3 left nothing");
        assert_eq!(past.before(4), None, "block 0 is forgotten: five are kept");
        assert_eq!(past.before(100), Some(6), "the newest");
    }
}
