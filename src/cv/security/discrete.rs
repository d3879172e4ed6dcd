//! Discrete modulation against collective attacks, in the limit of many symbols.
//!
//! Denys, Brown, Leverrier, Quantum 5, 540 (2021), for a Gaussian channel of transmittance T and excess
//! noise ξ at its input, heterodyne detection, nothing of the receiver trusted. Alice sends |α_k⟩ with
//! probability p_k; τ = Σ p_k |α_k⟩⟨α_k| and a_τ = τ^½ a τ^−½.
//!
//! ```text
//! Z* = 2 √T Tr(τ^½ a τ^½ a†) − √(2 T ξ w),  w = Σ p_k (⟨a_τ† a_τ⟩_k − |⟨a_τ⟩_k|²)
//! χ_BE = G(ν₁) + G(ν₂) − G(ν₃) of the covariance matrix [[V, Z*], [Z*, 1 + T V_A + T ξ]],
//! ν₃ = V − Z*²/(2 + T V_A + T ξ),  V_A = 2⟨n⟩,  V = V_A + 1
//! ```
//!
//! No photon number is cut off: with the Gram matrix G_kl = √(p_k p_l) ⟨α_k|α_l⟩ and D = diag(α),
//!
//! ```text
//! Tr(τ^½ a τ^½ a†) = Tr(G^{3/2} D G^{−½} D†),
//! w = Tr(G^{−½} D† G² D G^{−½}) − Σ |(G^{3/2} D G^{−½})_kk|²/p_k.
//! ```
//!
//! The smallest eigenvalues of G fall like ⟨n⟩^M/M!, which is why this is computed with 106 bits. Those
//! below the precision are raised to it; what they weigh in both traces is as small.

use crate::bounds::Real;

use super::gaussian::entropy;

/// A constellation: amplitudes and their probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Constellation {
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    amplitude: Complex,
    probability: Real,
}

/// Most points of a constellation. The eigenvalue problem grows with their cube: 64 points take half a
/// second, 256 half a minute.
pub const MOST_POINTS: usize = 256;

impl Constellation {
    /// M phases of one amplitude α, equally likely. `None` for M = 0 or beyond [`MOST_POINTS`].
    #[must_use]
    pub fn phases(count: usize, amplitude: f64) -> Option<Self> {
        if count == 0 || count > MOST_POINTS || !amplitude.is_finite() {
            return None;
        }
        let probability = Real::ONE / Real::from(count as u64);
        let step = unit_root(count);
        let mut turn = Complex { re: Real::ONE, im: Real::ZERO };
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            points.push(Point { amplitude: turn.times(Real::from(amplitude)), probability });
            turn = turn * step;
        }
        Some(Self { points })
    }

    /// A square of M points with binomial probabilities and modulation variance V_A = 2⟨n⟩.
    ///
    /// `None` unless M is a square of at least 4, at most [`MOST_POINTS`].
    #[must_use]
    pub fn square(count: usize, modulation_variance: f64) -> Option<Self> {
        let side = (2..=16_u32).find(|side| (side * side) as usize == count)?;
        if !modulation_variance.is_finite() {
            return None;
        }
        // The sum of m − 1 coins has variance m − 1 in units where the levels lie 2 apart.
        let scale = (Real::from(modulation_variance) / Real::from(f64::from(4 * (side - 1)))).sqrt();
        let level = |i: u32| scale * Real::from(f64::from(2 * i) - f64::from(side - 1));
        let chance = |i: u32| {
            let choose = (0..i).fold(1.0, |product, j| product * f64::from(side - 1 - j) / f64::from(j + 1));
            Real::from(choose / f64::from(1_u32 << (side - 1)))
        };
        let pairs = (0..side).flat_map(|a| (0..side).map(move |b| (a, b)));
        let points = pairs.map(|(a, b)| Point {
            amplitude: Complex { re: level(a), im: level(b) },
            probability: chance(a) * chance(b),
        });
        Some(Self { points: points.collect() })
    }

    /// ⟨n⟩, the mean photon number.
    #[must_use]
    pub fn mean_photons(&self) -> Real {
        self.points
            .iter()
            .fold(Real::ZERO, |sum, point| sum + point.probability * point.amplitude.square_magnitude())
    }

    /// Tr(τ^½ a τ^½ a†) and w. O(M³).
    #[must_use]
    pub fn traces(&self) -> (Real, Real) {
        let gram = self.gram();
        let (values, vectors) = eigen(gram.clone());
        let roots: Vec<Real> = values.iter().map(|value| value.max(Real::from(FLOOR)).sqrt()).collect();
        let amplitudes: Vec<Complex> = self.points.iter().map(|point| point.amplitude).collect();
        let inverse_root = compose(&vectors, &roots.iter().map(|root| Real::ONE / *root).collect::<Vec<_>>());
        let three_halves = compose(&vectors, &roots.iter().map(|root| root.powi(3)).collect::<Vec<_>>());
        // D G^{−½}: the rows of G^{−½} times the amplitudes.
        let moved: Matrix = inverse_root
            .iter()
            .zip(&amplitudes)
            .map(|(row, alpha)| row.iter().map(|entry| *entry * *alpha).collect())
            .collect();
        let lowered = product(&three_halves, &moved);
        let first = diagonal(&lowered)
            .zip(&amplitudes)
            .fold(Real::ZERO, |sum, (entry, alpha)| sum + (entry * alpha.conjugate()).re);
        let seen = product(&gram, &moved);
        let all = seen.iter().flatten().fold(Real::ZERO, |sum, entry| sum + entry.square_magnitude());
        let known = diagonal(&lowered)
            .zip(&self.points)
            .fold(Real::ZERO, |sum, (entry, point)| sum + entry.square_magnitude() / point.probability);
        (first, (all - known).max(Real::ZERO))
    }

    fn gram(&self) -> Matrix {
        let half = Real::from(0.5);
        let overlap = |a: &Point, b: &Point| {
            let inner = a.amplitude.conjugate() * b.amplitude;
            let norms = (a.amplitude.square_magnitude() + b.amplitude.square_magnitude()) * half;
            let size = (inner.re - norms).exp() * (a.probability * b.probability).sqrt();
            let (sine, cosine) = sine_cosine(inner.im);
            Complex { re: size * cosine, im: size * sine }
        };
        self.points.iter().map(|a| self.points.iter().map(|b| overlap(a, b)).collect()).collect()
    }
}

/// What eigenvalues below the precision are raised to.
const FLOOR: f64 = 1e-31;

/// The rate of a constellation and its terms, in bits a symbol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// ⟨n⟩.
    pub mean_photons: Real,
    /// V_A = 2⟨n⟩.
    pub modulation_variance: Real,
    /// Tr(τ^½ a τ^½ a†).
    pub correlation: Real,
    /// w.
    pub spread: Real,
    /// Z*.
    pub covariance: Real,
    /// ν₁, ν₂, ν₃.
    pub eigenvalues: [Real; 3],
    /// χ_BE.
    pub holevo: Real,
    /// I_AB of a Gaussian modulation of the same variance, which the constellation does not exceed.
    pub gaussian_information: Real,
    /// β I_AB − χ_BE.
    pub rate: Real,
}

/// The rate over a channel of transmittance T and excess noise ξ at reconciliation efficiency β.
#[must_use]
pub fn rate(constellation: &Constellation, transmittance: f64, excess_noise: f64, beta: f64) -> Rate {
    let (one, two) = (Real::ONE, Real::from(2.0));
    let [t, xi] = [transmittance, excess_noise].map(Real::from);
    let mean_photons = constellation.mean_photons();
    let modulation_variance = two * mean_photons;
    let (correlation, spread) = constellation.traces();
    let covariance = two * t.sqrt() * correlation - (two * t * xi * spread).sqrt();
    let alice = modulation_variance + one;
    let bob = one + t * modulation_variance + t * xi;
    let square = covariance * covariance;
    let determinant = alice * bob - square;
    let sum = alice * alice + bob * bob - two * square;
    let root = (sum * sum - Real::from(4.0) * determinant * determinant).max(Real::ZERO).sqrt();
    let larger = ((sum + root) / two).sqrt();
    let eigenvalues = [larger, determinant / larger, alice - square / (one + bob)];
    let [first, second, third] = eigenvalues.map(entropy);
    let holevo = first + second - third;
    let gaussian_information = (one + t * modulation_variance / (two + t * xi)).log2();
    Rate {
        mean_photons,
        modulation_variance,
        correlation,
        spread,
        covariance,
        eigenvalues,
        holevo,
        gaussian_information,
        rate: Real::from(beta) * gaussian_information - holevo,
    }
}

type Matrix = Vec<Vec<Complex>>;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Complex {
    re: Real,
    im: Real,
}

impl Complex {
    fn conjugate(self) -> Self {
        Self { re: self.re, im: -self.im }
    }

    fn square_magnitude(self) -> Real {
        self.re * self.re + self.im * self.im
    }

    fn times(self, factor: Real) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }
}

impl std::ops::Add for Complex {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }
}

impl std::ops::Sub for Complex {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }
}

impl std::ops::Mul for Complex {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let entry = |row: &[Complex], column: usize| {
        row.iter().zip(b).fold(Complex::default(), |sum, (left, right)| sum + *left * right[column])
    };
    a.iter().map(|row| (0..b.len()).map(|column| entry(row, column)).collect()).collect()
}

fn diagonal(matrix: &Matrix) -> impl Iterator<Item = Complex> {
    matrix.iter().enumerate().map(|(i, row)| row[i])
}

/// Σ valueⱼ |j⟩⟨j| for eigenvectors in columns.
fn compose(vectors: &Matrix, values: &[Real]) -> Matrix {
    let entry = |a: &[Complex], b: &[Complex]| {
        let terms = a.iter().zip(b).zip(values);
        terms.fold(Complex::default(), |sum, ((left, right), value)| {
            sum + (*left * right.conjugate()).times(*value)
        })
    };
    vectors.iter().map(|a| vectors.iter().map(|b| entry(a, b)).collect()).collect()
}

/// Eigenvalues and eigenvectors (columns) of a Hermitian matrix, by Jacobi's rotations.
fn eigen(mut matrix: Matrix) -> (Vec<Real>, Matrix) {
    let n = matrix.len();
    let mut vectors = vec![vec![Complex::default(); n]; n];
    for (i, row) in vectors.iter_mut().enumerate() {
        row[i].re = Real::ONE;
    }
    for _ in 0..40 {
        let mut rest = 0.0;
        for p in 0..n {
            for q in p + 1..n {
                rest += matrix[p][q].square_magnitude().to_f64();
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
        if rest < 1e-64 {
            break;
        }
    }
    ((0..n).map(|i| matrix[i][i].re).collect(), vectors)
}

/// One rotation in the plane (p, q) that clears the entry there.
fn rotate(matrix: &mut Matrix, vectors: &mut Matrix, p: usize, q: usize) {
    let entry = matrix[p][q];
    let size = entry.square_magnitude().sqrt();
    if size.to_f64() < 1e-60 {
        return;
    }
    let phase = entry.times(Real::ONE / size);
    let ratio = (matrix[q][q].re - matrix[p][p].re) / (size + size);
    let denominator = ratio.abs() + (ratio * ratio + Real::ONE).sqrt();
    let tangent = if ratio < Real::ZERO { -Real::ONE / denominator } else { Real::ONE / denominator };
    let cosine = Real::ONE / (tangent * tangent + Real::ONE).sqrt();
    let sine = phase.times(tangent * cosine);
    // Columns: p' = c p − s̄ q, q' = s p + c q; then rows with the conjugates.
    for row in matrix.iter_mut().chain(vectors.iter_mut()) {
        let (left, right) = (row[p], row[q]);
        row[p] = left.times(cosine) - right * sine.conjugate();
        row[q] = left * sine + right.times(cosine);
    }
    let (upper, lower) = matrix.split_at_mut(q);
    for (above, below) in upper[p].iter_mut().zip(&mut lower[0]) {
        let (left, right) = (*above, *below);
        *above = left.times(cosine) - right * sine;
        *below = left * sine.conjugate() + right.times(cosine);
    }
}

/// e^{2πi/M}.
fn unit_root(count: usize) -> Complex {
    // 2π to 106 bits as the sum of two doubles.
    let turn = Real::from(std::f64::consts::TAU) + Real::from(2.449_293_598_294_706_4e-16);
    let (im, re) = sine_cosine(turn / Real::from(count as u64));
    Complex { re, im }
}

/// Sine and cosine by their series after halving the angle until it is small.
fn sine_cosine(angle: Real) -> (Real, Real) {
    let halvings = if angle == Real::ZERO { 0 } else { (libm::ilogb(angle.to_f64()) + 8).clamp(0, 60) };
    let mut small = angle;
    for _ in 0..halvings {
        small = small * Real::from(0.5);
    }
    let square = small * small;
    let (mut sine, mut missing) = (Real::ZERO, Real::ZERO);
    for k in (0..10_u32).rev() {
        let (odd, even) = (f64::from((2 * k + 2) * (2 * k + 3)), f64::from((2 * k + 3) * (2 * k + 4)));
        sine = Real::ONE - square / Real::from(odd) * sine;
        missing = Real::ONE - square / Real::from(even) * missing;
    }
    sine = small * sine;
    // 1 − cos, which doubles without losing digits: 1 − cos 2x = 2(1 − cos x)(1 + cos x).
    missing = square * Real::from(0.5) * missing;
    for _ in 0..halvings {
        let cosine = Real::ONE - missing;
        sine = Real::from(2.0) * sine * cosine;
        missing = Real::from(2.0) * missing * (Real::ONE + cosine);
    }
    (sine, Real::ONE - missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_have_unit_circle_values() {
        for angle in [0.0, 1e-9, 0.5, 1.0, 3.0, -2.0, 6.3, 40.0] {
            let (sine, cosine) = sine_cosine(Real::from(angle));
            assert!((sine.to_f64() - libm::sin(angle)).abs() < 1e-15, "sin {angle}: {sine:?}");
            assert!((cosine.to_f64() - libm::cos(angle)).abs() < 1e-15, "cos {angle}: {cosine:?}");
            let norm = (sine * sine + cosine * cosine - Real::ONE).to_f64();
            assert!(norm.abs() < 1e-28, "sin² + cos² − 1 at {angle} is {norm:e}");
        }
        let full = unit_root(8).square_magnitude() - Real::ONE;
        assert!(full.to_f64().abs() < 1e-30, "an eighth of a turn has length one");
    }

    #[test]
    fn many_points_approach_the_gaussian_modulation() {
        // For Gaussian modulation Tr(τ^½ a τ^½ a†) = √(⟨n⟩² + ⟨n⟩) and w = 0.
        let constellation = Constellation::square(36, 1.0).unwrap();
        let (correlation, spread) = constellation.traces();
        assert!((correlation.to_f64() - libm::sqrt(0.75)).abs() < 1e-3, "correlation {correlation:?}");
        assert!(spread.to_f64() < 3e-3, "spread {spread:?}");
    }

    #[test]
    fn constellations_that_are_none_are_refused() {
        assert_eq!(Constellation::phases(0, 0.5), None, "no phases");
        assert_eq!(Constellation::phases(257, 0.5), None, "too many phases");
        assert_eq!(Constellation::square(15, 1.0), None, "no square");
        assert_eq!(Constellation::square(16, f64::NAN), None, "no variance");
    }

    #[test]
    fn weak_light_does_not_break_the_roots() {
        // From a reference of 150 digits: (points, V_A or α, correlation, w).
        let square = Constellation::square(16, 1e-3).unwrap();
        let phases = Constellation::phases(4, 0.01).unwrap();
        for (constellation, correlation, spread) in [
            (square, 0.022_366_184_450_109_097, 7.584_770_049_759_933e-6),
            (phases, 0.010_000_414_208_740_302, 1.715_653_558_424_512_2e-5),
        ] {
            let (ours, ours_spread) = constellation.traces();
            assert!((ours.to_f64() / correlation - 1.0).abs() < 1e-12, "correlation {ours:?}");
            assert!((ours_spread.to_f64() / spread - 1.0).abs() < 1e-11, "w {ours_spread:?}");
        }
    }

    #[test]
    fn strong_and_weak_light_agree_with_the_reference() {
        for (modulation_variance, rate_expected) in
            [(0.1, 0.001_091_578_032_688_563), (10.0, -0.563_508_418_807_433_2)]
        {
            let constellation = Constellation::square(16, modulation_variance).unwrap();
            let ours = rate(&constellation, 0.5, 0.01, 0.95).rate.to_f64();
            assert!((ours / rate_expected - 1.0).abs() < 1e-11, "V_A {modulation_variance}: {ours}");
        }
    }
}
