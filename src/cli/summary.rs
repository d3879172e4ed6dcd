//! What a run tells: one record a block, and a summary a protocol, as JSON or as a table.

use std::time::Duration;

use serde_json::{Map, Value, json};

use keystill::ledger::{Disclosure, Ledger};
use keystill::session::{BlockReport, Event, Outcome};
use keystill::stage::Role;

/// Digests of a block's key as each side holds it. Simulated runs only: a digest of a real key is
/// something that nobody needs to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    pub(crate) alice: Option<String>,
    pub(crate) bob: Option<String>,
}

impl Digests {
    /// Whether both sides hold the same key, or none yet.
    pub(crate) fn agree(&self) -> bool {
        self.alice == self.bob
    }
}

/// One protocol's run, added up block by block from the reports of both sides.
#[derive(Debug)]
pub(crate) struct Summary {
    protocol: &'static str,
    reference: Role,
    block_time: Duration,
    blocks: u64,
    blocks_with_key: u64,
    /// Sums over blocks, and values weighted with the kept bits.
    sums: Sums,
    ledger: Ledger,
    why_none: Option<String>,
    pub(crate) keys_equal: bool,
}

#[derive(Debug, Default)]
struct Sums {
    sifted_bits: f64,
    kept_bits: f64,
    frames: u64,
    frames_failed: u64,
    secret_bits: u64,
    delivered_bits: u64,
    corrected_errors: u64,
    figures: Vec<(&'static str, f64, f64)>,
}

impl Summary {
    pub(crate) fn new(protocol: &'static str, reference: Role, block_time: Duration) -> Self {
        Self {
            protocol,
            reference,
            block_time,
            blocks: 0,
            blocks_with_key: 0,
            sums: Sums::default(),
            ledger: Ledger::new(),
            why_none: None,
            keys_equal: true,
        }
    }

    /// Who corrects: the party whose reports know the errors.
    pub(crate) fn corrector(&self) -> Role {
        self.reference.peer()
    }

    /// How much of the link's time a block takes.
    pub(crate) fn block_time(&self) -> Duration {
        self.block_time
    }

    /// Whether any block left key.
    pub(crate) fn has_key(&self) -> bool {
        self.blocks_with_key > 0
    }

    /// Why the last block without key left none.
    pub(crate) fn why_none(&self) -> Option<&str> {
        self.why_none.as_deref()
    }

    /// Adds a block as the correcting side saw it: it knows the errors that it corrected.
    pub(crate) fn add(&mut self, role: Role, report: &BlockReport) {
        if role == self.reference {
            return;
        }
        self.blocks += 1;
        self.sums.frames += u64::from(report.frames);
        self.sums.frames_failed += u64::from(report.frames_failed);
        self.sums.corrected_errors += report.corrected_errors;
        self.ledger.absorb(&report.ledger);
        let weight = report.kept_bits.max(1) as f64;
        self.sums.kept_bits += report.kept_bits as f64;
        for (name, value) in &report.figures {
            match *name {
                "sifted_bits" => self.sums.sifted_bits += value,
                name => self.weigh(name, *value, weight),
            }
        }
        match &report.outcome {
            Outcome::Key { secret_bits, refilled_bits } => {
                self.blocks_with_key += 1;
                self.sums.secret_bits += secret_bits;
                self.sums.delivered_bits += secret_bits - refilled_bits;
            }
            Outcome::Aborted(abort) => self.why_none = Some(abort.to_string()),
        }
    }

    fn weigh(&mut self, name: &'static str, value: f64, weight: f64) {
        match self.sums.figures.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, sum, weights)) => {
                *sum += value * weight;
                *weights += weight;
            }
            None => self.sums.figures.push((name, value * weight, weight)),
        }
    }

    fn figure(&self, name: &str) -> Option<f64> {
        let found = self.sums.figures.iter().find(|(known, ..)| *known == name);
        found.map(|(_, sum, weights)| sum / weights)
    }

    fn link_time(&self) -> f64 {
        self.block_time.as_secs_f64() * self.blocks as f64
    }

    /// Bits told by error correction over what Shannon would need: Cascade's answers only, as the
    /// literature counts.
    fn efficiency(&self) -> Option<f64> {
        let qber = self.figure("qber").filter(|qber| *qber > 0.0)?;
        let told = [Disclosure::Syndrome, Disclosure::Increment, Disclosure::ParityAnswer];
        let told: u64 = told.iter().map(|kind| self.ledger.disclosed_by(*kind)).sum();
        let entropy = -qber * qber.log2() - (1.0 - qber) * (1.0 - qber).log2();
        Some(told as f64 / (self.sums.kept_bits * entropy))
    }

    fn beta(&self) -> Option<f64> {
        let (rate, snr) = (self.figure("rate")?, self.figure("snr")?);
        Some(rate / (0.5 * (1.0 + snr).log2()))
    }

    fn fer(&self) -> f64 {
        self.sums.frames_failed as f64 / self.sums.frames.max(1) as f64
    }

    /// The fields of the summary, by the names of the contract.
    pub(crate) fn json(&self, elapsed: Duration) -> Value {
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("protocol", json!(self.protocol));
        put("link_time_s", json!(self.link_time()));
        put("blocks", json!(self.blocks));
        put("blocks_with_key", json!(self.blocks_with_key));
        put("sifted_bits", json!(self.sums.sifted_bits));
        for name in ["qber", "test_qber", "transmittance", "excess_noise_snu", "snr"] {
            if let Some(value) = self.figure(name) {
                put(name, json!(value));
            }
        }
        if let Some(efficiency) = self.efficiency() {
            put("efficiency", json!(efficiency));
        }
        if let Some(beta) = self.beta() {
            put("beta", json!(beta));
        }
        put("fer", json!(self.fer()));
        put("disclosed_bits", json!(self.ledger.disclosed_bits()));
        put("epsilon", json!(self.ledger.epsilon()));
        put("tag_pad_bits", json!(self.ledger.tag_pad_bits()));
        put("secret_bits", json!(self.sums.secret_bits));
        put("net_secret_bits", json!(self.sums.delivered_bits));
        put(
            "secret_bit_per_s",
            json!(self.sums.secret_bits as f64 / self.link_time().max(f64::MIN_POSITIVE)),
        );
        put("keys_equal", json!(self.keys_equal));
        put("real_time_factor", json!(self.link_time() / elapsed.as_secs_f64().max(1e-9)));
        Value::Object(fields)
    }

    /// The lines of the table: name, value.
    pub(crate) fn rows(&self, elapsed: Duration) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row("link time", format!("{:.1} s in {} blocks", self.link_time(), self.blocks));
        row(
            "sifted bits",
            format!(
                "{} ({}/s)",
                si(self.sums.sifted_bits, "bit"),
                si(self.sums.sifted_bits / self.link_time().max(1e-9), "bit")
            ),
        );
        if let Some(qber) = self.figure("qber") {
            row("QBER", format!("{:.2} %", 100.0 * qber));
        }
        if let (Some(t), Some(xi), Some(snr)) =
            (self.figure("transmittance"), self.figure("excess_noise_snu"), self.figure("snr"))
        {
            row("transmittance T", format!("{t:.4}"));
            row("excess noise ξ", format!("{xi:.4} SNU at the input"));
            row("SNR", format!("{snr:.4} ({:.2} dB)", 10.0 * snr.log10()));
        }
        if let Some(efficiency) = self.efficiency() {
            row("efficiency f", format!("{efficiency:.3}"));
        }
        if let Some(beta) = self.beta() {
            row("efficiency β", format!("{beta:.3}"));
        }
        row("frames failed", format!("{} of {}", self.sums.frames_failed, self.sums.frames));
        row("disclosed", si(self.ledger.disclosed_bits() as f64, "bit"));
        row("ε spent", format!("{:.2e}", self.ledger.epsilon()));
        row(
            "secret key",
            format!(
                "{} ({}/s)",
                si(self.sums.secret_bits as f64, "bit"),
                si(self.sums.secret_bits as f64 / self.link_time().max(1e-9), "bit")
            ),
        );
        row("net of authentication", si(self.sums.delivered_bits as f64, "bit"));
        row("keys equal", if self.keys_equal { "yes".into() } else { "NO".into() });
        row("real-time factor", format!("{:.2}", self.link_time() / elapsed.as_secs_f64().max(1e-9)));
        rows
    }
}

/// The record of a block, as one side saw it.
pub(crate) fn block_json(protocol: &str, report: &BlockReport, digest: Option<&str>) -> Value {
    let mut record = json!({
        "event": "block",
        "protocol": protocol,
        "block": report.block,
        "frames": report.frames,
        "frames_failed": report.frames_failed,
        "kept_bits": report.kept_bits,
        "corrected_errors": report.corrected_errors,
        "iterations": report.iterations,
        "disclosed_bits": report.ledger.disclosed_bits(),
        "disclosed": report.ledger.disclosures().collect::<std::collections::BTreeMap<_, _>>(),
        "epsilon": report.ledger.epsilon(),
        "epsilons": report.ledger.epsilons().collect::<std::collections::BTreeMap<_, _>>(),
    });
    for (name, value) in &report.figures {
        record[*name] = json!(value);
    }
    if let Some(choice) = &report.choice {
        record["reconciliation"] = json!(choice);
    }
    if let Some(length) = &report.key_length {
        record["terms"] = json!(length.terms.iter().copied().collect::<std::collections::BTreeMap<_, _>>());
    }
    match &report.outcome {
        Outcome::Key { secret_bits, refilled_bits } => {
            record["outcome"] = json!("key");
            record["secret_bits"] = json!(secret_bits);
            record["refilled_bits"] = json!(refilled_bits);
        }
        Outcome::Aborted(abort) => {
            record["outcome"] = json!("aborted");
            record["secret_bits"] = json!(0);
            record["reason"] = json!(abort.to_string());
        }
    }
    if let Some(digest) = digest {
        record["key_digest"] = json!(digest);
    }
    record
}

/// A transmittance that moved; `None` for other events.
pub(crate) fn moved_json(protocol: &str, event: &Event) -> Option<Value> {
    let Event::TransmittanceMoved { block, before, after, deviations } = event else { return None };
    let name = format!(
        "{protocol}, block {block}: the transmittance moved from {before:.4} to {after:.4} ({deviations:+.0} σ)"
    );
    Some(json!({
        "event": "transmittance_moved", "protocol": protocol, "block": block, "before": before, "after": after,
        "deviations": deviations, "name": name,
    }))
}

/// A number with a prefix and its unit.
pub(crate) fn si(value: f64, unit: &str) -> String {
    let prefixes = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let found = prefixes.iter().find(|(size, _)| value.abs() >= *size);
    found.map_or_else(
        || format!("{value:.0} {unit}"),
        |(size, prefix)| format!("{:.2} {prefix}{unit}", value / size),
    )
}

/// The table of a run: a column a protocol.
pub(crate) fn table(summaries: &[Summary], elapsed: Duration) -> String {
    let columns: Vec<_> = summaries.iter().map(|summary| summary.rows(elapsed)).collect();
    let mut names: Vec<String> = Vec::new();
    for (name, _) in columns.iter().flatten() {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let cell = |column: &Vec<(String, String)>, name: &str| {
        column
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
            .unwrap_or_else(|| "–".into())
    };
    let mut text = format!("{:<24}", "");
    for summary in summaries {
        text += &format!("{:<34}", summary.protocol.to_uppercase());
    }
    for name in names {
        text += &format!("\n{name:<24}");
        for column in &columns {
            text += &format!("{:<34}", cell(column, &name));
        }
    }
    // Reasons are longer than a column.
    for summary in summaries {
        if let Some(why) = &summary.why_none {
            let (name, count) = (summary.protocol.to_uppercase(), summary.blocks - summary.blocks_with_key);
            text += &format!("\n{name}, {count} of {} blocks without key, the last: {why}", summary.blocks);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_chosen_by_size() {
        assert_eq!(si(5.32e6, "bit"), "5.32 Mbit", "millions");
        assert_eq!(si(512.0, "bit"), "512 bit", "below a thousand");
    }
}
