//! What others published, as they state it: points to draw ours beside.

/// A figure of somebody else's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Published {
    /// Who, what, when.
    pub(super) name: &'static str,
    /// Error rate, or signal-to-noise ratio in dB, with the value there; none for a level whose place is not stated.
    pub(super) points: &'static [(f64, f64)],
    /// A value that is stated without a place.
    pub(super) level: Option<f64>,
}

const fn at(name: &'static str, points: &'static [(f64, f64)]) -> Published {
    Published { name, points, level: None }
}

const fn level(name: &'static str, value: f64) -> Published {
    Published { name, points: &[], level: Some(value) }
}

/// f = leak/(n·h₂(q)) of BB84 reconciliation.
pub(super) const BB84_EFFICIENCY: &[Published] = &[
    at("Cascade, Brassard and Salvail 1993", &[(0.01, 1.142), (0.02, 1.159), (0.03, 1.174), (0.05, 1.185)]),
    at("cascade-cpp, Yan et al., 2^16 bits", &[(0.01, 1.060), (0.03, 1.063)]),
    // Asymptotic thresholds: what the ensembles reach with infinite length and iterations.
    at(
        "LDPC thresholds, Elkouss et al. 2009",
        &[
            (0.0109, 1.153),
            (0.0199, 1.065),
            (0.0298, 1.034),
            (0.0392, 1.048),
            (0.0504, 1.041),
            (0.0633, 1.028),
            (0.0766, 1.025),
            (0.0904, 1.028),
            (0.1071, 1.018),
        ],
    ),
    at("polar, 2^27 bits, Tang et al. 2021", &[(0.02, 1.091)]),
];

/// Mbit/s of BB84 reconciliation.
pub(super) const BB84_SPEED: &[Published] = &[
    at("cascade-cpp, one thread of a Zen 4", &[(0.01, 23.4), (0.02, 17.8), (0.03, 14.8), (0.05, 11.3)]),
    level("Cascade in the system of Li et al. 2023: 344", 344.0),
    level("LDPC on CPU, Mao et al. 2019: 60", 60.0),
    level("system of Yuan et al. 2018: 55", 55.0),
];

/// β of CV reconciliation, by the signal-to-noise ratio of a real symbol in dB.
pub(super) const CV_EFFICIENCY: &[Published] = &[
    at("Wang et al. 2017 (rates 0.1, 0.05, 0.02)", &[(-7.96, 0.935), (-11.21, 0.954), (-15.34, 0.964)]),
    at("Jouguet et al. 2011", &[(-7.93, 0.931), (-11.25, 0.958), (-15.38, 0.969)]),
];

/// Million real symbols a second.
pub(super) const CV_SPEED: &[Published] = &[
    at("Li et al. 2020, GPU", &[(-7.96, 64.11), (-11.21, 48.65), (-15.34, 39.51)]),
    at("Wang et al. 2018, GPU", &[(-7.95, 30.39), (-11.24, 21.23), (-15.37, 16.41)]),
];
