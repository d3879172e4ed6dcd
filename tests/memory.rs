//! Memory: flat after warm-up, and below what the configuration says.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "tests make their numbers from counters"
)]

use std::sync::Arc;
use std::time::Duration;

use keystill::Isa;
use keystill::auth::Pool;
use keystill::bb84::Frame;
use keystill::pipeline::{Actor, FrameJob, FrameSource, News, Pace, Party, Workers, drive};
use keystill::session::{Config, Event, Session};
use keystill::sim::{SimulatedRandom, simulated_pre_shared_key};
use keystill::stage::Role;
use peak_alloc::PeakAlloc;

mod synthetic;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const BLOCKS: u64 = 12;

/// The synthetic frames of the first block, over and over.
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

#[test]
fn memory_is_flat_after_warm_up_and_below_the_bound() {
    let protocol = synthetic::protocol();
    let workers = Workers::new(2, Isa::best()).expect("threads");
    // Tables of codes and the synthetic frames themselves are made before anything is counted.
    (0..4).for_each(|index| drop(synthetic::frames(index)));
    let before = MEMORY.current_usage();
    let mut bound = 0;
    let mut actors: Vec<Box<dyn Actor>> = Vec::new();
    for role in [Role::Alice, Role::Bob] {
        let random = Arc::new(SimulatedRandom::new(5, role, "bb84"));
        let pool = Pool::from_pre_shared(&simulated_pre_shared_key(5, "bb84", 1024)).expect("long enough");
        let config = Config::new(role, 9, protocol.clone(), random);
        bound += config.memory_bound();
        let session = Session::new(config, pool);
        actors.push(Box::new(Party::new(session, role, &*protocol, Box::new(Frames(role)), Pace::Max)));
    }
    let mut peaks = Vec::new();
    let mut keys = 0;
    drive(&mut actors, &workers, &mut |_, news| {
        match news {
            Some((_, News::Key(_))) => keys += 1,
            Some((1, News::Event(Event::Block(_)))) => {
                peaks.push(MEMORY.peak_usage() - before);
                MEMORY.reset_peak_usage();
            }
            _ => {}
        }
        true
    })
    .expect("no fault");
    assert_eq!(keys, 2 * BLOCKS, "every block leaves a key on both sides");
    let highest = peaks.iter().max().expect("blocks were counted");
    assert!(*highest < bound, "{highest} bytes held where {bound} are the bound");
    let (early, late) = (peaks[2..7].iter().max(), peaks[7..].iter().max());
    let (early, late) = (early.expect("five blocks"), late.expect("five blocks"));
    assert!(*late < early + early / 4, "memory grows: {peaks:?}");
}
