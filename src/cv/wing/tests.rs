use super::*;
use crate::ledger::Ledger;
use crate::random::OperatingSystem;
use crate::reconcile::gaussian::Method;
use crate::reconcile::leaf;

#[test]
fn a_frame_that_verification_found_different_leaves_no_estimate_and_no_key() {
    let protocol = Cv {
        symbols_per_frame: 1000,
        frames_per_block: 10,
        sample_symbols: 100,
        efficiency: [0.6; 2],
        electronic_noise: [0.1; 2],
        epsilon: 1e-10,
        validity: Some(Validity { epsilon: 0.0, blocks: 1 }),
        calibration: None,
        method: Method::default(),
    };
    let party = Party { role: Role::Alice, block: 0, random: Arc::new(OperatingSystem), lesson: None };
    let mut wing = CvWing::new(Arc::new(protocol), party);
    wing.tally = Some(Tally::default());
    wing.calibration = Some(CalibrationRecord {
        vacuum_samples: 1_000_000,
        vacuum_mean_square: 1.1,
        electronic_samples: 1_000_000,
        electronic_mean_square: 0.1,
    });
    wing.plan = Some(Plan::Leaf(leaf::Plan::choose(0.25, 100_000).expect("a code")));
    (wing.reconciled, wing.failed) = (4, 1);
    let ledger = Ledger::new();
    let refused = |frames: &[u32]| {
        let kept = Kept { frames, bits: 8192, ledger: &ledger };
        wing.key_length(&kept).expect_err("nothing was counted")
    };
    assert_eq!(refused(&[0, 3]), Abort::Unverified, "one of three that were corrected is wrong");
    assert_ne!(refused(&[0, 2, 3]), Abort::Unverified, "all three are right");
}
