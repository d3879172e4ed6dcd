//! Callers who ask at the same time share one answer's cost: one sync of a disk, one question to a database.
//!
//! Whoever comes first leads: it asks for all who have come, hands the lead to the first who came
//! meanwhile, and only then gives the others their answers, so the next round begins at once.
//!
//! Clients that ask again as soon as they were answered would fall into two halves that take turns, and every sync
//! serve one half. So a leader waits for as many as took part lately, for part of what a round takes: a wait that
//! is short beside the sync that it saves.

use std::fmt;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A leader waits for others for at most this share of the last round, and this long.
const SHARE: u32 = 2;
const LONGEST: Duration = Duration::from_millis(4);

enum Turn<A> {
    Lead,
    Answer(A),
}

struct Queue<Q, A> {
    asked: Vec<(Q, SyncSender<Turn<A>>)>,
    led: bool,
    /// Callers whom the last round answered, and who came while it ran.
    expected: usize,
    /// How long it took.
    took: Duration,
}

/// A queue of callers.
pub(super) struct Together<Q, A> {
    queue: Mutex<Queue<Q, A>>,
    /// All who are expected have come.
    complete: Condvar,
    longest: Duration,
}

impl<Q, A> Default for Together<Q, A> {
    fn default() -> Self {
        let queue = Queue { asked: Vec::new(), led: false, expected: 0, took: Duration::ZERO };
        Self { queue: Mutex::new(queue), complete: Condvar::new(), longest: LONGEST }
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
            if queue.asked.len() >= queue.expected {
                self.complete.notify_one();
            }
            std::mem::replace(&mut queue.led, true)
        };
        if follows && let Turn::Answer(answer) = turns.recv().ok()? {
            return Some(answer);
        }
        let mut lead = Lead { together: self, answered: 0, began: Instant::now() };
        let (questions, senders): (Vec<Q>, Vec<_>) = self.gathered().into_iter().unzip();
        lead.began = Instant::now();
        lead.answered = questions.len();
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

    /// Who has come, after a wait for those who are expected.
    fn gathered(&self) -> Vec<(Q, SyncSender<Turn<A>>)> {
        let mut queue = self.lock();
        let until = Instant::now() + (queue.took / SHARE).min(self.longest);
        while queue.asked.len() < queue.expected {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.complete.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::take(&mut queue.asked)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Q, A>> {
        // A list, a flag and two figures are whole at every moment.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lead: passed on when it is dropped, also by a panic.
struct Lead<'a, Q, A> {
    together: &'a Together<Q, A>,
    answered: usize,
    began: Instant,
}

impl<Q, A> Drop for Lead<'_, Q, A> {
    fn drop(&mut self) {
        let mut queue = self.together.lock();
        queue.expected = self.answered + queue.asked.len();
        queue.took = self.began.elapsed();
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
    fn who_comes_back_at_once_shares_the_next_round() {
        const TURNS: usize = 12;
        let together = Together { longest: Duration::from_secs(1), ..Together::default() };
        let rounds = AtomicUsize::new(0);
        let all = |questions: Vec<usize>| {
            rounds.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(150));
            questions
        };
        std::thread::scope(|scope| {
            for caller in 0..8 {
                let (together, all) = (&together, &all);
                scope.spawn(move || {
                    for _ in 0..TURNS {
                        assert_eq!(together.ask(caller, all), Some(caller), "caller {caller}");
                    }
                });
            }
        });
        let rounds = rounds.load(Ordering::Relaxed);
        assert!(rounds < TURNS * 3 / 2, "in halves it would be {}, not {rounds}", 2 * TURNS);
    }

    #[test]
    fn nobody_waits_for_who_is_gone() {
        let together = Together { longest: Duration::from_secs(100), ..Together::default() };
        together.lock().expected = 9;
        together.lock().took = Duration::from_millis(100);
        assert_eq!(together.ask(1, |questions| questions), Some(1), "after part of a round");
        together.lock().took = Duration::from_secs(1000);
        let began = Instant::now();
        assert_eq!(together.ask(2, |questions| questions), Some(2), "alone, as the last time");
        assert!(began.elapsed() < Duration::from_secs(50), "at once");
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
