//! Computations under way, by the numbers of their tickets.

use std::collections::VecDeque;

use super::block::Place;

/// Whose result a ticket brings back. Tickets return in nearly the order in which they were issued, so they stand in
/// a queue whose front is the oldest that is still out.
#[derive(Debug, Default)]
pub(super) struct Tickets {
    /// The number of the queue's front.
    first: u64,
    out: VecDeque<Option<(u64, Place)>>,
    count: usize,
}

impl Tickets {
    /// A number never issued before, for a computation of a block.
    pub(super) fn issue(&mut self, block: u64, place: Place) -> u64 {
        self.out.push_back(Some((block, place)));
        self.count += 1;
        self.first + self.out.len() as u64 - 1
    }

    /// Takes a ticket back; `None` if it was forgotten, or never issued.
    pub(super) fn take(&mut self, ticket: u64) -> Option<(u64, Place)> {
        let place = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        let found = self.out.get_mut(place)?.take();
        self.count -= usize::from(found.is_some());
        self.advance();
        found
    }

    /// Forgets all tickets of a block.
    pub(super) fn forget(&mut self, block: u64) {
        for ticket in self.out.iter_mut().filter(|ticket| ticket.is_some_and(|(of, _)| of == block)) {
            *ticket = None;
            self.count -= 1;
        }
        self.advance();
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.first += self.out.len() as u64;
        self.out.clear();
        self.count = 0;
    }

    /// How many are out.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn advance(&mut self) {
        while let Some(None) = self.out.front() {
            self.out.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_comes_back_once_and_numbers_are_never_issued_twice() {
        let mut tickets = Tickets::default();
        let issued: Vec<u64> = (0..5).map(|block| tickets.issue(block % 2, Place::Frame(7))).collect();
        assert_eq!(issued, [0, 1, 2, 3, 4], "one after the other");
        assert_eq!(tickets.take(2), Some((0, Place::Frame(7))), "out of order");
        assert_eq!((tickets.take(2), tickets.take(9)), (None, None), "twice, and never issued");
        tickets.forget(1);
        assert_eq!((tickets.len(), tickets.take(3)), (2, None), "block 1 was forgotten");
        assert_eq!(tickets.take(0), Some((0, Place::Frame(7))), "block 0 was not");
        tickets.clear();
        assert_eq!((tickets.len(), tickets.take(4)), (0, None), "all forgotten");
        assert_eq!(tickets.issue(8, Place::Seed), 5, "a new number");
        assert_eq!(tickets.take(5), Some((8, Place::Seed)), "its own");
    }
}
