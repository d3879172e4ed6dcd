//! Cascade: interactive error correction by parities and bisection.
