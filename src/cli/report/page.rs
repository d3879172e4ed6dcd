//! The page around the charts: figures first, then plots, books, machine and configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::chart::{Chart, Step, short};
use super::record::{Block, Mark, Recorded};

const STYLE: &str = include_str!("page.css");

/// Rows of blocks that left no key, at most.
const MOST_FAILURES: usize = 50;

/// What the parties noticed is listed, at most.
const MOST_NOTICED: usize = 100;

/// Carriers listed as the noise's origin.
const CARRIERS: usize = 8;

/// The whole report.
pub(crate) fn html(recorded: &Recorded) -> String {
    let scenario = recorded.run["configuration"]["scenario"].as_str().unwrap_or("a run");
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>keystill: {0}</title><style>\n{STYLE}</style></head><body><main>\
         <h1>{0}</h1><p class=\"quiet\">{1}</p>\
         <p class=\"quiet\">Dashed: what the channel model expects, of the key rate as the link starts. Band: one standard \
         error, or the range of blocks drawn together. Numbered: events, shaded while they last. Ticks on the \
         axis: what the parties noticed. All times are the link's.</p>",
        escaped(scenario),
        escaped(&told(recorded)),
    );
    let protocols: Vec<Protocol<'_>> =
        recorded.blocks.iter().map(|(name, blocks)| Protocol { name, blocks, recorded }).collect();
    for protocol in &protocols {
        text += &protocol.section();
    }
    text += &events(recorded);
    text += &failures(&protocols);
    text += &books(&protocols);
    text += &budget(&protocols);
    text += &throughput(&protocols);
    text += &setting(recorded);
    text + "</main></body></html>\n"
}

/// A value and its unit, which never part at the end of a line.
fn with_small_unit(value: &str) -> String {
    match value.split_once(' ') {
        Some((number, unit)) if number.parse::<f64>().is_ok() && !unit.contains(' ') => {
            format!("{number} <small>{unit}</small>")
        }
        _ => value.to_owned(),
    }
}

/// When, on what, how long.
fn told(recorded: &Recorded) -> String {
    let machine = &recorded.run["machine"];
    let parts = [
        machine["started"].as_str().map(str::to_owned),
        recorded.run["configuration"]["duration_s"]
            .as_f64()
            .map(|seconds| format!("{} of link time", span(seconds))),
        recorded.summary["elapsed_s"].as_f64().map(|seconds| format!("distilled in {}", span(seconds))),
        machine["processor"].as_str().map(str::to_owned),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn span(seconds: f64) -> String {
    match seconds {
        s if s >= 7200.0 => format!("{} h", short(s / 3600.0)),
        s if s >= 120.0 => format!("{} min", short(s / 60.0)),
        s => format!("{} s", short(s)),
    }
}

/// A protocol's part of the run.
struct Protocol<'a> {
    name: &'a str,
    blocks: &'a [Block],
    recorded: &'a Recorded,
}

impl Protocol<'_> {
    fn section(&self) -> String {
        let mut text = format!("<h2 class=\"{}\">{}</h2><div class=\"tiles\">", self.name, self.title());
        for (name, value) in self.tiles() {
            let _ = write!(
                text,
                "<div class=\"{}\"><span class=\"quiet\">{name}</span><b>{}</b></div>",
                self.name,
                with_small_unit(&value)
            );
        }
        text += "</div><div class=\"cards\">";
        for chart in self.charts() {
            text += &chart.figure();
        }
        text + "</div>"
    }

    fn title(&self) -> String {
        if self.name == "cv" { "CV-QKD".into() } else { escaped(&self.name.to_uppercase()) }
    }

    fn tiles(&self) -> Vec<(&'static str, String)> {
        let block_s = self.recorded.block_s(self.name);
        let link_s = block_s * self.blocks.len() as f64;
        let secret: u64 = self.blocks.iter().map(|block| block.secret_bits).sum();
        let with_key = self.blocks.iter().filter(|block| block.secret_bits > 0).count();
        let mut tiles = vec![
            ("secret key", format!("{}bit/s", spaced(secret as f64 / link_s))),
            ("in all", format!("{}bit", spaced(secret as f64))),
            ("blocks with key", format!("{with_key} of {}", self.blocks.len())),
        ];
        if let Some(qber) = self.mean(|block| block.qber) {
            tiles.push(("QBER", format!("{:.2} %", 100.0 * qber)));
        }
        if let Some(noise) = self.mean(|block| block.excess_noise_snu) {
            tiles.push(("excess noise ξ", format!("{noise:.4} SNU")));
        }
        let summary = self.recorded.summary(self.name);
        let figure = |name: &str| summary.and_then(|summary| summary[name].as_f64());
        for (name, shown) in
            [("efficiency", "efficiency f"), ("beta", "efficiency β"), ("fer", "frames failed")]
        {
            let value = figure(name).map(|value| {
                if name == "fer" { format!("{:.2} %", 100.0 * value) } else { format!("{value:.3}") }
            });
            tiles.extend(value.map(|value| (shown, value)));
        }
        let equal = summary.and_then(|summary| summary["keys_equal"].as_bool());
        tiles.extend(equal.map(|equal| {
            ("keys equal", if equal { "yes".into() } else { "<span class=\"bad\">NO</span>".into() })
        }));
        tiles
    }

    /// A mean over blocks, weighted with the bits that they kept.
    fn mean(&self, value: impl Fn(&Block) -> Option<f64>) -> Option<f64> {
        let weighed =
            self.blocks.iter().filter_map(|block| Some((value(block)?, block.kept_bits.max(1) as f64)));
        let (sum, weights) = weighed
            .fold((0.0, 0.0), |(sum, weights), (value, weight)| (sum + value * weight, weights + weight));
        (weights > 0.0).then(|| sum / weights)
    }

    fn charts(&self) -> Vec<Chart<'_>> {
        let block_s = self.recorded.block_s(self.name);
        let rate = |block: &Block| Some((block.secret_bits as f64 / block_s, 0.0));
        let mut charts = vec![Chart {
            expected: self.expected("secret_bit_per_s"),
            floor: Some(0.0),
            ..self.chart("secret key rate", "bit/s", rate)
        }];
        let mut add = |title, unit, name: &str, value: &dyn Fn(&Block) -> Option<(f64, f64)>| {
            let chart = self.chart(title, unit, value);
            if !chart.steps.is_empty() {
                let scale = if unit == "%" { 100.0 } else { 1.0 };
                let expected = self.expected(name).map(|value| scale * value);
                let course = self.recorded.course(self.name, name);
                let course = course.into_iter().map(|(at_s, value)| (at_s, scale * value)).collect();
                charts.push(Chart { expected, course, ..chart });
            }
        };
        add("QBER", "%", "qber", &|block| {
            let qber = block.qber?;
            let error = (qber * (1.0 - qber) / block.kept_bits.max(1) as f64).sqrt();
            Some((100.0 * qber, 100.0 * error))
        });
        add("transmittance T", "", "transmittance", &|block| {
            Some((block.transmittance?, block.transmittance_error.unwrap_or(0.0)))
        });
        add("excess noise ξ", "SNU at the channel's input", "excess_noise_input_snu", &|block| {
            Some((block.excess_noise_snu?, block.excess_noise_error_snu.unwrap_or(0.0)))
        });
        add("signal-to-noise ratio", "a quadrature", "snr", &|block| Some((block.snr?, 0.0)));
        add("disclosed", "bits for each bit kept", "", &|block| {
            let told: u64 = block.disclosed.values().sum();
            (block.kept_bits > 0).then(|| (told as f64 / block.kept_bits as f64, 0.0))
        });
        charts
    }

    fn chart<'a>(
        &'a self,
        title: &'a str,
        unit: &'a str,
        value: impl Fn(&Block) -> Option<(f64, f64)>,
    ) -> Chart<'a> {
        let block_s = self.recorded.block_s(self.name);
        let steps = self.blocks.iter().filter_map(|block| {
            let (value, error) = value(block)?;
            let to_s = block.link_time_s?;
            Some(Step { from_s: to_s - block_s, to_s, value, low: value - error, high: value + error })
        });
        let (steps, marks) = (steps.collect(), &*self.recorded.marks);
        let own = self.recorded.noticed.iter().filter(|mark| mark.protocol.as_deref() == Some(self.name));
        let noticed = own.map(|mark| mark.link_time_s).collect();
        Chart {
            title,
            unit,
            class: self.name,
            steps,
            expected: None,
            course: Vec::new(),
            marks,
            noticed,
            floor: None,
        }
    }

    fn expected(&self, name: &str) -> Option<f64> {
        self.recorded.expected(self.name)?[name].as_f64()
    }

    /// A sum over blocks by kind.
    fn sums<T: Copy>(
        &self,
        of: impl Fn(&Block) -> &BTreeMap<String, T>,
        add: impl Fn(T, T) -> T,
    ) -> BTreeMap<String, T> {
        let mut sums: BTreeMap<String, T> = BTreeMap::new();
        for (name, value) in self.blocks.iter().flat_map(of) {
            sums.entry(name.clone()).and_modify(|sum| *sum = add(*sum, *value)).or_insert(*value);
        }
        sums
    }
}

fn events(recorded: &Recorded) -> String {
    let mut text = String::new();
    if !recorded.marks.is_empty() {
        let row = |(number, mark): (usize, &Mark)| {
            vec![(number + 1).to_string(), clock(mark.link_time_s), escaped(&mark.name)]
        };
        let rows = recorded.marks.iter().enumerate().map(row);
        text += &format!("<h2>Events</h2>{}", table(&["", "at", "what"], rows));
    }
    if !recorded.noticed.is_empty() {
        let shown = recorded.noticed.iter().take(MOST_NOTICED);
        let rows = shown.map(|mark| vec![clock(mark.link_time_s), escaped(&mark.name)]);
        let table = table(&["by", "what"], rows);
        let _ = write!(
            text,
            "<details><summary>Noticed by the parties: {}{}</summary>{table}</details>",
            recorded.noticed.len(),
            first(MOST_NOTICED, recorded.noticed.len())
        );
    }
    text
}

/// A moment of the link as hours, minutes and seconds.
fn clock(seconds: f64) -> String {
    let whole = seconds.floor();
    let (hours, minutes) = ((whole / 3600.0).floor(), (whole / 60.0).floor() % 60.0);
    let rest = seconds - 3600.0 * hours - 60.0 * minutes;
    let tenths = if rest.fract() == 0.0 { format!("{rest:02.0}") } else { format!("{rest:04.1}") };
    format!("{hours:.0}:{minutes:02.0}:{tenths}")
}

/// Words about a list that is cut.
fn first(most: usize, all: usize) -> String {
    if all > most { format!(", the first {most} rows of them listed") } else { String::new() }
}

/// Blocks without key; neighbours that fail alike share a row.
fn failures(protocols: &[Protocol<'_>]) -> String {
    let failed: Vec<&Block> = protocols
        .iter()
        .flat_map(|protocol| protocol.blocks)
        .filter(|block| block.reason.is_some())
        .collect();
    if failed.is_empty() {
        return String::new();
    }
    let alike = |one: &&Block, next: &&Block| {
        (&one.protocol, one.block + 1, &one.reason) == (&next.protocol, next.block, &next.reason)
    };
    let runs: Vec<&[&Block]> = failed.chunk_by(alike).collect();
    let rows = runs.iter().take(MOST_FAILURES).map(|run| {
        let (one, last) = (run[0], run[run.len() - 1]);
        let blocks =
            if run.len() == 1 { one.block.to_string() } else { format!("{}–{}", one.block, last.block) };
        let ended = last.link_time_s.map_or_else(String::new, clock);
        let reason = one.reason.as_deref().unwrap_or_default();
        vec![escaped(&one.protocol), blocks, ended, escaped(reason)]
    });
    let table = table(&["protocol", "blocks", "ended at", "reason"], rows);
    format!("<h2>Blocks without key: {}{}</h2>{table}", failed.len(), first(MOST_FAILURES, runs.len()))
}

/// Every disclosed bit and every ε, by protocol.
fn books(protocols: &[Protocol<'_>]) -> String {
    let disclosed: Vec<_> = protocols
        .iter()
        .map(|protocol| protocol.sums(|block| &block.disclosed, u64::saturating_add))
        .collect();
    let epsilons: Vec<_> =
        protocols.iter().map(|protocol| protocol.sums(|block| &block.epsilons, |a, b| a + b)).collect();
    let titles: Vec<String> = protocols.iter().map(Protocol::title).collect();
    let mut head = vec![""];
    head.extend(titles.iter().map(String::as_str));
    let mut rows = by_name(&disclosed, |bits| format!("{}bit", spaced(bits as f64)));
    rows.push(total(&disclosed, |sums| {
        format!("{}bit", spaced(sums.values().map(|bits| *bits as f64).sum()))
    }));
    let authentication = protocols.iter().map(|protocol| {
        let refilled: u64 = protocol.blocks.iter().map(|block| block.refilled_bits).sum();
        format!("{}bit", spaced(refilled as f64))
    });
    rows.push(std::iter::once("key back to authentication".to_owned()).chain(authentication).collect());
    let left = table(&head, rows.into_iter());
    let mut rows = by_name(&epsilons, probability);
    rows.push(total(&epsilons, |sums| probability(sums.values().sum())));
    let right = table(&head, rows.into_iter());
    format!(
        "<h2>Books</h2><div class=\"cards\"><section><h3>Bits disclosed or spent</h3>{left}</section>\
         <section><h3>ε spent, summed over blocks</h3>{right}</section></div>"
    )
}

fn by_name<T: Copy>(sums: &[BTreeMap<String, T>], shown: impl Fn(T) -> String) -> Vec<Vec<String>> {
    let mut names: Vec<&String> = sums.iter().flat_map(BTreeMap::keys).collect();
    names.sort();
    names.dedup();
    let row = |name: &&String| {
        let cells = sums.iter().map(|sums| sums.get(*name).map_or_else(|| "–".into(), |value| shown(*value)));
        std::iter::once(escaped(&name.replace('_', " "))).chain(cells).collect()
    };
    names.iter().map(row).collect()
}

fn total<T>(sums: &[BTreeMap<String, T>], shown: impl Fn(&BTreeMap<String, T>) -> String) -> Vec<String> {
    std::iter::once("<b>in all</b>".to_owned()).chain(sums.iter().map(shown)).collect()
}

/// The noise that the model expects, beside what was measured, and where it comes from.
fn budget(protocols: &[Protocol<'_>]) -> String {
    let mut text = String::new();
    for protocol in protocols {
        let Some(expected) = protocol.recorded.expected(protocol.name) else { continue };
        let measured = [
            ("qber", "QBER", protocol.mean(|block| block.qber)),
            ("transmittance", "transmittance T", protocol.mean(|block| block.transmittance)),
            ("excess_noise_input_snu", "excess noise ξ, SNU", protocol.mean(|block| block.excess_noise_snu)),
            ("snr", "SNR a quadrature", protocol.mean(|block| block.snr)),
        ];
        let mut rows: Vec<Vec<String>> = measured
            .into_iter()
            .filter(|(name, ..)| expected[*name].is_f64())
            .map(|(name, shown, measured)| {
                let measured = measured.map_or_else(|| "–".into(), short);
                vec![shown.to_owned(), short(expected[name].as_f64().unwrap_or_default()), measured]
            })
            .collect();
        for (name, shown) in [
            ("raman_photons_per_s_per_nm", "Raman photons/(s nm)"),
            ("photons_per_mode", "photons a mode"),
            ("loss_db", "loss, dB"),
            ("srs_gain_db", "gain by the carriers, dB"),
        ] {
            let value = expected[name].as_f64();
            rows.extend(value.map(|value| vec![shown.to_owned(), short(value), String::new()]));
        }
        let table = table(&["", "expected at first", "measured"], rows.into_iter());
        let _ = write!(text, "<section><h3>{}</h3>{table}{}</section>", protocol.title(), origins(expected));
    }
    if text.is_empty() { text } else { format!("<h2>Noise budget</h2><div class=\"cards\">{text}</div>") }
}

/// The largest contributions to the noise, as one line.
fn origins(expected: &Value) -> String {
    let all = expected["contributions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown = all.iter().take(CARRIERS).filter_map(|contribution| {
        let (mechanism, share) = (contribution["mechanism"].as_str()?, contribution["share"].as_f64()?);
        let carrier =
            contribution["carrier_thz"].as_f64().map_or_else(String::new, |thz| format!(" {thz:.3} THz"));
        Some(format!("{}{carrier} {:.1} %", escaped(mechanism), 100.0 * share))
    });
    let shown: Vec<String> = shown.collect();
    if shown.is_empty() {
        return String::new();
    }
    format!("<p class=\"quiet\">Largest of {} contributions: {}.</p>", all.len(), shown.join(" · "))
}

fn throughput(protocols: &[Protocol<'_>]) -> String {
    let rows = protocols.iter().map(|protocol| {
        let summary = protocol.recorded.summary(protocol.name);
        let elapsed = protocol.recorded.summary["elapsed_s"].as_f64();
        let figure = |name: &str| summary.and_then(|summary| summary[name].as_f64());
        let kept: u64 = protocol.blocks.iter().map(|block| block.kept_bits).sum();
        let frames: u64 = protocol.blocks.iter().map(|block| block.frames).sum();
        let failed: u64 = protocol.blocks.iter().map(|block| block.frames_failed).sum();
        let iterations: u64 = protocol.blocks.iter().map(|block| block.iterations).sum();
        let shown = |value: Option<f64>| value.map_or_else(|| "–".into(), short);
        vec![
            protocol.title(),
            elapsed.map_or_else(|| "–".into(), |seconds| format!("{}bit/s", spaced(kept as f64 / seconds))),
            format!("{frames}, {failed} failed"),
            short(iterations as f64 / frames.max(1) as f64),
            shown(figure("real_time_factor")),
        ]
    });
    let head = [
        "",
        "amplification's input, both ends counted once",
        "frames",
        "iterations a frame",
        "real-time factor",
    ];
    format!("<h2>Throughput</h2>{}{}", table(&head, rows), stages(protocols))
}

/// Where the time went, if the run told it.
fn stages(protocols: &[Protocol<'_>]) -> String {
    let sums: Vec<_> =
        protocols.iter().map(|protocol| protocol.sums(|block| &block.stage_s, |a, b| a + b)).collect();
    if sums.iter().all(BTreeMap::is_empty) {
        return String::new();
    }
    let titles: Vec<String> = protocols.iter().map(Protocol::title).collect();
    let mut head = vec!["stage"];
    head.extend(titles.iter().map(String::as_str));
    let blocks = protocols.iter().map(|protocol| protocol.blocks.len()).max().unwrap_or(1).max(1) as f64;
    let rows = by_name(&sums, |seconds| computing(seconds / blocks));
    format!(
        "<h3>Computing for a block, on the correcting side, summed over threads</h3>{}",
        table(&head, rows.into_iter())
    )
}

fn computing(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} ms", short(1e3 * seconds)) } else { format!("{seconds:.2} s") }
}

fn probability(epsilon: f64) -> String {
    if epsilon == 0.0 { "0".into() } else { format!("{epsilon:.2e}") }
}

fn setting(recorded: &Recorded) -> String {
    let list = |value: &Value| {
        let mut text = String::from("<dl>");
        for (name, value) in value.as_object().into_iter().flatten() {
            let shown = match value {
                Value::String(text) => text.clone(),
                Value::Array(items) if items.is_empty() => continue,
                other => other.to_string(),
            };
            let _ = write!(text, "<dt>{}</dt><dd>{}</dd>", escaped(&name.replace('_', " ")), escaped(&shown));
        }
        text + "</dl>"
    };
    if recorded.run.is_null() {
        return String::new();
    }
    format!(
        "<h2>Machine and configuration</h2><div class=\"cards\"><section>{}</section><section>{}</section></div>",
        list(&recorded.run["machine"]),
        list(&recorded.run["configuration"])
    )
}

/// The class of a cell whose content never parts at the end of a line: one word, or a number and its unit.
fn undivided(cell: &str) -> &'static str {
    let number = cell.starts_with(|first: char| first.is_ascii_digit());
    let most = if number { 1 } else { 0 };
    if cell.matches(' ').count() <= most { " class=\"one\"" } else { "" }
}

/// A table.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = String::from("<div class=\"scroll\"><table><tr>");
    for name in head {
        let _ = write!(text, "<th{}>{name}</th>", undivided(name));
    }
    for row in rows {
        text += "</tr><tr>";
        for cell in row {
            let _ = write!(text, "<td{}>{cell}</td>", undivided(&cell));
        }
    }
    text + "</tr></table></div>"
}

/// A number with a prefix, ready for its unit.
fn spaced(value: f64) -> String {
    let text = short(value);
    if text.contains(' ') { text } else { text + " " }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded() -> Recorded {
        let block = |number: u64| Block {
            protocol: "bb84".into(),
            block: number,
            link_time_s: Some(10.0 * (number + 1) as f64),
            kept_bits: 1000,
            secret_bits: 100 * number,
            qber: Some(0.03),
            reason: (number < 2).then(|| "<script>alert(1)</script>".into()),
            disclosed: [("syndrome".to_owned(), 200)].into(),
            epsilons: [("correctness".to_owned(), 1e-12), ("calibration".to_owned(), 0.0)].into(),
            stage_s: [("verify".to_owned(), 0.0521), ("reconcile".to_owned(), 14.73)].into(),
            ..Block::default()
        };
        Recorded {
            run: json!({ "configuration": { "scenario": "a & b", "bb84_block_s": 10.0 } }),
            summary: Value::Null,
            blocks: [("bb84".to_owned(), (0..3).map(block).collect())].into(),
            marks: vec![Mark { link_time_s: 12.0, name: "carrier off".into(), ..Mark::default() }],
            noticed: vec![
                Mark { protocol: Some("bb84".into()), name: "it moved".into(), ..Mark::default() },
                Mark { protocol: Some("cv".into()), name: "that too".into(), ..Mark::default() },
            ],
        }
    }

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        let page = html(&recorded());
        for word in ["<script", "http:", "https:", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word} in the page");
        }
        assert!(page.contains("a &amp; b"), "names are escaped");
    }

    #[test]
    fn the_page_tells_rates_books_events_and_failures() {
        let page = html(&recorded());
        for told in [
            "10 <small>bit/s</small>",
            "2 of 3",
            "300 <small>bit</small>",
            "<td class=\"one\">600 bit</td>",
            "<td class=\"one\">3.00e-12</td>",
            "<td class=\"one\">calibration</td><td class=\"one\">0</td>",
            "52.1 ms",
            "14.73 s",
            "<td class=\"one\">0:00:12</td><td>carrier off</td>",
            "Noticed by the parties: 2<",
            "Blocks without key: 2<",
            "<td class=\"one\">0–1</td><td class=\"one\">0:00:20</td>",
        ] {
            assert!(page.contains(told), "`{told}` is not told");
        }
        assert_eq!(page.matches("class=\"mark\"").count(), 3, "the event stands in every chart");
    }
}
