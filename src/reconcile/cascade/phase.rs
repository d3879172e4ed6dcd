//! The searches that go on in step: odd nodes of one layer, bisected level by level.
//!
//! Nodes are dyadic: 2^log2 places from a multiple of that on. All questions of a round ask for
//! nodes of one size; smaller nodes join when the level comes down to theirs. So a round is one
//! kernel call on either side, and between rounds a search is one number.

/// The number of the first layer of subsets; those of passes are below it.
pub(super) const FIRST_SUBSET: u8 = 16;

/// The places from `start` to the next multiple of 2^`log2`, as far as there are any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) log2: u32,
}

/// The memory of a phase that is over, for the next.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) nodes: Vec<Node>,
    starts: Vec<u32>,
}

/// Searches under way in one layer.
#[derive(Debug, PartialEq)]
pub(super) struct Phase {
    pub(super) layer: u8,
    /// Larger nodes first, and among those of one size by place.
    nodes: Vec<Node>,
    /// Where the search in each node that has begun stands.
    starts: Vec<u32>,
    level: u32,
}

impl Phase {
    /// Begins to search the nodes in `room`, larger ones first; gives it back if there are none.
    pub(super) fn new(layer: u8, room: Room) -> Result<Self, Room> {
        let Some(level) = room.nodes.first().map(|node| node.log2) else { return Err(room) };
        let Room { nodes, mut starts } = room;
        starts.reserve(nodes.len());
        let mut phase = Self { layer, starts, nodes, level };
        phase.join();
        Ok(phase)
    }

    /// Its memory, empty.
    pub(super) fn into_room(self) -> Room {
        let mut room = Room { nodes: self.nodes, starts: self.starts };
        room.nodes.clear();
        room.starts.clear();
        room
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Where the nodes asked about in this round begin; at level 0, the errors found.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// The size of the nodes asked about, as a power of two; 0 once every search is at its end.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// Questions that this phase will ask in all.
    pub(super) fn questions(&self) -> u64 {
        self.nodes.iter().map(|node| u64::from(node.log2)).sum()
    }

    /// Goes on in the right half of each node whose bit in `right` is set, in the left one of the
    /// others. Whether every search is still below `space`.
    pub(super) fn descend(&mut self, right: &[u64], space: usize) -> bool {
        self.level -= 1;
        let level = self.level;
        let mut highest = 0;
        for (starts, bits) in self.starts.chunks_mut(64).zip(right) {
            for (i, start) in starts.iter_mut().enumerate() {
                *start += u32::from(bits >> i & 1 == 1) << level;
                highest = highest.max(*start);
            }
        }
        self.join();
        (highest as usize) < space
    }

    /// Lets the nodes of this level join.
    fn join(&mut self) {
        let level = self.level;
        let waiting = self.nodes[self.starts.len()..].iter();
        self.starts.extend(waiting.take_while(|node| node.log2 == level).map(|node| node.start));
    }
}
