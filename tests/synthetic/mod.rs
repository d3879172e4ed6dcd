//! A small world of its own for tests: no channel model, frames made by a generator that replays.
#![allow(clippy::cast_possible_truncation, reason = "tests make their numbers from counters")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::{Arc, OnceLock};

use keystill::bb84::frame::{AliceFrame, BobFrame, Settings, click};
use keystill::bb84::{Bb84, Frame};
use keystill::cv::frame::CalibrationRecord;
use keystill::cv::{self, Cv};
use keystill::protocol::Validity;
use keystill::reconcile::{Method, gaussian};
use keystill::stage::Role;

pub(crate) mod links;

/// A small generator, so that tests replay.
pub(crate) struct Lcg(pub(crate) u64);

impl Lcg {
    pub(crate) fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

pub(crate) fn protocol() -> Arc<Bb84> {
    Arc::new(Bb84 {
        gates_per_frame: 150_000,
        frames_per_block: 4,
        intensities: [0.5, 0.2, 0.001],
        probabilities: [0.75, 0.125, 0.125],
        intensity_spread: [0.0; 3],
        probability_spread: [0.0; 3],
        test_probability: None,
        calibration: Some(Validity { epsilon: 0.0, blocks: 1_000 }),
        dead_gates: 0,
        most_clicks_per_frame: 60_000,
        epsilon: 1e-2,
        method: Method::Cascade,
        ..Bb84::default()
    })
}

/// A short link: nine photons in ten arrive, one bit in a hundred is wrong.
pub(crate) fn frames(index: u64) -> (Frame, Frame) {
    static MADE: [OnceLock<(AliceFrame, BobFrame)>; 24] = [const { OnceLock::new() }; 24];
    let (alice, bob) = MADE[index as usize].get_or_init(|| make_frames(index));
    (Frame::Alice(alice.clone()), Frame::Bob(bob.clone()))
}

pub(crate) fn make_frames(index: u64) -> (AliceFrame, BobFrame) {
    let mut rng = Lcg(index + 1);
    let gates = protocol().gates_per_frame;
    let first_gate = index * u64::from(gates);
    let click_per_million = [362_000, 165_000, 900];
    let mut packed = vec![0; gates as usize / 2];
    let mut bob = BobFrame { first_gate, gates, ..BobFrame::default() };
    for gate in 0..gates {
        let intensity = [0, 0, 0, 0, 0, 0, 1, 2][rng.next(8) as usize];
        let setting = rng.next(2) as u8 | u8::from(rng.next(3) == 0) << 1 | intensity << 2;
        packed[gate as usize / 2] |= setting << (4 * (gate % 2));
        if rng.next(1_000_000) < click_per_million[usize::from(intensity)] {
            let wrong = rng.next(100) == 0;
            let detector = if (setting & 1 != 0) != wrong { click::DETECTOR_1 } else { click::DETECTOR_0 };
            bob.offsets.push(gate);
            bob.clicks.push(detector | u8::from(rng.next(3) == 0));
        }
    }
    (AliceFrame { first_gate, gates, settings: Settings::Packed(packed) }, bob)
}

/// A short CV link at a high signal: three tenths of a shot-noise unit of signal per quadrature.
pub(crate) fn cv_protocol(role: Role) -> Arc<Cv> {
    let calibration = CalibrationRecord {
        vacuum_samples: 1_000_000_000,
        vacuum_mean_square: 1.1 * 9.0,
        electronic_samples: 1_000_000_000,
        electronic_mean_square: 0.1 * 9.0,
    };
    Arc::new(Cv {
        symbols_per_frame: 20_000,
        frames_per_block: 30,
        sample_symbols: 50_000,
        efficiency: [0.6, 0.6],
        electronic_noise: [0.1, 0.1],
        validity: Some(Validity { epsilon: 0.0, blocks: 1_000 }),
        epsilon: 1e-2,
        calibration: (role == Role::Bob).then_some(calibration),
        method: gaussian::Method::Rotation,
    })
}

/// Twelve uniforms added up: near enough to a Gaussian, and the same everywhere.
pub(crate) fn gaussian(rng: &mut Lcg) -> f32 {
    (0..12).map(|_| rng.next(1 << 24) as f32 / (1 << 24) as f32).sum::<f32>() - 6.0
}

pub(crate) fn cv_frames(index: u64, noise: f32) -> (cv::Frame, cv::Frame) {
    modulated_cv_frames(index, noise, 2.0)
}

/// The same with another standard deviation of the modulation.
pub(crate) fn modulated_cv_frames(index: u64, noise: f32, modulation: f32) -> (cv::Frame, cv::Frame) {
    let mut rng = Lcg(index + 77);
    let first_symbol = index * 20_000;
    let x: Vec<f32> = (0..40_000).map(|_| modulation * gaussian(&mut rng)).collect();
    // t² = ηT/2 = 0.15 and, as it is, V_A = 4: a signal of 0.6 beside a noise of 1.1, times the receiver's unit.
    let y =
        x.iter().map(|x| 3.0 * (0.15f32.sqrt() * x + (1.1f32.sqrt() + noise) * gaussian(&mut rng))).collect();
    let alice = cv::frame::AliceFrame { first_symbol, quadratures: x };
    (cv::Frame::Alice(alice), cv::Frame::Bob(cv::frame::BobFrame { first_symbol, quadratures: y }))
}
