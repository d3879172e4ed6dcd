//! The degrees in use, designed by `cargo run --release --example design_bsc_codes -- 1 20`: seed 1, 20
//! generations a row, the leaks and efficiencies of that example.
//!
//! Graphs built from them have girth 6 wherever the lift allows it (from 256 on for all rows); the degree-2
//! columns are one open chain, so that no cycle runs through them alone.

/// Degrees of one leak.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Block rows for 256 block columns.
    pub checks: u32,
    /// The error rate up to which density evolution ends within 100 iterations, all messages at once.
    pub threshold: f64,
    /// Block columns of each degree, of 256.
    pub columns: &'static [(u32, u32)],
}

/// All rows, by leak.
pub const TABLE: &[Row] = &[
    Row {
        checks: 12,
        threshold: 0.00457,
        columns: &[(2, 11), (3, 119), (5, 30), (7, 34), (9, 12), (12, 5), (20, 45)],
    },
    Row {
        checks: 15,
        threshold: 0.00603,
        columns: &[(2, 14), (3, 123), (4, 19), (5, 6), (7, 17), (9, 37), (12, 2), (20, 38)],
    },
    Row {
        checks: 20,
        threshold: 0.00861,
        columns: &[(2, 19), (3, 138), (7, 40), (9, 19), (12, 5), (20, 35)],
    },
    Row {
        checks: 26,
        threshold: 0.01189,
        columns: &[(2, 25), (3, 120), (4, 27), (5, 1), (7, 14), (9, 32), (12, 2), (20, 35)],
    },
    Row {
        checks: 32,
        threshold: 0.01549,
        columns: &[(2, 31), (3, 137), (4, 4), (5, 1), (7, 17), (9, 30), (12, 3), (16, 1), (20, 32)],
    },
    Row {
        checks: 38,
        threshold: 0.01928,
        columns: &[(2, 37), (3, 126), (4, 13), (5, 1), (7, 19), (9, 28), (16, 3), (20, 29)],
    },
    Row {
        checks: 45,
        threshold: 0.02403,
        columns: &[(2, 44), (3, 129), (4, 3), (5, 1), (7, 25), (9, 22), (20, 32)],
    },
    Row {
        checks: 51,
        threshold: 0.02825,
        columns: &[(2, 50), (3, 120), (4, 16), (5, 1), (7, 7), (9, 30), (12, 5), (20, 27)],
    },
    Row {
        checks: 64,
        threshold: 0.03823,
        columns: &[(2, 63), (3, 115), (4, 3), (7, 39), (9, 1), (12, 8), (16, 1), (20, 26)],
    },
    Row {
        checks: 77,
        threshold: 0.04903,
        columns: &[(2, 68), (3, 111), (4, 14), (5, 1), (7, 17), (9, 14), (16, 11), (20, 20)],
    },
    Row { checks: 90, threshold: 0.06090, columns: &[(2, 68), (3, 121), (5, 2), (7, 36), (16, 2), (20, 27)] },
    Row {
        checks: 102,
        threshold: 0.07245,
        columns: &[(2, 70), (3, 124), (4, 12), (5, 1), (7, 11), (9, 2), (12, 1), (16, 35)],
    },
    Row {
        checks: 115,
        threshold: 0.08641,
        columns: &[(2, 75), (3, 128), (7, 24), (9, 1), (16, 21), (20, 7)],
    },
    Row {
        checks: 128,
        threshold: 0.10154,
        columns: &[(2, 77), (3, 130), (7, 19), (9, 8), (16, 5), (20, 17)],
    },
];
