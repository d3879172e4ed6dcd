//! `keystill link --optimise`: intensities, probabilities, variance and block length for the most key.
//!
//! A pattern search over the free values, each in its own scale: a step up, a step down, keep what gives more key, halve
//! the steps when nothing does. The link's light is solved once; only the systems change.

use keystill::channel::{LoadedSpan, Scenario};
use serde_json::json;

use super::key;
use crate::cli::Failure;
use crate::cli::summary::si;

/// Lengths of a block in s that are tried; a block is also how long its key waits.
const BLOCKS_S: [f64; 5] = [1.0, 3.0, 10.0, 60.0, 600.0];
/// Halvings of the steps.
const HALVINGS: u32 = 4;

/// A value that may be chosen.
struct Choice {
    read: fn(&Scenario) -> f64,
    write: fn(&mut Scenario, f64),
    range: [f64; 2],
    /// First step, as a factor.
    step: f64,
}

pub(super) fn run(scenario: &Scenario, json: bool) -> Result<(), Failure> {
    let span = LoadedSpan::new(scenario, &scenario.carriers());
    let bb84 = |given: &Scenario| key::bb84_secret_bit_per_s(given, &span.budget(given).bb84);
    let cv = |given: &Scenario| key::cv_secret_bit_per_s(given, &span.budget(given).cv);
    let before = [bb84(scenario), cv(scenario)];
    if !json {
        println!(
            "{}: as it is, BB84 {}/s and CV {}/s\n",
            scenario.name,
            si(before[0], "bit"),
            si(before[1], "bit")
        );
    }
    let mut best = scenario.clone();
    for block_s in BLOCKS_S {
        best.bb84.block_s = block_s.max(best.bb84.frame_ms * 1e-3);
        let rate = search(&mut best, &bb84_choices(), &bb84);
        print_bb84(&best, rate, json);
    }
    let mut best = scenario.clone();
    for block_s in BLOCKS_S {
        best.cv.block_s = block_s.max(best.cv.frame_ms * 1e-3);
        let rate = search(&mut best, &cv_choices(), &cv);
        print_cv(&best, rate, json);
    }
    Ok(())
}

fn bb84_choices() -> Vec<Choice> {
    vec![
        Choice {
            read: |s| s.bb84.mean_photons[0],
            write: |s, value| s.bb84.mean_photons[0] = value,
            range: [0.05, 1.5],
            step: 1.3,
        },
        Choice {
            read: |s| s.bb84.mean_photons[1],
            write: |s, value| s.bb84.mean_photons[1] = value,
            range: [0.005, 1.0],
            step: 1.4,
        },
        Choice {
            read: |s| s.bb84.probabilities[1],
            write: |s, value| share(s, value, 1),
            range: [0.001, 0.5],
            step: 1.6,
        },
        Choice {
            read: |s| s.bb84.probabilities[2],
            write: |s, value| share(s, value, 2),
            range: [0.001, 0.4],
            step: 1.6,
        },
        Choice {
            read: |s| s.bb84.test_probability,
            write: |s, value| s.bb84.test_probability = value,
            range: [0.005, 0.5],
            step: 1.4,
        },
    ]
}

/// Gives a weaker intensity its probability; the brightest takes the rest.
fn share(scenario: &mut Scenario, value: f64, place: usize) {
    let probabilities = &mut scenario.bb84.probabilities;
    probabilities[place] = value;
    probabilities[0] = 1.0 - probabilities[1] - probabilities[2];
}

fn cv_choices() -> Vec<Choice> {
    vec![Choice {
        read: |s| s.cv.modulation_variance_snu,
        write: |s, value| s.cv.modulation_variance_snu = value,
        range: [0.05, 50.0],
        step: 1.5,
    }]
}

/// Changes a scenario to the best that the search finds; the key's rate there.
fn search(scenario: &mut Scenario, choices: &[Choice], rate: &dyn Fn(&Scenario) -> f64) -> f64 {
    let mut best = rate(scenario);
    let mut fineness = 1.0;
    for _ in 0..HALVINGS {
        while choices.iter().fold(false, |moved, choice| {
            let (step, value) = (choice.step.powf(fineness), (choice.read)(scenario));
            let better = [value * step, value / step].into_iter().find_map(|tried| {
                let mut other = scenario.clone();
                (choice.write)(&mut other, tried.clamp(choice.range[0], choice.range[1]));
                let found = rate(&other);
                (sound(&other) && found > best * (1.0 + 1e-4)).then_some((other, found))
            });
            match better {
                Some((other, found)) => {
                    (*scenario, best) = (other, found);
                    true
                }
                None => moved,
            }
        }) {}
        fineness *= 0.5;
    }
    best
}

fn sound(scenario: &Scenario) -> bool {
    let [bright, decoy, dim] = scenario.bb84.mean_photons;
    bright > decoy + dim && decoy > dim && scenario.bb84.probabilities[0] > 0.0
}

fn print_bb84(scenario: &Scenario, rate: f64, json: bool) {
    let bb84 = &scenario.bb84;
    if json {
        println!(
            "{}",
            json!({
                "protocol": "bb84", "scenario": scenario.name, "block_s": bb84.block_s, "latency_s": bb84.block_s,
                "mean_photons": bb84.mean_photons, "probabilities": bb84.probabilities,
                "test_probability": bb84.test_probability, "secret_bit_per_s": rate,
            })
        );
        return;
    }
    let three = |values: [f64; 3]| values.map(|value| format!("{value:.3}")).join(" ");
    println!(
        "BB84  blocks of {:>5} s: {:>13}/s   intensities {}   probabilities {}   test {:.3}",
        bb84.block_s,
        si(rate, "bit"),
        three(bb84.mean_photons),
        three(bb84.probabilities),
        bb84.test_probability
    );
}

fn print_cv(scenario: &Scenario, rate: f64, json: bool) {
    let cv = &scenario.cv;
    if json {
        println!(
            "{}",
            json!({
                "protocol": "cv", "scenario": scenario.name, "block_s": cv.block_s, "latency_s": cv.block_s,
                "modulation_variance_snu": cv.modulation_variance_snu, "secret_bit_per_s": rate,
            })
        );
        return;
    }
    println!(
        "CV    blocks of {:>5} s: {:>13}/s   modulation variance {:.2} SNU",
        cv.block_s,
        si(rate, "bit"),
        cv.modulation_variance_snu
    );
}
