//! Actions.

use serde::de::DeserializeOwned;

use super::{Context, Result};
use crate::refusals::Refusal;
use crate::tools::ToolError;

impl Context<'_> {
    /// Parameters of the action.
    ///
    /// # Errors
    /// [`crate::Refusal::Malformed`] where they are not of that type; the text names the parameter.
    pub fn action_params<T: DeserializeOwned>(&self) -> Result<T> {
        let given: serde_json::Value = self.read("action-get", &["--format=json"])?;
        T::deserialize(given).map_err(|error| ToolError {
            tool: "action-get",
            refusal: Refusal::Malformed,
            message: error.to_string(),
        })
    }

    /// Results of the action. A key with periods makes nested results; letters are lower-case.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_set(&self, results: &[(&str, &str)]) -> Result<()> {
        let pairs: Vec<String> = results
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let mut args = vec!["--"];
        args.extend(pairs.iter().map(String::as_str));
        self.call("action-set", &args, None).map(drop)
    }

    /// Fails the action with a message; the program goes on, and exits 0 for it.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_fail(&self, message: &str) -> Result<()> {
        self.call("action-fail", &["--", message], None).map(drop)
    }

    /// A line of progress of the action, seen at once.
    ///
    /// # Errors
    /// When Juju refuses.
    pub fn action_log(&self, message: &str) -> Result<()> {
        self.call("action-log", &["--", message], None).map(drop)
    }
}
