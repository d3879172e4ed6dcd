//! The reference, a click at a time.

use super::{Dead, Kept, Seen, room_for_gaps};

pub(super) fn measure(seen: Seen<'_>, dead: Dead, kept: &mut Kept<'_>) -> Option<usize> {
    check(seen, kept)?;
    kept.test_basis.fill(0);
    kept.bits.fill(0);
    kept.doubles.fill(0);
    let (mut count, mut live_from, mut next) = (0, dead.live_from, 0);
    for (offset, clicks) in seen.offsets.iter().zip(seen.clicks) {
        let (first, second) = (clicks >> 1 & 1, clicks >> 2 & 1);
        if *offset < next || *offset >= seen.gates || first | second == 0 {
            return None;
        }
        if *offset >= live_from {
            let (word, place) = (count / 64, count % 64);
            kept.offsets[count] = *offset;
            kept.test_basis[word] |= u64::from(clicks & 1) << place;
            kept.bits[word] |= u64::from(second & !first) << place;
            kept.doubles[word] |= u64::from(second & first) << place;
            count += 1;
        }
        (live_from, next) = (live_after(*offset, dead), offset + 1);
    }
    Some(count)
}

/// The first gate at which both detectors are alive after a click.
pub(super) fn live_after(offset: u32, dead: Dead) -> u32 {
    offset.saturating_add(dead.gates).saturating_add(1)
}

/// `None` without a byte a click.
pub(super) fn check(seen: Seen<'_>, kept: &Kept<'_>) -> Option<()> {
    let clicks = seen.offsets.len();
    assert!(kept.offsets.len() >= clicks, "room for each gate");
    let planes = [&*kept.test_basis, &*kept.bits, &*kept.doubles];
    assert!(planes.iter().all(|plane| 64 * plane.len() >= clicks), "room for each bit");
    (seen.clicks.len() == clicks).then_some(())
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
