//! Counter-mode random words and Gaussian samples for the simulated world.
