//! Every level against scalar, and the algebra against published tables and vectors.

use super::*;
use crate::Isa;

const DIMENSIONS: [Dimension; 4] = [Dimension::One, Dimension::Two, Dimension::Four, Dimension::Eight];

fn words(seed: u64, len: usize) -> Vec<u64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        state ^ state >> 29
    };
    (0..len).map(|_| next()).collect()
}

fn reals(seed: u64, len: usize) -> Vec<f32> {
    words(seed, len).iter().map(|word| (word >> 40) as f32 / 4_194_304.0 - 2.0).collect()
}

struct Telling {
    dimension: Dimension,
    components: Vec<i8>,
    exact: Vec<f32>,
    norms: Vec<u16>,
}

impl Telling {
    const UNIT: f32 = 1.0 / 4096.0;

    fn of(isa: Isa, dimension: Dimension, symbols: &[f32], bits: &[u64]) -> Self {
        let mut components = vec![0; symbols.len()];
        let mut exact = vec![0.0; symbols.len() / dimension.symbols()];
        harden(isa, dimension, symbols, bits, &mut components, &mut exact);
        let norms = exact.iter().map(|norm| (norm / Self::UNIT).round() as u16).collect();
        Self { dimension, components, exact, norms }
    }

    fn told(&self) -> Told<'_> {
        Told {
            dimension: self.dimension,
            components: &self.components,
            norms: &self.norms,
            norm_unit: Self::UNIT,
        }
    }
}

#[test]
fn every_level_computes_the_same_numbers() {
    for dimension in DIMENSIONS {
        for groups in [0, 1, 3] {
            let (mut y, x, bits) = (reals(1, 128 * groups), reals(2, 128 * groups), words(3, 2 * groups));
            if groups == 3 {
                y[128..256].fill(0.0);
                y[5] = 1e30;
            }
            let run = |isa: Isa| {
                let telling = Telling::of(isa, dimension, &y, &bits);
                let (mut ratios, mut again) = (vec![0; y.len()], vec![0.0; y.len()]);
                soften(isa, telling.told(), &x, 700.0, &mut ratios);
                rebuild(isa, telling.told(), &bits, &mut again);
                let again: Vec<u32> = again.iter().map(|value| value.to_bits()).collect();
                let exact: Vec<u32> = telling.exact.iter().map(|value| value.to_bits()).collect();
                let sum = dot(isa, &x, &y[..x.len()]).to_bits();
                (telling.components, exact, ratios, again, sum)
            };
            let want = run(Isa::SCALAR);
            for isa in Isa::available() {
                assert!(run(isa) == want, "{isa}, {dimension:?}, {groups} groups");
            }
        }
    }
}

#[test]
fn what_was_told_and_the_bits_give_the_symbols_back() {
    for dimension in DIMENSIONS {
        let (y, bits) = (reals(4, 1024), words(5, 16));
        let telling = Telling::of(Isa::best(), dimension, &y, &bits);
        let mut again = vec![0.0; y.len()];
        rebuild(Isa::best(), telling.told(), &bits, &mut again);
        let worst = y.iter().zip(&again).map(|(y, again)| (y - again).abs()).fold(0.0, f32::max);
        assert!(worst < 0.1, "{dimension:?}: off by {worst}");
        let power = dot(Isa::best(), &y, &y);
        let error: Vec<f32> = y.iter().zip(&again).map(|(y, again)| y - again).collect();
        let share = dot(Isa::best(), &error, &error) / power;
        assert!(share < 8e-4, "{dimension:?}: share {share} of the power is quantisation noise");
    }
}

#[test]
fn what_is_not_a_number_becomes_no_belief() {
    let (y, bits) = (reals(6, 128), words(7, 2));
    let telling = Telling::of(Isa::best(), Dimension::Eight, &y, &bits);
    let mut x = reals(8, 128);
    x[3] = f32::NAN;
    x[4] = f32::INFINITY;
    let mut ratios = vec![7; 128];
    soften(Isa::best(), telling.told(), &x, 700.0, &mut ratios);
    assert!(ratios.iter().skip(3).step_by(16).all(|ratio| *ratio == 0), "block 3 says nothing");
}

/// A vector of the published map: x, y, bits, σ², and the m and L that follow.
struct Vector {
    dimension: Dimension,
    x: &'static [f32],
    y: &'static [f32],
    bits: &'static [u8],
    m: &'static [f32],
    llr: &'static [f32],
}

/// σ² of the vectors: −8 dB.
const VARIANCE: f32 = 6.309_573;

const VECTORS: [Vector; 3] = [
    Vector {
        dimension: Dimension::Two,
        x: &[-0.7746, -0.3314],
        y: &[-0.8765, -0.6064],
        bits: &[1, 0],
        m: &[0.983_813_6, -0.179_194_86],
        llr: &[-0.167_862_88, 0.111_045_94],
    },
    Vector {
        dimension: Dimension::Four,
        x: &[-1.4911, -0.4965, 0.6273, 0.8376],
        y: &[-1.4732, -0.0151, 1.2276, -1.8381],
        bits: &[0, 1, 0, 1],
        m: &[-0.857_193_4, 0.159_542_63, -0.389_369_86, -0.296_911_93],
        llr: &[0.297_228_73, -0.220_439_7, 0.465_006_4, 0.527_915_5],
    },
    Vector {
        dimension: Dimension::Eight,
        x: &[-0.4904, -1.6936, 0.9192, 0.5933, 0.1793, 1.2689, 1.0698, 0.0988],
        y: &[-1.7653, 2.7102, 3.7306, 0.0919, 1.8639, -2.0945, 4.6413, -0.5342],
        bits: &[1, 0, 1, 0, 0, 0, 0, 1],
        m: &[
            -0.108_230_59,
            -0.786_740_34,
            0.038_544_916,
            -0.039_544_96,
            0.480_294_56,
            -0.011_178_362,
            -0.367_260_88,
            0.024_246_228,
        ],
        llr: &[
            0.889_131_97,
            -0.437_086_38,
            -0.824_901_9,
            0.949_745_6,
            -0.719_305_6,
            -0.596_340_5,
            0.596_313_5,
            -1.015_286_6,
        ],
    },
];

#[test]
fn octonions_quaternions_and_complex_numbers_agree_with_known_vectors() {
    for vector in VECTORS {
        let (mut x, mut y, mut bits) = (vec![0.0; 128], vec![0.0; 128], [0u64; 2]);
        for i in 0..vector.dimension.symbols() {
            x[16 * i] = vector.x[i];
            y[16 * i] = vector.y[i];
            bits[i / 4] |= u64::from(vector.bits[i]) << (16 * (i % 4));
        }
        let telling = Telling::of(Isa::best(), vector.dimension, &y, &bits);
        let mut ratios = vec![0; 128];
        let scale = 2048.0 / ((vector.dimension.symbols() as f32).sqrt() * VARIANCE);
        soften(Isa::best(), telling.told(), &x, scale, &mut ratios);
        for i in 0..vector.dimension.symbols() {
            let m = f32::from(telling.components[16 * i]) / COMPONENT_SCALE;
            assert!((m - vector.m[i]).abs() < 0.5001 / COMPONENT_SCALE, "m{i} is {m}, not {}", vector.m[i]);
            let ratio = f32::from(ratios[16 * i]) / 1024.0;
            assert!((ratio - vector.llr[i]).abs() < 0.06, "L{i} is {ratio}, not {}", vector.llr[i]);
        }
    }
}
