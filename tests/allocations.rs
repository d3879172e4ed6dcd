//! Allocations of the whole engine, its pool and its driver included, counted after warm-up: how many a block takes,
//! and how large they are. They are not none; this holds them where they are. How many buffers are in flight at once, and
//! so how many must grow, is up to the machine's threads: the limits stand half above what was found.
//!
//! What remains: a job on the pool takes the pool's envelope, and the first of a conversation its own memory, which its result
//! and the next share; long messages take one each, and so do what is read of them and what a block's report says. By Cascade
//! a block is some 150 jobs. With CV it is quadratures, soft bits and what else moves on with a block.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::pipeline::{Actor, FrameJob, FrameSource, News, Workers, drive};
use keystill::reconcile::Method;
use keystill::session::{Event, Outcome};
use keystill::stage::Role;
use synthetic::links::{self, CvFrames, Frames};

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

/// A source whose own allocations are not counted.
#[derive(Debug)]
struct Outside<S>(S);

impl<F: 'static, S: FrameSource<F>> FrameSource<F> for Outside<S> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        outside(|| {
            let job = self.0.frame(index);
            Box::new(move |isa| outside(|| job(isa)))
        })
    }

    fn frames(&self) -> u64 {
        self.0.frames()
    }

    fn frame_duration(&self) -> Duration {
        self.0.frame_duration()
    }
}

/// Allocations a block of both ends after warm-up: all, large ones, and bytes of these.
fn counted(mut actors: [Box<dyn Actor>; 2], workers: &Workers) -> [u64; 3] {
    let mut began = None;
    let mut ended = [0; 3];
    let now = || COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed));
    drive(&mut actors, workers, &mut |_, news| {
        if let Some((1, News::Event(Event::Block(report)))) = news {
            assert!(matches!(report.outcome, Outcome::Key { .. }), "block {} left no key", report.block);
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
    links::make_frames();
    let bb84 = |method| {
        let protocol = Arc::new(Bb84 { method, ..Bb84::clone(&synthetic::protocol()) });
        [Role::Alice, Role::Bob].map(|role| {
            let source = Outside(Frames { role, blocks: BLOCKS, different: 4 });
            links::party(links::end(role, 9, protocol.clone()), Box::new(source))
        })
    };
    hold("bb84 by Cascade", counted(bb84(Method::Cascade), &workers), [570, 85, 1_250_000]);
    hold("bb84 by LDPC", counted(bb84(Method::Ldpc), &workers), [290, 75, 1_100_000]);
    let cv = |role| {
        let source = Outside(CvFrames { role, blocks: BLOCKS });
        links::party(links::end(role, 9, synthetic::cv_protocol(role)), Box::new(source))
    };
    let found = counted([cv(Role::Alice), cv(Role::Bob)], &workers);
    hold("cv", found, [400, 75, 17_000_000]);
}

fn hold(what: &str, found: [u64; 3], most: [u64; 3]) {
    println!("{what}: {found:?} allocations, of a page or more, and their bytes a block");
    assert!(found.iter().zip(most).all(|(found, most)| *found <= most), "{what}: {found:?}, stated {most:?}");
}
