//! Callers who ask at the same time share one answer's cost: one sync of a disk, one question to a database.
//!
//! Whoever comes first leads: it asks for all who have come, hands the lead to the first who came
//! meanwhile, and only then gives the others their answers, so the next round begins at once.

use std::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

enum Turn<A> {
    Lead,
    Answer(A),
}

struct Queue<Q, A> {
    asked: Vec<(Q, SyncSender<Turn<A>>)>,
    led: bool,
}

/// A queue of callers.
pub(super) struct Together<Q, A>(Mutex<Queue<Q, A>>);

impl<Q, A> Default for Together<Q, A> {
    fn default() -> Self {
        Self(Mutex::new(Queue { asked: Vec::new(), led: false }))
    }
}

impl<Q, A> fmt::Debug for Together<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Together({} waiting)", self.lock().asked.len())
    }
}

impl<Q, A> Together<Q, A> {
    /// Asks. `all` answers the questions of everybody who came, in their order; it runs on one caller at a
    /// time. `None` if whoever asked for us failed.
    pub(super) fn ask(&self, question: Q, all: impl FnOnce(Vec<Q>) -> Vec<A>) -> Option<A> {
        let (sender, turns) = sync_channel(1);
        let follows = {
            let mut queue = self.lock();
            queue.asked.push((question, sender));
            std::mem::replace(&mut queue.led, true)
        };
        if follows && let Turn::Answer(answer) = turns.recv().ok()? {
            return Some(answer);
        }
        let lead = Lead(self);
        let (questions, senders): (Vec<Q>, Vec<_>) =
            std::mem::take(&mut self.lock().asked).into_iter().unzip();
        let answers = all(questions);
        drop(lead);
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Who does not listen any more has failed by itself.
            let _ = sender.send(Turn::Answer(answer));
        }
        match turns.recv() {
            Ok(Turn::Answer(answer)) => Some(answer),
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        // A list and a flag are whole at every moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lead: passed on when it is dropped, also by a panic.
struct Lead<'a, Q, A>(&'a Together<Q, A>);

impl<Q, A> Drop for Lead<'_, Q, A> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        let next = queue.asked.first().map(|(_, sender)| sender.send(Turn::Lead));
        queue.led = matches!(next, Some(Ok(())));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn everybody_gets_the_answer_to_the_own_question() {
        let (together, rounds) = (Together::default(), AtomicUsize::new(0));
        let all = |questions: Vec<u64>| {
            rounds.fetch_add(1, Ordering::Relaxed);
            std::thread::yield_now();
            questions.into_iter().map(|question| question + 1).collect()
        };
        std::thread::scope(|scope| {
            for caller in 0..16 {
                let (together, all) = (&together, &all);
                scope.spawn(move || {
                    for turn in 0..500 {
                        let question = 1000 * caller + turn;
                        assert_eq!(together.ask(question, all), Some(question + 1), "caller {caller}");
                    }
                });
            }
        });
        assert!(rounds.load(Ordering::Relaxed) <= 8000, "nobody asks twice");
        assert!(together.lock().asked.is_empty() && !together.lock().led, "nobody waits");
    }

    #[test]
    fn a_leader_that_fails_takes_nobody_else_along() {
        let together = Together::default();
        let failed = std::thread::scope(|scope| {
            scope.spawn(|| together.ask(1, |_: Vec<u32>| -> Vec<u32> { panic!("meant") })).join()
        });
        assert!(failed.is_err(), "the leader failed");
        assert_eq!(together.ask(2, |questions| questions), Some(2), "the next one leads");
        assert_eq!(together.ask(3, |_: Vec<u32>| Vec::new()), None, "no answer, no wait");
    }
}
