//! The client: system, plan, services, changes, checks, notices, health, logs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::http::{self, Request, Response};
use crate::layer::Layer;
use crate::types::{Change, CheckInfo, LogEntry, Notice, NoticeQuery, ServiceInfo, SystemInfo};
use crate::{ChangeError, Error};

/// A client of the Pebble that listens on one socket.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) socket: PathBuf,
    pub(crate) limit: Duration,
}

impl Client {
    /// A client of the Pebble on this socket; a call may take 5 s.
    #[must_use]
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            socket: socket.as_ref().to_owned(),
            limit: Duration::from_secs(5),
        }
    }

    /// Another bound for a call.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Version and boot id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn system_info(&self) -> Result<SystemInfo, Error> {
        self.send(Request::get("/v1/system-info")).await?.result()
    }

    /// Whether the checks of a level (`alive`, `ready`, or all) are up.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn health(&self, level: Option<&str>) -> Result<bool, Error> {
        #[derive(serde::Deserialize)]
        struct Health {
            healthy: bool,
        }
        let query = level
            .map(|level| http::query(&[("level", level)]))
            .unwrap_or_default();
        let health: Health = self
            .send(Request::get(format!("/v1/health{query}")))
            .await?
            .result()?;
        Ok(health.healthy)
    }

    /// The plan in force.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plan(&self) -> Result<Layer, Error> {
        let text: String = self
            .send(Request::get("/v1/plan?format=yaml"))
            .await?
            .result()?;
        serde_yaml::from_str(&text).map_err(|error| Error::Malformed(error.to_string()))
    }

    /// Adds a layer; with `combine` into the one of that label, if there is one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_layer(&self, label: &str, layer: &Layer, combine: bool) -> Result<(), Error> {
        let yaml = serde_yaml::to_string(layer).map_err(Error::Layer)?;
        let body = json!({
            "action": "add", "combine": combine, "label": label, "format": "yaml", "layer": yaml,
        });
        self.send(Request::post("/v1/layers", &body))
            .await?
            .envelope()
            .map(drop)
    }

    /// States of services; of all if no name is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn services(&self, names: &[&str]) -> Result<Vec<ServiceInfo>, Error> {
        let pairs: Vec<_> = names.iter().map(|name| ("names", *name)).collect();
        self.send(Request::get(format!("/v1/services{}", http::query(&pairs))))
            .await?
            .result()
    }

    /// Starts services and waits until they have, at most `wait`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("start", names, wait).await
    }

    /// Stops services and waits until they have.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stop(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("stop", names, wait).await
    }

    /// Restarts services and waits until they have.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn restart(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("restart", names, wait).await
    }

    /// Starts the enabled services and restarts the changed ones.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn replan(&self, wait: Duration) -> Result<(), Error> {
        self.services_action("replan", &[], wait).await
    }

    /// Starts the enabled services.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn autostart(&self, wait: Duration) -> Result<(), Error> {
        self.services_action("autostart", &[], wait).await
    }

    /// Sends a signal (`SIGHUP`) to services.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn signal(&self, signal: &str, names: &[&str]) -> Result<(), Error> {
        let body = json!({"signal": signal, "services": names});
        self.send(Request::post("/v1/signals", &body))
            .await?
            .envelope()
            .map(drop)
    }

    /// A change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn change(&self, id: &str) -> Result<Change, Error> {
        self.send(Request::get(format!("/v1/changes/{id}")))
            .await?
            .result()
    }

    /// Changes: `all`, `in-progress` or `ready`, in no order.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn changes(&self, select: &str) -> Result<Vec<Change>, Error> {
        let query = http::query(&[("select", select)]);
        self.send(Request::get(format!("/v1/changes{query}")))
            .await?
            .result()
    }

    /// Waits for a change to end; one that fails is an error with its tasks' logs.
    ///
    /// # Errors
    /// [`Error::Api`] with status 504 when it takes longer than `wait`.
    pub async fn wait_change(&self, id: &str, wait: Duration) -> Result<Change, Error> {
        let change = self.wait_change_raw(id, wait).await?;
        match ChangeError::of(&change) {
            Some(error) => Err(error.into()),
            None => Ok(change),
        }
    }

    pub(crate) async fn wait_change_raw(&self, id: &str, wait: Duration) -> Result<Change, Error> {
        let timeout = format!("{}ms", wait.as_millis().max(1));
        let query = http::query(&[("timeout", &timeout)]);
        let request = Request::get(format!("/v1/changes/{id}/wait{query}"));
        self.send_within(request, self.limit + wait).await?.result()
    }

    /// Gives up a change.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn abort_change(&self, id: &str) -> Result<Change, Error> {
        let path = format!("/v1/changes/{id}");
        self.send(Request::post(&path, &json!({"action": "abort"})))
            .await?
            .result()
    }

    /// States of checks; of all if no name is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checks(&self, names: &[&str]) -> Result<Vec<CheckInfo>, Error> {
        let pairs: Vec<_> = names.iter().map(|name| ("names", *name)).collect();
        self.send(Request::get(format!("/v1/checks{}", http::query(&pairs))))
            .await?
            .result()
    }

    /// Starts or stops checks: the names of those that changed.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn set_checks(&self, names: &[&str], start: bool) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct Changed {
            #[serde(default)]
            changed: Vec<String>,
        }
        let action = if start { "start" } else { "stop" };
        let body = json!({"action": action, "checks": names});
        let changed: Changed = self
            .send(Request::post("/v1/checks", &body))
            .await?
            .result()?;
        Ok(changed.changed)
    }

    /// Records a custom notice: its id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn notify(
        &self,
        key: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<String, Error> {
        #[derive(serde::Deserialize)]
        struct Id {
            id: String,
        }
        let body = json!({"action": "add", "type": "custom", "key": key, "data": data});
        let id: Id = self
            .send(Request::post("/v1/notices", &body))
            .await?
            .result()?;
        Ok(id.id)
    }

    /// Notices; with `wait` it waits so long for the first one.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn notices(&self, query: &NoticeQuery, wait: Duration) -> Result<Vec<Notice>, Error> {
        let timeout = format!("{}ms", wait.as_millis());
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        if query.all_users {
            pairs.push(("users", "all"));
        }
        pairs.extend(query.types.iter().map(|value| ("types", value.as_str())));
        pairs.extend(query.keys.iter().map(|value| ("keys", value.as_str())));
        pairs.extend(query.after.iter().map(|value| ("after", value.as_str())));
        if !wait.is_zero() {
            pairs.push(("timeout", &timeout));
        }
        let request = Request::get(format!("/v1/notices{}", http::query(&pairs)));
        self.send_within(request, self.limit + wait).await?.result()
    }

    /// A notice by its id.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn notice(&self, id: &str) -> Result<Notice, Error> {
        self.send(Request::get(format!("/v1/notices/{id}")))
            .await?
            .result()
    }

    /// The last `count` lines of services' output; of all services if no name is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn logs(&self, names: &[&str], count: u32) -> Result<Vec<LogEntry>, Error> {
        let count = count.to_string();
        let mut pairs: Vec<_> = names.iter().map(|name| ("services", *name)).collect();
        pairs.push(("n", &count));
        let response = self
            .send(Request::get(format!("/v1/logs{}", http::query(&pairs))))
            .await?;
        if response.status != 200 {
            response.envelope()?;
        }
        let lines = response
            .body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line).map_err(|error| Error::Malformed(error.to_string()))
            })
            .collect()
    }

    async fn services_action(
        &self,
        action: &str,
        names: &[&str],
        wait: Duration,
    ) -> Result<(), Error> {
        let body = json!({"action": action, "services": names});
        let envelope = self
            .send(Request::post("/v1/services", &body))
            .await?
            .envelope()?;
        match self.wait_change(&envelope.change, wait).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        self.send_within(request, self.limit).await
    }

    async fn send_within(&self, request: Request<'_>, limit: Duration) -> Result<Response, Error> {
        tokio::time::timeout(limit, http::send(&self.socket, request))
            .await
            .map_err(|_| Error::TimedOut(limit))?
    }
}
