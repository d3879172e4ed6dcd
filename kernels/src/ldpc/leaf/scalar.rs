//! The reference: lane by lane, in the order of the module's formulas.

#![expect(clippy::cast_possible_truncation, reason = "fixed-point products are cut to 16 bits by design")]

use super::{
    ARTANH, Beliefs, COARSE, CORRECTION_END, Edge, FINE, Factors, Gain, Graph, LEAF_LIMIT, Lanes, MAX_DEGREE,
    MOST_SIZE, Order, PARITY_LIMIT, ParityRule, certain,
};

/// The rounded product of two Q15 numbers.
#[inline]
pub(super) fn mul(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b) + 0x4000) >> 15) as i16
}

/// A line's value at its left end, the number of the bits below the line's `part` added by its rise.
#[inline]
fn on_line(line: i16, whole: i16, part: u16) -> i16 {
    let [value, rise] = line.to_le_bytes();
    whole * i16::from(value.cast_signed()) + part.cast_signed() * i16::from(rise.cast_signed())
}

#[inline]
pub(super) fn factor(factors: &Factors, a: i16) -> i16 {
    let a = a.cast_unsigned();
    on_line(factors.0[usize::from(a >> 10)], 255, a >> 2 & 0xff)
}

#[inline]
pub(super) fn artanh_twice(o: i16) -> i16 {
    let o = o.cast_unsigned();
    on_line(ARTANH[usize::from(o >> 9 & 63)], 64, o >> 3 & 63)
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
            leaf_check(graph.factors, edges, (beliefs.posteriors, messages), &beliefs.leaves[check]);
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
    factors: &Factors,
    edges: &[Edge],
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    leaf: &Lanes,
) {
    let gathered = gather(edges, posteriors);
    for lane in 0..64 {
        by_product((factors, |o| o), (edges, &gathered), (posteriors, messages), (leaf.0[lane], lane));
    }
}

/// What a check says in a lane whose leaf enters with `leaf`: a function of the product of the others.
fn by_product(
    (factors, says): (&Factors, impl Fn(i16) -> i16),
    (edges, gathered): (&[Edge], &[[i16; 64]; MAX_DEGREE]),
    (posteriors, messages): (&mut [Lanes], &mut [Lanes]),
    (leaf, lane): (i16, usize),
) {
    let degree = edges.len();
    let (mut a, mut factor) = ([0; MAX_DEGREE], [0; MAX_DEGREE]);
    let mut before = [leaf; MAX_DEGREE + 1];
    for i in 0..degree {
        a[i] = gathered[i][lane].saturating_sub(messages[i].0[lane]);
        factor[i] = self::factor(factors, a[i]);
        before[i + 1] = mul(before[i], factor[i]);
    }
    let mut after = 0;
    for i in (0..degree).rev() {
        let last = i + 1 == degree;
        let product = if last { before[i] } else { mul(before[i], after) };
        after = if last { factor[i] } else { mul(after, factor[i]) };
        let message = says(product);
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
                let one = certain(edges.len());
                let rule = (&Factors::TANH, artanh_twice);
                let leaf = if odd { -one } else { one };
                by_product(rule, (edges, &gathered), (posteriors, messages), (leaf, lane));
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

pub(super) fn leaves(gain: &Gain, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    assert_eq!((ratios.len(), syndrome.len()), (64 * out.len(), out.len()), "one leaf a check");
    for ((out, ratios), syndrome) in out.iter_mut().zip(ratios.as_chunks::<64>().0).zip(syndrome) {
        for (i, (out, ratio)) in out.0.iter_mut().zip(ratios).enumerate() {
            let value = entered(gain, *ratio);
            *out = if syndrome >> i & 1 == 1 { -value } else { value };
        }
    }
}

#[inline]
fn entered(gain: &Gain, ratio: i16) -> i16 {
    let ratio = (ratio.clamp(-LEAF_LIMIT, LEAF_LIMIT) << 2).cast_unsigned();
    let line = usize::from(ratio >> 10);
    let part = u32::from(ratio << 6);
    gain.values[line] + ((part * u32::from(gain.rises[line].cast_unsigned())) >> 16) as i16
}
