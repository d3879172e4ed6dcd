//! A sample of the worlds of faults and of the crash states; the long runs are
//! `cargo run --release --example world_of_faults`.

use keystill::sim::faults::{Invariant, Plan, Planted, crash_states, flip_each_bit, live_through};

#[test]
fn no_fault_makes_a_key_differ_come_back_or_get_lost() {
    let mut faults = 0;
    for seed in 0..40 {
        let verdict = live_through(seed, Plan::default());
        assert!(verdict.violations.is_empty(), "seed {seed}: {:?}", verdict.violations);
        faults += verdict.faults;
    }
    assert!(faults > 320, "faults do strike: {faults}");
}

#[test]
fn worlds_without_faults_make_key_and_a_seed_replays() {
    let plan = Plan { faults: 0, blocks: 3, ..Plan::default() };
    for seed in 0..5 {
        let verdict = live_through(seed, plan);
        assert!(verdict.violations.is_empty(), "seed {seed}: {:?}", verdict.violations);
        assert!(verdict.keys >= 3, "seed {seed}: {} keys", verdict.keys);
    }
    let [first, again] = [0, 1].map(|_| live_through(77, Plan::default()));
    assert_eq!(
        (first.steps, first.keys, first.faults),
        (again.steps, again.keys, again.faults),
        "the same seed, the same world"
    );
}

/// For each bug that can be planted, a seed that finds it and the invariant that it breaks there.
/// `--find` of the example makes the table.
const FOUND_AT: [(Planted, u64, Invariant); 10] = [
    (Planted::SkipSync, 0, Invariant::NeverLost),
    (Planted::AnswerBeforeWriting, 0, Invariant::NeverReused),
    (Planted::ReusePad, 0, Invariant::NeverReused),
    (Planted::ReplayBlock, 0, Invariant::NeverReused),
    (Planted::ForgetReady, 138, Invariant::NeverReused),
    (Planted::DeliverBeforeAccept, 0, Invariant::NeverReused),
    (Planted::ForgetLedger, 0, Invariant::Booked),
    (Planted::DifferentKey, 0, Invariant::Equal),
    (Planted::EndlessJournal, 221, Invariant::Bounded),
    (Planted::ReleaseUnmarked, 1, Invariant::NeverReused),
];

#[test]
fn planted_bugs_are_found_and_their_seeds_are_clean_without_them() {
    assert_eq!(FOUND_AT.map(|(planted, ..)| planted), Planted::ALL, "a seed for every bug");
    for (planted, seed, invariant) in FOUND_AT {
        let violations = live_through(seed, Plan { planted: Some(planted), ..Plan::default() }).violations;
        let telling = violations.iter().find(|violation| violation.invariant != Invariant::Converges);
        let seen = telling.map(|violation| violation.invariant);
        assert_eq!(seen, Some(invariant), "{planted:?} at seed {seed}: {violations:?}");
        let clean = live_through(seed, Plan::default()).violations;
        assert!(clean.is_empty(), "seed {seed} without {planted:?}: {clean:?}");
    }
}

#[test]
fn a_block_of_noise_leaves_no_key_and_the_next_ones_do() {
    for noisy in 0..3 {
        let plan = Plan { faults: 0, blocks: 3, noisy_block: Some(noisy), ..Plan::default() };
        let verdict = live_through(noisy, plan);
        assert!(verdict.violations.is_empty(), "block {noisy} is noise: {:?}", verdict.violations);
        let keys = verdict.blocks - 1;
        assert_eq!(verdict.keys, keys, "every block but the one of noise, {noisy}: recovery in one block");
    }
}

#[test]
fn an_altered_bit_of_any_message_is_not_accepted() {
    let found = flip_each_bit(1, (0..).step_by(4_999));
    assert!(found.flips > 20, "{} flips", found.flips);
    assert!(found.accepted.is_empty() && found.different.is_empty(), "{found:?}");
}

#[test]
fn no_crash_state_loses_or_repeats_a_key() {
    let found = crash_states(1);
    assert!(found.states > 1_000, "{} states", found.states);
    assert!(found.violations.is_empty(), "{:?}", &found.violations[..found.violations.len().min(3)]);
}
