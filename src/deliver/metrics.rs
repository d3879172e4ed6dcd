//! What is counted, in the text format of Prometheus.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::keys::{Keys, Pair};

/// What a pair asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The master's new keys.
    Reserve,
    /// The slave's copies.
    Collect,
}

/// A value that somebody else measures, such as the engine's key rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    /// The metric, such as `keystill_qber_ratio`.
    pub name: String,
    /// Labels and their values.
    pub labels: Vec<(String, String)>,
    /// What it means.
    pub help: String,
    /// The value.
    pub value: f64,
}

/// Upper ends of the latency histogram, in s.
const BUCKETS_S: [f64; 10] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0];

/// Statuses counted one by one.
const STATUSES: [u16; 9] = [200, 400, 401, 404, 405, 408, 413, 500, 503];

/// The place of 500 among them.
const INTERNAL: usize = 7;

/// Counters of one server.
#[derive(Debug)]
pub struct Metrics {
    replies: [AtomicU64; STATUSES.len()],
    reserved: Vec<AtomicU64>,
    collected: Vec<AtomicU64>,
    latency: [AtomicU64; BUCKETS_S.len() + 1],
    latency_ns: AtomicU64,
    connections: AtomicU64,
    refused_handshakes: AtomicU64,
    gauges: Mutex<Vec<Gauge>>,
}

impl Metrics {
    pub(super) fn new(pairs: &[Pair]) -> Self {
        let zeros = || pairs.iter().map(|_| AtomicU64::new(0)).collect();
        Self {
            replies: Default::default(),
            reserved: zeros(),
            collected: zeros(),
            latency: Default::default(),
            latency_ns: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            refused_handshakes: AtomicU64::new(0),
            gauges: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn count_reply(&self, status: u16) {
        // Those not listed are internal errors as far as anybody outside can tell.
        let place = STATUSES.iter().position(|own| *own == status).unwrap_or(INTERNAL);
        self.replies[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_keys(&self, pair: usize, call: Call, keys: usize) {
        let counters = if call == Call::Reserve { &self.reserved } else { &self.collected };
        if let Some(counter) = counters.get(pair) {
            counter.fetch_add(keys as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn count_latency(&self, seconds: f64) {
        let bucket = BUCKETS_S.iter().position(|end| seconds <= *end).unwrap_or(BUCKETS_S.len());
        self.latency[bucket].fetch_add(1, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; a duration")]
        self.latency_ns.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
    }

    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_refused_handshake(&self) {
        self.refused_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// Replaces what others measured.
    pub fn set_gauges(&self, gauges: Vec<Gauge>) {
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = gauges;
    }

    /// All metrics as text.
    pub(super) fn exposition(&self, pairs: &[Pair], keys: &dyn Keys) -> String {
        let mut text = String::new();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        head(&mut text, "keystill_pool_bits", "gauge", "Key that a pair's master may still ask for.");
        for (number, pair) in pairs.iter().enumerate() {
            let bits = 8 * keys.available_bytes(number);
            let _ = writeln!(text, "keystill_pool_bits{{{}}} {bits}", labels(pair));
        }
        head(&mut text, "keystill_keys_delivered_total", "counter", "Keys delivered, by who got them.");
        for (number, pair) in pairs.iter().enumerate() {
            for (to, counters) in [("master", &self.reserved), ("slave", &self.collected)] {
                let (labels, keys) = (labels(pair), read(&counters[number]));
                let _ = writeln!(text, "keystill_keys_delivered_total{{{labels},to=\"{to}\"}} {keys}");
            }
        }
        head(&mut text, "keystill_http_replies_total", "counter", "Replies by status.");
        for (status, counter) in STATUSES.iter().zip(&self.replies) {
            let _ = writeln!(text, "keystill_http_replies_total{{status=\"{status}\"}} {}", read(counter));
        }
        self.write_latency(&mut text);
        head(&mut text, "keystill_connections_total", "counter", "Connections with a valid certificate.");
        let _ = writeln!(text, "keystill_connections_total {}", read(&self.connections));
        head(&mut text, "keystill_tls_refused_total", "counter", "Handshakes that failed.");
        let _ = writeln!(text, "keystill_tls_refused_total {}", read(&self.refused_handshakes));
        self.write_gauges(&mut text);
        text
    }

    fn write_latency(&self, text: &mut String) {
        head(text, "keystill_http_seconds", "histogram", "Time from a request to its reply.");
        let mut sum = 0;
        for (end, counter) in BUCKETS_S.iter().zip(&self.latency) {
            sum += counter.load(Ordering::Relaxed);
            let _ = writeln!(text, "keystill_http_seconds_bucket{{le=\"{end}\"}} {sum}");
        }
        sum += self.latency[BUCKETS_S.len()].load(Ordering::Relaxed);
        let _ = writeln!(text, "keystill_http_seconds_bucket{{le=\"+Inf\"}} {sum}");
        let seconds = self.latency_ns.load(Ordering::Relaxed) as f64 * 1e-9;
        let _ = writeln!(text, "keystill_http_seconds_sum {seconds}\nkeystill_http_seconds_count {sum}");
    }

    fn write_gauges(&self, text: &mut String) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        gauges.sort_by(|a, b| a.name.cmp(&b.name));
        let mut last = "";
        for gauge in &gauges {
            if gauge.name != last {
                head(text, &gauge.name, "gauge", &gauge.help);
                last = &gauge.name;
            }
            let labels: Vec<_> =
                gauge.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let _ = writeln!(text, "{}{{{}}} {}", gauge.name, labels.join(","), gauge.value);
        }
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(pair: &Pair) -> String {
    format!("master=\"{}\",slave=\"{}\"", escaped(&pair.master), escaped(&pair.slave))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Here, Memory};
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let pair =
            Pair { master: "a\"b".into(), slave: "c".into(), master_kme: "k".into(), slave_kme: "k".into() };
        let metrics = Metrics::new(std::slice::from_ref(&pair));
        metrics.count_reply(200);
        metrics.count_keys(0, Call::Collect, 3);
        metrics.count_latency(0.003);
        metrics.count_latency(9.0);
        let gauge = |link: &str| Gauge {
            name: "keystill_qber_ratio".into(),
            labels: vec![("link".into(), link.into())],
            help: "Errors.".into(),
            value: 0.04,
        };
        metrics.set_gauges(vec![gauge("x"), gauge("y")]);
        let text = metrics.exposition(&[pair], &Memory::new(&[Here { master: true, slave: true }], 1));
        for line in [
            "keystill_pool_bits{master=\"a\\\"b\",slave=\"c\"} 0",
            "keystill_keys_delivered_total{master=\"a\\\"b\",slave=\"c\",to=\"slave\"} 3",
            "keystill_http_replies_total{status=\"200\"} 1",
            "keystill_http_seconds_bucket{le=\"0.005\"} 1",
            "keystill_http_seconds_bucket{le=\"+Inf\"} 2",
            "keystill_qber_ratio{link=\"y\"} 0.04",
        ] {
            assert!(text.lines().any(|own| own == line), "`{line}` is missing in\n{text}");
        }
        assert_eq!(text.matches("# TYPE keystill_qber_ratio gauge").count(), 1, "one head a metric");
        let good = |line: &str| {
            line.starts_with("# ") || line.rsplit_once(' ').is_some_and(|(_, v)| v.parse::<f64>().is_ok())
        };
        assert!(text.lines().all(good), "every line is a comment or a sample:\n{text}");
    }
}
