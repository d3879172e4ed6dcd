//! Polynomial hashing over GF(2^128).
