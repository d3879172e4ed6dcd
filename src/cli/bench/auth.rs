//! `keystill bench auth`: the polynomial hash over GF(2^128), and forgeries of its tags.

use std::hint::black_box;
use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::auth::{Pool, Tag};
use keystill::stage::Role;
use keystill_kernels::gf128;
use rayon::prelude::*;
use serde_json::json;

use crate::cli::{Exit, Failure};

/// How long one message size is measured.
const SPAN: Duration = Duration::from_millis(200);

/// The hash of verification and authentication over GF(2^128), one thread.
///
/// With --forgeries, forged messages instead: each is a transcript with its tag, changed in the message, in
/// the tag or in both, under a key and pad of its own. None may be accepted; of tags cut to 16 bits, one in
/// 65 536 is.
///
/// Example: keystill bench auth --bytes 16384 --json
/// Example: keystill bench auth --forgeries 100000000
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Bytes of a message, a multiple of 16.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1024, 16_384, 1 << 20])]
    bytes: Vec<usize>,
    /// Forge so many messages.
    #[arg(long, value_name = "N", conflicts_with = "bytes")]
    forgeries: Option<u64>,
    /// One JSON object per size.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let isa = Isa::best();
    if let Some(forgeries) = args.forgeries {
        return forge(isa, forgeries, args.json);
    }
    for bytes in &args.bytes {
        if *bytes == 0 || !bytes.is_multiple_of(16) {
            let error = anyhow::anyhow!("--bytes {bytes}: a multiple of 16 above 0, please");
            return Err(Failure::new(Exit::Usage, error));
        }
        let rate = measure(isa, *bytes);
        if args.json {
            let object = json!({
                "stage": "auth", "message_bytes": bytes, "gbit_per_s": rate, "isa": isa.name(), "threads": 1,
            });
            println!("{object}");
        } else {
            println!("{bytes:>9} bytes {rate:>8.2} Gbit/s on {isa}");
        }
    }
    Ok(())
}

/// The best of ten spans, in Gb/s.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn measure(isa: Isa, bytes: usize) -> f64 {
    let message: Vec<u8> = (0..bytes).map(|place| place.to_le_bytes()[0]).collect();
    let (mut best, mut hash) = (0.0f64, 1);
    for _ in 0..10 {
        let (start, mut count) = (Instant::now(), 0u64);
        while start.elapsed() < SPAN / 10 {
            for _ in 0..(1 << 16) / bytes.min(1 << 16) {
                hash =
                    gf128::horner(isa, black_box(0x5bc8_fbbc_bde5_c099_4164_d839_9f76_7c45), hash, &message);
                count += 1;
            }
        }
        best = best.max(8.0 * (count * bytes as u64) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    black_box(hash);
    best
}

/// What became of forged messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Forged {
    accepted: u64,
    /// Accepted if only the first 16 bits of a tag were compared.
    accepted_16_bit: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn forge(isa: Isa, forgeries: u64, json: bool) -> Result<(), Failure> {
    const BATCH: u64 = 1 << 16;
    let start = Instant::now();
    let add = |a: Forged, b: Forged| Forged {
        accepted: a.accepted + b.accepted,
        accepted_16_bit: a.accepted_16_bit + b.accepted_16_bit,
    };
    let batch = |batch: u64| forged(isa, batch * BATCH..forgeries.min((batch + 1) * BATCH));
    let sum = (0..forgeries.div_ceil(BATCH)).into_par_iter().map(batch).reduce(Forged::default, add);
    let expected = forgeries as f64 / 65_536.0;
    let sigmas = (sum.accepted_16_bit as f64 - expected) / expected.sqrt();
    let seconds = start.elapsed().as_secs_f64();
    if json {
        let object = json!({
            "stage": "auth", "forgeries": forgeries, "accepted": sum.accepted,
            "accepted_16_bit": sum.accepted_16_bit, "expected_16_bit": expected, "sigmas_16_bit": sigmas,
            "seconds": seconds, "isa": isa.name(),
        });
        println!("{object}");
    } else {
        println!("{forgeries} forged messages, {} accepted", sum.accepted);
        println!("16-bit tags: {} accepted, {expected:.1} expected, {sigmas:+.2} sigma", sum.accepted_16_bit);
    }
    if sum.accepted == 0 {
        return Ok(());
    }
    Err(Failure::new(Exit::Internal, anyhow::anyhow!("{} forged messages were accepted", sum.accepted)))
}

/// Forges the messages of these numbers: everything about each follows from its number.
fn forged(isa: Isa, numbers: std::ops::Range<u64>) -> Forged {
    let mut sum = Forged::default();
    for number in numbers {
        let mut dice = Dice(number);
        let mut pre_shared = [0; Pool::MINIMUM_BYTES];
        dice.fill(&mut pre_shared);
        let mut message = [0; 64];
        dice.fill(&mut message);
        let mut tag = tag_of(isa, &pre_shared, &message);
        let mut length = message.len();
        // What the forger knows is the message and its tag; what he changes follows the number.
        match number % 4 {
            0 => message[dice.below(64)] ^= 1 << dice.below(8),
            1 => length = dice.below(64),
            2 => dice.fill(&mut message),
            _ => {
                // A shift of the message by a known difference, and a guess of what it does to the tag.
                message[dice.below(64)] ^= 1;
                let mut guess = [0; 16];
                dice.fill(&mut guess);
                tag.0.iter_mut().zip(guess).for_each(|(byte, guess)| *byte ^= guess);
            }
        }
        let own = tag_of(isa, &pre_shared, &message[..length]);
        sum.accepted += u64::from(own.matches(&tag));
        sum.accepted_16_bit += u64::from(own.0[..2] == tag.0[..2]);
    }
    sum
}

fn tag_of(isa: Isa, pre_shared: &[u8], message: &[u8]) -> Tag {
    let mut pool = Pool::from_pre_shared(pre_shared).expect("of the least length");
    let mut transcript = pool.transcript(isa, Role::Alice);
    transcript.absorb(message);
    transcript.tag(pool.pad(Role::Alice).expect("the first of two"))
}

/// Numbers that follow from a seed (splitmix64): for measurements only.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A number below `end`, a power of two.
    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 32) as usize & (end - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_forged_message_is_accepted_and_short_tags_let_one_in_65536_pass() {
        let sum = forged(Isa::best(), 0..1 << 19);
        assert_eq!(sum.accepted, 0, "half a million forgeries");
        // Eight expected: between none and eight more.
        assert!((1..=17).contains(&sum.accepted_16_bit), "{} of eight expected", sum.accepted_16_bit);
    }

    #[test]
    fn an_honest_message_is_accepted() {
        let (pre_shared, message) = ([5; Pool::MINIMUM_BYTES], [9; 64]);
        let [ours, theirs] = [(); 2].map(|()| tag_of(Isa::best(), &pre_shared, &message));
        assert!(ours.matches(&theirs), "the counter-check of the trial");
    }
}
