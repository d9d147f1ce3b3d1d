//! A client of Patroni's REST API, versions 3 and 4.
//!
//! ```no_run
//! # async fn example() -> Result<(), patroni::Error> {
//! let client = patroni::Client::new("db-0.db-endpoints", 8008)
//!     .with_credentials("patroni", "secret".to_owned().into());
//! for member in client.cluster().await?.members {
//!     println!("{} is {} and {}", member.name, member.role, member.state);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Roles and states that this crate does not know are kept as text, so that a newer Patroni does
//! not break an older client. Every call is bounded in time.

mod actions;
mod error;
mod http;
mod objects;
mod probe;
mod prompt;
mod tls;
mod types;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use actions::{Restart, RestartRole};
pub use error::Error;
pub use objects::{Lease, Object, Objects};
pub use probe::Probe;
pub use tls::tls_config;
pub use types::{
    About, Cluster, Health, HistoryEntry, Member, MemberStatus, Role, ScheduledSwitchover, State,
    Version, Xlog,
};

/// A client of one member.
#[derive(Clone)]
pub struct Client {
    host: String,
    port: u16,
    credentials: Option<(String, SecretString)>,
    tls: Option<Arc<rustls::ClientConfig>>,
    connect_limit: Duration,
    limit: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the member at this host name or address, in plain HTTP.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            credentials: None,
            tls: None,
            connect_limit: Duration::from_secs(1),
            limit: Duration::from_secs(5),
        }
    }

    /// Sends these credentials (HTTP basic authentication).
    #[must_use]
    pub fn with_credentials(mut self, user: impl Into<String>, password: SecretString) -> Self {
        self.credentials = Some((user.into(), password));
        self
    }

    /// Speaks HTTPS, trusting what `config` trusts ([`tls_config`]); made once, it serves the
    /// clients of all members.
    #[must_use]
    pub fn with_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Other bounds than 1 s for a connection and 5 s for a whole call.
    #[must_use]
    pub fn with_limits(mut self, connect: Duration, call: Duration) -> Self {
        self.connect_limit = connect;
        self.limit = call;
        self
    }

    /// The cluster as this member sees it (`GET /cluster`). The member reads its store anew for it, which
    /// can spoil an election: on the path of every hook read [`Objects`] instead.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn cluster(&self) -> Result<Cluster, Error> {
        self.read("/cluster").await
    }

    /// The member itself (`GET /patroni`), whatever its health.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self) -> Result<MemberStatus, Error> {
        let body = self.good("GET", "/patroni", None, &[200, 503]).await?;
        serde_json::from_slice(&body).map_err(Error::Malformed)
    }

    /// Asks a health question: whether Patroni says yes.
    ///
    /// # Errors
    /// When Patroni does not answer; a "no" is not an error.
    pub async fn probe(&self, probe: Probe) -> Result<bool, Error> {
        Ok(self.health(probe).await?.healthy)
    }

    /// Asks a health question: the answer, and what the member tells of itself, well or not.
    ///
    /// # Errors
    /// When Patroni does not answer; a "no" is not an error.
    pub async fn health(&self, probe: Probe) -> Result<Health, Error> {
        let (status, body) = self.call("GET", &probe.path(), None).await?;
        let healthy = match status {
            200 => true,
            503 => false,
            _ => return Err(Error::of(status, &body)),
        };
        // Liveness and readiness come without a body.
        let member = serde_json::from_slice(&body).ok();
        Ok(Health { healthy, member })
    }

    /// The dynamic configuration (`GET /config`).
    ///
    /// # Errors
    /// [`Error::Status`] 502 before there is one.
    pub async fn config(&self) -> Result<Value, Error> {
        self.read("/config").await
    }

    /// The certificate that the member shows, in DER; none in plain HTTP.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Distrusted`] for one that is not to be trusted.
    pub async fn certificate(&self) -> Result<Option<Vec<u8>>, Error> {
        self.bounded(http::certificate(self)).await
    }

    /// Past changes of timeline (`GET /history`).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn history(&self) -> Result<Vec<HistoryEntry>, Error> {
        let rows: Vec<Vec<Value>> = self.read("/history").await?;
        Ok(rows
            .iter()
            .filter_map(|row| HistoryEntry::from_row(row))
            .collect())
    }

    async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let body = self.good("GET", path, None, &[200]).await?;
        serde_json::from_slice(&body).map_err(Error::Malformed)
    }

    async fn good(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        statuses: &[u16],
    ) -> Result<Vec<u8>, Error> {
        let (status, body) = self.call(method, path, body).await?;
        if statuses.contains(&status) {
            return Ok(body);
        }
        Err(Error::of(status, &body))
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), Error> {
        self.bounded(http::request(self, method, path, body)).await
    }

    async fn bounded<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let bounded = tokio::time::timeout(self.limit, work);
        bounded.await.map_err(|_| Error::TimedOut {
            host: self.address(),
            limit: self.limit,
        })?
    }

    /// Host and port, as an URL has them.
    fn address(&self) -> String {
        if self.host.contains(':') {
            return format!("[{}]:{}", self.host, self.port);
        }
        format!("{}:{}", self.host, self.port)
    }
}
