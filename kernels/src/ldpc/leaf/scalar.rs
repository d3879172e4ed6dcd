//! The reference: lane by lane, in the order of the module's formulas.

#![expect(clippy::cast_possible_truncation, reason = "fixed-point products are cut to 16 bits by design")]

use super::{
    ARTANH_SLOPE, Beliefs, COARSE, CORRECTION_END, Edge, FINE, Graph, LEAF_LIMIT, LINES, Lanes, LeafRule,
    MAX_DEGREE, MOST_SIZE, ONE, Order, PARITY_LIMIT, ParityRule, UNIT,
};

/// The rounded product of two Q15 numbers.
#[inline]
pub(super) fn mul(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + 0x4000) >> 15) as i16
}

#[inline]
pub(super) fn tanh_half(a: i16) -> i16 {
    let line = (a.cast_unsigned() >> 10) as usize;
    let part = u32::from(a.cast_unsigned() << 6);
    LINES[0][line] + ((part * u32::from(LINES[1][line].cast_unsigned())) >> 16) as i16
}

#[inline]
pub(super) fn artanh_twice(o: i16) -> i16 {
    mul(o, ARTANH_SLOPE.wrapping_add(mul(o, o)))
}

/// ⊞ of sizes in fine units: f(|a − b|) − f(a + b) as the difference of two squares.
#[inline]
pub(super) fn box_plus(a: i16, b: i16) -> i16 {
    let rest = |x: u16| CORRECTION_END.cast_unsigned().saturating_sub(x).cast_signed();
    let (near, far) = (rest(a.abs_diff(b)), rest(a.cast_unsigned() + b.cast_unsigned()));
    a.min(b) - mul(near - far, near + far)
}

/// A ratio's size in fine units.
#[inline]
pub(super) fn size_of(a: i16) -> i16 {
    (a.unsigned_abs().min(MOST_SIZE) * FINE).cast_signed()
}

/// A size in units, as a parity check says it.
#[inline]
pub(super) fn limited(size: i16) -> i16 {
    let coarse = (u32::from(size.cast_unsigned()) * u32::from(COARSE)) >> 16;
    (coarse as i16).min(PARITY_LIMIT)
}

pub(super) fn iterate(graph: &Graph<'_>, beliefs: &mut Beliefs<'_>) -> u32 {
    let (mut edge, mut check) = (0, 0);
    for run in graph.leaf_runs {
        for _ in 0..run.checks {
            let edges = &graph.edges[edge..edge + run.degree];
            let messages = &mut beliefs.messages[edge..edge + run.degree];
            leaf_check(graph.leaf_rule, edges, (beliefs.posteriors, messages), &beliefs.leaves[check]);
            edge += run.degree;
            check += 1;
        }
    }
    let parity_edges: usize = graph.parity_runs.iter().map(|run| run.degree * run.checks).sum();
    assert_eq!(graph.edges.len(), edge + parity_edges, "edges of all checks");
    let degrees = graph.parity_runs.iter().flat_map(|run| std::iter::repeat_n(run.degree, run.checks));
    let mut visit = |edge: usize, degree: usize, check: usize| {
        let edges = &graph.edges[edge..edge + degree];
        let messages = &mut beliefs.messages[edge..edge + degree];
        parity_check(graph.parity_rule, edges, (beliefs.posteriors, messages), beliefs.syndrome[check])
    };
    let mut violated = 0;
    match graph.parity_order {
        Order::Ascending => {
            for (check, degree) in degrees.enumerate() {
                violated += visit(edge, degree, check);
                edge += degree;
            }
        }
        Order::Descending => {
            edge = graph.edges.len();
            let checks: usize = graph.parity_runs.iter().map(|run| run.checks).sum();
            let runs = graph.parity_runs.iter().rev();
            let degrees = runs.flat_map(|run| std::iter::repeat_n(run.degree, run.checks));
            for (check, degree) in (0..checks).rev().zip(degrees) {
                edge -= degree;
                violated += visit(edge, degree, check);
            }
        }
    }
    violated
}

/// The posteriors of a check's edges in its own lane order.
fn gather(edges: &[Edge], posteriors: &[Lanes]) -> [[i16; 64]; MAX_DEGREE] {
    let mut gathered = [[0; 64]; MAX_DEGREE];
    for (lanes, edge) in gathered.iter_mut().zip(edges) {
        let block = &posteriors[edge.block as usize].0;
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane = block[(i + edge.rotation as usize) % 64];
        }
    }
    gathered
}

fn leaf_check(
    rule: LeafRule,
    edges: &[Edge],
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    leaf: &Lanes,
) {
    let gathered = gather(edges, posteriors);
    for lane in 0..64 {
        by_product(rule, (edges, &gathered), (posteriors, messages), (leaf.0[lane], lane));
    }
}

/// What a check says in a lane whose leaf enters with `leaf`.
fn by_product(
    rule: LeafRule,
    (edges, gathered): (&[Edge], &[[i16; 64]; MAX_DEGREE]),
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    (leaf, lane): (i16, usize),
) {
    let degree = edges.len();
    let (mut a, mut tanh) = ([0; MAX_DEGREE], [0; MAX_DEGREE]);
    let mut before = [leaf; MAX_DEGREE + 1];
    for i in 0..degree {
        a[i] = gathered[i][lane].saturating_sub(messages[i].0[lane]);
        tanh[i] = tanh_half(a[i]);
        before[i + 1] = mul(before[i], tanh[i]);
    }
    let mut after = 0;
    for i in (0..degree).rev() {
        let last = i + 1 == degree;
        let product = if last { before[i] } else { mul(before[i], after) };
        after = if last { tanh[i] } else { mul(after, tanh[i]) };
        let message = match rule {
            LeafRule::Curve => artanh_twice(product),
            LeafRule::Line => product,
        };
        messages[i].0[lane] = message;
        posteriors[edges[i].block as usize].0[lane] = a[i].saturating_add(message);
    }
}

/// Returns how many lanes were violated by the posteriors as they came.
fn parity_check(
    rule: ParityRule,
    edges: &[Edge],
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    syndrome: u64,
) -> u32 {
    let gathered = gather(edges, posteriors);
    let mut violated = 0;
    for lane in 0..64 {
        let odd = syndrome >> lane & 1 == 1;
        let odd_now = gathered[..edges.len()].iter().fold(odd, |odd, row| odd ^ (row[lane] < 0));
        violated += u32::from(odd_now);
        match rule {
            ParityRule::Product => {
                let leaf = if odd { -ONE } else { ONE };
                by_product(LeafRule::Curve, (edges, &gathered), (posteriors, messages), (leaf, lane));
            }
            ParityRule::Sizes => by_sizes((edges, &gathered), (posteriors, messages), (odd, lane)),
        }
    }
    violated
}

/// What a parity check says in a lane.
fn by_sizes(
    (edges, gathered): (&[Edge], &[[i16; 64]; MAX_DEGREE]),
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    (mut odd, lane): (bool, usize),
) {
    let degree = edges.len();
    let (mut a, mut size, mut before) = ([0; MAX_DEGREE], [0; MAX_DEGREE], [i16::MAX; MAX_DEGREE + 1]);
    for i in 0..degree {
        a[i] = gathered[i][lane].saturating_sub(messages[i].0[lane]);
        odd ^= a[i] < 0;
        size[i] = size_of(a[i]);
        before[i + 1] = if i == 0 { size[i] } else { box_plus(before[i], size[i]) };
    }
    let mut after = i16::MAX;
    for i in (0..degree).rev() {
        let last = i + 1 == degree;
        let rest = match (i, last) {
            (0, true) => i16::MAX,
            (_, true) => before[i],
            (0, false) => after,
            _ => box_plus(before[i], after),
        };
        after = if last { size[i] } else { box_plus(after, size[i]) };
        let message = if odd ^ (a[i] < 0) { -limited(rest) } else { limited(rest) };
        messages[i].0[lane] = message;
        posteriors[edges[i].block as usize].0[lane] = a[i].saturating_add(message);
    }
}

#[inline(always)]
pub(super) fn leaves(rule: LeafRule, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    assert_eq!((ratios.len(), syndrome.len()), (64 * out.len(), out.len()), "one leaf a check");
    match rule {
        LeafRule::Curve => leaves_by(|ratio| f32::from(ONE) * leaf_tanh(ratio), ratios, syndrome, out),
        LeafRule::Line => leaves_by(
            |ratio| 0.5 * f32::from(clipped(ratio)) + f32::from(UNIT) * leaf_tanh(ratio),
            ratios,
            syndrome,
            out,
        ),
    }
}

#[inline(always)]
fn leaves_by(value: impl Fn(i16) -> f32, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    for ((out, ratios), syndrome) in out.iter_mut().zip(ratios.as_chunks::<64>().0).zip(syndrome) {
        for (i, (out, ratio)) in out.0.iter_mut().zip(ratios).enumerate() {
            let sign = 1.0 - 2.0 * (syndrome >> i & 1) as f32;
            *out = (sign * value(*ratio)).round_ties_even() as i16;
        }
    }
}

#[inline(always)]
fn clipped(ratio: i16) -> i16 {
    ratio.clamp(-LEAF_LIMIT, LEAF_LIMIT)
}

/// tanh(L/2) by its continued fraction, to 1e-6 inside the limits.
#[inline(always)]
fn leaf_tanh(ratio: i16) -> f32 {
    let x = f32::from(clipped(ratio)) * (0.5 / f32::from(UNIT));
    let y = x * x;
    let above = x * (135_135.0 + y * (17_325.0 + y * (378.0 + y)));
    let below = 135_135.0 + y * (62_370.0 + y * (3_150.0 + y * 28.0));
    above / below
}
