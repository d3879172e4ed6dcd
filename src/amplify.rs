//! Privacy amplification: Toeplitz hashing of a verified block down to its secret key.
