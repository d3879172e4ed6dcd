//! What both sides compute alike: a frame's bits in the order of each pass, and parities of nodes.

use keystill_kernels::Isa;
use keystill_kernels::parity;
use zeroize::Zeroizing;

use super::permutation::Permutation;
use super::plan::{Blocks, SUBSETS};
use crate::bits::BitBlock;

/// The number of the first layer of subsets; those of passes are below it. Layer
/// `FIRST_SUBSET` + 2t holds subset t, the next one its complement.
pub(super) const FIRST_SUBSET: u8 = 16;

/// A set of places: those of pass `layer` from `start` on, or those of a subset within the range
/// of the frame's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) layer: u8,
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Node {
    pub(super) fn new(layer: u8, start: usize, len: usize) -> Self {
        let bounded = |place: usize| u32::try_from(place).expect("frames are shorter than 2^32 bits");
        Self { layer, start: bounded(start), len: bounded(len) }
    }

    /// The half that a question about the node asks for.
    pub(super) fn left(self) -> Self {
        Self { len: self.len / 2, ..self }
    }

    /// The other half.
    pub(super) fn right(self) -> Self {
        Self { start: self.start + self.len / 2, len: self.len - self.len / 2, ..self }
    }

    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.start as usize + self.len as usize
    }
}

/// A frame in its own order and in that of each pass opened. Wiped on drop.
#[derive(Debug)]
pub(super) struct Strings {
    frame: BitBlock,
    passes: Vec<Pass>,
}

#[derive(Debug)]
struct Pass {
    permutation: Permutation,
    bits: Zeroizing<Vec<u64>>,
}

impl Strings {
    pub(super) fn new(frame: BitBlock) -> Self {
        Self { frame, passes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.frame.len()
    }

    /// How many passes are opened.
    pub(super) fn opened(&self) -> usize {
        self.passes.len()
    }

    pub(super) fn into_frame(self) -> BitBlock {
        self.frame
    }

    /// Opens the next pass; the parities of its blocks.
    pub(super) fn open(&mut self, isa: Isa, blocks: Blocks) -> Vec<bool> {
        let permutation = Permutation::new(self.len(), self.passes.len());
        let bits = Zeroizing::new(permutation.apply(isa, self.frame.words()));
        let end = |index| blocks.start(index + 1).min(self.len());
        let parities = (0..blocks.count(self.len()))
            .map(|index| parity::range_parity(&bits, blocks.start(index), end(index)))
            .collect();
        self.passes.push(Pass { permutation, bits });
        parities
    }

    /// The parities of the subsets.
    pub(super) fn subsets(&self, isa: Isa) -> Vec<bool> {
        let words = self.frame.words();
        (0..SUBSETS).map(|subset| parity::subset_parity(isa, words, 0, self.len(), subset, 0)).collect()
    }

    /// The parity of a node, whose layer must be opened and whose range must be in the frame.
    #[inline]
    pub(super) fn parity(&self, isa: Isa, node: Node) -> bool {
        if let Some(pass) = self.passes.get(usize::from(node.layer)) {
            return parity::range_parity(&pass.bits, node.start(), node.end());
        }
        let (subset, outside) = subset_of(node.layer);
        parity::subset_parity(isa, self.frame.words(), node.start(), node.end(), subset, outside)
    }

    /// Which bit of the frame stands at `place` in the order of `layer`.
    pub(super) fn origin(&self, layer: u8, place: usize) -> usize {
        self.passes.get(usize::from(layer)).map_or(place, |pass| pass.permutation.backward(place))
    }

    /// Flips bit `bit` of the frame; calls back with each pass and the place it has there.
    pub(super) fn flip(&mut self, bit: usize, mut at: impl FnMut(usize, usize)) {
        self.frame.edit(|words| words[bit / 64] ^= 1 << (bit % 64));
        for (index, pass) in self.passes.iter_mut().enumerate() {
            let place = pass.permutation.forward(bit);
            pass.bits[place / 64] ^= 1 << (place % 64);
            at(index, place);
        }
    }
}

/// The subset of a layer, and the mask that turns it into its complement where that is meant.
pub(super) fn subset_of(layer: u8) -> (u32, u64) {
    let index = layer.saturating_sub(FIRST_SUBSET);
    (u32::from(index / 2), if index % 2 == 1 { u64::MAX } else { 0 })
}
