//! What blocks that left key taught those that came later.

use std::collections::VecDeque;

use crate::protocol::Lesson;

/// The lessons of the last blocks.
#[derive(Debug)]
pub(super) struct Lessons {
    window_blocks: u64,
    /// By block, in order.
    last: VecDeque<(u64, Lesson)>,
}

impl Lessons {
    /// Of a session that holds so many blocks open.
    pub(super) fn new(window_blocks: u64) -> Self {
        Self { window_blocks, last: VecDeque::new() }
    }

    /// A block is over, and left key.
    pub(super) fn learn(&mut self, block: u64, lesson: Option<Lesson>) {
        self.last.extend(lesson.map(|lesson| (block, lesson)));
        while self.last.len() as u64 > self.window_blocks.saturating_add(2) {
            self.last.pop_front();
        }
    }

    /// What a block may learn from: the newest of blocks that were over, whatever the threads did, before either
    /// side could begin this one. So it is the same in every run and on both sides.
    pub(super) fn of(&self, block: u64) -> Option<Lesson> {
        let old = |(taught, _): &&(u64, Lesson)| taught.saturating_add(self.window_blocks) < block;
        self.last.iter().rev().find(old).map(|(_, lesson)| *lesson)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Measured;

    #[test]
    fn a_block_learns_only_from_blocks_that_were_over_anyway() {
        let mut lessons = Lessons::new(3);
        let lesson = |error_rate| Lesson { error_rate, sample: Measured { value: 0.03, error: 0.001 } };
        for block in [0, 1, 2, 4, 5, 6] {
            lessons.learn(block, Some(lesson(block as f64)));
        }
        lessons.learn(7, None);
        let of = |block| lessons.of(block).map(|lesson| lesson.error_rate);
        assert_eq!(of(8), Some(4.0), "block 5 may still have been open when block 8 began");
        assert_eq!(of(7), Some(2.0), "block 3 left no key, hence no lesson");
        assert_eq!(of(4), None, "block 0 is forgotten: five are kept");
        assert_eq!(of(100), Some(6.0), "the newest");
    }
}
