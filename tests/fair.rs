//! Links that share a pool of threads: none waits for another's end.

use keystill::Isa;
use keystill::pipeline::{Actor, News, Workers, drive};
use keystill::session::Event;
use keystill::stage::Role;
use synthetic::links;

mod synthetic;

const BLOCKS: u64 = 8;

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
    links::make_frames();
    let bb84 = |role, session| links::bb84(role, session, BLOCKS);
    let alike =
        at_first_end([bb84(Role::Alice, 5), bb84(Role::Bob, 5), bb84(Role::Alice, 6), bb84(Role::Bob, 6)]);
    assert!(alike.iter().all(|blocks| *blocks >= BLOCKS - 2), "two that need as much go as fast: {alike:?}");
}
