//! Sources that say nothing: a pipe without a writer looks like one whose writer has nothing to say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keystill::pipeline::Actor;

/// How long a raw frame is awaited before that is told.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is awaited of each protocol's source.
#[derive(Debug, Default)]
pub(super) struct Silence {
    awaited: BTreeMap<&'static str, Awaited>,
}

/// The next raw frame, since when it is awaited, and whether that was told.
#[derive(Clone, Copy, Debug)]
struct Awaited {
    frame: u64,
    since: Instant,
    told: bool,
}

impl Silence {
    /// Says once a frame which of the `real` sources keep the node waiting.
    pub(super) fn tell(&mut self, actors: &[Box<dyn Actor>], real: &[&'static str]) {
        for actor in actors.iter().filter(|actor| real.contains(&actor.protocol())) {
            // Frames that wait here wait for the session, and a source that ended has none.
            let (next, all) = actor.progress();
            let frame = (actor.queues().frames == 0 && next < all).then_some(next);
            if self.is_news(actor.protocol(), frame, Instant::now()) {
                let (protocol, seconds) = (actor.protocol(), PATIENCE.as_secs());
                eprintln!(
                    "keystill: {protocol}: no raw frame for {seconds} s; does what writes its source run?"
                );
            }
        }
    }

    /// Whether the frame has just been awaited for too long; `None` where none is awaited.
    fn is_news(&mut self, protocol: &'static str, frame: Option<u64>, now: Instant) -> bool {
        let Some(frame) = frame else {
            self.awaited.remove(protocol);
            return false;
        };
        let fresh = Awaited { frame, since: now, told: false };
        let awaited = self.awaited.entry(protocol).or_insert(fresh);
        if awaited.frame != frame {
            *awaited = fresh;
        }
        let long = now.duration_since(awaited.since) >= PATIENCE;
        long && !std::mem::replace(&mut awaited.told, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_does_not_come_is_told_once() {
        let (mut silence, began) = (Silence::default(), Instant::now());
        let mut at = |seconds, frame| silence.is_news("bb84", frame, began + Duration::from_secs(seconds));
        assert!(!at(0, Some(3)) && !at(10, Some(3)), "not yet");
        assert!(at(16, Some(3)), "too long");
        assert!(!at(17, Some(3)) && !at(100, Some(3)), "once");
        assert!(!at(101, Some(4)) && !at(110, Some(4)), "it came, and the next one is awaited");
        assert!(!at(115, None), "the session has enough to do");
        assert!(!at(130, Some(4)), "awaited since now");
        assert!(at(150, Some(4)), "told of the next one too");
    }
}
