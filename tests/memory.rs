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
use keystill::cv;
use keystill::pipeline::{Actor, FrameJob, FrameSource, News, Pace, Party, Workers, drive};
use keystill::protocol::Protocol;
use keystill::session::{Config, Event};
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

/// The synthetic CV frames of the first block, over and over.
#[derive(Debug)]
struct CvFrames(Role);

impl FrameSource<cv::Frame> for CvFrames {
    fn frame(&self, index: u64) -> FrameJob<cv::Frame> {
        let role = self.0;
        Box::new(move |_| {
            let (mut alice, mut bob) = synthetic::cv_frames(index % 30, 0.0);
            for frame in [&mut alice, &mut bob] {
                match frame {
                    cv::Frame::Alice(frame) => frame.first_symbol = index * 20_000,
                    cv::Frame::Bob(frame) => frame.first_symbol = index * 20_000,
                }
            }
            Ok(if role == Role::Alice { alice } else { bob })
        })
    }

    fn frames(&self) -> u64 {
        30 * BLOCKS
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_millis(2)
    }
}

/// One party of a link, and what its session may hold.
fn party<P: Protocol>(
    role: Role,
    protocol: Arc<P>,
    source: Box<dyn FrameSource<P::Frame>>,
) -> (Box<dyn Actor>, usize) {
    let random = Arc::new(SimulatedRandom::new(5, role, P::NAME));
    let pool = Pool::from_pre_shared(&simulated_pre_shared_key(5, P::NAME, 1024)).expect("long enough");
    let config = Config::new(role, 9, protocol, random);
    let bound = config.memory_bound();
    (Box::new(Party::new(config, pool, source, Pace::Max)), bound)
}

/// Runs a link and holds its memory against its bound and against itself.
fn hold(what: &str, ends: [(Box<dyn Actor>, usize); 2], workers: &Workers) {
    let bound: usize = ends.iter().map(|(_, bound)| bound).sum();
    let mut actors: Vec<_> = ends.into_iter().map(|(actor, _)| actor).collect();
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let (mut peaks, mut keys) = (Vec::new(), 0);
    drive(&mut actors, workers, &mut |_, news| {
        match news {
            Some((_, News::Key(_))) => keys += 1,
            Some((1, News::Event(Event::Block(_)))) => {
                peaks.push(MEMORY.peak_usage().saturating_sub(before));
                MEMORY.reset_peak_usage();
            }
            _ => {}
        }
        true
    })
    .expect("no fault");
    assert_eq!(keys, 2 * BLOCKS, "{what}: every block leaves a key on both sides");
    let highest = peaks.iter().max().expect("blocks were counted");
    assert!(*highest < bound, "{what}: {highest} bytes held where {bound} are the bound");
    let (early, late) = (peaks[2..7].iter().max(), peaks[7..].iter().max());
    let (early, late) = (early.expect("five blocks"), late.expect("five blocks"));
    assert!(*late < early + early / 4, "{what}: memory grows: {peaks:?}");
}

#[test]
fn memory_is_flat_after_warm_up_and_below_the_bound() {
    let workers = Workers::new(2, Isa::best()).expect("threads");
    // The synthetic frames themselves are made before anything is counted.
    (0..4).for_each(|index| drop(synthetic::frames(index)));
    let bb84 = |role| party(role, synthetic::protocol(), Box::new(Frames(role)));
    hold("bb84", [bb84(Role::Alice), bb84(Role::Bob)], &workers);
    let cv = |role| party(role, synthetic::cv_protocol(role), Box::new(CvFrames(role)));
    hold("cv", [cv(Role::Alice), cv(Role::Bob)], &workers);
}
