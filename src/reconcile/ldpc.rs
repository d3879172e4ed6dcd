//! One-way reconciliation with quasi-cyclic LDPC codes on the binary symmetric channel.
