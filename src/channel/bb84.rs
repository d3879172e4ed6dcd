//! What the BB84 receiver counts.
//!
//! In a gate that is not dead, detector d clicks of itself with probability
//! p_d = 1 − (1 − dark)·exp(−(μη·w_d + n̄/2)), w_d being its share of the light and n̄ the scattered
//! photons that both detectors together would count. A click is followed by an afterpulse with probability p_a, a
//! geometric delay later; it is lost if its gate is dead and hidden if the gate clicks of itself. After a
//! click both detectors are dead for D gates. With r the rate of clicks and L = 1 − rD the share of live
//! gates (exact, because no click falls into a dead gate), a live gate clicks with probability p = r/L. The
//! k-th gate behind a dead time is live with probability ℓ_k = 1 − Σ p·ℓ_i over the D gates before it, so that
//! a = r·p_a·Σ g(k)·ℓ_k afterpulses a gate meet a live one, g being the geometric law of the delay. A gate of
//! setting s clicks with probability L·P_s + a·(1 − P_s).

use super::budget::Scattering;
use super::scenario::Bb84;

/// The rule by which a gate clicks: what the simulator draws from.
#[derive(Clone, Debug, PartialEq)]
pub struct ClickModel {
    /// By intensity, in a live gate whose bases agree: probabilities that only the right, only the
    /// wrong, and both detectors click of themselves.
    pub matched: [[f64; 3]; 3],
    /// The same in gates whose bases differ.
    pub crossed: [[f64; 3]; 3],
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
    /// Probability that a live gate clicks of itself.
    #[must_use]
    pub fn own(&self, intensity: usize) -> f64 {
        self.matched[intensity].iter().sum()
    }
}

impl Bb84Budget {
    pub(super) fn new(bb84: &Bb84, scattering: Scattering) -> Self {
        let loss_db = scattering.loss_db - scattering.srs_gain_db + bb84.receiver_loss_db;
        let efficiency = libm::pow(10.0, -loss_db / 10.0) * bb84.detector_efficiency;
        let receiver = libm::pow(10.0, -bb84.receiver_loss_db / 10.0) * bb84.detector_efficiency;
        let scattered_per_gate =
            scattering.raman_photons_per_s_per_nm * bb84.filter_nm * bb84.gate_ps * 1e-12 * receiver;
        let outcome = |mean: f64, wrong: f64| {
            let silent = |share: f64| {
                (1.0 - bb84.dark_count_probability)
                    * libm::exp(-(mean * efficiency * share + 0.5 * scattered_per_gate))
            };
            let (right, wrong) = (1.0 - silent(1.0 - wrong), 1.0 - silent(wrong));
            [right * (1.0 - wrong), wrong * (1.0 - right), right * wrong]
        };
        let clicks = ClickModel {
            matched: bb84.mean_photons.map(|mean| outcome(mean, bb84.misalignment)),
            crossed: bb84.mean_photons.map(|mean| outcome(mean, 0.5)),
            afterpulse_probability: bb84.afterpulse_probability,
            afterpulse_gates: bb84.afterpulse_gates,
            dead_gates: bb84.dead_gates,
        };
        Self::count(bb84, scattering, clicks, [efficiency, scattered_per_gate])
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
            let [_, wrong, both] = clicks.matched[k];
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
}
