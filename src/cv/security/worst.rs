//! The box of parameters that holds the link but for ε_PE, and the corner where Eve knows most.

use crate::bounds::Real;
use crate::bounds::gauss::{quantile, variance_above, variance_below};

use super::gaussian::{Detection, Link, holevo};
use super::{Budget, Interval, Moments, NoKey, Receiver, check};

/// Sides of intervals that share ε_PE: two each for t, σ² and the vacuum's variance.
const EVENTS: f64 = 6.0;

/// The box that holds the link but for ε_PE, and the corner where Eve knows most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// V_A, Alice's modulation variance as recorded.
    pub modulation_variance: f64,
    /// T as estimated.
    pub transmittance: f64,
    /// T at least.
    pub transmittance_min: f64,
    /// T at most.
    pub transmittance_max: f64,
    /// ξ as estimated.
    pub excess_noise: f64,
    /// ξ at most.
    pub excess_noise_max: f64,
    /// χ_BE at the estimate, in bits per symbol.
    pub holevo: f64,
    /// χ_BE at the worst corner.
    pub holevo_max: f64,
}

/// The box that holds the link, and χ at its worst corner.
pub(super) fn worst_case(
    moments: &Moments,
    receiver: &Receiver,
    budget: &Budget,
) -> Result<(Worst, Real), NoKey> {
    let channel = Channel::estimate(moments, receiver, budget)?;
    let mut worst = Worst {
        modulation_variance: channel.modulation_variance,
        transmittance: 0.0,
        transmittance_min: f64::INFINITY,
        transmittance_max: 0.0,
        excess_noise: 0.0,
        excess_noise_max: f64::NEG_INFINITY,
        holevo: 0.0,
        holevo_max: 0.0,
    };
    let mut most = Real::ZERO;
    let (mut passive, mut noisy) = (false, false);
    for corner in channel.corners(receiver) {
        passive |= Channel::raw_transmittance(&corner) <= 1.0;
        noisy |= Channel::raw_excess(&corner) >= 0.0;
        let link = channel.link(&corner);
        let holevo = holevo(&link, Detection::Heterodyne, receiver.trust);
        if !holevo.is_finite() {
            return Err(NoKey::Impossible("no physical channel has these moments"));
        }
        most = most.max(holevo);
        worst.transmittance_min = worst.transmittance_min.min(link.transmittance.to_f64());
        worst.transmittance_max = worst.transmittance_max.max(link.transmittance.to_f64());
        worst.excess_noise_max = worst.excess_noise_max.max(link.excess_noise.to_f64());
    }
    // All corners beyond what a channel can be: that is no scatter, and the calibration is not of this receiver.
    if !passive {
        return Err(NoKey::Impossible("the channel would amplify: calibrate the receiver again"));
    }
    if !noisy {
        return Err(NoKey::Impossible(
            "there is less noise than the vacuum's: calibrate the shot noise again",
        ));
    }
    let middle = channel.link(&channel.middle(receiver));
    worst.transmittance = middle.transmittance.to_f64();
    worst.excess_noise = middle.excess_noise.to_f64();
    worst.holevo = holevo(&middle, Detection::Heterodyne, receiver.trust).to_f64();
    worst.holevo_max = most.to_f64();
    Ok((worst, most * Real::from(1.0 + 1e-13)))
}

/// The channel as estimated, with the interval of each parameter.
struct Channel {
    modulation_variance: f64,
    amplitude: f64,
    amplitude_spread: f64,
    noise: f64,
    noise_above: f64,
    /// The true variance of the vacuum over the measured one.
    vacuum: Interval,
}

/// One point of the box; `shot` is N₀ over its measured value: what is left of the vacuum's variance
/// without the electronic noise.
struct Corner {
    amplitude: f64,
    noise: f64,
    shot: f64,
    efficiency: f64,
    electronic_noise: f64,
}

impl Channel {
    fn estimate(moments: &Moments, receiver: &Receiver, budget: &Budget) -> Result<Self, NoKey> {
        check(moments, receiver, budget)?;
        let epsilon = budget.estimation / EVENTS;
        let amplitude = moments.cross / moments.alice;
        let residue = moments.bob - amplitude * moments.cross;
        let freedom = moments.pairs - 1;
        let noise = residue / freedom as f64;
        let noise_above = noise * variance_above(freedom, epsilon);
        let amplitude_spread = quantile(epsilon) * libm::sqrt(noise_above / moments.alice);
        if !(noise > 0.0 && noise_above.is_finite()) {
            return Err(NoKey::Impossible("sums of squares contradict each other"));
        }
        if amplitude - amplitude_spread <= 0.0 {
            return Err(NoKey::Untested { pairs: moments.pairs });
        }
        let vacuum = Interval {
            low: variance_below(receiver.calibration_samples, epsilon),
            high: variance_above(receiver.calibration_samples, epsilon),
        };
        if !vacuum.high.is_finite() {
            return Err(NoKey::Impossible("the shot noise was not calibrated"));
        }
        let modulation_variance = moments.alice / moments.pairs as f64;
        Ok(Self { modulation_variance, amplitude, amplitude_spread, noise, noise_above, vacuum })
    }

    fn middle(&self, receiver: &Receiver) -> Corner {
        let electronic_noise = 0.5 * (receiver.electronic_noise.low + receiver.electronic_noise.high);
        Corner {
            amplitude: self.amplitude,
            noise: self.noise,
            shot: 1.0 + receiver.electronic_measured.unwrap_or(electronic_noise) - electronic_noise,
            efficiency: 0.5 * (receiver.efficiency.low + receiver.efficiency.high),
            electronic_noise,
        }
    }

    fn corners(&self, receiver: &Receiver) -> impl Iterator<Item = Corner> {
        let (noise, spread) = (self.noise_above, self.amplitude_spread);
        let amplitudes = [self.amplitude - spread, self.amplitude + spread];
        let vacuums = [self.vacuum.low, self.vacuum.high];
        let efficiencies = [receiver.efficiency.low, receiver.efficiency.high];
        let electronics = [receiver.electronic_noise.low, receiver.electronic_noise.high];
        let measured = receiver.electronic_measured.map_or(electronics, |measured| [measured; 2]);
        (0..32).map(move |corner: usize| {
            let electronic_noise = electronics[corner >> 3 & 1];
            let vacuum = (1.0 + measured[corner >> 4]) * vacuums[corner >> 1 & 1];
            Corner {
                amplitude: amplitudes[corner & 1],
                noise,
                shot: vacuum - electronic_noise,
                efficiency: efficiencies[corner >> 2 & 1],
                electronic_noise,
            }
        })
    }

    /// ηT/2.
    fn gain(corner: &Corner) -> f64 {
        corner.amplitude * corner.amplitude / corner.shot
    }

    fn raw_transmittance(corner: &Corner) -> f64 {
        2.0 * Self::gain(corner) / corner.efficiency
    }

    fn raw_excess(corner: &Corner) -> f64 {
        ((corner.noise - corner.electronic_noise) / corner.shot - 1.0) / Self::gain(corner)
    }

    /// T ≤ 1 and ξ ≥ 0: what lies beyond is the scatter of the estimate.
    fn link(&self, corner: &Corner) -> Link {
        Link {
            modulation_variance: Real::from(self.modulation_variance),
            transmittance: Real::from(Self::raw_transmittance(corner).min(1.0)),
            excess_noise: Real::from(Self::raw_excess(corner).max(0.0)),
            efficiency: Real::from(corner.efficiency),
            electronic_noise: Real::from(corner.electronic_noise / corner.shot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::Trust;
    use super::*;

    #[test]
    fn every_corner_of_every_interval_is_visited_once() {
        let moments = Moments::expected(200_000_000, [4.0, 0.216, 0.02, 0.6, 0.1]);
        let receiver = Receiver {
            efficiency: Interval { low: 0.58, high: 0.62 },
            electronic_noise: Interval { low: 0.09, high: 0.11 },
            electronic_measured: None,
            calibration_samples: 100_000_000,
            trust: Trust::Trusted,
        };
        let channel = Channel::estimate(&moments, &receiver, &Budget::of_block(1e-10)).unwrap();
        let corners: std::collections::BTreeSet<_> = channel
            .corners(&receiver)
            .map(|corner| {
                let numbers = [corner.amplitude, corner.shot, corner.efficiency, corner.electronic_noise];
                numbers.map(f64::to_bits)
            })
            .collect();
        assert_eq!(
            corners.len(),
            32,
            "amplitude, vacuum and its electronic noise, η, v_el: both ends of each"
        );
        let middle = channel.link(&channel.middle(&receiver));
        let [gain, noise] = [0.3 * 0.216, 1.1 + 0.3 * 0.216 * 0.02];
        assert!((middle.transmittance.to_f64() - 2.0 * gain / 0.6).abs() < 1e-12, "T in the middle of η");
        assert!(
            (middle.excess_noise.to_f64() - (noise - 1.1) / gain).abs() < 1e-7,
            "ξ in the middle of v_el"
        );
        assert!((middle.efficiency.to_f64() - 0.6).abs() < 1e-15, "the middle of η");
    }

    #[test]
    fn a_link_is_reckoned_in_the_true_shot_noise_unit() {
        let moments = Moments::expected(200_000_000, [4.0, 0.216, 0.02, 0.6, 0.1]);
        let receiver = Receiver {
            efficiency: Interval::exact(0.6),
            electronic_noise: Interval::exact(0.3),
            electronic_measured: Some(0.1),
            calibration_samples: 1 << 60,
            trust: Trust::Trusted,
        };
        let channel = Channel::estimate(&moments, &receiver, &Budget::of_block(1e-10)).unwrap();
        let corner = Corner { amplitude: 0.4, noise: 1.2, shot: 0.8, efficiency: 0.6, electronic_noise: 0.3 };
        let link = channel.link(&corner);
        // Per quadrature 0.16/0.8 of the signal arrives, and (1.2 − 0.3)/0.8 − 1 of noise.
        for (name, ours, expected) in [
            ("T", link.transmittance, 2.0 * 0.2 / 0.6),
            ("ξ", link.excess_noise, 0.125 / 0.2),
            ("v_el", link.electronic_noise, 0.3 / 0.8),
        ] {
            assert!((ours.to_f64() - expected).abs() < 1e-14, "{name}: {ours:?} for {expected}");
        }
        let shot = channel.corners(&receiver).map(|corner| corner.shot).fold(0.0, f64::max);
        assert!((shot - 0.8).abs() < 1e-6, "1 + 0.1 was the vacuum's, 0.3 of it is electronic: {shot}");
    }

    #[test]
    fn a_parameter_that_was_fitted_is_a_pair_less() {
        let receiver = Receiver {
            efficiency: Interval::exact(1.0),
            electronic_noise: Interval::exact(0.0),
            electronic_measured: None,
            calibration_samples: 1 << 40,
            trust: Trust::Trusted,
        };
        // y = x and a residue of 99 over a hundred pairs.
        let moments = Moments { pairs: 100, alice: 1e6, cross: 1e6, bob: 1e6 + 99.0 };
        let channel = Channel::estimate(&moments, &receiver, &Budget::of_block(1e-10)).unwrap();
        assert_eq!((channel.amplitude, channel.noise), (1.0, 1.0), "t̂ and σ̂²");
        assert_eq!(channel.modulation_variance, 1e4, "V_A is of all pairs");
        let above = variance_above(99, Budget::of_block(1e-10).estimation / EVENTS);
        assert_eq!(channel.noise_above, above, "σ² of 99 degrees of freedom");
        let spread = quantile(Budget::of_block(1e-10).estimation / EVENTS) * libm::sqrt(above / 1e6);
        assert_eq!(channel.amplitude_spread, spread, "z √(σ²/Σx²)");
    }

    #[test]
    fn sums_that_no_channel_has_are_refused() {
        let receiver = Receiver {
            efficiency: Interval { low: 0.58, high: 0.62 },
            electronic_noise: Interval { low: 0.09, high: 0.11 },
            electronic_measured: Some(0.1),
            calibration_samples: 100_000_000,
            trust: Trust::Trusted,
        };
        let of = |transmittance, excess_noise| {
            let moments = Moments::expected(200_000_000, [4.0, transmittance, excess_noise, 0.6, 0.1]);
            worst_case(&moments, &receiver, &Budget::of_block(1e-10))
        };
        assert!(of(1.0, 0.0).is_ok(), "nothing is lost");
        assert!(of(1.03, 0.0).is_ok(), "within the interval of the efficiency");
        assert!(matches!(of(1.06, 0.0), Err(NoKey::Impossible(_))), "it would amplify");
        assert!(of(0.5, -0.005).is_ok(), "within the scatter of the calibration");
        assert!(matches!(of(0.5, -0.15), Err(NoKey::Impossible(_))), "less than the vacuum's noise");
    }

    #[test]
    fn no_point_of_the_box_tells_eve_more_than_the_worst_corner() {
        let moments = Moments::expected(200_000_000, [4.0, 0.216, 0.02, 0.6, 0.1]);
        let receiver = Receiver {
            efficiency: Interval::exact(0.6),
            electronic_noise: Interval::exact(0.1),
            electronic_measured: None,
            calibration_samples: 100_000_000,
            trust: Trust::Trusted,
        };
        let budget = Budget::of_block(1e-10);
        let (worst, most) = worst_case(&moments, &receiver, &budget).unwrap();
        let channel = Channel::estimate(&moments, &receiver, &budget).unwrap();
        let between =
            |interval: [f64; 2], step: u32| interval[0] + (interval[1] - interval[0]) * f64::from(step) / 8.0;
        for point in 0..729_u32 {
            let spread = channel.amplitude_spread;
            let corner = Corner {
                amplitude: between([channel.amplitude - spread, channel.amplitude + spread], point % 9),
                noise: between(
                    [2.0 * channel.noise - channel.noise_above, channel.noise_above],
                    point / 9 % 9,
                ),
                shot: 1.1 * between([channel.vacuum.low, channel.vacuum.high], point / 81) - 0.1,
                efficiency: 0.6,
                electronic_noise: 0.1,
            };
            let here = holevo(&channel.link(&corner), Detection::Heterodyne, Trust::Trusted);
            assert!(here <= most, "point {point} of the box: {here:?} > {most:?}");
        }
        assert!(worst.holevo_max > worst.holevo, "uncertainty has a price: {worst:?}");
        assert!(worst.transmittance_min < 0.216 && worst.transmittance_max > 0.216, "{worst:?}");
    }
}
