//! How the command line names what makes bits of quadratures.

use keystill::reconcile::gaussian::Method;

/// How quadratures become bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CvMethod {
    /// What is expected to leave more: slices where the signal is strong.
    #[default]
    Auto,
    /// Rotations in eight dimensions.
    Rotation,
    /// Slices.
    Slices,
}

impl CvMethod {
    pub(crate) fn of_plan(self) -> Method {
        match self {
            Self::Auto => Method::Auto,
            Self::Rotation => Method::Rotation,
            Self::Slices => Method::Slices,
        }
    }
}
