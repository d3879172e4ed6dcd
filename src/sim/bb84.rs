//! Detections of the BB84 receiver, gate by gate but only where something may happen.
//!
//! Gates are cut into cells of 16 384. In each, candidates are drawn at the greatest probability that a
//! gate clicks of itself (geometric gaps), and the setting of a candidate's gate, which is a function of
//! its index on Alice's side too, decides whether it clicks and how. Afterpulses and dead gates are added
//! in order; they need the cell before, which is drawn again. Where the link drifts, a run of cells clicks by the
//! rule of its first gate's time.

use keystill_kernels::noise::Detection;
use keystill_kernels::{Isa, noise};

use crate::bb84::frame::{AliceFrame, BobFrame, Settings, SimulatedCounter, click};
use crate::channel::{ClickModel, Course, Scenario};

use super::world_key;

/// Gates of a cell.
const CELL: u64 = 1 << 14;
/// Cells that click by one rule: 4 ms at 1 GHz.
const RUN: u64 = 256;
/// Candidates that a cell draws at a time: one group of the kernel.
const DRAW: usize = 256;
/// Blocks of so many words.
const DRAW_BLOCKS: u64 = DRAW as u64 / 16;
/// Room for a cell's words in each stream, in blocks.
const CELL_STRIDE: u64 = CELL / 16 + DRAW_BLOCKS;
/// Cells whose candidates are looked at together: they stay in the cache.
const TOGETHER: usize = 16;

/// The raw frames of both ends of a BB84 link.
#[derive(Clone, Debug)]
pub struct Bb84Source {
    gates_per_frame: u32,
    settings: SimulatedCounter,
    /// The rule at the beginning; what it says of memory holds for ever.
    clicks: ClickModel,
    course: Course,
    clock_hz: f64,
    /// Bob's threshold for the test basis, of 2^32.
    test_threshold: f64,
    gap_key: [u32; 8],
    accept_key: [u32; 8],
    basis_key: [u32; 8],
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

/// Gates that click of themselves if they are live, in order.
#[derive(Default)]
struct Clicks {
    gates: Vec<u64>,
    bytes: Vec<u8>,
}

impl Clicks {
    fn get(&self, place: usize) -> Click {
        Click { gate: self.gates[place], byte: self.bytes[place] }
    }
}

/// What the receiver saw, in order.
struct Seen {
    clicks: Clicks,
    /// Gates from a click to the first at which the receiver sees again.
    dead: u64,
    live_from: u64,
}

impl Seen {
    fn new(dead: u64) -> Self {
        Self { clicks: Clicks::default(), dead, live_from: 0 }
    }

    /// Adds a click unless the receiver is dead; whether it did.
    fn push(&mut self, click: Click) -> bool {
        let live = click.gate >= self.live_from;
        if live {
            self.live_from = click.gate + self.dead;
            self.clicks.gates.push(click.gate);
            self.clicks.bytes.push(click.byte);
        }
        live
    }

    /// Adds some clicks, each unless the receiver is dead. Without branches: which are lost is as good as random.
    fn append(&mut self, own: &Clicks, places: std::ops::Range<usize>) {
        let Clicks { gates, bytes } = &mut self.clicks;
        let mut len = gates.len();
        gates.resize(len + places.len(), 0);
        bytes.resize(len + places.len(), 0);
        for (gate, byte) in own.gates[places.clone()].iter().zip(&own.bytes[places]) {
            (gates[len], bytes[len]) = (*gate, *byte);
            let live = *gate >= self.live_from;
            self.live_from = if live { gate + self.dead } else { self.live_from };
            len += usize::from(live);
        }
        gates.truncate(len);
        bytes.truncate(len);
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
    let mut bounds = [[0; 32]; 3];
    for place in 0..32 {
        let (setting, bob_test) = (place % 16, place >= 16);
        let (bit, alice_test, intensity) = (setting & 1, setting & 2 != 0, (setting >> 2).min(2));
        let table = if alice_test == bob_test { &rule.matched } else { &rule.crossed };
        let [right, wrong, both] = table[bit][intensity];
        let shares = [right, right + wrong, right + wrong + both];
        for (bounds, share) in bounds.iter_mut().zip(shares) {
            bounds[place] = words(share / rule.most());
        }
    }
    Detection { thresholds, test: words(test), bounds }
}

/// Gates at which something may happen, and the words for what becomes of each.
#[derive(Default)]
struct Candidates {
    gates: Vec<u64>,
    settings: Vec<u32>,
    accept: Vec<u32>,
    basis: Vec<u32>,
}

impl Candidates {
    fn clear(&mut self) {
        self.gates.clear();
        self.accept.clear();
        self.basis.clear();
    }
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
            clicks: course.clicks(0.0),
            course,
            clock_hz: bb84.clock_ghz * 1e9,
            test_threshold: bb84.test_probability,
            gap_key: world_key(seed, "bb84 gaps"),
            accept_key: world_key(seed, "bb84 candidates"),
            basis_key: world_key(seed, "bb84 bases"),
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
        let cells = (first_gate / CELL).saturating_sub(1)..end.div_ceil(CELL);
        let own = self.own_clicks(isa, cells);
        let seen = self.with_memory(isa, &own, end);
        let here = seen.gates.partition_point(|gate| *gate < first_gate)
            ..seen.gates.partition_point(|gate| *gate < end);
        let offset = |gate: &u64| u32::try_from(gate - first_gate).unwrap_or(u32::MAX);
        BobFrame {
            first_gate,
            gates: self.gates_per_frame,
            offsets: seen.gates[here.clone()].iter().map(offset).collect(),
            clicks: seen.bytes[here].to_vec(),
        }
    }

    /// The gates of some cells that click of themselves if they are live, in order.
    fn own_clicks(&self, isa: Isa, cells: std::ops::Range<u64>) -> Clicks {
        let mut own = Clicks::default();
        let mut from = cells.start;
        while from < cells.end {
            let end = ((from / RUN + 1) * RUN).min(cells.end);
            if self.course.is_steady() {
                self.own_clicks_by(isa, from..cells.end, &self.clicks, &mut own);
                break;
            }
            let seconds = (from / RUN * RUN * CELL) as f64 / self.clock_hz;
            self.own_clicks_by(isa, from..end, &self.course.clicks(seconds), &mut own);
            from = end;
        }
        own
    }

    /// The same of cells that click by one rule.
    fn own_clicks_by(&self, isa: Isa, cells: std::ops::Range<u64>, rule: &ClickModel, own: &mut Clicks) {
        let most = rule.most();
        if most <= 0.0 {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "the kernel's precision")]
        let inverse = (1.0 / libm::log1p(-most)) as f32;
        let rule = detection(rule, self.settings.thresholds, self.test_threshold);
        let mut candidates = Candidates::default();
        for first in cells.clone().step_by(TOGETHER) {
            candidates.clear();
            let cells = first..cells.end.min(first + TOGETHER as u64);
            cells.for_each(|cell| self.candidates(isa, cell, inverse, &mut candidates));
            let Candidates { gates, settings, accept, basis } = &mut candidates;
            settings.resize(gates.len(), 0);
            noise::gate_words(isa, &self.settings.key, gates, settings);
            let known = own.gates.len();
            own.gates.resize(known + gates.len(), 0);
            own.bytes.resize(known + gates.len(), 0);
            let of = noise::Candidates { gates, settings, accept, basis };
            let found = noise::detect(isa, &rule, of, &mut own.gates[known..], &mut own.bytes[known..]);
            own.gates.truncate(known + found);
            own.bytes.truncate(known + found);
        }
    }

    /// Adds the candidates of a cell.
    fn candidates(&self, isa: Isa, cell: u64, inverse: f32, out: &mut Candidates) {
        let (mut gate, end) = (cell * CELL, (cell + 1) * CELL);
        let mut block = cell * CELL_STRIDE;
        let mut words = [0; DRAW];
        while gate < end {
            noise::gaps(isa, &self.gap_key, block, inverse, &mut words);
            let before = out.gates.len();
            for gap in words {
                // Gates without a candidate before the next one.
                gate += u64::from(gap);
                if gate >= end {
                    break;
                }
                out.gates.push(gate);
                gate += 1;
            }
            let found = out.gates.len() - before;
            noise::words_across(isa, &self.accept_key, block, &mut words);
            out.accept.extend_from_slice(&words[..found]);
            noise::words_across(isa, &self.basis_key, block, &mut words);
            out.basis.extend_from_slice(&words[..found]);
            block += DRAW_BLOCKS;
        }
    }

    /// Adds afterpulses and takes away what falls into dead gates.
    fn with_memory(&self, isa: Isa, own: &Clicks, end: u64) -> Clicks {
        let mut caused = self.caused(isa, own).into_iter().peekable();
        let (mut seen, mut pending) = (Seen::new(1 + u64::from(self.clicks.dead_gates)), Vec::new());
        let mut place = 0;
        while place < own.gates.len() {
            let cause = caused.peek().map_or(own.gates.len(), |(cause, _)| *cause);
            if pending.is_empty() && place < cause {
                seen.append(own, place..cause);
                place = cause;
                continue;
            }
            let click = own.get(place);
            self.due_before(isa, click.gate, &mut pending, &mut seen);
            pending.retain(|due: &Due| due.click.gate != click.gate);
            let due = caused.next_if(|(cause, _)| *cause == place);
            if seen.push(click) {
                pending.extend(due.map(|(_, due)| due));
            }
            place += 1;
        }
        self.due_before(isa, end, &mut pending, &mut seen);
        seen.clicks
    }

    /// The afterpulses that clicks cause where they are not lost themselves, and by which of them.
    fn caused(&self, isa: Isa, own: &Clicks) -> Vec<(usize, Due)> {
        let triggers = self.words_at(isa, &self.afterpulse_key, &own.gates);
        let limit = below(self.clicks.afterpulse_probability);
        let places: Vec<usize> =
            (0..triggers.len()).filter(|place| u64::from(triggers[*place]) < limit).collect();
        let gates: Vec<u64> = places.iter().map(|place| own.gates[*place]).collect();
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
    fn due_before(&self, isa: Isa, gate: u64, pending: &mut Vec<Due>, seen: &mut Seen) {
        while let Some(place) = (0..pending.len()).min_by_key(|place| pending[*place].click.gate) {
            if pending[place].click.gate >= gate {
                break;
            }
            let Due { click, trigger } = pending.swap_remove(place);
            if seen.push(click) && u64::from(trigger) < below(self.clicks.afterpulse_probability) {
                let delay = self.words_at(isa, &self.delay_key, &[click.gate]);
                let click = self.afterpulse(click, trigger, delay[0]);
                let further = self.words_at(isa, &self.afterpulse_key, &[click.gate]);
                pending.push(Due { click, trigger: further[0] });
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
        let inverse = 1.0 / libm::log1p(-1.0 / self.clicks.afterpulse_gates.max(1.000_001));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a delay of few gates")]
        let beyond = libm::floor(libm::log(unit(delay)) * inverse) as u64;
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
            let mut settings = Vec::new();
            settings_at(Isa::best(), &alice, &bob.offsets, &mut settings).expect("inside");
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
