//! Decoding on other machines of the trusted site, and telemetry, over NATS.
//!
//! ```text
//! node ── keystill.NAME.jobs ──▶ NATS ──▶ one of the workers (`keystill worker`)
//!   ▲                                         │ decodes, forgets
//!   └──────────── reply ◀──── NATS ◀──────────┘
//! node ── keystill.NAME.telemetry ──▶ whoever subscribes: figures, no key, no raw data
//! ```
//!
//! # What is lost when a worker dies
//! Nothing. A job is a pure function of one frame and stays with the node until it has the answer: when none
//! comes in time the node asks again, and then decodes by itself. An answer twice, late or wrong changes
//! nothing: the node takes the first that meets the frame's syndrome.
//!
//! # Who sees what
//! Every connection is TLS with certificates on both sides. Inside it questions and answers are sealed
//! under the site's key ([`SiteKey`]), an answer for its question, so the NATS server
//! sees sizes and times. Nothing is stored: no stream, only requests and replies, so no raw key lies in a
//! server's files. Keys never pass here; frames before amplification do, and only within the trusted site.

mod client;
mod worker;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use crate::store::SiteKey;

pub use client::Site;
pub use worker::{Worked, Worker};

/// Where the site's NATS server is, and how it is spoken to: the same file for nodes and workers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The server: `tls://HOST:PORT`.
    pub server: String,
    /// Who certifies the server: PEM.
    pub authority: PathBuf,
    /// Our certificate: PEM.
    pub certificate: PathBuf,
    /// Its private key: PEM, PKCS#8.
    pub key: PathBuf,
    /// The site's key: 32 bytes.
    pub site_key: PathBuf,
    /// The link's name, the middle of its subjects: letters, digits, `-` and `_`.
    pub name: String,
    /// How long a node waits for an answer before it asks again, in ms.
    #[serde(default = "default_patience_ms")]
    pub patience_ms: u64,
}

fn default_patience_ms() -> u64 {
    1000
}

/// Why the site's machines cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OffloadError {
    /// A file or a value cannot be used.
    #[error("{what}: {why}")]
    Settings {
        /// The file or the field.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The server cannot be reached.
    #[error(
        "cannot reach NATS at {server}: {why}; is it running, with TLS and this authority's certificates?"
    )]
    Server {
        /// Where it should be.
        server: String,
        /// What was said.
        why: String,
    },
}

fn unfit(what: &Path, why: impl fmt::Display) -> OffloadError {
    OffloadError::Settings { what: what.display().to_string(), why: why.to_string() }
}

impl Settings {
    /// Reads a TOML file; paths in it are relative to its folder.
    ///
    /// # Errors
    /// [`OffloadError::Settings`].
    pub fn read(path: &Path) -> Result<Self, OffloadError> {
        let text = std::fs::read_to_string(path).map_err(|error| unfit(path, error))?;
        let mut settings: Self = toml::from_str(&text).map_err(|error| unfit(path, error))?;
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if settings.name.is_empty() || !settings.name.chars().all(good) {
            return Err(unfit(path, "name: letters, digits, - and _ only"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let Self { authority, certificate, key, site_key, .. } = &mut settings;
        for file in [authority, certificate, key, site_key] {
            *file = folder.join(&*file);
        }
        Ok(settings)
    }

    fn subject(&self, of: &str) -> String {
        format!("keystill.{}.{of}", self.name)
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(self.patience_ms.clamp(1, 600_000))
    }

    fn read_site_key(&self) -> Result<SiteKey, OffloadError> {
        let path = &self.site_key;
        let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| unfit(path, error))?);
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(unfit(path, "a site key has 32 bytes; make one with `keystill certs site-key`"));
        }
        key.copy_from_slice(&bytes);
        Ok(SiteKey::new(key))
    }

    async fn connect(&self, as_name: &str) -> Result<async_nats::Client, OffloadError> {
        let options = async_nats::ConnectOptions::new()
            .name(as_name)
            .require_tls(true)
            .tls_client_config(self.tls()?)
            .ignore_discovered_servers();
        let failed = |error: async_nats::ConnectError| OffloadError::Server {
            server: self.server.clone(),
            why: error.to_string(),
        };
        options.connect(self.server.as_str()).await.map_err(failed)
    }

    fn tls(&self) -> Result<ClientConfig, OffloadError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authority)? {
            roots.add(authority).map_err(|error| unfit(&self.authority, error))?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| unfit(&self.key, error))?;
        ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unfit(&self.authority, error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&self.certificate)?, key)
            .map_err(|error| unfit(&self.certificate, error))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OffloadError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| unfit(path, error))?;
    if found.is_empty() { Err(unfit(path, "no certificate in it")) } else { Ok(found) }
}

/// What a question is sealed as.
const QUESTION: &[u8] = b"question";

/// What the answer to a sealed question is sealed as.
fn answer_to(sealed: &[u8]) -> Vec<u8> {
    [b"answer to ".as_slice(), blake3::hash(sealed).as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_is_wrong_with_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("offload.toml");
        let text = "server = 'tls://nats:4222'\nauthority = 'ca.pem'\ncertificate = 'n.pem'\nkey = 'n.key'\n\
                    site_key = 'site.key'\nname = 'link-1'\n";
        std::fs::write(&path, text).expect("written");
        let settings = Settings::read(&path).expect("good");
        assert_eq!(settings.subject("jobs"), "keystill.link-1.jobs", "its subject");
        assert_eq!(settings.site_key, folder.path().join("site.key"), "relative to the file");
        std::fs::write(&settings.site_key, [0; 31]).expect("written");
        let short = settings.read_site_key().expect_err("31 bytes").to_string();
        assert!(short.contains("32 bytes"), "{short}");
        std::fs::write(&path, text.replace("link-1", "a.b")).expect("written");
        let name = Settings::read(&path).expect_err("a dot").to_string();
        assert!(name.contains("name"), "{name}");
    }
}
