//! What the BB84 receiver counts.
//!
//! In a gate that is not dead, detector d clicks of itself with probability
//! p_d = 1 − (1 − dark)·exp(−m_d·(μη·w_d + n̄/2)), w_d being its share of the light, n̄ the scattered photons that
//! both detectors together would count, and m_d = 1 ± m their mismatch. η holds the share of the pulse inside the
//! gate, ½[erf((g/2 − t)/√2σ) + erf((g/2 + t)/√2σ)] at jitter σ and offset t. A click is followed by an afterpulse with probability p_a, a
//! geometric delay later; it is lost if its gate is dead and hidden if the gate clicks of itself. After a
//! click both detectors are dead for D gates. With r the rate of clicks and L = 1 − rD the share of live
//! gates (exact, because no click falls into a dead gate), a live gate clicks with probability p = r/L. The
//! k-th gate behind a dead time is live with probability ℓ_k = 1 − Σ p·ℓ_i over the D gates before it, so that
//! a = r·p_a·Σ g(k)·ℓ_k afterpulses a gate meet a live one, g being the geometric law of the delay. A gate of
//! setting s clicks with probability L·P_s + a·(1 − P_s).

use super::budget::Scattering;
use super::drift::Weather;
use super::scenario::Bb84;

/// The rule by which a gate clicks: what the simulator draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickModel {
    /// By bit and intensity, in a live gate whose bases agree: probabilities that only the right, only the
    /// wrong, and both detectors click of themselves.
    pub matched: [[[f64; 3]; 3]; 2],
    /// The same in gates whose bases differ.
    pub crossed: [[[f64; 3]; 3]; 2],
    /// Probability of an afterpulse after a click.
    pub afterpulse_probability: f64,
    /// Mean delay of an afterpulse beyond the dead gates, at least 1.
    pub afterpulse_gates: f64,
    /// Dead gates after a click.
    pub dead_gates: u32,
}

/// The BB84 channel's budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Bb84Budget {
    /// What the carriers do.
    pub scattering: Scattering,
    /// From Alice's output to a count: fibre, stimulated scattering, receiver, detector.
    pub efficiency: f64,
    /// Scattered photons counted a gate, both detectors together.
    pub scattered_per_gate: f64,
    /// How gates click.
    pub clicks: ClickModel,
    /// Clicks a gate.
    pub click_rate: f64,
    /// Afterpulses a gate, before those that gates' own clicks hide.
    pub afterpulse_rate: f64,
    /// Clicks a gate by intensity, given that the intensity was sent.
    pub click_by_intensity: [f64; 3],
    /// Error rate of sifted bits.
    pub qber: f64,
    /// Error rate of sifted bits by intensity.
    pub qber_by_intensity: [f64; 3],
    /// Sifted bits of the key basis a second.
    pub sifted_bit_per_s: f64,
}

impl ClickModel {
    /// The rule, the efficiency from Alice's output to a count, and the scattered photons counted a gate.
    pub(super) fn new(bb84: &Bb84, scattering: &Scattering, weather: &Weather) -> (Self, [f64; 2]) {
        let loss_db = scattering.loss_db - scattering.srs_gain_db + bb84.receiver_loss_db;
        let inside = inside_gate(bb84, bb84.detector.timing_offset_ps + weather.timing_ps);
        let efficiency = libm::pow(10.0, -loss_db / 10.0) * bb84.detector_efficiency * inside;
        let receiver = libm::pow(10.0, -bb84.receiver_loss_db / 10.0) * bb84.detector_efficiency;
        let scattered_per_gate =
            scattering.noise_photons_per_s_per_nm * bb84.filter_nm * bb84.gate_ps * 1e-12 * receiver;
        let turned = libm::sin(weather.polarisation_rad) * libm::sin(weather.polarisation_rad);
        let misalignment = bb84.misalignment + (1.0 - 2.0 * bb84.misalignment) * turned;
        let pair = Pair::new(bb84, weather.latched, scattered_per_gate);
        let tables = |wrong: f64| {
            [0, 1].map(|bit| bb84.mean_photons.map(|mean| pair.outcome(bit, mean * efficiency, wrong)))
        };
        let clicks = Self {
            matched: tables(misalignment),
            crossed: tables(0.5),
            afterpulse_probability: bb84.afterpulse_probability,
            afterpulse_gates: bb84.afterpulse_gates,
            dead_gates: bb84.dead_gates,
        };
        (clicks, [efficiency, scattered_per_gate])
    }

    /// Probability that a live gate clicks of itself, over both bits.
    #[must_use]
    pub fn own(&self, intensity: usize) -> f64 {
        self.matched.iter().map(|bit| bit[intensity].iter().sum::<f64>()).sum::<f64>() / 2.0
    }

    /// The greatest probability that any live gate clicks of itself.
    #[must_use]
    pub fn most(&self) -> f64 {
        let tables = self.matched.iter().chain(&self.crossed).flatten();
        tables.map(|outcome| outcome.iter().sum::<f64>()).fold(0.0, f64::max)
    }
}

impl Bb84Budget {
    pub(super) fn new(bb84: &Bb84, scattering: Scattering, weather: &Weather) -> Self {
        let (clicks, light) = ClickModel::new(bb84, &scattering, weather);
        Self::count(bb84, scattering, clicks, light)
    }

    fn count(
        bb84: &Bb84,
        scattering: Scattering,
        clicks: ClickModel,
        [efficiency, scattered_per_gate]: [f64; 2],
    ) -> Self {
        let own: f64 = (0..3).map(|k| bb84.probabilities[k] * clicks.own(k)).sum();
        let dead = f64::from(bb84.dead_gates);
        let (mut rate, mut afterpulses) = (own, 0.0);
        for _ in 0..40 {
            let live = (1.0 - rate * dead).max(1e-6);
            afterpulses = rate * bb84.afterpulse_probability * met_live(bb84, rate / live);
            rate = live * own + afterpulses * (1.0 - own);
        }
        let live = 1.0 - rate * dead;
        let hidden = |k: usize| afterpulses * (1.0 - clicks.own(k));
        let click_by_intensity = [0, 1, 2].map(|k| live * clicks.own(k) + hidden(k));
        let errors = [0, 1, 2].map(|k| {
            let [_, wrong, both]: [f64; 3] =
                std::array::from_fn(|i| 0.5 * (clicks.matched[0][k][i] + clicks.matched[1][k][i]));
            live * (wrong + 0.5 * both) + 0.5 * hidden(k)
        });
        let mean = |by: &[f64; 3]| (0..3).map(|k| bb84.probabilities[k] * by[k]).sum::<f64>();
        let key_share = (1.0 - bb84.test_probability) * (1.0 - bb84.test_probability);
        Self {
            scattering,
            efficiency,
            scattered_per_gate,
            click_rate: rate,
            afterpulse_rate: afterpulses,
            qber: mean(&errors) / mean(&click_by_intensity),
            qber_by_intensity: [0, 1, 2].map(|k| errors[k] / click_by_intensity[k].max(f64::MIN_POSITIVE)),
            sifted_bit_per_s: mean(&click_by_intensity) * key_share * bb84.clock_ghz * 1e9,
            click_by_intensity,
            clicks,
        }
    }
}

/// The two detectors.
struct Pair {
    /// Efficiency of each over the nominal one.
    relative: [f64; 2],
    dark: [f64; 2],
    scattered_per_gate: f64,
}

impl Pair {
    fn new(bb84: &Bb84, latched: bool, scattered_per_gate: f64) -> Self {
        let sees = if latched { 0.0 } else { 1.0 };
        let mismatch = bb84.detector.mismatch;
        Self {
            relative: [1.0 + mismatch, (1.0 - mismatch) * sees],
            dark: [bb84.dark_count_probability, bb84.dark_count_probability * sees],
            scattered_per_gate,
        }
    }

    /// Probabilities that only the right, only the wrong, and both detectors click.
    fn outcome(&self, bit: usize, photons: f64, wrong: f64) -> [f64; 3] {
        let clicks = |detector: usize, share: f64| {
            let light = self.relative[detector] * (photons * share + 0.5 * self.scattered_per_gate);
            1.0 - (1.0 - self.dark[detector]) * libm::exp(-light)
        };
        let (right, wrong) = (clicks(bit, 1.0 - wrong), clicks(1 - bit, wrong));
        [right * (1.0 - wrong), wrong * (1.0 - right), right * wrong]
    }
}

/// Share of a pulse that arrives inside the gate.
fn inside_gate(bb84: &Bb84, offset_ps: f64) -> f64 {
    // A Gaussian's width at half maximum is 2.3548 standard deviations.
    let root = std::f64::consts::SQRT_2 * bb84.detector.jitter_ps.max(1e-3) / 2.354_820_045;
    let half = 0.5 * bb84.gate_ps;
    0.5 * (libm::erf((half - offset_ps) / root) + libm::erf((half + offset_ps) / root))
}

/// Σ g(k)·ℓ_k: the probability that an afterpulse meets a live gate, where a live gate clicks with `click`.
fn met_live(bb84: &Bb84, click: f64) -> f64 {
    let dead = bb84.dead_gates as usize;
    let stays = 1.0 - 1.0 / bb84.afterpulse_gates;
    let mut clicks = vec![0.0; dead];
    let (mut live, mut met, mut later) = (1.0, 0.0, 1.0);
    let mut gate = 0;
    while later > 1e-12 {
        met += later * (1.0 - stays) * live;
        later *= stays;
        if dead > 0 {
            let out = std::mem::replace(&mut clicks[gate % dead], click * live);
            live += out - click * live;
        }
        gate += 1;
    }
    met
}

#[cfg(test)]
mod tests {
    use super::super::{Scenario, budget};

    #[test]
    fn the_demonstration_counts_as_expected() {
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        let scenario = Scenario::from_text("iown-47t2", text, &[]).expect("good values");
        let budget = budget(&scenario);
        assert!((4.8e6..6.0e6).contains(&budget.bb84.sifted_bit_per_s), "{}", budget.bb84.sifted_bit_per_s);
        assert!((0.033..0.045).contains(&budget.bb84.qber), "{}", budget.bb84.qber);
        assert!((0.2..0.3).contains(&budget.cv.snr), "SNR {}", budget.cv.snr);
    }

    fn with(overrides: &[&str]) -> super::Bb84Budget {
        let overrides: Vec<String> = overrides.iter().map(|given| (*given).to_owned()).collect();
        let text = Scenario::shipped("iown-47t2").expect("it ships");
        budget(&Scenario::from_text("iown-47t2", text, &overrides).expect("good values")).bb84
    }

    #[test]
    fn jitter_and_offset_cost_clicks_and_nothing_else() {
        let ideal = with(&["bb84.detector.jitter_ps=0"]).efficiency;
        let share = |given: &[&str]| with(given).efficiency / ideal;
        assert!(share(&["bb84.detector.jitter_ps=55"]) > 0.999, "a narrow pulse fits");
        let edge = share(&["bb84.detector.jitter_ps=55", "bb84.detector.timing_offset_ps=100"]);
        assert!((edge - 0.5).abs() < 1e-3, "at the gate's edge half is lost: {edge}");
        let wide = share(&["bb84.detector.jitter_ps=235.482"]);
        assert!((wide - 0.6827).abs() < 1e-3, "one deviation to each side: {wide}");
    }

    #[test]
    fn mismatched_detectors_click_unevenly_but_as_often() {
        let (even, uneven) = (with(&[]), with(&["bb84.detector.mismatch=0.1"]));
        assert!((uneven.click_rate / even.click_rate - 1.0).abs() < 0.01, "the mean stays");
        let ratio = uneven.clicks.matched[0][0][0] / uneven.clicks.matched[1][0][0];
        assert!((ratio - 1.1 / 0.9).abs() < 0.01, "zeros over ones: {ratio}");
    }
}
