//! The key management entity: who asks, for which pair, and what is answered. No I/O.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::keys::{Keys, Pair};
use super::metrics::Metrics;
use super::{etsi014, skip, url};

/// What a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bits of a key if a request names no size: a multiple of 8.
    pub key_size_bits: u32,
    /// The shortest key in bits: a multiple of 8.
    pub min_key_size_bits: u32,
    /// The longest key in bits: a multiple of 8.
    pub max_key_size_bits: u32,
    /// Keys in one request.
    pub max_keys_per_request: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            key_size_bits: 256,
            min_key_size_bits: 64,
            max_key_size_bits: 65_536,
            max_keys_per_request: 128,
        }
    }
}

/// A configuration that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KmeError {
    /// The limits contradict each other.
    #[error(
        "limits: need 8 ≤ min_key_size_bits ≤ key_size_bits ≤ max_key_size_bits ≤ 65536, all multiples of 8, and 1 ≤ max_keys_per_request ≤ 4096"
    )]
    Limits,
    /// No pair has a side here.
    #[error("no pair names `{kme}` as master_kme or slave_kme: nobody could get a key here")]
    NoPair {
        /// This node.
        kme: String,
    },
    /// A pair is listed twice.
    #[error("the pair {master} → {slave} is listed twice")]
    Twice {
        /// The master.
        master: String,
        /// The slave.
        slave: String,
    },
}

/// A request, as far as it matters.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// GET, POST or something else.
    pub method: Method,
    /// The path, still encoded.
    pub path: &'a str,
    /// What follows the question mark, still encoded.
    pub query: &'a str,
    /// The body.
    pub body: &'a [u8],
    /// The application's ID as its certificate says, if it says one.
    pub sae: Option<&'a str>,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} by {}", self.method, self.path, self.sae.unwrap_or("nobody"))
    }
}

/// The methods that the interfaces know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
    /// Any other.
    Other,
}

/// An answer: a status and JSON. Wiped on drop, because it may carry keys.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body: JSON.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

impl Reply {
    pub(super) fn json(status: u16, value: &serde_json::Value) -> Self {
        Self { status, body: Zeroizing::new(value.to_string().into_bytes()) }
    }

    /// The error of ETSI GS QKD 014, section 6.5: a message, and details if there are any.
    pub(super) fn error(status: u16, message: &str, details: &[serde_json::Value]) -> Self {
        let mut value = json!({ "message": message });
        if !details.is_empty() {
            value["details"] = json!(details);
        }
        Self::json(status, &value)
    }
}

/// A key management entity.
#[derive(Debug)]
pub struct Kme {
    pub(super) id: String,
    pub(super) pairs: Vec<Pair>,
    pub(super) limits: Limits,
    pub(super) keys: Arc<dyn Keys>,
    metrics: Arc<Metrics>,
}

impl Kme {
    /// A key management entity by the name `id` that serves its side of the pairs.
    ///
    /// # Errors
    /// [`KmeError`].
    pub fn new(id: &str, pairs: Vec<Pair>, limits: Limits, keys: Arc<dyn Keys>) -> Result<Self, KmeError> {
        let sizes = [8, limits.min_key_size_bits, limits.key_size_bits, limits.max_key_size_bits, 1 << 16];
        let good = sizes.is_sorted() && sizes.iter().all(|bits| bits % 8 == 0);
        if !good || !(1..=4096).contains(&limits.max_keys_per_request) {
            return Err(KmeError::Limits);
        }
        if !pairs.iter().any(|pair| pair.master_kme == id || pair.slave_kme == id) {
            return Err(KmeError::NoPair { kme: id.to_owned() });
        }
        for (number, pair) in pairs.iter().enumerate() {
            if pairs[..number].iter().any(|other| other.master == pair.master && other.slave == pair.slave) {
                return Err(KmeError::Twice { master: pair.master.clone(), slave: pair.slave.clone() });
            }
        }
        let metrics = Arc::new(Metrics::new(&pairs));
        Ok(Self { id: id.to_owned(), pairs, limits, keys, metrics })
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The metrics in the text format of Prometheus.
    #[must_use]
    pub fn exposition(&self) -> String {
        self.metrics.exposition(&self.pairs, &*self.keys)
    }

    /// Answers a request. Keys that it hands out are gone from the store before it returns.
    #[must_use]
    pub fn answer(&self, request: Request<'_>) -> Reply {
        let reply = self.routed(request);
        self.metrics.count_reply(reply.status);
        reply
    }

    fn routed(&self, request: Request<'_>) -> Reply {
        let Some(sae) = request.sae.filter(|sae| self.knows(sae)) else {
            return Reply::error(401, "this client certificate names no SAE that is served here", &[]);
        };
        let segments: Option<Vec<String>> = request
            .path
            .trim_start_matches('/')
            .split('/')
            .map(|segment| url::decoded(segment, '+'))
            .collect();
        let Some(segments) = segments else {
            return Reply::error(400, "the path is not percent-encoded UTF-8", &[]);
        };
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["api", "v1", "keys", peer, call] if !peer.is_empty() => {
                etsi014::answer(self, request, (sae, peer, call))
            }
            ["capabilities" | "key" | "entropy"] | ["key", _] => {
                skip::answer(self, request, (sae, &segments))
            }
            _ => Reply::error(404, "no such resource; ETSI GS QKD 014 is served under /api/v1/keys/", &[]),
        }
    }

    fn knows(&self, sae: &str) -> bool {
        let here = |pair: &Pair| {
            (pair.master == sae && pair.master_kme == self.id)
                || (pair.slave == sae && pair.slave_kme == self.id)
        };
        self.pairs.iter().any(here)
    }

    /// The pair in which `master` asks here for keys to share with `slave`.
    pub(super) fn as_master(&self, master: &str, slave: &str) -> Option<usize> {
        let wanted = |pair: &Pair| pair.master == master && pair.slave == slave && pair.master_kme == self.id;
        self.pairs.iter().position(wanted)
    }

    /// The pair in which `slave` collects here what `master` asked for.
    pub(super) fn as_slave(&self, slave: &str, master: &str) -> Option<usize> {
        let wanted = |pair: &Pair| pair.master == master && pair.slave == slave && pair.slave_kme == self.id;
        self.pairs.iter().position(wanted)
    }
}
