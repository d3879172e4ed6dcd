//! What the correcting side knows of the pseudo-random subsets: few nodes, so a map holds them.
//!
//! A subset and its complement share a layer: the complement's places come after those of the
//! subset, from the next power of two of the frame length on. Every bit of the frame is a place of
//! one of the two, and half the places of either are empty; bisection does not mind.

use std::collections::BTreeMap;

use keystill_kernels::parity::{SUBSETS, subset_mask};

use super::phase::{FIRST_SUBSET, Node};

/// The nodes of all subsets drawn.
#[derive(Debug)]
pub(super) struct Subsets {
    /// Subsets of a draw.
    count: u32,
    draws: u32,
    /// Whether nothing has been found in a subset since the last draw.
    clean: bool,
    log2: u32,
    /// By layer and start: the size as a power of two, and whether the node is odd.
    nodes: BTreeMap<(u8, u32), (u32, bool)>,
}

impl Subsets {
    /// None yet, of a frame of `len` bits, `count` at a time.
    pub(super) fn new(len: usize, count: u32) -> Self {
        let log2 = len.next_power_of_two().ilog2();
        Self { count, draws: 0, clean: false, log2, nodes: BTreeMap::new() }
    }

    pub(super) fn draws(&self) -> u32 {
        self.draws
    }

    /// Whether there was a draw, and the last one found nothing: what it would have missed is as
    /// improbable as its subsets are many, whatever the errors.
    pub(super) fn last_was_clean(&self) -> bool {
        self.clean
    }

    /// The next draw: bit t of `odd` is the error parity of its subset t, and `all_odd` that of the
    /// whole frame.
    pub(super) fn draw(&mut self, odd: u64, all_odd: bool) {
        for t in 0..self.count {
            let (layer, odd) = (layer_of(SUBSETS * self.draws + t), odd >> t & 1 == 1);
            self.nodes.insert((layer, 0), (self.log2, odd));
            self.nodes.insert((layer, 1 << self.log2), (self.log2, odd ^ all_odd));
        }
        self.draws += 1;
        self.clean = true;
    }

    /// Appends the odd nodes of one subset and its complement to `nodes`, which has none, larger ones first: their layer.
    /// Only one subset at a time: the others most likely hold the same errors.
    pub(super) fn odd(&self, nodes: &mut Vec<Node>) -> Option<u8> {
        let odd = |((layer, start), (log2, odd)): (&(u8, u32), &(u32, bool))| {
            (*odd && *log2 > 0).then_some((*layer, Node { start: *start, log2: *log2 }))
        };
        let (layer, _) = self.nodes.iter().find_map(odd)?;
        let of_layer = self.nodes.range((layer, 0)..=(layer, u32::MAX));
        nodes.extend(of_layer.filter_map(odd).map(|(_, node)| node));
        nodes.sort_by_key(|node| std::cmp::Reverse(node.log2));
        Some(layer)
    }

    /// Splits a node around the error found in it, which is corrected: every part is even.
    pub(super) fn settle(&mut self, layer: u8, node: Node, found: u32) {
        self.clean = false;
        let mut part = node;
        while part.log2 > 0 {
            part.log2 -= 1;
            let right = part.start + (1 << part.log2);
            let aside = if found < right { right } else { std::mem::replace(&mut part.start, right) };
            self.nodes.insert((layer, aside), (part.log2, false));
        }
        self.nodes.insert((layer, part.start), (0, false));
    }

    /// Toggles the nodes that hold a bit of the frame, except in the layer that found it.
    pub(super) fn toggle(&mut self, bit: u32, but: usize) {
        for (draw, t) in (0..self.draws).flat_map(|draw| (0..self.count).map(move |t| (draw, t))) {
            let subset = SUBSETS * draw + t;
            let layer = layer_of(subset);
            if usize::from(layer) == but {
                continue;
            }
            let inside = subset_mask(bit as usize / 64, subset) >> (bit % 64) & 1 == 1;
            let key = (layer, if inside { bit } else { bit + (1 << self.log2) });
            if let Some((_, (_, odd))) = self.nodes.range_mut((layer, 0)..=key).next_back() {
                *odd = !*odd;
            }
        }
    }
}

/// The layer of a subset and its complement.
fn layer_of(subset: u32) -> u8 {
    u8::try_from(u32::from(FIRST_SUBSET) + subset).expect("the draws are few")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(subsets: &Subsets) -> Option<(u8, Vec<Node>)> {
        let mut nodes = Vec::new();
        subsets.odd(&mut nodes).map(|layer| (layer, nodes))
    }

    fn whole(bit: usize, subset: u32) -> Node {
        let inside = subset_mask(bit / 64, subset) >> (bit % 64) & 1 == 1;
        Node { start: if inside { 0 } else { 128 }, log2: 7 }
    }

    #[test]
    fn one_subset_is_searched_at_a_time() {
        let mut subsets = Subsets::new(100, 3);
        subsets.draw(0b110, false);
        let (layer, nodes) = odd(&subsets).expect("two subsets are odd");
        assert_eq!(layer, FIRST_SUBSET + 1, "the first odd one");
        let both = [Node { start: 0, log2: 7 }, Node { start: 128, log2: 7 }];
        assert_eq!(nodes, both, "with its complement: the errors are even in number");
        subsets.settle(layer, nodes[0], 77);
        subsets.settle(layer, nodes[1], 128 + 5);
        assert_eq!(odd(&subsets), Some((FIRST_SUBSET + 2, both.to_vec())), "then the next one");
        assert!(!subsets.last_was_clean(), "something was found: what else may be there?");
        subsets.draw(0, false);
        assert!(subsets.last_was_clean(), "nothing so far");
    }

    #[test]
    fn a_corrected_bit_toggles_the_smallest_node_of_each_subset_but_its_own() {
        let mut subsets = Subsets::new(100, 2);
        subsets.draw(0, false);
        subsets.toggle(20, 0);
        assert_eq!(odd(&subsets), Some((FIRST_SUBSET, vec![whole(20, 0)])), "whole subsets so far");
        subsets.toggle(20, usize::from(FIRST_SUBSET + 1));
        assert_eq!(odd(&subsets), Some((FIRST_SUBSET + 1, vec![whole(20, 1)])), "all but the one excepted");
        let node = whole(20, 1);
        subsets.settle(FIRST_SUBSET + 1, node, node.start + 99);
        subsets.toggle(20, 0);
        subsets.toggle(20, usize::from(FIRST_SUBSET));
        assert_eq!(odd(&subsets), Some((FIRST_SUBSET, vec![whole(20, 0)])), "split nodes toggle twice");
        subsets.toggle(20, usize::from(FIRST_SUBSET + 1));
        subsets.toggle(20, usize::from(FIRST_SUBSET));
        let half = Node { start: node.start, log2: 6 };
        assert_eq!(odd(&subsets), Some((FIRST_SUBSET + 1, vec![half])), "a part, not the whole");
    }
}
