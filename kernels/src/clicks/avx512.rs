//! Sixteen clicks at a time.

use std::arch::x86_64::*;

use super::{Dead, Kept, Seen, room_for_gaps, scalar};

/// Clicks of a group.
const GROUP: usize = 16;
/// Gaps from here on take three bytes.
const TWO_BYTES: u32 = 1 << 14;

/// Clicks of a block: a word of each plane.
const BLOCK: usize = 64;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2,popcnt")]
pub(super) fn measure(seen: Seen<'_>, dead: Dead, kept: &mut Kept<'_>) -> Option<usize> {
    scalar::check(seen, kept)?;
    let (gates, last_gates) = seen.offsets.as_chunks::<BLOCK>();
    let (clicks, last_clicks) = seen.clicks.as_chunks::<BLOCK>();
    let mut planes = [&mut *kept.test_basis, &mut *kept.bits, &mut *kept.doubles].map(Plane::new);
    let (mut last, mut count, mut in_order) = (_mm512_setzero_si512(), 0, true);
    for (block, (gates, clicks)) in gates.iter().zip(clicks).enumerate() {
        let (groups, _) = gates.as_chunks::<GROUP>();
        let (mut live, mut rising) = (0, 0);
        for (place, group) in groups.iter().enumerate() {
            let gates = load_gates(group);
            let before = _mm512_alignr_epi32::<15>(gates, last);
            let gaps = _mm512_sub_epi32(gates, before);
            let mut rises = _mm512_cmplt_epu32_mask(before, gates);
            let mut alive = _mm512_cmpgt_epu32_mask(gaps, _mm512_set1_epi32(dead.gates.cast_signed()));
            if block == 0 && place == 0 {
                // No click is before the first.
                rises |= 1;
                alive = alive & !1 | u16::from(group[0] >= dead.live_from);
            }
            store_compressed(&mut kept.offsets[count..], u32::from(alive), gates);
            count += alive.count_ones() as usize;
            live |= u64::from(alive) << (GROUP * place);
            rising |= u64::from(rises) << (GROUP * place);
            last = gates;
        }
        let clicks = load_64(clicks);
        let [test, first, second] = [1, 2, 4].map(|bit| _mm512_test_epi8_mask(clicks, _mm512_set1_epi8(bit)));
        in_order &= rising & (first | second) == u64::MAX;
        for (plane, bits) in planes.iter_mut().zip([test, second & !first, second & first]) {
            plane.push(_pext_u64(bits, live), live.count_ones());
        }
    }
    let before = gates.last().map(|gates| gates[BLOCK - 1]);
    let mut live_from = before.map_or(dead.live_from, |before| scalar::live_after(before, dead));
    let mut next = before.map_or(0, |before| before.saturating_add(1));
    for (offset, clicks) in last_gates.iter().zip(last_clicks) {
        let [test, first, second] = [0, 1, 2].map(|bit| u64::from(clicks >> bit & 1));
        in_order &= *offset >= next && first | second == 1;
        if *offset >= live_from {
            kept.offsets[count] = *offset;
            count += 1;
            for (plane, bit) in planes.iter_mut().zip([test, second & !first, second & first]) {
                plane.push(bit, 1);
            }
        }
        (live_from, next) = (scalar::live_after(*offset, dead), offset.saturating_add(1));
    }
    planes.into_iter().for_each(Plane::finish);
    let inside = seen.offsets.last().is_none_or(|last| *last < seen.gates);
    (in_order && inside).then_some(count)
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

    /// Adds at most 64 bits.
    #[inline]
    fn push(&mut self, bits: u64, count: u32) {
        self.word |= bits << self.filled;
        if self.filled + count >= u64::BITS {
            self.out[self.place] = self.word;
            self.place += 1;
            self.word = bits.checked_shr(u64::BITS - self.filled).unwrap_or(0);
            self.filled = self.filled + count - u64::BITS;
        } else {
            self.filled += count;
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

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,lzcnt,popcnt")]
pub(super) fn read_gaps(bytes: &[u8], gates: u32, offsets: &mut [u32]) -> Option<usize> {
    let (mut read, mut next, mut count) = (0, 0, 0);
    while let (Some(window), Some(out)) =
        (bytes[read..].first_chunk::<{ WINDOW + 1 }>(), offsets[count..].first_chunk_mut::<WINDOW>())
    {
        if let Some(found) = read_window(window, next, gates, out) {
            (read, next, count) = (read + found.bytes, found.next, count + found.gaps);
        } else {
            (read, next) = read_slowly(bytes, (read, next), gates, &mut out[..GROUP])?;
            count += GROUP;
        }
    }
    read_slowly(bytes, (read, next), gates, &mut offsets[count..]).map(|(read, _)| read)
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

/// Bytes of gaps that are looked at together.
const WINDOW: usize = 64;

/// What a window held.
struct Found {
    bytes: usize,
    gaps: usize,
    /// The gate behind the last click.
    next: u32,
}

/// The gaps of one or two bytes that end in a window. `None` if one is longer, or anything else is the matter. Gates
/// behind the last are anything.
///
/// Which bytes come next follows from where the last gap ends, without knowing the others: the chain from window to
/// window is short.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,lzcnt,popcnt")]
fn read_window(window: &[u8; WINDOW + 1], next: u32, gates: u32, out: &mut [u32; WINDOW]) -> Option<Found> {
    let (here, behind) = (load_64(window.first_chunk()?), load_64(window.last_chunk()?));
    let more = _mm512_movepi8_mask(here);
    let used = u64::MAX.checked_shr((!more).leading_zeros())?;
    if more & more << 1 & used != 0 || next > u32::MAX - WINDOW as u32 * TWO_BYTES {
        return None;
    }
    let starts = !(more << 1) & used;
    let gaps = starts.count_ones() as usize;
    let low = _mm512_maskz_compress_epi8(starts, here);
    let high = _mm512_maskz_compress_epi8(starts, behind);
    // No gap is zero, and none that took two bytes needed but one.
    let long = _mm512_movepi8_mask(low);
    let high = _mm512_maskz_mov_epi8(long, high);
    let nothing = _mm512_testn_epi8_mask(_mm512_mask_mov_epi8(low, long, high), _mm512_set1_epi8(-1));
    if nothing & u64::MAX >> (64 - gaps) != 0 {
        return None;
    }
    let low = _mm512_and_si512(low, _mm512_set1_epi8(0x7f));
    let mut before = _mm512_set1_epi32(next.wrapping_sub(1).cast_signed());
    let (groups, _) = out.as_chunks_mut::<GROUP>();
    for (group, out) in groups.iter_mut().enumerate() {
        let widened = |bytes| {
            let sixteen = match group {
                0 => _mm512_extracti32x4_epi32::<0>(bytes),
                1 => _mm512_extracti32x4_epi32::<1>(bytes),
                2 => _mm512_extracti32x4_epi32::<2>(bytes),
                _ => _mm512_extracti32x4_epi32::<3>(bytes),
            };
            _mm512_cvtepu8_epi32(sixteen)
        };
        let gaps = _mm512_or_si512(widened(low), _mm512_slli_epi32::<7>(widened(high)));
        let told = _mm512_add_epi32(sums(gaps), before);
        store_gates(out, told);
        before = _mm512_permutexvar_epi32(_mm512_set1_epi32(15), told);
    }
    let next = out[WINDOW - 1].wrapping_add(1);
    (next <= gates).then_some(Found { bytes: used.count_ones() as usize, gaps, next })
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
fn store_32(out: &mut [u8; 32], bytes: __m256i) {
    // SAFETY: the array has the 32 bytes that an unaligned store writes.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), bytes) }
}
