//! Both halves of a conversation in one process: for recorded data, benchmarks and fuzzing.

use super::{Conversation, Fault, Next, Outbox, Workbench};
use crate::wire::{Malformed, Reader};

/// What both halves sent and booked.
#[derive(Debug, Default)]
pub struct Loopback {
    /// The first half's account.
    pub first: Outbox,
    /// The second half's account.
    pub second: Outbox,
    /// Messages in both directions.
    pub messages: u64,
}

impl Loopback {
    /// Nothing said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets two halves talk until both have left. What was booked before a fault stays booked.
    ///
    /// # Errors
    /// The [`Fault`] of the half that ends first; [`Malformed`] if both wait for the other.
    pub fn hold<A, B>(
        &mut self,
        bench: &mut Workbench,
        first: &mut dyn Conversation<A>,
        second: &mut dyn Conversation<B>,
    ) -> Result<(A, B), Fault> {
        let next = first.start(&mut self.first)?;
        let mut next_first = settle(bench, first, next, &mut self.first)?;
        let next = second.start(&mut self.second)?;
        let mut next_second = settle(bench, second, next, &mut self.second)?;
        loop {
            let before = self.messages;
            for message in self.first.take() {
                self.messages += 1;
                let next = second.hear(Reader::new(&message), &mut self.second)?;
                next_second = settle(bench, second, next, &mut self.second)?;
            }
            for message in self.second.take() {
                self.messages += 1;
                let next = first.hear(Reader::new(&message), &mut self.first)?;
                next_first = settle(bench, first, next, &mut self.first)?;
            }
            match (next_first, next_second) {
                (Next::Leave(first), Next::Leave(second)) => return Ok((first, second)),
                _ if self.messages == before => return Err(Malformed::Field { field: "turn" }.into()),
                going => (next_first, next_second) = going,
            }
        }
    }
}

/// Computes until the half listens or leaves.
fn settle<P>(
    bench: &mut Workbench,
    half: &mut dyn Conversation<P>,
    mut next: Next<P>,
    out: &mut Outbox,
) -> Result<Next<P>, Fault> {
    while let Next::Compute(job) = next {
        next = half.done(job.run(bench), out)?;
    }
    Ok(next)
}
