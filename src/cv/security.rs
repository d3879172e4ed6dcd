//! Key length of Gaussian-modulated CV-QKD with trusted or untrusted receiver.
