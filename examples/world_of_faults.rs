//! Lives through simulated worlds of faults, a seed each, and counts what may never happen.
//!
//! ```text
//! cargo run --release --example world_of_faults -- --seeds 0..1000 [--faults 32] [--planted NAME]
//! cargo run --release --example world_of_faults -- --states 0..300
//! cargo run --release --example world_of_faults -- --flips 0..10000 [--stride 1]
//! cargo run --release --example world_of_faults -- --find
//! ```
//!
//! `--states` looks at crash states instead: for each seed, the life of a store ends at each operation of its
//! disk in turn, by a crash or an error, and then its recovery at each of its own. `--flips` distils a block for
//! each bit of its messages, and flips it. `--find` names, for each planted bug, the first seed that finds it.
//!
//! The last line is one JSON object. Ranges add up: every seed is independent, and a failing one replays alone.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use keystill::sim::faults::{Invariant, Plan, Planted, crash_states, flip_each_bit, live_through};
use serde_json::json;

/// What follows a flag.
fn value(name: &str) -> Option<String> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.next()?;
    arguments.next()
}

fn range(name: &str) -> Option<Range<u64>> {
    let text = value(name)?;
    let (first, end) = text.split_once("..")?;
    Some(first.parse().ok()?..end.parse().ok()?)
}

fn main() -> ExitCode {
    let began = Instant::now();
    let (mut counts, violations) = if let Some(seeds) = range("--states") {
        look_at_states(seeds)
    } else if let Some(bits) = range("--flips") {
        flip(bits)
    } else if let Some(seeds) = range("--seeds") {
        live(seeds)
    } else if std::env::args().any(|argument| argument == "--find") {
        find()
    } else {
        eprintln!("--seeds A..B, --states A..B, --flips A..B or --find");
        return ExitCode::from(2);
    };
    counts["violations"] = violations.into();
    counts["seconds"] = (began.elapsed().as_secs_f64() * 10.0).round().into();
    counts["seconds"] = (counts["seconds"].as_f64().unwrap_or(0.0) / 10.0).into();
    println!("{counts}");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn live(seeds: Range<u64>) -> (serde_json::Value, usize) {
    let planted = value("--planted");
    let named = |name: &String| Planted::ALL.into_iter().find(|planted| format!("{planted:?}") == *name);
    let mut plan = Plan { planted: planted.as_ref().and_then(named), ..Plan::default() };
    if let Some(faults) = value("--faults").and_then(|faults| faults.parse().ok()) {
        plan.faults = faults;
    }
    let (mut faults, mut keys, mut blocks, mut keyless, mut failed) = (0, 0, 0, 0u64, 0);
    for seed in seeds.clone() {
        let verdict = live_through(seed, plan);
        faults += verdict.faults;
        keys += verdict.keys;
        blocks += verdict.blocks;
        keyless += u64::from(verdict.keys == 0);
        failed += usize::from(!verdict.violations.is_empty());
        if let Some(violation) = verdict.violations.first() {
            println!("seed {seed}: {:?}: {}", violation.invariant, violation.what);
        }
    }
    let counts = json!({
        "seeds": format!("{seeds:?}"), "worlds": seeds.count(), "faults": faults, "blocks": blocks,
        "blocks_with_key": keys, "worlds_without_key": keyless, "planted": planted,
    });
    (counts, failed)
}

fn look_at_states(seeds: Range<u64>) -> (serde_json::Value, usize) {
    let (mut states, mut violations) = (0, 0);
    for seed in seeds.clone() {
        let found = crash_states(seed);
        states += found.states;
        violations += found.violations.len();
        found.violations.iter().for_each(|what| println!("{what}"));
    }
    (json!({ "states_of_seeds": format!("{seeds:?}"), "crash_states": states }), violations)
}

fn flip(bits: Range<u64>) -> (serde_json::Value, usize) {
    let stride = value("--stride").and_then(|stride| stride.parse().ok()).unwrap_or(1);
    let found = flip_each_bit(1, bits.clone().step_by(stride));
    let counts = json!({
        "bits_of_a_block": found.bits, "bits_by_kind": found.bits_by_kind, "range": format!("{bits:?}"),
        "stride": stride, "flips": found.flips, "accepted": found.accepted.len(), "different": found.different.len(),
    });
    found.accepted.iter().chain(&found.different).for_each(|bit| println!("bit {bit} was taken"));
    (counts, found.accepted.len() + found.different.len())
}

/// The first seed at which what a planted bug does is seen, for each.
fn find() -> (serde_json::Value, usize) {
    let (mut found, mut missed) = (serde_json::Map::new(), 0);
    for planted in Planted::ALL {
        let plan = Plan { planted: Some(planted), ..Plan::default() };
        let seen = (0..1_000).find_map(|seed| {
            let violations = live_through(seed, plan).violations;
            let telling = violations.into_iter().find(|found| found.invariant != Invariant::Converges)?;
            Some(json!({ "seed": seed, "invariant": format!("{:?}", telling.invariant), "what": telling.what }))
        });
        missed += usize::from(seen.is_none());
        found.insert(format!("{planted:?}"), seen.into());
    }
    (found.into(), missed)
}
