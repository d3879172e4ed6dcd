//! Physics of the coexistence link: comb, fibre, Raman scattering, receivers. Pure functions in SI units.
