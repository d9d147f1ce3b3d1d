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

mod http;
mod types;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use types::{Cluster, HistoryEntry, Member, MemberStatus, Role, State, Version};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or it broke.
    #[error("cannot reach Patroni at {host}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("Patroni at {host} did not answer within {limit:?}")]
    TimedOut {
        /// Host and port.
        host: String,
        /// The bound.
        limit: Duration,
    },
    /// The user or password is wrong, or the call needs one.
    #[error("Patroni refuses the credentials")]
    Unauthorized,
    /// Another status than the call's good ones.
    #[error("Patroni answers {status}: {text}")]
    Status {
        /// HTTP status.
        status: u16,
        /// Patroni's words.
        text: String,
    },
    /// The answer is not what the API promises.
    #[error("cannot read Patroni's answer")]
    Malformed(#[source] serde_json::Error),
}

/// Which of Patroni's health questions is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// Is PostgreSQL up?
    Health,
    /// Is Patroni's loop alive?
    Liveness,
    /// Is the member ready for traffic?
    Readiness,
    /// Does it hold the leader lock?
    Leader,
    /// Is it the primary?
    Primary,
    /// Is it a running replica?
    Replica,
    /// Is it a synchronous standby?
    Synchronous,
}

impl Probe {
    fn path(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Liveness => "/liveness",
            Self::Readiness => "/readiness",
            Self::Leader => "/leader",
            Self::Primary => "/primary",
            Self::Replica => "/replica",
            Self::Synchronous => "/synchronous",
        }
    }
}

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

    /// Speaks HTTPS, trusting what `config` trusts.
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

    /// The cluster as this member sees it (`GET /cluster`).
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
        let (_, body) = self.call("GET", "/patroni", None).await?;
        serde_json::from_slice(&body).map_err(Error::Malformed)
    }

    /// Asks a health question: whether Patroni says yes.
    ///
    /// # Errors
    /// When Patroni does not answer; a "no" is not an error.
    pub async fn probe(&self, probe: Probe) -> Result<bool, Error> {
        let (status, _) = self.call("GET", probe.path(), None).await?;
        Ok(status == 200)
    }

    /// The dynamic configuration (`GET /config`).
    ///
    /// # Errors
    /// See [`Error`]; status 404 before there is a cluster.
    pub async fn config(&self) -> Result<Value, Error> {
        self.read("/config").await
    }

    /// Merges a patch into the dynamic configuration; null removes a key.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn patch_config(&self, patch: &Value) -> Result<Value, Error> {
        let body = self.good("PATCH", "/config", Some(patch), &[200]).await?;
        serde_json::from_slice(&body).map_err(Error::Malformed)
    }

    /// Moves leadership in an orderly way; with no candidate Patroni picks one. Patroni answers
    /// when the new leader is there, or it can't be done; give the client enough time.
    ///
    /// # Errors
    /// See [`Error`]; status 412 or 503 with Patroni's reason where it can't be done.
    pub async fn switchover(&self, leader: &str, candidate: Option<&str>) -> Result<(), Error> {
        let mut body = json!({"leader": leader});
        if let (Some(candidate), Some(map)) = (candidate, body.as_object_mut()) {
            map.insert("candidate".into(), json!(candidate));
        }
        self.good("POST", "/switchover", Some(&body), &[200, 202])
            .await
            .map(drop)
    }

    /// Makes this candidate the leader even if the cluster has none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn failover(&self, candidate: &str) -> Result<(), Error> {
        let body = json!({"candidate": candidate});
        self.good("POST", "/failover", Some(&body), &[200, 202])
            .await
            .map(drop)
    }

    /// Restarts PostgreSQL on this member; with `if_pending` only where a parameter waits for it.
    ///
    /// # Errors
    /// See [`Error`]; status 503 where the condition does not hold.
    pub async fn restart(&self, if_pending: bool) -> Result<(), Error> {
        let body = if if_pending {
            json!({"restart_pending": true})
        } else {
            json!({})
        };
        self.good("POST", "/restart", Some(&body), &[200, 202])
            .await
            .map(drop)
    }

    /// Lets this member read its configuration file again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reload(&self) -> Result<(), Error> {
        self.good("POST", "/reload", Some(&json!({})), &[200, 202])
            .await
            .map(drop)
    }

    /// Throws the member's data away and takes a new base backup; with `force` even if it runs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reinitialize(&self, force: bool) -> Result<(), Error> {
        self.good(
            "POST",
            "/reinitialize",
            Some(&json!({"force": force})),
            &[200, 202],
        )
        .await
        .map(drop)
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
        if status == 401 {
            return Err(Error::Unauthorized);
        }
        let text: String = String::from_utf8_lossy(&body)
            .trim()
            .chars()
            .take(500)
            .collect();
        Err(Error::Status { status, text })
    }

    async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(u16, Vec<u8>), Error> {
        let bounded = tokio::time::timeout(self.limit, http::request(self, method, path, body));
        bounded.await.map_err(|_| Error::TimedOut {
            host: self.address(),
            limit: self.limit,
        })?
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}
