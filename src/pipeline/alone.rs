//! Failures that stay where they are: a protocol that cannot go on stops, and the others carry delivery.

use std::time::Instant;

use crate::session::LinkState;
use crate::stage::Role;

use super::actor::{Actor, ActorError, Condition, News, Queues, Reserves};
use super::workers::{Arrived, Workers};

/// An actor whose failures stop nobody else, but for those of the storage that all share.
#[derive(Debug)]
pub struct Alone {
    actor: Box<dyn Actor>,
    stopped: bool,
    news: Vec<News>,
}

impl Alone {
    /// Keeps an actor's failures to itself: they become [`News::Stopped`].
    #[must_use]
    pub fn new(actor: Box<dyn Actor>) -> Self {
        Self { actor, stopped: false, news: Vec::new() }
    }

    /// Does something, unless the actor has stopped; stops it where that fails.
    fn act<T: Default>(
        &mut self,
        act: impl FnOnce(&mut dyn Actor) -> Result<T, ActorError>,
    ) -> Result<T, ActorError> {
        if self.stopped {
            return Ok(T::default());
        }
        match act(&mut *self.actor) {
            Err(error) if !matches!(error, ActorError::Storage { .. }) => {
                self.stopped = true;
                self.news = self.actor.take_news();
                self.news.push(News::Stopped(error));
                Ok(T::default())
            }
            outcome => outcome,
        }
    }
}

impl Actor for Alone {
    fn protocol(&self) -> &'static str {
        self.actor.protocol()
    }

    fn role(&self) -> Role {
        self.actor.role()
    }

    fn advance(&mut self, number: usize, workers: &Workers) -> Result<bool, ActorError> {
        self.act(|actor| actor.advance(number, workers))
    }

    fn link(&mut self, state: LinkState) -> Result<(), ActorError> {
        self.act(|actor| actor.link(state))
    }

    fn take_hangup(&mut self) -> bool {
        !self.stopped && self.actor.take_hangup()
    }

    fn deliver(&mut self, message: &[u8]) -> Result<(), ActorError> {
        self.act(|actor| actor.deliver(message))
    }

    fn arrived(&mut self, result: Arrived) -> Result<(), ActorError> {
        self.act(|actor| actor.arrived(result))
    }

    fn take_messages(&mut self, sent: &mut Vec<Vec<u8>>) {
        if !self.stopped {
            self.actor.take_messages(sent);
        }
    }

    fn take_news(&mut self) -> Vec<News> {
        if self.stopped { std::mem::take(&mut self.news) } else { self.actor.take_news() }
    }

    fn is_finished(&self) -> bool {
        if self.stopped { self.news.is_empty() } else { self.actor.is_finished() }
    }

    fn progress(&self) -> (u64, u64) {
        self.actor.progress()
    }

    fn next_due(&self) -> Option<Instant> {
        if self.stopped { None } else { self.actor.next_due() }
    }

    fn condition(&self) -> Condition {
        if self.stopped { Condition::Stopped } else { self.actor.condition() }
    }

    fn reserves(&self) -> Reserves {
        self.actor.reserves()
    }

    fn queues(&self) -> Queues {
        self.actor.queues()
    }
}
