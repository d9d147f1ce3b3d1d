//! Checks: their states, starting and stopping them, running one now.

use serde::Deserialize;
use serde_json::json;

use crate::Error;
use crate::client::Client;
use crate::http::{self, Request};
use crate::types::{CheckInfo, CheckRun};

impl Client {
    /// States of checks; of all if no name is given.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checks(&self, names: &[&str]) -> Result<Vec<CheckInfo>, Error> {
        self.checks_of(None, names).await
    }

    /// States of the checks of exactly this level (`alive`, `ready`).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn checks_at(&self, level: &str) -> Result<Vec<CheckInfo>, Error> {
        self.checks_of(Some(level), &[]).await
    }

    async fn checks_of(
        &self,
        level: Option<&str>,
        names: &[&str],
    ) -> Result<Vec<CheckInfo>, Error> {
        let mut pairs: Vec<_> = names.iter().map(|name| ("names", *name)).collect();
        pairs.extend(level.map(|level| ("level", level)));
        self.send(Request::get(format!("/v1/checks{}", http::query(&pairs))))
            .await?
            .result()
    }

    /// Starts checks: the names of those that did not run. Pebble can since 1.19.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_checks(&self, names: &[&str]) -> Result<Vec<String>, Error> {
        self.set_checks("start", names).await
    }

    /// Stops checks: the names of those that ran. Pebble can since 1.19.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stop_checks(&self, names: &[&str]) -> Result<Vec<String>, Error> {
        self.set_checks("stop", names).await
    }

    async fn set_checks(&self, action: &str, names: &[&str]) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Changed {
            #[serde(default)]
            changed: Vec<String>,
        }
        let body = json!({"action": action, "checks": names});
        let changed: Changed = self
            .send(Request::post("/v1/checks", &body))
            .await?
            .result()?;
        Ok(changed.changed)
    }

    /// Runs a check now and waits for it; bounded by the client's time-out. Pebble can since 1.20.
    ///
    /// # Errors
    /// [`Error::is_not_found`] where there is none. A check that fails is no error.
    pub async fn refresh_check(&self, name: &str) -> Result<CheckRun, Error> {
        let body = json!({"name": name});
        self.send(Request::post("/v1/checks/refresh", &body))
            .await?
            .result()
    }
}
