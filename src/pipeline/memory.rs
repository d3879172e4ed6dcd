//! Both ends in one process: messages are handed over in memory.

use std::time::{Duration, Instant};

use crate::session::LinkState;
use crate::wire;

use super::actor::{Actor, ActorError, Told};
use super::log;
use super::workers::{Arrival, Workers};

/// Drives actors until every block is over.
///
/// Actors 2i and 2i + 1 are the two ends of one link. `told` hears news by actor number, and with
/// `None` a sign of life now and then; it returns whether to go on.
///
/// # Errors
/// [`ActorError`] of the first actor that fails.
pub fn drive(actors: &mut [Box<dyn Actor>], workers: &Workers, told: Told<'_>) -> Result<(), ActorError> {
    for actor in actors.iter_mut() {
        actor.link(LinkState::Up)?;
    }
    let mut messages = Vec::new();
    loop {
        let mut moved = false;
        for number in 0..actors.len() {
            moved |= actors[number].advance(number, workers)?;
            if actors[number].take_hangup() {
                reconnect(actors, number)?;
            }
            actors[number].take_messages(&mut messages);
            moved |= !messages.is_empty();
            for message in messages.drain(..) {
                actors[number ^ 1].deliver(&message)?;
                wire::give_back(message);
            }
            for news in actors[number].take_news() {
                log::tell(&*actors[number], &news);
                if !told(actors, Some((number, news))) {
                    return Ok(());
                }
            }
        }
        if actors.iter().all(|actor| actor.is_finished()) {
            return Ok(());
        }
        if !moved {
            wait(actors, workers)?;
        }
        if !told(actors, None) {
            return Ok(());
        }
    }
}

/// Ends the link of an actor and begins it again.
fn reconnect(actors: &mut [Box<dyn Actor>], number: usize) -> Result<(), ActorError> {
    for state in [LinkState::Down, LinkState::Up] {
        actors[number].link(state)?;
        actors[number ^ 1].link(state)?;
    }
    Ok(())
}

/// Waits for work to come back, or for the next frame to be due.
fn wait(actors: &mut [Box<dyn Actor>], workers: &Workers) -> Result<(), ActorError> {
    let due = actors.iter().filter_map(|actor| actor.next_due()).min();
    let patience =
        due.map_or(Duration::from_millis(200), |due| due.saturating_duration_since(Instant::now()));
    let patience = patience.clamp(Duration::from_micros(100), Duration::from_millis(200));
    let Ok(first) = workers.arrivals().recv_timeout(patience) else { return Ok(()) };
    for Arrival { actor, result } in std::iter::once(first).chain(workers.arrivals().try_iter()) {
        actors[actor].arrived(result)?;
    }
    Ok(())
}
