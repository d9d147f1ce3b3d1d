//! The server: its listener, certificates, and what the program that embeds it can do directly.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::auth::{Tokens, User};
use crate::certificates::Certificates;
use crate::handlers;
use crate::request::Call;
use crate::resource;
use crate::store::Store;
use crate::{Error, endpoints};

/// How to serve.
#[derive(Debug, Clone)]
pub struct Config {
    /// A loopback address; port 0 picks one.
    pub listen: SocketAddr,
    /// Names and addresses of the certificate, beside that of `listen`.
    pub names: Vec<String>,
    /// Where objects are kept; none for memory alone.
    pub state: Option<PathBuf>,
    /// A label for what service accounts write.
    pub stamp: Option<Stamp>,
}

/// A label for what service accounts write, as a mutating webhook would set it.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The label.
    pub label: String,
    /// The label of an account whose value it has; an account without it sets none.
    pub account_label: String,
    /// Kinds that get none, in the plural.
    pub except: Vec<String>,
}

/// What the server does to requests that are not its owner's, on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Answers with this status.
    Status(u16),
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) fault: Mutex<Fault>,
    pub(crate) stamp: Option<Stamp>,
}

/// A running server; it ends with the last clone of this.
#[derive(Debug, Clone)]
pub struct ApiServer {
    inner: Arc<Inner>,
    address: SocketAddr,
    ca_pem: String,
    _tasks: Arc<Tasks>,
}

/// Tasks that end with this value.
#[derive(Debug)]
pub(crate) struct Tasks(pub(crate) Vec<tokio::task::AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl ApiServer {
    /// Starts to serve.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(config: Config) -> Result<Self, Error> {
        if !config.listen.ip().is_loopback() {
            return Err(Error::NotLoopback {
                address: config.listen,
            });
        }
        let store = match &config.state {
            Some(path) => Store::open(path)?,
            None => Store::in_memory(),
        };
        let inner = Arc::new(Inner {
            store,
            tokens: Tokens::new(),
            fault: Mutex::new(Fault::None),
            stamp: config.stamp,
        });
        let certificates = Certificates::new(&config.names)?;
        let tls = tls_of(&certificates)?;
        let ca_pem = certificates.authority.pem();
        let failed = |source| Error::Listen {
            address: config.listen,
            source,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let serving = tokio::spawn(accept(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            inner.clone(),
        ));
        let controller = tokio::spawn(endpoints::run(inner.clone()));
        let tasks = Tasks(vec![serving.abort_handle(), controller.abort_handle()]);
        Ok(Self {
            inner,
            address,
            ca_pem,
            _tasks: Arc::new(tasks),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate authority of its certificate, PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A token that may do everything.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.inner.tokens.admin()
    }

    /// A token of a service account.
    #[must_use]
    pub fn account_token(&self, namespace: &str, name: &str) -> String {
        self.inner.tokens.issue(namespace, name, None)
    }

    /// Lets requests of service accounts fail on purpose.
    pub fn set_fault(&self, fault: Fault) {
        *self
            .inner
            .fault
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Makes a request as the owner, without a connection: status and body.
    #[must_use]
    pub fn call(
        &self,
        method: &str,
        path: &str,
        media: &str,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let call = Call {
            method: method.to_owned(),
            path: path.to_owned(),
            media: media.to_owned(),
            accept: String::new(),
            agent: "juju-local".to_owned(),
            body: body
                .map(|value| value.to_string().into_bytes())
                .unwrap_or_default(),
        };
        handlers::answer(&self.inner, &User::Admin, &call)
    }

    /// Objects of a kind, by its plural name, in a namespace.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let Some(kind) = resource::by_plural(plural) else {
            return Vec::new();
        };
        self.inner.store.transact(|tx| {
            tx.list(kind, Some(namespace))
                .map(|object| (**object).clone())
                .collect()
        })
    }

    /// One object.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let kind = resource::by_plural(plural)?;
        self.inner
            .store
            .transact(|tx| tx.get(kind, namespace, name).map(|o| (*o).clone()))
    }

    /// Hears of every change.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.store.subscribe()
    }

    /// Waits until everything so far is on disk.
    pub fn flush(&self) {
        self.inner.store.flush();
    }
}

fn tls_of(certificates: &Certificates) -> Result<rustls::ServerConfig, Error> {
    let chain: Vec<CertificateDer<'static>> = vec![certificates.server.der().clone()];
    let key = PrivatePkcs8KeyDer::from(certificates.key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(key))
        .map_err(Error::Tls)?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(tls)
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, inner: Arc<Inner>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, inner) = (tls.clone(), inner.clone());
        tokio::spawn(async move {
            // Whatever speaks no TLS, or leaves, is nobody's concern.
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| handlers::serve(inner.clone(), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
