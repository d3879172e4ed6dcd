//! Tail bounds: what a count says about an expectation, and how surely.
