//! Counter-mode random words and Gaussian samples for the simulated world.
//!
//! Words are those of ChaCha8 (Bernstein, "ChaCha, a variant of Salsa20", 2008) with a 64-bit block
//! counter in words 12 and 13 and a zero nonce: any word of the stream can be had without those before
//! it. Where single words are wanted at scattered places (a gate's setting), a block of sixteen would be wasted on
//! each: those are Philox2x32-10's (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//! 2011). Gaussians are Box and Muller's, two from two words, with polynomials of ours in single precision
//! and a fixed order of operations, so that every rung gives the same bits.
//!
//! | rung | way |
//! |---|---|
//! | avx2 | the lanes of the scalar body, sixteen blocks or samples at once, by the compiler |
//! | avx512 | registers of sixteen by hand, so that sixteen blocks stay in registers: the compiler's of the same body spill |
//! | portable, scalar | the same body for the baseline |

kernel! {
    /// A word of each gate: the first of Philox2x32-10 at counter g ⊕ (k₁ + 2^32·k₂) under k₀.
    ///
    /// `out`: as long as `gates`. Panics otherwise. For simulation; no secret in, none out.
    pub fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]);

    /// The settings that words mean, packed as in [`Detection`], by its thresholds.
    ///
    /// `out`: as long as `words`. Panics otherwise.
    pub fn settings(thresholds: &[u32; 5], words: &[u32], out: &mut [u8]);

    /// The stream's words from block `first_block` on.
    ///
    /// `out`: a multiple of 256 words (sixteen blocks). Panics otherwise.
    pub fn words(key: &[u32; 8], first_block: u64, out: &mut [u32]);

    /// The words of sixteen blocks at a time, in the order in which they are computed: the first word of each, the
    /// second of each, and so on.
    ///
    /// `out`: a multiple of 256 words. Panics otherwise.
    pub fn words_across(key: &[u32; 8], first_block: u64, out: &mut [u32]);

    /// Geometric gaps, ⌊ln(u)·`inverse`⌋ with u from 24 bits of a word each in the order of [`words_across`]: failures
    /// before a success of probability p, where `inverse` is 1/ln(1 − p).
    ///
    /// `inverse`: negative. `out`: a multiple of 256. Panics otherwise. A gap beyond 2^31 is 2^31.
    pub fn gaps(key: &[u32; 8], first_block: u64, inverse: f32, out: &mut [u32]);

    /// Standard normal samples from the words of block `first_block` on, a word a sample.
    ///
    /// `out`: a multiple of 256 samples. Panics otherwise. The tails end at 5.8 standard deviations.
    pub fn gaussians(key: &[u32; 8], first_block: u64, out: &mut [f32]);

    /// Gates of a cell at which a single-photon receiver clicks of itself, in order, counted from the cell's first;
    /// returns how many they are.
    ///
    /// Candidates come at geometric gaps as those of [`gaps`]; of both words of a candidate's gate, as [`gate_words`]
    /// has the first, that one is the sender's setting and the other decides what clicks. `gates`, `clicks`: of the
    /// same length, room for the cell's gates and [`ROOM`] more; behind what clicked they are anything. Panics otherwise.
    pub fn detect(rule: &Detection, cell: &Cell<'_>, gates: &mut [u32], clicks: &mut [u8]) -> usize;

    /// What a coherent receiver makes of its symbols, in place.
    ///
    /// `angles`: radians by which each of n symbols is turned, a few turns at most, n a multiple of 16; `quadratures`:
    /// x and p of each in turn; `noise`: 2n standard normal samples, for sixteen symbols those of x and then those of
    /// p. Panics otherwise.
    pub fn receive(receiver: &Receiver, angles: &[f32], noise: &[f32], quadratures: &mut [f32]);
}

/// Elements behind a cell's gates that [`detect`] may write over.
pub const ROOM: usize = 16;

/// Gates side by side, and the streams that say which of them are candidates and what becomes of those.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The first gate.
    pub first_gate: u64,
    /// How many they are, at most 2^24.
    pub gates: u32,
    /// The key of the gaps' stream.
    pub gap_key: &'a [u32; 8],
    /// The cell's first block in it; a cell takes sixteen at a time.
    pub first_block: u64,
    /// 1/ln(1 − p) of a candidate's probability p: negative.
    pub inverse: f32,
    /// The key of the gates' words.
    pub gate_key: &'a [u32; 8],
}

/// What becomes of a candidate, by the sender's setting.
///
/// A setting is packed as bit 0 the bit, bit 1 the test basis, bits 2 and 3 the intensity. A click is a byte: bit 0 set
/// in the test basis, bit 1 if the detector of bit 0 clicked, bit 2 if that of bit 1 did.
#[derive(Clone, Debug)]
pub struct Detection {
    /// Cumulative counts of 2^31: (key basis, intensity 0), (key, 1), (key, 2), (test, 0), (test, 1); what is above
    /// the last is (test, 2).
    pub thresholds: [u32; 5],
    /// For each setting, the words below which: the receiver measures in the key basis and the right detector clicks,
    /// the wrong one, both; or in the test basis the right one, the wrong one, both; cumulative.
    pub bounds: [[u32; 16]; 6],
}

/// A coherent receiver: y = signal·(turned symbol) + noise·(its sample); then p as told below; then the converter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Receiver {
    /// Gain of the symbols.
    pub signal: f32,
    /// Deviation of the noise.
    pub noise: f32,
    /// What the second quadrature takes of itself and of the first: `[1, 0]` in balance.
    pub second_gain: [f32; 2],
    /// The converter's step, and how many at most either way; `None` if it is ideal.
    pub converter: Option<[f32; 2]>,
}

#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

#[cfg(target_arch = "aarch64")]
use scalar as neon;
use scalar as portable;

/// The scalar bodies under wider features: the compiler vectorises their lanes.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use super::{Cell, Detection, Receiver, scalar};

    #[target_feature(enable = "avx2")]
    pub(super) fn settings(thresholds: &[u32; 5], words: &[u32], out: &mut [u8]) {
        scalar::settings(thresholds, words, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn detect(rule: &Detection, cell: &Cell<'_>, gates: &mut [u32], clicks: &mut [u8]) -> usize {
        scalar::detect(rule, cell, gates, clicks)
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn receive(receiver: &Receiver, angles: &[f32], noise: &[f32], quadratures: &mut [f32]) {
        scalar::receive(receiver, angles, noise, quadratures);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gate_words(key: &[u32; 8], gates: &[u64], out: &mut [u32]) {
        scalar::gate_words(key, gates, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn words(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
        scalar::words(key, first_block, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn words_across(key: &[u32; 8], first_block: u64, out: &mut [u32]) {
        scalar::words_across(key, first_block, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gaps(key: &[u32; 8], first_block: u64, inverse: f32, out: &mut [u32]) {
        scalar::gaps(key, first_block, inverse, out);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn gaussians(key: &[u32; 8], first_block: u64, out: &mut [f32]) {
        scalar::gaussians(key, first_block, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    const KEY: [u32; 8] = [3, 1, 4, 1, 5, 9, 2, 6];

    fn stream(words: usize) -> Vec<u32> {
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(4).zip(KEY) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let mut stream = ChaCha8Rng::from_seed(seed);
        (0..words).map(|_| stream.next_u32()).collect()
    }

    #[test]
    fn words_are_those_of_the_chacha8_stream() {
        let want = stream(2048);
        for isa in Isa::available() {
            let mut out = vec![0; 1024];
            words(isa, &KEY, 64, &mut out);
            assert_eq!(out, want[1024..], "{isa}: in order");
            words_across(isa, &KEY, 64, &mut out);
            let across = (0..1024).map(|place| place / 256 * 256 + place % 16 * 16 + place % 256 / 16);
            assert!(across.zip(&out).all(|(place, word)| want[1024 + place] == *word), "{isa}: across");
        }
    }

    #[test]
    fn words_of_gates_are_those_of_philox() {
        // The known answers of the Random123 library for philox2x32 with ten rounds: counter, key, first word.
        let known = [
            (0, 0, 0xff1d_ae59),
            (u64::MAX, u32::MAX, 0x2c3f_628b),
            (0x85a3_08d3_243f_6a88, 0x1319_8a2e, 0xdd7c_e038),
        ];
        for isa in Isa::available() {
            for (counter, key, want) in known {
                let mut out = [0];
                gate_words(isa, &[key, 0, 0, 0, 0, 0, 0, 0], &[counter], &mut out);
                assert_eq!(out, [want], "{isa}: counter {counter:#x}");
                let masked = counter ^ (u64::from(KEY[2]) << 32 | u64::from(KEY[1]));
                gate_words(isa, &[key, KEY[1], KEY[2], 0, 0, 0, 0, 0], &[masked], &mut out);
                assert_eq!(out, [want], "{isa}: counter {counter:#x}, masked");
            }
            for gates in [0, 1, 7, 8, 9, 31, 32, 33, 1000] {
                let gates: Vec<u64> = (0..gates).map(|gate| gate * gate * 0x1_0001).collect();
                let (mut want, mut out) = (vec![0; gates.len()], vec![0; gates.len()]);
                gate_words(Isa::SCALAR, &KEY, &gates, &mut want);
                gate_words(isa, &KEY, &gates, &mut out);
                assert_eq!(out, want, "{isa}: {} gates", gates.len());
            }
        }
    }

    #[test]
    fn settings_are_read_alike_on_every_level() {
        let thresholds = THRESHOLDS.map(|share| (share * f64::from(1u32 << 31)) as u32);
        let mut drawn = vec![0; 256];
        words(Isa::SCALAR, &KEY, 0, &mut drawn);
        for len in [0, 1, 15, 16, 17, 250] {
            let mut want = vec![0; len];
            settings(Isa::SCALAR, &thresholds, &drawn[..len], &mut want);
            for isa in Isa::available() {
                let mut out = vec![0; len];
                settings(isa, &thresholds, &drawn[..len], &mut out);
                assert_eq!(out, want, "{isa}: settings of {len} words");
            }
        }
    }

    const THRESHOLDS: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];

    fn detected(isa: Isa, rule: &Detection, p: f64, gates: u32, first_gate: u64) -> Vec<(u32, u8)> {
        let cell = Cell {
            first_gate,
            gates,
            gap_key: &KEY,
            first_block: 7,
            inverse: (1.0 / f64::ln_1p(-p)) as f32,
            gate_key: &[9, 8, 7, 6, 5, 4, 3, 2],
        };
        let room = gates as usize + ROOM;
        let (mut places, mut clicks) = (vec![0; room], vec![0; room]);
        let found = detect(isa, rule, &cell, &mut places, &mut clicks);
        places.into_iter().zip(clicks).take(found).collect()
    }

    #[test]
    fn cells_click_alike_on_every_level() {
        let rule = Detection {
            thresholds: THRESHOLDS.map(|share| (share * f64::from(1u32 << 31)) as u32),
            bounds: std::array::from_fn(|kind| {
                std::array::from_fn(|place| (kind as u32 + 1) * 600_000_000 + place as u32 * 1000)
            }),
        };
        for (p, gates) in
            [(0.01, 1 << 14), (0.5, 1 << 14), (0.999, 5000), (1e-7, 1 << 14), (0.3, 1), (0.3, 0)]
        {
            let want = detected(Isa::SCALAR, &rule, p, gates, 1 << 40);
            assert!(
                want.iter().all(|(gate, click)| *gate < gates && click & 6 != 0),
                "a detector each, inside"
            );
            assert!(want.is_sorted_by(|a, b| a.0 < b.0), "in order");
            for isa in Isa::available() {
                assert_eq!(detected(isa, &rule, p, gates, 1 << 40), want, "{isa}: {gates} gates at {p}");
            }
        }
    }

    #[test]
    fn clicks_have_the_probabilities_of_the_rule() {
        // Each setting of its own probabilities: place over 64 of all, in unequal parts.
        let parts = [0.3, 0.1, 0.05, 0.4, 0.1, 0.05];
        let share =
            |place: usize, kind: usize| (place + 1) as f64 / 16.0 * parts[..=kind].iter().sum::<f64>();
        let rule = Detection {
            thresholds: THRESHOLDS.map(|share| (share * f64::from(1u32 << 31)) as u32),
            bounds: std::array::from_fn(|kind| {
                std::array::from_fn(|place| (share(place, kind) * 4_294_967_295.0) as u32)
            }),
        };
        let (gates, cells, p) = (1u32 << 20, 8, 0.2);
        let mut counts = [[0.0; 8]; 12];
        for cell in 0..cells {
            let first = cell << 20;
            let clicked = detected(Isa::best(), &rule, p, gates, first);
            let at: Vec<u64> = clicked.iter().map(|(gate, _)| first + u64::from(*gate)).collect();
            let (mut words, mut packed) = (vec![0; at.len()], vec![0; at.len()]);
            gate_words(Isa::best(), &[9, 8, 7, 6, 5, 4, 3, 2], &at, &mut words);
            settings(Isa::best(), &rule.thresholds, &words, &mut packed);
            clicked.iter().zip(packed).for_each(|((_, click), setting)| {
                counts[usize::from(setting)][usize::from(*click)] += 1.0;
            });
        }
        let shares = [0.5, 0.1, 0.1, 0.1, 0.1, 0.1];
        for place in 0..12 {
            let (bit, class) = (place & 1, (place >> 2) + 3 * (place >> 1 & 1));
            let sent = f64::from(gates) * cells as f64 * p * 0.5 * shares[class];
            for (kind, part) in parts.iter().enumerate() {
                let detector = [[2, 4, 6], [4, 2, 6]][bit][kind % 3];
                let expected = sent * (place + 1) as f64 / 16.0 * part;
                let found = counts[place][detector + kind / 3];
                let sigmas = (found - expected) / expected.sqrt();
                assert!(
                    sigmas.abs() < 4.5,
                    "setting {place}, kind {kind}: {found}, not {expected}: {sigmas} σ"
                );
            }
        }
    }

    #[test]
    fn gaps_are_geometric_and_the_same_on_every_level() {
        for p in [0.3, 0.008, 1e-5] {
            let inverse = (1.0 / f64::ln_1p(-p)) as f32;
            let mut want = vec![0; 1 << 18];
            gaps(Isa::SCALAR, &KEY, 9, inverse, &mut want);
            for isa in Isa::available() {
                let mut out = vec![0; 1 << 18];
                gaps(isa, &KEY, 9, inverse, &mut out);
                assert_eq!(out, want, "{isa}, {p}");
            }
            let n = want.len() as f64;
            let mean = want.iter().map(|gap| f64::from(*gap)).sum::<f64>() / n;
            let expected = (1.0 - p) / p;
            let sigma = (1.0 - p).sqrt() / p / n.sqrt();
            assert!((mean - expected).abs() < 4.0 * sigma, "{p}: mean {mean}, not {expected} ± {sigma}");
            // One below the median, and one far out.
            for share in [0.5, 0.01] {
                let gap = (f64::ln(share) / f64::ln_1p(-p)).floor();
                let beyond = want.iter().filter(|found| f64::from(**found) >= gap).count() as f64 / n;
                let expected = (1.0 - p).powf(gap);
                let sigma = (expected * (1.0 - expected) / n).sqrt();
                assert!(
                    (beyond - expected).abs() < 4.0 * sigma,
                    "{p}: {beyond} of {gap} or more, not {expected}"
                );
            }
        }
    }

    #[test]
    fn gaussians_are_the_same_on_every_level_and_have_the_right_moments() {
        let mut want = vec![0.0; 1 << 18];
        gaussians(Isa::SCALAR, &KEY, 5, &mut want);
        for isa in Isa::available() {
            let mut out = vec![0.0; 1 << 18];
            gaussians(isa, &KEY, 5, &mut out);
            assert!(out.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa}");
        }
        let moment =
            |power: i32| want.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / want.len() as f64;
        assert!(moment(1).abs() < 0.008, "mean {}", moment(1));
        assert!((moment(2) - 1.0).abs() < 0.011, "variance {}", moment(2));
        assert!(moment(3).abs() < 0.03, "skewness {}", moment(3));
        assert!((moment(4) - 3.0).abs() < 0.08, "kurtosis {}", moment(4));
        let beyond = want.iter().filter(|x| x.abs() > 1.959_964).count() as f64 / want.len() as f64;
        assert!((beyond - 0.05).abs() < 0.002, "share beyond 1.96: {beyond}");
        let pairs = want.chunks_exact(2).map(|pair| f64::from(pair[0]) * f64::from(pair[1])).sum::<f64>();
        assert!((pairs / (want.len() / 2) as f64).abs() < 0.012, "neighbours are uncorrelated");
    }

    #[test]
    fn a_receiver_is_the_same_on_every_level_and_does_what_it_says() {
        let samples = |key: u32, count: usize| {
            let mut out = vec![0.0; count];
            gaussians(Isa::SCALAR, &[key; 8], 0, &mut out);
            out
        };
        let (sent, noise, mut angles) = (samples(1, 512), samples(2, 512), samples(3, 256));
        angles.iter_mut().for_each(|angle| *angle *= 2.0);
        let ideal = Receiver { signal: 3.0, noise: 0.5, second_gain: [1.1, 0.2], converter: None };
        for receiver in [ideal, Receiver { converter: Some([0.25, 16.0]), ..ideal }] {
            let mut want = sent.clone();
            receive(Isa::SCALAR, &receiver, &angles, &noise, &mut want);
            for isa in Isa::available() {
                let mut out = sent.clone();
                receive(isa, &receiver, &angles, &noise, &mut out);
                assert!(out.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{isa}");
            }
            for (k, angle) in angles.iter().enumerate() {
                let (sine, cosine) = f64::from(*angle).sin_cos();
                let (x, p) = (f64::from(sent[2 * k]), f64::from(sent[2 * k + 1]));
                let at = k / 16 * 32 + k % 16;
                let x_out = 3.0 * (x * cosine - p * sine) + 0.5 * f64::from(noise[at]);
                let upright = 3.0 * (x * sine + p * cosine) + 0.5 * f64::from(noise[at + 16]);
                for (place, exact) in [(2 * k, x_out), (2 * k + 1, 1.1 * upright + 0.2 * x_out)] {
                    let found = f64::from(want[place]);
                    let (exact, error) = match receiver.converter {
                        Some(_) => (exact.clamp(-4.0, 4.0), 0.1251),
                        None => (exact, 1e-4),
                    };
                    assert!((found - exact).abs() < error, "symbol {k}: {found}, not {exact}");
                }
            }
        }
    }
}
