//! Detections of the BB84 receiver, gate by gate but only where something may happen.
//!
//! Gates are cut into cells of 16 384. In each, candidates are drawn at the greatest probability that a
//! gate clicks of itself (geometric gaps), and the setting of a candidate's gate, which is a function of
//! its index on Alice's side too, decides whether it clicks and how. Afterpulses and dead gates are added
//! cell by cell, in order; they need the cell before a frame's first, which is drawn again. Where the link drifts, a run of
//! cells clicks by the rule of its first gate's time.

use keystill_kernels::noise::{Cell, Detection, ROOM};
use keystill_kernels::{Isa, noise};

use crate::bb84::frame::{AliceFrame, BobFrame, Settings, SimulatedCounter, click};
use crate::channel::{ClickModel, Course, Scenario};

use super::world_key;

/// Gates of a cell.
const CELL: u64 = CELL_GATES as u64;
const CELL_GATES: u32 = 1 << 14;
/// Room for a cell's clicks.
const CELL_ROOM: usize = (1 << 14) + ROOM;
/// Cells that click by one rule: 4 ms at 1 GHz.
const RUN: u64 = 256;
/// Room for a cell's words in the stream of gaps, in blocks: as many words as gates, in groups of sixteen blocks.
const CELL_STRIDE: u64 = CELL / 16 + 16;

/// The raw frames of both ends of a BB84 link.
#[derive(Clone, Debug)]
pub struct Bb84Source {
    gates_per_frame: u32,
    settings: SimulatedCounter,
    /// The rule at the beginning; what it says of memory holds for ever.
    clicks: ClickModel,
    course: Course,
    clock_hz: f64,
    /// The probability that Bob tests.
    test_threshold: f64,
    /// 1/ln(1 − p) of the afterpulses' delays.
    delay_inverse: f64,
    gap_key: [u32; 8],
    afterpulse_key: [u32; 8],
    delay_key: [u32; 8],
}

/// A gate that clicked, of itself or by an afterpulse.
#[derive(Clone, Copy)]
struct Click {
    gate: u64,
    byte: u8,
}

/// An afterpulse that is due, and the word that says whether it causes another.
#[derive(Clone, Copy)]
struct Due {
    click: Click,
    trigger: u32,
}

const BOTH: u8 = click::DETECTOR_0 | click::DETECTOR_1;

/// Gates of a cell that click of themselves if they are live, in order.
struct Clicks {
    first_gate: u64,
    /// How many they are, of the room that the kernel wants.
    found: usize,
    offsets: Vec<u32>,
    bytes: Vec<u8>,
}

impl Clicks {
    fn new() -> Self {
        Self { first_gate: 0, found: 0, offsets: vec![0; CELL_ROOM], bytes: vec![0; CELL_ROOM] }
    }

    fn gate(&self, place: usize) -> u64 {
        self.first_gate + u64::from(self.offsets[place])
    }

    fn get(&self, place: usize) -> Click {
        Click { gate: self.gate(place), byte: self.bytes[place] }
    }

    fn gates(&self) -> impl Iterator<Item = u64> + '_ {
        self.offsets[..self.found].iter().map(|offset| self.first_gate + u64::from(*offset))
    }
}

/// What the receiver saw of a frame, in order, and what it remembers.
struct Seen {
    first_gate: u64,
    /// Clicks of the frame; behind them is room.
    len: usize,
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    /// Gates from a click to the first at which the receiver sees again.
    dead: u64,
    live_from: u64,
    /// Afterpulses that are due.
    pending: Vec<Due>,
}

impl Seen {
    /// Nothing, with room for as many clicks as are likely.
    fn new(first_gate: u64, dead: u64, likely: usize) -> Self {
        let (offsets, bytes) = (vec![0; likely], vec![0; likely]);
        Self { first_gate, len: 0, offsets, bytes, dead, live_from: 0, pending: Vec::new() }
    }

    /// Adds a click unless the receiver is dead; whether it did.
    fn push(&mut self, click: Click) -> bool {
        self.make_room(1);
        let live = click.gate >= self.live_from;
        self.put(click);
        live
    }

    /// Adds some clicks, each unless the receiver is dead.
    fn append(&mut self, own: &Clicks, places: std::ops::Range<usize>) {
        self.make_room(places.len());
        for (offset, byte) in own.offsets[places.clone()].iter().zip(&own.bytes[places]) {
            self.put(Click { gate: own.first_gate + u64::from(*offset), byte: *byte });
        }
    }

    /// Without branches: which clicks are lost is as good as random. What lies before the frame is not kept.
    #[inline]
    fn put(&mut self, click: Click) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a frame is below 2^31 gates, and what is not in it is not kept"
        )]
        let offset = click.gate.wrapping_sub(self.first_gate) as u32;
        (self.offsets[self.len], self.bytes[self.len]) = (offset, click.byte);
        let live = click.gate >= self.live_from;
        self.live_from = if live { click.gate + self.dead } else { self.live_from };
        self.len += usize::from(live & (click.gate >= self.first_gate));
    }

    fn make_room(&mut self, more: usize) {
        let room = self.len + more;
        if room > self.offsets.len() {
            self.offsets.resize(2 * room, 0);
            self.bytes.resize(2 * room, 0);
        }
    }
}

/// What becomes of candidates drawn at the greatest probability of a rule, if Bob tests with this probability.
fn detection(rule: &ClickModel, thresholds: [u32; 5], test: f64) -> Detection {
    let words = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of 2^32, or all of it"
        )]
        let words = libm::round(share.clamp(0.0, 1.0) * 4_294_967_296.0) as u32;
        words
    };
    let mut bounds = [[0; 16]; 6];
    for place in 0..16 {
        let (bit, alice_test, intensity) = (place & 1, place & 2 != 0, (place >> 2).min(2));
        let mut sum = 0.0;
        for (kind, bounds) in bounds.iter_mut().enumerate() {
            let bob_test = kind >= 3;
            let table = if alice_test == bob_test { &rule.matched } else { &rule.crossed };
            let basis = if bob_test { test } else { 1.0 - test };
            sum += basis * table[bit][intensity][kind % 3];
            bounds[place] = words(sum / rule.most());
        }
    }
    Detection { thresholds, bounds }
}

/// How gates click of themselves, as the kernel has it.
#[derive(Default)]
struct Rule {
    inverse: f32,
    /// None where nothing ever clicks.
    detection: Option<Detection>,
}

impl Bb84Source {
    /// The sources of a scenario under a seed.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let bb84 = &scenario.bb84;
        let course = Course::new(scenario, seed);
        Self {
            gates_per_frame: gates_per_frame(bb84.frame_ms, bb84.clock_ghz),
            settings: SimulatedCounter {
                key: world_key(seed, "bb84 settings"),
                thresholds: thresholds(bb84.probabilities, bb84.test_probability),
            },
            delay_inverse: 1.0 / libm::log1p(-1.0 / bb84.afterpulse_gates.max(1.000_001)),
            clicks: course.clicks(0.0),
            course,
            clock_hz: bb84.clock_ghz * 1e9,
            test_threshold: bb84.test_probability,
            gap_key: world_key(seed, "bb84 gaps"),
            afterpulse_key: world_key(seed, "bb84 afterpulses"),
            delay_key: world_key(seed, "bb84 delays"),
        }
    }

    /// Gates in a frame.
    #[must_use]
    pub fn gates_per_frame(&self) -> u32 {
        self.gates_per_frame
    }

    fn first_gate(&self, index: u64) -> u64 {
        index * u64::from(self.gates_per_frame)
    }

    /// Alice's settings of a frame, as the rule that gives them.
    #[must_use]
    pub fn alice_frame(&self, index: u64) -> AliceFrame {
        AliceFrame {
            first_gate: self.first_gate(index),
            gates: self.gates_per_frame,
            settings: Settings::SimulatedCounter(self.settings.clone()),
        }
    }

    /// Bob's detections of a frame.
    #[must_use]
    pub fn bob_frame(&self, isa: Isa, index: u64) -> BobFrame {
        let first_gate = self.first_gate(index);
        let end = first_gate + u64::from(self.gates_per_frame);
        let mut run = u64::MAX;
        let mut rule = Rule::default();
        let (mut own, mut seen) = (Clicks::new(), self.nothing_seen(first_gate));
        for cell in (first_gate / CELL).saturating_sub(1)..end.div_ceil(CELL) {
            if cell / RUN != run {
                run = cell / RUN;
                rule = self.rule(run);
            }
            self.own_clicks(isa, cell, &rule, &mut own);
            own.found = own.gates().take_while(|gate| *gate < end).count();
            self.remember(isa, &own, &mut seen);
        }
        self.due_before(isa, end, &mut seen);
        seen.offsets.truncate(seen.len);
        seen.bytes.truncate(seen.len);
        BobFrame { first_gate, gates: self.gates_per_frame, offsets: seen.offsets, clicks: seen.bytes }
    }

    fn nothing_seen(&self, first_gate: u64) -> Seen {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a frame's gates"
        )]
        let likely = (f64::from(self.gates_per_frame) * self.clicks.own(0).min(1.0)) as usize;
        Seen::new(first_gate, 1 + u64::from(self.clicks.dead_gates), likely + CELL_ROOM)
    }

    /// How the gates of a run of cells click of themselves.
    fn rule(&self, run: u64) -> Rule {
        if self.course.is_steady() {
            return self.rule_of(&self.clicks);
        }
        let seconds = (run * RUN * CELL) as f64 / self.clock_hz;
        self.rule_of(&self.course.clicks(seconds))
    }

    fn rule_of(&self, clicks: &ClickModel) -> Rule {
        let most = clicks.most();
        #[expect(clippy::cast_possible_truncation, reason = "the kernel's precision")]
        let inverse = (1.0 / libm::log1p(-most)) as f32;
        let of = || detection(clicks, self.settings.thresholds, self.test_threshold);
        Rule { inverse, detection: (most > 0.0).then(of) }
    }

    /// The gates of a cell that click of themselves if they are live, in order.
    fn own_clicks(&self, isa: Isa, cell: u64, rule: &Rule, own: &mut Clicks) {
        own.first_gate = cell * CELL;
        let of = Cell {
            first_gate: own.first_gate,
            gates: CELL_GATES,
            gap_key: &self.gap_key,
            first_block: cell * CELL_STRIDE,
            inverse: rule.inverse,
            gate_key: &self.settings.key,
        };
        own.found = match &rule.detection {
            Some(rule) => noise::detect(isa, rule, &of, &mut own.offsets, &mut own.bytes),
            None => 0,
        };
    }

    /// Adds a cell's clicks with their afterpulses, without what falls into dead gates.
    fn remember(&self, isa: Isa, own: &Clicks, seen: &mut Seen) {
        let mut caused = self.caused(isa, own).into_iter().peekable();
        let mut place = 0;
        while place < own.found {
            let cause = caused.peek().map_or(own.found, |(cause, _)| *cause);
            if seen.pending.is_empty() && place < cause {
                seen.append(own, place..cause);
                place = cause;
                continue;
            }
            let click = own.get(place);
            self.due_before(isa, click.gate, seen);
            seen.pending.retain(|due| due.click.gate != click.gate);
            let due = caused.next_if(|(cause, _)| *cause == place);
            if seen.push(click) {
                seen.pending.extend(due.map(|(_, due)| due));
            }
            place += 1;
        }
    }

    /// The afterpulses that clicks cause where they are not lost themselves, and by which of them.
    fn caused(&self, isa: Isa, own: &Clicks) -> Vec<(usize, Due)> {
        let gates: Vec<u64> = own.gates().collect();
        let triggers = self.words_at(isa, &self.afterpulse_key, &gates);
        let limit = below(self.clicks.afterpulse_probability);
        let places: Vec<usize> =
            (0..triggers.len()).filter(|place| u64::from(triggers[*place]) < limit).collect();
        let gates: Vec<u64> = places.iter().map(|place| own.gate(*place)).collect();
        let delays = self.words_at(isa, &self.delay_key, &gates);
        let afterpulses: Vec<Click> = places
            .iter()
            .zip(&delays)
            .map(|(place, delay)| self.afterpulse(own.get(*place), triggers[*place], *delay))
            .collect();
        let gates: Vec<u64> = afterpulses.iter().map(|click| click.gate).collect();
        let further = self.words_at(isa, &self.afterpulse_key, &gates);
        let dues = afterpulses.into_iter().zip(further).map(|(click, trigger)| Due { click, trigger });
        places.into_iter().zip(dues).collect()
    }

    /// The afterpulses due before a gate, in order; each may cause another.
    fn due_before(&self, isa: Isa, gate: u64, seen: &mut Seen) {
        while let Some(place) = (0..seen.pending.len()).min_by_key(|place| seen.pending[*place].click.gate) {
            if seen.pending[place].click.gate >= gate {
                break;
            }
            let Due { click, trigger } = seen.pending.swap_remove(place);
            if seen.push(click) && u64::from(trigger) < below(self.clicks.afterpulse_probability) {
                let delay = self.words_at(isa, &self.delay_key, &[click.gate]);
                let click = self.afterpulse(click, trigger, delay[0]);
                let further = self.words_at(isa, &self.afterpulse_key, &[click.gate]);
                seen.pending.push(Due { click, trigger: further[0] });
            }
        }
    }

    fn words_at(&self, isa: Isa, key: &[u32; 8], gates: &[u64]) -> Vec<u32> {
        let mut words = vec![0; gates.len()];
        noise::gate_words(isa, key, gates, &mut words);
        words
    }

    /// The afterpulse of a click that causes one: in the detector that clicked, in a random basis.
    fn afterpulse(&self, click: Click, trigger: u32, delay: u32) -> Click {
        // The trigger's rest is uniform again; its bits choose detector and basis.
        let rest = unit(trigger) / self.clicks.afterpulse_probability;
        let test = rest < self.test_threshold;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a delay of few gates")]
        let beyond = libm::floor(libm::log(unit(delay)) * self.delay_inverse) as u64;
        let detector = match click.byte & BOTH {
            one @ (click::DETECTOR_0 | click::DETECTOR_1) => one,
            _ if delay & 1 == 0 => click::DETECTOR_0,
            _ => click::DETECTOR_1,
        };
        let gate = click.gate + 1 + u64::from(self.clicks.dead_gates) + beyond;
        Click { gate, byte: detector | (u8::from(test) * click::TEST_BASIS) }
    }
}

/// The word from which on [`unit`] is not below a probability.
fn below(probability: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
    let words = libm::ceil(probability.clamp(0.0, 1.0) * 4_294_967_296.0 - 0.5).max(0.0) as u64;
    words
}

/// A number in (0, 1) from a word.
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) / 4_294_967_296.0
}

fn gates_per_frame(frame_ms: f64, clock_ghz: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a scenario's frames are below 2^31 gates"
    )]
    let gates = libm::round(frame_ms * clock_ghz * 1e6) as u32;
    gates.max(1)
}

/// The rule's thresholds of 2^31 for intensities and bases.
fn thresholds(probabilities: [f64; 3], test: f64) -> [u32; 5] {
    let mut sum = 0.0;
    let classes = [1.0 - test, test].into_iter().flat_map(|basis| probabilities.map(|p| p * basis));
    let sums: Vec<f64> = classes
        .map(|share| {
            sum += share;
            sum
        })
        .collect();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^31")]
    std::array::from_fn(|i| libm::round(sums[i] * 2_147_483_648.0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bb84::settings::settings_at;
    use crate::channel::budget;

    fn scenario(overrides: &[&str]) -> Scenario {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        Scenario::from_text("iown-47t2", text, &overrides).expect("good values")
    }

    /// Clicks, sifted bits and errors of some frames, in the key basis.
    fn count(source: &Bb84Source, frames: u64) -> [f64; 3] {
        let mut counts = [0.0; 3];
        for index in 0..frames {
            let (alice, bob) = (source.alice_frame(index), source.bob_frame(Isa::best(), index));
            let settings = settings_at(Isa::best(), &alice, &bob.offsets).expect("inside");
            for (setting, clicks) in settings.iter().zip(&bob.clicks) {
                counts[0] += 1.0;
                if setting & 2 == 0 && clicks & click::TEST_BASIS == 0 {
                    counts[1] += 1.0;
                    let wrong = if setting & 1 == 1 { click::DETECTOR_0 } else { click::DETECTOR_1 };
                    let both = click::DETECTOR_0 | click::DETECTOR_1;
                    counts[2] += match clicks & both {
                        seen if seen == both => 0.5,
                        seen => f64::from(u8::from(seen == wrong)),
                    };
                }
            }
        }
        counts
    }

    #[test]
    fn counts_are_those_of_the_budget() {
        for overrides in [
            &[][..],
            &["bb84.dead_gates=7", "link.length_km=5"][..],
            &["bb84.afterpulse_probability=0.2"][..],
        ] {
            let scenario = scenario(overrides);
            let budget = budget(&scenario).bb84;
            let source = Bb84Source::new(&scenario, 11);
            let frames = 12;
            let gates = f64::from(source.gates_per_frame()) * frames as f64;
            let [clicks, sifted, errors] = count(&source, frames);
            let within = |what: &str, found: f64, expected: f64| {
                let sigmas = (found - expected) / libm::sqrt(expected);
                assert!(sigmas.abs() < 4.0, "{overrides:?}, {what}: {found} against {expected}, {sigmas} σ");
            };
            within("clicks", clicks, gates * budget.click_rate);
            let expected = budget.sifted_bit_per_s * gates / (scenario.bb84.clock_ghz * 1e9);
            within("sifted bits", sifted, expected);
            within("errors", errors, expected * budget.qber);
        }
    }

    #[test]
    fn frames_are_the_same_on_every_level_and_join_without_a_seam() {
        let source = Bb84Source::new(&scenario(&["bb84.frame_ms=0.5"]), 3);
        let long = Bb84Source { gates_per_frame: 4 * source.gates_per_frame, ..source.clone() };
        let whole = long.bob_frame(Isa::best(), 0);
        let mut joined = Vec::new();
        for index in 0..4 {
            let frame = source.bob_frame(Isa::SCALAR, index);
            joined.extend(frame.offsets.iter().map(|offset| offset + (frame.first_gate as u32)));
        }
        assert_eq!(whole.offsets, joined, "four frames are one");
        assert!(whole.offsets.is_sorted_by(|a, b| a < b), "in order");
        for isa in Isa::available() {
            assert_eq!(long.bob_frame(isa, 0), whole, "{isa}");
        }
    }

    #[test]
    fn afterpulses_behind_a_frames_last_own_click_are_kept() {
        // Frames of whole cells, few own clicks, long chains of afterpulses.
        let source = Bb84Source::new(
            &scenario(&[
                "bb84.frame_ms=0.4096",
                "bb84.mean_photons=[1e-2,1e-3,0]",
                "bb84.dark_count_probability=1e-4",
                "bb84.afterpulse_probability=0.9",
                "bb84.afterpulse_gates=100",
            ]),
            3,
        );
        let frames = 20;
        let long = Bb84Source { gates_per_frame: frames * source.gates_per_frame, ..source.clone() };
        let mut joined = Vec::new();
        for index in 0..u64::from(frames) {
            let frame = source.bob_frame(Isa::SCALAR, index);
            joined.extend(frame.offsets.iter().map(|offset| offset + (frame.first_gate as u32)));
        }
        assert_eq!(long.bob_frame(Isa::SCALAR, 0).offsets, joined, "twenty frames are one");
    }

    #[test]
    fn a_link_with_events_replays_byte_for_byte_and_joins_without_a_seam() {
        let text = format!(
            "{}\n[[event]]\nat_s = 0.006\nwhat = \"connector-knock\"\nsize_db = 10.0\n",
            Scenario::shipped("iown-47t2").expect("it ships")
        );
        let overrides = ["bb84.frame_ms=5".to_owned(), "drift.loss_db=0.1".to_owned()];
        let scenario = Scenario::from_text("knock", &text, &overrides).expect("good values");
        let source = Bb84Source::new(&scenario, 3);
        let frames: Vec<BobFrame> = (0..4).map(|index| source.bob_frame(Isa::best(), index)).collect();
        let again = Bb84Source::new(&scenario, 3);
        for (index, frame) in frames.iter().enumerate().rev() {
            assert_eq!(&again.bob_frame(Isa::SCALAR, index as u64), frame, "frame {index}, on its own");
        }
        let long = Bb84Source { gates_per_frame: 4 * source.gates_per_frame, ..source.clone() };
        let joined: usize = frames.iter().map(|frame| frame.offsets.len()).sum();
        assert_eq!(long.bob_frame(Isa::best(), 0).offsets.len(), joined, "four frames are one");
        let ratio = frames[3].offsets.len() as f64 / frames[0].offsets.len() as f64;
        assert!((0.05..0.25).contains(&ratio), "10 dB fewer clicks behind the knock: {ratio}");
    }

    #[test]
    fn detectors_that_differ_count_as_the_budget_says() {
        let scenario = scenario(&["bb84.detector.mismatch=0.2"]);
        let (source, budget) = (Bb84Source::new(&scenario, 5), budget(&scenario).bb84);
        let frames = 6;
        let gates = f64::from(source.gates_per_frame()) * frames as f64;
        let [_, sifted, errors] = count(&source, frames);
        let expected = budget.sifted_bit_per_s * gates / (scenario.bb84.clock_ghz * 1e9);
        assert!((sifted - expected).abs() < 4.0 * libm::sqrt(expected), "{sifted} against {expected}");
        let wrong = expected * budget.qber;
        assert!((errors - wrong).abs() < 4.0 * libm::sqrt(wrong), "{errors} against {wrong}");
    }

    #[test]
    fn counts_of_twenty_seeds_scatter_as_counts_do() {
        // Without afterpulses and dead gates each gate stands for itself, so that counts are binomial.
        let scenario = scenario(&["bb84.frame_ms=1", "bb84.afterpulse_probability=0", "bb84.dead_gates=0"]);
        let budget = budget(&scenario).bb84;
        let mut squares = [0.0; 3];
        for seed in 0..20 {
            let source = Bb84Source::new(&scenario, seed);
            let gates = f64::from(source.gates_per_frame());
            let sifted = budget.sifted_bit_per_s * gates / (scenario.bb84.clock_ghz * 1e9);
            let expected = [gates * budget.click_rate, sifted, sifted * budget.qber];
            for ((square, found), expected) in squares.iter_mut().zip(count(&source, 1)).zip(expected) {
                *square += (found - expected) * (found - expected) / (expected * (1.0 - expected / gates));
            }
        }
        for (what, square) in ["clicks", "sifted bits", "errors"].into_iter().zip(squares) {
            // χ² of 20 degrees of freedom, a thousandth to either side; double clicks count half an error.
            assert!((5.0..45.4).contains(&square), "{what}: χ² = {square} over 20 seeds");
        }
    }
}
