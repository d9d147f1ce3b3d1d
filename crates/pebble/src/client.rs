//! The client: system, health, plan, services, changes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::http::{self, Request, Response};
use crate::layer::Layer;
use crate::types::{Change, ServiceInfo, SystemInfo};
use crate::{ChangeError, Error};

/// A client of the Pebble that listens on one socket. Each call makes its own connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) socket: PathBuf,
    pub(crate) limit: Duration,
}

impl Client {
    /// A client of the Pebble on this socket; a call may take 5 s. Nothing is connected yet.
    #[must_use]
    pub fn new(socket: impl AsRef<Path>) -> Self {
        Self {
            socket: socket.as_ref().to_owned(),
            limit: Duration::from_secs(5),
        }
    }

    /// Another bound for a call; what a call waits for (a change, a notice, a command) is on top.
    #[must_use]
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same as [`Client::with_timeout`].
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        self.with_timeout(limit)
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
    /// Services are left as they run, but new and changed checks start at once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn add_layer(&self, label: &str, layer: &Layer, combine: bool) -> Result<(), Error> {
        let yaml = serde_yaml::to_string(layer).map_err(Error::Layer)?;
        let body = json!({
            "action": "add", "combine": combine, "label": label, "format": "yaml", "layer": yaml,
        });
        self.done(Request::post("/v1/layers", &body)).await
    }

    /// States of services; of all if no name is given. Names that are not in the plan are absent.
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
    /// [`Error::Change`] where one does not start; [`Error::is_pending`] where it takes longer.
    pub async fn start(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("start", names, wait).await
    }

    /// Stops services and waits until they have. One that ignores SIGTERM takes its kill delay
    /// (5 s by default) and up to 5 s more.
    ///
    /// # Errors
    /// As of [`Client::start`].
    pub async fn stop(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("stop", names, wait).await
    }

    /// Restarts services and waits until they have.
    ///
    /// # Errors
    /// As of [`Client::start`].
    pub async fn restart(&self, names: &[&str], wait: Duration) -> Result<(), Error> {
        self.services_action("restart", names, wait).await
    }

    /// Starts the enabled services and restarts the changed ones.
    ///
    /// # Errors
    /// As of [`Client::start`].
    pub async fn replan(&self, wait: Duration) -> Result<(), Error> {
        self.services_action("replan", &[], wait).await
    }

    /// Starts the enabled services.
    ///
    /// # Errors
    /// As of [`Client::start`]; kind `no-default-services` where none is enabled.
    pub async fn autostart(&self, wait: Duration) -> Result<(), Error> {
        self.services_action("autostart", &[], wait).await
    }

    /// Asks for an action (`start`, `stop`, `restart`, `replan`, `autostart`) without waiting: the
    /// id of its change, for [`Client::wait_change`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn begin(&self, action: &str, names: &[&str]) -> Result<String, Error> {
        let body = json!({"action": action, "services": names});
        let envelope = self
            .send(Request::post("/v1/services", &body))
            .await?
            .envelope()?;
        Ok(envelope.change)
    }

    /// Sends a signal by its full name (`SIGHUP`) to services: to the process, not its group.
    ///
    /// # Errors
    /// [`Error::Api`] with status 500 for those that do not run; the others got it.
    pub async fn signal(&self, signal: &str, names: &[&str]) -> Result<(), Error> {
        let body = json!({"signal": signal, "services": names});
        self.done(Request::post("/v1/signals", &body)).await
    }

    /// A change.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none.
    pub async fn change(&self, id: &str) -> Result<Change, Error> {
        self.send(Request::get(http::path("/v1/changes", &[id])))
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
    /// [`Error::is_pending`] when it takes longer than `wait`; [`Error::Change`] when it fails.
    pub async fn wait_change(&self, id: &str, wait: Duration) -> Result<Change, Error> {
        let change = self.wait_change_raw(id, wait).await?;
        match ChangeError::of(&change) {
            Some(error) => Err(error.into()),
            None => Ok(change),
        }
    }

    pub(crate) async fn wait_change_raw(&self, id: &str, wait: Duration) -> Result<Change, Error> {
        // Pebble takes 0 for "for ever".
        let timeout = http::duration(wait.max(Duration::from_millis(1)));
        let query = http::query(&[("timeout", &timeout)]);
        let path = http::path("/v1/changes", &[id, "wait"]);
        let request = Request::get(format!("{path}{query}"));
        self.send_within(request, self.limit + wait).await?.result()
    }

    /// Gives up a change.
    ///
    /// # Errors
    /// [`Error::Api`] with status 400 where it has ended already.
    pub async fn abort_change(&self, id: &str) -> Result<Change, Error> {
        let path = http::path("/v1/changes", &[id]);
        self.send(Request::post(path, &json!({"action": "abort"})))
            .await?
            .result()
    }

    async fn services_action(
        &self,
        action: &str,
        names: &[&str],
        wait: Duration,
    ) -> Result<(), Error> {
        let change = self.begin(action, names).await?;
        self.wait_change(&change, wait).await.map(drop)
    }

    /// Sends what has no result that matters.
    pub(crate) async fn done(&self, request: Request<'_>) -> Result<(), Error> {
        self.send(request).await?.envelope().map(drop)
    }

    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        self.send_within(request, self.limit).await
    }

    pub(crate) async fn send_within(
        &self,
        request: Request<'_>,
        limit: Duration,
    ) -> Result<Response, Error> {
        tokio::time::timeout(limit, http::send(&self.socket, request))
            .await
            .map_err(|_| Error::TimedOut(limit))?
    }
}
