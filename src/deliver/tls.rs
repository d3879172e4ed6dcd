//! Mutual TLS: the server's configuration, and which application a certificate names.
//!
//! ETSI GS QKD 014, section 4: TLS 1.2 or later, and "mutual authentication shall be performed". A
//! client without a certificate of the authority does not get past the handshake.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use serde::Deserialize;
use tokio_rustls::rustls;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The files of a server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate and what is between it and the root, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The authorities whose clients are let in, in PEM.
    pub client_authority: PathBuf,
}

/// Where a client's certificate carries its SAE ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaeIdFrom {
    /// The subject's common name.
    #[default]
    Cn,
    /// The first DNS name among the subject's alternative names.
    Dns,
    /// The first URI among them.
    Uri,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be used.
    #[error("{}: {what}; make one with `keystill certs`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Certificate, key and authority do not fit together.
    #[error("the certificate cannot serve: {what}")]
    Refused {
        /// What TLS said.
        what: String,
    },
}

/// TLS 1.2 and 1.3 with client certificates, HTTP/1.1.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let refused = |what: String| TlsError::Refused { what };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    for authority in certificates(&files.client_authority)? {
        roots.add(authority).map_err(|error| refused(error.to_string()))?;
    }
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| refused(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unreadable(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| refused(error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(|error| refused(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        return Err(TlsError::File { path: path.to_owned(), what: "no certificate in it".into() });
    }
    Ok(found)
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), what: error.to_string() }
}

/// Days until the first of a server's certificates ends; negative if one has ended.
///
/// # Errors
/// [`TlsError::File`].
pub fn days_left(files: &TlsFiles) -> Result<i64, TlsError> {
    let mut least = i64::MAX;
    for path in [&files.certificate, &files.client_authority] {
        for certificate in certificates(path)? {
            let (_, parsed) = X509Certificate::from_der(&certificate)
                .map_err(|error| TlsError::File { path: path.clone(), what: error.to_string() })?;
            let seconds =
                parsed.validity().not_after.timestamp() - time::OffsetDateTime::now_utc().unix_timestamp();
            least = least.min(seconds.div_euclid(86_400));
        }
    }
    Ok(least)
}

/// The SAE ID that a certificate names, if it names one.
pub(super) fn sae_id(certificate: &CertificateDer<'_>, from: SaeIdFrom) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    if from == SaeIdFrom::Cn {
        let name = parsed.subject().iter_common_name().next()?;
        return Some(name.as_str().ok()?.to_owned());
    }
    let names = parsed.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match (from, name) {
        (SaeIdFrom::Dns, GeneralName::DNSName(name)) | (SaeIdFrom::Uri, GeneralName::URI(name)) => {
            Some((*name).to_owned())
        }
        _ => None,
    })
}
