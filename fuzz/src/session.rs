//! A session against a peer that sends anything: an error that stays, no panic, no key.

use std::sync::Arc;

use keystill::auth::Pool;
use keystill::bb84::Bb84;
use keystill::random::OperatingSystem;
use keystill::session::{Config, Input as Told, LinkState, Output, Session, Time};
use keystill::stage::Role;

/// Lies by message number, added to the message; and messages that follow.
pub(crate) type Input = (Vec<(u8, Vec<u8>)>, Vec<Vec<u8>>);

pub(crate) fn run((lies, more): Input) {
    let mut ends = [Role::Alice, Role::Bob].map(|role| {
        let config = Config::new(role, 42, Arc::new(Bb84::default()), Arc::new(OperatingSystem));
        Session::new(config, Pool::from_pre_shared(&[0x5a; 544]).expect("long enough"))
    });
    for end in &mut ends {
        end.handle(Time(0), Told::Link(LinkState::Up)).expect("a connection");
    }
    let (mut count, mut moved) = (0, true);
    while moved && count < 100 {
        moved = false;
        for from in 0..2 {
            for mut message in said(&mut ends[from]) {
                for (_, lie) in lies.iter().filter(|(at, _)| from == 0 && usize::from(*at) == count) {
                    message.iter_mut().zip(lie).for_each(|(byte, lie)| *byte = byte.wrapping_add(*lie));
                }
                (count, moved) = (count + 1, true);
                tell(&mut ends[1 - from], &message);
            }
        }
    }
    let lied = lies.iter().any(|(at, lie)| *at < 4 && lie.iter().any(|byte| *byte != 0));
    assert!(lied || ends.iter().all(Session::is_live), "without lies they understand each other");
    for message in more {
        tell(&mut ends[1], &message);
        said(&mut ends[1]);
    }
}

fn tell(end: &mut Session<Bb84>, message: &[u8]) {
    if let Err(error) = end.handle(Time(0), Told::Received(message)) {
        assert_eq!(end.handle(Time(1), Told::Tick), Err(error), "an error stays");
    }
}

/// What a session says, its records remembered at once.
fn said(end: &mut Session<Bb84>) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        match end.poll() {
            Output::Transmit(message) => messages.push(message),
            Output::Persist(record) => drop(end.handle(Time(0), Told::Persisted(record.ticket))),
            Output::Key(key) => panic!("a key of nothing: {key:?}"),
            Output::Wait(_) => return messages,
            _ => {}
        }
    }
}
