//! A client of a Kubernetes API by URL, token and certificate authority.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Error;

type Connection = SendRequest<Full<Bytes>>;

/// A client; its clones share a connection.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    accept: String,
}

struct Shared {
    host: String,
    name: ServerName<'static>,
    address: SocketAddr,
    token: String,
    ca_pem: String,
    tls: TlsConnector,
    idle: Mutex<Option<Connection>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// The events of a watch, one after the other.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    rest: Vec<u8>,
}

impl Client {
    /// A client of the server at an `https` URL.
    ///
    /// # Errors
    /// When the URL or the certificate can't be used.
    pub fn new(url: &str, token: &str, ca_pem: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Url {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let parsed = url::Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if parsed.scheme() != "https" {
            return Err(wrong("it is not an https URL"));
        }
        let host = parsed.host_str().unwrap_or_default();
        let addresses = parsed.socket_addrs(|| None);
        let address = addresses
            .ok()
            .and_then(|found| found.first().copied())
            .ok_or_else(|| wrong("its host has no address"))?;
        let bare = host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(bare).map_err(|error| wrong(&error.to_string()))?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
            roots
                .add(certificate.map_err(Error::Pem)?)
                .map_err(Error::Tls)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(Error::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            accept: "application/json".to_owned(),
            shared: Arc::new(Shared {
                host: format!("{host}:{}", address.port()),
                name,
                address,
                token: token.trim().to_owned(),
                ca_pem: ca_pem.to_owned(),
                tls: TlsConnector::from(Arc::new(tls)),
                idle: Mutex::new(None),
            }),
        })
    }

    /// The same server as somebody else.
    ///
    /// # Errors
    /// As of [`Client::new`].
    pub fn with_token(&self, token: &str) -> Result<Self, Error> {
        let url = format!("https://{}", self.shared.host);
        Self::new(&url, token, &self.shared.ca_pem)
    }

    /// The same client with another `Accept` header.
    #[must_use]
    pub fn accepting(&self, accept: &str) -> Self {
        Self {
            accept: accept.to_owned(),
            ..self.clone()
        }
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// The certificate authority, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let shared = &self.shared;
        let lost = |source: std::io::Error| Error::Unreachable {
            host: shared.host.clone(),
            source,
        };
        let stream = TcpStream::connect(shared.address).await.map_err(lost)?;
        stream.set_nodelay(true).map_err(lost)?;
        let stream = shared.tls.connect(shared.name.clone(), stream).await;
        let io = TokioIo::new(stream.map_err(lost)?);
        let made = hyper::client::conn::http1::handshake(io).await;
        let (sender, connection) = made.map_err(Error::Http)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: &[u8],
    ) -> Result<Request<Full<Bytes>>, Error> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.shared.host)
            .header("authorization", format!("Bearer {}", self.shared.token))
            .header("user-agent", "juju-local")
            .header("accept", &self.accept)
            .header("content-type", media)
            .body(Full::new(Bytes::copy_from_slice(body)))
            .map_err(Error::Request)
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection), Error> {
        let kept = self.idle().take();
        // One that the server has closed meanwhile did not send anything.
        if let Some(mut kept) = kept
            && kept.ready().await.is_ok()
        {
            match kept.send_request(request.clone()).await {
                Ok(answer) => return Ok((answer, kept)),
                Err(error) if error.is_canceled() => {}
                Err(error) => return Err(Error::Http(error)),
            }
        }
        let mut fresh = self.connect().await?;
        let answer = fresh.send_request(request).await.map_err(Error::Http)?;
        Ok((answer, fresh))
    }

    fn idle(&self) -> MutexGuard<'_, Option<Connection>> {
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a request: the status and the text of the answer.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn text(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: &[u8],
    ) -> Result<(u16, String), Error> {
        let (answer, connection) = self.send(self.request(method, path, media, body)?).await?;
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.map_err(Error::Http)?;
        *self.idle() = Some(connection);
        Ok((
            status,
            String::from_utf8_lossy(&bytes.to_bytes()).into_owned(),
        ))
    }

    /// Makes a request: the status and the object of the answer; a text that is none is a string.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Error> {
        let body = body
            .map(|value| value.to_string().into_bytes())
            .unwrap_or_default();
        let (status, text) = self.text(method, path, media, &body).await?;
        Ok((
            status,
            serde_json::from_str(&text).unwrap_or(Value::String(text)),
        ))
    }

    /// Begins a watch.
    ///
    /// # Errors
    /// When there is no answer, or one that refuses it.
    pub async fn watch(&self, path: &str) -> Result<Events, Error> {
        let (answer, _) = self
            .send(self.request("GET", path, "application/json", &[])?)
            .await?;
        if answer.status().as_u16() != 200 {
            return Err(Error::Refused {
                path: path.to_owned(),
                status: answer.status().as_u16(),
            });
        }
        Ok(Events {
            body: answer.into_body(),
            rest: Vec::new(),
        })
    }
}

impl Events {
    /// The next event; none at the watch's end.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).ok();
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(frame.data_ref()?);
        }
    }
}
