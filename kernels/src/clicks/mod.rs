//! Detections of a single-photon receiver: which count, their bits, how their gates are told, and what was sent there.
//!
//! | kernel | avx512 | below | bound by |
//! |---|---|---|---|
//! | [`measure`] | 64 clicks at a time: masks, `vpcompressd`, `pext` | a click at a time | memory: five bytes a click |
//! | [`write_gaps`] | sixteen gaps of one or two bytes at a time by `vpcompressb` | a gap at a time | the chain from one group's length to the next group's place |
//! | [`read_gaps`] | the gaps of one or two bytes in 64 bytes at a time by `vpcompressb` | a gap at a time | shuffles: sums of sixteen lanes |
//! | [`settings`] | 64 gates at a time: loads of a byte, then masks | a gate at a time | memory: half a byte for every gate, clicked or not |
//! | [`plane`] | a mask of 64 bytes | eight bytes by a product | loads |

/// What a receiver saw, a click each.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The gates, strictly increasing.
    pub offsets: &'a [u32],
    /// Bit 0: measured in the test basis; bits 1 and 2: the detector of bit 0, of bit 1 clicked.
    pub clicks: &'a [u8],
    /// Gates that there were.
    pub gates: u32,
}

/// When a click counts: only where both detectors are alive.
#[derive(Clone, Copy, Debug)]
pub struct Dead {
    /// Gates that a detector is dead after each click, also after one that does not count.
    pub gates: u32,
    /// The first gate at which both are alive, because of clicks before these.
    pub live_from: u32,
}

/// Room for what counts, as long as what was seen; planes in words of 64, lowest bit first.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The gates.
    pub offsets: &'a mut [u32],
    /// Set where measured in the test basis.
    pub test_basis: &'a mut [u64],
    /// The bits; 0 where both detectors clicked.
    pub bits: &'a mut [u64],
    /// Set where both detectors clicked.
    pub doubles: &'a mut [u64],
}

kernel! {
    /// The clicks that count, their bases and bits; returns how many they are. `None` if what was seen is not in order:
    /// the gates strictly increasing and inside, a byte each, in each at least one detector.
    ///
    /// What lies behind them in `kept`: the planes are zero, the gates anything; without order all of it is anything.
    /// Panics if there is no room. Time depends on the gates only, not on what clicked.
    pub fn measure(seen: Seen<'_>, dead: Dead, kept: &mut Kept<'_>) -> Option<usize>;

    /// Writes strictly increasing gates as the gaps to the one before, the first from −1, each as a variable-length
    /// integer of seven bits a byte, lowest first; returns the number of bytes.
    ///
    /// `out`: at least [`room_for_gaps`]. Panics otherwise. Gates that do not increase are written as gaps around 2^32.
    pub fn write_gaps(offsets: &[u32], out: &mut [u8]) -> usize;

    /// Undoes [`write_gaps`], as many gates as `offsets` holds; returns the number of bytes read. `None` if the bytes
    /// end early, a gap is zero or not in its shortest form, or a gate is not below `gates`.
    pub fn read_gaps(bytes: &[u8], gates: u32, offsets: &mut [u32]) -> Option<usize>;

    /// The settings of some gates, of four bits each, a plane a bit.
    ///
    /// `packed`: two gates a byte, low nibble first; `offsets`: the gates, in any order; `planes`: a word for each 64 of
    /// them, or part of them, zero behind the last. Panics if a gate or a word is missing.
    pub fn settings(packed: &[u8], offsets: &[u32], planes: [&mut [u64]; 4]);

    /// One bit of each byte, packed in words.
    ///
    /// `out`: a word for each 64 bytes, or part of them. `shift`: below 8. Panics otherwise.
    pub fn plane(bytes: &[u8], shift: u32, out: &mut [u64]);
}

/// Bytes of room that writing so many gaps may take.
#[must_use]
pub fn room_for_gaps(gaps: usize) -> usize {
    5 * gaps + 32
}

#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

#[cfg(target_arch = "x86_64")]
use scalar as avx2;
#[cfg(target_arch = "aarch64")]
use scalar as neon;
use scalar as portable;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use proptest::prelude::*;

    fn written(isa: Isa, offsets: &[u32]) -> Vec<u8> {
        let mut out = vec![0; room_for_gaps(offsets.len())];
        let len = write_gaps(isa, offsets, &mut out);
        out.truncate(len);
        out
    }

    /// Offsets from gaps of mixed sizes.
    fn offsets(gaps: &[u32]) -> Vec<u32> {
        let mut next = 0u32;
        let gates = gaps.iter().map(|gap| {
            next += gap;
            next - 1
        });
        gates.collect()
    }

    fn gap() -> impl Strategy<Value = u32> {
        prop_oneof![20 => 1u32..128, 8 => 128u32..16_384, 1 => 16_384u32..3_000_000]
    }

    proptest! {
        #[test]
        fn gaps_are_the_same_on_every_level_and_read_back(gaps in proptest::collection::vec(gap(), 0..150)) {
            let offsets = offsets(&gaps);
            let gates = offsets.last().map_or(0, |last| last + 1);
            let want = written(Isa::SCALAR, &offsets);
            for isa in Isa::available() {
                prop_assert_eq!(&written(isa, &offsets), &want, "{}: written", isa);
                let mut read = vec![0; offsets.len()];
                let mut longer = want.clone();
                longer.extend([0x80; 70]);
                for bytes in [&want, &longer] {
                    prop_assert_eq!(read_gaps(isa, bytes, gates, &mut read), Some(want.len()), "{}", isa);
                    prop_assert_eq!(&read, &offsets, "{}: read", isa);
                }
                if let Some(last) = gates.checked_sub(1) {
                    prop_assert_eq!(read_gaps(isa, &longer, last, &mut read), None, "{}: beyond", isa);
                    prop_assert_eq!(read_gaps(isa, &want[..want.len() - 1], gates, &mut read), None, "{}: short", isa);
                }
            }
        }

        #[test]
        fn bytes_of_any_kind_are_read_alike_on_every_level(
            bytes in proptest::collection::vec(prop_oneof![9 => 1u8..128, 3 => 128u8..=255, 1 => Just(0u8)], 0..200),
            count in 0usize..100,
            gates in prop_oneof![Just(u32::MAX), 1u32..20_000],
        ) {
            let mut want = vec![0; count];
            let read = read_gaps(Isa::SCALAR, &bytes, gates, &mut want);
            for isa in Isa::available() {
                let mut out = vec![0; count];
                prop_assert_eq!(read_gaps(isa, &bytes, gates, &mut out), read, "{}", isa);
                if read.is_some() {
                    prop_assert_eq!(&out, &want, "{}", isa);
                }
            }
        }

        #[test]
        fn clicks_are_measured_alike_on_every_level(
            gaps in proptest::collection::vec((1u32..9, 2u8..8), 0..300),
            dead in 0u32..4,
            live_from in 0u32..20,
        ) {
            let (gaps, clicks): (Vec<u32>, Vec<u8>) = gaps.into_iter().unzip();
            let offsets = offsets(&gaps);
            let gates = offsets.last().map_or(0, |last| last + 1);
            let dead = Dead { gates: dead, live_from };
            let want = measured(Isa::SCALAR, Seen { offsets: &offsets, clicks: &clicks, gates }, dead);
            prop_assert!(want.is_some(), "it is in order");
            for isa in Isa::available() {
                let found = measured(isa, Seen { offsets: &offsets, clicks: &clicks, gates }, dead);
                prop_assert_eq!(&found, &want, "{}", isa);
            }
        }

        #[test]
        fn detections_out_of_order_are_found(
            gaps in proptest::collection::vec((1u32..9, 1u8..4, any::<bool>()), 1..300),
            at in any::<prop::sample::Index>(),
        ) {
            let clicks: Vec<u8> = gaps.iter().map(|(_, seen, test)| seen << 1 | u8::from(*test)).collect();
            let offsets = offsets(&gaps.iter().map(|(gap, ..)| *gap).collect::<Vec<_>>());
            let gates = offsets[offsets.len() - 1] + 1;
            let at = at.index(offsets.len());
            let (mut dark, mut late, mut twice) = (clicks.clone(), offsets.clone(), offsets.clone());
            dark[at] &= 1;
            late[at] = gates;
            twice[at] = twice[at.saturating_sub(1)];
            for isa in Isa::available() {
                let fails = |offsets: &[u32], clicks: &[u8], gates| {
                    let seen = Seen { offsets, clicks, gates };
                    measured(isa, seen, Dead { gates: 1, live_from: 0 }).is_none()
                };
                prop_assert!(!fails(&offsets, &clicks, gates), "{}", isa);
                prop_assert!(fails(&offsets, &clicks, gates - 1), "{}: beyond", isa);
                prop_assert!(fails(&offsets, &clicks[1..], gates), "{}: a byte short", isa);
                prop_assert!(fails(&offsets, &dark, gates), "{}: no detector", isa);
                prop_assert!(fails(&late, &clicks, gates), "{}: late", isa);
                prop_assert!(at == 0 || fails(&twice, &clicks, gates), "{}: twice", isa);
            }
        }

        #[test]
        fn settings_are_read_where_asked(
            packed in proptest::collection::vec(any::<u8>(), 1..200),
            places in proptest::collection::vec(any::<prop::sample::Index>(), 0..300),
        ) {
            let offsets: Vec<u32> = places.iter().map(|place| place.index(2 * packed.len()) as u32).collect();
            for isa in Isa::available() {
                let mut planes = [(); 4].map(|()| vec![!0u64; offsets.len().div_ceil(64)]);
                settings(isa, &packed, &offsets, planes.each_mut().map(|plane| &mut plane[..]));
                for place in 0..64 * planes[0].len() {
                    let want = offsets.get(place).map_or(0, |gate| packed[*gate as usize / 2] >> (4 * (gate % 2)) & 15);
                    let found = (0..4).fold(0, |found, k| found | (planes[k][place / 64] >> (place % 64) & 1) << k);
                    prop_assert_eq!(found, u64::from(want), "{}: click {}", isa, place);
                }
            }
        }

        #[test]
        fn planes_are_bits_of_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300), shift in 0u32..8) {
            for isa in Isa::available() {
                let mut out = vec![!0; bytes.len().div_ceil(64)];
                plane(isa, &bytes, shift, &mut out);
                for place in 0..64 * out.len() {
                    let want = bytes.get(place).is_some_and(|byte| byte >> shift & 1 == 1);
                    prop_assert_eq!(out[place / 64] >> (place % 64) & 1 == 1, want, "{}: bit {}", isa, place);
                }
            }
        }
    }

    #[test]
    fn gates_near_the_end_of_numbers_are_read_alike() {
        for start in [u32::MAX - 300, u32::MAX - 40] {
            let offsets: Vec<u32> = (start..u32::MAX).collect();
            for isa in Isa::available() {
                let bytes = written(isa, &offsets);
                let mut read = vec![0; offsets.len()];
                assert_eq!(read_gaps(isa, &bytes, u32::MAX, &mut read), Some(bytes.len()), "{isa}");
                assert_eq!(read, offsets, "{isa}");
                let mut wide = bytes;
                wide.extend([1; 70]);
                read.push(0);
                assert_eq!(read_gaps(isa, &wide, u32::MAX, &mut read), None, "{isa}: beyond the last number");
            }
        }
    }

    /// What counts: the gates, and the planes of bases, bits and double clicks.
    fn measured(isa: Isa, seen: Seen<'_>, dead: Dead) -> Option<(Vec<u32>, [Vec<u64>; 3])> {
        let mut gates = vec![0; seen.offsets.len()];
        let mut planes = [(); 3].map(|()| vec![!0; seen.offsets.len().div_ceil(64)]);
        let [test_basis, bits, doubles] = planes.each_mut().map(|plane| &mut plane[..]);
        let count = measure(isa, seen, dead, &mut Kept { offsets: &mut gates, test_basis, bits, doubles })?;
        gates.truncate(count);
        Some((gates, planes))
    }

    #[test]
    fn dead_detectors_and_double_clicks() {
        let seen = Seen { offsets: &[3, 4, 9, 10, 13], clicks: &[6, 4, 7, 2, 4], gates: 14 };
        for isa in Isa::available() {
            let (gates, planes) = measured(isa, seen, Dead { gates: 1, live_from: 3 }).expect("in order");
            assert_eq!(gates, [3, 9, 13], "{isa}: 4 and 10 fall into dead gates");
            assert_eq!(planes, [[0b010], [0b100], [0b011]], "{isa}: 3 and 9 are double clicks");
        }
    }

    #[test]
    fn a_gate_beyond_the_settings_panics_on_every_level() {
        for isa in Isa::available() {
            let read = || {
                let mut planes = [[0u64]; 4];
                settings(isa, &[0; 40], &[3, 79, 80, 5], planes.each_mut().map(|plane| &mut plane[..]));
            };
            assert!(std::panic::catch_unwind(read).is_err(), "{isa}");
        }
    }
}
