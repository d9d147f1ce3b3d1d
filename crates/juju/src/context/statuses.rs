//! Statuses and the workload's version.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Context, Result};
use crate::status::{Status, StatusWord};

#[derive(Deserialize, Default)]
struct Now {
    #[serde(default)]
    status: String,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct NowOfApplication {
    #[serde(rename = "application-status", default)]
    application: Application,
}

#[derive(Deserialize, Default)]
struct Application {
    #[serde(flatten)]
    own: Now,
    #[serde(default)]
    units: BTreeMap<String, Now>,
}

fn typed(word: &str, message: String) -> Option<Status> {
    let word = StatusWord::from_text(word)?;
    Some(Status { word, message })
}

impl Context<'_> {
    /// The unit's status; none where it has one that only Juju sets, such as `unknown`.
    ///
    /// # Errors
    /// When Juju can't tell.
    pub fn status(&self) -> Result<Option<Status>> {
        let (word, message) = self.current(false)?;
        Ok(typed(&word, message))
    }

    /// The application's status; for leaders.
    ///
    /// # Errors
    /// [`crate::Refusal::NotLeader`].
    pub fn application_status(&self) -> Result<Option<Status>> {
        let (word, message) = self.current(true)?;
        Ok(typed(&word, message))
    }

    /// The statuses of the application's units, this one's too; for leaders.
    ///
    /// # Errors
    /// [`crate::Refusal::NotLeader`].
    pub fn unit_statuses(&self) -> Result<BTreeMap<String, Status>> {
        let found = self.of_application()?.units.into_iter();
        Ok(found
            .filter_map(|(unit, now)| Some((unit, typed(&now.status, now.message)?)))
            .collect())
    }

    fn of_application(&self) -> Result<Application> {
        let args = ["--application", "--include-data", "--format=json"];
        Ok(self
            .read::<NowOfApplication>("status-get", &args)?
            .application)
    }

    /// What Juju has, or what this hook set since.
    fn current(&self, application: bool) -> Result<(String, String)> {
        if let Some(known) = self.statuses.borrow().get(&application) {
            return Ok(known.clone());
        }
        let now = if application {
            self.of_application()?.own
        } else {
            self.read("status-get", &["--include-data", "--format=json"])?
        };
        Ok((now.status, now.message))
    }

    /// Sets the unit's status, if it differs. It is seen at once, whatever becomes of the hook.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn set_status(&self, status: &Status) -> Result<()> {
        self.set(false, status)
    }

    /// Sets the application's status, if it differs; for leaders.
    ///
    /// # Errors
    /// [`crate::Refusal::NotLeader`].
    pub fn set_application_status(&self, status: &Status) -> Result<()> {
        self.set(true, status)
    }

    fn set(&self, application: bool, status: &Status) -> Result<()> {
        let wanted = (status.word.text().to_owned(), status.message.clone());
        if self.current(application)? == wanted {
            return Ok(());
        }
        let mut args = vec![status.word.text(), "--", &status.message];
        if application {
            args.insert(0, "--application");
        }
        self.call("status-set", &args, None)?;
        self.statuses.borrow_mut().insert(application, wanted);
        Ok(())
    }

    /// Tells the workload's version. Juju can't be asked for it, so it is sent once a hook.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn set_workload_version(&self, version: &str) -> Result<()> {
        if self.version.borrow().as_deref() == Some(version) {
            return Ok(());
        }
        self.call("application-version-set", &["--", version], None)?;
        *self.version.borrow_mut() = Some(version.to_owned());
        Ok(())
    }
}
