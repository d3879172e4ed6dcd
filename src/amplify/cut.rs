//! Which way a middle product is computed: a choice by size, instruction set and memory.

use keystill_kernels::Isa;

use super::speed::Speed;
use super::tiles;
use super::transform::Shape;

/// The most parts that a matrix is cut into to save memory.
const MOST_PARTS: usize = 64;

/// How a product is computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// By products of short tiles.
    Tiles,
    /// By transforms, all at once.
    Whole(Shape),
    /// By transforms, so many rows at a time; each time the input is transformed anew.
    Rows(Shape),
    /// By transforms, so many columns at a time; each time the output is transformed back.
    Columns(Shape),
}

impl Cut {
    /// The quickest that holds no more than `most_words` beside the output.
    pub(super) fn of(isa: Isa, x_bits: usize, m: usize, most_words: usize) -> Self {
        let speed = Speed::of(isa);
        let tiles = (tiles::cost(&speed, x_bits, m), Self::Tiles);
        let whole = Shape::of(&speed, x_bits, m, most_words);
        if let Some(shape) = whole {
            return if shape.cost(&speed) < tiles.0 { Self::Whole(shape) } else { Self::Tiles };
        }
        let part = |bits: usize, parts: usize| bits.div_ceil(parts).next_multiple_of(64);
        let rows = |parts: usize| {
            let shape = Shape::of(&speed, x_bits, part(m, parts), most_words)?;
            Some((parts * shape.cost(&speed), Self::Rows(shape)))
        };
        let columns = |parts: usize| {
            let shape = Shape::of(&speed, part(x_bits, parts), m, most_words)?;
            Some((parts * shape.cost(&speed), Self::Columns(shape)))
        };
        let parts = (2..=MOST_PARTS).find_map(rows).into_iter().chain((2..=MOST_PARTS).find_map(columns));
        parts.chain([tiles]).min_by_key(|(cost, _)| *cost).map_or(Self::Tiles, |(_, cut)| cut)
    }

    /// The words held while it is computed on so many threads, beside the output.
    pub(super) fn memory_words(self, x_bits: usize, m: usize, threads: usize) -> usize {
        match self {
            Self::Tiles => tiles::memory_words(x_bits, m, threads),
            Self::Whole(shape) | Self::Rows(shape) | Self::Columns(shape) => shape.memory_words(threads),
        }
    }
}
