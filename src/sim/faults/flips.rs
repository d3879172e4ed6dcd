//! Every bit of every message of a block, flipped once: nobody may take what was altered.

use keystill_kernels::Isa;

use crate::session::{LinkState, Time};
use crate::stage::{Role, Workbench};

use super::dice::Dice;
use super::judge::Judge;
use super::node::Node;

/// Rounds in which nothing moves, after which a link is stuck.
const IDLE: u32 = 40;

/// What became of a range of flips.
#[derive(Clone, Debug, Default)]
pub struct Flips {
    /// Bits of all messages of the block: flips are numbered below it.
    pub bits: u64,
    /// Bits of the messages of each kind.
    pub bits_by_kind: [u64; 12],
    /// Bits flipped.
    pub flips: u64,
    /// Flips after which the receiver committed the block, by number.
    pub accepted: Vec<u64>,
    /// Flips after which one side's key was another than the other's, by number.
    pub different: Vec<u64>,
}

/// Two nodes, a block, and a wire on which one bit is flipped.
struct Link {
    nodes: [Node; 2],
    judge: Judge,
    /// The messages' senders, kinds and bits, in order.
    sent: Vec<(usize, u8, u64)>,
    bench: Workbench,
}

impl Link {
    fn new(seed: u64) -> Self {
        let nodes = [Role::Alice, Role::Bob].map(|role| Node::new(seed, role, None));
        Self { nodes, judge: Judge::default(), sent: Vec::new(), bench: Workbench::new(Isa::best()) }
    }

    /// Distils one block; flips a bit of a message. Ends when the block is over, or when nothing moves.
    fn run(&mut self, flip: Option<(usize, u64)>) {
        let (mut dice, now) = (Dice::new(1), Time(1));
        for node in &mut self.nodes {
            node.start(&mut self.judge);
            node.link(now, LinkState::Up);
        }
        let mut idle = 0;
        while idle < IDLE {
            idle += 1;
            for side in [0, 1] {
                let node = &mut self.nodes[side];
                node.offer(1, None);
                node.work(now, &mut dice, &mut self.bench);
                node.remember_all(now, &mut self.judge);
                for mut message in node.drain(&mut self.judge) {
                    idle = 0;
                    let number = self.sent.len();
                    let kind = message.first().copied().unwrap_or(0);
                    self.sent.push((side, kind, 8 * message.len() as u64));
                    if let Some((altered, bit)) = flip
                        && altered == number
                    {
                        let byte = usize::try_from(bit / 8).unwrap_or(0);
                        message[byte] ^= 1 << (bit % 8);
                    }
                    self.nodes[1 - side].hear(now, &message);
                }
                if self.nodes[side].hangup || self.nodes[1 - side].hangup {
                    return;
                }
            }
            if self.nodes.iter().all(|node| node.is_settled() && node.blocks_over() == 1) {
                return;
            }
        }
    }
}

/// Flips the bits of a range, each in a run of its own, of one block of the small BB84 link.
///
/// Numbers beyond [`Flips::bits`] are left out; so ranges add up, and the whole is `0..u64::MAX`.
#[must_use]
pub fn flip_each_bit(seed: u64, range: impl Iterator<Item = u64>) -> Flips {
    let mut untouched = Link::new(seed);
    untouched.run(None);
    let mut found = Flips::default();
    for (_, kind, bits) in &untouched.sent {
        found.bits += bits;
        found.bits_by_kind[usize::from(*kind)] += bits;
    }
    for number in range.take_while(|number| *number < found.bits) {
        let (mut bit, mut message) = (number, 0);
        while bit >= untouched.sent[message].2 {
            bit -= untouched.sent[message].2;
            message += 1;
        }
        let mut link = Link::new(seed);
        link.run(Some((message, bit)));
        found.flips += 1;
        let receiver = 1 - untouched.sent[message].0;
        if link.judge.keys(receiver) > 0 {
            found.accepted.push(number);
        }
        if link.nodes_differ() {
            found.different.push(number);
        }
    }
    found
}

impl Link {
    /// Whether keys that both sides hold differ.
    fn nodes_differ(&mut self) -> bool {
        for node in &mut self.nodes {
            node.deliver(crate::store::Share::All, usize::MAX, &mut self.judge);
        }
        !self.judge.violations.is_empty()
    }
}
