//! What changes the cluster: configuration, leadership, restarts, reinitialisation.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{Client, Error};

/// Under which conditions PostgreSQL is restarted; empty ones do not restrict.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Restart {
    /// Only where a parameter waits for it.
    #[serde(rename = "restart_pending", skip_serializing_if = "std::ops::Not::not")]
    pub if_pending: bool,
    /// Only in this role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<RestartRole>,
    /// Only where PostgreSQL is older than this version, e.g. `14.9`.
    #[serde(rename = "postgres_version", skip_serializing_if = "Option::is_none")]
    pub older_than: Option<String>,
    /// Fail over where it does not come back in so many seconds.
    #[serde(rename = "timeout", skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u32>,
    /// At this time (RFC 3339, with a zone) rather than now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// The role that a restart is restricted to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartRole {
    /// The primary.
    Primary,
    /// Replicas.
    Replica,
}

impl Client {
    /// Merges a patch into the dynamic configuration; null removes a key. What comes of it.
    ///
    /// # Errors
    /// [`Error::Status`] 503 before there is a configuration, 409 where another change came first.
    pub async fn patch_config(&self, patch: &Value) -> Result<Value, Error> {
        let body = self.good("PATCH", "/config", Some(patch), &[200]).await?;
        serde_json::from_slice(&body).map_err(Error::Malformed)
    }

    /// Moves leadership in an orderly way; with no candidate Patroni picks one. Patroni answers
    /// when the new leader is there, or it can't be done; give the client enough time (20 s).
    ///
    /// # Errors
    /// [`Error::Status`] 412 where it is not possible, 503 where it failed or its end is unknown;
    /// [`Error::OtherLeader`] where another member than the candidate leads now.
    pub async fn switchover(&self, leader: &str, candidate: Option<&str>) -> Result<(), Error> {
        let mut body = json!({"leader": leader});
        if let (Some(candidate), Some(map)) = (candidate, body.as_object_mut()) {
            map.insert("candidate".into(), json!(candidate));
        }
        self.move_leader("/switchover", &body).await
    }

    /// Makes this candidate the leader even if the cluster has none.
    ///
    /// # Errors
    /// As of [`Client::switchover`].
    pub async fn failover(&self, candidate: &str) -> Result<(), Error> {
        self.move_leader("/failover", &json!({"candidate": candidate}))
            .await
    }

    async fn move_leader(&self, path: &str, body: &Value) -> Result<(), Error> {
        let answer = self.act(path, body).await?;
        // Patroni calls this a success too.
        if answer.contains("\" instead of \"") {
            return Err(Error::OtherLeader { text: answer });
        }
        Ok(())
    }

    /// Restarts PostgreSQL on this member; with `if_pending` only where a parameter waits for it.
    /// Patroni answers when it is back; give the client enough time.
    ///
    /// # Errors
    /// As of [`Client::restart_with`].
    pub async fn restart(&self, if_pending: bool) -> Result<(), Error> {
        let restart = Restart {
            if_pending,
            ..Restart::default()
        };
        self.restart_with(&restart).await.map(drop)
    }

    /// Restarts PostgreSQL on this member where the conditions hold: Patroni's words.
    ///
    /// # Errors
    /// [`Error::Status`] 503 where they don't or the restart fails, 409 where one is scheduled
    /// already.
    pub async fn restart_with(&self, restart: &Restart) -> Result<String, Error> {
        let body = serde_json::to_value(restart).map_err(Error::Malformed)?;
        self.act("/restart", &body).await
    }

    /// Lets this member read its configuration file again.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn reload(&self) -> Result<(), Error> {
        self.act("/reload", &json!({})).await.map(drop)
    }

    /// Throws the member's data away and takes a new copy; with `force` even if it is busy.
    /// Patroni answers when it has begun.
    ///
    /// # Errors
    /// [`Error::Status`] 503 on the leader, or where there is none to copy from.
    pub async fn reinitialize(&self, force: bool) -> Result<(), Error> {
        self.act("/reinitialize", &json!({"force": force}))
            .await
            .map(drop)
    }

    async fn act(&self, path: &str, body: &Value) -> Result<String, Error> {
        let answer = self.good("POST", path, Some(body), &[200, 202]).await?;
        Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    }
}
