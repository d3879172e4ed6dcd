//! Memory: flat after warm-up, below what the configuration says, and nothing left of a block that is over.

use std::sync::{Mutex, PoisonError};

use keystill::Isa;
use keystill::pipeline::{Actor, News, Workers, drive};
use keystill::session::Event;
use keystill::stage::Role;
use peak_alloc::PeakAlloc;
use synthetic::links::{self, CvFrames, Frames};

mod synthetic;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time: memory is the process' own.
static ALONE: Mutex<()> = Mutex::new(());

const BLOCKS: u64 = 12;

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

/// Bytes that both ends still hold when so many blocks are over.
fn left(mut actors: [Box<dyn Actor>; 2], workers: &Workers) -> usize {
    let before = MEMORY.current_usage();
    drive(&mut actors, workers, &mut |_, _| true).expect("no fault");
    MEMORY.current_usage().saturating_sub(before)
}

/// A little more than queues and scratch memory differ from run to run, and less than a report of each block.
const MOST_LEFT: usize = 640 * LATER;
/// Blocks of a short run, and how many more a long one has.
const EARLY: usize = 8;
const LATER: usize = 64;

#[test]
fn nothing_is_left_of_blocks_that_are_over() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let workers = Workers::new(2, Isa::best()).expect("threads");
    links::make_frames();
    let bb84 = |blocks: usize| [Role::Alice, Role::Bob].map(|role| links::bb84(role, 9, blocks as u64));
    let cv = |blocks: usize| {
        [Role::Alice, Role::Bob].map(|role| {
            let source = Box::new(CvFrames { role, blocks: blocks as u64 });
            links::party(links::end(role, 9, synthetic::cv_protocol(role)), source)
        })
    };
    // Tables of block lengths met last are kept for all sessions of a process, and change now and then: the run in the
    // middle of three counts.
    let middle = |run: &dyn Fn() -> usize| {
        let mut found = [0; 3].map(|_| run());
        found.sort_unstable();
        found[1]
    };
    let lengths = [EARLY, EARLY + LATER];
    let found = [
        ("bb84", lengths.map(|blocks| middle(&|| left(bb84(blocks), &workers)))),
        ("cv", lengths.map(|blocks| middle(&|| left(cv(blocks), &workers)))),
    ];
    for (what, [short, long]) in found {
        println!("{what}: {short} bytes after {EARLY} blocks, {long} after {LATER} more");
        assert!(
            long < short + MOST_LEFT,
            "{what}: {short} bytes after {EARLY} blocks, {long} after {LATER} more"
        );
    }
}

#[test]
fn memory_is_flat_after_warm_up_and_below_the_bound() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let workers = Workers::new(2, Isa::best()).expect("threads");
    links::make_frames();
    let bb84 = |role| {
        let (config, pool) = links::end(role, 9, synthetic::protocol());
        let bound = config.memory_bound();
        (links::party((config, pool), Box::new(Frames { role, blocks: BLOCKS, different: 4 })), bound)
    };
    hold("bb84", [bb84(Role::Alice), bb84(Role::Bob)], &workers);
    let cv = |role| {
        let (config, pool) = links::end(role, 9, synthetic::cv_protocol(role));
        let bound = config.memory_bound();
        (links::party((config, pool), Box::new(CvFrames { role, blocks: BLOCKS })), bound)
    };
    hold("cv", [cv(Role::Alice), cv(Role::Bob)], &workers);
}
