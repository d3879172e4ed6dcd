//! A small certificate authority: enough for a trusted node and its applications.
//!
//! The certificates are what strict clients ask for (RFC 5280): version 3, the authority with
//! `CA:TRUE`, `keyCertSign` and no path below its leaves; leaves with subject alternative names, key
//! identifiers, `digitalSignature` and the one extended usage they need; ECDSA P-256, keys in PKCS#8.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

/// What a leaf is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A key management entity, which applications connect to.
    Server,
    /// An application.
    Client,
}

/// A certificate and its private key, both in PEM. The key is wiped on drop.
pub struct Leaf {
    /// The certificate.
    pub certificate: String,
    /// The private key: PKCS#8.
    pub key: Zeroizing<String>,
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leaf({} bytes of certificate)", self.certificate.len())
    }
}

/// Why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A name does not fit into a certificate, or a file is no certificate or key.
    #[error("cannot make the certificate: {0}")]
    Refused(#[from] rcgen::Error),
    /// Without a name there is nothing to check.
    #[error("a server certificate needs at least one host name or address that clients connect to")]
    NoHost,
    /// Neither a host name nor an address.
    #[error(
        "`{0}` is neither a host name nor an address: letters, digits, hyphens and dots, such as kme-a.example or 192.0.2.1"
    )]
    Host(String),
}

/// A name as clients compare it: labels of letters, digits and hyphens; or an address.
fn is_host(name: &str) -> bool {
    let label = |(place, label): (usize, &str)| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let wildcard = place == 0 && label == "*" && name.contains('.');
        let named = !label.is_empty() && label.len() <= 63 && label.bytes().all(good);
        wildcard || named && !label.starts_with('-') && !label.ends_with('-')
    };
    name.parse::<std::net::IpAddr>().is_ok() || name.len() <= 253 && name.split('.').enumerate().all(label)
}

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    key: Zeroizing<String>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authority({} bytes of certificate)", self.certificate.len())
    }
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// [`CertificateError::Refused`].
    pub fn new(name: &str, days: u32) -> Result<Self, CertificateError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, days);
        let pair = KeyPair::generate()?;
        let key = Zeroizing::new(pair.serialize_pem());
        let issued = CertifiedIssuer::self_signed(params, pair)?;
        let certificate = issued.pem();
        Self::from_pem(&certificate, &key)
    }

    /// An authority that was made before.
    ///
    /// # Errors
    /// [`CertificateError::Refused`].
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, CertificateError> {
        let issuer = Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?;
        Ok(Self { issuer, certificate: certificate.to_owned(), key: Zeroizing::new(key.to_owned()) })
    }

    /// Its certificate, in PEM: clients trust it.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key, in PEM: keep it off the servers.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Issues a leaf for a KME or SAE ID. `hosts` are host names and addresses; an application may
    /// have none and is then known by its ID alone, which stands in the common name and as a URI.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn issue(
        &self,
        purpose: Purpose,
        id: &str,
        hosts: &[String],
        days: u32,
    ) -> Result<Leaf, CertificateError> {
        if purpose == Purpose::Server && hosts.is_empty() {
            return Err(CertificateError::NoHost);
        }
        if let Some(wrong) = hosts.iter().find(|host| !is_host(host)) {
            return Err(CertificateError::Host(wrong.clone()));
        }
        let mut params = CertificateParams::new(hosts.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, id);
        if purpose == Purpose::Client {
            let uri = format!("urn:keystill:sae:{}", encoded(id));
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match purpose {
            Purpose::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        valid_for(&mut params, days);
        let pair = KeyPair::generate()?;
        let certificate = params.signed_by(&pair, &self.issuer)?.pem();
        Ok(Leaf { certificate, key: Zeroizing::new(pair.serialize_pem()) })
    }
}

/// From an hour ago, because clocks differ.
fn valid_for(params: &mut CertificateParams, days: u32) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(i64::from(days));
}

/// An ID inside a URN.
fn encoded(id: &str) -> String {
    id.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            byte => format!("%{byte:02x}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::super::tls::{SaeIdFrom, sae_id};
    use super::*;

    fn der(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM")
    }

    #[test]
    fn leaves_carry_what_strict_clients_ask_for() {
        let authority = Authority::new("test", 30).expect("an authority");
        let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let leaf = authority.issue(Purpose::Server, "kme", &hosts, 7).expect("a leaf");
        let (root, leaf_der) = (der(authority.certificate()), der(&leaf.certificate));
        let (_, root) = X509Certificate::from_der(&root).expect("a certificate");
        let (_, parsed) = X509Certificate::from_der(&leaf_der).expect("a certificate");
        assert!(
            root.is_ca() && root.key_usage().ok().flatten().is_some_and(|usage| usage.value.key_cert_sign()),
            "CA"
        );
        assert!(!parsed.is_ca(), "a leaf signs nothing");
        assert_eq!(parsed.issuer(), root.subject(), "the chain");
        let usage = parsed.extended_key_usage().ok().flatten().expect("there");
        assert!(usage.value.server_auth && !usage.value.client_auth, "for servers only");
        let names = parsed.subject_alternative_name().ok().flatten().expect("there");
        assert_eq!(names.value.general_names.len(), 2, "DNS name and address: {names:?}");
        let oids: Vec<String> =
            parsed.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        assert!(oids.contains(&"2.5.29.35".to_owned()), "authority key identifier: {oids:?}");
        assert!(leaf.key.contains("BEGIN PRIVATE KEY"), "PKCS#8");
        assert!(authority.issue(Purpose::Server, "kme", &[], 7).is_err(), "no host, no server");
        for good in ["kme_a", "*.example", "a-1.example", "::1", "192.0.2.1"] {
            assert!(authority.issue(Purpose::Server, "kme", &[good.into()], 7).is_ok(), "{good}");
        }
        for wrong in ["", "a b", "kme-a:8443", "https://kme-a", "-a", "a..b", "*", "kme é"] {
            let made = authority.issue(Purpose::Server, "kme", &["localhost".into(), wrong.into()], 7);
            assert!(matches!(made, Err(CertificateError::Host(name)) if name == wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_authority_is_read_back_and_names_its_applications() {
        let authority = Authority::new("test", 30).expect("an authority");
        let again = Authority::from_pem(authority.certificate(), authority.key()).expect("its own files");
        let leaf = again.issue(Purpose::Client, "sae alice", &["alice.example".into()], 7).expect("a leaf");
        let certificate = der(&leaf.certificate);
        for (from, id) in [
            (SaeIdFrom::Cn, "sae alice"),
            (SaeIdFrom::Dns, "alice.example"),
            (SaeIdFrom::Uri, "urn:keystill:sae:sae%20alice"),
        ] {
            assert_eq!(sae_id(&certificate, from).as_deref(), Some(id), "{from:?}");
        }
    }
}
