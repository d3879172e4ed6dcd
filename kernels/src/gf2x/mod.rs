//! Products of polynomials over GF(2).
