//! Multidimensional rotations: products of Cayley–Dickson numbers, sixteen blocks at once.
