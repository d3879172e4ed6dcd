//! Every level against scalar, and the fixed-point functions against their formulas.

use super::*;
use crate::Isa;

/// A small generator: tests need variety, not quality.
struct Mixer(u64);

impl Mixer {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ z >> 29
    }

    fn lanes(&mut self) -> Lanes {
        Lanes(std::array::from_fn(|_| self.next() as i16 >> (self.next() % 12)))
    }
}

struct World {
    leaf_runs: Vec<Run>,
    parity_runs: Vec<Run>,
    edges: Vec<Edge>,
    posteriors: Vec<Lanes>,
    messages: Vec<Lanes>,
    leaves: Vec<Lanes>,
    syndrome: Vec<u64>,
}

/// Every degree once or more, random edges, random messages, all extremes of 16 bits among them.
fn world(seed: u64) -> World {
    let mut mixer = Mixer(seed);
    let blocks = 40;
    let leaf_runs: Vec<Run> = (1..=MAX_DEGREE).map(|degree| Run { degree, checks: 3 }).collect();
    let parity_runs: Vec<Run> = (1..=MAX_DEGREE).map(|degree| Run { degree, checks: 2 }).collect();
    let mut edges = Vec::new();
    for run in leaf_runs.iter().chain(&parity_runs) {
        for _ in 0..run.checks {
            let first = mixer.next() % blocks;
            edges.extend((0..run.degree as u64).map(|i| Edge {
                block: ((first + 7 * i) % blocks) as u16,
                rotation: (mixer.next() % 64) as u16,
            }));
        }
    }
    let mut posteriors: Vec<Lanes> = (0..blocks).map(|_| mixer.lanes()).collect();
    posteriors[0].0[..4].copy_from_slice(&[i16::MIN, i16::MAX, -i16::MAX, 0]);
    let messages = edges.iter().map(|_| mixer.lanes()).collect();
    let leaves = (0..3 * MAX_DEGREE).map(|_| mixer.lanes()).collect();
    let syndrome = (0..2 * MAX_DEGREE).map(|_| mixer.next()).collect();
    World { leaf_runs, parity_runs, edges, posteriors, messages, leaves, syndrome }
}

fn iterate_four_times(isa: Isa, mut world: World) -> (u32, Vec<Lanes>, Vec<Lanes>) {
    let mut beliefs = Beliefs {
        posteriors: &mut world.posteriors,
        messages: &mut world.messages,
        leaves: &world.leaves,
        syndrome: &world.syndrome,
    };
    let mut violated = 0;
    let ways = [
        (Factors::TANH, Order::Ascending, ParityRule::Sizes),
        (Factors::bent(0.15), Order::Descending, ParityRule::Product),
        (Factors::bent(1.0), Order::Descending, ParityRule::Sizes),
        (Factors::bent(0.03), Order::Ascending, ParityRule::Product),
    ];
    for (factors, parity_order, parity_rule) in ways {
        let graph = Graph {
            factors: &factors,
            parity_rule,
            leaf_runs: &world.leaf_runs,
            parity_runs: &world.parity_runs,
            parity_order,
            edges: &world.edges,
        };
        violated += iterate(isa, &graph, &mut beliefs);
    }
    (violated, world.posteriors, world.messages)
}

#[test]
fn every_level_iterates_as_scalar_does() {
    for seed in 0..20 {
        let want = iterate_four_times(Isa::SCALAR, world(seed));
        for isa in Isa::available() {
            assert!(iterate_four_times(isa, world(seed)) == want, "{isa} differs for seed {seed}");
        }
    }
}

#[test]
fn every_level_makes_the_same_leaves() {
    let mut mixer = Mixer(5);
    for len in [0, 1, 2, 17] {
        let mut ratios: Vec<i16> = (0..len).flat_map(|_| mixer.lanes().0).collect();
        if len > 0 {
            ratios[..3].copy_from_slice(&[i16::MIN, i16::MAX, 0]);
        }
        let syndrome: Vec<u64> = (0..len).map(|_| mixer.next()).collect();
        for gain in [bending(0.8), Gain::new(|ratio| 3.9 * ratio)] {
            let mut want = vec![Lanes::default(); len];
            leaves(Isa::SCALAR, &gain, &ratios, &syndrome, &mut want);
            for isa in Isa::available() {
                let mut got = vec![Lanes::default(); len];
                leaves(isa, &gain, &ratios, &syndrome, &mut got);
                assert!(got == want, "{isa}, {len} blocks");
            }
        }
    }
}

fn bending(q: f64) -> Gain {
    Gain::new(move |ratio| 2.0 * libm::atanh(q * libm::tanh(ratio / 2.0)) / q)
}

#[test]
fn leaves_follow_the_gain_with_the_sign_of_the_syndrome() {
    let mut ratios = [0; 64];
    let given = [512, -512, 3000, 32000, -3000, i16::MIN, 1, -1];
    ratios[..given.len()].copy_from_slice(&given);
    let mut out = [Lanes::default()];
    leaves(Isa::best(), &bending(0.8), &ratios, &[0b10], &mut out);
    let signed = |lane: usize, ratio: f64| if lane == 1 { -ratio } else { ratio };
    for (lane, ratio) in given.into_iter().enumerate() {
        let ratio = signed(lane, (f64::from(ratio) / 1024.0).clamp(-8.0, 8.0));
        let want = 2.0 * libm::atanh(0.8 * libm::tanh(ratio / 2.0)) / 0.8;
        let got = f64::from(out[0].0[lane]) / 1024.0;
        assert!((got - want).abs() < 3e-3, "lane {lane}: {got}, not {want}");
    }
}

#[test]
fn factors_and_their_artanh_keep_to_their_curves() {
    for a in i16::MIN..=i16::MAX {
        let t = libm::tanh(f64::from(a) / 2048.0);
        for bend in [0.0, 0.15] {
            let want = t * (1.0 + bend * t * t) / (1.0 + bend);
            let got = f64::from(scalar::factor(&Factors::bent(bend), a)) / (32768.0 * FULL_FACTOR);
            assert!((got - want).abs() < 0.015, "κ {bend}, {a}: {got}, not {want}");
            assert!(got * want >= 0.0, "κ {bend}, {a}: the other sign");
        }
    }
    for o in -16_383..=16_383_i16 {
        let want = (2.0 * libm::atanh(f64::from(o) / 16384.0)).clamp(-7.0, 7.0);
        let got = f64::from(scalar::artanh_twice(o)) / 1024.0;
        let within = if want.abs() < 3.4 { 0.04 } else { 1.3 };
        assert!((got - want).abs() < within, "{o}: {got}, not {want}");
    }
}

/// However rounding falls, certainty times factors stays within the table of 2·artanh.
#[test]
fn a_certain_product_keeps_its_sign() {
    for degree in 1..=MAX_DEGREE {
        for full in [scalar::factor(&Factors::TANH, i16::MAX), scalar::factor(&Factors::TANH, i16::MIN)] {
            let product = (1..degree).fold(certain(degree), |product, _| scalar::mul(product, full));
            assert!(product.unsigned_abs() < 1 << 14, "degree {degree}: {product}");
            assert!(product.unsigned_abs() > 16_300, "degree {degree}: {product} is far from certain");
        }
    }
}

/// One leaf check and one parity check, degree 3, against the formulas in floating point.
#[test]
fn messages_are_those_of_belief_propagation() {
    let mut mixer = Mixer(9);
    let edges: Vec<Edge> = (0..3).map(|block| Edge { block, rotation: 0 }).collect();
    let one = [Run { degree: 3, checks: 1 }];
    let cases = [
        (&one[..], 0.0, &[][..], ParityRule::Sizes),
        (&one[..], 0.15, &[][..], ParityRule::Sizes),
        (&[][..], 0.0, &one[..], ParityRule::Sizes),
        (&[][..], 0.0, &one[..], ParityRule::Product),
    ];
    for (leaf_runs, bend, parity_runs, parity_rule) in cases {
        let (parity_order, factors) = (Order::Ascending, &Factors::bent(bend));
        let graph = Graph { leaf_runs, factors, parity_runs, parity_order, parity_rule, edges: &edges };
        let before: Vec<Lanes> =
            (0..3).map(|_| Lanes(std::array::from_fn(|_| mixer.next() as i16 / 6))).collect();
        let mut after = before.clone();
        let mut messages = vec![Lanes::default(); 3];
        let leaf = Lanes(std::array::from_fn(|i| (i as i16 - 32) * 280));
        let mut beliefs =
            Beliefs { posteriors: &mut after, messages: &mut messages, leaves: &[leaf], syndrome: &[0] };
        iterate(Isa::best(), &graph, &mut beliefs);
        let factor = |block: usize, lane: usize| {
            let t = libm::tanh(f64::from(before[block].0[lane]) / 2048.0);
            t * (1.0 + bend * t * t) / (1.0 + bend)
        };
        for lane in 0..64 {
            let product = factor(1, lane) * factor(2, lane);
            let want = match leaf_runs {
                [] => 2.0 * libm::atanh(product),
                _ => f64::from(leaf.0[lane]) / 1024.0 * FULL_FACTOR * FULL_FACTOR * product,
            };
            let got = f64::from(messages[0].0[lane]) / 1024.0;
            let within = (got - want).abs() < 0.04 + 0.05 * want.abs();
            assert!(within, "κ {bend} {parity_rule:?} lane {lane}: {got}, not {want}");
        }
    }
}
