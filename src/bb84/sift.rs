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

use keystill_kernels::clicks::{self, Dead, Kept, Seen};
use keystill_kernels::{Isa, bits, wipe};

use crate::bits::{BitBlock, Wiped};
use crate::stage::Abort;
use crate::wire::{Malformed, Reader, Writer};

use super::frame::{AliceFrame, BobFrame};
use super::settings;

/// What one side remembers of a frame's detected gates, a bit a gate in each plane.
pub(super) struct Record {
    test_basis: BitBlock,
    bits: BitBlock,
    /// Alice: the low and high bits of the intensity.
    intensity: Option<[BitBlock; 2]>,
}

impl Record {
    /// Alice's: her settings of the gates that clicked.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if settings are missing, or name an intensity that there is not.
    pub(super) fn prepared(isa: Isa, frame: &AliceFrame, offsets: &[u32]) -> Result<Self, Abort> {
        let mut planes = [(); 4].map(|()| Wiped(vec![0; offsets.len().div_ceil(64)]));
        settings::planes_at(isa, frame, offsets, planes.each_mut().map(|plane| &mut plane.0[..]))
            .map_err(|error| Abort::Unusable { reason: error.to_string() })?;
        let [bits, test_basis, low, high] =
            planes.map(|mut plane| BitBlock::from_words(std::mem::take(&mut plane.0), offsets.len()));
        let record = Self { test_basis, bits, intensity: Some([low, high]) };
        if both_set(record.intensity.as_ref()) {
            let reason = "Alice's source names a fourth intensity: there are three".to_owned();
            return Err(Abort::Unusable { reason });
        }
        Ok(record)
    }

    fn clicks(&self) -> usize {
        self.bits.len()
    }
}

/// Whether an intensity is 3: there are but 0, 1 and 2.
fn both_set(intensity: Option<&[BitBlock; 2]>) -> bool {
    intensity
        .is_some_and(|[low, high]| low.words().iter().zip(high.words()).any(|(low, high)| low & high != 0))
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.intensity.is_some() { "Prepared" } else { "Measured" };
        write!(f, "{kind}({} clicks)", self.clicks())
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

/// A worker's memory for one frame at a time. Of secrets nothing is left in it.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Gates with a click.
    pub(super) offsets: Vec<u32>,
    /// Gaps as they are told.
    gaps: Vec<u8>,
    /// Random bits, and where they go.
    coins: [Vec<u64>; 2],
    /// Planes that were told, or follow from what was.
    planes: [Vec<u64>; 6],
    /// What the peer announced.
    announced: [BitBlock; 4],
}

/// A buffer of so many values, whatever they are.
fn room<T: Copy + Default>(buffer: &mut Vec<T>, length: usize) -> &mut [T] {
    if buffer.len() < length {
        buffer.resize(length, T::default());
    }
    &mut buffer[..length]
}

/// Bob's half of a frame: appends the positions to a message, and returns what he remembers. `None` if the frame is
/// not in order: offsets strictly increasing and inside, in every click byte at least one detector.
///
/// Clicks while either detector is dead are dropped: the one that lives must not be alone to answer. `draw` makes
/// random bytes: a bit for each click of both detectors.
pub(super) fn measure<E>(
    isa: Isa,
    scratch: &mut Scratch,
    frame: &BobFrame,
    dead: Dead,
    draw: impl FnOnce(&mut [u8]) -> Result<(), E>,
    writer: &mut Writer,
) -> Result<Option<Record>, E> {
    let (clicks, words) = (frame.offsets.len(), frame.offsets.len().div_ceil(64));
    let (offsets, doubles) = (room(&mut scratch.offsets, clicks), room(&mut scratch.planes[0], words));
    let [mut test_basis, mut bits] = [(); 2].map(|()| Wiped(vec![0; words]));
    let seen = Seen { offsets: &frame.offsets, clicks: &frame.clicks, gates: frame.gates };
    let mut kept = Kept { offsets, test_basis: &mut test_basis.0, bits: &mut bits.0, doubles };
    let Some(count) = clicks::measure(isa, seen, dead, &mut kept) else { return Ok(None) };
    toss(isa, &mut scratch.coins, doubles, draw, &mut bits.0)?;
    let plane = |mut words: Wiped<u64>| BitBlock::from_words(std::mem::take(&mut words.0), count);
    let record = Record { test_basis: plane(test_basis), bits: plane(bits), intensity: None };
    let gaps = room(&mut scratch.gaps, clicks::room_for_gaps(count));
    let len = clicks::write_gaps(isa, &scratch.offsets[..count], gaps);
    writer.count(count).bytes(&gaps[..len]);
    Ok(Some(record))
}

/// Gives double clicks a random bit each.
fn toss<E>(
    isa: Isa,
    [coins, laid]: &mut [Vec<u64>; 2],
    doubles: &[u64],
    draw: impl FnOnce(&mut [u8]) -> Result<(), E>,
    bits: &mut [u64],
) -> Result<(), E> {
    let count = usize::try_from(bits::count_ones(isa, doubles)).unwrap_or(usize::MAX);
    let mut bytes = Wiped(vec![0; count.div_ceil(8)]);
    draw(&mut bytes.0)?;
    let (coins, laid) = (room(coins, count.div_ceil(64)), room(laid, doubles.len()));
    for (coins, bytes) in coins.iter_mut().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        *coins = u64::from_le_bytes(eight);
    }
    bits::expand(isa, coins, doubles, laid);
    bits.iter_mut().zip(&*laid).for_each(|(bits, laid)| *bits |= laid);
    wipe(coins);
    wipe(laid);
    Ok(())
}

/// Bytes that the positions of so many clicks mostly take: gaps of one or two bytes.
pub(super) fn expected_positions(clicks: usize) -> usize {
    16 + 3 * clicks / 2
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

/// The gates of a positions message, as offsets.
pub(super) fn read_positions<'a>(
    isa: Isa,
    mut reader: Reader<'_>,
    gates: u32,
    most: usize,
    offsets: &'a mut Vec<u32>,
) -> Result<&'a [u32], Malformed> {
    let malformed = Malformed::Field { field: "positions" };
    let count = reader.count(most, "positions")?;
    let bytes = reader.bytes(reader.remaining())?;
    // A gap takes a byte at least: what the peer says cannot make us ask for more memory than it sent.
    let offsets = room(offsets, Some(count).filter(|count| *count <= bytes.len()).ok_or(malformed)?);
    match clicks::read_gaps(isa, bytes, gates, offsets) {
        Some(read) if read == bytes.len() => Ok(offsets),
        _ => Err(malformed),
    }
}

/// What a side tells of a frame after the block's last gate.
pub(super) fn announce(isa: Isa, scratch: &mut Scratch, record: &Record, writer: &mut Writer) {
    writer.bits(&record.test_basis);
    if let Some([low, high]) = &record.intensity {
        writer.bits(low).bits(high);
    }
    let mask = record.test_basis.words();
    let picked = room(&mut scratch.planes[0], mask.len());
    let len = bits::compress(isa, record.bits.words(), mask, picked);
    writer.words(picked, len);
}

/// Bytes that an announcement takes, at most.
pub(super) fn longest_announcement(record: &Record) -> usize {
    record.clicks() / 2 + 64
}

/// Sifts a frame: our record against the peer's announcement.
pub(super) fn sift(
    isa: Isa,
    scratch: &mut Scratch,
    record: &Record,
    mut reader: Reader<'_>,
) -> Result<Sifted, Malformed> {
    let told = if record.intensity.is_some() { None } else { Some(record.clicks()) };
    let announced = Announced::read(&mut reader, record.clicks(), told, &mut scratch.announced)?;
    reader.end()?;
    let intensity = record.intensity.as_ref().or(announced.intensity.as_ref());
    let sifted = match intensity.filter(|planes| !both_set(Some(planes))) {
        Some(planes) => Ok(join(isa, scratch, record, planes, &announced)),
        None => Err(Malformed::Field { field: "intensity" }),
    };
    scratch.announced = announced.into_memory();
    sifted
}

/// The peer's announcement of a frame.
struct Announced {
    test_basis: BitBlock,
    intensity: Option<[BitBlock; 2]>,
    test_bits: BitBlock,
}

impl Announced {
    /// Reads it into memory that was used before, with so many intensities if it tells any.
    fn read(
        reader: &mut Reader<'_>,
        clicks: usize,
        intensities: Option<usize>,
        memory: &mut [BitBlock; 4],
    ) -> Result<Self, Malformed> {
        let mut memory = memory.iter_mut().map(std::mem::take);
        let mut exactly = |len: usize| {
            let bits = reader.bits_into(memory.next().unwrap_or_default(), clicks, "announcement")?;
            if bits.len() == len { Ok(bits) } else { Err(Malformed::Field { field: "announcement" }) }
        };
        let test_basis = exactly(clicks)?;
        let intensity = match intensities {
            Some(len) => Some([exactly(len)?, exactly(len)?]),
            None => None,
        };
        let tests = usize::try_from(test_basis.count_ones()).unwrap_or(usize::MAX);
        Ok(Self { test_basis, intensity, test_bits: exactly(tests)? })
    }

    fn into_memory(self) -> [BitBlock; 4] {
        let [low, high] = self.intensity.unwrap_or_default();
        [self.test_basis, self.test_bits, low, high]
    }
}

/// Joins what we know of our own clicks with what the peer announced.
fn join(
    isa: Isa,
    scratch: &mut Scratch,
    own: &Record,
    [low, high]: &[BitBlock; 2],
    announced: &Announced,
) -> Sifted {
    let words = own.bits.words().len();
    let [their_bits, key, test, wrong, lit_test, lit_wrong] =
        scratch.planes.each_mut().map(|plane| room(plane, words));
    bits::expand(isa, announced.test_bits.words(), announced.test_basis.words(), their_bits);
    for i in 0..words {
        let word = |plane: &BitBlock| plane.words()[i];
        let (ours, theirs) = (word(&own.test_basis), word(&announced.test_basis));
        let in_frame = u64::MAX >> (64 * (i + 1)).saturating_sub(own.clicks());
        let detector = if own.intensity.is_none() { word(&own.bits) } else { their_bits[i] };
        (key[i], test[i]) = (!(ours | theirs) & in_frame, ours & theirs);
        wrong[i] = test[i] & (word(&own.bits) ^ their_bits[i]);
        (lit_test[i], lit_wrong[i]) = (test[i] & detector, wrong[i] & detector);
    }
    // By intensity: no gate has both bits set.
    let by_class = |plane: &[u64]| {
        let [first, second] = [low, high].map(|class| bits::common(isa, plane, class.words()));
        [bits::count_ones(isa, plane) - first - second, first, second]
    };
    let by_detector = |all: [u64; 3], lit: [u64; 3]| [0, 1, 2].map(|k| [all[k] - lit[k], lit[k]]);
    let mut picked = Wiped(vec![0; words]);
    let len = bits::compress(isa, own.bits.words(), key, &mut picked.0);
    let bits = BitBlock::from_words(std::mem::take(&mut picked.0), len);
    let mut sifted = Sifted { bits, ..Sifted::default() };
    let (test, wrong) = (by_class(test), by_class(wrong));
    let clicks = own.clicks() as u64;
    sifted.tally = Tally { clicks, key: by_class(key), test, test_errors: wrong };
    let (lit_test, lit_wrong) = (by_class(lit_test), by_class(lit_wrong));
    sifted.by_detector =
        ByDetector { events: by_detector(test, lit_test), errors: by_detector(wrong, lit_wrong) };
    sifted
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Settings, click};
    use super::*;
    use proptest::prelude::*;
    use std::convert::Infallible;

    /// What Bob tells and remembers if all coins show this.
    fn measured(isa: Isa, frame: &BobFrame, coin: bool, dead: Dead) -> (Vec<u8>, Record) {
        let (mut scratch, mut writer) = (Scratch::default(), Writer::new());
        let draw = |bytes: &mut [u8]| -> Result<(), Infallible> {
            bytes.fill(if coin { u8::MAX } else { 0 });
            Ok(())
        };
        let Ok(record) = measure(isa, &mut scratch, frame, dead, draw, &mut writer);
        (writer.finish(), record.expect("the frame is in order"))
    }

    /// What Alice remembers if every gate clicked.
    fn prepared(settings: &[u8]) -> Result<Record, Abort> {
        let packed = settings.chunks(2).map(|two| two[0] | two.get(1).unwrap_or(&0) << 4).collect();
        let gates = u32::try_from(settings.len()).expect("few");
        let frame = AliceFrame { first_gate: 0, gates, settings: Settings::Packed(packed) };
        Record::prepared(Isa::best(), &frame, &(0..gates).collect::<Vec<_>>())
    }

    fn announced(record: &Record) -> Vec<u8> {
        let mut writer = Writer::new();
        announce(Isa::best(), &mut Scratch::default(), record, &mut writer);
        writer.finish()
    }

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
                let bit = (setting & 1 != 0) != *wrong;
                let detector = if bit { click::DETECTOR_1 } else { click::DETECTOR_0 };
                frame.clicks.push(detector | if *test { click::TEST_BASIS } else { 0 });
                settings.push(*setting);
            }
            let isa = Isa::best();
            let (positions, bob) = measured(isa, &frame, false, Dead { gates: 0, live_from: 0 });
            let mut offsets = Vec::new();
            let offsets = read_positions(isa, Reader::new(&positions), frame.gates, 200, &mut offsets);
            prop_assert_eq!(offsets, Ok(&frame.offsets[..]));
            let alice = prepared(&settings).expect("three intensities");
            let (from_alice, from_bob) = (announced(&alice), announced(&bob));
            // Memory that other frames left behind.
            let mut scratch = Scratch::default();
            scratch.planes.iter_mut().for_each(|plane| plane.resize(7, !0));
            let ours = sift(isa, &mut scratch, &alice, Reader::new(&from_bob)).expect("an honest announcement");
            let theirs = sift(isa, &mut scratch, &bob, Reader::new(&from_alice)).expect("an honest announcement");
            prop_assert_eq!(ours.tally, theirs.tally);
            prop_assert_eq!(ours.by_detector, theirs.by_detector);
            let by_intensity = theirs.by_detector.errors.map(|[first, second]| first + second);
            prop_assert_eq!(by_intensity, theirs.tally.test_errors);
            let lit = |(_, s, t, w): &(u32, u8, bool, bool)| *t && s & 2 != 0 && (s & 1 != 0) != *w;
            let of_detector_1: u64 = ours.by_detector.events.iter().map(|[_, events]| events).sum();
            prop_assert_eq!(of_detector_1, events.iter().filter(|event| lit(event)).count() as u64);
            let wrong = events.iter().filter(|(_, s, t, w)| *w && !*t && s & 2 == 0).count();
            let distance = ours.bits.words().iter().zip(theirs.bits.words());
            prop_assert_eq!(distance.map(|(a, b)| (a ^ b).count_ones() as usize).sum::<usize>(), wrong);
            let test_errors = events.iter().filter(|(_, s, t, w)| *w && *t && s & 2 != 0).count();
            prop_assert_eq!(ours.tally.test_errors.iter().sum::<u64>(), test_errors as u64);
        }

        #[test]
        fn no_bytes_make_sifting_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read_positions(Isa::best(), Reader::new(&bytes), 1000, 100, &mut Vec::new());
            let prepared = prepared(&[3; 20]).expect("intensity 0");
            let mut scratch = Scratch::default();
            let _ = sift(Isa::best(), &mut scratch, &prepared, Reader::new(&bytes));
            let measured = Record { test_basis: BitBlock::zeros(20), bits: BitBlock::zeros(20), intensity: None };
            let _ = sift(Isa::best(), &mut scratch, &measured, Reader::new(&bytes));
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
        for coin in [false, true] {
            let (_, record) = measured(Isa::best(), &frame, coin, Dead { gates: 1, live_from: 0 });
            assert_eq!(&record.bits, &BitBlock::from_bools(&[coin; 2]), "gate 4 is dead; coins {coin}");
        }
    }

    #[test]
    fn a_fourth_intensity_is_refused_on_either_side() {
        let refused = prepared(&[0, 4, 12, 8]);
        assert!(matches!(refused, Err(Abort::Unusable { .. })), "our own source's: {refused:?}");
        let measured = Record { test_basis: BitBlock::zeros(2), bits: BitBlock::zeros(2), intensity: None };
        let mut told = Writer::new();
        for plane in [[false, false], [false, true], [false, true]] {
            told.bits(&BitBlock::from_bools(&plane));
        }
        told.bits(&BitBlock::default());
        let heard = sift(Isa::best(), &mut Scratch::default(), &measured, Reader::new(&told.finish()));
        assert!(heard.is_err_and(|wrong| wrong == Malformed::Field { field: "intensity" }), "the peer's");
    }

    /// The gates that are told of a frame with clicks in these, all of the same detector.
    fn told(offsets: &[u32], dead_gates: u32, live_from: u32) -> Vec<u32> {
        let clicks = vec![click::DETECTOR_0; offsets.len()];
        let frame = BobFrame { first_gate: 0, gates: 100, offsets: offsets.to_vec(), clicks };
        let dead = Dead { gates: dead_gates, live_from };
        let (positions, _) = measured(Isa::best(), &frame, false, dead);
        let mut offsets = Vec::new();
        read_positions(Isa::best(), Reader::new(&positions), 100, 100, &mut offsets)
            .expect("our own")
            .to_vec()
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
