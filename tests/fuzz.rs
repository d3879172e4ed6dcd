//! Every fuzz target over its corpus and over seeded mutations of it, with a stable compiler.
//!
//! `KEYSTILL_FUZZ=10000 cargo test --release --test fuzz -- --nocapture` runs as many mutations a target as one likes,
//! and tells how many a second.

#![allow(clippy::cast_possible_truncation, reason = "tests make their numbers from counters")]

use std::path::{Path, PathBuf};
use std::time::Instant;

mod synthetic;
#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, dead_code, reason = "a crate of its own for libFuzzer")]
mod targets;

use synthetic::Lcg;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(folder).expect("a corpus for every target");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

/// Flips, overwrites, cuts, doubles and joins, as the dice say.
fn mutate(corpus: &[Vec<u8>], dice: &mut Lcg) -> Vec<u8> {
    let place =
        |dice: &mut Lcg, length: usize| usize::try_from(dice.next(length.max(1) as u64)).expect("small");
    let mut bytes = corpus[place(dice, corpus.len())].clone();
    for _ in 0..=dice.next(8) {
        let at = place(dice, bytes.len());
        match dice.next(6) {
            _ if bytes.is_empty() => bytes.extend(dice.next(1 << 30).to_le_bytes()),
            0 => bytes[at] ^= 1 << dice.next(8),
            1 => bytes[at] = u8::try_from(dice.next(256)).expect("a byte"),
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][place(dice, 5)],
            3 => bytes.truncate(at),
            4 => bytes.extend_from_within(at..),
            _ => bytes.extend_from_slice(&corpus[place(dice, corpus.len())]),
        }
        bytes.truncate(4096);
    }
    bytes
}

#[test]
fn no_target_finds_anything_in_its_corpus_or_near_it() {
    let mutations = std::env::var("KEYSTILL_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(40);
    assert!(targets::TARGETS.len() >= 14, "{} targets", targets::TARGETS.len());
    for (name, body) in targets::TARGETS {
        let corpus = corpus(name);
        assert!(!corpus.is_empty(), "{name} has a corpus");
        let (mut dice, began) = (Lcg(7), Instant::now());
        corpus.iter().for_each(|bytes| body(bytes));
        (0..mutations).for_each(|_| body(&mutate(&corpus, &mut dice)));
        let (count, seconds) = (corpus.len() as u64 + mutations, began.elapsed().as_secs_f64());
        println!(
            "{{\"target\":\"{name}\",\"executions\":{count},\"per_second\":{:.0}}}",
            count as f64 / seconds
        );
    }
}
