//! `keystill bench auth`: the polynomial hash over GF(2^128).

use std::hint::black_box;
use std::time::{Duration, Instant};

use keystill::Isa;
use keystill_kernels::gf128;
use serde_json::json;

use crate::cli::{Exit, Failure};

/// How long one message size is measured.
const SPAN: Duration = Duration::from_millis(200);

/// The hash of verification and authentication over GF(2^128), one thread.
///
/// Example: keystill bench auth --bytes 16384 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Bytes of a message, a multiple of 16.
    #[arg(long, value_delimiter = ',', default_values_t = [64, 1024, 16_384, 1 << 20])]
    bytes: Vec<usize>,
    /// One JSON object per size.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let isa = Isa::best();
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
