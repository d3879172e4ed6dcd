//! The reference, sixteen lanes at a time.

/// Blocks or samples computed side by side.
const LANES: usize = 16;

/// One word of sixteen blocks.
type Lane = [u32; LANES];

/// "expand 32-byte k"
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

#[inline(always)]
pub(super) fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]) {
    assert_eq!(gates.len(), out.len(), "a word a gate");
    for (gates, out) in gates.chunks(LANES).zip(out.chunks_mut(LANES)) {
        let mut counters = [0; LANES];
        for (counter, gate) in counters.iter_mut().zip(gates) {
            *counter = gate / 16;
        }
        let blocks = blocks(key, &counters);
        for (lane, (gate, out)) in gates.iter().zip(out).enumerate() {
            *out = blocks[(gate % 16) as usize][lane];
        }
    }
}

#[inline(always)]
pub(super) fn words(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
    assert!(out.len().is_multiple_of(16 * LANES), "whole groups of blocks, not {} words", out.len());
    for (group, out) in out.chunks_exact_mut(16 * LANES).enumerate() {
        let blocks = blocks(key, &run(first_block, group));
        for (lane, out) in out.chunks_exact_mut(16).enumerate() {
            for (word, out) in out.iter_mut().enumerate() {
                *out = blocks[word][lane];
            }
        }
    }
}

#[inline(always)]
pub(super) fn gaussians(key: &[u32; 8], first_block: u64, out: &mut [f32]) {
    assert!(out.len().is_multiple_of(16 * LANES), "whole groups of blocks, not {} samples", out.len());
    for (group, out) in out.chunks_exact_mut(16 * LANES).enumerate() {
        let blocks = blocks(key, &run(first_block, group));
        for (pair, out) in out.chunks_exact_mut(2 * LANES).enumerate() {
            let (cosines, sines) = out.split_at_mut(LANES);
            box_muller(&blocks[2 * pair], &blocks[2 * pair + 1], cosines, sines);
        }
    }
}

/// The counters of a group of blocks.
#[inline(always)]
fn run(first_block: u64, group: usize) -> [u64; LANES] {
    std::array::from_fn(|lane| first_block + (group * LANES + lane) as u64)
}

#[inline(always)]
fn blocks(key: &[u32; 8], counters: &[u64; LANES]) -> [Lane; 16] {
    let mut start = [[0; LANES]; 16];
    for (word, constant) in CONSTANTS.into_iter().chain(*key).enumerate() {
        start[word] = [constant; LANES];
    }
    for lane in 0..LANES {
        start[12][lane] = counters[lane] as u32;
        start[13][lane] = (counters[lane] >> 32) as u32;
    }
    let mut state = start;
    for _ in 0..4 {
        quarter(&mut state, [0, 4, 8, 12]);
        quarter(&mut state, [1, 5, 9, 13]);
        quarter(&mut state, [2, 6, 10, 14]);
        quarter(&mut state, [3, 7, 11, 15]);
        quarter(&mut state, [0, 5, 10, 15]);
        quarter(&mut state, [1, 6, 11, 12]);
        quarter(&mut state, [2, 7, 8, 13]);
        quarter(&mut state, [3, 4, 9, 14]);
    }
    for word in 0..16 {
        for lane in 0..LANES {
            state[word][lane] = state[word][lane].wrapping_add(start[word][lane]);
        }
    }
    state
}

#[inline(always)]
fn quarter(state: &mut [Lane; 16], [a, b, c, d]: [usize; 4]) {
    let [mut wa, mut wb, mut wc, mut wd] = [state[a], state[b], state[c], state[d]];
    for lane in 0..LANES {
        wa[lane] = wa[lane].wrapping_add(wb[lane]);
        wd[lane] = (wd[lane] ^ wa[lane]).rotate_left(16);
        wc[lane] = wc[lane].wrapping_add(wd[lane]);
        wb[lane] = (wb[lane] ^ wc[lane]).rotate_left(12);
        wa[lane] = wa[lane].wrapping_add(wb[lane]);
        wd[lane] = (wd[lane] ^ wa[lane]).rotate_left(8);
        wc[lane] = wc[lane].wrapping_add(wd[lane]);
        wb[lane] = (wb[lane] ^ wc[lane]).rotate_left(7);
    }
    [state[a], state[b], state[c], state[d]] = [wa, wb, wc, wd];
}

/// √(−2 ln u)·(cos 2πv, sin 2πv), u and v from 24 and 32 bits.
#[inline(always)]
fn box_muller(u: &Lane, v: &Lane, cosines: &mut [f32], sines: &mut [f32]) {
    for lane in 0..LANES {
        let radius = (-2.0 * ln_unit((u[lane] >> 8) as f32 + 0.5)).sqrt();
        let (cosine, sine) = circle(v[lane]);
        cosines[lane] = radius * cosine;
        sines[lane] = radius * sine;
    }
}

/// ln(x/2^24) for 0 < x ≤ 2^24.
#[inline(always)]
fn ln_unit(x: f32) -> f32 {
    // x = 2^e·m with m in [√½, √2): ln m = 2 artanh((m − 1)/(m + 1)).
    let bits = x.to_bits();
    let exponent = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((exponent << 23) as u32));
    let z = (m - 1.0) / (m + 1.0);
    let z2 = z * z;
    let series = 2.0 * z * (1.0 + z2 * (0.333_333_33 + z2 * (0.200_000_1 + z2 * (0.142_6 + z2 * 0.117))));
    (exponent - 24) as f32 * std::f32::consts::LN_2 + series
}

/// cos and sin of 2π·v/2^32.
#[inline(always)]
fn circle(v: u32) -> (f32, f32) {
    // A quarter turn is 2^30: q of them, rounded, and a rest of at most an eighth turn either way.
    let q = v.wrapping_add(1 << 29) >> 30;
    let rest = v.wrapping_sub(q << 30) as i32;
    let x = rest as f32 * (std::f32::consts::FRAC_PI_2 / (1u32 << 30) as f32);
    let x2 = x * x;
    let sine = x * (1.0 + x2 * (-0.166_666_67 + x2 * (0.008_333_33 - x2 * 0.000_195_15)));
    let cosine = 1.0 + x2 * (-0.5 + x2 * (0.041_666_64 + x2 * (-0.001_388_8 + x2 * 0.000_024_4)));
    let (a, b) = if q & 1 == 0 { (cosine, sine) } else { (sine, cosine) };
    let negative = |flip: bool, value: f32| f32::from_bits(value.to_bits() ^ (u32::from(flip) << 31));
    (negative(q == 1 || q == 2, a), negative(q >= 2, b))
}
