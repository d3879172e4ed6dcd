//! What a run wrote, read back: `run.json`, `blocks.ndjson`, `summary.json`, `events.ndjson`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// Lines of a record that are read, at most: years of blocks.
const MOST_LINES: usize = 10_000_000;

/// A run.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Machine, configuration and what the model expected; null for a run that wrote none.
    pub(crate) run: Value,
    /// The summary; null for a run that was cut off.
    pub(crate) summary: Value,
    /// Blocks by protocol, in order.
    pub(crate) blocks: BTreeMap<String, Vec<Block>>,
    /// What happened on the link, in order.
    pub(crate) marks: Vec<Mark>,
    /// What a protocol's parties noticed, in order.
    pub(crate) noticed: Vec<Mark>,
}

/// A block's record, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Block {
    pub(crate) protocol: String,
    pub(crate) block: u64,
    /// When the block ended on the link.
    pub(crate) link_time_s: Option<f64>,
    pub(crate) elapsed_s: Option<f64>,
    pub(crate) frames: u64,
    pub(crate) frames_failed: u64,
    pub(crate) kept_bits: u64,
    pub(crate) iterations: u64,
    pub(crate) disclosed: BTreeMap<String, u64>,
    pub(crate) epsilons: BTreeMap<String, f64>,
    pub(crate) secret_bits: u64,
    pub(crate) refilled_bits: u64,
    pub(crate) reason: Option<String>,
    pub(crate) qber: Option<f64>,
    pub(crate) transmittance: Option<f64>,
    pub(crate) transmittance_error: Option<f64>,
    pub(crate) excess_noise_snu: Option<f64>,
    pub(crate) excess_noise_error_snu: Option<f64>,
    pub(crate) snr: Option<f64>,
    /// Seconds by stage.
    pub(crate) stage_s: BTreeMap<String, f64>,
}

/// Something that happened at a moment of the link.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mark {
    pub(crate) link_time_s: f64,
    /// How long it lasted; 0 for a moment, or for ever after.
    pub(crate) duration_s: f64,
    pub(crate) name: String,
    /// Whose parties noticed it; nobody's if it is what happened itself.
    pub(crate) protocol: Option<String>,
}

impl Recorded {
    /// Reads a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("blocks.ndjson");
        if !path.is_file() {
            bail!(
                "{} has no blocks.ndjson: give the folder that `keystill run --out DIR` wrote",
                folder.display()
            );
        }
        let mut recorded = Self {
            run: object(&folder.join("run.json"))?,
            summary: object(&folder.join("summary.json"))?,
            ..Self::default()
        };
        for block in lines::<Block>(&path)? {
            if !block.protocol.is_empty() {
                recorded.blocks.entry(block.protocol.clone()).or_default().push(block);
            }
        }
        if recorded.blocks.is_empty() {
            bail!("{} tells no block: let the run finish at least one", path.display());
        }
        recorded.order();
        let events = folder.join("events.ndjson");
        if events.is_file() {
            let mut marks = lines::<Mark>(&events)?;
            marks.retain(|mark| !mark.name.is_empty());
            marks.sort_by(|a, b| a.link_time_s.total_cmp(&b.link_time_s));
            (recorded.noticed, recorded.marks) = marks.into_iter().partition(|mark| mark.protocol.is_some());
        }
        Ok(recorded)
    }

    /// Puts blocks in their order and gives those their time that carry none.
    fn order(&mut self) {
        for (protocol, blocks) in &mut self.blocks {
            blocks.sort_by_key(|block| block.block);
            let length = block_s(&self.run, protocol).unwrap_or(1.0);
            for block in blocks {
                block.link_time_s.get_or_insert(length * (block.block + 1) as f64);
            }
        }
    }

    /// How long a block of a protocol takes on the link, in s.
    pub(crate) fn block_s(&self, protocol: &str) -> f64 {
        let first = self.blocks.get(protocol).and_then(|blocks| blocks.first());
        let from_times = first.and_then(|block| Some(block.link_time_s? / (block.block + 1) as f64));
        from_times.or_else(|| block_s(&self.run, protocol)).unwrap_or(1.0)
    }

    /// What the model expected of a protocol.
    pub(crate) fn expected(&self, protocol: &str) -> Option<&Value> {
        self.run["expected"].as_array()?.iter().find(|record| record["protocol"] == protocol)
    }

    /// What the model expected over the link's time: when, in s, and the value. Empty where nothing changed.
    pub(crate) fn course(&self, protocol: &str, name: &str) -> Vec<(f64, f64)> {
        let points = self.run["course"].as_array().map(Vec::as_slice).unwrap_or_default();
        let value = |point: &Value| Some((point["link_time_s"].as_f64()?, point[protocol][name].as_f64()?));
        points.iter().filter_map(value).collect()
    }

    /// The summary of a protocol.
    pub(crate) fn summary(&self, protocol: &str) -> Option<&Value> {
        self.summary["protocols"].as_array()?.iter().find(|record| record["protocol"] == protocol)
    }
}

fn block_s(run: &Value, protocol: &str) -> Option<f64> {
    run["configuration"][format!("{protocol}_block_s")].as_f64().filter(|seconds| *seconds > 0.0)
}

/// A file's JSON, or null if there is no such file.
fn object(path: &Path) -> Result<Value> {
    if !path.is_file() {
        return Ok(Value::Null);
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// A file's lines, each a JSON object.
fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let mut text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    if !text.ends_with('\n') {
        // A run that is going on, or was cut off, has begun a line.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    }
    let numbered = text.lines().enumerate().take(MOST_LINES).filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| {
                format!(
                    "{}, line {}: not a record of a run; the file was cut or edited",
                    path.display(),
                    number + 1
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(blocks: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("blocks.ndjson"), blocks).expect("written");
        folder
    }

    #[test]
    fn blocks_come_in_order_and_have_their_time() {
        let folder = folder(
            "{\"protocol\":\"cv\",\"block\":1,\"qber\":0.5}\n{\"protocol\":\"cv\",\"block\":0,\"more\":[]}\n",
        );
        fs::write(folder.path().join("run.json"), r#"{"configuration":{"cv_block_s":2.5}}"#)
            .expect("written");
        let recorded = Recorded::read(folder.path()).expect("a run");
        let times: Vec<_> = recorded.blocks["cv"].iter().map(|block| block.link_time_s).collect();
        assert_eq!(times, [Some(2.5), Some(5.0)], "in order of blocks");
        assert!((recorded.block_s("cv") - 2.5).abs() < 1e-12, "length of a block");
    }

    #[test]
    fn what_is_no_run_says_what_to_do() {
        let empty = tempfile::tempdir().expect("a folder");
        let error = Recorded::read(empty.path()).expect_err("nothing there").to_string();
        assert!(error.contains("run --out"), "{error}");
        let error = Recorded::read(folder("").path()).expect_err("no block").to_string();
        assert!(error.contains("at least one"), "{error}");
        let error = Recorded::read(folder("{}\n{\"protocol\":\n").path()).expect_err("cut").to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn a_run_that_was_cut_off_shows_what_it_had() {
        let folder = folder("{\"protocol\":\"cv\",\"block\":0}\n{\"protocol\":\"cv\",\"blo");
        let recorded = Recorded::read(folder.path()).expect("one block");
        assert_eq!(recorded.blocks["cv"].len(), 1, "the whole line");
    }
}
