//! Multidimensional reconciliation: rotations of the unit sphere that turn quadratures into soft bits.
