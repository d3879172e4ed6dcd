//! Lives through simulated worlds of faults, a seed each, and counts what may never happen.
//!
//! `cargo run --release --example world_of_faults -- --seeds 0..1000 [--faults 12] [--planted NAME]`
//!
//! `--states A..B` looks at crash states instead: for each seed, the life of a store ends at each operation of its
//! disk in turn, by a crash or an error, and then its recovery at each of its own.
//!
//! Ranges add up: every seed is independent, and a failing one replays alone.

use std::process::ExitCode;
use std::time::Instant;

use keystill::sim::faults::{Plan, Planted, crash_states, live_through};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let seeds = value("--seeds").or_else(|| value("--states")).unwrap_or_else(|| "0..100".into());
    let Some((Ok(first), Ok(end))) = seeds.split_once("..").map(|(a, b)| (a.parse(), b.parse::<u64>()))
    else {
        eprintln!("--seeds A..B");
        return ExitCode::from(2);
    };
    if arguments.iter().any(|argument| argument == "--states") {
        return look_at_states(first, end);
    }
    let planted = value("--planted");
    let named = |name: &String| Planted::ALL.into_iter().find(|planted| format!("{planted:?}") == *name);
    let mut plan = Plan { planted: planted.as_ref().and_then(named), ..Plan::default() };
    if let Some(faults) = value("--faults").and_then(|faults| faults.parse().ok()) {
        plan.faults = faults;
    }
    let began = Instant::now();
    let (mut worlds, mut faults, mut keys, mut blocks, mut keyless, mut failed) = (0u64, 0, 0, 0, 0u64, 0u64);
    for seed in first..end {
        let verdict = live_through(seed, plan);
        worlds += 1;
        faults += verdict.faults;
        keys += verdict.keys;
        blocks += verdict.blocks;
        keyless += u64::from(verdict.keys == 0);
        failed += u64::from(!verdict.violations.is_empty());
        if let Some(violation) = verdict.violations.first() {
            println!("seed {seed}: {:?}: {}", violation.invariant, violation.what);
        }
    }
    println!(
        "{{\"seeds\":\"{seeds}\",\"worlds\":{worlds},\"faults\":{faults},\"blocks\":{blocks},\"blocks_with_key\":{keys},\
         \"worlds_without_key\":{keyless},\"worlds_with_violations\":{failed},\"planted\":\"{}\",\"seconds\":{:.1}}}",
        planted.unwrap_or_default(),
        began.elapsed().as_secs_f64()
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn look_at_states(first: u64, end: u64) -> ExitCode {
    let began = Instant::now();
    let (mut states, mut violations) = (0, 0);
    for seed in first..end {
        let found = crash_states(seed);
        states += found.states;
        violations += found.violations.len();
        found.violations.iter().for_each(|what| println!("{what}"));
    }
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{{\"states_of_seeds\":\"{first}..{end}\",\"crash_states\":{states},\"violations\":{violations},\"seconds\":{seconds:.1}}}"
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
