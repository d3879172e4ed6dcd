//! A sample of the worlds of faults and of the crash states; the long runs are
//! `cargo run --release --example world_of_faults`.

use keystill::sim::faults::{Invariant, Plan, Planted, crash_states, live_through};

#[test]
fn no_fault_makes_a_key_differ_come_back_or_get_lost() {
    let mut faults = 0;
    for seed in 0..16 {
        let verdict = live_through(seed, Plan::default());
        assert!(verdict.violations.is_empty(), "seed {seed}: {:?}", verdict.violations);
        faults += verdict.faults;
    }
    assert!(faults > 16, "faults do strike: {faults}");
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

#[test]
fn planted_bugs_are_found() {
    for planted in Planted::ALL {
        let plan = Plan { planted: Some(planted), ..Plan::default() };
        let found = (0..100).find_map(|seed| {
            let violations = live_through(seed, plan).violations;
            // That no key comes is no proof: it must be seen what the bug does.
            violations.into_iter().find(|violation| violation.invariant != Invariant::Converges)
        });
        let Some(violation) = found else { panic!("{planted:?} was not found") };
        let fits = match planted {
            Planted::ForgetLedger => violation.invariant == Invariant::Booked,
            Planted::DifferentKey => violation.invariant == Invariant::Equal,
            Planted::EndlessJournal => violation.invariant == Invariant::Bounded,
            _ => true,
        };
        assert!(fits, "{planted:?} was found by another invariant: {violation:?}");
    }
}

#[test]
fn no_crash_state_loses_or_repeats_a_key() {
    let found = crash_states(1);
    assert!(found.states > 1_000, "{} states", found.states);
    assert!(found.violations.is_empty(), "{:?}", &found.violations[..found.violations.len().min(3)]);
}
