//! Which way a middle product is computed: a choice by size, instruction set and memory.

use keystill_kernels::Isa;

use super::speed::Speed;
use super::tiles;
use super::transform::Shape;

/// The most parts that the rows of a matrix are cut into to save memory.
const MOST_PARTS: usize = 64;

/// How the rows of a product are computed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    /// By products of short tiles.
    Tiles,
    /// By transforms, all rows at once.
    Whole(Shape),
    /// By transforms, so many rows at a time; each time the input is transformed anew.
    Rows(usize),
}

impl Cut {
    /// The quickest that holds no more than `most_words`.
    pub(super) fn of(isa: Isa, x_bits: usize, m: usize, most_words: usize) -> Self {
        let speed = Speed::of(isa);
        let tiles = tiles::cost(&speed, x_bits, m);
        if let Some(shape) = Shape::of(&speed, x_bits, m, most_words) {
            return if shape.cost(&speed) < tiles { Self::Whole(shape) } else { Self::Tiles };
        }
        let rest = most_words.saturating_sub(Self::kept_words(x_bits, m));
        for parts in 2..=MOST_PARTS {
            let rows = m.div_ceil(parts).next_multiple_of(64);
            if let Some(shape) = Shape::of(&speed, x_bits, rows, rest) {
                return if parts * shape.cost(&speed) < tiles { Self::Rows(rows) } else { Self::Tiles };
            }
        }
        Self::Tiles
    }

    /// The shape of a part of the rows, within the memory that is left.
    pub(super) fn rows(isa: Isa, x_bits: usize, m: usize, rows: usize, most_words: usize) -> Option<Shape> {
        Shape::of(&Speed::of(isa), x_bits, rows, most_words.saturating_sub(Self::kept_words(x_bits, m)))
    }

    /// The words of the output and of the seed, kept beside a part.
    fn kept_words(x_bits: usize, m: usize) -> usize {
        (x_bits + 2 * m).div_ceil(64) + 2
    }

    /// The words held while it is computed on so many threads.
    pub(super) fn memory_words(
        self,
        isa: Isa,
        sizes: (usize, usize),
        most_words: usize,
        threads: usize,
    ) -> usize {
        let (x_bits, m) = sizes;
        match self {
            Self::Tiles => tiles::memory_words(x_bits, m, threads),
            Self::Whole(shape) => shape.memory_words(threads),
            Self::Rows(rows) => {
                let part = Self::rows(isa, x_bits, m, rows, most_words);
                Self::kept_words(x_bits, m) + part.map_or(0, |part| part.memory_words(threads))
            }
        }
    }
}
