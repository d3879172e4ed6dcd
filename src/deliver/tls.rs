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
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
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
    let own = certificates(&files.certificate)?;
    check_own(&own[0]).map_err(|what| TlsError::File { path: files.certificate.clone(), what })?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| refused(error.to_string()))?
        .with_client_cert_verifier(clients)
        .with_single_cert(own, key)
        .map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::File {
                path: files.key.clone(),
                what: format!(
                    "not the key of {}; name the two that were made together",
                    files.certificate.display()
                ),
            },
            error => refused(error.to_string()),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let found = found.map_err(|error| unreadable(path, &error))?;
    if found.is_empty() {
        let what = "no certificate in it; make one with `keystill certs`".into();
        return Err(TlsError::File { path: path.to_owned(), what });
    }
    Ok(found)
}

/// What every strict client would refuse is refused here, where the operator sees it.
fn check_own(certificate: &CertificateDer<'_>) -> Result<(), String> {
    const MAKE: &str = "make another with `keystill certs server`";
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| format!("no certificate: {error}; {MAKE}"))?;
    let usage = parsed.extended_key_usage().map_err(|error| format!("{error}; {MAKE}"))?;
    if usage.is_some_and(|usage| !usage.value.server_auth && !usage.value.any) {
        return Err(format!("it is a client's, by its extended key usage, not a server's; {MAKE}"));
    }
    let (now, valid) = (time::OffsetDateTime::now_utc().unix_timestamp(), parsed.validity());
    if valid.not_after.timestamp() < now {
        return Err(format!("it ended on {}; {MAKE}", valid.not_after));
    }
    if valid.not_before.timestamp() > now {
        return Err(format!("it begins on {}; set this machine's clock, or {MAKE}", valid.not_before));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &rustls::pki_types::pem::Error) -> TlsError {
    use std::io::ErrorKind::PermissionDenied;
    let what = match error {
        rustls::pki_types::pem::Error::Io(error) if error.kind() == PermissionDenied => {
            format!("{error}; let the user that serves read it")
        }
        rustls::pki_types::pem::Error::Io(error) => {
            format!("{error}; check the path, or make one with `keystill certs`")
        }
        rustls::pki_types::pem::Error::NoItemsFound => {
            "no private key in it; name the file that ends in .key".into()
        }
        error => format!("{error}; make one with `keystill certs`"),
    };
    TlsError::File { path: path.to_owned(), what }
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
    use time::{Duration, OffsetDateTime};

    use super::*;

    /// A certificate of its own authority, valid from and until so many days from now.
    fn certificate(days: [i64; 2], usages: Vec<ExtendedKeyUsagePurpose>) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".into()]).expect("a name");
        let [from, until] = days.map(|days| OffsetDateTime::now_utc() + Duration::days(days));
        (params.not_before, params.not_after, params.extended_key_usages) = (from, until, usages);
        let pair = KeyPair::generate().expect("a key");
        params.self_signed(&pair).expect("a certificate").der().clone()
    }

    #[test]
    fn what_clients_would_refuse_is_refused_with_what_to_do() {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let judged = |days, usages| check_own(&certificate(days, usages));
        assert_eq!(judged([-1, 1], vec![ServerAuth]), Ok(()), "a server's");
        assert_eq!(judged([-1, 1], vec![ClientAuth, ServerAuth]), Ok(()), "both");
        assert_eq!(judged([-1, 1], Vec::new()), Ok(()), "any usage");
        for (days, usages, why) in [
            ([-9, -1], vec![ServerAuth], "it ended on"),
            ([1, 9], vec![ServerAuth], "it begins on"),
            ([-1, 1], vec![ClientAuth], "it is a client's"),
        ] {
            let told = judged(days, usages).expect_err(why);
            assert!(told.contains(why) && told.contains("keystill certs server"), "{why}: {told}");
        }
        assert!(check_own(&CertificateDer::from(vec![1, 2, 3])).is_err(), "no certificate at all");
    }
}
