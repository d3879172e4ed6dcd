//! A world of faults: both nodes in one thread, under virtual time, from one seed.
//!
//! Sessions and stores are the real ones; the network, the disks and the clock are simulated, and fail: a
//! connection is cut, for ten minutes or for a moment; messages are flipped, doubled, swapped, shortened,
//! spliced and replayed; a process dies between any two operations of its disk, syncs fail, space runs out;
//! time stands still and jumps both ways; the quantum channel is noise for a block. An omniscient
//! `Judge` holds seven invariants against what leaves the nodes. After the faults both must make
//! keys again. A seed replays.
//!
//! To show that the judge sees, bugs can be [planted](Planted): each is found.

mod dice;
mod disk;
mod flips;
mod judge;
mod node;
mod small;
mod states;

use std::collections::VecDeque;

use keystill_kernels::Isa;

use crate::session::{LinkState, Time};
use crate::stage::{Role, Workbench};
use crate::store::Share;

use dice::Dice;
use disk::DiskFault;
use judge::Judge;
use node::Node;

pub use flips::{Flips, flip_each_bit};
pub use judge::{Invariant, Violation};
pub use small::{small_bb84, small_frame};
pub use states::{States, crash_states};

/// A bug that is put in on purpose, to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Syncs do nothing.
    SkipSync,
    /// The session is told that its records last before they are written.
    AnswerBeforeWriting,
    /// Spent pads are not remembered.
    ReusePad,
    /// Begun blocks are not remembered.
    ReplayBlock,
    /// Acceptances are not remembered.
    ForgetReady,
    /// Keys count before the peer accepted.
    DeliverBeforeAccept,
    /// One side's books miss an entry that the other's have.
    ForgetLedger,
    /// One side stores another key.
    DifferentKey,
    /// The journal is never summed up.
    EndlessJournal,
    /// Keys leave before it lasts that they are spent.
    ReleaseUnmarked,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::SkipSync,
        Self::AnswerBeforeWriting,
        Self::ReusePad,
        Self::ReplayBlock,
        Self::ForgetReady,
        Self::DeliverBeforeAccept,
        Self::ForgetLedger,
        Self::DifferentKey,
        Self::EndlessJournal,
        Self::ReleaseUnmarked,
    ];
}

/// What a world is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Faults that are injected, at most.
    pub faults: u64,
    /// Blocks that the link makes before the faults end, at most.
    pub blocks: u64,
    /// A block during which Bob's bits are noise: half of them are errors. Where there are faults and none is
    /// named, one world in three has one.
    pub noisy_block: Option<u64>,
    /// A bug to be found.
    pub planted: Option<Planted>,
}

impl Default for Plan {
    /// Thirty-two faults over up to six blocks.
    fn default() -> Self {
        Self { faults: 32, blocks: 6, noisy_block: None, planted: None }
    }
}

/// How a world ended.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Faults injected.
    pub faults: u64,
    /// Blocks that left key, on Alice's side.
    pub keys: usize,
    /// Blocks that ended, on Alice's side.
    pub blocks: usize,
    /// Steps taken.
    pub steps: u64,
    /// What may never happen, and did.
    pub violations: Vec<Violation>,
}

/// Messages of each side that may come again.
const REPLAYED: usize = 16;

const MINUTE_NS: u64 = 60_000_000_000;

/// Steps after which a world that does not settle is stuck.
const PATIENCE_STEPS: u64 = 60_000;

/// Blocks after the last fault, one of which must leave key.
const BLOCKS_AFTER: u64 = 2;

struct World {
    dice: Dice,
    now: Time,
    nodes: [Node; 2],
    /// Messages from each node on their way.
    wires: [VecDeque<Vec<u8>>; 2],
    /// Messages that arrived, of this connection and older ones.
    past: [VecDeque<Vec<u8>>; 2],
    /// The number of the connection, and the one that each node was told of.
    connection: u64,
    connected: bool,
    told: [Option<u64>; 2],
    faults_left: u64,
    faults: u64,
    /// A fault strikes once in so many steps; and once in so many closing messages or deliveries, where it
    /// hurts most.
    rarity: [u64; 2],
    /// Blocks for which there are raw frames.
    blocks: u64,
    noisy_block: Option<u64>,
    bench: Workbench,
    judge: Judge,
}

/// Lives through a world.
#[must_use]
pub fn live_through(seed: u64, plan: Plan) -> Verdict {
    let mut world = World::new(seed, plan);
    let mut steps = 0;
    let healed = world.run(&mut steps, |world| world.faults_left == 0 || world.is_through());
    world.heal();
    let keys = [0, 1].map(|side| world.judge.keys(side));
    // Only where both live again is it known which blocks the last cut cost: all that either had begun.
    let healed = healed && world.run(&mut steps, World::is_live);
    world.blocks =
        world.nodes.iter().map(Node::blocks_over).max().unwrap_or(0).max(plan.blocks) + BLOCKS_AFTER;
    let settled = healed && world.run(&mut steps, World::is_through);
    if !settled {
        world.judge.find(Invariant::Converges, format!("stuck after {steps} steps"));
    }
    for side in [0, 1] {
        if settled && world.judge.keys(side) <= keys[side] {
            let why = [0, 1].map(|side| world.judge.last_aborts(side)).join(" | ");
            world
                .judge
                .find(Invariant::Converges, format!("side {side} makes no key after the faults: {why}"));
        }
        world.nodes[side].measure(&mut world.judge);
        world.nodes[side].deliver(Share::All, usize::MAX, &mut world.judge);
        // What was delivered stays so over a crash.
        world.nodes[side].kill();
        world.nodes[side].start(&mut world.judge);
        world.nodes[side].deliver(Share::All, usize::MAX, &mut world.judge);
    }
    world.judge.conclude();
    let noise = u64::from(world.judge.saw_noise());
    Verdict {
        faults: noise + world.faults + world.nodes.iter().map(|node| node.disk.struck()).sum::<u64>(),
        keys: world.judge.keys(0),
        blocks: world.judge.blocks(0),
        steps,
        violations: std::mem::take(&mut world.judge.violations),
    }
}

impl World {
    fn new(seed: u64, plan: Plan) -> Self {
        let nodes = [Role::Alice, Role::Bob].map(|role| Node::new(seed, role, plan.planted));
        for node in &nodes {
            node.disk.lie(plan.planted == Some(Planted::SkipSync));
        }
        let mut dice = Dice::new(seed);
        let rarity = [20 << dice.below(5), 1 << (1 + dice.below(4))];
        let noisy = plan.faults > 0 && dice.once_in(3);
        let noisy_block = plan.noisy_block.or_else(|| noisy.then(|| dice.below(plan.blocks)));
        Self {
            dice,
            rarity,
            // Early enough that it can step back.
            now: Time(1_000 * MINUTE_NS),
            nodes,
            noisy_block,
            wires: [VecDeque::new(), VecDeque::new()],
            past: [VecDeque::new(), VecDeque::new()],
            connection: 0,
            connected: false,
            told: [None; 2],
            faults_left: plan.faults,
            faults: 0,
            blocks: plan.blocks,
            bench: Workbench::new(Isa::best()),
            judge: Judge::new(noisy_block),
        }
    }

    /// Takes steps until `done` says so; whether it did before patience ended.
    fn run(&mut self, steps: &mut u64, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..PATIENCE_STEPS {
            if done(self) {
                return true;
            }
            self.step();
            *steps += 1;
        }
        false
    }

    /// Whether every block is over and nothing is on its way.
    fn is_through(&self) -> bool {
        let through = |node: &Node| node.is_settled() && node.blocks_over() >= self.blocks;
        self.connected && self.nodes.iter().all(through) && self.wires.iter().all(VecDeque::is_empty)
    }

    /// Whether both nodes know where to go on.
    fn is_live(&self) -> bool {
        self.connected && self.nodes.iter().all(Node::is_live)
    }

    fn heal(&mut self) {
        self.faults_left = 0;
        self.nodes.iter().for_each(|node| node.disk.disarm());
        // What was altered may still be on its way.
        self.cut();
    }

    fn step(&mut self) {
        self.now.0 += 1_000 * self.dice.below(200);
        if self.dice.once_in(self.rarity[0]) {
            self.strike();
        }
        let side = self.dice.place(2);
        if !self.nodes[side].is_alive() {
            if self.dice.once_in(4) {
                self.nodes[side].start(&mut self.judge);
            }
            return;
        }
        self.tell_link(side);
        let delivered = self.act(side);
        let connection = self.told[side];
        let longest = self.nodes[side].longest_message();
        let (mut closing, keys) = (false, self.judge.keys(side));
        for message in self.nodes[side].drain(&mut self.judge) {
            let on = connection.unwrap_or(0);
            closing |= matches!(message.first(), Some(7 | 8));
            self.judge.sent(side, on, &message, longest);
            if self.connected && connection == Some(self.connection) {
                self.wires[side].push_back(message);
            }
        }
        let committed = self.judge.keys(side) > keys;
        if (closing || delivered || committed) && self.dice.once_in(self.rarity[1]) {
            let victim = match (delivered, committed) {
                (true, _) => side,
                // The other may not know it yet.
                (_, true) => 1 - side,
                _ => self.dice.place(2),
            };
            self.aim(victim);
        }
        if std::mem::take(&mut self.nodes[side].hangup) || !self.nodes[side].is_alive() {
            self.cut();
        }
    }

    /// Lets a node do one thing; whether it delivered keys.
    fn act(&mut self, side: usize) -> bool {
        let (now, node) = (self.now, &mut self.nodes[side]);
        match self.dice.below(8) {
            0 => node.offer(self.blocks, self.noisy_block),
            1 | 2 => node.work(now, &mut self.dice, &mut self.bench),
            3 | 4 => node.remember(now, &mut self.dice, &mut self.judge),
            5 if self.dice.once_in(8) => {
                let (share, most) = ([Share::Even, Share::Odd][side], 1 + self.dice.place(3));
                return node.deliver(share, most, &mut self.judge);
            }
            5 => node.tick(now),
            _ if self.told == [Some(self.connection); 2] => {
                if let Some(message) = self.wires[1 - side].pop_front() {
                    node.hear(now, &message);
                    let past = &mut self.past[1 - side];
                    past.truncate(REPLAYED - 1);
                    past.push_front(message);
                }
            }
            _ => {}
        }
        false
    }

    /// Lets a node know of the connection as it is.
    fn tell_link(&mut self, side: usize) {
        let is = self.connected.then_some(self.connection);
        if self.told[side] != is {
            if self.told[side].is_some() {
                self.nodes[side].link(self.now, LinkState::Down);
            }
            if is.is_some() {
                self.nodes[side].link(self.now, LinkState::Up);
            }
            self.told[side] = is;
        } else if !self.connected && self.nodes.iter().all(Node::is_alive) && self.dice.once_in(4) {
            self.connected = true;
            self.connection += 1;
        }
    }

    fn cut(&mut self) {
        self.connected = false;
        self.wires.iter_mut().for_each(VecDeque::clear);
        for (told, node) in self.told.iter_mut().zip(&self.nodes) {
            // A new process knows of no connection.
            told.take_if(|_| !node.is_alive());
        }
    }

    /// Injects a fault, if there may be one more.
    fn strike(&mut self) {
        if self.faults_left == 0 {
            return;
        }
        self.faults_left -= 1;
        let side = self.dice.place(2);
        match self.dice.below(16) {
            0 => self.kill(side),
            1 => {
                self.kill(0);
                self.kill(1);
            }
            2 => self.cut(),
            3 => {
                // Nobody answers for ten minutes.
                self.cut();
                self.now.0 += 10 * MINUTE_NS;
            }
            kind @ 4..=7 => {
                let fault = [DiskFault::Crash, DiskFault::Full, DiskFault::Io, DiskFault::Short]
                    [usize::try_from(kind - 4).unwrap_or(0)];
                let operations = self.dice.below(12);
                self.nodes[side].disk.arm(operations, fault);
                // Counted where it strikes.
                return;
            }
            // An hour passes at once, or ten years.
            8 => self.now.0 += 60 * MINUTE_NS * [1, 87_600][self.dice.place(2)],
            // The clock is set back.
            9 => self.now.0 = self.now.0.saturating_sub(60 * MINUTE_NS),
            kind => {
                if !self.tamper(side, kind) {
                    return;
                }
            }
        }
        self.faults += 1;
    }

    /// Strikes where it hurts most: half the time a process dies.
    fn aim(&mut self, side: usize) {
        if self.faults_left == 0 || self.dice.once_in(2) {
            return self.strike();
        }
        self.faults_left -= 1;
        self.faults += 1;
        self.kill(side);
    }

    fn kill(&mut self, side: usize) {
        self.nodes[side].kill();
        self.cut();
    }

    /// Alters a message on its way, if there is one.
    fn tamper(&mut self, side: usize, kind: u64) -> bool {
        let (wire, dice) = (&mut self.wires[side], &mut self.dice);
        if wire.is_empty() {
            return false;
        }
        let (place, other) = (dice.place(wire.len()), dice.place(wire.len()));
        match kind {
            10 if wire[place].is_empty() => return false,
            10 => {
                let bit = dice.place(8 * wire[place].len());
                wire[place][bit / 8] ^= 1 << (bit % 8);
            }
            11 => wire.insert(place, wire[place].clone()),
            12 => wire.swap(place, other),
            13 => {
                let cut = dice.place(wire[place].len());
                wire[place].truncate(cut);
            }
            14 => {
                // The first half of one, and the second of another.
                let middle = wire[other].len() / 2;
                let tail = wire[other][middle..].to_vec();
                let half = wire[place].len() / 2;
                wire[place].truncate(half);
                wire[place].extend(tail);
            }
            _ => {
                let past = &self.past[side];
                let Some(message) = past.get(dice.place(past.len())) else { return false };
                wire.insert(place, message.clone());
            }
        }
        true
    }
}
