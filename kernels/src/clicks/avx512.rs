//! Sixteen clicks at a time.

use std::arch::x86_64::*;

use super::{Dead, Kept, Seen, room_for_gaps, scalar};

/// Clicks of a group.
const GROUP: usize = 16;
/// Gaps from here on take three bytes.
const TWO_BYTES: u32 = 1 << 14;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,popcnt")]
pub(super) fn double_clicks(offsets: &[u32], clicks: &[u8], gates: u32) -> Option<usize> {
    let (groups, rest) = clicks.as_chunks::<64>();
    let (mut both, mut none) = (0, 0u64);
    for group in groups {
        let clicks = load_64(group);
        let first = _mm512_test_epi8_mask(clicks, _mm512_set1_epi8(2));
        let second = _mm512_test_epi8_mask(clicks, _mm512_set1_epi8(4));
        both += (first & second).count_ones() as usize;
        none |= !(first | second);
    }
    // The gates before and behind each step between two.
    let behind = offsets.get(1..).unwrap_or_default();
    let (before, _) = offsets[..behind.len()].as_chunks::<GROUP>();
    let (steps, last_steps) = behind.as_chunks::<GROUP>();
    let mut falls = 0;
    for (before, behind) in before.iter().zip(steps) {
        falls |= _mm512_cmpge_epu32_mask(load_gates(before), load_gates(behind));
    }
    let rest_from = offsets.len().saturating_sub(last_steps.len() + 1);
    let in_order = falls == 0 && scalar::are_in_order(&offsets[rest_from..], gates);
    let last = scalar::both_of(rest).filter(|_| none == 0 && in_order && offsets.len() == clicks.len())?;
    Some(both + last)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2,popcnt")]
pub(super) fn measure(seen: Seen<'_>, dead: Dead, kept: &mut Kept<'_>) -> usize {
    scalar::check(seen, kept);
    let mut planes = [Plane::new(&mut *kept.test_basis), Plane::new(&mut *kept.bits)];
    // As if a click before had ended its dead time where both are alive.
    let (mut last, mut count, mut coins) = (_mm512_setzero_si512(), 0, Coins { coins: seen.coins, used: 0 });
    for (place, offsets) in seen.offsets.chunks(GROUP).enumerate() {
        let start = place * GROUP;
        let here = (1u32 << offsets.len()) - 1;
        let gates = load_some(here, offsets);
        let gaps = _mm512_sub_epi32(gates, _mm512_alignr_epi32::<15>(gates, last));
        let mut live =
            u32::from(_mm512_cmpgt_epu32_mask(gaps, _mm512_set1_epi32(dead.gates.cast_signed()))) & here;
        if place == 0 {
            live = live & !1 | u32::from(offsets[0] >= dead.live_from);
        }
        let clicks = load_bytes(&seen.clicks[start..start + offsets.len()]);
        let test = u32::from(_mm_test_epi8_mask(clicks, _mm_set1_epi8(1)));
        let first = u32::from(_mm_test_epi8_mask(clicks, _mm_set1_epi8(2)));
        let second = u32::from(_mm_test_epi8_mask(clicks, _mm_set1_epi8(4)));
        let bits = second & !first | coins.lay(second & first);
        store_compressed(&mut kept.offsets[count..], live, gates);
        let found = live.count_ones();
        planes[0].push(_pext_u32(test, live), found);
        planes[1].push(_pext_u32(bits, live), found);
        (last, count) = (gates, count + found as usize);
    }
    planes.into_iter().for_each(Plane::finish);
    count
}

/// Random bits, and how many of them were used.
struct Coins<'a> {
    coins: &'a [u8],
    used: usize,
}

impl Coins<'_> {
    /// The next bits, in order, where a mask of sixteen is set.
    #[inline]
    #[target_feature(enable = "bmi2,popcnt")]
    fn lay(&mut self, mask: u32) -> u32 {
        let last = self.used + mask.count_ones() as usize;
        assert!(last <= 8 * self.coins.len(), "a coin for each click of both detectors");
        let behind = &self.coins[self.used / 8..];
        let four = behind.first_chunk::<4>().copied().unwrap_or_else(|| {
            let mut four = [0; 4];
            four[..behind.len()].copy_from_slice(behind);
            four
        });
        let coins = u32::from_le_bytes(four) >> (self.used % 8);
        self.used = last;
        _pdep_u32(coins, mask)
    }
}

/// Bits on their way into words.
struct Plane<'a> {
    out: &'a mut [u64],
    place: usize,
    word: u64,
    filled: u32,
}

impl<'a> Plane<'a> {
    fn new(out: &'a mut [u64]) -> Self {
        Self { out, place: 0, word: 0, filled: 0 }
    }

    /// Adds at most 16 bits.
    #[inline]
    fn push(&mut self, bits: u32, count: u32) {
        let bits = u64::from(bits);
        self.word |= bits << self.filled;
        self.filled += count;
        if self.filled >= 64 {
            self.out[self.place] = self.word;
            self.place += 1;
            self.filled -= 64;
            self.word = bits >> (count - self.filled);
        }
    }

    fn finish(self) {
        let (last, rest) = match self.out[self.place..].split_first_mut() {
            Some(split) => split,
            None => return,
        };
        *last = self.word;
        rest.fill(0);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi2,popcnt")]
pub(super) fn write_gaps(offsets: &[u32], out: &mut [u8]) -> usize {
    assert!(out.len() >= room_for_gaps(offsets.len()), "room for {} gaps", offsets.len());
    let (mut len, mut last) = (0, _mm512_set1_epi32(-1));
    let (groups, rest) = offsets.as_chunks::<GROUP>();
    for group in groups {
        let gates = load_gates(group);
        let gaps = _mm512_sub_epi32(gates, _mm512_alignr_epi32::<15>(gates, last));
        last = gates;
        if _mm512_cmpge_epu32_mask(gaps, _mm512_set1_epi32(TWO_BYTES.cast_signed())) != 0 {
            let mut words = [0; GROUP];
            store_gates(&mut words, gaps);
            words.iter().for_each(|gap| len += scalar::write_gap(*gap, &mut out[len..]));
            continue;
        }
        let long = _mm512_cmpge_epu32_mask(gaps, _mm512_set1_epi32(0x80));
        let high = _mm512_slli_epi32::<1>(_mm512_and_si512(gaps, _mm512_set1_epi32(0x3f80)));
        let low = _mm512_and_si512(gaps, _mm512_set1_epi32(0x7f));
        let both = _mm512_or_si512(low, high);
        let both = _mm512_mask_or_epi32(both, long, both, _mm512_set1_epi32(0x80));
        // Of each gap the first byte, and the second where there is one.
        let told = 0x5555_5555 | _pdep_u32(u32::from(long), 0xaaaa_aaaa);
        let packed = _mm256_maskz_compress_epi8(told, _mm512_cvtepi32_epi16(both));
        if let Some(out) = out[len..].first_chunk_mut::<32>() {
            store_32(out, packed);
        }
        len += told.count_ones() as usize;
    }
    let mut before = offsets.len().checked_sub(rest.len() + 1).map_or(u32::MAX, |before| offsets[before]);
    for offset in rest {
        len += scalar::write_gap(offset.wrapping_sub(before), &mut out[len..]);
        before = *offset;
    }
    len
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2")]
pub(super) fn read_gaps(bytes: &[u8], gates: u32, offsets: &mut [u32]) -> Option<usize> {
    let (mut read, mut next) = (0, 0);
    let (groups, rest) = offsets.as_chunks_mut::<GROUP>();
    for group in groups {
        match bytes[read..].first_chunk::<33>().and_then(|window| read_group(window, next, gates, group)) {
            Some((len, behind)) => (read, next) = (read + len, behind),
            None => (read, next) = read_slowly(bytes, (read, next), gates, group)?,
        }
    }
    read_slowly(bytes, (read, next), gates, rest).map(|(read, _)| read)
}

fn read_slowly(
    bytes: &[u8],
    (mut read, mut next): (usize, u32),
    gates: u32,
    out: &mut [u32],
) -> Option<(usize, u32)> {
    for offset in out {
        let (gap, len) = scalar::read_gap(&bytes[read..])?;
        (next, read) = (scalar::step(next, gap, gates)?, read + len);
        *offset = next - 1;
    }
    Some((read, next))
}

/// Sixteen gaps of one or two bytes: their length and the gate behind the last click. `None` if they are longer,
/// or anything else is the matter.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2")]
fn read_group(window: &[u8; 33], next: u32, gates: u32, out: &mut [u32; GROUP]) -> Option<(usize, u32)> {
    let (here, behind) = (load_32(&window[..32]), load_32(&window[1..]));
    let more = _mm256_movepi8_mask(here);
    let ends = !more;
    let starts = !(more << 1);
    let len = _pdep_u32(1 << (GROUP - 1), ends).trailing_zeros() as usize + 1;
    let used = u32::MAX >> (32 - len.min(32));
    if more & more << 1 & used != 0 || next > u32::MAX - GROUP as u32 * TWO_BYTES {
        return None;
    }
    let widened = |bytes| _mm512_cvtepu8_epi32(_mm256_castsi256_si128(bytes));
    let low = widened(_mm256_maskz_compress_epi8(starts, here));
    let high = widened(_mm256_maskz_compress_epi8(starts, behind));
    let long = _mm512_test_epi32_mask(low, _mm512_set1_epi32(0x80));
    let low = _mm512_and_si512(low, _mm512_set1_epi32(0x7f));
    let gaps = _mm512_mask_or_epi32(low, long, low, _mm512_slli_epi32::<7>(high));
    // No gap is zero, and none that took two bytes needed but one.
    let least = _mm512_mask_mov_epi32(_mm512_set1_epi32(1), long, _mm512_set1_epi32(0x80));
    if _mm512_cmplt_epu32_mask(gaps, least) != 0 {
        return None;
    }
    let told = _mm512_add_epi32(sums(gaps), _mm512_set1_epi32(next.wrapping_sub(1).cast_signed()));
    store_gates(out, told);
    let behind = out[GROUP - 1].wrapping_add(1);
    (behind <= gates).then_some((len, behind))
}

/// The sum of each lane and all before it.
#[inline]
#[target_feature(enable = "avx512f")]
fn sums(x: __m512i) -> __m512i {
    let zero = _mm512_setzero_si512();
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<15>(x, zero));
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<14>(x, zero));
    let x = _mm512_add_epi32(x, _mm512_alignr_epi32::<12>(x, zero));
    _mm512_add_epi32(x, _mm512_alignr_epi32::<8>(x, zero))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
pub(super) fn settings(packed: &[u8], offsets: &[u32], mut planes: [&mut [u64]; 4]) {
    scalar::check_planes(offsets, &planes);
    let (words, rest) = offsets.as_chunks::<64>();
    for (word, gates) in words.iter().enumerate() {
        let settings = load_64(&settings_of(packed, gates));
        for (k, plane) in planes.iter_mut().enumerate() {
            plane[word] = _mm512_test_epi8_mask(settings, _mm512_set1_epi8(1 << k));
        }
    }
    if !rest.is_empty() {
        scalar::settings_words(packed, rest, &mut planes, words.len());
    }
}

/// The settings of 64 gates in the low bits of a byte each. A `vpgatherdd` for each sixteen takes 2.5 to 3.5 times as
/// long (Zen 4).
#[inline]
#[target_feature(enable = "avx512f,avx512vl,bmi2")]
fn settings_of(packed: &[u8], gates: &[u32; 64]) -> [u8; 64] {
    let largest = gates.iter().fold(0, |largest, gate| largest.max(*gate));
    assert!(largest as usize / 2 < packed.len(), "settings of gate {largest}");
    let mut settings = [0; 64];
    for (setting, gate) in settings.iter_mut().zip(gates) {
        // SAFETY: no gate is larger than the one that was just seen to lie inside.
        let byte = unsafe { packed.get_unchecked(*gate as usize / 2) };
        *setting = byte >> (4 * (gate & 1));
    }
    settings
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) fn plane(bytes: &[u8], shift: u32, out: &mut [u64]) {
    assert_eq!(out.len(), bytes.len().div_ceil(64), "a word for 64 bytes");
    assert!(shift < 8, "a bit of a byte");
    let bit = _mm512_set1_epi8((1u8 << shift).cast_signed());
    let (whole, rest) = bytes.as_chunks::<64>();
    for (out, bytes) in out.iter_mut().zip(whole) {
        *out = _mm512_test_epi8_mask(load_64(bytes), bit);
    }
    if let (Some(out), false) = (out.get_mut(whole.len()), rest.is_empty()) {
        *out = scalar::plane_word(rest, shift);
    }
}

/// At most sixteen gates; zeros where `here` is not set.
#[inline]
#[target_feature(enable = "avx512f")]
fn load_some(here: u32, gates: &[u32]) -> __m512i {
    assert!(here as u64 >> gates.len() == 0, "a lane a gate");
    // SAFETY: only lanes below the slice's length are read.
    unsafe { _mm512_maskz_loadu_epi32(here as __mmask16, gates.as_ptr().cast()) }
}

/// At most sixteen bytes, zeros behind them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_bytes(bytes: &[u8]) -> __m128i {
    assert!(bytes.len() <= GROUP, "sixteen bytes");
    // SAFETY: only lanes below the slice's length are read.
    unsafe { _mm_maskz_loadu_epi8(((1u32 << bytes.len()) - 1) as __mmask16, bytes.as_ptr().cast()) }
}

/// Stores the lanes of a mask together.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
fn store_compressed(out: &mut [u32], mask: u32, gates: __m512i) {
    let packed = _mm512_maskz_compress_epi32(mask as __mmask16, gates);
    if let Some(out) = out.first_chunk_mut::<GROUP>() {
        store_gates(out, packed);
        return;
    }
    let count = mask.count_ones();
    assert!(out.len() >= count as usize, "room for each gate");
    // SAFETY: only as many lanes are written as the slice was just seen to hold.
    unsafe { _mm512_mask_storeu_epi32(out.as_mut_ptr().cast(), ((1u32 << count) - 1) as __mmask16, packed) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_gates(gates: &[u32; GROUP]) -> __m512i {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_si512(gates.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_gates(out: &mut [u32; GROUP], gates: __m512i) {
    // SAFETY: the array has the 64 bytes that an unaligned store writes.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), gates) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_64(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_32(bytes: &[u8]) -> __m256i {
    assert!(bytes.len() >= 32, "32 bytes");
    // SAFETY: the slice was just seen to have the 32 bytes that an unaligned load reads.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_32(out: &mut [u8; 32], bytes: __m256i) {
    // SAFETY: the array has the 32 bytes that an unaligned store writes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) }
}
