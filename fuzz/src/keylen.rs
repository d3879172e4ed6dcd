//! Any counts, any source, any sums: key lengths never panic, and are never longer than their bits.

use keystill::bb84::security::mismatch::Mismatch;
use keystill::bb84::security::published::{self, Block, Epsilons, GammaConstant, LimReading, VacuumFrom};
use keystill::bb84::security::{self as bb84, Budget, Claim, Observation, Source, Vacuum};
use keystill::cv::security::gaussian::Trust;
use keystill::cv::security::{self as cv, FailedFrames, Interval, Kept, Moments, Receiver};

/// Numbers from bytes; zeros once they are used up.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn word(&mut self) -> u64 {
        let (now, later) = self.0.split_at(self.0.len().min(8));
        self.0 = later;
        let mut word = [0; 8];
        word[..now.len()].copy_from_slice(now);
        u64::from_le_bytes(word)
    }

    /// Any double: infinite, undefined, subnormal.
    fn any(&mut self) -> f64 {
        f64::from_bits(self.word())
    }

    /// A double in [0, 1], so that something passes the first check.
    fn share(&mut self) -> f64 {
        self.word() as f64 / u64::MAX as f64
    }

    /// A count of any magnitude.
    fn count(&mut self) -> u64 {
        let word = self.word();
        (word >> 6) >> (word & 63)
    }

    fn counts<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| self.count())
    }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut numbers = Numbers(bytes);
    match numbers.word() % 3 {
        0 => default_bb84(&mut numbers),
        1 => published_bb84(&mut numbers),
        _ => default_cv(&mut numbers),
    }
}

fn default_bb84(numbers: &mut Numbers<'_>) {
    let seen = Observation { key: numbers.counts(), test: numbers.counts(), test_errors: numbers.counts() };
    let (wild, rest) = (numbers.word().is_multiple_of(8), 1.0 - 0.8 - 0.15);
    let mean = if wild {
        [0; 3].map(|_| numbers.any())
    } else {
        [0.3 + numbers.share(), 0.3 * numbers.share(), 0.0]
    };
    let mut source = Source::new(mean, [0.8, 0.15, rest]);
    if numbers.word().is_multiple_of(2) {
        source = source.with_test_basis(numbers.any(), numbers.share());
    }
    let mismatch = (numbers.word().is_multiple_of(4)).then(|| Mismatch {
        efficiency_spread: numbers.any(),
        dark_probability: numbers.share(),
        dark_spread: numbers.share(),
    });
    let budget = Budget { estimation: numbers.share(), amplification: numbers.share() };
    let claim = Claim { budget, vacuum: Vacuum::Credited, mismatch };
    let disclosed = numbers.count();
    if let Ok(key) = bb84::terms(&seen, &source, &claim, disclosed) {
        let bits: u64 = seen.key.iter().sum();
        assert!(key.ell <= bits.saturating_sub(disclosed), "{key:?} from {seen:?}");
    }
}

fn published_bb84(numbers: &mut Numbers<'_>) {
    let block = Block {
        mean_photons: [0; 3].map(|_| numbers.any()),
        probability: [0; 3].map(|_| numbers.any()),
        key: numbers.counts(),
        key_errors: numbers.counts(),
        test: numbers.counts(),
        test_errors: numbers.counts(),
        disclosed_bits: numbers.count(),
    };
    let epsilons = Epsilons { secrecy: numbers.any(), correctness: numbers.any() };
    for reading in [LimReading::Clamped, LimReading::ChernoffCapped, LimReading::Asymptotic] {
        let _ = published::lim2014(&block, epsilons, reading);
    }
    let two = Block {
        mean_photons: [block.mean_photons[0], block.mean_photons[1]],
        probability: [block.probability[0], block.probability[1]],
        key: numbers.counts(),
        key_errors: numbers.counts(),
        test: numbers.counts(),
        test_errors: numbers.counts(),
        disclosed_bits: block.disclosed_bits,
    };
    let _ = published::rusca2018(&two, epsilons, VacuumFrom::Least, GammaConstant::Consistent);
}

fn default_cv(numbers: &mut Numbers<'_>) {
    let tame = !numbers.word().is_multiple_of(4);
    let moments = if tame {
        let link =
            [10.0 * numbers.share(), numbers.share(), numbers.share(), numbers.share(), numbers.share()];
        Moments::expected(numbers.count(), link)
    } else {
        Moments { pairs: numbers.count(), alice: numbers.any(), cross: numbers.any(), bob: numbers.any() }
    };
    let receiver = Receiver {
        efficiency: Interval { low: numbers.share(), high: numbers.share() },
        electronic_noise: Interval { low: numbers.share(), high: numbers.any() },
        electronic_measured: Some(numbers.share()),
        calibration_samples: numbers.count(),
        trust: if tame { Trust::Trusted } else { Trust::Untrusted },
    };
    let kept = Kept {
        symbols: numbers.count(),
        failed: FailedFrames::Subtracted { symbols: numbers.count() },
        disclosed_bits: numbers.count(),
    };
    let budget = cv::Budget {
        estimation: numbers.share(),
        smoothing: numbers.share(),
        amplification: numbers.share(),
    };
    if let Ok(key) = cv::terms(&moments, &receiver, &kept, &budget) {
        assert!(key.ell <= key.raw_bits.saturating_sub(kept.disclosed_bits), "{key:?} from {moments:?}");
    }
}
