//! Verification: a polynomial universal hash shows that both sides hold the same bits.
