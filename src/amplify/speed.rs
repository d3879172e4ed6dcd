//! What the steps cost, to choose between them: never what they compute.

use keystill_kernels::Isa;

/// Picoseconds of one core, about.
#[derive(Debug)]
pub(super) struct Speed {
    /// Of a transform of 2^20 bits, by bit.
    pub(super) short_transform: usize,
    /// Of a transform of 2^24 bits, by bit.
    pub(super) long_transform: usize,
    /// Of a product by value, by bit.
    pub(super) product: usize,
    /// Of a product of two tiles.
    pub(super) tile: usize,
}

impl Speed {
    /// As measured on a Zen 4 core at 3.65 GHz.
    pub(super) fn of(isa: Isa) -> Self {
        let [short_transform, long_transform, product, tile] = match isa.name() {
            "avx512" => [80, 115, 6, 20_000_000],
            "avx2" => [230, 360, 25, 60_000_000],
            "scalar" => [300_000, 250_000, 5_000, 5_000_000_000],
            _ => [2_000, 4_000, 400, 5_000_000_000],
        };
        Self { short_transform, long_transform, product, tile }
    }
}
