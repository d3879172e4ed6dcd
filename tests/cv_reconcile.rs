//! CV reconciliation from quadratures to bits: what is wrong with the data ends in no bits or in an
//! abort, never in wrong bits; and the fixed-point decoder keeps up with sum-product in floating point.
#![allow(clippy::cast_possible_truncation, reason = "quadratures are single precision")]
#![expect(clippy::cast_possible_truncation, reason = "symbols are single precision")]

use keystill::Isa;
use keystill::bits::{BitBlock, LLR_UNIT, Llrs};
use keystill::cv::rotation::{self, Channel, Dimension};
use keystill::reconcile::codes::leaf::{Code, FAMILY, Visit};
use keystill::reconcile::leaf::{Corrector, Plan, Reference};
use keystill::reconcile::{Effort, Reconciled};
use keystill::stage::{Job, Outbox, Stage, Step, Workbench};
use keystill::wire::Reader;

/// Signal-to-noise ratio of a real symbol at −5.2 dB.
const SNR: f64 = 0.302;

struct Noise(u64);

impl Noise {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn gaussian(&mut self) -> f64 {
        let mut uniform = || ((self.word() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        libm::sqrt(-2.0 * libm::log(uniform())) * libm::cos(std::f64::consts::TAU * uniform())
    }
}

struct World {
    plan: Plan,
    x: Vec<f32>,
    y: Vec<f32>,
    bits: BitBlock,
}

fn world(seed: u64) -> World {
    let plan = Plan::with_rate(0.15, 32).expect("a small plan");
    let mut noise = Noise(seed);
    let pair = |_| {
        let x = noise.gaussian();
        (x as f32, (x + noise.gaussian() / libm::sqrt(SNR)) as f32)
    };
    let (x, y) = (0..plan.frame_bits()).map(pair).unzip();
    let words = (0..plan.frame_bits() / 64).map(|_| noise.word()).collect();
    World { plan, x, y, bits: BitBlock::from_words(words, plan.frame_bits()) }
}

const CHANNEL: Channel = Channel { gain: 1.0, variance: 1.0 / SNR };

/// What the correcting side comes to from its own symbols `x` and what it assumes of the channel.
fn correct(world: &World, x: &[f32], channel: Channel) -> Reconciled {
    let isa = Isa::best();
    let side = rotation::harden(isa, Dimension::Eight, &world.y, &world.bits).expect("sound symbols");
    let llrs = rotation::soften(isa, &side, x, channel).expect("soft bits");
    decode(world, llrs)
}

fn decode(world: &World, llrs: Llrs) -> Reconciled {
    let (mut bench, mut out) = (Workbench::new(Isa::best()), Outbox::new());
    let copy = world.bits.slice(0..world.bits.len());
    let Ok(Step::Compute(reference, job)) = Reference::new(world.plan, copy).start(&mut out) else {
        panic!("the reference side computes first")
    };
    reference.done(job.run(&mut bench), &mut out).expect("its syndrome goes out");
    let syndrome = out.take().remove(0);
    let corrector = Corrector::new(world.plan, llrs);
    let Ok(Step::Compute(_, job)) = corrector.hear(Reader::new(&syndrome), &mut out) else {
        panic!("the correcting side decodes")
    };
    job.run(&mut bench)
}

#[test]
fn the_right_data_are_corrected_and_a_wrong_ratio_gives_no_wrong_bits() {
    for seed in 1..6 {
        let world = world(seed);
        let corrected = correct(&world, &world.x, CHANNEL);
        assert_eq!(corrected.bits.as_ref(), Some(&world.bits), "frame {seed} is corrected");
        for factor in [0.794, 1.259] {
            let channel = Channel { variance: CHANNEL.variance * factor, ..CHANNEL };
            let corrected = correct(&world, &world.x, channel);
            let right = corrected.bits.as_ref().is_none_or(|bits| *bits == world.bits);
            assert!(right, "frame {seed}, variance {factor} times the true one");
        }
    }
}

#[test]
fn wrong_data_end_without_bits() {
    let world = world(7);
    let swapped: Vec<f32> = world.x.as_chunks::<2>().0.iter().flat_map(|[x, p]| [*p, *x]).collect();
    let shifted: Vec<f32> = world.x[2..].iter().chain(&world.x[..2]).copied().collect();
    let turned: Vec<f32> = world.x.iter().map(|x| -x).collect();
    for (what, x) in [("swapped", swapped), ("shifted", shifted), ("turned", turned)] {
        let Reconciled { bits, effort: Effort { iterations, .. }, .. } = correct(&world, &x, CHANNEL);
        assert!(bits.is_none(), "{what} quadratures");
        assert!(iterations < 250, "{what} quadratures are given up early, not after {iterations}");
    }
}

#[test]
fn a_gain_error_and_spoilt_samples_give_no_wrong_bits() {
    let world = world(8);
    let louder: Vec<f32> = world.x.iter().map(|x| 1.3 * x).collect();
    let mut spoilt = world.x.clone();
    spoilt[100] = f32::NAN;
    spoilt[5000] = f32::INFINITY;
    spoilt[9000] = 1e30;
    for (what, x) in [("louder", louder), ("spoilt", spoilt)] {
        let bits = correct(&world, &x, CHANNEL).bits;
        assert!(bits.is_none_or(|bits| bits == world.bits), "{what} symbols");
    }
    let mut y = world.y.clone();
    y[17] = f32::NAN;
    let refused = rotation::harden(Isa::best(), Dimension::Eight, &y, &world.bits);
    assert!(refused.is_err(), "the reference side's own symbols must be numbers");
}

/// Layered sum-product in double precision on the same graph and in the same order: its iterations,
/// `None` if it does not arrive.
fn sum_product(code: &Code, ratios: &[f64], syndrome: &[u64], most: u32) -> Option<u32> {
    let (core, leaves) = ratios.split_at(64 * code.core_blocks());
    let mut posteriors: Vec<[f64; 64]> = core.as_chunks::<64>().0.to_vec();
    let last = code.walks().last().expect("a code has walks");
    for (block, home) in posteriors.iter_mut().zip(&last.homes) {
        block.rotate_left(*home as usize);
    }
    let mut messages = vec![[0.0; 64]; code.edge_count()];
    let iterations = (1..=most).flat_map(|k| std::iter::repeat_n(k, code.walks_an_iteration()));
    for (iteration, walk) in iterations.zip(code.walks().iter().cycle()) {
        let mut violated = 0;
        for (check, first_edge, edges) in walk.visits.iter().flat_map(Visit::checks) {
            for edge in edges {
                posteriors[edge.block as usize].rotate_left(edge.rotation as usize);
            }
            for lane in 0..64 {
                let leaf = leaves.get(64 * check + lane).map_or(1.0, |ratio| libm::tanh(ratio / 2.0));
                let sign = if syndrome[check] >> lane & 1 == 1 { -1.0 } else { 1.0 };
                let messages = &mut messages[first_edge..first_edge + edges.len()];
                let now = edges.iter().map(|edge| posteriors[edge.block as usize][lane]);
                let odd = now.clone().filter(|value| *value < 0.0).count() % 2 == 1;
                violated += u32::from(check >= code.leaf_blocks() && odd != (sign < 0.0));
                let values: Vec<f64> =
                    now.zip(&*messages).map(|(now, message)| now - message[lane]).collect();
                for (i, (edge, message)) in edges.iter().zip(messages).enumerate() {
                    let others = values.iter().enumerate().filter(|(j, _)| *j != i);
                    let product: f64 = others.map(|(_, value)| libm::tanh(value / 2.0)).product();
                    message[lane] = 2.0 * libm::atanh((sign * leaf * product).clamp(-0.999_999, 0.999_999));
                    posteriors[edge.block as usize][lane] = values[i] + message[lane];
                }
            }
        }
        if violated == 0 {
            return Some(iteration);
        }
    }
    None
}

#[test]
fn fixed_point_takes_hardly_more_iterations_than_sum_product() {
    let (mut fixed, mut exact) = (0, 0);
    for seed in 20..23 {
        let world = world(seed);
        let isa = Isa::best();
        let side = rotation::harden(isa, Dimension::Eight, &world.y, &world.bits).expect("sound symbols");
        let llrs = rotation::soften(isa, &side, &world.x, CHANNEL).expect("soft bits");
        let Llrs::Soft(values) = &llrs else { panic!("soft bits") };
        let ratios: Vec<f64> = values.iter().map(|value| f64::from(*value) / f64::from(LLR_UNIT)).collect();
        let code = Code::build(&FAMILY, 32, world.plan.frame_bits() / 64 - 48);
        let syndrome = code.syndrome(world.bits.words());
        exact += sum_product(&code, &ratios, &syndrome, 100).expect("sum-product arrives");
        let decoded = decode(&world, llrs);
        assert!(decoded.bits.is_some(), "so does fixed point, frame {seed}");
        fixed += decoded.effort.iterations;
    }
    assert!(fixed <= exact + exact / 10 + 3, "{fixed} iterations in fixed point, {exact} in floating point");
}
