//! `keystill link --optimise`: intensities, probabilities, variance and block length for the most key.
//!
//! A pattern search over the free values, each in its own scale: a step up, a step down, keep what gives more key, halve
//! the steps when nothing does. It begins at the best of a coarse grid, and what it climbs is the key's length before the
//! floor, so that it finds its way also from where there is no key. The link's light is solved once; only the systems
//! change.

use keystill::channel::{LoadedPair, Scenario};
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
    let span = LoadedPair::new(scenario, &|_, _| true);
    if !json {
        let rates = super::secret(scenario, &span.budget(scenario)).map(per_second);
        println!("{}: as it is, BB84 {} and CV {}\n", scenario.name, rates[0], rates[1]);
    }
    best_bb84(scenario, &span).iter().for_each(|(best, rate)| print_bb84(best, *rate, json));
    best_cv(scenario, &span).iter().for_each(|(best, rate)| print_cv(best, *rate, json));
    Ok(())
}

/// The best BB84 system for each length of block, and its key in bit/s: 0 where none was found.
fn best_bb84(scenario: &Scenario, span: &LoadedPair) -> Vec<(Scenario, f64)> {
    let balance = |given: &Scenario| key::bb84_balance_bits(given, &span.budget(given).bb84);
    let mut found = Vec::new();
    let mut starts = bb84_grid(scenario);
    for block_s in BLOCKS_S {
        for start in &mut starts {
            start.bb84.block_s = block_s.max(start.bb84.frame_ms * 1e-3);
        }
        let best = search(&starts, &bb84_choices(), &balance);
        let rate = key::bb84_secret_bit_per_s(&best, &span.budget(&best).bb84);
        starts.push(best.clone());
        found.push((best, rate));
    }
    found
}

/// The same of CV.
fn best_cv(scenario: &Scenario, span: &LoadedPair) -> Vec<(Scenario, f64)> {
    let balance = |given: &Scenario| key::cv_balance_bits(given, &span.budget(given).cv);
    let mut found = Vec::new();
    let mut starts = cv_grid(scenario);
    for block_s in BLOCKS_S {
        for start in &mut starts {
            start.cv.block_s = block_s.max(start.cv.frame_ms * 1e-3);
        }
        let best = search(&starts, &cv_choices(), &balance);
        let rate = key::cv_secret_bit_per_s(&best, &span.budget(&best).cv);
        starts.push(best.clone());
        found.push((best, rate));
    }
    found
}

/// Where the search may begin: the scenario itself, and usual systems from far below to far above.
fn bb84_grid(scenario: &Scenario) -> Vec<Scenario> {
    let mut starts = vec![scenario.clone()];
    for [bright, decoy] in [[0.3, 0.05], [0.5, 0.1], [0.6, 0.2]] {
        for weak in [[0.1, 0.05], [0.25, 0.15], [0.4, 0.3]] {
            for test in [0.05, 0.15, 0.4] {
                let mut start = scenario.clone();
                start.bb84.mean_photons[..2].copy_from_slice(&[bright, decoy]);
                (start.bb84.mean_photons[2], start.bb84.test_probability) =
                    (start.bb84.mean_photons[2].min(0.01), test);
                start.bb84.probabilities = [1.0 - weak[0] - weak[1], weak[0], weak[1]];
                starts.push(start);
            }
        }
    }
    starts
}

/// The same of CV: variances from a weak to a strong modulation.
fn cv_grid(scenario: &Scenario) -> Vec<Scenario> {
    let mut starts = vec![scenario.clone()];
    for variance in [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0] {
        let mut start = scenario.clone();
        start.cv.modulation_variance_snu = variance;
        starts.push(start);
    }
    starts
}

fn per_second(rate: f64) -> String {
    if rate > 0.0 { format!("{}/s", si(rate, "bit")) } else { "none".to_owned() }
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
            read: |s| s.bb84.mean_photons[2],
            write: |s, value| s.bb84.mean_photons[2] = value,
            // A thousandth of a photon is what an intensity modulator leaves.
            range: [0.001, 0.3],
            step: 2.0,
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

/// The scenario with the greatest balance that the search finds from the best of some starts.
fn search(starts: &[Scenario], choices: &[Choice], balance: &dyn Fn(&Scenario) -> f64) -> Scenario {
    let graded = starts.iter().map(|start| (start.clone(), balance(start)));
    let (mut at, mut best) =
        graded.max_by(|a, b| a.1.total_cmp(&b.1)).expect("the scenario itself is a start");
    let mut fineness = 1.0;
    for _ in 0..HALVINGS {
        while choices.iter().fold(false, |moved, choice| {
            let (step, value) = (choice.step.powf(fineness), (choice.read)(&at));
            let better = [value * step, value / step].into_iter().find_map(|tried| {
                let mut other = at.clone();
                (choice.write)(&mut other, tried.clamp(choice.range[0], choice.range[1]));
                let found = if sound(&other) { balance(&other) } else { f64::NEG_INFINITY };
                (found > best + 1e-4 * best.abs()).then_some((other, found))
            });
            match better {
                Some((other, found)) => {
                    (at, best) = (other, found);
                    true
                }
                None => moved,
            }
        }) {}
        fineness *= 0.5;
    }
    at
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
        "BB84  blocks of {:>5} s: {:>15}   intensities {}   probabilities {}   test {:.3}",
        bb84.block_s,
        per_second(rate),
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
        "CV    blocks of {:>5} s: {:>15}   modulation variance {:.2} SNU",
        cv.block_s,
        per_second(rate),
        cv.modulation_variance_snu
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    fn rates(scenario: &Scenario) -> [Vec<f64>; 2] {
        let span = LoadedPair::new(scenario, &|_, _| true);
        let rates = |found: Vec<(Scenario, f64)>| found.into_iter().map(|(_, rate)| rate).collect();
        [rates(best_bb84(scenario, &span)), rates(best_cv(scenario, &span))]
    }

    #[test]
    fn key_is_found_from_where_there_is_none() {
        let bad = scenario(&[
            "bb84.mean_photons=[1.4,0.9,0.3]",
            "bb84.test_probability=0.5",
            "cv.modulation_variance_snu=50",
        ]);
        let span = LoadedPair::new(&bad, &|_, _| true);
        let before = super::super::secret(&bad, &span.budget(&bad));
        assert!(before.iter().all(|rate| *rate <= 0.0), "no key to climb from: {before:?}");
        let (found, reference) = (rates(&bad), rates(&scenario(&[])));
        for (protocol, (found, reference)) in found.iter().zip(&reference).enumerate() {
            for (found, reference) in found.iter().zip(reference) {
                assert!(
                    (found - reference).abs() <= 0.03 * reference,
                    "protocol {protocol}: {found} bit/s from bad values, {reference} from good ones"
                );
            }
            assert!(reference.last().is_some_and(|rate| *rate > 1e4), "long blocks have key: {reference:?}");
            assert!(
                reference.windows(2).all(|pair| pair[1] >= pair[0]),
                "longer blocks, more: {reference:?}"
            );
        }
    }

    #[test]
    fn none_is_said_where_no_values_leave_key() {
        let hopeless = scenario(&["link.length_km=180", "cv.technical_excess_noise_snu=0.5"]);
        for rates in rates(&hopeless) {
            assert!(rates.iter().all(|rate| *rate <= 0.0), "180 km beside 17 dBm: {rates:?}");
        }
        assert_eq!(per_second(0.0), "none", "and it is said");
    }
}
