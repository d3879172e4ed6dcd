//! Memory: flat after warm-up, and below what the configuration says.
use keystill::Isa;
use keystill::pipeline::{Actor, News, Workers, drive};
use keystill::session::Event;
use keystill::stage::Role;
use peak_alloc::PeakAlloc;
use synthetic::links::{self, CvFrames, Frames};

mod synthetic;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

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

#[test]
fn memory_is_flat_after_warm_up_and_below_the_bound() {
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
