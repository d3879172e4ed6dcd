//! What all rungs but the reference share: the way over the runs, and from a run's degree to the body
//! that the compiler made for it.

/// Calls the body of the run's degree: registers hold a check whose degree the compiler knows.
macro_rules! by_degree {
    ($degree:expr, $name:ident, [$($more:tt)*], $args:tt) => {
        match $degree {
            1 => $name::<1 $($more)*> $args,
            2 => $name::<2 $($more)*> $args,
            3 => $name::<3 $($more)*> $args,
            4 => $name::<4 $($more)*> $args,
            5 => $name::<5 $($more)*> $args,
            6 => $name::<6 $($more)*> $args,
            7 => $name::<7 $($more)*> $args,
            8 => $name::<8 $($more)*> $args,
            9 => $name::<9 $($more)*> $args,
            10 => $name::<10 $($more)*> $args,
            11 => $name::<11 $($more)*> $args,
            12 => $name::<12 $($more)*> $args,
            13 => $name::<13 $($more)*> $args,
            14 => $name::<14 $($more)*> $args,
            15 => $name::<15 $($more)*> $args,
            16 => $name::<16 $($more)*> $args,
            degree => panic!("a check of degree {degree}, not 1 to {}", super::MAX_DEGREE),
        }
    };
}

/// The way over the runs, with the attribute that a rung's functions bear, which has `leaf_checks` and `parity_check`.
macro_rules! runs {
    ($features:meta) => {
        use super::{Beliefs, Graph, Order, ParityRule, Run};

        #[$features]
        pub(super) fn iterate(graph: &Graph<'_>, beliefs: &mut Beliefs<'_>) -> u32 {
            let (mut edge, mut check) = (0, 0);
            for run in graph.leaf_runs {
                let leaves = &beliefs.leaves[check..check + run.checks];
                let edges = &graph.edges[edge..edge + run.checks * run.degree];
                let messages = &mut beliefs.messages[edge..edge + run.checks * run.degree];
                leaf_run((run, graph.factors), edges, (beliefs.posteriors, messages), leaves);
                edge += edges.len();
                check += run.checks;
            }
            let parity_edges: usize = graph.parity_runs.iter().map(|run| run.degree * run.checks).sum();
            assert_eq!(graph.edges.len(), edge + parity_edges, "edges of all checks");
            let mut violated = 0;
            let mut visit = |run: &Run, edge: usize, check: usize| {
                let syndrome = &beliefs.syndrome[check..check + run.checks];
                let edges = &graph.edges[edge..edge + run.checks * run.degree];
                let messages = &mut beliefs.messages[edge..edge + run.checks * run.degree];
                let way = (graph.parity_rule, graph.parity_order);
                parity_run(run, way, edges, (beliefs.posteriors, messages), syndrome)
            };
            match graph.parity_order {
                Order::Ascending => {
                    let mut check = 0;
                    for run in graph.parity_runs {
                        violated += visit(run, edge, check);
                        edge += run.checks * run.degree;
                        check += run.checks;
                    }
                }
                Order::Descending => {
                    let mut check: usize = graph.parity_runs.iter().map(|run| run.checks).sum();
                    edge = graph.edges.len();
                    for run in graph.parity_runs.iter().rev() {
                        edge -= run.checks * run.degree;
                        check -= run.checks;
                        violated += visit(run, edge, check);
                    }
                }
            }
            violated
        }

        /// Posteriors and messages of one run.
        type State<'a> = (&'a mut [Lanes], &'a mut [Lanes]);

        #[$features]
        fn leaf_run(
            (run, factors): (&Run, &Factors),
            edges: &[Edge],
            state: State<'_>,
            leaves: &[Lanes],
        ) {
            by_degree!(run.degree, leaf_checks, [], (factors, edges, state, leaves));
        }

        #[$features]
        fn parity_run(
            run: &Run,
            (rule, order): (ParityRule, Order),
            edges: &[Edge],
            state: State<'_>,
            syndrome: &[u64],
        ) -> u32 {
            match rule {
                ParityRule::Product => {
                    by_degree!(run.degree, parity_checks, [, true], (order, edges, state, syndrome))
                }
                ParityRule::Sizes => {
                    by_degree!(run.degree, parity_checks, [, false], (order, edges, state, syndrome))
                }
            }
        }

        #[$features]
        fn parity_checks<const D: usize, const PRODUCT: bool>(
            order: Order,
            edges: &[Edge],
            (posteriors, messages): State<'_>,
            syndrome: &[u64],
        ) -> u32 {
            let (edges, _) = edges.as_chunks::<D>();
            let (messages, _) = messages.as_chunks_mut::<D>();
            let mut violated = 0;
            for place in 0..syndrome.len() {
                let check = match order {
                    Order::Ascending => place,
                    Order::Descending => syndrome.len() - 1 - place,
                };
                let (edges, messages) = (&edges[check], &mut messages[check]);
                violated += parity_check::<D, PRODUCT>(edges, posteriors, messages, syndrome[check]);
            }
            violated
        }
    };
}

/// Repeats the body with I = 0, 1, … D − 1 as a constant, D up to 16: the compiler leaves long loops over
/// registers rolled, and then registers are memory.
#[cfg(target_arch = "x86_64")]
macro_rules! each {
    ($i:ident, $d:ident, $body:block) => {
        each!(@ $i, $d, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $i:ident, $d:ident, $body:block, $($n:literal)*) => {$({
        const $i: usize = $n;
        if $i < $d $body
    })*};
}
