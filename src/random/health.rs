//! Health tests of a source of randomness, and of the raw key: fail closed.
//!
//! # The source
//!
//! [`Tested`] wraps a source. It looks at every byte that passes and never lets one pass after a failure:
//!
//! - **Repetition count** (NIST SP 800-90B, §4.4.1): C equal bytes in a row, C = 1 + ⌈60/H⌉.
//! - **Adaptive proportion** (§4.4.2): of a window of 512 bytes, the first comes C' times, with
//!   Pr[1 + Bin(511, 2^−H) ≥ C'] ≤ 2⁻⁶⁰.
//! - **Repeated block** (as in FIPS 140-2, §4.9.2): a draw of 16 bytes or more begins like the one before.
//! - **Start-up** (§4.3): [`STARTUP_BYTES`] bytes pass the tests before the first is given out; they are
//!   thrown away.
//!
//! H = 8 bits a byte: all sources here promise uniform bytes. A false alarm has a chance of 2⁻⁶⁰ a byte or
//! window: at 10 MB a second one in thousands of years. The tests find a source that is stuck, cut off or
//! grossly biased; they cannot show that one is uniform.
//!
//! # The raw key
//!
//! [`raw_key`] finds a detector that is blind, a bias of more than [`MOST_BIAS`], or neighbours that
//! repeat more often than [`MOST_REPETITION`] allows. A block that shows it is given up.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::{Zeroize, Zeroizing};

use super::{Draw, Foundation, Purpose, RandomFailure, RandomSource};
use crate::bounds::binomial::ln_at_most;

/// Bytes that a source must give before the first is used.
pub const STARTUP_BYTES: usize = 4096;

/// Bytes in a window of the adaptive proportion test.
const WINDOW: u64 = 512;
/// −log₂ of the chance of a false alarm of a test.
const ALARM_BITS: u32 = 60;
/// H, the entropy claimed a byte.
const ENTROPY_BITS: u32 = 8;
/// C of the repetition count test.
const MOST_IN_A_ROW: u32 = 1 + ALARM_BITS.div_ceil(ENTROPY_BITS);

/// A source of randomness under continuous tests.
///
/// After the first failure it gives nothing any more: make a new one when the device is repaired.
pub struct Tested {
    source: Arc<dyn RandomSource>,
    monitor: Mutex<Monitor>,
}

impl Tested {
    /// Puts a source under test; its start-up test runs before the first draw.
    #[must_use]
    pub fn new(source: Arc<dyn RandomSource>) -> Self {
        Self { source, monitor: Mutex::new(Monitor::new()) }
    }

    /// Runs the start-up test, once: who draws meanwhile waits for its end.
    fn begin(&self) -> Result<(), RandomFailure> {
        let mut monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        if monitor.begun {
            return Ok(());
        }
        let mut bytes = Zeroizing::new(vec![0; STARTUP_BYTES]);
        self.source.draw(Draw { block: 0, purpose: Purpose::HealthTest, index: 0 }, &mut bytes)?;
        monitor.watch(&bytes)?;
        monitor.begun = true;
        Ok(())
    }
}

impl RandomSource for Tested {
    fn draw(&self, draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure> {
        self.begin()?;
        self.source.draw(draw, out)?;
        let watched = self.monitor.lock().unwrap_or_else(PoisonError::into_inner).watch(out);
        if watched.is_err() {
            out.zeroize();
        }
        watched
    }

    fn foundation(&self) -> Foundation {
        self.source.foundation()
    }
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tested({:?})", self.source)
    }
}

/// The state of the tests. It compares bytes without branching on them, and wipes those that it holds.
struct Monitor {
    begun: bool,
    failed: Option<&'static str>,
    last: Zeroizing<u8>,
    in_a_row: u32,
    longest: u32,
    reference: Zeroizing<u8>,
    seen: u64,
    alike: u64,
    most_alike: u64,
    block: Zeroizing<[u8; 16]>,
}

impl Monitor {
    fn new() -> Self {
        Self {
            begun: false,
            failed: None,
            last: Zeroizing::new(0),
            in_a_row: 0,
            longest: 0,
            reference: Zeroizing::new(0),
            seen: 0,
            alike: 0,
            most_alike: most_alike(WINDOW),
            block: Zeroizing::new([0; 16]),
        }
    }

    fn watch(&mut self, bytes: &[u8]) -> Result<(), RandomFailure> {
        if self.failed.is_none() {
            self.failed = self.find(bytes);
        }
        let failure = |test: &str| RandomFailure { reason: format!("it failed the {test} test") };
        self.failed.map_or(Ok(()), |test| Err(failure(test)))
    }

    /// The test that these bytes fail.
    fn find(&mut self, bytes: &[u8]) -> Option<&'static str> {
        let mut proportion = false;
        for byte in bytes {
            self.in_a_row = 1 + self.in_a_row * u32::from(*byte == *self.last);
            *self.last = *byte;
            self.longest = self.longest.max(self.in_a_row);
            if self.seen == 0 {
                (*self.reference, self.alike) = (*byte, 0);
            }
            self.alike += u64::from(*byte == *self.reference);
            proportion |= self.alike >= self.most_alike;
            self.seen = (self.seen + 1) % WINDOW;
        }
        let mut repeated = false;
        if let Some(block) = bytes.first_chunk::<16>() {
            repeated = *block == *self.block;
            *self.block = *block;
        }
        [
            (self.longest >= MOST_IN_A_ROW, "repetition count"),
            (proportion, "adaptive proportion"),
            (repeated, "repeated block"),
        ]
        .into_iter()
        .find_map(|(failed, test)| failed.then_some(test))
    }
}

/// C': the least count of the first byte of a window that has a chance of at most 2^−60.
fn most_alike(window: u64) -> u64 {
    let others = window - 1;
    let differs = 1.0 - libm::exp2(-f64::from(ENTROPY_BITS));
    let claim = -f64::from(ALARM_BITS) * std::f64::consts::LN_2;
    // At least k of the others are alike: at most as many as are left differ.
    (1..=others).find(|k| ln_at_most(others - k, others, differs) <= claim).map_or(window, |k| k + 1)
}

/// Largest share of ones above or below one half that raw key may have.
pub const MOST_BIAS: f64 = 0.02;
/// Largest share of equal neighbours above or below one half: afterpulses repeat a bit now and then.
pub const MOST_REPETITION: f64 = 0.05;
/// Standard errors that are granted to chance besides.
const DEVIATIONS: f64 = 7.0;

/// What is wrong with a raw key.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Implausible {
    /// One value is too frequent.
    #[error("{share:.4} of the raw key's bits are ones: check detectors and modulators")]
    Biased {
        /// The share of ones.
        share: f64,
    },
    /// Neighbours repeat or alternate too often.
    #[error("{share:.4} of the raw key's bits equal the one before: check dead time and afterpulses")]
    Repeating {
        /// The share of bits equal to the one before.
        share: f64,
    },
}

/// Tests the bias and the runs of a block's raw key of `bits` bits, packed from the lowest.
///
/// The bits of `words` beyond them are zero. Their sum decides, no bit alone does.
///
/// # Errors
/// [`Implausible`] with the share that is out of range; it tells nothing of single bits.
pub fn raw_key(words: &[u64], bits: usize) -> Result<(), Implausible> {
    if bits < 2 {
        return Ok(());
    }
    let ones: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
    let mut changes = 0;
    let mut before = words.first().map_or(0, |word| word & 1);
    for word in words {
        changes += u64::from((word ^ (word << 1 | before)).count_ones());
        before = word >> 63;
    }
    // The last bit and the zero behind it are no neighbours.
    if !bits.is_multiple_of(64) {
        changes -= words.get(bits / 64).map_or(0, |word| word >> (bits % 64 - 1) & 1);
    }
    let neighbours = (bits - 1) as f64;
    let out = |share: f64, trials: f64, limit: f64| {
        (share - 0.5).abs() > limit + DEVIATIONS * 0.5 / libm::sqrt(trials)
    };
    let share = ones as f64 / bits as f64;
    if out(share, bits as f64, MOST_BIAS) {
        return Err(Implausible::Biased { share });
    }
    let share = 1.0 - changes as f64 / neighbours;
    if out(share, neighbours, MOST_REPETITION) {
        return Err(Implausible::Repeating { share });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OperatingSystem;

    /// A source that gives what a function says of the place in the stream.
    struct Scripted(Mutex<u64>, fn(u64) -> u8);

    impl fmt::Debug for Scripted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Scripted")
        }
    }

    impl RandomSource for Scripted {
        fn draw(&self, _draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure> {
            let mut place = self.0.lock().expect("one thread");
            for byte in out {
                *byte = (self.1)(*place);
                *place += 1;
            }
            Ok(())
        }
    }

    const DRAW: Draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };

    /// Bytes that look uniform: the top of a multiplied counter, mixed.
    fn mixed(place: u64) -> u8 {
        let z = (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb) >> 56) as u8
    }

    fn first_failure(script: fn(u64) -> u8) -> (u64, String) {
        let tested = Tested::new(Arc::new(Scripted(Mutex::new(0), script)));
        let mut out = [1; 100];
        for draw in 0..1_000 {
            if let Err(failure) = tested.draw(DRAW, &mut out) {
                assert!(tested.draw(DRAW, &mut out).is_err(), "once failed, closed for good");
                return (draw, failure.reason);
            }
        }
        (u64::MAX, String::new())
    }

    #[test]
    fn uniform_bytes_pass() {
        assert_eq!(first_failure(mixed).0, u64::MAX, "a hundred thousand bytes");
        let tested = Tested::new(Arc::new(OperatingSystem));
        let mut out = vec![0; 1 << 20];
        tested.draw(DRAW, &mut out).expect("the operating system's generator");
        assert_eq!(tested.foundation(), Foundation::Computational, "what it rests on does not change");
    }

    /// Keyed by what is drawn, as simulations are, and slow at the start.
    #[derive(Debug)]
    struct Keyed;

    impl RandomSource for Keyed {
        fn draw(&self, draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure> {
            if draw.purpose == Purpose::HealthTest {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let first = (draw.index + 1) << 32;
            out.iter_mut().zip(first..).for_each(|(byte, place)| *byte = mixed(place));
            Ok(())
        }
    }

    #[test]
    fn threads_that_begin_at_once_start_the_source_once() {
        let tested = Tested::new(Arc::new(Keyed));
        let draw = |index: u64| tested.draw(Draw { index, ..DRAW }, &mut [0; 64]);
        let failed = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=4).map(|index| scope.spawn(move || draw(index))).collect();
            threads.into_iter().find_map(|thread| thread.join().expect("it ends").err())
        });
        assert_eq!(failed, None, "one start-up test, whatever the threads do");
    }

    #[test]
    fn cutoffs_are_those_of_the_standard() {
        assert_eq!(MOST_IN_A_ROW, 9, "1 + ⌈60/8⌉");
        let (others, differs) = (511, 255.0 / 256.0);
        let chance = |count: u64| ln_at_most(others + 1 - count, others, differs) / std::f64::consts::LN_2;
        let cutoff = most_alike(512);
        assert!(chance(cutoff) <= -60.0 && chance(cutoff - 1) > -60.0, "{cutoff} at 2^{}", chance(cutoff));
        for (window, expected) in [(8, 8), (9, 9), (546, 26), (547, 27)] {
            assert_eq!(most_alike(window), expected, "of fifty digits, in a window of {window}");
        }
        assert_eq!(
            cutoff, 26,
            "1 + 25: of fifty digits, Pr[Bin(511, 1/256) ≥ 25] is 2⁻⁶² and ≥ 24 above 2⁻⁶⁰"
        );
    }

    #[test]
    fn a_source_that_is_broken_from_the_start_gives_nothing() {
        let (draw, reason) = first_failure(|_| 0);
        assert!(draw == 0 && reason.contains("repetition count"), "stuck: {draw}, {reason}");
        let few = |place: u64| if place.is_multiple_of(3) { mixed(place) } else { (place % 7) as u8 };
        let (draw, reason) = first_failure(few);
        assert!(draw == 0 && reason.contains("adaptive proportion"), "few values: {draw}, {reason}");
    }

    #[test]
    fn a_source_that_breaks_later_is_found_and_its_bytes_are_wiped() {
        let script = |place: u64| if place < 10_000 { mixed(place) } else { 7 };
        let tested = Tested::new(Arc::new(Scripted(Mutex::new(0), script)));
        let mut out = [1; 64];
        let mut draws = 0;
        while tested.draw(DRAW, &mut out).is_ok() {
            draws += 1;
            out = [1; 64];
        }
        assert_eq!(draws, (10_000 - STARTUP_BYTES as u64 + 8) / 64, "the ninth equal byte in a row");
        assert_eq!(out, [0; 64], "what was drawn is wiped");
        let (_, reason) = first_failure(|place| mixed(if place < 8_192 { place } else { place % 100 }));
        assert!(reason.contains("repeated block"), "a hundred bytes again and again: {reason}");
        let (_, reason) =
            first_failure(|place| if place > 9_000 && place % 12 == 0 { 3 } else { mixed(place) });
        assert!(reason.contains("adaptive proportion"), "one byte in twelve is stuck: {reason}");
    }

    fn packed(len: usize, bit: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut words = vec![0; len.div_ceil(64)];
        (0..len).filter(|i| bit(*i)).for_each(|i| words[i / 64] |= 1 << (i % 64));
        words
    }

    #[test]
    fn raw_keys_that_cannot_be_are_found() {
        let coin = |i: usize| mixed(i as u64) & 1 == 1;
        for len in [0, 1, 63, 64, 65, 1_000, 100_003] {
            assert_eq!(raw_key(&packed(len, coin), len), Ok(()), "{len} coins");
        }
        let biased = raw_key(&packed(100_000, |i| mixed(i as u64) < 137), 100_000);
        assert!(
            matches!(biased, Err(Implausible::Biased { share }) if share > 0.53),
            "137 of 256: {biased:?}"
        );
        let zeros = raw_key(&packed(100_000, |_| false), 100_000);
        assert_eq!(zeros, Err(Implausible::Biased { share: 0.0 }), "a blind detector");
        for len in [63, 65, 127, 129, 99_999, 100_000, 100_032] {
            let alternating = raw_key(&packed(len, |i| i % 2 == 0), len);
            assert_eq!(
                alternating,
                Err(Implausible::Repeating { share: 0.0 }),
                "exactly no neighbours alike"
            );
            let pairs = raw_key(&packed(len, |i| i % 4 < 2), len);
            assert_eq!(pairs, Ok(()), "half of the neighbours are alike");
        }
        let sticky = raw_key(&packed(100_000, |i| coin(i / 8) ^ (i % 8 == 7 && coin(i))), 100_000);
        assert!(matches!(sticky, Err(Implausible::Repeating { share }) if share > 0.8), "{sticky:?}");
    }

    /// A window whose first byte comes at these places, all others differing from their neighbours, and the byte after
    /// the window.
    fn window(first_again: std::ops::Range<usize>, next: u8) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..512).map(|place| 1 + (place % 200) as u8).collect();
        bytes[0] = 255;
        bytes[first_again].iter_mut().step_by(2).for_each(|byte| *byte = 255);
        bytes.push(next);
        bytes
    }

    #[test]
    fn a_window_has_512_bytes_and_bears_25_that_are_alike() {
        let passes = |bytes: &[u8]| Monitor::new().watch(bytes).is_ok();
        assert!(passes(&window(100..148, 1)), "the first and 24 others");
        assert!(!passes(&window(100..150, 1)), "the first and 25 others");
        assert!(!passes(&window(463..512, 1)), "of which one is the window's last byte");
        assert!(passes(&window(464..512, 255)), "a byte after the window is the first of the next");
        let windows = window(100..148, 1)[..512].repeat(3);
        assert!(passes(&windows), "every window is counted by itself");
    }

    #[test]
    fn nine_equal_bytes_fail_and_eight_do_not() {
        let run = |len: usize| -> Vec<u8> {
            (0..40).map(|place| if (10..10 + len).contains(&place) { 77 } else { place as u8 }).collect()
        };
        assert!(Monitor::new().watch(&run(8)).is_ok(), "eight");
        assert!(Monitor::new().watch(&run(9)).is_err(), "nine");
        let (mut split, bytes) = (Monitor::new(), run(9));
        assert!(split.watch(&bytes[..14]).is_ok() && split.watch(&bytes[14..]).is_err(), "over two draws");
    }

    #[test]
    fn a_draw_that_begins_like_the_one_before_fails_from_16_bytes_on() {
        let draw: Vec<u8> = (1..=20).collect();
        for (len, fails) in [(15, false), (16, true), (20, true)] {
            let mut monitor = Monitor::new();
            monitor.watch(&draw[..len]).expect("the first draw");
            assert_eq!(monitor.watch(&draw[..len]).is_err(), fails, "{len} bytes again");
        }
    }

    #[test]
    fn the_raw_keys_limits_are_to_the_bit() {
        // Of 10⁶ bits: 0.02 and seven standard errors of 0.0005.
        let bits = 1_000_000;
        let ones = |count: usize| raw_key(&packed(bits, |i| (i * 250_007) % bits < count), bits);
        assert_eq!((ones(523_499), ones(476_501)), (Ok(()), Ok(())), "within");
        assert!(matches!(ones(523_501), Err(Implausible::Biased { share }) if share > 0.5), "too many");
        assert!(matches!(ones(476_499), Err(Implausible::Biased { share }) if share < 0.5), "too few");
        // Pairs of equal bits, then alternating ones: 0.05 and 0.0035 from a half of 999 999 neighbours.
        let alike = |count: usize| {
            let bit = |i: usize| if i <= 2 * count { i / 2 % 2 == 1 } else { i % 2 == 1 };
            raw_key(&packed(bits, bit), bits)
        };
        assert_eq!(alike(446_500), Ok(()), "within");
        assert!(matches!(alike(446_498), Err(Implausible::Repeating { share }) if share < 0.5), "too few");
    }

    #[test]
    fn a_source_under_test_shows_what_it_is() {
        assert_eq!(
            format!("{:?}", Tested::new(Arc::new(Keyed))),
            "Tested(Keyed)",
            "and no state of the tests"
        );
    }
}
