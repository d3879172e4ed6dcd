//! The A-min* decoder for the binary symmetric channel: 8-bit messages, 64 checks at once.
