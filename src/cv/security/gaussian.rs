//! What Alice and Bob share and what Eve holds when a Gaussian channel joins them.
//!
//! Shot-noise units, vacuum variance 1. V = V_A + 1 is the variance of Alice's half of the virtual
//! entangled state, T and ξ are transmittance and excess noise of the channel (ξ at its input), η and
//! v_el efficiency and electronic noise of the receiver, v_el per quadrature.
//!
//! ```text
//! χ_line = 1/T − 1 + ξ,  χ_hom = (1 + v_el)/η − 1,  χ_het = (2 − η + 2 v_el)/η,  χ_tot = χ_line + χ_det/T
//! χ_BE = G(λ₁) + G(λ₂) − G(λ₃) − G(λ₄),  G(λ) = g((λ − 1)/2),  g(x) = (x+1) log₂(x+1) − x log₂ x
//! λ₁,₂² = ½ (A ± √(A² − 4B)),  A = V²(1 − 2T) + 2T + T²(V + χ_line)²,  B = T²(V χ_line + 1)²
//! λ₃,₄² = ½ (C ± √(C² − 4D))
//! ```
//!
//! with C and D as in Lodewyck et al., PRA 76, 042305 (2007), eq. (12)–(13) for homodyne, and Fossier,
//! Diamanti, Debuisschert, Tualle-Brouri, Grangier, J. Phys. B 42, 114014 (2009), for heterodyne
//! detection. Noise of the receiver that is not trusted is moved to the channel: T → ηT and
//! ξ → ξ + v_el/(ηT), twice that for heterodyne, leaving a perfect receiver.

use crate::bounds::Real;

/// What Bob measures of each symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// One quadrature.
    Homodyne,
    /// Both quadratures, after a beam splitter.
    Heterodyne,
}

/// Who may hold the receiver's loss and electronic noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody: they are calibrated and out of Eve's reach.
    Trusted,
    /// Eve.
    Untrusted,
}

/// A Gaussian link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// V_A, Alice's modulation variance per quadrature.
    pub modulation_variance: Real,
    /// T.
    pub transmittance: Real,
    /// ξ at the input of the channel.
    pub excess_noise: Real,
    /// η.
    pub efficiency: Real,
    /// v_el per quadrature at the detector's output.
    pub electronic_noise: Real,
}

impl Link {
    /// The same link seen by one who trusts no receiver.
    #[must_use]
    pub fn untrusted(self, detection: Detection) -> Self {
        let seen = self.efficiency * self.transmittance;
        let quadratures = match detection {
            Detection::Homodyne => 1.0,
            Detection::Heterodyne => 2.0,
        };
        Self {
            transmittance: seen,
            excess_noise: self.excess_noise + Real::from(quadratures) * self.electronic_noise / seen,
            efficiency: Real::ONE,
            electronic_noise: Real::ZERO,
            ..self
        }
    }

    fn line_noise(&self) -> Real {
        Real::ONE / self.transmittance - Real::ONE + self.excess_noise
    }

    fn detection_noise(&self, detection: Detection) -> Real {
        let quadrature = (Real::ONE + self.electronic_noise) / self.efficiency;
        match detection {
            Detection::Homodyne => quadrature - Real::ONE,
            Detection::Heterodyne => quadrature + quadrature - Real::ONE,
        }
    }

    fn total_noise(&self, detection: Detection) -> Real {
        self.line_noise() + self.detection_noise(detection) / self.transmittance
    }
}

/// I_AB: the mutual information of Alice and Bob in bits per symbol.
#[must_use]
pub fn mutual_information(link: &Link, detection: Detection) -> Real {
    let variance = link.modulation_variance + Real::ONE;
    let total = link.total_noise(detection);
    let bits = ((variance + total) / (Real::ONE + total)).log2();
    match detection {
        Detection::Homodyne => bits * Real::from(0.5),
        Detection::Heterodyne => bits,
    }
}

/// χ_BE: Holevo's bound on what Eve knows of Bob's outcome, in bits per symbol, by collective attacks.
///
/// Not a number where the link is not physical.
#[must_use]
pub fn holevo(link: &Link, detection: Detection, trust: Trust) -> Real {
    let link = match trust {
        Trust::Trusted => *link,
        Trust::Untrusted => link.untrusted(detection),
    };
    let (a, b) = joint(&link);
    let (c, d) = conditional(&link, detection, a, b);
    let [first, second] = eigenvalues(a, b);
    let [third, fourth] = eigenvalues(c, d);
    // Where it is zero, rounding may leave less.
    (entropy(first) + entropy(second) - entropy(third) - entropy(fourth)).max(Real::ZERO)
}

/// A and √B of the state that Eve purifies.
fn joint(link: &Link) -> (Real, Real) {
    let two = Real::from(2.0);
    let v = link.modulation_variance + Real::ONE;
    let (t, line) = (link.transmittance, link.line_noise());
    let a = v * v * (Real::ONE - two * t) + two * t + (t * (v + line)).powi(2);
    (a, t * (v * line + Real::ONE))
}

/// C and √D of the state that is left after Bob measured.
fn conditional(link: &Link, detection: Detection, a: Real, root_b: Real) -> (Real, Real) {
    let two = Real::from(2.0);
    let v = link.modulation_variance + Real::ONE;
    let t = link.transmittance;
    let at_bob = t * (v + link.line_noise());
    let det = link.detection_noise(detection);
    let divisor = t * (v + link.total_noise(detection));
    match detection {
        Detection::Homodyne => {
            let c = (a * det + v * root_b + at_bob) / divisor;
            let d = root_b * (v + root_b * det) / divisor;
            (c, d.sqrt())
        }
        Detection::Heterodyne => {
            let inner = two * det * (v * root_b + at_bob) + two * t * (v * v - Real::ONE);
            let c = (a * det * det + root_b * root_b + Real::ONE + inner) / (divisor * divisor);
            (c, (v + root_b * det) / divisor)
        }
    }
}

/// The symplectic eigenvalues from the sum of their squares and their product; never below 1.
fn eigenvalues(sum: Real, product: Real) -> [Real; 2] {
    let discriminant = (sum * sum - Real::from(4.0) * product * product).max(Real::ZERO);
    let larger = ((sum + discriminant.sqrt()) * Real::from(0.5)).sqrt();
    // λ₁λ₂ is known: dividing keeps the digits that subtracting would lose.
    [larger.max(Real::ONE), (product / larger).max(Real::ONE)]
}

/// G(λ): the entropy of a thermal state with this symplectic eigenvalue, in bits.
#[must_use]
pub fn entropy(eigenvalue: Real) -> Real {
    let photons = (eigenvalue - Real::ONE) * Real::from(0.5);
    if photons <= Real::ZERO {
        return Real::ZERO;
    }
    let more = photons + Real::ONE;
    more * more.log2() - photons * photons.log2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(numbers: [f64; 5]) -> Link {
        let [modulation_variance, transmittance, excess_noise, efficiency, electronic_noise] =
            numbers.map(Real::from);
        Link { modulation_variance, transmittance, excess_noise, efficiency, electronic_noise }
    }

    #[test]
    fn lodewyck_2007_publishes_these_rates() {
        // PRA 76, 042305: 350 kHz, β = 0.898: 365 kb/s, 316 kb/s, 12.3 kb/s.
        let link = link([18.5, 0.302, 0.005, 0.606, 0.041]);
        let shared = mutual_information(&link, Detection::Homodyne).to_f64() * 350.0;
        let eve = holevo(&link, Detection::Homodyne, Trust::Trusted).to_f64() * 350.0;
        assert!((shared - 365.277).abs() < 1e-3, "I_AB: {shared} kb/s");
        assert!((eve - 315.715).abs() < 1e-3, "χ_BE: {eve} kb/s");
        assert!((0.898 * shared - eve - 12.304).abs() < 1e-3, "rate: {} kb/s", 0.898 * shared - eve);
    }

    #[test]
    fn eve_knows_what_a_fifty_digit_reference_says() {
        for (detection, trust, expected) in [
            (Detection::Homodyne, Trust::Trusted, 0.342_716_042_982_271_9),
            (Detection::Homodyne, Trust::Untrusted, 0.680_553_687_011_842_2),
            (Detection::Heterodyne, Trust::Trusted, 0.427_683_750_075_285_53),
            (Detection::Heterodyne, Trust::Untrusted, 0.997_553_489_681_693_3),
        ] {
            let ours = holevo(&link([4.0, 0.5, 0.01, 0.6, 0.1]), detection, trust).to_f64();
            assert!(
                (ours / expected - 1.0).abs() < 1e-13,
                "{detection:?}, {trust:?}: {ours}, not {expected}"
            );
        }
    }

    #[test]
    fn a_perfect_channel_tells_eve_nothing() {
        for detection in [Detection::Homodyne, Detection::Heterodyne] {
            let eve = holevo(&link([5.0, 1.0, 0.0, 0.6, 0.1]), detection, Trust::Trusted).to_f64();
            assert!(eve.abs() < 1e-12, "{detection:?}: {eve}");
        }
    }

    #[test]
    fn who_trusts_less_concedes_more() {
        for detection in [Detection::Homodyne, Detection::Heterodyne] {
            let link = link([5.0, 0.3, 0.02, 0.6, 0.1]);
            let (trusted, untrusted) =
                (holevo(&link, detection, Trust::Trusted), holevo(&link, detection, Trust::Untrusted));
            assert!(untrusted > trusted, "{detection:?}: {untrusted:?} against {trusted:?}");
        }
    }

    #[test]
    fn nothing_physical_is_not_a_number_or_zero_but_never_a_panic() {
        for numbers in [[0.0; 5], [f64::NAN; 5], [5.0, 0.0, 0.0, 0.6, 0.1], [1e300, 1.0, 1e300, 1.0, 0.0]] {
            let _ = holevo(&link(numbers), Detection::Heterodyne, Trust::Untrusted);
        }
    }
}
