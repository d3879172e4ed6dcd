//! Allocations of the whole engine, its pool and its driver included, counted after warm-up: how many a block takes,
//! and how large they are. They are not none; this holds them where they are. How many buffers are in flight at once, and
//! so how many must grow, is up to the machine's threads: the limits stand half above what was found.
//!
//! A job on the pool takes four itself: the work, the pool's envelope, the result and the actor's. BB84's blocks here are
//! reconciled by Cascade, each of whose hundreds of messages is one.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::needless_pass_by_value,
    reason = "tests make their numbers from counters"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

mod synthetic;

/// Counts what is asked of the system's allocator, but for what the tests themselves ask.
struct Counting;

/// Allocations, those of a page or more among them, and their bytes.
static COUNTS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// What counts as large: a page.
const LARGE: usize = 4096;

thread_local! {
    static OUTSIDE: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: usize) {
    if OUTSIDE.try_with(Cell::get).unwrap_or(true) {
        return;
    }
    COUNTS[0].fetch_add(1, Ordering::Relaxed);
    if bytes >= LARGE {
        COUNTS[1].fetch_add(1, Ordering::Relaxed);
        COUNTS[2].fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

// SAFETY: every call is the system allocator's own; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Does something whose allocations are not the engine's.
fn outside<T>(act: impl FnOnce() -> T) -> T {
    OUTSIDE.set(true);
    let result = act();
    OUTSIDE.set(false);
    result
}

const BLOCKS: u64 = 12;
/// Blocks until every buffer has its size.
const WARM_UP: u64 = 6;

/// The synthetic frames of the first block, over and over.
#[derive(Debug)]
struct Frames(Role);

impl FrameSource<Frame> for Frames {
    fn frame(&self, index: u64) -> FrameJob<Frame> {
        let role = self.0;
        outside(|| {
            Box::new(move |_| {
                outside(|| {
                    let (mut alice, mut bob) = synthetic::frames(index % 4);
                    for frame in [&mut alice, &mut bob] {
                        match frame {
                            Frame::Alice(frame) => frame.first_gate = index * u64::from(frame.gates),
                            Frame::Bob(frame) => frame.first_gate = index * u64::from(frame.gates),
                        }
                    }
                    Ok(if role == Role::Alice { alice } else { bob })
                })
            })
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
struct CvFrames(Role, Arc<Vec<(cv::Frame, cv::Frame)>>);

impl FrameSource<cv::Frame> for CvFrames {
    fn frame(&self, index: u64) -> FrameJob<cv::Frame> {
        let (role, made) = (self.0, self.1.clone());
        outside(|| {
            Box::new(move |_| {
                outside(|| {
                    let (mut alice, mut bob) = made[index as usize % made.len()].clone();
                    for frame in [&mut alice, &mut bob] {
                        match frame {
                            cv::Frame::Alice(frame) => frame.first_symbol = index * 20_000,
                            cv::Frame::Bob(frame) => frame.first_symbol = index * 20_000,
                        }
                    }
                    Ok(if role == Role::Alice { alice } else { bob })
                })
            })
        })
    }

    fn frames(&self) -> u64 {
        30 * BLOCKS
    }

    fn frame_duration(&self) -> Duration {
        Duration::from_millis(2)
    }
}

fn party<P: Protocol>(
    role: Role,
    protocol: Arc<P>,
    source: Box<dyn FrameSource<P::Frame>>,
) -> Box<dyn Actor> {
    let random = Arc::new(SimulatedRandom::new(5, role, P::NAME));
    let pool = Pool::from_pre_shared(&simulated_pre_shared_key(5, P::NAME, 1024)).expect("long enough");
    Box::new(Party::new(Config::new(role, 9, protocol, random), pool, source, Pace::Max))
}

/// Allocations a block of both ends after warm-up: all, large ones, and bytes of these.
fn counted(mut actors: [Box<dyn Actor>; 2], workers: &Workers) -> [u64; 3] {
    let mut began = None;
    let mut ended = [0; 3];
    let now = || COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    drive(&mut actors, workers, &mut |_, news| {
        if let Some((1, News::Event(Event::Block(report)))) = news {
            if report.block == WARM_UP {
                began = Some(now());
            }
            ended = now();
        }
        true
    })
    .expect("no fault");
    let began = began.expect("the block after warm-up was over");
    [0, 1, 2].map(|k| (ended[k] - began[k]) / (BLOCKS - 1 - WARM_UP))
}

#[test]
fn a_block_takes_no_more_allocations_than_are_stated() {
    let workers = Workers::new(2, Isa::best()).expect("threads");
    (0..4).for_each(|index| drop(synthetic::frames(index)));
    let made: Arc<Vec<_>> = Arc::new((0..30).map(|index| synthetic::cv_frames(index, 0.0)).collect());
    let bb84 = |role| party(role, synthetic::protocol(), Box::new(Frames(role)));
    let found = counted([bb84(Role::Alice), bb84(Role::Bob)], &workers);
    hold("bb84", found, [3_000, 150, 1_900_000]);
    let cv = |role| party(role, synthetic::cv_protocol(role), Box::new(CvFrames(role, made.clone())));
    let found = counted([cv(Role::Alice), cv(Role::Bob)], &workers);
    hold("cv", found, [900, 250, 24_000_000]);
}

fn hold(what: &str, found: [u64; 3], most: [u64; 3]) {
    println!("{what}: {found:?} allocations, of a page or more, and their bytes a block");
    assert!(found.iter().zip(most).all(|(found, most)| *found <= most), "{what}: {found:?}, stated {most:?}");
}
