//! Delivery of keys to applications: ETSI GS QKD 014 and Cisco's SKIP over mutual TLS.
//!
//! ```text
//! TLS 1.2/1.3, client certificate → SAE ID ─▶ Kme::answer(Request) → Reply      no I/O, tested by itself
//!                                                │
//!                                                ▼ trait Keys: reserve for the master, collect by ID for the slave
//! ```
//!
//! A key leaves once for each of its two owners: the master of a [`Pair`] reserves it, the slave
//! collects its copy by the ID. Both are marked as gone, durably, before a byte is sent. The pools of
//! the pairs are cut out of the link's blocks alike at both ends, and an ID says which bytes of which
//! block it names, so no node asks the other while it answers.
//!
//! Everything async stands here, behind the feature `serve`.

mod certificates;
mod etsi014;
mod files;
mod keys;
mod kme;
mod memory;
mod metrics;
mod mover;
mod patient;
mod server;
mod skip;
mod stored;
mod tls;
mod together;
mod url;

pub use certificates::{Authority, CertificateError, Leaf, Purpose};
pub use files::{FileDrop, FileDropError};
pub use keys::{Key, KeyId, Keys, NotAnId, Pair, Unavailable, Want};
pub use kme::{Kme, KmeError, Limits, Method, Reply, Request};
pub use memory::{Here, Memory};
pub use metrics::{Gauge, Metrics};
pub use mover::{Mover, Sink};
pub use server::{Server, ServerError};
pub use stored::{Stored, TooManyNodes};
pub use tls::{SaeIdFrom, TlsError, TlsFiles, days_left, server_config};
