//! The decoder for codes with degree-1 leaves: 16-bit messages, leaves computed once a frame.
