//! The reference, a click at a time.

use super::{Dead, Kept, Seen, room_for_gaps};

pub(super) fn double_clicks(offsets: &[u32], clicks: &[u8], gates: u32) -> Option<usize> {
    let in_order = are_in_order(offsets, gates) && offsets.len() == clicks.len();
    both_of(clicks).filter(|_| in_order)
}

/// Whether gates are strictly increasing and inside. Nothing leaves early, so that the compiler may make vectors of it.
#[inline]
pub(super) fn are_in_order(offsets: &[u32], gates: u32) -> bool {
    let rising = |ok: bool, (before, after): (&u32, &u32)| ok & (before < after);
    let behind = offsets.get(1..).unwrap_or_default();
    offsets.last().is_none_or(|last| *last < gates) & offsets.iter().zip(behind).fold(true, rising)
}

/// How often both detectors clicked; `None` if neither did somewhere.
#[inline]
pub(super) fn both_of(clicks: &[u8]) -> Option<usize> {
    let (mut both, mut seen) = (0, true);
    for byte in clicks {
        let (first, second) = (byte >> 1 & 1, byte >> 2 & 1);
        both += usize::from(first & second);
        seen &= (first | second) == 1;
    }
    seen.then_some(both)
}

pub(super) fn measure(seen: Seen<'_>, dead: Dead, kept: &mut Kept<'_>) -> usize {
    check(seen, kept);
    kept.test_basis.fill(0);
    kept.bits.fill(0);
    let (mut count, mut live_from, mut doubles) = (0, dead.live_from, 0);
    for (offset, clicks) in seen.offsets.iter().zip(seen.clicks) {
        let (first, second) = (clicks >> 1 & 1, clicks >> 2 & 1);
        let coin = if first & second == 1 { seen.coins[doubles / 8] >> (doubles % 8) } else { 1 };
        doubles += usize::from(first & second);
        if *offset >= live_from {
            let bit = second & coin & 1;
            kept.offsets[count] = *offset;
            kept.test_basis[count / 64] |= u64::from(clicks & 1) << (count % 64);
            kept.bits[count / 64] |= u64::from(bit) << (count % 64);
            count += 1;
        }
        live_from = offset.saturating_add(dead.gates).saturating_add(1);
    }
    count
}

pub(super) fn check(seen: Seen<'_>, kept: &Kept<'_>) {
    let clicks = seen.offsets.len();
    assert_eq!(seen.clicks.len(), clicks, "a byte a click");
    assert!(kept.offsets.len() >= clicks, "room for each gate");
    assert!(64 * kept.test_basis.len() >= clicks && 64 * kept.bits.len() >= clicks, "room for each bit");
}

pub(super) fn write_gaps(offsets: &[u32], out: &mut [u8]) -> usize {
    assert!(out.len() >= room_for_gaps(offsets.len()), "room for {} gaps", offsets.len());
    let (mut len, mut last) = (0, u32::MAX);
    for offset in offsets {
        len += write_gap(offset.wrapping_sub(last), &mut out[len..]);
        last = *offset;
    }
    len
}

/// Writes one gap; returns its length.
pub(super) fn write_gap(mut gap: u32, out: &mut [u8]) -> usize {
    let mut len = 0;
    while gap >= 0x80 {
        out[len] = gap as u8 | 0x80;
        gap >>= 7;
        len += 1;
    }
    out[len] = gap as u8;
    len + 1
}

pub(super) fn read_gaps(bytes: &[u8], gates: u32, offsets: &mut [u32]) -> Option<usize> {
    let (mut read, mut next) = (0, 0);
    for offset in offsets {
        let (gap, len) = read_gap(&bytes[read..])?;
        (next, read) = (step(next, gap, gates)?, read + len);
        *offset = next - 1;
    }
    Some(read)
}

/// One gap and its length: at most 32 bits, in their shortest form.
pub(super) fn read_gap(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut gap = 0u64;
    for (place, byte) in bytes.iter().enumerate().take(5) {
        gap |= u64::from(byte & 0x7f) << (7 * place);
        if *byte < 0x80 {
            let shortest = *byte > 0 || place == 0;
            return u32::try_from(gap).ok().filter(|_| shortest).map(|gap| (gap, place + 1));
        }
    }
    None
}

/// The gate behind the next click.
pub(super) fn step(next: u32, gap: u32, gates: u32) -> Option<u32> {
    next.checked_add(gap).filter(|next| gap > 0 && *next <= gates)
}

pub(super) fn settings(packed: &[u8], offsets: &[u32], mut planes: [&mut [u64]; 4]) {
    check_planes(offsets, &planes);
    for (word, offsets) in offsets.chunks(64).enumerate() {
        settings_words(packed, offsets, &mut planes, word);
    }
}

pub(super) fn check_planes(offsets: &[u32], planes: &[&mut [u64]; 4]) {
    assert!(planes.iter().all(|plane| plane.len() == offsets.len().div_ceil(64)), "a word for 64 gates");
}

/// A word of each plane, from at most 64 gates.
pub(super) fn settings_words(packed: &[u8], offsets: &[u32], planes: &mut [&mut [u64]; 4], word: usize) {
    let mut words = [0; 4];
    for (place, gate) in offsets.iter().enumerate() {
        let setting = u64::from(packed[*gate as usize / 2] >> (4 * (gate % 2)));
        (0..4).for_each(|k| words[k] |= (setting >> k & 1) << place);
    }
    (0..4).for_each(|k| planes[k][word] = words[k]);
}

pub(super) fn plane(bytes: &[u8], shift: u32, out: &mut [u64]) {
    assert_eq!(out.len(), bytes.len().div_ceil(64), "a word for 64 bytes");
    assert!(shift < 8, "a bit of a byte");
    for (out, bytes) in out.iter_mut().zip(bytes.chunks(64)) {
        *out = plane_word(bytes, shift);
    }
}

/// One bit of each of 64 bytes.
pub(super) fn plane_word(bytes: &[u8], shift: u32) -> u64 {
    // The product moves bit 8i to bit 56 + i.
    let eight = |bytes: [u8; 8]| {
        (u64::from_le_bytes(bytes) >> shift & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080) >> 56
    };
    let (eights, rest) = bytes.as_chunks::<8>();
    let word = eights.iter().enumerate().fold(0, |word, (i, bytes)| word | eight(*bytes) << (8 * i));
    let rest = rest.iter().enumerate().fold(0, |word, (i, byte)| word | u64::from(byte >> shift & 1) << i);
    word | rest << (8 * eights.len() % 64)
}
