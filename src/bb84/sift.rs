//! Sifting: from clicks and settings to key bits and counts.
//!
//! Frame by frame Bob tells the positions of his clicks, nothing else. After the last gate of the
//! block both tell their bases; Alice adds intensities and both add the bits of the test basis, which
//! leave the key. What was measured in the same key basis is the sifted key. A gate in which both
//! detectors clicked gets a random bit before any of this (squashing).
//!
//! ```text
//! positions = clicks:varint · (gap to the previous click, the first from −1):varint each, ≥ 1
//! bases     = basis bits (1 = test) · the bits of Bob's test-basis clicks
//! settings  = basis bits · intensity low bits · intensity high bits · bits of Alice's test gates
//! ```

use std::fmt;
use std::ops::AddAssign;

use zeroize::Zeroize;

use crate::bits::BitBlock;
use crate::stage::Role;
use crate::wire::{Malformed, Reader, Writer};

use super::frame::{BobFrame, click};

/// The bits of a packed setting (see [`super::settings`]).
const BIT: u8 = 1;
const TEST_BASIS: u8 = 2;
const INTENSITY_SHIFT: u8 = 2;

/// What one side remembers of a frame's detected gates.
pub(super) enum Record {
    /// Alice: a packed setting a gate.
    Prepared(Vec<u8>),
    /// Bob: basis and bit of each click.
    Measured { test_basis: BitBlock, bits: BitBlock },
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepared(settings) => write!(f, "Prepared({} settings)", settings.len()),
            Self::Measured { bits, .. } => write!(f, "Measured({} clicks)", bits.len()),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Self::Prepared(settings) = self {
            settings.zeroize();
        }
    }
}

/// The counts of a block or frame, by intensity: all that parameter estimation needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Clicks announced.
    pub clicks: u64,
    /// Events in which both chose the key basis.
    pub key: [u64; 3],
    /// Events in which both chose the test basis.
    pub test: [u64; 3],
    /// Errors among them.
    pub test_errors: [u64; 3],
}

impl Tally {
    /// The error rate in the test basis; `None` without events.
    #[must_use]
    pub fn test_qber(&self) -> Option<f64> {
        let events: u64 = self.test.iter().sum();
        let errors: u64 = self.test_errors.iter().sum();
        (events > 0).then(|| errors as f64 / events as f64)
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.clicks += other.clicks;
        for k in 0..3 {
            self.key[k] += other.key[k];
            self.test[k] += other.test[k];
            self.test_errors[k] += other.test_errors[k];
        }
    }
}

/// The events of the test basis by intensity and Bob's detector: what his hardware is adjusted by. All of it was
/// told in public; of the key basis nothing is counted by detector, because there the detector is the key bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByDetector {
    pub(super) events: [[u64; 2]; 3],
    pub(super) errors: [[u64; 2]; 3],
}

impl AddAssign for ByDetector {
    fn add_assign(&mut self, other: Self) {
        for k in 0..3 {
            for detector in 0..2 {
                self.events[k][detector] += other.events[k][detector];
                self.errors[k][detector] += other.errors[k][detector];
            }
        }
    }
}

impl ByDetector {
    const EVENTS: [[&str; 2]; 3] = [
        ["test_events_intensity_0_detector_0", "test_events_intensity_0_detector_1"],
        ["test_events_intensity_1_detector_0", "test_events_intensity_1_detector_1"],
        ["test_events_intensity_2_detector_0", "test_events_intensity_2_detector_1"],
    ];
    const QBER: [[&str; 2]; 3] = [
        ["test_qber_intensity_0_detector_0", "test_qber_intensity_0_detector_1"],
        ["test_qber_intensity_1_detector_0", "test_qber_intensity_1_detector_1"],
        ["test_qber_intensity_2_detector_0", "test_qber_intensity_2_detector_1"],
    ];

    /// Events and error rates by the names of records; no rate without events.
    pub(super) fn readings(&self) -> Vec<(&'static str, f64)> {
        let mut readings = Vec::with_capacity(12);
        for k in 0..3 {
            for detector in 0..2 {
                let (events, errors) = (self.events[k][detector], self.errors[k][detector]);
                readings.push((Self::EVENTS[k][detector], events as f64));
                if events > 0 {
                    readings.push((Self::QBER[k][detector], errors as f64 / events as f64));
                }
            }
        }
        readings
    }
}

/// What sifting leaves of a frame.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) bits: BitBlock,
    pub(super) tally: Tally,
    pub(super) by_detector: ByDetector,
}

/// Bob's half of a frame: the body that tells the positions, and what he remembers.
///
/// `random` holds at least one bit a click. Clicks while either detector is dead are dropped: the one that
/// lives must not be alone to answer. A detector is dead for `dead_gates` after each of its clicks, also
/// after those that are dropped, and before gate `live_from` because of clicks before this frame.
pub(super) fn measure(frame: &BobFrame, random: &[u8], dead_gates: u32, live_from: u32) -> (Vec<u8>, Record) {
    let mut writer = Writer::new();
    let (mut test_basis, mut bits) = (BitBlock::default(), BitBlock::default());
    let mut gaps = Vec::with_capacity(frame.offsets.len());
    let mut previous: Option<u32> = None;
    let mut live_from = live_from;
    for (place, (offset, clicks)) in frame.offsets.iter().zip(&frame.clicks).enumerate() {
        let dead = *offset < live_from;
        live_from = live_after(*offset, dead_gates);
        if dead {
            continue;
        }
        gaps.push(previous.map_or(offset + 1, |previous| offset - previous));
        previous = Some(*offset);
        let coin = random[place / 8] >> (place % 8) & 1 == 1;
        let both = clicks & (click::DETECTOR_0 | click::DETECTOR_1) == click::DETECTOR_0 | click::DETECTOR_1;
        test_basis.push(clicks & click::TEST_BASIS != 0);
        bits.push(if both { coin } else { clicks & click::DETECTOR_1 != 0 });
    }
    writer.count(gaps.len());
    for gap in gaps {
        writer.varint(gap.into());
    }
    (writer.finish(), Record::Measured { test_basis, bits })
}

/// The first gate at which a detector that clicked is alive again.
fn live_after(offset: u32, dead_gates: u32) -> u32 {
    offset.saturating_add(dead_gates).saturating_add(1)
}

/// The first gate of the next frame at which both detectors are alive.
pub(super) fn live_from_next(frame: &BobFrame, dead_gates: u32) -> u32 {
    let alive = frame.offsets.last().map_or(0, |last| live_after(*last, dead_gates));
    alive.saturating_sub(frame.gates)
}

/// Whether a detection frame is in order: offsets strictly increasing and inside, every click byte
/// with at least one detector.
pub(super) fn is_well_formed(frame: &BobFrame) -> bool {
    frame.offsets.len() == frame.clicks.len()
        && frame.offsets.last().is_none_or(|last| *last < frame.gates)
        && frame.offsets.is_sorted_by(|a, b| a < b)
        && frame.clicks.iter().all(|byte| byte & (click::DETECTOR_0 | click::DETECTOR_1) != 0)
}

/// The gates of a positions message, as offsets.
pub(super) fn read_positions(mut reader: Reader<'_>, gates: u32, most: usize) -> Result<Vec<u32>, Malformed> {
    let malformed = Malformed::Field { field: "positions" };
    let count = reader.count(most, "positions")?;
    let mut offsets = Vec::with_capacity(count.min(reader.remaining()));
    let mut next: u64 = 0;
    for _ in 0..count {
        let gap = reader.varint()?;
        let offset = next.checked_add(gap).and_then(|after| after.checked_sub(1)).ok_or(malformed)?;
        if gap == 0 || offset >= u64::from(gates) {
            return Err(malformed);
        }
        next = offset + 1;
        offsets.push(u32::try_from(offset).map_err(|_| malformed)?);
    }
    reader.end()?;
    Ok(offsets)
}

/// What a side tells of a frame after the block's last gate.
pub(super) fn announce(record: &Record) -> Vec<u8> {
    let mut writer = Writer::new();
    match record {
        Record::Measured { test_basis, bits } => {
            writer.bits(test_basis).bits(&pick(test_basis, bits));
        }
        Record::Prepared(settings) => {
            let plane = |mask: u8| {
                let mut plane = BitBlock::default();
                settings.iter().for_each(|setting| plane.push(setting & mask != 0));
                plane
            };
            let test_basis = plane(TEST_BASIS);
            let test_bits = pick(&test_basis, &plane(BIT));
            writer.bits(&test_basis).bits(&plane(1 << INTENSITY_SHIFT)).bits(&plane(2 << INTENSITY_SHIFT));
            writer.bits(&test_bits);
        }
    }
    writer.finish()
}

/// The bits of `from` where `mask` is set.
fn pick(mask: &BitBlock, from: &BitBlock) -> BitBlock {
    let mut picked = BitBlock::default();
    (0..mask.len()).filter(|i| mask.bit(*i)).for_each(|i| picked.push(from.bit(i)));
    picked
}

/// Sifts a frame: our record against the peer's announcement.
pub(super) fn sift(record: &Record, mut reader: Reader<'_>) -> Result<Sifted, Malformed> {
    match record {
        Record::Prepared(settings) => {
            let announced = Announced::read(&mut reader, settings.len(), &[])?;
            reader.end()?;
            let (test, bit) = (|s: u8| s & TEST_BASIS != 0, |s: u8| s & BIT != 0);
            let own = settings.iter().map(|s| (test(*s), bit(*s), s >> INTENSITY_SHIFT));
            Ok(join(own, &announced, Role::Alice))
        }
        Record::Measured { test_basis, bits } => {
            let mut planes = [BitBlock::default(), BitBlock::default()];
            let announced = Announced::read_with(&mut reader, bits.len(), &mut planes)?;
            reader.end()?;
            let [low, high] = &planes;
            let intensity = |i| u8::from(low.bit(i)) | u8::from(high.bit(i)) << 1;
            if (0..bits.len()).any(|i| intensity(i) > 2) {
                return Err(Malformed::Field { field: "intensity" });
            }
            let own = (0..bits.len()).map(|i| (test_basis.bit(i), bits.bit(i), intensity(i)));
            Ok(join(own, &announced, Role::Bob))
        }
    }
}

/// The peer's announcement of a frame.
struct Announced {
    test_basis: BitBlock,
    test_bits: BitBlock,
}

impl Announced {
    fn read(reader: &mut Reader<'_>, clicks: usize, _planes: &[BitBlock]) -> Result<Self, Malformed> {
        Self::read_with(reader, clicks, &mut [])
    }

    fn read_with(reader: &mut Reader<'_>, clicks: usize, planes: &mut [BitBlock]) -> Result<Self, Malformed> {
        let exactly = |bits: BitBlock, len: usize| {
            if bits.len() == len { Ok(bits) } else { Err(Malformed::Field { field: "announcement" }) }
        };
        let test_basis = exactly(reader.bits(clicks, "announcement")?, clicks)?;
        for plane in planes {
            *plane = exactly(reader.bits(clicks, "announcement")?, clicks)?;
        }
        let tests = usize::try_from(test_basis.count_ones()).unwrap_or(usize::MAX);
        let test_bits = exactly(reader.bits(clicks, "announcement")?, tests)?;
        Ok(Self { test_basis, test_bits })
    }
}

/// Joins what `role` knows of its own clicks with what the peer announced.
fn join(own: impl Iterator<Item = (bool, bool, u8)>, announced: &Announced, role: Role) -> Sifted {
    let mut sifted = Sifted::default();
    let mut tests = 0;
    for (i, (test, bit, intensity)) in own.enumerate() {
        let theirs = announced.test_basis.bit(i);
        let k = usize::from(intensity).min(2);
        sifted.tally.clicks += 1;
        match (test, theirs) {
            (false, false) => {
                sifted.tally.key[k] += 1;
                sifted.bits.push(bit);
            }
            (true, true) => {
                let their_bit = announced.test_bits.bit(tests);
                let wrong = u64::from(bit != their_bit);
                let detector = usize::from(if role == Role::Bob { bit } else { their_bit });
                sifted.tally.test[k] += 1;
                sifted.tally.test_errors[k] += wrong;
                sifted.by_detector.events[k][detector] += 1;
                sifted.by_detector.errors[k][detector] += wrong;
            }
            _ => {}
        }
        tests += usize::from(theirs);
    }
    sifted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_sides_sift_the_same_events_and_count_the_same(
            events in proptest::collection::vec((1u32..500, 0u8..12, any::<bool>(), any::<bool>()), 0..200),
        ) {
            let mut frame = BobFrame { gates: 200 * 500, ..BobFrame::default() };
            let mut settings = Vec::new();
            let mut gate = 0;
            for (gap, setting, test, wrong) in &events {
                gate += gap;
                frame.offsets.push(gate - 1);
                let bit = (setting & BIT != 0) != *wrong;
                let detector = if bit { click::DETECTOR_1 } else { click::DETECTOR_0 };
                frame.clicks.push(detector | if *test { click::TEST_BASIS } else { 0 });
                settings.push(*setting);
            }
            prop_assert!(is_well_formed(&frame));
            let (positions, bob) = measure(&frame, &[0; 64], 0, 0);
            let offsets = read_positions(Reader::new(&positions), frame.gates, 200);
            prop_assert_eq!(offsets.as_ref(), Ok(&frame.offsets));
            let alice = Record::Prepared(settings);
            let (from_alice, from_bob) = (announce(&alice), announce(&bob));
            let ours = sift(&alice, Reader::new(&from_bob)).expect("an honest announcement");
            let theirs = sift(&bob, Reader::new(&from_alice)).expect("an honest announcement");
            prop_assert_eq!(ours.tally, theirs.tally);
            prop_assert_eq!(ours.by_detector, theirs.by_detector);
            let by_intensity = theirs.by_detector.errors.map(|[first, second]| first + second);
            prop_assert_eq!(by_intensity, theirs.tally.test_errors);
            let lit = |(_, s, t, w): &(u32, u8, bool, bool)| *t && s & TEST_BASIS != 0 && (s & BIT != 0) != *w;
            let of_detector_1: u64 = ours.by_detector.events.iter().map(|[_, events]| events).sum();
            prop_assert_eq!(of_detector_1, events.iter().filter(|event| lit(event)).count() as u64);
            let wrong = events.iter().filter(|(_, s, t, w)| *w && !*t && s & TEST_BASIS == 0).count();
            let distance = ours.bits.words().iter().zip(theirs.bits.words());
            prop_assert_eq!(distance.map(|(a, b)| (a ^ b).count_ones() as usize).sum::<usize>(), wrong);
            let test_errors = events.iter().filter(|(_, s, t, w)| *w && *t && s & TEST_BASIS != 0).count();
            prop_assert_eq!(ours.tally.test_errors.iter().sum::<u64>(), test_errors as u64);
        }

        #[test]
        fn no_bytes_make_sifting_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_positions(Reader::new(&bytes), 1000, 100);
            let _ = sift(&Record::Prepared(vec![3; 20]), Reader::new(&bytes));
            let measured = Record::Measured { test_basis: BitBlock::zeros(20), bits: BitBlock::zeros(20) };
            let _ = sift(&measured, Reader::new(&bytes));
        }
    }

    #[test]
    fn double_clicks_take_the_coin_and_dead_gates_are_dropped() {
        let both = click::DETECTOR_0 | click::DETECTOR_1;
        let frame = BobFrame {
            first_gate: 0,
            gates: 100,
            offsets: vec![3, 4, 9],
            clicks: vec![both, click::DETECTOR_1, both],
        };
        let (_, record) = measure(&frame, &[0b001], 1, 0);
        let Record::Measured { bits, .. } = &record else { panic!("Bob measures") };
        assert_eq!(bits, &BitBlock::from_bools(&[true, false]), "gate 4 is dead; coins 1 and 0");
    }

    /// The gates that are told of a frame with clicks in these, all of the same detector.
    fn told(offsets: &[u32], dead_gates: u32, live_from: u32) -> Vec<u32> {
        let clicks = vec![click::DETECTOR_0; offsets.len()];
        let frame = BobFrame { first_gate: 0, gates: 100, offsets: offsets.to_vec(), clicks };
        let (positions, _) = measure(&frame, &[0; 8], dead_gates, live_from);
        read_positions(Reader::new(&positions), 100, 100).expect("our own")
    }

    #[test]
    fn a_click_counts_only_where_both_detectors_are_alive() {
        assert_eq!(
            told(&[3, 5, 8], 4, 0),
            [3],
            "each click begins the dead time anew, also one that is dropped"
        );
        assert_eq!(told(&[3, 5, 10], 4, 0), [3, 10], "ten is five after five");
        assert_eq!(told(&[3, 8], 4, 0), [3, 8], "alive again after four gates");
        assert_eq!(told(&[3, 4, 5], 0, 0), [3, 4, 5], "no dead time");
        assert_eq!(told(&[0, 2, 9], 4, 2), [9], "gate 0 is dead, and its detector until gate 4");
        assert_eq!(told(&[2, 9], 4, 2), [2, 9], "alive from gate 2");
    }

    #[test]
    fn the_dead_time_reaches_into_the_next_frame() {
        let frame = |offsets: Vec<u32>| {
            let clicks = vec![click::DETECTOR_0; offsets.len()];
            BobFrame { first_gate: 0, gates: 100, offsets, clicks }
        };
        assert_eq!(live_from_next(&frame(vec![3, 98]), 4), 3, "gates 99 to 102 are dead");
        assert_eq!(live_from_next(&frame(vec![95]), 4), 0, "gates 96 to 99 are");
        assert_eq!(live_from_next(&frame(vec![]), 4), 0, "no click");
        assert_eq!(live_from_next(&frame(vec![99]), u32::MAX), u32::MAX - 100, "no overflow");
    }
}
