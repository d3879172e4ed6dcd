//! Every level against scalar, the mirror, and the ratios against double precision.

use super::*;
use crate::Isa;

fn words(seed: u64, len: usize) -> Vec<u64> {
    (0..len as u64).map(|i| crate::parity::mix(seed << 32 | i)).collect()
}

fn reals(seed: u64, len: usize) -> Vec<f32> {
    words(seed, len).iter().map(|word| (word >> 40) as f32 / 4_194_304.0 - 2.0).collect()
}

/// Cells of equal width from −2 to 2.
fn even() -> ([f32; CELLS - 1], [f32; CELLS]) {
    let step = 4.0 / CELLS as f32;
    (
        std::array::from_fn(|i| (i as f32 + 1.0) * step - 2.0),
        std::array::from_fn(|i| (i as f32 + 0.5) * step - 2.0),
    )
}

#[test]
fn every_level_computes_the_same_numbers() {
    let (ends, values) = even();
    let sight = Sight { values: &values, curvature: -1.3, slope: 2.1 };
    for blocks in [0, 1, 3] {
        let (x, y) = (reals(1, 64 * blocks), reals(2, 64 * blocks));
        let run = |isa: Isa| {
            let mut planes = vec![0; 8 * blocks];
            cut(isa, &y, &ends, &mut planes);
            let mut ratios = vec![vec![0; x.len()]; LEVELS];
            for (level, ratios) in ratios.iter_mut().enumerate() {
                soften(isa, sight, &planes, level, 1024.0, &x, ratios);
            }
            let mut again = vec![0.0; y.len()];
            rebuild(isa, &planes, &values, &mut again);
            (planes, ratios, again)
        };
        let scalar = run(Isa::SCALAR);
        for isa in Isa::available() {
            assert!(run(isa) == scalar, "{isa}, {blocks} blocks");
        }
    }
}

#[test]
fn what_is_cut_is_rebuilt_to_half_a_cell_and_told_in_small_steps() {
    let (ends, values) = even();
    let y: Vec<f32> = (0..512).map(|i| (i as f32 + 0.25) / 128.0 - 2.0).collect();
    let mut planes = vec![0; 8 * 8];
    cut(Isa::best(), &y, &ends, &mut planes);
    let mut again = vec![0.0; y.len()];
    rebuild(Isa::best(), &planes, &values, &mut again);
    for (y, again) in y.iter().zip(&again) {
        assert!((y - again).abs() <= 2.0 / CELLS as f32, "{y} came back as {again}");
    }
    let told = |i: usize| {
        (0..4).fold(0i32, |told, plane| 2 * told + (planes[(4 + plane) * 8 + i / 64] >> (i % 64) & 1) as i32)
    };
    for i in 1..y.len() {
        assert!((told(i) - told(i - 1)).abs() <= 1, "what is told jumps at {}", y[i]);
    }
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -2.0].repeat(16);
    let mut planes = [0; 8];
    cut(Isa::best(), &odd, &ends, &mut planes);
    assert_eq!(planes[0], 0x2222_2222_2222_2222, "only the infinite one is above the middle");
}

#[test]
fn ratios_are_those_of_double_precision() {
    let (ends, values) = even();
    let (curvature, slope) = (-1.9f32, 2.7f32);
    let (x, y) = (reals(3, 256), reals(4, 256));
    let mut planes = vec![0; 8 * 4];
    cut(Isa::best(), &y, &ends, &mut planes);
    let bit = |plane: usize, i: usize| (planes[plane * 4 + i / 64] >> (i % 64) & 1) as usize;
    for level in 0..LEVELS {
        let mut ratios = vec![0; x.len()];
        let sight = Sight { values: &values, curvature, slope };
        soften(Isa::best(), sight, &planes, level, 1024.0, &x, &mut ratios);
        for i in 0..x.len() {
            let told = (4..8).fold(0, |told, plane| 2 * told + bit(plane, i));
            let mut sums = [0.0f64; 2];
            for interval in 0..16usize {
                let known = (0..level).all(|plane| interval >> (3 - plane) & 1 == bit(plane, i));
                if known {
                    let cell = interval << 4 | told ^ if interval & 1 == 1 { 15 } else { 0 };
                    let y = f64::from(values[cell]);
                    let score = y * (f64::from(curvature) * y + f64::from(slope) * f64::from(x[i]));
                    sums[interval >> (3 - level) & 1] += score.exp2();
                }
            }
            let exact = (1024.0 * (sums[0] / sums[1]).ln()).clamp(-32_767.0, 32_767.0);
            assert!(
                (f64::from(ratios[i]) - exact).abs() < 0.6,
                "level {level}, symbol {i}: {} for {exact}",
                ratios[i]
            );
        }
    }
}
