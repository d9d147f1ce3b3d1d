//! Commands in the workload container: what is run, and what it left.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::http;
use crate::{Error, ExecError};

/// A command to run.
#[derive(Clone)]
pub struct Exec {
    pub(crate) command: Vec<String>,
    environment: BTreeMap<String, String>,
    working_dir: Option<String>,
    service_context: Option<String>,
    user: Option<String>,
    group: Option<String>,
    terminal: Option<(u16, u16)>,
    pub(crate) split_stderr: bool,
    pub(crate) stdin: Option<Vec<u8>>,
    pub(crate) limit: Duration,
}

impl Exec {
    /// A command with its arguments; no shell is involved. It may run for 5 s.
    #[must_use]
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
            working_dir: None,
            service_context: None,
            user: None,
            group: None,
            terminal: None,
            split_stderr: true,
            stdin: None,
            limit: Duration::from_secs(5),
        }
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Runs it there.
    #[must_use]
    pub fn working_dir(mut self, path: impl Into<String>) -> Self {
        self.working_dir = Some(path.into());
        self
    }

    /// Runs it as this user and group: names, or numbers in decimal digits.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>, group: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self.group = Some(group.into());
        self
    }

    /// Takes user, group, directory and environment of a service, where not given here.
    #[must_use]
    pub fn service_context(mut self, service: impl Into<String>) -> Self {
        self.service_context = Some(service.into());
        self
    }

    /// Gives it this input, then the end of input.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(input.into());
        self
    }

    /// Lets standard error come with standard output, in the order written.
    #[must_use]
    pub fn combine_stderr(mut self) -> Self {
        self.split_stderr = false;
        self
    }

    /// Runs it on a terminal of so many columns and rows.
    #[must_use]
    pub fn terminal(mut self, columns: u16, rows: u16) -> Self {
        self.terminal = Some((columns, rows));
        self
    }

    /// Lets it run so long; then Pebble kills it.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn program(&self) -> String {
        self.command.first().cloned().unwrap_or_default()
    }

    pub(crate) fn request(&self) -> Value {
        let limit = self.limit.max(Duration::from_millis(1));
        let mut fields = Map::new();
        fields.insert("command".into(), json!(self.command));
        fields.insert("environment".into(), json!(self.environment));
        fields.insert("timeout".into(), http::duration(limit).into());
        fields.insert("split-stderr".into(), self.split_stderr.into());
        fields.insert("terminal".into(), self.terminal.is_some().into());
        fields.insert("interactive".into(), self.terminal.is_some().into());
        if let Some((columns, rows)) = self.terminal {
            fields.insert("width".into(), columns.into());
            fields.insert("height".into(), rows.into());
        }
        for (key, value) in [
            ("working-dir", &self.working_dir),
            ("service-context", &self.service_context),
        ] {
            fields.extend(value.iter().map(|value| (key.to_owned(), json!(value))));
        }
        identity(&mut fields, "user", self.user.as_deref());
        identity(&mut fields, "group", self.group.as_deref());
        Value::Object(fields)
    }
}

/// Arguments, variables and input may be secret: they are not shown.
impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec")
            .field("program", &self.program())
            .field("working_dir", &self.working_dir)
            .field("user", &self.user)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Adds a user or group, by name or, where it is a number, by id.
pub(crate) fn identity(fields: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    match value.parse::<u32>() {
        Ok(id) => fields.insert(format!("{key}-id"), id.into()),
        Err(_) => fields.insert(key.to_owned(), value.into()),
    };
}

/// What a command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code; 128 and the signal's number if it died of one.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error; empty where it came with standard output.
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    /// Itself, where the exit code is 0.
    ///
    /// # Errors
    /// [`ExecError::Failed`] otherwise.
    pub fn success(self, program: &str) -> Result<Self, Error> {
        if self.code == 0 {
            return Ok(self);
        }
        let failed = ExecError::Failed {
            program: program.to_owned(),
            output: Box::new(self),
        };
        Err(failed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_users_or_their_ids_and_leaves_out_what_is_not_given() {
        let request = Exec::new(["psql"]).user("postgres", "26").request();
        assert_eq!(request["user"], "postgres");
        assert_eq!(request["group-id"], 26);
        assert_eq!(request["timeout"], "5000ms");
        assert!(request.get("working-dir").is_none());
        assert!(request.get("group").is_none());
    }

    #[test]
    fn arguments_variables_and_input_are_not_printed() {
        let exec = Exec::new(["psql", "s3cret-a"])
            .env("PGPASSWORD", "s3cret-b")
            .stdin("s3cret-c");
        assert!(!format!("{exec:?}").contains("s3cret"));
    }

    #[test]
    fn an_exit_code_becomes_an_error_only_on_demand() {
        let output = ExecOutput {
            code: 3,
            stdout: Vec::new(),
            stderr: b"why".to_vec(),
        };
        let error = output.success("psql").unwrap_err();
        assert_eq!(error.to_string(), "psql exited with code 3");
    }
}
