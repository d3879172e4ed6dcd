//! Sixteen blocks or samples in a register, in the scalar body's order of operations.

use std::arch::x86_64::*;

use super::{Cell, Detection, Receiver, scalar};

/// Lanes of a register.
const LANES: usize = 16;

/// Gates whose words are computed side by side: four registers, so that products wait for none.
const GATES: usize = 32;

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]) {
    assert_eq!(gates.len(), out.len(), "a word a gate");
    let whole = gates.as_chunks::<GATES>().0.iter().zip(out.as_chunks_mut::<GATES>().0);
    for (gates, out) in whole {
        words_of(key, gates, out);
    }
    let rest = gates.len() - gates.len() % GATES;
    let (mut last, mut words) = ([0; GATES], [0; GATES]);
    last[..gates.len() - rest].copy_from_slice(&gates[rest..]);
    if rest < gates.len() {
        words_of(key, &last, &mut words);
        out[rest..].copy_from_slice(&words[..gates.len() - rest]);
    }
}

/// The words of some gates: Philox2x32 with a counter in each half of a quarter register.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2")]
fn words_of(key: &[u32; 8], gates: &[u64; GATES], out: &mut [u32; GATES]) {
    let mut counters = [_mm512_setzero_si512(); GATES / 8];
    for (counters, gates) in counters.iter_mut().zip(gates.as_chunks::<8>().0) {
        *counters = load_gates(gates);
    }
    let counters = both_words(key, counters);
    for (counters, out) in counters.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<LANES>().0) {
        store_words(out, _mm512_permutex2var_epi32(counters[0], even_words(), counters[1]));
    }
}

/// Both words of some gates.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx2")]
fn both_words<const N: usize>(key: &[u32; 8], mut gates: [__m512i; N]) -> [__m512i; N] {
    let mask = _mm512_set1_epi64(scalar::gate_mask(key).cast_signed());
    let multiplier = _mm512_set1_epi64(i64::from(scalar::PHILOX[0]));
    for gates in &mut gates {
        *gates = _mm512_xor_si512(*gates, mask);
    }
    let mut round_key = key[0];
    for _ in 0..scalar::PHILOX_ROUNDS {
        let this = _mm512_set1_epi64(i64::from(round_key));
        for counters in &mut gates {
            let products = _mm512_rol_epi64::<32>(_mm512_mul_epu32(*counters, multiplier));
            *counters = _mm512_ternarylogic_epi64::<0x96>(products, _mm512_srli_epi64::<32>(*counters), this);
        }
        round_key = round_key.wrapping_add(scalar::PHILOX[1]);
    }
    gates
}

#[inline]
#[target_feature(enable = "avx512f")]
fn even_words() -> __m512i {
    _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi2,avx2,popcnt")]
pub(super) fn detect(rule: &Detection, cell: &Cell<'_>, gates: &mut [u32], clicks: &mut [u8]) -> usize {
    scalar::check_cell(cell, gates, clicks);
    let (one, last) = (_mm512_set1_epi32(1), _mm512_set1_epi32(LANES as i32 - 1));
    let (inverse, most) = (_mm512_set1_ps(cell.inverse), _mm512_set1_ps(scalar::MOST_GAP));
    let end = _mm512_set1_epi32(cell.gates.cast_signed());
    let first = _mm512_set1_epi64(cell.first_gate.cast_signed());
    let (mut found, mut block) = (0, cell.first_block);
    // The gate behind the candidate before, in every lane.
    let mut from = _mm512_setzero_si512();
    loop {
        let drawn = blocks(cell.gap_key, &scalar::run(block, 0));
        block += LANES as u64;
        for words in drawn {
            let steps = _mm512_min_epu32(gaps_of(words, inverse, most), end);
            let behind = _mm512_add_epi32(running_sums(_mm512_add_epi32(steps, one)), from);
            let offsets = _mm512_sub_epi32(behind, one);
            // Lanes rise, so that those inside stand first.
            let inside = _mm512_cmplt_epu32_mask(offsets, end);
            let halves = [_mm512_castsi512_si256(offsets), _mm512_extracti64x4_epi64::<1>(offsets)];
            let counters = halves.map(|half| _mm512_add_epi64(_mm512_cvtepu32_epi64(half), first));
            let [low, high] = both_words(cell.gate_key, counters);
            let settings = _mm512_permutex2var_epi32(low, even_words(), high);
            let accept = _mm512_permutex2var_epi32(low, _mm512_or_si512(even_words(), one), high);
            let seen = click(rule, settings, accept);
            let here = _mm512_mask_test_epi32_mask(inside, seen, _mm512_set1_epi32(6));
            // No more has been found than gates were looked at, and there is room behind those.
            if let Some(out) = gates[found..].first_chunk_mut::<LANES>() {
                store_words(out, _mm512_maskz_compress_epi32(here, offsets));
            }
            if let Some(out) = clicks[found..].first_chunk_mut::<LANES>() {
                store_clicks(out, _mm_maskz_compress_epi8(here, _mm512_cvtepi32_epi8(seen)));
            }
            found += here.count_ones() as usize;
            if inside != u16::MAX {
                return found;
            }
            from = _mm512_permutexvar_epi32(last, behind);
        }
    }
}

/// Sums of each lane and those before it.
#[inline]
#[target_feature(enable = "avx512f")]
fn running_sums(lanes: __m512i) -> __m512i {
    let zero = _mm512_setzero_si512();
    let sums = _mm512_add_epi32(lanes, _mm512_alignr_epi32::<15>(lanes, zero));
    let sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<14>(sums, zero));
    let sums = _mm512_add_epi32(sums, _mm512_alignr_epi32::<12>(sums, zero));
    _mm512_add_epi32(sums, _mm512_alignr_epi32::<8>(sums, zero))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn settings(thresholds: &[u32; 5], words: &[u32], out: &mut [u8]) {
    assert_eq!(words.len(), out.len(), "a byte a word");
    let (groups, rest) = words.as_chunks::<LANES>();
    let (packed_groups, packed_rest) = out.as_chunks_mut::<LANES>();
    for (words, out) in groups.iter().zip(packed_groups) {
        store_clicks(out, _mm512_cvtepi32_epi8(packed(thresholds, load_words(words))));
    }
    scalar::settings(thresholds, rest, packed_rest);
}

/// The packed settings that sixteen words mean.
#[inline]
#[target_feature(enable = "avx512f")]
fn packed(thresholds: &[u32; 5], words: __m512i) -> __m512i {
    let one = _mm512_set1_epi32(1);
    let (bit, choice) = (_mm512_and_si512(words, one), _mm512_srli_epi32::<1>(words));
    let mut class = _mm512_setzero_si512();
    for threshold in thresholds {
        let above = _mm512_cmpge_epu32_mask(choice, _mm512_set1_epi32(threshold.cast_signed()));
        class = _mm512_mask_add_epi32(class, above, class, one);
    }
    let test = _mm512_cmpge_epu32_mask(class, _mm512_set1_epi32(3));
    let intensity = _mm512_mask_sub_epi32(class, test, class, _mm512_set1_epi32(3));
    let packed = _mm512_or_si512(bit, _mm512_slli_epi32::<2>(intensity));
    _mm512_mask_or_epi32(packed, test, packed, _mm512_set1_epi32(2))
}

/// What sixteen candidates become, in the scalar body's steps.
#[inline]
#[target_feature(enable = "avx512f")]
fn click(rule: &Detection, settings: __m512i, accept: __m512i) -> __m512i {
    let one = _mm512_set1_epi32(1);
    let place = packed(&rule.thresholds, settings);
    let mut kind = _mm512_slli_epi32::<3>(_mm512_and_si512(place, one));
    for bounds in &rule.bounds {
        let above = _mm512_cmpge_epu32_mask(accept, _mm512_permutexvar_epi32(place, load_words(bounds)));
        kind = _mm512_mask_add_epi32(kind, above, kind, one);
    }
    let clicks = load_words(&scalar::CLICKS.map(u32::from));
    _mm512_permutexvar_epi32(kind, clicks)
}

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn words(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
    scalar::check_groups(out.len());
    let mut across = [0; 16 * LANES];
    for (group, out) in out.as_chunks_mut::<{ 16 * LANES }>().0.iter_mut().enumerate() {
        words_across(key, first_block + (group * LANES) as u64, &mut across);
        for (lane, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
            *out = std::array::from_fn(|word| across[word * LANES + lane]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn words_across(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
    scalar::check_groups(out.len());
    for (group, out) in out.as_chunks_mut::<{ 16 * LANES }>().0.iter_mut().enumerate() {
        let blocks = blocks(key, &scalar::run(first_block, group));
        for (out, words) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(blocks) {
            store_words(out, words);
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn gaps(key: &[u32; 8], first_block: u64, inverse: f32, out: &mut [u32]) {
    scalar::check_groups(out.len());
    assert!(inverse < 0.0, "1/ln(1 - p) is negative, not {inverse}");
    let (inverse, most) = (_mm512_set1_ps(inverse), _mm512_set1_ps(scalar::MOST_GAP));
    for (group, out) in out.as_chunks_mut::<{ 16 * LANES }>().0.iter_mut().enumerate() {
        let blocks = blocks(key, &scalar::run(first_block, group));
        for (out, words) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(blocks) {
            store_words(out, gaps_of(words, inverse, most));
        }
    }
}

/// The gaps of sixteen words.
#[inline]
#[target_feature(enable = "avx512f")]
fn gaps_of(words: __m512i, inverse: __m512, most: __m512) -> __m512i {
    let x = _mm512_add_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(words)), _mm512_set1_ps(0.5));
    _mm512_cvttps_epu32(_mm512_min_ps(_mm512_mul_ps(ln_unit(x), inverse), most))
}

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn gaussians(key: &[u32; 8], first_block: u64, out: &mut [f32]) {
    scalar::check_groups(out.len());
    for (group, out) in out.as_chunks_mut::<{ 16 * LANES }>().0.iter_mut().enumerate() {
        let blocks = blocks(key, &scalar::run(first_block, group));
        for (pair, out) in out.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            let [cosines, sines] = box_muller(blocks[2 * pair], blocks[2 * pair + 1]);
            store(&mut out[0], cosines);
            store(&mut out[1], sines);
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx2")]
pub(super) fn receive(receiver: &Receiver, angles: &[f32], noise: &[f32], quadratures: &mut [f32]) {
    scalar::check_lengths(angles, noise, quadratures);
    let (signal, deviation) = (_mm512_set1_ps(receiver.signal), _mm512_set1_ps(receiver.noise));
    let [own, cross] = receiver.second_gain.map(|gain| _mm512_set1_ps(gain));
    let groups = quadratures.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
    let noise = noise.as_chunks::<LANES>().0.as_chunks::<2>().0;
    for ((group, noise), angles) in groups.iter_mut().zip(noise).zip(angles.as_chunks::<LANES>().0) {
        let [x, p] = apart(load(&group[0]), load(&group[1]));
        let [cosine, sine] = circle_of_angle(load(angles));
        let turned_x = _mm512_sub_ps(_mm512_mul_ps(x, cosine), _mm512_mul_ps(p, sine));
        let turned_p = _mm512_add_ps(_mm512_mul_ps(x, sine), _mm512_mul_ps(p, cosine));
        let x = scaled_sum(turned_x, signal, load(&noise[0]), deviation);
        let p = scaled_sum(turned_p, signal, load(&noise[1]), deviation);
        let p = scaled_sum(p, own, x, cross);
        let [x, p] = match receiver.converter {
            Some(converter) => [x, p].map(|y| convert(y, converter)),
            None => [x, p],
        };
        let [low, high] = woven(x, p);
        store(&mut group[0], low);
        store(&mut group[1], high);
    }
}

/// a·b + c·d, rounded three times.
#[inline]
#[target_feature(enable = "avx512f")]
fn scaled_sum(a: __m512, b: __m512, c: __m512, d: __m512) -> __m512 {
    _mm512_add_ps(_mm512_mul_ps(a, b), _mm512_mul_ps(c, d))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn convert(y: __m512, [step, most]: [f32; 2]) -> __m512 {
    let round = _mm512_set1_ps(scalar::ROUND);
    let steps = _mm512_mul_ps(y, _mm512_set1_ps(1.0 / step));
    let steps = _mm512_min_ps(_mm512_max_ps(steps, _mm512_set1_ps(-most)), _mm512_set1_ps(most));
    _mm512_mul_ps(_mm512_sub_ps(_mm512_add_ps(steps, round), round), _mm512_set1_ps(step))
}

/// x and p of sixteen symbols.
#[inline]
#[target_feature(enable = "avx512f")]
fn apart(low: __m512, high: __m512) -> [__m512; 2] {
    let even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    [_mm512_permutex2var_ps(low, even, high), _mm512_permutex2var_ps(low, odd, high)]
}

/// The symbols of x and p.
#[inline]
#[target_feature(enable = "avx512f")]
fn woven(x: __m512, p: __m512) -> [__m512; 2] {
    let low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    [_mm512_permutex2var_ps(x, low, p), _mm512_permutex2var_ps(x, high, p)]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn blocks(key: &[u32; 8], counters: &[u64; LANES]) -> [__m512i; 16] {
    let (mut low, mut high) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        (low[lane], high[lane]) = (counters[lane] as u32, (counters[lane] >> 32) as u32);
    }
    let mut start = [_mm512_setzero_si512(); 16];
    for word in 0..4 {
        start[word] = _mm512_set1_epi32(scalar::CONSTANTS[word].cast_signed());
    }
    for word in 0..8 {
        start[4 + word] = _mm512_set1_epi32(key[word].cast_signed());
    }
    (start[12], start[13]) = (load_words(&low), load_words(&high));
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
    for (word, start) in state.iter_mut().zip(start) {
        *word = _mm512_add_epi32(*word, start);
    }
    state
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarter(s: &mut [__m512i; 16], [a, b, c, d]: [usize; 4]) {
    s[a] = _mm512_add_epi32(s[a], s[b]);
    s[d] = _mm512_rol_epi32::<16>(_mm512_xor_si512(s[d], s[a]));
    s[c] = _mm512_add_epi32(s[c], s[d]);
    s[b] = _mm512_rol_epi32::<12>(_mm512_xor_si512(s[b], s[c]));
    s[a] = _mm512_add_epi32(s[a], s[b]);
    s[d] = _mm512_rol_epi32::<8>(_mm512_xor_si512(s[d], s[a]));
    s[c] = _mm512_add_epi32(s[c], s[d]);
    s[b] = _mm512_rol_epi32::<7>(_mm512_xor_si512(s[b], s[c]));
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn box_muller(u: __m512i, v: __m512i) -> [__m512; 2] {
    let x = _mm512_add_ps(_mm512_cvtepi32_ps(_mm512_srli_epi32::<8>(u)), _mm512_set1_ps(0.5));
    let radius = _mm512_sqrt_ps(_mm512_mul_ps(_mm512_set1_ps(-2.0), ln_unit(x)));
    circle(v).map(|side| _mm512_mul_ps(radius, side))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn ln_unit(x: __m512) -> __m512 {
    let one = _mm512_set1_ps(1.0);
    let bits = _mm512_castps_si512(x);
    let exponent = _mm512_srai_epi32::<23>(_mm512_sub_epi32(bits, _mm512_set1_epi32(0x3f35_04f3)));
    let m = _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32::<23>(exponent)));
    let z = _mm512_div_ps(_mm512_sub_ps(m, one), _mm512_add_ps(m, one));
    let series = polynomial(_mm512_mul_ps(z, z), &scalar::ARTANH);
    let series = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(2.0), z), series);
    let exponent = _mm512_cvtepi32_ps(_mm512_sub_epi32(exponent, _mm512_set1_epi32(24)));
    _mm512_add_ps(_mm512_mul_ps(exponent, _mm512_set1_ps(std::f32::consts::LN_2)), series)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn circle(v: __m512i) -> [__m512; 2] {
    let q = _mm512_srli_epi32::<30>(_mm512_add_epi32(v, _mm512_set1_epi32(1 << 29)));
    let rest = _mm512_cvtepi32_ps(_mm512_sub_epi32(v, _mm512_slli_epi32::<30>(q)));
    eighth(q, _mm512_mul_ps(rest, _mm512_set1_ps(scalar::QUARTER_STEP)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn circle_of_angle(angle: __m512) -> [__m512; 2] {
    let round = _mm512_set1_ps(scalar::ROUND);
    let turned = _mm512_add_ps(_mm512_mul_ps(angle, _mm512_set1_ps(std::f32::consts::FRAC_2_PI)), round);
    let quarters = _mm512_mul_ps(_mm512_sub_ps(turned, round), _mm512_set1_ps(std::f32::consts::FRAC_PI_2));
    eighth(_mm512_castps_si512(turned), _mm512_sub_ps(angle, quarters))
}

/// cos and sin of q quarter turns and a rest.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn eighth(q: __m512i, x: __m512) -> [__m512; 2] {
    let x2 = _mm512_mul_ps(x, x);
    let sine = _mm512_mul_ps(x, polynomial(x2, &scalar::SINE));
    let cosine = polynomial(x2, &scalar::COSINE);
    let odd = _mm512_test_epi32_mask(q, _mm512_set1_epi32(1));
    let two = _mm512_set1_epi32(2);
    let sign = |q: __m512i| _mm512_castsi512_ps(_mm512_slli_epi32::<30>(_mm512_and_si512(q, two)));
    let next = _mm512_add_epi32(q, _mm512_set1_epi32(1));
    [
        _mm512_xor_ps(_mm512_mask_blend_ps(odd, cosine, sine), sign(next)),
        _mm512_xor_ps(_mm512_mask_blend_ps(odd, sine, cosine), sign(q)),
    ]
}

/// c₀ + x(c₁ + x(…)).
#[inline]
#[target_feature(enable = "avx512f")]
fn polynomial<const N: usize>(x: __m512, coefficients: &[f32; N]) -> __m512 {
    let mut value = _mm512_set1_ps(coefficients[N - 1]);
    for coefficient in coefficients[..N - 1].iter().rev() {
        value = _mm512_add_ps(_mm512_set1_ps(*coefficient), _mm512_mul_ps(x, value));
    }
    value
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(words: &[u32; LANES]) -> __m512i {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_gates(gates: &[u64; 8]) -> __m512i {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_si512(gates.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_clicks(out: &mut [u8; LANES], clicks: __m128i) {
    // SAFETY: the array has the 16 bytes that an unaligned store writes.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), clicks) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_words(out: &mut [u32; LANES], words: __m512i) {
    // SAFETY: the array has the 64 bytes that an unaligned store writes.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), words) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(numbers: &[f32; LANES]) -> __m512 {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(out: &mut [f32; LANES], numbers: __m512) {
    // SAFETY: the array has the 64 bytes that an unaligned store writes.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), numbers) }
}
