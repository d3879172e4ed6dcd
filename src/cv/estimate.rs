//! Estimation of transmittance and excess noise from correlated quadratures.
