//! The decoder against sum-product in floating point, on the same schedule.

use keystill_kernels::ldpc::leaf::Edge;

use super::tests::frame;
use super::*;

type Block = [f64; 64];

/// Sum-product without tables, clips or rounding.
struct Exact {
    posteriors: Vec<Block>,
    messages: Vec<Block>,
}

impl Exact {
    /// Visits a check: its leaf's tanh(L/2), or 1, with the sign of the syndrome bit.
    fn check(&mut self, edges: &[Edge], first: usize, own: &Block) {
        let block = |edge: &Edge| usize::from(edge.block);
        let taken: Vec<Block> = edges
            .iter()
            .enumerate()
            .map(|(i, edge)| {
                let from = &self.posteriors[block(edge)];
                std::array::from_fn(|lane| {
                    from[(lane + usize::from(edge.rotation)) % 64] - self.messages[first + i][lane]
                })
            })
            .collect();
        for lane in 0..64 {
            let tanh: Vec<f64> = taken.iter().map(|a| (a[lane] / 2.0).tanh()).collect();
            for (i, edge) in edges.iter().enumerate() {
                let others = tanh.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, tanh)| tanh);
                let product = own[lane] * others.product::<f64>();
                let message = 2.0 * product.clamp(-1.0 + 1e-12, 1.0 - 1e-12).atanh();
                self.messages[first + i][lane] = message;
                self.posteriors[block(edge)][lane] = taken[i][lane] + message;
            }
        }
    }
}

fn signs(word: u64) -> Block {
    std::array::from_fn(|lane| if word >> lane & 1 == 1 { -1.0 } else { 1.0 })
}

/// Iterations until the core is right, if it ever is.
fn decode(code: &Code, ratios: &[i16], bits: &[u64], syndrome: &[u64]) -> Option<u32> {
    let blocks = ratios.as_chunks::<64>().0;
    let ratio = |ratio: i16| f64::from(ratio) / 1024.0;
    let homes = &code.walks().last().unwrap().homes;
    let lay = |(block, home): (&[i16; 64], &u32)| -> Block {
        std::array::from_fn(|lane| ratio(block[(lane + *home as usize) % 64]))
    };
    let mut exact = Exact {
        posteriors: blocks.iter().zip(homes).map(lay).collect(),
        messages: vec![[0.0; 64]; code.edge_count()],
    };
    let iterations = (1..=MOST_ITERATIONS).flat_map(|k| std::iter::repeat_n(k, code.walks_an_iteration()));
    for (iteration, walk) in iterations.zip(code.walks().iter().cycle()) {
        for visit in &walk.visits {
            for (check, first_edge, edges) in visit.checks() {
                let sign = signs(syndrome[check]);
                let own = match visit.kind {
                    Check::Parity => sign,
                    Check::Leaf => {
                        let leaf = &blocks[code.core_blocks() + check];
                        std::array::from_fn(|lane| sign[lane] * (ratio(leaf[lane]) / 2.0).tanh())
                    }
                };
                exact.check(edges, first_edge, &own);
            }
        }
        let right = exact.posteriors.iter().zip(&walk.homes).zip(bits).all(|((block, home), bits)| {
            let bits = bits.rotate_right(*home);
            (0..64).all(|lane| (block[lane] < 0.0) == (bits >> lane & 1 == 1))
        });
        if right {
            return Some(iteration);
        }
    }
    None
}

/// The stated gap: the same frames decode, in at most a tenth more iterations and the two a frame that it
/// takes to see that all parity checks hold.
#[test]
fn sixteen_bits_decode_what_sum_product_decodes() {
    for (rate, snr) in [(0.25, 0.51), (0.1, 0.18), (0.04, 0.068)] {
        let plan = Plan::with_rate(rate, 32).unwrap();
        let code = plan.build();
        let (mut ours, mut theirs) = (0, 0);
        for seed in 0..4 {
            let (bits, llrs) = frame(plan, snr, 100 + seed);
            let Llrs::Soft(ref ratios) = llrs else { panic!("soft bits") };
            let syndrome = code.syndrome(bits.words());
            let (found, iterations) =
                Decoder::default().correct(Isa::SCALAR, &Others::default(), &code, ratios, &syndrome);
            let exact = decode(&code, ratios, bits.words(), &syndrome);
            assert_eq!(
                found.is_some(),
                exact.is_some(),
                "rate {rate}, frame {seed}: {iterations}, {exact:?}"
            );
            ours += iterations;
            theirs += exact.unwrap_or(iterations);
        }
        println!("rate {rate}: {ours} iterations, {theirs} by sum-product");
        assert!(10 * ours <= 11 * theirs + 10 * 2 * 4, "rate {rate}: {ours} iterations, not {theirs}");
    }
}
