//! The patterns of leaf checks, and the two families in use.

/// Core blocks that a leaf check reads, and how often this pattern comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pattern {
    /// Heavy blocks.
    pub heavy: usize,
    /// Light blocks.
    pub light: usize,
    /// Chain blocks.
    pub chain: usize,
    /// Relative frequency within its stage.
    pub weight: f64,
}

impl Pattern {
    /// Blocks of each kind: heavy, light, chain.
    pub(super) const fn blocks(&self) -> [usize; 3] {
        [self.heavy, self.light, self.chain]
    }
}

/// A stretch of the list of leaf checks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage<'a> {
    /// Ends where the rate has come down to this.
    pub rate: f64,
    /// The mixture of patterns.
    pub patterns: &'a [Pattern],
}

/// A family of codes of every rate below one half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family<'a> {
    /// Of the generator that deals blocks and rotations.
    pub seed: u64,
    /// By falling rate; the last one goes on for ever.
    pub stages: &'a [Stage<'a>],
}

const fn pattern([heavy, light, chain]: [usize; 3], weight: f64) -> Pattern {
    Pattern { heavy, light, chain, weight }
}

/// The family in use up to rate [`HIGH_RATE`].
pub const FAMILY: Family<'static> = Family {
    seed: 0x6b65_7973_7469_6c6c,
    stages: &[
        Stage {
            rate: 0.25,
            patterns: &[
                pattern([0, 4, 0], 0.140),
                pattern([0, 4, 1], 0.025),
                pattern([1, 3, 0], 0.028),
                pattern([1, 4, 0], 0.103),
                pattern([2, 2, 0], 0.046),
                pattern([2, 3, 0], 0.116),
                pattern([3, 0, 1], 0.141),
                pattern([3, 1, 0], 0.260),
                pattern([3, 2, 0], 0.048),
                pattern([4, 0, 0], 0.060),
                pattern([4, 0, 1], 0.033),
            ],
        },
        Stage {
            rate: 0.2,
            patterns: &[
                pattern([0, 4, 1], 0.051),
                pattern([1, 2, 0], 0.037),
                pattern([1, 3, 0], 0.087),
                pattern([1, 4, 0], 0.236),
                pattern([2, 2, 0], 0.091),
                pattern([2, 2, 1], 0.045),
                pattern([2, 3, 0], 0.130),
                pattern([3, 0, 0], 0.224),
                pattern([3, 0, 1], 0.078),
                pattern([3, 1, 0], 0.021),
            ],
        },
        Stage {
            rate: 0.15,
            patterns: &[
                pattern([0, 2, 1], 0.105),
                pattern([0, 3, 0], 0.043),
                pattern([0, 4, 0], 0.056),
                pattern([0, 4, 1], 0.016),
                pattern([1, 1, 1], 0.041),
                pattern([1, 2, 0], 0.233),
                pattern([1, 2, 1], 0.034),
                pattern([1, 4, 0], 0.016),
                pattern([2, 0, 0], 0.056),
                pattern([2, 0, 1], 0.151),
                pattern([2, 1, 0], 0.152),
                pattern([2, 1, 1], 0.026),
                pattern([2, 2, 1], 0.014),
                pattern([3, 0, 0], 0.056),
            ],
        },
        Stage {
            rate: 0.1,
            patterns: &[
                pattern([0, 1, 1], 0.017),
                pattern([0, 2, 1], 0.067),
                pattern([0, 3, 0], 0.020),
                pattern([0, 3, 1], 0.078),
                pattern([0, 4, 0], 0.149),
                pattern([1, 0, 1], 0.012),
                pattern([1, 2, 0], 0.342),
                pattern([1, 4, 0], 0.017),
                pattern([2, 0, 0], 0.061),
                pattern([2, 0, 1], 0.072),
                pattern([2, 1, 0], 0.043),
                pattern([3, 0, 0], 0.109),
                pattern([3, 0, 1], 0.014),
            ],
        },
        Stage {
            rate: 0.05,
            patterns: &[
                pattern([0, 1, 1], 0.061),
                pattern([0, 2, 1], 0.023),
                pattern([0, 3, 0], 0.058),
                pattern([0, 3, 1], 0.033),
                pattern([0, 4, 0], 0.120),
                pattern([0, 4, 1], 0.026),
                pattern([1, 0, 1], 0.091),
                pattern([1, 1, 0], 0.278),
                pattern([1, 1, 1], 0.047),
                pattern([1, 2, 0], 0.106),
                pattern([1, 4, 0], 0.016),
                pattern([2, 0, 0], 0.012),
                pattern([2, 0, 1], 0.064),
                pattern([2, 1, 0], 0.065),
            ],
        },
        Stage {
            rate: 0.03,
            patterns: &[
                pattern([0, 1, 1], 0.375),
                pattern([0, 2, 0], 0.309),
                pattern([0, 3, 0], 0.192),
                pattern([1, 1, 0], 0.060),
                pattern([1, 1, 1], 0.039),
                pattern([1, 2, 0], 0.025),
            ],
        },
        Stage {
            rate: 0.02,
            patterns: &[
                pattern([0, 1, 1], 0.232),
                pattern([0, 2, 0], 0.149),
                pattern([0, 3, 0], 0.183),
                pattern([1, 0, 1], 0.234),
                pattern([1, 1, 1], 0.051),
                pattern([1, 2, 0], 0.138),
                pattern([3, 1, 0], 0.013),
            ],
        },
        Stage {
            rate: 0.0,
            patterns: &[
                pattern([0, 1, 1], 0.328),
                pattern([0, 2, 0], 0.090),
                pattern([0, 3, 0], 0.035),
                pattern([0, 4, 0], 0.052),
                pattern([1, 0, 1], 0.167),
                pattern([1, 2, 0], 0.282),
                pattern([2, 1, 0], 0.024),
                pattern([3, 1, 0], 0.022),
            ],
        },
    ],
};

/// The family of rates that leave little room for leaf checks: above [`HIGH_RATE`].
pub const HIGH_FAMILY: Family<'static> = Family {
    seed: 0x6b65_7973_7469_6c6c,
    stages: &[Stage {
        rate: 0.0,
        patterns: &[
            pattern([0, 4, 0], 0.023),
            pattern([0, 4, 1], 0.012),
            pattern([1, 4, 0], 0.211),
            pattern([2, 3, 0], 0.166),
            pattern([3, 1, 0], 0.049),
            pattern([3, 2, 0], 0.166),
            pattern([4, 0, 0], 0.082),
            pattern([4, 0, 1], 0.189),
            pattern([4, 1, 0], 0.103),
        ],
    }],
};

/// Above this rate [`HIGH_FAMILY`] is the better one: its patterns were made for a list that ends at
/// rate 0.3, and not at 0.25.
pub const HIGH_RATE: f64 = 0.27;
