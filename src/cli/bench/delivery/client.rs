//! A client of ETSI GS QKD 014 that does nothing but ask: one connection, kept alive.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};

/// What all connections of an application share.
pub(super) fn config(authority: &str, certificate: &str, key: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(certificate.as_bytes())?],
            PrivateKeyDer::from_pem_slice(key.as_bytes())?,
        )?;
    Ok(Arc::new(config))
}

/// A connection.
pub(super) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    received: Vec<u8>,
}

impl Client {
    pub(super) fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        let connection = ClientConnection::new(config, ServerName::try_from("localhost")?)?;
        Ok(Self { stream: StreamOwned::new(connection, socket), received: Vec::with_capacity(4096) })
    }

    /// Asks for a path; the key container that comes back.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<serde_json::Value> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        self.stream.write_all(request.as_bytes())?;
        self.received.clear();
        let (head, length) = loop {
            self.read()?;
            if let Some(end) = self.received.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.received[..end])?;
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
                });
                break (end + 4, length.context("the answer has no length")??);
            }
        };
        while self.received.len() < head + length {
            self.read()?;
        }
        let (head, body) = self.received.split_at(head);
        ensure!(head.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(body));
        Ok(serde_json::from_slice(body)?)
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes)? {
            0 => bail!("the server closed the connection"),
            count => self.received.extend_from_slice(&bytes[..count]),
        }
        Ok(())
    }
}
