//! How much information the soft bits carry: rounded, exact, and without norms.

use super::*;

/// (a, b)(c, d) = (ac − d̄b, da + bc̄), by recursion: the definition.
fn product(a: &[f64], b: &[f64]) -> Vec<f64> {
    let half = a.len() / 2;
    if half == 0 {
        return vec![a[0] * b[0]];
    }
    let conjugate =
        |x: &[f64]| -> Vec<f64> { x.iter().enumerate().map(|(i, x)| if i == 0 { *x } else { -x }).collect() };
    let ((a, b), (c, d)) = (a.split_at(half), b.split_at(half));
    let (ac, db) = (product(a, c), product(&conjugate(d), b));
    let (da, bc) = (product(d, a), product(b, &conjugate(c)));
    let upper = ac.iter().zip(&db).map(|(x, y)| x - y);
    upper.chain(da.iter().zip(&bc).map(|(x, y)| x + y)).collect()
}

struct World {
    x: Vec<f32>,
    y: Vec<f32>,
    bits: BitBlock,
    channel: Channel,
}

/// x of unit power, y = x + noise.
fn world(snr_db: f64, symbols: usize) -> World {
    let mut state = 7u64;
    let mut word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    };
    let bits = BitBlock::from_words((0..symbols / 64).map(|_| word()).collect(), symbols);
    let mut uniform = || ((word() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let variance = libm::pow(10.0, -snr_db / 10.0);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..symbols {
        let (radius, angle) = (libm::sqrt(-2.0 * libm::log(uniform())), std::f64::consts::TAU * uniform());
        let (sent, noise) = (radius * libm::cos(angle), radius * libm::sin(angle));
        x.push(sent as f32);
        y.push((sent + libm::sqrt(variance) * noise) as f32);
    }
    World { x, y, bits, channel: Channel { gain: 1.0, variance } }
}

/// The soft bits of unrounded messages, by the formulas.
fn exact(world: &World) -> Vec<f64> {
    let mut ratios = vec![0.0; world.x.len()];
    for block in 0..world.x.len() / 8 {
        let place = |i: usize| GROUP * (block / 16) + 16 * i + block % 16;
        let take = |values: &[f32]| -> Vec<f64> { (0..8).map(|i| f64::from(values[place(i)])).collect() };
        let (mut x, y) = (take(&world.x), take(&world.y));
        x[1..].iter_mut().for_each(|x| *x = -*x);
        let signs: Vec<f64> = (0..8).map(|i| if world.bits.bit(place(i)) { -1.0 } else { 1.0 }).collect();
        // r·m/√d·√d: the norms cancel.
        let v = product(&product(&signs, &y), &x);
        for (i, v) in v.iter().enumerate() {
            ratios[place(i)] = 2.0 * v / (8.0 * world.channel.variance);
        }
    }
    ratios
}

/// Bits a symbol: 1 − E log₂(1 + e^(−L)), L with the sign of the bit.
fn information(bits: &BitBlock, ratios: impl Iterator<Item = f64>) -> f64 {
    let loss = |(i, ratio): (usize, f64)| libm::log1p(libm::exp(if bits.bit(i) { ratio } else { -ratio }));
    1.0 - ratios.enumerate().map(loss).sum::<f64>() / bits.len() as f64 / std::f64::consts::LN_2
}

fn of_soft(world: &World, side: &SideInfo) -> f64 {
    let Ok(Llrs::Soft(ref ratios)) = soften(Isa::best(), side, &world.x, world.channel) else {
        panic!("soft bits")
    };
    information(&world.bits, ratios.iter().map(|ratio| f64::from(*ratio) / f64::from(LLR_UNIT)))
}

#[test]
fn six_and_five_bits_lose_a_thousandth_at_most() {
    for snr_db in [-15.0, -6.0, -2.3] {
        let world = world(snr_db, 1 << 19);
        let side = harden(Isa::best(), Dimension::Eight, &world.y, &world.bits).unwrap();
        let (rounded, exact) = (of_soft(&world, &side), information(&world.bits, exact(&world).into_iter()));
        let loss = 1.0 - rounded / exact;
        println!("{snr_db} dB: loss {loss:.6}");
        assert!(loss < 1e-3, "{snr_db} dB: {rounded} of {exact} bits, loss {loss}");
        let mut writer = Writer::new();
        side.write(&mut writer);
        let bits = 8.0 * writer.finish().len() as f64 / world.x.len() as f64;
        assert!(bits < 6.63, "{bits} bits a symbol");
    }
}

#[test]
fn hidden_norms_cost_what_is_stated() {
    for (snr_db, least) in [(-15.0, 0.93), (-8.0, 0.92), (-2.3, 0.89)] {
        let world = world(snr_db, 1 << 17);
        let side = harden(Isa::best(), Dimension::Eight, &world.y, &world.bits).unwrap();
        let told = of_soft(&world, &side);
        let hidden = hide_norms(side);
        let share = of_soft(&world, &hidden) / told;
        println!("{snr_db} dB: share {share:.4}");
        assert!((least..0.98).contains(&share), "{snr_db} dB: {share} of the information is left");
        assert!(rebuild(Isa::best(), &hidden, &world.bits).is_err(), "nothing to rebuild from");
        let mut writer = Writer::new();
        hidden.write(&mut writer);
        let again = SideInfo::read(&mut Reader::new(&writer.finish()), world.x.len());
        assert_eq!(again, Ok(hidden), "read as written");
    }
}
