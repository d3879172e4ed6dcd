//! Links that share a pool of threads: none waits for another's end.
#![allow(clippy::cast_possible_truncation, reason = "tests make their numbers from counters")]

use std::sync::Arc;
use std::time::Duration;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::Frame;
use keystill::pipeline::{Actor, FrameJob, FrameSource, News, Pace, Party, Workers, drive};
use keystill::protocol::Protocol;
use keystill::session::{Config, Event};
use keystill::sim::{SimulatedRandom, simulated_pre_shared_key};
use keystill::stage::Role;

mod synthetic;

const BLOCKS: u64 = 8;

/// Synthetic frames of BB84, those of four over and over.
#[derive(Debug)]
struct Frames(Role);

impl FrameSource<Frame> for Frames {
    fn frame(&self, index: u64) -> FrameJob<Frame> {
        let role = self.0;
        Box::new(move |_| {
            let (mut alice, mut bob) = synthetic::frames(index % 4);
            for frame in [&mut alice, &mut bob] {
                match frame {
                    Frame::Alice(frame) => frame.first_gate = index * u64::from(frame.gates),
                    Frame::Bob(frame) => frame.first_gate = index * u64::from(frame.gates),
                }
            }
            Ok(if role == Role::Alice { alice } else { bob })
        })
    }

    fn frames(&self) -> u64 {
        4 * BLOCKS
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_micros(150)
    }
}

fn party<P: Protocol>(
    role: Role,
    session: u64,
    protocol: Arc<P>,
    source: Box<dyn FrameSource<P::Frame>>,
) -> Box<dyn Actor> {
    let random = Arc::new(SimulatedRandom::new(session, role, P::NAME));
    let pool = Pool::from_pre_shared(&simulated_pre_shared_key(session, P::NAME, 1024)).expect("long enough");
    let config = Config::new(role, session.into(), protocol, random);
    Box::new(Party::new(config, pool, source, Pace::Max))
}

/// Of two links on one pool: the blocks of each when the first has all of its.
fn at_first_end(mut actors: [Box<dyn Actor>; 4]) -> [u64; 2] {
    let workers = Workers::new(2, Isa::best()).expect("threads");
    let (mut blocks, mut at_end) = ([0; 2], None);
    drive(&mut actors, &workers, &mut |_, news| {
        if let Some((number @ (1 | 3), News::Event(Event::Block(_)))) = news {
            blocks[number / 2] += 1;
            if blocks[number / 2] == BLOCKS {
                at_end.get_or_insert(blocks);
            }
        }
        true
    })
    .expect("no fault");
    assert_eq!(blocks, [BLOCKS; 2], "both end");
    at_end.expect("one ended first")
}

#[test]
fn links_on_one_pool_go_on_side_by_side() {
    (0..4).for_each(|index| drop(synthetic::frames(index)));
    let bb84 = |role, session| party(role, session, synthetic::protocol(), Box::new(Frames(role)));
    let alike =
        at_first_end([bb84(Role::Alice, 5), bb84(Role::Bob, 5), bb84(Role::Alice, 6), bb84(Role::Bob, 6)]);
    assert!(alike.iter().all(|blocks| *blocks >= BLOCKS - 2), "two that need as much go as fast: {alike:?}");
}
