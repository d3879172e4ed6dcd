//! Key length of decoy-state BB84 by the variable-length entropic-uncertainty bound.
