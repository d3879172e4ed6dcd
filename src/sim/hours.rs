//! Tests of the eight hours: stretches replay byte for byte, and each fault shows in the raw data.

use keystill_kernels::Isa;

use crate::bb84::frame::{BobFrame, click};
use crate::bb84::settings::settings_at;
use crate::channel::Scenario;

use super::{Bb84Source, CvSource};

/// Length of a frame in ms.
const FRAME_MS: u64 = 5;

fn sources(seed: u64, overrides: &[&str]) -> (Bb84Source, CvSource) {
    let frames = [format!("bb84.frame_ms={FRAME_MS}"), format!("cv.frame_ms={FRAME_MS}")];
    let overrides: Vec<String> =
        frames.into_iter().chain(overrides.iter().map(|s| (*s).to_owned())).collect();
    let text = Scenario::shipped("eight-hours").expect("it ships");
    let scenario = Scenario::from_text("eight-hours", text, &overrides).expect("good values");
    (Bb84Source::new(&scenario, seed), CvSource::new(&scenario, seed))
}

/// The frame that begins at a time.
fn index(seconds: f64) -> u64 {
    (seconds * 1e3) as u64 / FRAME_MS
}

/// Bob's samples against Alice's: real and imaginary part of the correlation of their symbols.
fn correlation(cv: &CvSource, seconds: f64) -> [f64; 2] {
    let at = index(seconds);
    let (alice, bob) = (cv.alice_frame(Isa::best(), at), cv.bob_frame(Isa::best(), at));
    let symbols = || alice.quadratures.chunks_exact(2).zip(bob.quadratures.chunks_exact(2));
    let sum = |of: fn(&[f32], &[f32]) -> f32| symbols().map(|(a, b)| f64::from(of(a, b))).sum::<f64>();
    [sum(|a, b| a[0] * b[0] + a[1] * b[1]), sum(|a, b| a[0] * b[1] - a[1] * b[0])]
}

fn size([real, imaginary]: [f64; 2]) -> f64 {
    libm::hypot(real, imaginary)
}

/// Clicks of some frames from a time on: in all, of detector 1, and of gates that held next to no photon.
fn clicks(bb84: &Bb84Source, seconds: f64, frames: u64) -> [f64; 3] {
    let mut counts = [0.0; 3];
    for at in index(seconds)..index(seconds) + frames {
        let (alice, bob) = (bb84.alice_frame(at), bb84.bob_frame(Isa::best(), at));
        let settings = settings_at(Isa::best(), &alice, &bob.offsets).expect("inside");
        for (setting, byte) in settings.iter().zip(&bob.clicks) {
            let shows = [true, byte & click::DETECTOR_1 != 0, setting >> 2 == 2];
            counts.iter_mut().zip(shows).for_each(|(count, shows)| *count += f64::from(u8::from(shows)));
        }
    }
    counts
}

#[test]
fn stretches_of_eight_hours_replay_byte_for_byte() {
    // Every twenty minutes, at and behind every event, and at the end.
    let mut times: Vec<f64> = (0..24).map(|third| f64::from(third) * 1200.0).collect();
    times.extend([7200.0, 9000.01, 12_601.0, 16_200.0, 17_100.0, 20_005.0, 23_001.0, 28_799.99]);
    let digest = |isa: Isa, seed: u64, times: &mut dyn Iterator<Item = f64>| {
        let (bb84, cv) = sources(seed, &["bb84.frame_ms=0.2", "cv.frame_ms=0.2"]);
        let mut digests: Vec<_> = times
            .map(|seconds| {
                let at = (seconds * 5000.0) as u64;
                let BobFrame { offsets, clicks, .. } = bb84.bob_frame(isa, at);
                let quadratures = cv.bob_frame(isa, at).quadratures;
                let mut hash = blake3::Hasher::new();
                for offset in offsets {
                    hash.update(&offset.to_le_bytes());
                }
                hash.update(&clicks);
                for y in quadratures {
                    hash.update(&y.to_le_bytes());
                }
                *hash.finalize().as_bytes()
            })
            .collect();
        digests.sort_unstable();
        digests
    };
    let once = digest(Isa::best(), 1, &mut times.iter().copied());
    assert_eq!(once, digest(Isa::SCALAR, 1, &mut times.iter().rev().copied()), "another order and level");
    assert_ne!(once, digest(Isa::best(), 2, &mut times.iter().copied()), "another seed");
}

#[test]
fn every_fault_shows_in_the_data() {
    let (bb84, cv) = sources(1, &[]);
    let (fair, fair_cv) = (clicks(&bb84, 12_590.0, 1), size(correlation(&cv, 12_590.0)));
    let knocked = clicks(&bb84, 12_601.0, 1)[0] / fair[0];
    assert!((0.65..0.8).contains(&knocked), "1.5 dB less light: {knocked}");
    let knocked = size(correlation(&cv, 12_601.0)) / fair_cv;
    assert!((0.78..0.91).contains(&knocked), "in amplitude for CV: {knocked}");

    let cut = clicks(&bb84, 16_300.0, 1)[0] / fair[0];
    assert!(cut < 0.02, "dark counts are left: {cut}");
    assert!(size(correlation(&cv, 16_300.0)) < 0.05 * fair_cv, "and nothing of Alice's symbols");
    let repaired = clicks(&bb84, 17_101.0, 1)[0] / fair[0];
    assert!((0.85..1.15).contains(&repaired), "all is back: {repaired}");

    let latched = clicks(&bb84, 20_005.0, 1);
    assert!(latched[1] < 1.0 && latched[0] > 0.3 * fair[0], "detector 1 is silent: {latched:?}");

    let lost = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05].map(|since| {
        let found = correlation(&cv, 23_001.0 + since);
        found[0] / size(found)
    });
    assert!(lost.iter().any(|cosine| *cosine < 0.0), "the phase runs away: {lost:?}");
    let held = correlation(&cv, 22_990.0);
    assert!(held[0] / size(held) > 0.98, "before the pilot held it");
}

#[test]
fn a_band_that_goes_and_a_booster_that_overshoots_show_in_the_data() {
    // Ten times the power and no afterpulses, so that few frames tell the scattered light from other clicks.
    let overrides = ["data.launch_power_dbm=27", "bb84.afterpulse_probability=0"];
    let worlds = [1, 2, 3, 4, 5, 6].map(|seed| sources(seed, &overrides).0);
    let dim = |seconds: f64| worlds.iter().map(|bb84| clicks(bb84, seconds, 4)[2]).sum::<f64>();
    let (loaded, dropped) = (dim(7190.0), dim(7300.0));
    assert!(dropped < 0.5 * loaded, "without the C band: {dropped} of {loaded}");
    let (overshot, settled) = (dim(9000.0), dim(9001.0));
    assert!(settled > 2.0 * dropped, "the band is back: {settled}");
    assert!(overshot > 1.15 * settled, "and came with too much gain: {overshot} against {settled}");
}
