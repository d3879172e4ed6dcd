//! `combination = "either" | "xor"` in configurations: what consumers get of two protocols.

use serde::Deserialize;

use keystill::store::Combination;

/// What consumers get of two protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CombinationName {
    /// The keys of both: key flows as long as one of them lives.
    #[default]
    Either,
    /// Sums of a key of each: secret as long as one of them is.
    Xor,
}

impl From<CombinationName> for Combination {
    fn from(name: CombinationName) -> Self {
        match name {
            CombinationName::Either => Self::Either,
            CombinationName::Xor => Self::Xor,
        }
    }
}
