//! Reconciliation at low signal-to-noise ratio with codes of degree-1 leaves.
