//! The server: sockets, TLS and HTTP/1.1 around [`Kme::answer`].

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::server::ServerConfig;

use super::kme::{Kme, Method, Reply, Request};
use super::patient::Patient;
use super::tls::{SaeIdFrom, sae_id};

/// The longest body that is read: 4096 key IDs with room to spare.
const MOST_BODY_BYTES: usize = 1 << 20;

/// Connections at once.
const MOST_CONNECTIONS: usize = 4096;

/// Connections at once to the metrics: a few scrapers.
const MOST_SCRAPERS: usize = 64;

/// How long a connection may be silent between requests, or a request's head take: clients keep connections.
const IDLE: Duration = Duration::from_secs(75);

/// How long a handshake, or a request's body, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a client may take to read an answer: the longest is 1.4 MB.
const READING: Duration = Duration::from_secs(30);

/// How long open requests may take after the end was asked for.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a server cannot serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address cannot be had.
    #[error("cannot listen at {address}: {source}; {}", listen_remedy(source.kind()))]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

fn listen_remedy(kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::InvalidInput => "an address is HOST:PORT, such as 127.0.0.1:8443",
        ErrorKind::PermissionDenied => "choose a port above 1023, or give the unit CAP_NET_BIND_SERVICE",
        ErrorKind::AddrNotAvailable => "name an address of this machine",
        _ => "choose another address or end who has it",
    }
}

/// A key management entity at a socket.
#[derive(Debug)]
pub struct Server {
    kme: Arc<Kme>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    sae_id_from: SaeIdFrom,
    metrics: Option<TcpListener>,
    reading: Duration,
}

/// What all connections share.
struct Door {
    kme: Arc<Kme>,
    tls: TlsAcceptor,
    sae_id_from: SaeIdFrom,
    reading: Duration,
    began: Instant,
    /// The second, since then, in which a refusal was last told.
    told: AtomicU64,
}

impl Door {
    /// Counts a client that was refused, and tells one a second: who knocks a thousand times fills no log.
    fn refuse(&self, client: SocketAddr, why: &str) {
        self.kme.metrics().count_refused_handshake();
        let second = self.began.elapsed().as_secs() + 1;
        if self.told.swap(second, Ordering::Relaxed) != second {
            tracing::warn!(%client, why, "a client was refused");
        }
    }
}

impl Server {
    /// Listens at an address.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub async fn bind(
        kme: Arc<Kme>,
        address: &str,
        tls: Arc<ServerConfig>,
        sae_id_from: SaeIdFrom,
    ) -> Result<Self, ServerError> {
        let listener = listen(address).await?;
        Ok(Self { kme, listener, tls, sae_id_from, metrics: None, reading: READING })
    }

    /// Serves the metrics in plain HTTP at an address that only the operator reaches.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub async fn with_metrics(mut self, address: &str) -> Result<Self, ServerError> {
        self.metrics = Some(listen(address).await?);
        Ok(self)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Where the metrics are.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Serves until `end` is done, then finishes the requests that are open.
    pub async fn run(self, end: impl Future<Output = ()>) {
        let (ending, ended) = watch::channel(false);
        let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        if let Some(listener) = self.metrics {
            tokio::spawn(serve_metrics(self.kme.clone(), listener, ended.clone()));
        }
        let door = Arc::new(Door {
            kme: self.kme,
            tls: TlsAcceptor::from(self.tls),
            sae_id_from: self.sae_id_from,
            reading: self.reading,
            began: Instant::now(),
            told: AtomicU64::new(0),
        });
        tokio::pin!(end);
        loop {
            let accepted = tokio::select! {
                () = &mut end => break,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, client)) = accepted else {
                // Out of file descriptors, most likely: let some connections end.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
            let connection = connection(door.clone(), stream, client, ended.clone());
            tokio::spawn(async move {
                connection.await;
                drop(slot);
            });
        }
        // Nobody listens any more if there was no connection: that is fine.
        let _ = ending.send(true);
        let all = u32::try_from(MOST_CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(DRAIN, slots.acquire_many(all)).await;
    }
}

async fn listen(address: &str) -> Result<TcpListener, ServerError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Listen { address: address.to_owned(), source })
}

async fn connection(
    door: Arc<Door>,
    stream: TcpStream,
    client: SocketAddr,
    mut ended: watch::Receiver<bool>,
) {
    // Small answers: waiting for more to send would only add latency.
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(PATIENCE, door.tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return door.refuse(client, &error.to_string()),
        Err(_) => return door.refuse(client, "its handshake took too long"),
    };
    door.kme.metrics().count_connection();
    let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let sae: Option<Arc<str>> = certificate.and_then(|own| sae_id(own, door.sae_id_from)).map(Into::into);
    let stream = Patient::new(stream, door.reading);
    let service = service_fn(|request| {
        let (kme, sae) = (door.kme.clone(), sae.clone());
        async move { Ok::<_, Infallible>(answer(&kme, sae, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE);
    let serving = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        // A connection that breaks is the client's affair.
        _ = serving.as_mut() => return,
        _ = ended.wait_for(|ended| *ended) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

async fn answer(
    kme: &Arc<Kme>,
    sae: Option<Arc<str>>,
    request: hyper::Request<Incoming>,
) -> hyper::Response<Full<Bytes>> {
    let began = Instant::now();
    let (head, body) = request.into_parts();
    let reply = match whole(body).await {
        Ok(body) => {
            let kme = kme.clone();
            // The store waits for the disk: not on a thread that others wait for.
            let asked = tokio::task::spawn_blocking(move || {
                let method = match head.method {
                    hyper::Method::GET => Method::Get,
                    hyper::Method::POST => Method::Post,
                    _ => Method::Other,
                };
                let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
                kme.answer(Request { method, path, query, body: &body, sae: sae.as_deref() })
            });
            asked.await.unwrap_or_else(|_| Reply::error(500, "internal error", &[]))
        }
        Err(reply) => {
            kme.metrics().count_reply(reply.status);
            reply
        }
    };
    kme.metrics().count_latency(began.elapsed().as_secs_f64());
    response(reply)
}

/// A request's body, or why it was not read to its end: hyper then closes the connection.
async fn whole(body: Incoming) -> Result<Bytes, Reply> {
    let read = tokio::time::timeout(PATIENCE, Limited::new(body, MOST_BODY_BYTES).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Reply::error(413, "the body is longer than any request of this interface", &[]))
        }
        Ok(Err(_)) => Err(Reply::error(400, "the body is not what its head announced", &[])),
        Err(_) => Err(Reply::error(408, "the body did not come in time; send it at once", &[])),
    }
}

fn response(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let status = reply.status;
    // The bytes stay in the wiping buffer until the last of them is sent.
    let mut response = hyper::Response::new(Full::new(Bytes::from_owner(Wiped(reply))));
    *response.status_mut() =
        hyper::StatusCode::from_u16(status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    if status == 405 {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, POST"));
    }
    response
}

/// A reply as bytes that are wiped when they were sent.
struct Wiped(Reply);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0.body
    }
}

async fn serve_metrics(kme: Arc<Kme>, listener: TcpListener, mut ended: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(MOST_SCRAPERS));
    loop {
        let accepted = tokio::select! {
            _ = ended.wait_for(|ended| *ended) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let kme = kme.clone();
        tokio::spawn(async move {
            let _slot = slot;
            let service = service_fn(|request: hyper::Request<Incoming>| {
                let text = (request.uri().path() == "/metrics").then(|| kme.exposition());
                async move { Ok::<_, Infallible>(exposition(text)) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
            // A scraper that goes away is no error of ours.
            let _ = http.serve_connection(TokioIo::new(Patient::new(stream, READING)), service).await;
        });
    }
}

fn exposition(text: Option<String>) -> hyper::Response<Full<Bytes>> {
    let status = if text.is_some() { hyper::StatusCode::OK } else { hyper::StatusCode::NOT_FOUND };
    let mut response =
        hyper::Response::new(Full::new(Bytes::from(text.unwrap_or_else(|| "see /metrics\n".into()))));
    *response.status_mut() = status;
    let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    use zeroize::Zeroizing;

    use super::super::{Authority, Here, Limits, Memory, Pair, Purpose, TlsFiles, server_config};
    use super::*;

    /// Requests that are sent at once, and bytes of key that each asks for: their answers fill every buffer on the way.
    const REQUESTS: usize = 24;
    const BYTES: usize = 128 * 8192;

    fn kme() -> Arc<Kme> {
        let memory = Memory::new(&[Here { master: true, slave: false }], 1 << 30);
        memory.add(0, 1, Zeroizing::new(vec![7; REQUESTS * BYTES]));
        let [master, slave, master_kme, slave_kme] = ["alice", "bob", "a", "b"].map(str::to_owned);
        let pairs = vec![Pair { master, slave, master_kme, slave_kme }];
        Arc::new(Kme::new("a", pairs, Limits::default(), Arc::new(memory)).expect("good"))
    }

    /// The server's files, and how alice connects.
    fn tls(folder: &std::path::Path) -> (Arc<ServerConfig>, TlsConnector) {
        let authority = Authority::new("test", 1).expect("an authority");
        let server = authority.issue(Purpose::Server, "a", &["localhost".into()], 1).expect("a leaf");
        let path = |name: &str| folder.join(name);
        for (name, text) in
            [("ca.pem", authority.certificate()), ("a.pem", &server.certificate), ("a.key", &server.key)]
        {
            std::fs::write(path(name), text).expect("written");
        }
        let files =
            TlsFiles { certificate: path("a.pem"), key: path("a.key"), client_authority: path("ca.pem") };
        let alice = authority.issue(Purpose::Client, "alice", &[], 1).expect("a leaf");
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(authority.certificate())).expect("an authority");
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![certificate(&alice.certificate)],
                PrivateKeyDer::from_pem_slice(alice.key.as_bytes()).expect("PEM"),
            )
            .expect("a client");
        (server_config(&files).expect("good files"), TlsConnector::from(Arc::new(client)))
    }

    /// Sends all requests, waits for a time, and then counts the bytes that come until the server closes.
    async fn read_after(wait: Duration, patience: Duration) -> usize {
        let folder = tempfile::tempdir().expect("a folder");
        let (config, connector) = tls(folder.path());
        let mut server =
            Server::bind(kme(), "127.0.0.1:0", config, SaeIdFrom::Cn).await.expect("a free port");
        server.reading = patience;
        let address = server.address().expect("an address");
        let served = tokio::spawn(server.run(std::future::pending()));
        let socket = TcpStream::connect(address).await.expect("it listens");
        let name = ServerName::try_from("localhost").expect("a name");
        let mut stream = connector.connect(name, socket).await.expect("both certificates are good");
        let ask = |last: bool| {
            let end = if last { "Connection: close\r\n" } else { "" };
            format!(
                "GET /api/v1/keys/bob/enc_keys?number=128&size=65536 HTTP/1.1\r\nHost: localhost\r\n{end}\r\n"
            )
        };
        let requests: String = (0..REQUESTS).map(|number| ask(number + 1 == REQUESTS)).collect();
        stream.write_all(requests.as_bytes()).await.expect("they are small");
        stream.flush().await.expect("they are small");
        tokio::time::sleep(wait).await;
        let mut received = Vec::new();
        // A server that gave up closes without TLS's farewell.
        let _ = stream.read_to_end(&mut received).await;
        served.abort();
        received.len()
    }

    #[test]
    fn who_does_not_read_is_left() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads");
        let all = REQUESTS * BYTES;
        let patient = runtime.block_on(read_after(Duration::from_millis(200), Duration::from_secs(60)));
        assert!(patient > all, "who reads late gets all of {all} bytes of key, not {patient} of text");
        let left = runtime.block_on(read_after(Duration::from_secs(2), Duration::from_millis(200)));
        assert!(left < all, "who does not read is left: {left} bytes came all the same");
    }
}
