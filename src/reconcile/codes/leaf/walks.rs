//! In which order the decoder visits the checks.

use keystill_kernels::ldpc::leaf::{Edge, Order, Run};

use super::Code;

/// A share of the leaf checks, and then all parity checks, as the decoder visits them.
#[derive(Debug)]
pub struct Walk {
    /// The leaf checks of the share by degree; the parity checks last.
    pub visits: Vec<Visit>,
    /// The rotation that each core block is left in.
    pub homes: Vec<u32>,
}

/// Checks of one kind and degree, one after the other.
#[derive(Debug)]
pub struct Visit {
    /// What they are.
    pub kind: Check,
    /// How many, and of which degree.
    pub run: Run,
    /// In which order they come.
    pub order: Order,
    /// The place of the first among all checks, as in a syndrome.
    pub first_check: usize,
    /// The place of its first edge among all edges.
    pub first_edge: usize,
    /// Their edges, first check first, the rotations relative to the block's edge before on the way.
    pub edges: Vec<Edge>,
}

/// The two kinds of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Of core blocks and one leaf.
    Leaf,
    /// Of core blocks alone.
    Parity,
}

/// Sweeps over the parity checks in an iteration, by the rate up to which it is so many. Parity checks bring a
/// frame on faster than leaf checks do, and at low rates they are few: at rate 0.02 four sweeps instead of one
/// cost a fifth more and save a third of the iterations, at 0.05 two save a fifth for an eighth more. Above,
/// what they save is less than what they cost.
const SWEEPS: [(f64, usize); 2] = [(0.03, 4), (0.07, 2)];

pub(super) fn sweeps(rate: f64) -> usize {
    SWEEPS.iter().find(|(most, _)| rate <= *most).map_or(1, |(_, sweeps)| *sweeps)
}

impl Visit {
    /// Each check in the order of the visit: its place among all checks, that of its first edge among all
    /// edges, and its edges.
    pub fn checks(&self) -> impl Iterator<Item = (usize, usize, &[Edge])> {
        let Run { degree, checks } = self.run;
        (0..checks).map(move |place| {
            let place = match self.order {
                Order::Ascending => place,
                Order::Descending => checks - 1 - place,
            };
            let edges = &self.edges[place * degree..(place + 1) * degree];
            (self.first_check + place, self.first_edge + place * degree, edges)
        })
    }
}

/// All walks, each beginning where the one before ends, the first where the last ends.
pub(super) fn walks(code: &Code) -> Vec<Walk> {
    let shares = sweeps(code.rate());
    // Along the chain and back by turns: an odd number of shares takes two rounds until both come again.
    let walks = shares * (1 + shares % 2);
    let mut homes = vec![0; code.core_blocks()];
    let mut round = || (0..walks).map(|number| walk(code, number, shares, &mut homes)).collect();
    let _: Vec<Walk> = round();
    round()
}

/// The walk of this number; `homes` is where each block was left and is left.
fn walk(code: &Code, number: usize, shares: usize, homes: &mut [u32]) -> Walk {
    let share = number % shares;
    let (mut first_check, mut first_edge) = (0, 0);
    let mut visits = Vec::new();
    for run in &code.leaf_runs {
        let checks = run.checks * share / shares..run.checks * (share + 1) / shares;
        visits.push(Visit {
            kind: Check::Leaf,
            run: Run { degree: run.degree, checks: checks.len() },
            order: Order::Ascending,
            first_check: first_check + checks.start,
            first_edge: first_edge + checks.start * run.degree,
            edges: Vec::new(),
        });
        first_check += run.checks;
        first_edge += run.checks * run.degree;
    }
    let [run] = code.parity_runs;
    let order = if number.is_multiple_of(2) { Order::Ascending } else { Order::Descending };
    visits.push(Visit { kind: Check::Parity, run, order, first_check, first_edge, edges: Vec::new() });
    for visit in &mut visits {
        let edges = visit.run.checks * visit.run.degree;
        visit.edges = code.edges[visit.first_edge..visit.first_edge + edges].to_vec();
        let places: Vec<usize> =
            visit.checks().map(|(_, first_edge, _)| first_edge - visit.first_edge).collect();
        for place in places {
            visit.edges[place..place + visit.run.degree].iter_mut().for_each(|edge| turn(edge, homes));
        }
    }
    Walk { visits, homes: homes.to_vec() }
}

/// Makes a rotation relative to the block's edge before, and notes where the block is now.
fn turn(edge: &mut Edge, homes: &mut [u32]) {
    let before = std::mem::replace(&mut homes[usize::from(edge.block)], u32::from(edge.rotation));
    let before = u16::try_from(before).expect("a rotation is below 64");
    edge.rotation = (edge.rotation + 64 - before) % 64;
}

#[cfg(test)]
mod tests {
    use super::super::{FAMILY, chain_blocks};
    use super::*;

    #[test]
    fn an_iteration_visits_leaf_checks_once_and_parity_checks_as_often_as_the_rate_asks() {
        for (leaf_blocks, sweeps) in [(1600 - 48, 4), (640 - 48, 2), (320 - 48, 1)] {
            let code = Code::build(&FAMILY, 32, leaf_blocks);
            assert_eq!(code.walks_an_iteration(), sweeps, "at rate {}", code.rate());
            // Where each block is, followed edge by edge, begins and ends as the walks say.
            let mut homes = code.walks().last().expect("there are walks").homes.clone();
            for iteration in code.walks().chunks(sweeps) {
                let mut visits = vec![0; code.leaf_blocks() + chain_blocks(32)];
                for walk in iteration {
                    for (check, first_edge, edges) in walk.visits.iter().flat_map(Visit::checks) {
                        visits[check] += 1;
                        for (edge, absolute) in edges.iter().zip(&code.edges[first_edge..]) {
                            let home = &mut homes[usize::from(edge.block)];
                            *home = (*home + u32::from(edge.rotation)) % 64;
                            assert_eq!(
                                (*home, edge.block),
                                (absolute.rotation.into(), absolute.block),
                                "{check}"
                            );
                        }
                    }
                    assert_eq!(homes, walk.homes, "where the blocks are left");
                }
                let (leaf, parity) = visits.split_at(code.leaf_blocks());
                assert!(leaf.iter().all(|visits| *visits == 1), "leaf checks once");
                assert!(parity.iter().all(|visits| *visits == sweeps), "parity checks {sweeps} times");
            }
        }
    }
}
