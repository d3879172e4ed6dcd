//! The reference, sixteen lanes at a time.

use super::{Cell, Detection, ROOM, Receiver};

/// Blocks or samples computed side by side.
const LANES: usize = 16;

/// One word of sixteen blocks.
type Lane = [u32; LANES];

/// "expand 32-byte k"
pub(super) const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Philox2x32's multiplier and the step of its key.
pub(super) const PHILOX: [u32; 2] = [0xd256_d193, 0x9e37_79b9];
pub(super) const PHILOX_ROUNDS: u32 = 10;

#[inline(always)]
pub(super) fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]) {
    assert_eq!(gates.len(), out.len(), "a word a gate");
    for (out, gate) in out.iter_mut().zip(gates) {
        *out = both_words(key, *gate) as u32;
    }
}

/// Both words of a gate, the first one below.
#[inline(always)]
fn both_words(key: &[u32; 8], gate: u64) -> u64 {
    let (mut counter, mut round_key) = (gate ^ gate_mask(key), key[0]);
    for _ in 0..PHILOX_ROUNDS {
        let product = u64::from(PHILOX[0]) * (counter & 0xffff_ffff);
        counter = product.rotate_left(32) ^ (counter >> 32) ^ u64::from(round_key);
        round_key = round_key.wrapping_add(PHILOX[1]);
    }
    counter
}

/// What keys beyond Philox's own word change in the counter.
pub(super) fn gate_mask(key: &[u32; 8]) -> u64 {
    u64::from(key[2]) << 32 | u64::from(key[1])
}

/// The click of each kind of outcome (in the key basis the right detector, the wrong one, both; the same in the test
/// basis; none) where the bit is 0, and where it is 1.
pub(super) const CLICKS: [u8; 16] = [2, 4, 6, 3, 5, 7, 0, 0, 4, 2, 6, 5, 3, 7, 0, 0];

#[inline(always)]
pub(super) fn detect(rule: &Detection, cell: &Cell<'_>, gates: &mut [u32], clicks: &mut [u8]) -> usize {
    check_cell(cell, gates, clicks);
    let (mut found, mut gate, mut block) = (0, 0, cell.first_block);
    let mut drawn = [0; 16 * LANES];
    loop {
        gaps(cell.gap_key, block, cell.inverse, &mut drawn);
        block += LANES as u64;
        for gap in drawn {
            gate += gap.min(cell.gates);
            if gate >= cell.gates {
                return found;
            }
            let words = both_words(cell.gate_key, cell.first_gate + u64::from(gate));
            let click = click(rule, words as u32, (words >> 32) as u32);
            (gates[found], clicks[found]) = (gate, click);
            found += usize::from(click & 6 != 0);
            gate += 1;
        }
    }
}

pub(super) fn check_cell(cell: &Cell<'_>, gates: &[u32], clicks: &[u8]) {
    assert!(cell.gates <= 1 << 24, "at most 2^24 gates, not {}", cell.gates);
    assert!(cell.inverse < 0.0, "1/ln(1 - p) is negative, not {}", cell.inverse);
    let room = cell.gates as usize + ROOM;
    assert!(gates.len() >= room && clicks.len() >= room, "room for {room} clicks");
}

#[inline(always)]
pub(super) fn settings(thresholds: &[u32; 5], words: &[u32], out: &mut [u8]) {
    assert_eq!(words.len(), out.len(), "a byte a word");
    for (out, word) in out.iter_mut().zip(words) {
        *out = packed(thresholds, *word) as u8;
    }
}

/// The packed setting that a word means.
#[inline(always)]
fn packed(thresholds: &[u32; 5], word: u32) -> u32 {
    let (bit, choice) = (word & 1, word >> 1);
    let class = thresholds.iter().map(|threshold| u32::from(choice >= *threshold)).sum::<u32>();
    let test = u32::from(class >= 3);
    bit | test << 1 | (class - 3 * test) << 2
}

#[inline(always)]
fn click(rule: &Detection, setting: u32, accept: u32) -> u8 {
    let place = packed(&rule.thresholds, setting) as usize;
    let kind = rule.bounds.iter().map(|bounds| usize::from(accept >= bounds[place])).sum::<usize>();
    CLICKS[kind + 8 * (place & 1)]
}

#[inline(always)]
pub(super) fn words(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
    check_groups(out.len());
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
pub(super) fn words_across(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
    check_groups(out.len());
    for (group, out) in out.chunks_exact_mut(16 * LANES).enumerate() {
        let blocks = blocks(key, &run(first_block, group));
        for (out, word) in out.chunks_exact_mut(LANES).zip(&blocks) {
            out.copy_from_slice(word);
        }
    }
}

#[inline(always)]
pub(super) fn gaps(key: &[u32; 8], first_block: u64, inverse: f32, out: &mut [u32]) {
    words_across(key, first_block, out);
    assert!(inverse < 0.0, "1/ln(1 - p) is negative, not {inverse}");
    for gap in out {
        let gaps = ln_unit((*gap >> 8) as f32 + 0.5) * inverse;
        *gap = gaps.min(MOST_GAP) as u32;
    }
}

/// Greater gaps are cut.
pub(super) const MOST_GAP: f32 = 2_147_483_648.0;

pub(super) fn check_groups(words: usize) {
    assert!(words.is_multiple_of(16 * LANES), "whole groups of blocks, not {words} words");
}

#[inline(always)]
pub(super) fn gaussians(key: &[u32; 8], first_block: u64, out: &mut [f32]) {
    check_groups(out.len());
    for (group, out) in out.chunks_exact_mut(16 * LANES).enumerate() {
        let blocks = blocks(key, &run(first_block, group));
        for (pair, out) in out.chunks_exact_mut(2 * LANES).enumerate() {
            let (cosines, sines) = out.split_at_mut(LANES);
            box_muller(&blocks[2 * pair], &blocks[2 * pair + 1], cosines, sines);
        }
    }
}

#[inline(always)]
pub(super) fn receive(receiver: &Receiver, angles: &[f32], noise: &[f32], quadratures: &mut [f32]) {
    check_lengths(angles, noise, quadratures);
    let groups = quadratures.chunks_exact_mut(2 * LANES).zip(noise.chunks_exact(2 * LANES));
    for ((group, noise), angles) in groups.zip(angles.chunks_exact(LANES)) {
        let (mut x, mut p) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let (sent_x, sent_p) = (group[2 * lane], group[2 * lane + 1]);
            let (cosine, sine) = circle_of_angle(angles[lane]);
            let (turned_x, turned_p) = (sent_x * cosine - sent_p * sine, sent_x * sine + sent_p * cosine);
            x[lane] = turned_x * receiver.signal + noise[lane] * receiver.noise;
            let upright = turned_p * receiver.signal + noise[LANES + lane] * receiver.noise;
            p[lane] = upright * receiver.second_gain[0] + x[lane] * receiver.second_gain[1];
        }
        if let Some(converter) = receiver.converter {
            convert(&mut x, converter);
            convert(&mut p, converter);
        }
        for lane in 0..LANES {
            (group[2 * lane], group[2 * lane + 1]) = (x[lane], p[lane]);
        }
    }
}

pub(super) fn check_lengths(angles: &[f32], noise: &[f32], quadratures: &[f32]) {
    assert!(angles.len().is_multiple_of(LANES), "whole groups of symbols, not {}", angles.len());
    assert_eq!(quadratures.len(), 2 * angles.len(), "two quadratures a symbol");
    assert_eq!(noise.len(), 2 * angles.len(), "noise for each quadrature");
}

/// Adding and taking away 1.5·2^23 rounds to whole numbers, ties to even, without a call.
pub(super) const ROUND: f32 = 12_582_912.0;

/// Rounds to whole steps, at most some either way.
#[inline(always)]
fn convert(numbers: &mut [f32; LANES], [step, most]: [f32; 2]) {
    let inverse = 1.0 / step;
    for y in numbers {
        let steps = (*y * inverse).max(-most).min(most);
        *y = ((steps + ROUND) - ROUND) * step;
    }
}

/// The counters of a group of blocks.
#[inline(always)]
pub(super) fn run(first_block: u64, group: usize) -> [u64; LANES] {
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
    let series = 2.0 * z * polynomial(z * z, &ARTANH);
    (exponent - 24) as f32 * std::f32::consts::LN_2 + series
}

/// artanh(z)/z in z².
pub(super) const ARTANH: [f32; 5] = [1.0, 0.333_333_33, 0.200_000_1, 0.142_6, 0.117];
/// sin(x)/x in x², for an eighth turn either way.
pub(super) const SINE: [f32; 4] = [1.0, -0.166_666_67, 0.008_333_33, -0.000_195_15];
/// cos x in x², for an eighth turn either way.
pub(super) const COSINE: [f32; 5] = [1.0, -0.5, 0.041_666_64, -0.001_388_8, 0.000_024_4];
/// Radians of a step of 2^32 a turn.
pub(super) const QUARTER_STEP: f32 = std::f32::consts::FRAC_PI_2 / (1u32 << 30) as f32;

/// c₀ + x(c₁ + x(…)).
#[inline(always)]
fn polynomial<const N: usize>(x: f32, coefficients: &[f32; N]) -> f32 {
    let mut value = coefficients[N - 1];
    for coefficient in coefficients[..N - 1].iter().rev() {
        value = coefficient + x * value;
    }
    value
}

/// cos and sin of 2π·v/2^32.
#[inline(always)]
fn circle(v: u32) -> (f32, f32) {
    // A quarter turn is 2^30: q of them, rounded, and a rest of at most an eighth turn either way.
    let q = v.wrapping_add(1 << 29) >> 30;
    let rest = v.wrapping_sub(q << 30) as i32;
    quarters(q, rest as f32 * QUARTER_STEP)
}

/// cos and sin of an angle in radians, a few turns at most.
#[inline(always)]
fn circle_of_angle(angle: f32) -> (f32, f32) {
    // The lowest bits of the number that is rounded at its point are those of the whole number.
    let turned = angle * std::f32::consts::FRAC_2_PI + ROUND;
    quarters(turned.to_bits(), angle - (turned - ROUND) * std::f32::consts::FRAC_PI_2)
}

/// cos and sin of q quarter turns and a rest of at most an eighth turn either way.
#[inline(always)]
fn quarters(q: u32, x: f32) -> (f32, f32) {
    let x2 = x * x;
    let (sine, cosine) = (x * polynomial(x2, &SINE), polynomial(x2, &COSINE));
    let (a, b) = if q & 1 == 0 { (cosine, sine) } else { (sine, cosine) };
    let negative = |q: u32, value: f32| f32::from_bits(value.to_bits() ^ ((q & 2) << 30));
    (negative(q.wrapping_add(1), a), negative(q, b))
}
