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

fn iterate_thrice(isa: Isa, mut world: World) -> (u32, Vec<Lanes>, Vec<Lanes>) {
    let mut beliefs = Beliefs {
        posteriors: &mut world.posteriors,
        messages: &mut world.messages,
        leaves: &world.leaves,
        syndrome: &world.syndrome,
    };
    let mut violated = 0;
    let ways = [
        (LeafRule::Curve, Order::Ascending, ParityRule::Sizes),
        (LeafRule::Line, Order::Descending, ParityRule::Product),
        (LeafRule::Line, Order::Descending, ParityRule::Sizes),
    ];
    for (leaf_rule, parity_order, parity_rule) in ways {
        let graph = Graph {
            leaf_rule,
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
        let want = iterate_thrice(Isa::SCALAR, world(seed));
        for isa in Isa::available() {
            assert!(iterate_thrice(isa, world(seed)) == want, "{isa} differs for seed {seed}");
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
        for rule in [LeafRule::Curve, LeafRule::Line] {
            let mut want = vec![Lanes::default(); len];
            leaves(Isa::SCALAR, rule, &ratios, &syndrome, &mut want);
            for isa in Isa::available() {
                let mut got = vec![Lanes::default(); len];
                leaves(isa, rule, &ratios, &syndrome, &mut got);
                assert!(got == want, "{isa}, {rule:?}, {len} blocks");
            }
        }
    }
}

#[test]
fn leaves_are_tanh_or_gain_with_the_sign_of_the_syndrome() {
    let mut ratios = [0; 64];
    ratios[..4].copy_from_slice(&[512, -512, 3000, 32000]);
    let (mut tanh, mut gain) = ([Lanes::default()], [Lanes::default()]);
    leaves(Isa::best(), LeafRule::Curve, &ratios, &[0b10], &mut tanh);
    leaves(Isa::best(), LeafRule::Line, &ratios, &[0b10], &mut gain);
    for (lane, ratio) in [0.5, 0.5, 3000.0 / 1024.0, 3.0].into_iter().enumerate() {
        let want = libm::tanh(ratio / 2.0);
        let got = f64::from(tanh[0].0[lane]) / f64::from(ONE);
        assert!((got - want).abs() < 1e-4, "lane {lane}: tanh {got} of {want}");
        let want = ratio / 2.0 + libm::tanh(ratio / 2.0);
        let got = f64::from(gain[0].0[lane]) / 1024.0;
        assert!((got - want).abs() < 1e-3, "lane {lane}: gain {got} of {want}");
    }
}

/// One leaf check and one parity check, degree 3, against the formulas in floating point.
#[test]
fn messages_are_those_of_belief_propagation() {
    let mut mixer = Mixer(9);
    let edges: Vec<Edge> = (0..3).map(|block| Edge { block, rotation: 0 }).collect();
    let one = [Run { degree: 3, checks: 1 }];
    let cases = [
        (&one[..], LeafRule::Curve, &[][..], ParityRule::Sizes),
        (&one[..], LeafRule::Line, &[][..], ParityRule::Sizes),
        (&[][..], LeafRule::Line, &one[..], ParityRule::Sizes),
        (&[][..], LeafRule::Line, &one[..], ParityRule::Product),
    ];
    for (leaf_runs, leaf_rule, parity_runs, parity_rule) in cases {
        let parity_order = Order::Ascending;
        let graph = Graph { leaf_runs, leaf_rule, parity_runs, parity_order, parity_rule, edges: &edges };
        let before: Vec<Lanes> =
            (0..3).map(|_| Lanes(std::array::from_fn(|_| mixer.next() as i16 / 6))).collect();
        let mut after = before.clone();
        let mut messages = vec![Lanes::default(); 3];
        let leaf = Lanes(std::array::from_fn(|i| (i as i16 - 32) * 280));
        let mut beliefs =
            Beliefs { posteriors: &mut after, messages: &mut messages, leaves: &[leaf], syndrome: &[0] };
        iterate(Isa::best(), &graph, &mut beliefs);
        let tanh = |block: usize, lane: usize| libm::tanh(f64::from(before[block].0[lane]) / 2048.0);
        for lane in 0..64 {
            let product = tanh(1, lane) * tanh(2, lane);
            let parity = 2.0 * libm::atanh(product);
            let leaf = f64::from(leaf.0[lane]);
            let want = match leaf_rule {
                _ if leaf_runs.is_empty() && parity_rule == ParityRule::Sizes => parity,
                // Two terms of the series of 2·artanh.
                _ if leaf_runs.is_empty() => 2.0 * product * (1.0 + 0.45 * product * product),
                LeafRule::Line => leaf / 1024.0 * product,
                LeafRule::Curve => 2.0 * libm::atanh(leaf / f64::from(ONE) * product),
            };
            let got = f64::from(messages[0].0[lane]) / 1024.0;
            let within = (got - want).abs() < 0.04 + 0.05 * want.abs();
            assert!(within, "{leaf_rule:?} {parity_rule:?} lane {lane}: {got}, not {want}");
        }
    }
}
