//! The protocols' own links on one connection: each begins and ends by itself.
//!
//! A side says *ready* when its protocol wants a link; when both have, the link is up. Whoever wants no
//! more says *end*, and drops what still comes until the other's *end*, with which it answers if it did
//! not say so itself. So in each direction *ready* and *end* alternate, and nothing of one link is taken for
//! a part of the next.

use std::time::{Duration, Instant};

/// A link that failed begins again after this time: a peer that makes it fail again and again gets no
/// more attention than that.
const REST: Duration = Duration::from_millis(100);

/// What is said about a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// A link is wanted.
    Ready,
    /// It is over.
    End,
}

/// What becomes of a link when a signal was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing yet.
    None,
    /// It is there.
    Up,
    /// It is over, and the peer is to be told.
    Down,
    /// The peer may not say this now.
    Wrong,
}

/// One protocol's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// There is none; who is ready for one.
    Idle { said: bool, heard: bool, not_before: Option<Instant> },
    /// It is there.
    Up,
    /// We ended it, and the peer did not yet.
    Ending,
}

impl Lane {
    pub(super) const NEW: Self = Self::Idle { said: false, heard: false, not_before: None };

    pub(super) fn is_up(self) -> bool {
        self == Self::Up
    }

    /// Whether we have to say that we are ready; the link is up if the peer was before.
    pub(super) fn want(&mut self, now: Instant) -> Option<Change> {
        let Self::Idle { said: false, heard, not_before } = *self else { return None };
        if not_before.is_some_and(|time| now < time) {
            return None;
        }
        *self = if heard { Self::Up } else { Self::Idle { said: true, heard, not_before: None } };
        Some(if heard { Change::Up } else { Change::None })
    }

    /// Ends the link; whether there was one, of which the peer is to be told.
    pub(super) fn end(&mut self) -> bool {
        let was_up = self.is_up();
        if was_up {
            *self = Self::Ending;
        }
        was_up
    }

    pub(super) fn hear(&mut self, signal: Signal, now: Instant) -> Change {
        let idle = Self::Idle { said: false, heard: false, not_before: Some(now + REST) };
        let (next, change) = match (*self, signal) {
            (Self::Idle { said: true, heard: false, .. }, Signal::Ready) => (Self::Up, Change::Up),
            (Self::Idle { said: false, heard: false, not_before }, Signal::Ready) => {
                (Self::Idle { said: false, heard: true, not_before }, Change::None)
            }
            (Self::Up, Signal::End) => (idle, Change::Down),
            (Self::Ending, Signal::End) => (idle, Change::None),
            _ => return Change::Wrong,
        };
        *self = next;
        change
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// One end: what is on its way to it, and which link it has.
    struct End {
        lane: Lane,
        incoming: VecDeque<(Option<Signal>, u32)>,
        links: u32,
    }

    /// Tells the other end, with the number of the link that it belongs to.
    fn say(ends: &mut [End; 2], from: usize, signal: Option<Signal>) {
        let link = ends[from].links;
        ends[1 - from].incoming.push_back((signal, link));
    }

    fn act(ends: &mut [End; 2], own: usize, what: u64, now: Instant) {
        match what {
            0 if ends[own].lane.is_up() => say(ends, own, None),
            1 if ends[own].lane.end() => say(ends, own, Some(Signal::End)),
            2 => {
                if let Some(change) = ends[own].lane.want(now) {
                    say(ends, own, Some(Signal::Ready));
                    ends[own].links += u32::from(change == Change::Up);
                }
            }
            3.. => {
                let Some((signal, link)) = ends[own].incoming.pop_front() else { return };
                let Some(signal) = signal else {
                    let up = ends[own].lane.is_up();
                    assert!(!up || link == ends[own].links, "a message of another link");
                    assert!(up || ends[own].lane == Lane::Ending, "a message without a link");
                    return;
                };
                match ends[own].lane.hear(signal, now) {
                    Change::Up => ends[own].links += 1,
                    Change::Down => say(ends, own, Some(Signal::End)),
                    Change::None => {}
                    Change::Wrong => panic!("an honest end says nothing wrong: {signal:?}"),
                }
            }
            _ => {}
        }
    }

    #[test]
    fn however_two_ends_begin_and_end_they_meet_again_and_mix_no_links() {
        let mut dice = 7u64;
        for _ in 0..300 {
            let end = || End { lane: Lane::NEW, incoming: VecDeque::new(), links: 0 };
            let (mut ends, mut now) = ([end(), end()], Instant::now());
            for step in 0..200 {
                dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let own = usize::from(dice >> 40 & 1 == 1);
                // After a while nobody ends the link any more.
                let what = if step < 150 { dice >> 50 & 7 } else { 2 + (dice >> 50 & 1) };
                act(&mut ends, own, what, now);
                now += REST / 3;
            }
            for turn in 0..60 {
                act(&mut ends, turn % 2, 2 + ((turn as u64 / 2) & 1), now);
            }
            assert!(ends.iter().all(|end| end.lane.is_up()), "they meet");
            assert_eq!(ends[0].links, ends[1].links, "on the same link");
        }
    }

    #[test]
    fn what_no_honest_peer_says_is_refused() {
        let now = Instant::now();
        let mut lane = Lane::NEW;
        assert_eq!(lane.hear(Signal::End, now), Change::Wrong, "an end of nothing");
        assert_eq!(lane.hear(Signal::Ready, now), Change::None, "ready first");
        assert_eq!(lane.hear(Signal::Ready, now), Change::Wrong, "ready twice");
    }
}
