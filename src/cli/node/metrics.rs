//! A node's figures for Prometheus: on its server's own page, or as a file that a collector of text files reads.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A figure of the status that has a metric.
struct Metric {
    /// Its place in the status: of the node, or of each protocol.
    field: &'static str,
    name: &'static str,
    help: &'static str,
}

const fn metric(field: &'static str, name: &'static str, help: &'static str) -> Metric {
    Metric { field, name, help }
}

/// Figures of the node.
const NODE: [Metric; 6] = [
    metric("/uptime_s", "keystill_uptime_seconds", "How long the node runs."),
    metric("/connections_lost", "keystill_connections_lost", "Connections to the peer that were lost."),
    metric("/resident_bytes", "keystill_resident_bytes", "Memory of the process."),
    metric("/store/keys", "keystill_store_keys", "Keys that can be delivered."),
    metric("/store/bits", "keystill_store_bits", "Bits of undelivered key."),
    metric("/store/epsilon", "keystill_store_epsilon_ratio", "ε of all keys so far, added up."),
];

/// Figures of each protocol.
const PROTOCOL: [Metric; 18] = [
    metric("/live", "keystill_live", "Whether the peer is there: 1 or 0."),
    metric("/secret_bits", "keystill_secret_bits", "Secret key that the proof left, in bits."),
    metric("/blocks", "keystill_blocks", "Blocks that ended."),
    metric("/blocks_without_key", "keystill_blocks_without_key", "Blocks that ended without key."),
    metric("/restarts", "keystill_restarts", "Sessions begun anew after an error."),
    metric("/frames_taken", "keystill_frames", "Raw frames taken in."),
    metric("/pads_for_blocks", "keystill_pads_blocks", "Blocks whose tags the pads still cover."),
    metric("/waiting/frames", "keystill_waiting_frames", "Raw frames that are there and not taken yet."),
    metric("/waiting/computations", "keystill_waiting_computations", "Computations under way or waiting."),
    metric("/waiting/messages", "keystill_waiting_messages", "Messages that the connection has not taken."),
    metric("/epsilon_spent", "keystill_epsilon_spent_ratio", "ε of all blocks so far, aborted ones in full."),
    metric("/epsilon_cap", "keystill_epsilon_cap_ratio", "ε at which the session ends."),
    metric("/last_block/qber", "keystill_qber_ratio", "Bit errors of the last block, as a ratio."),
    metric("/last_block/test_qber", "keystill_test_qber_ratio", "Errors of its test basis, as a ratio."),
    metric("/last_block/transmittance", "keystill_cv_transmittance_ratio", "T of the last block."),
    metric(
        "/last_block/excess_noise_snu",
        "keystill_cv_excess_noise_snu",
        "Excess noise of the last block at the channel's input.",
    ),
    metric(
        "/last_block/snr",
        "keystill_cv_snr_ratio",
        "Signal-to-noise ratio of the last block, a quadrature.",
    ),
    metric("/last_block/sifted_bits", "keystill_sifted_bits", "Sifted bits of the last block."),
];

/// A value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) protocol: Option<String>,
    pub(super) value: f64,
}

/// All figures of a status that have a metric; those of one name follow each other.
pub(super) fn samples(status: &Value) -> Vec<Sample> {
    let number = |value: &Value| value.as_f64().or_else(|| value.as_bool().map(f64::from));
    let sample = |metric: &Metric, of: &Value, protocol: Option<String>| {
        let value = of.pointer(metric.field).and_then(number)?;
        Some(Sample { name: metric.name, help: metric.help, protocol, value })
    };
    let protocols = || status["protocols"].as_array().into_iter().flatten();
    let of_node = NODE.iter().filter_map(|metric| sample(metric, status, None));
    let of_protocols = PROTOCOL.iter().flat_map(|metric| {
        protocols().filter_map(move |own| sample(metric, own, own["protocol"].as_str().map(str::to_owned)))
    });
    of_node.chain(of_protocols).collect()
}

/// The text that Prometheus reads.
fn text(samples: &[Sample]) -> String {
    let (mut text, mut last) = (String::new(), "");
    for sample in samples {
        let Sample { name, help, protocol, value } = sample;
        if *name != last {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
            last = name;
        }
        let labels = protocol.as_ref().map_or(String::new(), |own| format!("{{protocol=\"{own}\"}}"));
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    text
}

/// Where a collector looks.
#[derive(Clone, Debug, Default)]
pub(super) struct TextFile(Option<PathBuf>);

impl TextFile {
    /// A file beside the configuration.
    pub(super) fn new(file: Option<&Path>, config: &Path) -> Self {
        Self(file.map(|file| config.parent().unwrap_or(Path::new("")).join(file)))
    }

    /// Writes it anew, at one stroke.
    pub(super) fn tell(&self, status: &Value) {
        let Some(path) = &self.0 else { return };
        let next = path.with_extension("prom.next");
        // A collector that finds no file tells by itself; the node goes on.
        let written =
            std::fs::write(&next, text(&samples(status))).and_then(|()| std::fs::rename(&next, path));
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "metrics were not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_become_samples() {
        let status = json!({ "uptime_s": 3.5, "protocols": [
            { "protocol": "bb84", "secret_bits": 5, "live": true, "last_block": { "qber": 0.03 } },
            { "protocol": "cv", "secret_bits": 7, "last_block": { "snr": 0.2 } },
        ] });
        let text = text(&samples(&status));
        for line in [
            "keystill_uptime_seconds 3.5",
            "keystill_live{protocol=\"bb84\"} 1",
            "keystill_secret_bits{protocol=\"cv\"} 7",
            "keystill_qber_ratio{protocol=\"bb84\"} 0.03",
            "keystill_cv_snr_ratio{protocol=\"cv\"} 0.2",
        ] {
            assert!(text.lines().any(|own| own == line), "`{line}` is missing in\n{text}");
        }
        assert_eq!(text.matches("# TYPE keystill_secret_bits gauge").count(), 1, "one head a metric");
        assert!(!text.contains("keystill_store_keys"), "what is not told has no sample");
    }
}
